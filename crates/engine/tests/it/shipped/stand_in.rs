//! A provider that does what its documentation says and no more: whatever else is sent is refused and noted.

use super::documented::{Body, Documented, Proof, Whose};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};
use keyway_core::pkce::s256_challenge;
use keyway_outbound::{Request, Response};
use keyway_testkit::{CALLBACK_URI, DEV};
use keyway_vault::hash::sha256;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// The code that is good.
pub(super) const CODE: &str = "the-code";

/// Somebody with an account.
#[derive(Clone, Copy)]
pub(super) struct Person {
    /// What the provider knows them by.
    pub(super) id: u64,
    /// Their address.
    pub(super) email: &'static str,
}

/// Tokens that the provider gives.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) person: Person,
}

#[derive(Default)]
struct State {
    issued: usize,
    /// Access tokens that are honoured.
    alive: BTreeSet<String>,
    refresh_token: Option<String>,
    challenge: Option<String>,
    revoked: Vec<String>,
    asked_whose: usize,
    complaints: Vec<String>,
}

/// The provider.
pub(super) struct StandIn {
    documented: Documented,
    person: Mutex<Person>,
    state: Mutex<State>,
}

type Members = BTreeMap<String, String>;

fn answer(status: u16, body: &Value) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_string().into(),
    }
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request
        .headers
        .get(name)
        .map(|value| value.to_str().unwrap())
}

impl StandIn {
    pub(super) fn new(documented: Documented, person: Person) -> Self {
        Self {
            documented,
            person: Mutex::new(person),
            state: Mutex::default(),
        }
    }

    /// Who sits at the browser from now on.
    pub(super) fn seat(&self, person: Person) {
        *self.person.lock().unwrap() = person;
    }

    /// The authorization request's challenge, to be answered at the exchange.
    pub(super) fn challenge(&self, challenge: Option<String>) {
        self.state.lock().unwrap().challenge = challenge;
    }

    /// No access token is honoured any more.
    pub(super) fn forget_tokens(&self) {
        self.state.lock().unwrap().alive.clear();
    }

    /// What was sent that the documentation knows nothing of.
    pub(super) fn complaints(&self) -> Vec<String> {
        self.state.lock().unwrap().complaints.clone()
    }

    /// Tokens that were revoked.
    pub(super) fn revoked(&self) -> Vec<String> {
        self.state.lock().unwrap().revoked.clone()
    }

    /// How often tokens were given.
    pub(super) fn issued(&self) -> usize {
        self.state.lock().unwrap().issued
    }

    /// How often somebody asked whose a token is.
    pub(super) fn asked_whose(&self) -> usize {
        self.state.lock().unwrap().asked_whose
    }

    /// Answers a request, whatever it is.
    pub(super) fn handle(&self, request: &Request) -> Response {
        let url = request.url.as_str();
        let d = &self.documented;
        let handled = self.check_headers(request).and_then(|()| {
            if url == d.token_url {
                self.token(request)
            } else if d.revocation_url == Some(url) {
                self.revoke(request)
            } else if d.whose.url() == Some(url) {
                self.whose(request)
            } else if d.emails_url == Some(url) {
                self.emails(request)
            } else {
                Err("nothing is documented here".to_owned())
            }
        });
        handled.unwrap_or_else(|complaint| {
            let complaint = format!("{} {url}: {complaint}", request.method);
            self.state.lock().unwrap().complaints.push(complaint);
            answer(400, &json!({"error": "invalid_request"}))
        })
    }

    fn check_headers(&self, request: &Request) -> Result<(), String> {
        for (name, value) in self.documented.headers {
            if header(request, name) != Some(value) {
                return Err(format!("without {name}: {value}"));
            }
        }
        Ok(())
    }

    /// The members of a body in the documented form, the client having proved itself as documented.
    fn members(&self, request: &Request) -> Result<Members, String> {
        let d = &self.documented;
        let content_type = header(request, CONTENT_TYPE.as_str());
        let mut members: Members = match (d.body, content_type) {
            (Body::Form, Some("application/x-www-form-urlencoded")) => {
                form_urlencoded::parse(&request.body).into_owned().collect()
            }
            (Body::Json, Some("application/json")) => {
                serde_json::from_slice(&request.body).map_err(|error| error.to_string())?
            }
            (_, other) => return Err(format!("body of type {other:?}")),
        };
        let secret = format!("{DEV}-secret");
        let proof = header(request, AUTHORIZATION.as_str());
        let in_body = (members.remove("client_id"), members.remove("client_secret"));
        let basic = format!("Basic {}", STANDARD.encode(format!("{DEV}:{secret}")));
        let is_proved = match d.proof {
            Proof::Basic => proof == Some(&basic) && in_body == (None, None),
            Proof::Post => proof.is_none() && in_body == (Some(DEV.to_owned()), Some(secret)),
        };
        match is_proved && request.method == Method::POST {
            true => Ok(members),
            false => Err("the client does not prove itself as documented".to_owned()),
        }
    }

