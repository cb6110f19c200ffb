//! The one table from what went wrong to what the wire says, and the two shapes it is said in.
//!
//! Shape A, `{"request_id", "error": {"type", "message", "provider_error"?}}`, is used everywhere except at
//! `/v3/connect/token`, `/v3/connect/revoke` and `/v3/connect/tokeninfo`; those use shape B, OAuth's
//! `{"error", "error_description", "error_uri", "error_code", "request_id"}`. The official clients tell
//! the two apart by path and misread either one in the other's place.

mod failure;

pub(crate) use failure::{Failure, Shape};

use keyway_engine::error::ErrorKind;

/// Every kind, in the order of the table shown at `/errors`.
pub const KINDS: [ErrorKind; 20] = [
    ErrorKind::Unauthorized,
    ErrorKind::InvalidRequest,
    ErrorKind::InvalidPayload,
    ErrorKind::InvalidQuery,
    ErrorKind::NotFound,
    ErrorKind::GrantNotFound,
    ErrorKind::RedirectUriNotAllowed,
    ErrorKind::LoginIdInvalid,
    ErrorKind::ReauthEmailInvalid,
    ErrorKind::ScopesConflict,
    ErrorKind::InvalidAuthentication,
    ErrorKind::ProviderRequired,
    ErrorKind::AccessDenied,
    ErrorKind::InsufficientScopes,
    ErrorKind::Blocked,
    ErrorKind::RateLimited,
    ErrorKind::ProviderUnavailable,
    ErrorKind::CredentialFailing,
    ErrorKind::Unavailable,
    ErrorKind::Internal,
];

/// The HTTP status and `error.type` of a kind of error.
#[must_use]
pub const fn wire(kind: ErrorKind) -> (u16, &'static str) {
    match kind {
        ErrorKind::Unauthorized => (401, "token.unauthorized_access"),
        ErrorKind::InvalidRequest => (400, "api.invalid_request_error"),
        ErrorKind::InvalidPayload => (400, "api.invalid_request_payload"),
        ErrorKind::InvalidQuery => (400, "api.invalid_query_params"),
        ErrorKind::NotFound => (404, "api.not_found_error"),
        ErrorKind::GrantNotFound => (404, "grant.not_found"),
        ErrorKind::RedirectUriNotAllowed => (400, "grant.callback_uri_not_allowed"),
        ErrorKind::LoginIdInvalid => (400, "grant.login_id_invalid"),
        ErrorKind::ReauthEmailInvalid => (400, "grant.reauth_email_invalid"),
        ErrorKind::ScopesConflict => (400, "grant.scopes_conflict"),
        ErrorKind::InvalidAuthentication => (400, "grant.invalid_authentication"),
        ErrorKind::ProviderRequired => (400, "grant.provider_required"),
        ErrorKind::AccessDenied => (403, "grant.access_denied"),
        ErrorKind::InsufficientScopes => (403, "insufficient_scopes"),
        ErrorKind::Blocked => (423, "api.resource_blocked"),
        ErrorKind::RateLimited => (429, "api.rate_limit_error"),
        ErrorKind::ProviderUnavailable => (504, "api.provider_error"),
        ErrorKind::CredentialFailing => (502, "credential.failing"),
        ErrorKind::Unavailable => (503, "api.unavailable_error"),
        ErrorKind::Internal => (500, "api.internal_error"),
    }
}

