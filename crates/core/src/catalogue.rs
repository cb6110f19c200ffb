//! What each OAuth provider is like, as data: endpoints, scopes, identity, habits.
//!
//! The built-in entries are the public clouds. A configuration file overrides any endpoint, so that a
//! sovereign cloud, an emulator or a test can stand in. Code asks an entry how to behave and never
//! which provider it is.

use crate::provider::Provider;
use crate::scope::Scopes;
use std::collections::BTreeMap;

/// How a client proves itself at the token endpoint (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the form.
    Post,
    /// An `Authorization: Basic` header.
    Basic,
}

/// Which claims name the same person to every provider application (rule 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRule {
    /// These claims, all present, joined: stable across provider applications.
    Stable(&'static [&'static str]),
    /// The provider has no such identifier: hosted re-authentication is refused.
    None,
}

/// A harmless request that tells whether the client secret is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Exchange a code that cannot exist: the client is checked before the code.
    ImpossibleCode,
    /// Ask for an application token; only with a tenant of its own.
    ClientCredentials {
        /// The scope to ask for.
        scope: &'static str,
    },
}

/// One provider's entry.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderEntry {
    /// Whose entry it is.
    pub provider: Provider,
    /// The `iss` of id_tokens. `{tenant}` stands for the token's own tenant.
    pub issuer: String,
    /// Where users sign in.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: String,
    /// RFC 7009 revocation, where the provider has it.
    pub revocation_endpoint: Option<String>,
    /// OpenID Connect userinfo, or the provider's own "who am I".
    pub userinfo_endpoint: Option<String>,
    /// Keys of id_tokens.
    pub jwks_uri: Option<String>,
    /// Microsoft: administrator consent, version 2.
    pub admin_consent_endpoint: Option<String>,
    /// Microsoft: administrator consent, version 1.
    pub admin_consent_v1_endpoint: Option<String>,
    /// Where calls on a user's behalf go.
    pub api_base_url: String,
    /// Further hosts of the same provider's API, over TLS, that a call may name. None once
    /// [`ProviderEntry::api_base_url`] is replaced: what stands in for the provider stands in for all.
    pub api_hosts: &'static [&'static str],
    /// How clients prove themselves.
    pub client_auth: ClientAuth,
    /// Which claims identify a person.
    pub identity: IdentityRule,
    /// The claim shown as `provider_user_id`, first one present.
    pub user_id_claims: &'static [&'static str],
    /// The claim taken for the address, first one present.
    pub email_claims: &'static [&'static str],
    /// Scopes every sign-in asks for, so that the user can be identified and the grant kept.
    pub identity_scopes: &'static [&'static str],
    /// Scopes that name the same permission: (written, canonical).
    pub scope_aliases: &'static [(&'static str, &'static str)],
    /// A prefix that providers drop or add at will.
    pub scope_prefix: Option<&'static str>,
    /// Scopes the provider grants without repeating them in its answer.
    pub silent_scopes: &'static [&'static str],
    /// Whether the provider takes scopes in the authorization request at all.
    pub takes_scopes: bool,
    /// Parameters every authorization request carries.
    pub authorize_params: &'static [(&'static str, &'static str)],
    /// Makes the provider show its consent page to a user who has consented before. Without one a
    /// provider application cannot be lent: nobody would notice whom it is lent to.
    pub consent_param: Option<(&'static str, &'static str)>,
    /// Sent unless the caller excludes it: adds formerly granted scopes (Google).
    pub incremental_param: Option<(&'static str, &'static str)>,
    /// The refresh request repeats `redirect_uri` (Yahoo).
    pub refresh_needs_redirect_uri: bool,
    /// How to tell a wrong client secret without side effects.
    pub probe: Option<Probe>,
    /// The scope of an application's own tokens, where an administrator can consent for a whole tenant.
    pub consent_scope: Option<&'static str>,
}

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
const GOOGLE_EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
const GOOGLE_PROFILE: &str = "https://www.googleapis.com/auth/userinfo.profile";

/// All that was consented to at Microsoft Graph.
const GRAPH_DEFAULT: &str = "https://graph.microsoft.com/.default";

/// OpenID Connect Core, 3.1.2.1.
const CONSENT: (&str, &str) = ("prompt", "consent");

