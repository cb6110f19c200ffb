//! The start of a hosted sign-in.

use crate::address::client_ip;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use crate::hosted::{self, Frame};
use crate::query::Query;
use axum::response::Response;
use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};
use keyway_engine::sign_in::{AuthorizeParams, Browser, Cookie, Start};

/// The parameters that mean something here. A page repeats these and no others.
const PARAMETERS: [&str; 18] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "provider",
    "scope",
    "prompt",
    "state",
    "login_hint",
    "access_type",
    "code_challenge",
    "code_challenge_method",
    "credential_id",
    "options",
    "smtp_required",
    "include_grant_scopes",
    "metadata",
    "external_id",
    "email",
];

fn params(query: &Query) -> AuthorizeParams {
    AuthorizeParams {
        client_id: query.owned("client_id"),
        redirect_uri: query.owned("redirect_uri"),
        response_type: query.owned("response_type"),
        provider: query.owned("provider"),
        scope: query.owned("scope"),
        prompt: query.owned("prompt"),
        state: query.owned("state"),
        login_hint: query.owned("login_hint"),
        access_type: query.owned("access_type"),
        code_challenge: query.owned("code_challenge"),
        code_challenge_method: query.owned("code_challenge_method"),
        credential_id: query.owned("credential_id"),
        options: query.owned("options"),
        smtp_required: query.owned("smtp_required"),
        include_grant_scopes: query.owned("include_grant_scopes"),
        metadata: query.owned("metadata"),
        external_id: query.owned("external_id"),
        email: query.owned("email"),
    }
}

pub(super) fn browser(call: &Call) -> Browser {
    let trusted = &call.app.options.trusted_proxies;
    let ip = call
        .peer
        .map(|peer| client_ip(peer, &call.headers, trusted).to_string());
    let user_agent = call.headers.get(USER_AGENT).and_then(|v| v.to_str().ok());
    Browser {
        ip,
        user_agent: user_agent.map(str::to_owned),
    }
}

/// Whether a person in a browser is reading: HTML is welcome and JSON is not mentioned.
fn is_person(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    let accept = accept.unwrap_or_default().to_ascii_lowercase();
    accept.contains("text/html") && !accept.contains("json")
}

/// `GET /v3/connect/auth`. Errors that the application's registered redirect URI cannot be trusted with
/// are answered here, as JSON, or as a page under the same status where a person is reading.
pub(crate) async fn begin(call: Call) -> Answer {
    let started = call
        .app
        .engine
        .start_sign_in(params(&call.query), browser(&call));
    match started.await {
        Ok(start) => proceed(&call, start).await,
        Err(error) => {
            let failure = Failure::from(error);
            if is_person(&call.headers) && !failure.is_ours() {
                let status = failure.status();
                return hosted::fault(&call, status, "bad_link", failure.message());
            }
            Err(failure)
        }
    }
}

async fn proceed(call: &Call, start: Start) -> Answer {
    match start {
        Start::Provider { location, cookie } => {
            let mut response = lead(call, &location).await?;
            begin_in_browser(call, &mut response, &cookie);
            Ok(response)
        }
        Start::Application { location } => lead(call, &location).await,
        Start::Choose(options) => {
            let frame = frame(call).await;
            hosted::choose(call, &frame, &options, &call.query.only(&PARAMETERS))
        }
        Start::Form { form, cookie } => {
            let frame = hosted::frame_of(call, form.application_id).await;
            let mut response = hosted::account(call, &frame, &form)?;
            begin_in_browser(call, &mut response, &cookie);
            Ok(response)
        }
    }
}

/// Gives the browser the cookie of the sign-in, and takes away what it has too many of.
fn begin_in_browser(call: &Call, response: &mut Response, cookie: &Cookie) {
    let is_https = call.app.options.is_https();
    for name in hosted::surplus_cookies(&call.headers, is_https) {
        hosted::clear_cookie(response, &name, is_https);
    }
    hosted::set_cookie(response, cookie, is_https);
}

/// On to `location`: by a redirect; or, where a page of ours sent an address, by a page that leads on.
async fn lead(call: &Call, location: &str) -> Answer {
    match call.query.get("email") {
        None => hosted::redirect(location),
        Some(_) => hosted::leaving(call, &frame(call).await, location, "to_provider"),
    }
}

/// The frame of a page for the application that the request names.
async fn frame(call: &Call) -> Frame {
    match call.query.get("client_id").and_then(|id| id.parse().ok()) {
        Some(id) => hosted::frame_of(call, id).await,
        None => hosted::frame(call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn accepting(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        assert!(is_person(&accepting(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        )));
        assert!(!is_person(&accepting("*/*")));
        assert!(!is_person(&accepting("text/html, application/json")));
        assert!(!is_person(&HeaderMap::new()));
    }

    #[test]
    fn every_documented_parameter_reaches_the_engine() {
        let names = PARAMETERS;
        let encoded: Vec<String> = names
            .iter()
            .map(|name| format!("{name}=<{name}>"))
            .collect();
        let read = format!(
            "{:?}",
            params(&Query::parse(encoded.join("&").as_bytes()).unwrap())
        );
        for name in names {
            assert!(
                read.contains(&format!("{name}: Some(\"<{name}>\")")),
                "{name}: {read}"
            );
        }
    }
}