/// What a kind means and what to do about it, for the page at `/errors`.
#[must_use]
pub const fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthorized => {
            "The Authorization header is missing or malformed, or its API key or access token is unknown, expired or revoked. Send exactly one header, 'Authorization: Bearer <key>'. Under /v3/admin a service account signs the request instead: the message names the header that is wrong."
        }
        ErrorKind::InvalidRequest => {
            "A member of the request is missing, of the wrong type, or not allowed here. The message names it."
        }
        ErrorKind::InvalidPayload => {
            "The body is not the JSON object it has to be, is too long, or is sent under another content type."
        }
        ErrorKind::InvalidQuery => "A query parameter cannot be read. The message names it.",
        ErrorKind::NotFound => {
            "Your application has nothing under this path. What belongs to other applications does not exist for yours."
        }
        ErrorKind::GrantNotFound => {
            "Your application has no such grant. Name it by id, address, 'email:<address>' or 'external:<your id>'."
        }
        ErrorKind::RedirectUriNotAllowed => {
            "The redirect_uri is not registered for the application. It is compared byte for byte; register it under /v3/applications/redirect-uris."
        }
        ErrorKind::LoginIdInvalid => {
            "This sign-in was used already, took too long, or began in another browser. Start again from the application."
        }
        ErrorKind::ReauthEmailInvalid => {
            "The account that signed in is not the account the grant belongs to. Sign in with the same account, or drop the login_hint."
        }
        ErrorKind::ScopesConflict => {
            "The user did not grant every scope that was asked for. Ask again, or ask for less."
        }
        ErrorKind::InvalidAuthentication => {
            "The provider refused what was given, such as a refresh token minted by another provider application. provider_error has its words."
        }
        ErrorKind::ProviderRequired => {
            "Name a provider, or create a connector that can be signed in through."
        }
        ErrorKind::AccessDenied => "This caller may not do this with the grant.",
        ErrorKind::InsufficientScopes => {
            "The provider refuses the call because the user has not granted a scope it needs. Sign the user in again with that scope added; the grant keeps its id."
        }
        ErrorKind::Blocked => "The application or the grant is blocked. Ask the operator.",
        ErrorKind::RateLimited => "Too many requests. Wait as long as Retry-After says.",
        ErrorKind::ProviderUnavailable => {
            "The provider did not answer, or not in words that can be understood. Nothing was changed; try again later."
        }
        ErrorKind::CredentialFailing => {
            "The provider refuses the provider application of the grant's credential: its secret is wrong or has expired, or it was disabled. Mend the credential (its health says what the provider answered); the grants come back by themselves."
        }
        ErrorKind::Unavailable => {
            "The server cannot do this at the moment. Nothing was changed; try again after Retry-After."
        }
        ErrorKind::Internal => {
            "A fault of the server. Tell the operator the request_id; the log has the cause."
        }
    }
}

/// OAuth's `error` values at the three OAuth endpoints, with what to do.
pub const OAUTH_ERRORS: [(&str, &str); 9] = [
    (
        "invalid_request",
        "A parameter is missing, malformed or of the wrong type. error_description names it.",
    ),
    (
        "invalid_client",
        "client_id is unknown, or client_secret is not an API key of that application, or one is needed and missing: only sign-ins with PKCE on the platforms js, ios, android and desktop may do without.",
    ),
    (
        "invalid_grant",
        "The code or refresh token is unknown, expired, used, revoked or another client's, or redirect_uri or code_verifier (error_code 45004) do not belong to it. A failed exchange burns the code: start the sign-in again.",
    ),
    (
        "invalid_scope",
        "A scope cannot be read or may not be asked for.",
    ),
    (
        "invalid_token",
        "The token is unknown, expired or revoked. Refresh it, or sign in again.",
    ),
    (
        "unauthorized_client",
        "The application may not do this; perhaps it is blocked.",
    ),
    (
        "unsupported_grant_type",
        "grant_type must be authorization_code, refresh_token or client_credentials.",
    ),
    (
        "temporarily_unavailable",
        "The server or the provider cannot do this at the moment. Try again later.",
    ),
    (
        "server_error",
        "A fault of the server. Tell the operator the request_id; the log has the cause.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn the_error_table_is_what_clients_rely_on() {
        let mut table = String::new();
        for kind in KINDS {
            let (status, wire_type) = wire(kind);
            writeln!(table, "{status} {wire_type}").unwrap();
        }
        insta::assert_snapshot!(table, @r"
        401 token.unauthorized_access
        400 api.invalid_request_error
        400 api.invalid_request_payload
        400 api.invalid_query_params
        404 api.not_found_error
        404 grant.not_found
        400 grant.callback_uri_not_allowed
        400 grant.login_id_invalid
        400 grant.reauth_email_invalid
        400 grant.scopes_conflict
        400 grant.invalid_authentication
        400 grant.provider_required
        403 grant.access_denied
        403 insufficient_scopes
        423 api.resource_blocked
        429 api.rate_limit_error
        504 api.provider_error
        502 credential.failing
        503 api.unavailable_error
        500 api.internal_error
        ");
    }

    #[test]
    fn every_kind_has_advice_and_a_type_of_its_own() {
        let types: std::collections::BTreeSet<_> = KINDS.iter().map(|k| wire(*k).1).collect();
        assert_eq!(types.len(), KINDS.len());
        assert!(KINDS.iter().all(|k| !advice(*k).is_empty()));
    }
}
