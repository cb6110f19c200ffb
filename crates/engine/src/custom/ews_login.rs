//! Opening a mailbox at an Exchange server: whether name and password are good, and nothing else.
//!
//! Every server is asked without the password first, and is shown it only once it has asked for one in a way in
//! which Keyway gives it: by Basic authentication, over TLS whose certificate holds. So the password goes to no web
//! server that merely has the host's name, and to none that would not take it.

use super::ews_failure::EwsFailure;
use crate::engine::Engine;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyway_core::ews::{EWS_PATH, EWS_PORT, EwsAnswer, OPEN_INBOX, is_passing, read_answer};
use keyway_core::mail_servers::MailServer;
use keyway_outbound::{Request, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// How long one question may take; there are two to a login.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// Largest answer, in bytes; about 2 KiB are usual.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

const XML: HeaderValue = HeaderValue::from_static("text/xml; charset=utf-8");

/// What opens a mailbox.
#[derive(Clone, Debug)]
pub(crate) struct EwsLogin {
    pub(crate) username: String,
    pub(crate) password: SecretString,
}

impl EwsLogin {
    /// RFC 7617, in UTF-8; the name holds no colon.
    fn basic(&self) -> Zeroizing<String> {
        let (name, password) = (&self.username, self.password.expose_secret());
        let pair = Zeroizing::new(format!("{name}:{password}"));
        Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
    }
}

/// Where a grant's settings say its mailbox is, and whose it is there.
pub(crate) fn where_to(settings: &Map<String, Value>) -> Option<(MailServer, String)> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let port = settings.get("ews_port").and_then(Value::as_u64)?;
    let server = MailServer {
        host: text("ews_host")?.to_owned(),
        port: u16::try_from(port).ok()?,
    };
    Some((server, text("ews_username")?.to_owned()))
}

impl Engine {
    /// Opens the inbox of whoever logs in, and leaves it again.
    pub(crate) async fn open_inbox(
        &self,
        server: &MailServer,
        login: &EwsLogin,
    ) -> Result<(), EwsFailure> {
        let url = service_url(server).ok_or(EwsFailure::NotThere)?;
        let answer = self.ask_with_password(&url, OPEN_INBOX, login).await?;
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        match read_answer(text) {
            Some(EwsAnswer::Opened) if answer.status.is_success() => Ok(()),
            Some(EwsAnswer::Failed(code)) if is_passing(&code) => Err(EwsFailure::NotNow(code)),
            Some(EwsAnswer::Failed(code)) => Err(EwsFailure::NoMailbox(code)),
            Some(EwsAnswer::Opened) | None => Err(odd(answer.status)),
        }
    }

    /// Asks `question` with the password, if the server asks for one. What comes back is a success, or an error of
    /// the server's that may say more in its body.
    pub(super) async fn ask_with_password(
        &self,
        url: &Url,
        question: &str,
        login: &EwsLogin,
    ) -> Result<Response, EwsFailure> {
        // Whoever does not ask for a password is not told the question either.
        let asked = self.ask(bounded(Request::get(url.clone()))).await?;
        challenged(url, &asked)?;
        let answer = self.ask(post(url, question, login)?).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED => Err(EwsFailure::Refused),
            StatusCode::FORBIDDEN => Err(EwsFailure::Forbidden),
            status if status.is_success() || status.is_server_error() => Ok(answer),
            _ => Err(unexpected(url, &answer)),
        }
    }

    async fn ask(&self, request: Request) -> Result<Response, EwsFailure> {
        let answer = self.inner.parts.transport.send(request).await;
        answer.map_err(EwsFailure::Unreachable)
    }
}

fn service_url(server: &MailServer) -> Option<Url> {
    let MailServer { host, port } = server;
    let mut url = Url::parse(&format!("https://{host}{EWS_PATH}")).ok()?;
    if *port != EWS_PORT {
        url.set_port(Some(*port)).ok()?;
    }
    Some(url)
}

fn bounded(request: Request) -> Request {
    request
        .with_header(ACCEPT, HeaderValue::from_static("text/xml"))
        .with_deadline(ANSWER_LIMIT)
        .with_max_response_bytes(ANSWER_MAX_BYTES)
        .with_guarded_port()
}

fn post(url: &Url, question: &str, login: &EwsLogin) -> Result<Request, EwsFailure> {
    let mut request = bounded(Request::new(http::Method::POST, url.clone()))
        .with_header(CONTENT_TYPE, XML)
        .with_authorization(&login.basic())
        // Base64 is always a header's value.
        .map_err(|_| EwsFailure::Refused)?;
    request.body = question.to_owned().into();
    Ok(request)
}