/// <https://developers.google.com/identity/protocols/oauth2/web-server>
fn google() -> ProviderEntry {
    ProviderEntry {
        provider: Provider::Google,
        issuer: "https://accounts.google.com".into(),
        authorization_endpoint: "https://accounts.google.com/o/oauth2/v2/auth".into(),
        token_endpoint: "https://oauth2.googleapis.com/token".into(),
        revocation_endpoint: Some("https://oauth2.googleapis.com/revoke".into()),
        userinfo_endpoint: Some("https://openidconnect.googleapis.com/v1/userinfo".into()),
        jwks_uri: Some("https://www.googleapis.com/oauth2/v3/certs".into()),
        admin_consent_endpoint: None,
        admin_consent_v1_endpoint: None,
        api_base_url: "https://www.googleapis.com".into(),
        api_hosts: GOOGLE_HOSTS,
        client_auth: ClientAuth::Post,
        identity: IdentityRule::Stable(&["sub"]),
        user_id_claims: &["sub"],
        email_claims: &["email"],
        identity_scopes: &["openid", GOOGLE_EMAIL, GOOGLE_PROFILE],
        scope_aliases: &[("email", GOOGLE_EMAIL), ("profile", GOOGLE_PROFILE)],
        scope_prefix: None,
        silent_scopes: &["offline_access"],
        takes_scopes: true,
        // Without both, Google gives a refresh token only at the very first consent.
        authorize_params: &[("access_type", "offline"), CONSENT],
        consent_param: Some(CONSENT),
        incremental_param: Some(("include_granted_scopes", "true")),
        refresh_needs_redirect_uri: false,
        probe: Some(Probe::ImpossibleCode),
        consent_scope: None,
    }
}

/// <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow>
fn microsoft() -> ProviderEntry {
    ProviderEntry {
        provider: Provider::Microsoft,
        issuer: "https://login.microsoftonline.com/{tenant}/v2.0".into(),
        authorization_endpoint: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize"
            .into(),
        token_endpoint: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token".into(),
        revocation_endpoint: None,
        userinfo_endpoint: Some("https://graph.microsoft.com/oidc/userinfo".into()),
        jwks_uri: Some("https://login.microsoftonline.com/{tenant}/discovery/v2.0/keys".into()),
        admin_consent_endpoint: Some(
            "https://login.microsoftonline.com/{tenant}/v2.0/adminconsent".into(),
        ),
        admin_consent_v1_endpoint: Some(
            "https://login.microsoftonline.com/{tenant}/adminconsent".into(),
        ),
        api_base_url: "https://graph.microsoft.com".into(),
        api_hosts: &[],
        client_auth: ClientAuth::Post,
        // `sub` differs for every provider application; `oid` within `tid` does not.
        identity: IdentityRule::Stable(&["tid", "oid"]),
        user_id_claims: &["oid", "sub"],
        email_claims: &["email", "preferred_username", "upn"],
        identity_scopes: &["openid", "email", "profile", "offline_access", "User.Read"],
        scope_aliases: &[],
        scope_prefix: Some("https://graph.microsoft.com/"),
        silent_scopes: &["openid", "email", "profile", "offline_access"],
        takes_scopes: true,
        authorize_params: &[("response_mode", "query")],
        consent_param: Some(CONSENT),
        incremental_param: None,
        refresh_needs_redirect_uri: false,
        probe: Some(Probe::ClientCredentials {
            scope: GRAPH_DEFAULT,
        }),
        consent_scope: Some(GRAPH_DEFAULT),
    }
}

/// <https://developer.yahoo.com/oauth2/guide/>
fn yahoo() -> ProviderEntry {
    ProviderEntry {
        provider: Provider::Yahoo,
        issuer: "https://api.login.yahoo.com".into(),
        authorization_endpoint: "https://api.login.yahoo.com/oauth2/request_auth".into(),
        token_endpoint: "https://api.login.yahoo.com/oauth2/get_token".into(),
        revocation_endpoint: Some("https://api.login.yahoo.com/oauth2/revoke".into()),
        userinfo_endpoint: Some("https://api.login.yahoo.com/openid/v1/userinfo".into()),
        jwks_uri: Some("https://api.login.yahoo.com/openid/v1/certs".into()),
        admin_consent_endpoint: None,
        admin_consent_v1_endpoint: None,
        api_base_url: "https://api.login.yahoo.com".into(),
        api_hosts: &[
            "mail.yahooapis.com",
            "caldav.calendar.yahoo.com",
            "carddav.address.yahoo.com",
        ],
        client_auth: ClientAuth::Basic,
        // The GUID of the account, the same for every application.
        identity: IdentityRule::Stable(&["sub"]),
        user_id_claims: &["sub"],
        email_claims: &["email"],
        identity_scopes: &["openid", "email", "profile"],
        scope_aliases: &[],
        scope_prefix: None,
        silent_scopes: &["openid", "email", "profile", "offline_access"],
        takes_scopes: true,
        authorize_params: &[],
        consent_param: Some(CONSENT),
        incremental_param: None,
        refresh_needs_redirect_uri: true,
        probe: Some(Probe::ImpossibleCode),
        consent_scope: None,
    }
}

