//! The grants a client authenticates for: code, refresh token, and its own.

use crate::client_auth::Presented;
use crate::config::{ClientConfig, Dialect, Rotation};
use crate::digest::Digest;
use crate::oauth_error::OAuthError;
use crate::params::{Params, scope_words};
use crate::provider::Provider;
use crate::store::{AccessToken, Authorization, Code, Store};
use crate::tenants;
use crate::token::Issued;
use keyway_core::time::UnixMillis;
use std::sync::Arc;

/// `authorization_code` (RFC 6749, section 4.1.3).
pub(crate) fn authorization_code(
    provider: &Provider,
    presented: &Presented,
    form: &Params,
) -> Result<Issued, OAuthError> {
    let client = presented.authenticate(provider)?;
    let digest = Digest::of(form.require("code")?);
    let mut store = provider.store();
    let unknown = || OAuthError::invalid_grant(9_002_313, "the code is unknown");
    let code = store.codes.get(&digest).ok_or_else(unknown)?;
    if let Err(error) = check_code(code, &client, form, provider.now()) {
        if code.is_redeemed {
            let sign_in = code.authorization.sign_in;
            store.end_sign_in(sign_in);
        }
        return Err(error);
    }
    let code = store.codes.get_mut(&digest).ok_or_else(unknown)?;
    code.is_redeemed = true;
    let (authorization, nonce) = (code.authorization.clone(), code.nonce.clone());
    let gives_refresh_token = code.gives_refresh_token;
    let scopes = authorization.scopes.clone();
    let mut issued = issue(provider, &mut store, authorization, scopes);
    issued.nonce = nonce;
    if gives_refresh_token {
        issued.refresh_token = Some(new_refresh_token(
            provider,
            &mut store,
            &issued.authorization,
        ));
    }
    Ok(issued)
}

fn check_code(
    code: &Code,
    client: &ClientConfig,
    form: &Params,
    now: UnixMillis,
) -> Result<(), OAuthError> {
    let refuse = |aadsts, text| Err(OAuthError::invalid_grant(aadsts, text));
    if code.authorization.client_id != client.client_id {
        return refuse(70_000, "the code was issued to another client");
    }
    if code.is_redeemed {
        return refuse(
            54_005,
            "the code was already redeemed; what it gave has been revoked",
        );
    }
    if code.expires_at <= now {
        return refuse(70_008, "the code has expired");
    }
    if form.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
        return refuse(
            50_011,
            "redirect_uri is not that of the authorization request",
        );
    }
    match (&code.challenge, form.get("code_verifier")) {
        (Some(challenge), Some(verifier)) if challenge.is_met_by(verifier) => Ok(()),
        (Some(_), _) => refuse(50_148, "code_verifier does not fit the code challenge"),
        (None, Some(_)) => refuse(
            50_148,
            "code_verifier was sent without a code challenge before",
        ),
        (None, None) if client.client_secret.is_none() => {
            refuse(9_002_325, "a public client has to use a code challenge")
        }
        (None, None) => Ok(()),
    }
}

/// `refresh_token` (RFC 6749, section 6).
pub(crate) fn refresh_token(
    provider: &Provider,
    presented: &Presented,
    form: &Params,
) -> Result<Issued, OAuthError> {
    let client = presented.authenticate(provider)?;
    let digest = Digest::of(form.require("refresh_token")?);
    let rotation = provider.config.rotation;
    let mut store = provider.store();
    let Some(authorization) = store.refresh_tokens.get(&digest).cloned() else {
        return Err(dead_refresh_token(&mut store, &digest, rotation));
    };
    if authorization.client_id != client.client_id {
        return Err(OAuthError::issued_to_another_client(
            provider.config.dialect,
        ));
    }
    let scopes = narrowed(&authorization.scopes, form.get("scope"))?;
    let mut issued = issue(provider, &mut store, authorization, scopes);
    issued.refresh_token = rotate(provider, &mut store, &digest, &issued.authorization);
    Ok(issued)
}

