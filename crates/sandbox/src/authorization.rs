//! From a judged request to the redirect back: who is asked what, and what the answer is.

use crate::authorization_request::{AuthorizationRequest, RequestRefusal, ReturnAddress};
use crate::config::{Dialect, UserConfig};
use crate::fault_answer::Lies;
use crate::faults::{Asked, Endpoint, Lie};
use crate::oauth_error::OAuthError;
use crate::provider::Provider;
use crate::store::{Authorization, Code, Session};
use std::sync::Arc;

/// Scopes the user cannot untick: without them there is no sign-in.
const FIXED_SCOPES: [&str; 6] = [
    "openid",
    "email",
    "profile",
    "offline_access",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];

pub(crate) fn is_fixed(scope: &str) -> bool {
    FIXED_SCOPES.contains(&scope)
}

/// What happens next to a request.
pub(crate) enum Step {
    SignIn,
    Consent(Session),
    /// Consent was given before.
    Allow(Session),
    Refuse(&'static str, &'static str),
}

/// Decides what is next for a request that comes with this session, if any.
pub(crate) fn next_step(
    provider: &Provider,
    request: &AuthorizationRequest,
    session: Option<Session>,
) -> Step {
    let is_silent = request.asks_for_prompt("none");
    let asks_again = request.asks_for_prompt("login") || request.asks_for_prompt("select_account");
    let fits_hint = |session: &Session| {
        let hint = request
            .login_hint
            .as_ref()
            .filter(|hint| hint.contains('@'));
        hint.is_none_or(|hint| hint.to_lowercase() == session.user.key())
    };
    match session.filter(|session| !asks_again && fits_hint(session)) {
        Some(session) => after_sign_in(provider, request, session),
        None if is_silent => Step::Refuse("login_required", "nobody is signed in"),
        None => Step::SignIn,
    }
}

/// Decides what is next once the user is known.
pub(crate) fn after_sign_in(
    provider: &Provider,
    request: &AuthorizationRequest,
    session: Session,
) -> Step {
    let earlier = provider
        .store()
        .consented(&request.client.client_id, &session.user.sub);
    let is_covered = request.scopes.iter().all(|scope| earlier.contains(scope));
    if is_covered && !request.asks_for_prompt("consent") {
        return Step::Allow(session);
    }
    if request.asks_for_prompt("none") {
        return Step::Refuse(
            "consent_required",
            "the user has not consented to these scopes",
        );
    }
    Step::Consent(session)
}

/// Whether the user was asked for consent in this run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Asked,
    Remembered,
}

/// Lets the client have `allowed` of what it asked for, and says where the user goes.
pub(crate) fn allow(
    provider: &Provider,
    request: &AuthorizationRequest,
    session: &Session,
    allowed: impl Fn(&str) -> bool,
    consent: Consent,
) -> String {
    let back = request.return_address();
    let fault = provider.strike(Endpoint::Authorization, asked(&back));
    let lies = Lies::of(fault.as_ref());
    if let Some(error) = fault.and_then(|fault| fault.error) {
        let error = OAuthError::chosen(&error);
        return redirect_with_error(provider, &back, &error);
    }
    let code = issue_code(provider, request, session, allowed, consent);
    provider.records().counters.sign_ins += 1;
    redirect(provider, &back, &[("code", &code)], &lies)
}

/// Tells the client that the user declined.
pub(crate) fn deny(provider: &Provider, request: &AuthorizationRequest) -> String {
    let error = OAuthError::access_denied("the user declined");
    redirect_with_error(provider, &request.return_address(), &error)
}

/// Tells the client why its request was not put to the user.
pub(crate) fn refuse(
    provider: &Provider,
    back: &ReturnAddress,
    error: &str,
    description: &str,
) -> String {
    let error = OAuthError {
        error: error.to_owned(),
        ..OAuthError::invalid_request(description)
    };
    redirect_with_error(provider, back, &error)
}

fn asked(back: &ReturnAddress) -> Asked<'_> {
    Asked {
        client_id: Some(&back.client_id),
        grant_type: None,
    }
}