/// <https://developers.zoom.us/docs/integrations/oauth/>
fn zoom() -> ProviderEntry {
    ProviderEntry {
        provider: Provider::Zoom,
        issuer: "https://zoom.us".into(),
        authorization_endpoint: "https://zoom.us/oauth/authorize".into(),
        token_endpoint: "https://zoom.us/oauth/token".into(),
        revocation_endpoint: Some("https://zoom.us/oauth/revoke".into()),
        userinfo_endpoint: Some("https://api.zoom.us/v2/users/me".into()),
        jwks_uri: None,
        admin_consent_endpoint: None,
        admin_consent_v1_endpoint: None,
        api_base_url: "https://api.zoom.us/v2".into(),
        api_hosts: &[],
        client_auth: ClientAuth::Basic,
        // The user's id in the account, the same for every app. `sub` where an OpenID stand-in answers.
        identity: IdentityRule::Stable(&["id|sub"]),
        user_id_claims: &["id", "sub"],
        email_claims: &["email"],
        identity_scopes: &[],
        scope_aliases: &[],
        scope_prefix: None,
        silent_scopes: &[],
        // Scopes live on the Zoom app; what a request names is not compared.
        takes_scopes: false,
        authorize_params: &[],
        consent_param: None,
        incremental_param: None,
        refresh_needs_redirect_uri: false,
        probe: Some(Probe::ImpossibleCode),
        consent_scope: None,
    }
}

/// All entries, by provider.
#[derive(Clone, Debug)]
pub struct Catalogue(BTreeMap<Provider, ProviderEntry>);

impl Default for Catalogue {
    fn default() -> Self {
        Self(
            [google(), microsoft(), yahoo(), zoom()]
                .map(|e| (e.provider, e))
                .into(),
        )
    }
}