fn dead_refresh_token(store: &mut Store, digest: &Digest, rotation: Rotation) -> OAuthError {
    match store.spent_refresh_tokens.get(digest).copied() {
        Some(sign_in) if rotation == Rotation::OnWithReuseDetection => {
            store.end_sign_in(sign_in);
            let text = "the refresh token was used before; its successors have been revoked";
            OAuthError::invalid_grant(70_008, text)
        }
        _ => OAuthError::invalid_grant(70_008, "Token has been expired or revoked."),
    }
}

fn rotate(
    provider: &Provider,
    store: &mut Store,
    used: &Digest,
    authorization: &Arc<Authorization>,
) -> Option<String> {
    if provider.config.rotation == Rotation::Off {
        return None;
    }
    if provider.config.rotation != Rotation::OnOldStillWorks {
        store.refresh_tokens.remove(used);
        store
            .spent_refresh_tokens
            .insert(*used, authorization.sign_in, |_| false);
    }
    Some(new_refresh_token(provider, store, authorization))
}

/// The scopes asked for at a refresh, none of them new; all of them when nothing is asked.
fn narrowed(granted: &[String], asked: Option<&str>) -> Result<Vec<String>, OAuthError> {
    let Some(asked) = asked.map(scope_words) else {
        return Ok(granted.to_vec());
    };
    match asked.iter().find(|scope| !granted.contains(scope)) {
        None => Ok(asked),
        Some(new) => Err(OAuthError::invalid_scope(&format!(
            "the scope '{new}' was not granted before"
        ))),
    }
}

/// `client_credentials` (RFC 6749, section 4.4). Under Microsoft's dialect an administrator must
/// have consented to the client.
pub(crate) fn client_credentials(
    provider: &Provider,
    presented: &Presented,
    form: &Params,
    tenant: Option<&str>,
) -> Result<Issued, OAuthError> {
    let client = presented.authenticate(provider)?;
    let tenant = tenants::of_token_request(provider, tenant)?;
    if client.client_secret.is_none() {
        let text = "a public client has no token of its own";
        return Err(OAuthError::unauthorized_client(7_000_218, text));
    }
    let scopes = scope_words(form.get("scope").unwrap_or_default());
    let mut store = provider.store();
    let needs_consent = provider.config.dialect == Dialect::Microsoft;
    let consent = (client.client_id.clone(), tenant.clone());
    if needs_consent && !store.admin_consents.contains(&consent) {
        let text = "the administrator of the tenant has not consented to the application";
        return Err(OAuthError::unauthorized_client(700_016, text));
    }
    let authorization = Authorization {
        sign_in: store.next_sign_in(),
        client_id: client.client_id.clone(),
        user: None,
        tenant: Some(tenant),
        scopes: scopes.clone(),
        signed_in_at: provider.now(),
    };
    Ok(issue(provider, &mut store, Arc::new(authorization), scopes))
}

/// Issues an access token of `authorization`.
pub(crate) fn issue(
    provider: &Provider,
    store: &mut Store,
    authorization: Arc<Authorization>,
    scopes: Vec<String>,
) -> Issued {
    let (token, now) = (provider.random("sbx-at-"), provider.now());
    let entry = AccessToken {
        authorization: authorization.clone(),
        scopes: scopes.clone(),
        expires_at: now.plus_secs(provider.config.access_token_lifetime_s),
    };
    store.keep_access_token(&token, entry, now);
    Issued {
        access_token: token,
        refresh_token: None,
        scopes,
        nonce: None,
        authorization,
    }
}

/// Issues a refresh token of `authorization`.
pub(crate) fn new_refresh_token(
    provider: &Provider,
    store: &mut Store,
    authorization: &Arc<Authorization>,
) -> String {
    let token = provider.random("sbx-rt-");
    store.keep_refresh_token(&token, authorization.clone());
    token
}