fn issue_code(
    provider: &Provider,
    request: &AuthorizationRequest,
    session: &Session,
    allowed: impl Fn(&str) -> bool,
    consent: Consent,
) -> String {
    let (code, now) = (provider.random("sbx-code-"), provider.now());
    let client_id = &request.client.client_id;
    let mut scopes = request.scopes.clone();
    scopes.retain(|scope| is_fixed(scope) || allowed(scope));
    let mut store = provider.store();
    let earlier = store.consented(client_id, &session.user.sub);
    let all = union(scopes.clone(), earlier);
    store.keep_consent(client_id, &session.user.sub, all.clone());
    let authorization = Authorization {
        sign_in: store.next_sign_in(),
        client_id: client_id.clone(),
        user: Some(session.user.clone()),
        tenant: None,
        scopes: if request.includes_granted_scopes {
            all
        } else {
            scopes
        },
        signed_in_at: session.signed_in_at,
    };
    let is_google = provider.config.dialect == Dialect::Google;
    let entry = Code {
        authorization: Arc::new(authorization),
        redirect_uri: request.redirect_uri.clone(),
        nonce: request.nonce.clone(),
        challenge: request.challenge.clone(),
        gives_refresh_token: request.is_offline && !(is_google && consent == Consent::Remembered),
        expires_at: now.plus_secs(provider.config.code_lifetime_s),
        is_redeemed: false,
    };
    store.keep_code(&code, entry, now);
    code
}

fn union(mut left: Vec<String>, right: Vec<String>) -> Vec<String> {
    for scope in right {
        if !left.contains(&scope) {
            left.push(scope);
        }
    }
    left
}

fn redirect_with_error(provider: &Provider, back: &ReturnAddress, error: &OAuthError) -> String {
    let description = error.described(provider.config.dialect);
    let told = [
        ("error", error.error.as_str()),
        ("error_description", description.as_str()),
    ];
    redirect(provider, back, &told, &Lies::default())
}

/// The redirect URI with the answer appended, its own query left as it is (RFC 6749, section
/// 3.1.2).
fn redirect(
    provider: &Provider,
    back: &ReturnAddress,
    told: &[(&str, &str)],
    lies: &Lies,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(told);
    match (&back.state, lies.has(Lie::WrongState)) {
        (_, true) => drop(query.append_pair("state", "the-state-of-another-sign-in")),
        (Some(state), false) => drop(query.append_pair("state", state)),
        (None, false) => {}
    }
    if lies.has(Lie::WrongIssuer) {
        query.append_pair("iss", "https://issuer.invalid");
    } else if provider.config.issuer_in_redirect {
        query.append_pair("iss", &provider.issuer());
    }
    let separator = if back.redirect_uri.contains('?') {
        '&'
    } else {
        '?'
    };
    format!("{}{separator}{}", back.redirect_uri, query.finish())
}

/// What a scripted client wants to happen at the sign-in and consent pages.
pub(crate) struct Script<'a> {
    pub(crate) email: &'a str,
    pub(crate) scopes: Option<&'a [String]>,
    pub(crate) denies: bool,
}

/// Both pages at once, as a scripted client walks through them. `Err` is what a page would say.
pub(crate) fn run_script(
    provider: &Provider,
    authorize_url: &str,
    script: &Script<'_>,
) -> Result<String, String> {
    let query = authorize_url
        .split_once('?')
        .map_or(authorize_url, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    let request = match AuthorizationRequest::parse(provider, query) {
        Ok(request) => request,
        Err(RequestRefusal::Page(text)) => return Err(text),
        Err(RequestRefusal::Redirect {
            to,
            error,
            description,
        }) => {
            return Ok(refuse(provider, &to, error, &description));
        }
    };
    if script.denies {
        return Ok(deny(provider, &request));
    }
    let session = session_of(provider, script.email)?;
    let is_allowed = |scope: &str| {
        script
            .scopes
            .is_none_or(|ticked| ticked.iter().any(|ticked| ticked == scope))
    };
    Ok(allow(
        provider,
        &request,
        &session,
        is_allowed,
        Consent::Asked,
    ))
}

/// A session of whoever has this address; anything with an `@` inside is one.
pub(crate) fn session_of(provider: &Provider, email: &str) -> Result<Session, String> {
    let user: Arc<UserConfig> = provider.store().user(email);
    match user.email.split_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() && email.len() <= 254 => {
            Ok(Session {
                user,
                signed_in_at: provider.now(),
            })
        }
        _ => Err("That is not an e-mail address.".to_owned()),
    }
}
