//! The pages people see: server-rendered, no scripts, a strict policy.

use crate::SandboxError;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use minijinja::{Environment, Value};

/// `form-action` is left open: browsers apply it to redirects after a form as well, and these
/// pages end in a redirect to the client's address and on to wherever that one leads.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'";

const TEMPLATES: [(&str, &str); 6] = [
    ("layout.html", include_str!("../templates/layout.html")),
    ("index.html", include_str!("../templates/index.html")),
    ("sign_in.html", include_str!("../templates/sign_in.html")),
    ("consent.html", include_str!("../templates/consent.html")),
    (
        "admin_consent.html",
        include_str!("../templates/admin_consent.html"),
    ),
    ("error.html", include_str!("../templates/error.html")),
];

pub(crate) struct Pages(Environment<'static>);

/// A page that could not be rendered: a fault of this crate, not of the request.
#[derive(Debug, thiserror::Error)]
#[error("a page could not be rendered")]
pub(crate) struct PageError(#[from] minijinja::Error);

impl Pages {
    pub(crate) fn new() -> Result<Self, SandboxError> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment
                .add_template(name, source)
                .map_err(|_| SandboxError::Template(name))?;
        }
        Ok(Self(environment))
    }

    pub(crate) fn render(&self, name: &str, context: &Value) -> Result<Response, PageError> {
        let page = self.0.get_template(name)?.render(context)?;
        let mut response = Html(page).into_response();
        let policy = HeaderValue::from_static(POLICY);
        response
            .headers_mut()
            .insert(CONTENT_SECURITY_POLICY, policy);
        let referrer = HeaderName::from_static("referrer-policy");
        response
            .headers_mut()
            .insert(referrer, HeaderValue::from_static("no-referrer"));
        Ok(response)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        tracing::error!(error = ?self, "a sandbox page could not be rendered");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// `GET /sandbox/style.css`.
pub(crate) async fn style() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/css; charset=utf-8"),
        (CACHE_CONTROL, "max-age=3600"),
    ];
    (headers, include_str!("../templates/style.css")).into_response()
}

/// What a scope lets a client do, in a user's words.
pub(crate) fn meaning_of(scope: &str) -> &'static str {
    match scope
        .to_lowercase()
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or_default()
    {
        "openid" => "Know that it is you",
        "email" | "userinfo.email" => "See your e-mail address",
        "profile" | "userinfo.profile" | "user.read" => "See your name",
        "offline_access" => "Keep its access while you are away",
        "mail.read" | "gmail.readonly" | "mail-r" => "Read your mail",
        "mail.send" | "gmail.send" => "Send mail in your name",
        "mail.readwrite" | "gmail.modify" | "mail.google.com" | "mail-w" => {
            "Read, send and delete your mail"
        }
        _ => "Use this permission",
    }
}