/// What a configuration file may replace in an entry. Absent members keep the built-in value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides {
    /// Replaces [`ProviderEntry::issuer`].
    pub issuer: Option<String>,
    /// Replaces [`ProviderEntry::authorization_endpoint`].
    pub authorization_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::token_endpoint`].
    pub token_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::revocation_endpoint`].
    pub revocation_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::userinfo_endpoint`].
    pub userinfo_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::jwks_uri`].
    pub jwks_uri: Option<String>,
    /// Replaces [`ProviderEntry::admin_consent_endpoint`].
    pub admin_consent_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::admin_consent_v1_endpoint`].
    pub admin_consent_v1_endpoint: Option<String>,
    /// Replaces [`ProviderEntry::api_base_url`].
    pub api_base_url: Option<String>,
}

impl Catalogue {
    /// The entry of `provider`, if its users sign in through OAuth.
    #[must_use]
    pub fn entry(&self, provider: Provider) -> Option<&ProviderEntry> {
        self.0.get(&provider)
    }

    /// Replaces endpoints of `provider`; no effect on providers without OAuth.
    pub fn apply(&mut self, provider: Provider, overrides: EndpointOverrides) {
        let Some(entry) = self.0.get_mut(&provider) else {
            return;
        };
        let o = overrides;
        if o.api_base_url.is_some() {
            entry.api_hosts = &[];
        }
        let mandatory = [
            (&mut entry.issuer, o.issuer),
            (&mut entry.authorization_endpoint, o.authorization_endpoint),
            (&mut entry.token_endpoint, o.token_endpoint),
            (&mut entry.api_base_url, o.api_base_url),
        ];
        for (slot, new) in mandatory {
            if let Some(new) = new {
                *slot = new;
            }
        }
        let optional = [
            (&mut entry.revocation_endpoint, o.revocation_endpoint),
            (&mut entry.userinfo_endpoint, o.userinfo_endpoint),
            (&mut entry.jwks_uri, o.jwks_uri),
            (&mut entry.admin_consent_endpoint, o.admin_consent_endpoint),
            (
                &mut entry.admin_consent_v1_endpoint,
                o.admin_consent_v1_endpoint,
            ),
        ];
        for (slot, new) in optional {
            if new.is_some() {
                *slot = new;
            }
        }
    }
}

impl ProviderEntry {
    /// An endpoint with its `{tenant}` filled in; `common` when none is named.
    #[must_use]
    pub fn endpoint(&self, template: &str, tenant: Option<&str>) -> String {
        template.replace("{tenant}", tenant.unwrap_or("common"))
    }

    /// The one spelling of a scope that comparisons use.
    #[must_use]
    pub fn canonical_scope<'a>(&self, scope: &'a str) -> &'a str {
        let bare = self
            .scope_prefix
            .and_then(|prefix| scope.strip_prefix(prefix))
            .unwrap_or(scope);
        self.scope_aliases
            .iter()
            .find(|(written, _)| *written == bare)
            .map_or(bare, |(_, to)| to)
    }

    /// The scopes a sign-in asks the provider for: identity first, then what the caller wants.
    #[must_use]
    pub fn request_scopes(&self, wanted: &Scopes) -> Scopes {
        let identity = Scopes::from_items(self.identity_scopes).unwrap_or_default();
        let asked = identity.union(wanted);
        let mut seen: Vec<&str> = Vec::new();
        let once: Vec<&str> = asked
            .iter()
            .filter(|scope| {
                let canonical = self.canonical_scope(scope);
                let new = !seen.contains(&canonical);
                seen.push(canonical);
                new
            })
            .collect();
        Scopes::from_items(once).unwrap_or_default()
    }

    /// Which of the `asked` scopes the provider did not grant. Empty if the provider's answer does not
    /// say (RFC 6749, 5.1: absent means as asked).
    #[must_use]
    pub fn missing_scopes(&self, asked: &Scopes, granted: Option<&Scopes>) -> Scopes {
        let Some(granted) = granted.filter(|_| self.takes_scopes) else {
            return Scopes::none();
        };
        let granted: Vec<&str> = granted.iter().map(|s| self.canonical_scope(s)).collect();
        asked.filtered(|scope| {
            let canonical = self.canonical_scope(scope);
            !granted.contains(&canonical) && !self.silent_scopes.contains(&canonical)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        Scopes::parse(text).unwrap()
    }

    #[test]
    fn every_oauth_provider_has_an_entry_and_no_other_has() {
        let catalogue = Catalogue::default();
        for provider in Provider::ALL {
            assert_eq!(
                catalogue.entry(provider).is_some(),
                provider.is_oauth(),
                "{provider}"
            );
        }
    }

    #[test]
    fn google_scopes_are_compared_through_their_aliases() {
        let google = google();
        let asked = google.request_scopes(&scopes("openid email a"));
        assert_eq!(
            asked.to_string(),
            format!("openid {GOOGLE_EMAIL} {GOOGLE_PROFILE} a")
        );
        let granted = scopes("openid email profile");
        assert_eq!(
            google.missing_scopes(&asked, Some(&granted)).to_string(),
            "a"
        );
        assert!(google.missing_scopes(&asked, None).is_empty());
    }

    #[test]
    fn microsoft_scopes_are_compared_with_and_without_their_prefix() {
        let microsoft = microsoft();
        let asked = microsoft.request_scopes(&scopes("https://graph.microsoft.com/Mail.Read"));
        let granted = scopes("Mail.Read https://graph.microsoft.com/User.Read");
        assert!(microsoft.missing_scopes(&asked, Some(&granted)).is_empty());
    }

    #[test]
    fn overrides_replace_only_what_they_name() {
        let mut catalogue = Catalogue::default();
        let overrides = EndpointOverrides {
            token_endpoint: Some("http://127.0.0.1:9/token".into()),
            ..EndpointOverrides::default()
        };
        catalogue.apply(Provider::Google, overrides);
        let entry = catalogue.entry(Provider::Google).unwrap();
        assert_eq!(entry.token_endpoint, "http://127.0.0.1:9/token");
        assert_eq!(entry.issuer, google().issuer);
    }

    #[test]
    fn the_tenant_is_filled_in_and_defaults_to_common() {
        let entry = microsoft();
        assert!(
            entry
                .endpoint(&entry.token_endpoint, None)
                .contains("/common/")
        );
        assert!(
            entry
                .endpoint(&entry.token_endpoint, Some("t1"))
                .contains("/t1/")
        );
    }
}