    fn token(&self, request: &Request) -> Result<Response, String> {
        let members = self.members(request)?;
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        let d = &self.documented;
        let answers = match members.get("grant_type").map(String::as_str) {
            Some("authorization_code") => {
                let mut expected = vec!["code", "grant_type", "redirect_uri"];
                if d.pkce {
                    expected.insert(1, "code_verifier");
                }
                if names != expected || members["redirect_uri"] != CALLBACK_URI {
                    return Err(format!("a code comes with {names:?}"));
                }
                self.check_code(&members)?;
                d.code_answer
            }
            Some("refresh_token") if names == ["grant_type", "refresh_token"] => {
                let known = self.state.lock().unwrap().refresh_token.clone();
                if known.as_ref() != members.get("refresh_token") {
                    return Ok(answer(400, &json!({"error": "invalid_grant"})));
                }
                d.refresh_answer.ok_or("there are no refresh tokens")?
            }
            other => return Err(format!("{other:?} with {names:?}")),
        };
        let tokens = self.issue();
        let given = answers(&tokens);
        if given.to_string().contains(&tokens.refresh) {
            self.state.lock().unwrap().refresh_token = Some(tokens.refresh);
        }
        Ok(answer(200, &given))
    }

    fn check_code(&self, members: &Members) -> Result<(), String> {
        let challenge = self.state.lock().unwrap().challenge.take();
        let verifier = members.get("code_verifier");
        let met = verifier.map(|verifier| s256_challenge(verifier, sha256));
        match members["code"] == CODE && met == challenge {
            true => Ok(()),
            false => Err("another code or verifier".to_owned()),
        }
    }

    fn issue(&self) -> Tokens {
        let mut state = self.state.lock().unwrap();
        state.issued += 1;
        let access = format!("access-{}", state.issued);
        state.alive.insert(access.clone());
        Tokens {
            access,
            refresh: format!("refresh-{}", state.issued),
            person: *self.person.lock().unwrap(),
        }
    }

    fn revoke(&self, request: &Request) -> Result<Response, String> {
        let mut members = self.members(request)?;
        let token = members.remove("token").ok_or("no token is named")?;
        if !members.is_empty() {
            return Err(format!("a revocation with {members:?}"));
        }
        self.state.lock().unwrap().revoked.push(token);
        Ok(answer(200, &json!({})))
    }

    fn check_bearer(&self, request: &Request) -> Result<bool, String> {
        let proof = header(request, AUTHORIZATION.as_str());
        let token = proof.and_then(|text| text.strip_prefix("Bearer "));
        let token = token.ok_or("no access token is shown")?;
        Ok(self.state.lock().unwrap().alive.contains(token))
    }

    fn whose(&self, request: &Request) -> Result<Response, String> {
        self.state.lock().unwrap().asked_whose += 1;
        let is_alive = match self.documented.whose {
            Whose::Get(..) | Whose::Token(_) if request.method != Method::GET => {
                return Err("to be asked with GET".to_owned());
            }
            Whose::Get(..) | Whose::Token(_) => self.check_bearer(request)?,
            Whose::Post { body, .. } => {
                let typed = header(request, CONTENT_TYPE.as_str());
                let is_meant = request.body == body.unwrap_or_default()
                    && typed == body.map(|_| "application/json");
                if request.method != Method::POST || !is_meant {
                    return Err("to be asked with POST, and with that body".to_owned());
                }
                self.check_bearer(request)?
            }
            Whose::Introspect(..) => {
                let members = self.members(request)?;
                let token = members.get("token").ok_or("no token is named")?;
                self.state.lock().unwrap().alive.contains(token)
            }
        };
        let person = *self.person.lock().unwrap();
        Ok(match is_alive {
            true => answer(200, &self.documented.whose.answer(person)),
            false => answer(401, &json!({"message": "Bad credentials"})),
        })
    }

    fn emails(&self, request: &Request) -> Result<Response, String> {
        if request.method != Method::GET || !self.check_bearer(request)? {
            return Err("to be asked with GET and a good token".to_owned());
        }
        let person = *self.person.lock().unwrap();
        let list = json!([
            {"email": "old@example.com", "primary": false, "verified": true, "visibility": null},
            {"email": person.email, "primary": true, "verified": true, "visibility": "private"},
        ]);
        Ok(answer(200, &list))
    }
}
