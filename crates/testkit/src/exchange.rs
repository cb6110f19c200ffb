//! An Exchange server that is not there: strict about what it is asked, and with moods.

mod reading;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use keyway_outbound::Response;
use reading::{Asked, read};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How a server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeMood {
    /// It asks for a password by Basic authentication, among others.
    Serves,
    /// It takes no password by Basic authentication.
    WindowsOnly,
    /// It lets everybody in.
    Open,
    /// It answers everything with this status and nothing else.
    Status(u16),
    /// It sends everybody there.
    Redirects(String),
    /// It lets in whoever has the password, and answers so.
    Says(u16, String),
    /// It breaks every connection off.
    Silent,
    /// It breaks off once it has heard the password.
    SilentToUsers,
}

/// One request; the password is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeSeen {
    /// `GET /EWS/Exchange.asmx`.
    pub line: String,
    /// The name that came with a password, if one did.
    pub username: Option<String>,
    /// The address whose mailbox was asked for, if one was.
    pub address: Option<String>,
}

struct Known {
    mood: ExchangeMood,
    passwords: BTreeMap<String, String>,
    /// What is said to whoever asks where an address is.
    told: Option<String>,
    seen: Vec<ExchangeSeen>,
}

/// One server, whatever its names are.
pub struct FakeExchange(Mutex<Known>);

impl Default for FakeExchange {
    fn default() -> Self {
        Self(Mutex::new(Known {
            mood: ExchangeMood::Serves,
            passwords: BTreeMap::new(),
            told: None,
            seen: Vec::new(),
        }))
    }
}

impl FakeExchange {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `username` opens with `password`, and with no other.
    pub fn open(&self, username: &str, password: &str) {
        let (username, password) = (username.to_owned(), password.to_owned());
        self.known().passwords.insert(username, password);
    }

    /// From now on it behaves so.
    pub fn behave(&self, mood: ExchangeMood) {
        self.known().mood = mood;
    }

    /// From now on Autodiscover tells `account`, the members of `<Account>`. Without that there is no Autodiscover.
    pub fn tell(&self, account: &str) {
        self.known().told = Some(account.to_owned());
    }

    /// The requests so far, which are forgotten with this.
    #[must_use]
    pub fn take_seen(&self) -> Vec<ExchangeSeen> {
        std::mem::take(&mut self.known().seen)
    }

    /// The answer to a request; `None` where the connection breaks off.
    #[must_use]
    pub fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Response> {
        let mut known = self.known();
        let shown = credentials(headers);
        known.seen.push(ExchangeSeen {
            line: format!("{method} {path}"),
            username: shown.as_ref().map(|(name, _)| name.clone()),
            address: match read(body) {
                Some(Asked::Where(address)) => Some(address),
                _ => None,
            },
        });
        let mood = known.mood.clone();
        let is_user = shown.is_some();
        match mood {
            ExchangeMood::Silent => None,
            ExchangeMood::SilentToUsers if is_user => None,
            ExchangeMood::Status(status) => Some(plain(status, "")),
            ExchangeMood::Redirects(to) => Some(with_header(plain(302, ""), LOCATION, &to)),
            ExchangeMood::WindowsOnly => Some(challenge(&["Negotiate", "NTLM"])),
            ExchangeMood::Open => Some(serve(&known, method, path, headers, body)),
            ExchangeMood::Serves | ExchangeMood::SilentToUsers | ExchangeMood::Says(..) => {
                if path.contains("autodiscover") && known.told.is_none() {
                    return Some(plain(404, "no such page"));
                }
                if !is_known(&known, shown) {
                    let realm = "Basic realm=\"mail.example.com\"";
                    return Some(challenge(&["Negotiate", "NTLM", realm]));
                }
                Some(match mood {
                    ExchangeMood::Says(status, text) => plain(status, &text),
                    _ => serve(&known, method, path, headers, body),
                })
            }
        }
    }
}

fn is_known(known: &Known, shown: Option<(String, String)>) -> bool {
    shown.is_some_and(|(name, password)| known.passwords.get(&name) == Some(&password))
}

/// What a request for somebody who may ask is answered with.
fn serve(known: &Known, method: &Method, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    if *method != Method::POST {
        return plain(405, "");
    }
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if kind != Some("text/xml; charset=utf-8") {
        return plain(415, "");
    }
    match (path, read(body), &known.told) {
        ("/EWS/Exchange.asmx", Some(Asked::Inbox), _) => plain(200, OPENED),
        ("/autodiscover/autodiscover.xml", Some(Asked::Where(_)), Some(account)) => {
            plain(200, &told(account))
        }
        _ => plain(500, FAULT),
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let bytes = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn plain(status: u16, body: &str) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_owned().into(),
    }
}

fn with_header(mut response: Response, name: HeaderName, value: &str) -> Response {
    let value = HeaderValue::from_str(value).unwrap();
    response.headers.append(name, value);
    response
}

fn challenge(schemes: &[&str]) -> Response {
    let refused = plain(401, "");
    schemes.iter().fold(refused, |response, scheme| {
        with_header(response, WWW_AUTHENTICATE, scheme)
    })
}

/// As Exchange 2019 answers, shortened.
const OPENED: &str = r#"<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1258" MinorBuildNumber="12" xmlns:h="http://schemas.microsoft.com/exchange/services/2006/types"/></s:Header><s:Body><m:GetFolderResponse xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"><m:ResponseMessages><m:GetFolderResponseMessage ResponseClass="Success"><m:ResponseCode>NoError</m:ResponseCode><m:Folders><t:Folder><t:FolderId Id="AAMkAD" ChangeKey="AQAAAB"/></t:Folder></m:Folders></m:GetFolderResponseMessage></m:ResponseMessages></m:GetFolderResponse></s:Body></s:Envelope>"#;

const FAULT: &str = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>a:ErrorSchemaValidation</faultcode><faultstring>The request failed schema validation.</faultstring><detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">ErrorSchemaValidation</e:ResponseCode></detail></s:Fault></s:Body></s:Envelope>"#;

fn told(account: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"><Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"><Account>{account}</Account></Response></Autodiscover>"#
    )
}