/// Whether the server asks for a password in a way in which it is given.
fn challenged(url: &Url, asked: &Response) -> Result<(), EwsFailure> {
    if asked.status != StatusCode::UNAUTHORIZED {
        return Err(match asked.status.is_success() {
            // It takes anybody for somebody, so it cannot tell whether a password is good.
            true => EwsFailure::NotThere,
            false => unexpected(url, asked),
        });
    }
    let offered = schemes(asked);
    match offered.iter().any(|one| one.eq_ignore_ascii_case("Basic")) {
        true => Ok(()),
        false => Err(EwsFailure::NoBasic(known(&offered))),
    }
}

/// The first word of every challenge (RFC 9110, 11.6.1), and of every parameter, which is none.
fn schemes(asked: &Response) -> Vec<&str> {
    let values = asked.headers.get_all(WWW_AUTHENTICATE).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    let parts = texts.flat_map(|text| text.split(','));
    let words = parts.filter_map(|part| part.split_whitespace().next());
    words.collect()
}

/// Of what a server offers, what is known: the rest is anybody's words.
fn known(offered: &[&str]) -> Vec<&'static str> {
    let is_offered = |name: &&str| offered.iter().any(|one| one.eq_ignore_ascii_case(name));
    let names = ["NTLM", "Negotiate", "Kerberos", "Digest", "Bearer"];
    names.into_iter().filter(is_offered).collect()
}

/// What an answer is that is neither a success nor about the password.
fn unexpected(url: &Url, answer: &Response) -> EwsFailure {
    match answer.status {
        status if status.is_redirection() => {
            let location = answer.header(&LOCATION);
            EwsFailure::Redirected(location.and_then(|text| url.join(text).ok()))
        }
        status => odd(status),
    }
}

fn odd(status: StatusCode) -> EwsFailure {
    let is_passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    match is_passing {
        true => EwsFailure::NotNow(format!("http_{}", status.as_u16())),
        false => EwsFailure::NotThere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(http::HeaderName, &str)]) -> Response {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (name.clone(), value)
        });
        let mut map = http::HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: bytes::Bytes::new(),
        }
    }

    fn url() -> Url {
        Url::parse("https://mail.example.com/EWS/Exchange.asmx").unwrap()
    }

    fn of(status: u16, headers: &[(http::HeaderName, &str)]) -> Option<EwsFailure> {
        challenged(&url(), &answer(status, headers)).err()
    }

    #[test]
    fn a_password_is_given_where_basic_is_offered_among_others() {
        let offers = [
            (WWW_AUTHENTICATE, "Negotiate"),
            (WWW_AUTHENTICATE, "NTLM"),
            (WWW_AUTHENTICATE, "basic realm=\"mail.example.com\""),
        ];
        assert_eq!(of(401, &offers), None);
        let one_line = [(WWW_AUTHENTICATE, "Negotiate, NTLM, Basic realm=\"x\"")];
        assert_eq!(of(401, &one_line), None);
        let others = [
            (WWW_AUTHENTICATE, "Negotiate"),
            (WWW_AUTHENTICATE, "NTLM"),
            (WWW_AUTHENTICATE, "X-Own Basically"),
        ];
        assert_eq!(
            of(401, &others),
            Some(EwsFailure::NoBasic(vec!["NTLM", "Negotiate"]))
        );
        assert_eq!(of(401, &[]), Some(EwsFailure::NoBasic(vec![])));
    }

    #[test]
    fn what_does_not_ask_for_a_password_is_not_given_one() {
        assert_eq!(of(200, &[]), Some(EwsFailure::NotThere));
        assert_eq!(of(404, &[]), Some(EwsFailure::NotThere));
        assert_eq!(of(503, &[]), Some(EwsFailure::NotNow("http_503".into())));
        let elsewhere = [(LOCATION, "/owa/")];
        let at = Url::parse("https://mail.example.com/owa/").unwrap();
        assert_eq!(of(302, &elsewhere), Some(EwsFailure::Redirected(Some(at))));
        assert_eq!(of(302, &[]), Some(EwsFailure::Redirected(None)));
    }

    #[test]
    fn a_service_is_at_the_same_path_of_every_host() {
        let of = |host: &str, port| {
            let server = MailServer {
                host: host.to_owned(),
                port,
            };
            service_url(&server).map(String::from)
        };
        assert_eq!(of("mail.example.com", 443).as_deref(), Some(url().as_str()));
        assert_eq!(
            of("[::1]", 8443).as_deref(),
            Some("https://[::1]:8443/EWS/Exchange.asmx")
        );
    }

    #[test]
    fn basic_carries_any_password_and_windows_names() {
        let login = EwsLogin {
            username: "EXAMPLE\\ann".into(),
            password: SecretString::from("gr\u{fc}n:1".to_owned()),
        };
        let encoded = login.basic();
        let decoded = STANDARD.decode(encoded.strip_prefix("Basic ").unwrap());
        assert_eq!(decoded.unwrap(), "EXAMPLE\\ann:gr\u{fc}n:1".as_bytes());
    }
}
