//! A client's way to a server that may be dead before it has answered.

use crate::proxy::world::World;
use crate::wire::{Answer, Ask};
use keyway_sandbox::{Control, ScriptedUser};
use serde_json::{Value, json};
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

    fn ask(&self) -> Ask<'_> {
        Ask::new(&self.address, &self.key)
    }

    /// `None` if no whole answer came: what it acknowledges is durable.
    pub(super) fn call(&self, method: &str, path: &str, headers: &str) -> Option<Answer> {
        self.ask().call(method, path, headers, b"").ok()
    }

    pub(super) fn api(&self, method: &str, path: &str, body: &Value) -> Option<Answer> {
        self.ask().json(method, path, body).ok()
    }

    /// Up to the provider and back to its callback.
    pub(super) fn to_provider(&self, email: &str, credential: &str) -> Option<Returning> {
        let redirect_uri: String =
            url::form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect();
        let path = format!(
            "/v3/connect/auth?client_id={}&redirect_uri={redirect_uri}&response_type=code&provider=google&access_type=offline&options=rotate_refresh_token&credential_id={credential}",
            self.app
        );
        let begun = self.call("GET", &path, "")?.acknowledged();
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
        let answer = self.call("GET", &returning.path, &cookie)?;
        Some(answer.query("code"))
    }

    pub(super) fn exchange(&self, code: &str) -> Option<Answer> {
        let form = json!({"grant_type": "authorization_code", "client_id": self.app, "client_secret": self.key,
            "redirect_uri": REDIRECT_URI, "code": code});
        self.api("POST", "/v3/connect/token", &form)
    }

    pub(super) fn refresh(&self, refresh_token: &str) -> Option<Answer> {
        let form = json!({"grant_type": "refresh_token", "client_id": self.app, "client_secret": self.key,
            "refresh_token": refresh_token});
        self.api("POST", "/v3/connect/token", &form)
    }
}
