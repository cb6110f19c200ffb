//! A client's way to a server that may be dead before it has answered.

use crate::proxy::world::World;
use keyway_sandbox::{Control, ScriptedUser};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use url::Url;

/// Where the application takes its users back.
const REDIRECT_URI: &str = "http://localhost:3000/callback";

/// Everything a client of the application needs, on a thread of its own.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) sandbox: Control,
    pub(super) address: String,
    pub(super) app: String,
    pub(super) key: String,
}

/// An answer that came whole: the change it acknowledges is durable.
pub(super) struct Told {
    pub(super) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Told {
    fn parse(raw: &[u8]) -> Option<Self> {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(raw.get(..end)?.to_vec()).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = raw.get(end + 4..)?.to_vec();
        let told = Self { status, head, body };
        let length = told.header("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        (told.body.len() >= length).then_some(told)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.body)))
    }

    /// The answer, which acknowledges something.
    pub(super) fn acknowledged(self) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert!(self.status < 400, "{} {body}", self.head);
        self
    }

    /// Where the browser is sent, and with what.
    fn query(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.header("location")?).unwrap();
        let mut query = url.query_pairs();
        query
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// A browser that comes back from the provider.
#[derive(Clone)]
pub(super) struct Returning {
    path: String,
    cookie: String,
}

impl Line {
    pub(super) fn to(world: &World) -> Self {
        Self {
            sandbox: world.sandbox.clone(),
            address: world.server.address.clone(),
            app: world.app.clone(),
            key: world.key.clone(),
        }
    }

    /// `None` if no whole answer came.
    pub(super) fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> Option<Told> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let (address, key, length) = (&self.address, &self.key, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).ok()?;
        Told::parse(&raw)
    }

    pub(super) fn api(&self, method: &str, path: &str, body: &Value) -> Option<Told> {
        let headers = "Content-Type: application/json\r\n";
        self.call(method, path, headers, &body.to_string())
    }

    /// Up to the provider and back to its callback.
    pub(super) fn to_provider(&self, email: &str, credential: &str) -> Option<Returning> {
        let redirect_uri: String =
            url::form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect();
        let path = format!(
            "/v3/connect/auth?client_id={}&redirect_uri={redirect_uri}&response_type=code&provider=google&access_type=offline&options=rotate_refresh_token&credential_id={credential}",
            self.app
        );
        let begun = self.call("GET", &path, "", "")?.acknowledged();
        let user = ScriptedUser::allowing_all(email);
        let back = self
            .sandbox
            .sign_in(begun.header("location").unwrap(), &user);
        let back = Url::parse(&back.unwrap()).unwrap();
        let cookie = begun
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        Some(Returning {
            path: format!("{}?{}", back.path(), back.query().unwrap()),
            cookie: cookie.to_owned(),
        })
    }

    /// The code the browser is sent on with; `Some(None)` if it is shown a page instead.
    pub(super) fn come_back(&self, returning: &Returning) -> Option<Option<String>> {
        let cookie = format!("Cookie: {}\r\n", returning.cookie);
        let answer = self.call("GET", &returning.path, &cookie, "")?;
        Some(answer.query("code"))
    }

    pub(super) fn exchange(&self, code: &str) -> Option<Told> {
        let form = json!({"grant_type": "authorization_code", "client_id": self.app, "client_secret": self.key,
            "redirect_uri": REDIRECT_URI, "code": code});
        self.api("POST", "/v3/connect/token", &form)
    }

    pub(super) fn refresh(&self, refresh_token: &str) -> Option<Told> {
        let form = json!({"grant_type": "refresh_token", "client_id": self.app, "client_secret": self.key,
            "refresh_token": refresh_token});
        self.api("POST", "/v3/connect/token", &form)
    }
}
