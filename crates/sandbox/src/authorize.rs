//! The pages at `/auth`: sign-in, then consent. Plain forms, no scripts.

use crate::authorization::{self, Consent, Step};
use crate::authorization_request::{AuthorizationRequest, RequestRefusal};
use crate::digest::Digest;
use crate::pages::{self, PageError};
use crate::params::Params;
use crate::provider::Provider;
use crate::store::Session;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use minijinja::context;
use std::sync::Arc;

const SESSION_COOKIE: &str = "keyway_sandbox_session";

type Answer = Result<Response, PageError>;

/// `GET /auth`.
pub(crate) async fn show(
    State(provider): State<Arc<Provider>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Answer {
    let request = match read(&provider, &query.unwrap_or_default()) {
        Ok(request) => request,
        Err(answer) => return *answer,
    };
    let session = session(&provider, &headers);
    let step = authorization::next_step(&provider, &request, session);
    answer_step(&provider, &request, step)
}

/// `POST /auth/sign-in` with the fields `request` and `email`, or `decision=deny`.
pub(crate) async fn sign_in(State(provider): State<Arc<Provider>>, form: Bytes) -> Answer {
    let form = Params::parse(&form);
    let request = match read(&provider, form.get("request").unwrap_or_default()) {
        Ok(request) => request,
        Err(answer) => return *answer,
    };
    if form.get("decision") == Some("deny") {
        return Ok(see_other(&authorization::deny(&provider, &request)));
    }
    let session = authorization::session_of(&provider, form.get("email").unwrap_or_default());
    let session = match session {
        Ok(session) => session,
        Err(problem) => return sign_in_page(&provider, &request, Some(&problem)),
    };
    let cookie = begin_session(&provider, &session);
    let step = authorization::after_sign_in(&provider, &request, session);
    let mut response = answer_step(&provider, &request, step)?;
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /auth/consent` with the fields `request`, `decision` (`accept` or `deny`) and `scope`,
/// once for each one ticked. Needs the session cookie.
pub(crate) async fn consent(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    form: Bytes,
) -> Answer {
    let form = Params::parse(&form);
    let request = match read(&provider, form.get("request").unwrap_or_default()) {
        Ok(request) => request,
        Err(answer) => return *answer,
    };
    let Some(session) = session(&provider, &headers) else {
        return sign_in_page(&provider, &request, Some("Please sign in first."));
    };
    if form.get("decision") != Some("accept") {
        return Ok(see_other(&authorization::deny(&provider, &request)));
    }
    let is_ticked = |scope: &str| form.all("scope").any(|ticked| ticked == scope);
    let location = authorization::allow(&provider, &request, &session, is_ticked, Consent::Asked);
    Ok(see_other(&location))
}

/// The request, or the answer to one that is not put to the user. Boxed for its size.
fn read(provider: &Provider, query: &str) -> Result<AuthorizationRequest, Box<Answer>> {
    AuthorizationRequest::parse(provider, query).map_err(|refusal| {
        Box::new(match refusal {
            RequestRefusal::Page(text) => error_page(provider, &text),
            RequestRefusal::Redirect {
                to,
                error,
                description,
            } => Ok(see_other(&authorization::refuse(
                provider,
                &to,
                error,
                &description,
            ))),
        })
    })
}

fn answer_step(provider: &Provider, request: &AuthorizationRequest, step: Step) -> Answer {
    match step {
        Step::SignIn => sign_in_page(provider, request, None),
        Step::Consent(session) => consent_page(provider, request, &session),
        Step::Allow(session) => {
            let consent = Consent::Remembered;
            let location = authorization::allow(provider, request, &session, |_| true, consent);
            Ok(see_other(&location))
        }
        Step::Refuse(error, text) => {
            let back = request.return_address();
            Ok(see_other(&authorization::refuse(
                provider, &back, error, text,
            )))
        }
    }
}

fn sign_in_page(
    provider: &Provider,
    request: &AuthorizationRequest,
    problem: Option<&str>,
) -> Answer {
    let store = provider.store();
    let users: Vec<_> = store
        .users
        .values()
        .map(|user| context!(email => &user.email, name => &user.name))
        .collect();
    drop(store);
    let context = context! {
        client_name => &request.client.name,
        users, problem,
        request => &request.query,
        login_hint => &request.login_hint,
    };
    let status = if problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    Ok((status, provider.pages.render("sign_in.html", &context)?).into_response())
}

fn consent_page(provider: &Provider, request: &AuthorizationRequest, session: &Session) -> Answer {
    let scope = |scope: &String| {
        context! {
            name => scope,
            meaning => pages::meaning_of(scope),
            is_fixed => authorization::is_fixed(scope),
        }
    };
    let context = context! {
        client_name => &request.client.name,
        project => &request.client.project,
        email => &session.user.email,
        request => &request.query,
        scopes => request.scopes.iter().map(scope).collect::<Vec<_>>(),
    };
    provider.pages.render("consent.html", &context)
}

pub(crate) fn error_page(provider: &Provider, text: &str) -> Answer {
    let page = provider
        .pages
        .render("error.html", &context!(problem => text))?;
    Ok((StatusCode::BAD_REQUEST, page).into_response())
}

/// A redirect that turns a POST into a GET (RFC 9110, section 15.4.4).
pub(crate) fn see_other(location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

fn begin_session(provider: &Provider, session: &Session) -> String {
    let handle = provider.random("");
    let kept = Session {
        user: session.user.clone(),
        signed_in_at: session.signed_in_at,
    };
    provider.store().keep_session(&handle, kept);
    let secure = if provider.config.issuer.scheme() == "https" {
        "; Secure"
    } else {
        ""
    };
    format!("{SESSION_COOKIE}={handle}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

fn session(provider: &Provider, headers: &HeaderMap) -> Option<Session> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|c| c.trim().split_once('='));
    let (_, handle) = pairs.find(|(name, _)| *name == SESSION_COOKIE)?;
    let store = provider.store();
    let kept = store.sessions.get(&Digest::of(handle))?;
    Some(Session {
        user: kept.user.clone(),
        signed_in_at: kept.signed_in_at,
    })
}
