//! The public clouds whose habits no entry of the catalogue's common form can tell: Google, Microsoft, Yahoo, Zoom.

use super::{ClientAuth, IdentityRule, Probe, ProviderEntry, texts};
use crate::provider::Provider;

/// Hosts of Google's user data APIs beside `www.googleapis.com`.
const GOOGLE_HOSTS: &[&str] = &[
    "admin.googleapis.com",
    "calendar-json.googleapis.com",
    "chat.googleapis.com",
    "docs.googleapis.com",
    "drive.googleapis.com",
    "forms.googleapis.com",
    "gmail.googleapis.com",
    "meet.googleapis.com",
    "people.googleapis.com",
    "sheets.googleapis.com",
    "slides.googleapis.com",
    "tasks.googleapis.com",
];
/// Google's spelling of the identity scopes.
pub(super) const GOOGLE_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
pub(super) const GOOGLE_PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";

/// All that was consented to at Microsoft Graph.
const GRAPH_DEFAULT: &str = "https://graph.microsoft.com/.default";

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// OpenID Connect Core, 3.1.2.1.
fn consent() -> (String, String) {
    pair("prompt", "consent")
}

/// All of them.
pub(super) fn all() -> [ProviderEntry; 4] {
    [google(), microsoft(), yahoo(), zoom()]
}

/// <https://developers.google.com/identity/protocols/oauth2/web-server>
pub(super) fn google() -> ProviderEntry {
    ProviderEntry {
        issuer: Some("https://accounts.google.com".into()),
        authorization_endpoint: "https://accounts.google.com/o/oauth2/v2/auth".into(),
        token_endpoint: "https://oauth2.googleapis.com/token".into(),
        revocation_endpoint: Some("https://oauth2.googleapis.com/revoke".into()),
        userinfo_endpoint: Some("https://openidconnect.googleapis.com/v1/userinfo".into()),
        jwks_uri: Some("https://www.googleapis.com/oauth2/v3/certs".into()),
        api_base_url: "https://www.googleapis.com".into(),
        api_hosts: texts(GOOGLE_HOSTS),
        client_auth: ClientAuth::Post,
        identity: IdentityRule::Stable(texts(&["sub"])),
        user_id_claims: texts(&["sub"]),
        identity_scopes: texts(&["openid", GOOGLE_EMAIL, GOOGLE_PROFILE]),
        scope_aliases: vec![pair("email", GOOGLE_EMAIL), pair("profile", GOOGLE_PROFILE)],
        silent_scopes: texts(&["offline_access"]),
        // Without both, Google gives a refresh token only at the very first consent.
        authorize_params: vec![pair("access_type", "offline"), consent()],
        consent_param: Some(consent()),
        incremental_param: Some(pair("include_granted_scopes", "true")),
        probe: Some(Probe::ImpossibleCode),
        // Six months by Google's documentation.
        refresh_token_idle_days: Some(180),
        ..ProviderEntry::of(Provider::Google)
    }
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow>
pub(super) fn microsoft() -> ProviderEntry {
    let login = |path: &str| format!("https://login.microsoftonline.com/{{tenant}}{path}");
    ProviderEntry {
        issuer: Some(login("/v2.0")),
        authorization_endpoint: login("/oauth2/v2.0/authorize"),
        token_endpoint: login("/oauth2/v2.0/token"),
        userinfo_endpoint: Some("https://graph.microsoft.com/oidc/userinfo".into()),
        jwks_uri: Some(login("/discovery/v2.0/keys")),
        admin_consent_endpoint: Some(login("/v2.0/adminconsent")),
        admin_consent_v1_endpoint: Some(login("/adminconsent")),
        api_base_url: "https://graph.microsoft.com".into(),
        client_auth: ClientAuth::Post,
        // `sub` differs for every provider application; `oid` within `tid` does not.
        identity: IdentityRule::Stable(texts(&["tid", "oid"])),
        user_id_claims: texts(&["oid", "sub"]),
        email_claims: texts(&["email", "preferred_username", "upn"]),
        identity_scopes: texts(&["openid", "email", "profile", "offline_access", "User.Read"]),
        scope_prefix: Some("https://graph.microsoft.com/".into()),
        silent_scopes: texts(&["openid", "email", "profile", "offline_access"]),
        authorize_params: vec![pair("response_mode", "query")],
        consent_param: Some(consent()),
        probe: Some(Probe::ClientCredentials {
            scope: GRAPH_DEFAULT.into(),
        }),
        consent_scope: Some(GRAPH_DEFAULT.into()),
        // 90 days by Microsoft's documentation.
        refresh_token_idle_days: Some(90),
        ..ProviderEntry::of(Provider::Microsoft)
    }
}

/// <https://developer.yahoo.com/oauth2/guide/>
pub(super) fn yahoo() -> ProviderEntry {
    ProviderEntry {
        issuer: Some("https://api.login.yahoo.com".into()),
        authorization_endpoint: "https://api.login.yahoo.com/oauth2/request_auth".into(),
        token_endpoint: "https://api.login.yahoo.com/oauth2/get_token".into(),
        revocation_endpoint: Some("https://api.login.yahoo.com/oauth2/revoke".into()),
        userinfo_endpoint: Some("https://api.login.yahoo.com/openid/v1/userinfo".into()),
        jwks_uri: Some("https://api.login.yahoo.com/openid/v1/certs".into()),
        api_base_url: "https://api.login.yahoo.com".into(),
        api_hosts: texts(&[
            "mail.yahooapis.com",
            "caldav.calendar.yahoo.com",
            "carddav.address.yahoo.com",
        ]),
        // The GUID of the account, the same for every application.
        identity: IdentityRule::Stable(texts(&["sub"])),
        user_id_claims: texts(&["sub"]),
        identity_scopes: texts(&["openid", "email", "profile"]),
        silent_scopes: texts(&["openid", "email", "profile", "offline_access"]),
        consent_param: Some(consent()),
        refresh_needs_redirect_uri: true,
        probe: Some(Probe::ImpossibleCode),
        ..ProviderEntry::of(Provider::Yahoo)
    }
}

/// <https://developers.zoom.us/docs/integrations/oauth/>
fn zoom() -> ProviderEntry {
    ProviderEntry {
        issuer: Some("https://zoom.us".into()),
        authorization_endpoint: "https://zoom.us/oauth/authorize".into(),
        token_endpoint: "https://zoom.us/oauth/token".into(),
        revocation_endpoint: Some("https://zoom.us/oauth/revoke".into()),
        userinfo_endpoint: Some("https://api.zoom.us/v2/users/me".into()),
        api_base_url: "https://api.zoom.us/v2".into(),
        // The user's id in the account, the same for every app. `sub` where an OpenID stand-in answers.
        identity: IdentityRule::Stable(texts(&["id|sub"])),
        user_id_claims: texts(&["id", "sub"]),
        // Scopes live on the Zoom app; what a request names is not compared.
        compares_scopes: false,
        probe: Some(Probe::ImpossibleCode),
        // Zoom's older page says years, newer ones 90 days.
        refresh_token_idle_days: Some(90),
        ..ProviderEntry::of(Provider::Zoom)
    }
}
