//! What each OAuth provider is like, as data: endpoints, scopes, identity, habits.
//!
//! The built-in entries are the public clouds and what `catalogue/shipped.toml` holds. A configuration file
//! overrides endpoints and adds entries of its own, so that a sovereign cloud, an emulator, a test or a
//! provider nobody here has heard of can stand in. Code asks an entry how to behave and never which provider
//! it is.

mod clouds;
mod form;

pub use form::{EntryForm, FormError};

use crate::identity::TOKEN_STEP;
use crate::provider::Provider;
use crate::scope::Scopes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a client proves itself at the token endpoint (RFC 6749, 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the body.
    Post,
    /// An `Authorization: Basic` header.
    Basic,
}

/// How the body of a token request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// As a form (RFC 6749, appendix B).
    Form,
    /// As a JSON object.
    Json,
}

/// How a provider is asked who a token belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserinfoMethod {
    /// `GET` with the token (OpenID Connect Core, 5.3.1).
    Get,
    /// `POST` with the token.
    Post,
    /// Token introspection (RFC 7662): `POST` of the token in the body, by the client.
    Introspect,
}

/// Which token a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokedToken {
    /// The refresh token, where there is one: the access tokens go with it (RFC 7009, 2.1).
    Refresh,
    /// The access token: the endpoint takes no other.
    Access,
}

/// Which claims name the same person to every provider application (rule 12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityRule {
    /// These claims, all present, joined: stable across provider applications.
    Stable(Vec<String>),
    /// The provider has no such identifier: hosted re-authentication is refused.
    None,
}

/// A harmless request that tells whether the client secret is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Exchange a code that cannot exist: the client is checked before the code.
    ImpossibleCode,
    /// Ask for an application token; only with a tenant of its own.
    ClientCredentials {
        /// The scope to ask for.
        scope: String,
    },
}

/// One provider's entry.
///
/// Claims are members of the id_token or the userinfo answer, or paths into them whose steps are separated by
/// dots; a path that begins with `token.` leads into the token endpoint's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderEntry {
    /// Whose entry it is.
    pub provider: Provider,
    /// Its name for people.
    pub title: String,
    /// The `iss` of id_tokens; without one none is looked at. `{tenant}` stands for the token's own tenant.
    pub issuer: Option<String>,
    /// Where users sign in.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: String,
    /// RFC 7009 revocation, where the provider has it.
    pub revocation_endpoint: Option<String>,
    /// Which token a revocation names.
    pub revocation_token: RevokedToken,
    /// OpenID Connect userinfo, or the provider's own "who am I".
    pub userinfo_endpoint: Option<String>,
    /// How that is asked.
    pub userinfo_method: UserinfoMethod,
    /// The JSON it is asked with.
    pub userinfo_body: Option<String>,
    /// Lists the user's addresses: objects with `email`, `primary` and `verified`. The primary one counts.
    pub email_endpoint: Option<String>,
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
    pub api_hosts: Vec<String>,
    /// Headers that the provider wants to see with every request. A caller's own header of the name counts
    /// more.
    pub extra_headers: Vec<(String, String)>,
    /// How clients prove themselves.
    pub client_auth: ClientAuth,
    /// How token requests are written.
    pub token_request: BodyFormat,
    /// The member of the token endpoint's answer that the user's tokens are in, where they are in one.
    pub token_member: Option<String>,
    /// Whether the provider takes a PKCE challenge (RFC 7636).
    pub pkce: bool,
    /// Which claims identify a person.
    pub identity: IdentityRule,
    /// The claim shown as `provider_user_id`, first one present.
    pub user_id_claims: Vec<String>,
    /// The claim taken for the address, first one that is one.
    pub email_claims: Vec<String>,
    /// The claim taken for the name, first one present.
    pub name_claims: Vec<String>,
    /// Scopes every sign-in asks for, so that the user can be identified and the grant kept.
    pub identity_scopes: Vec<String>,
    /// The parameter that scopes are asked for with.
    pub scope_param: String,
    /// What separates scopes in it.
    pub scope_separator: char,
    /// Scopes that name the same permission: (written, canonical).
    pub scope_aliases: Vec<(String, String)>,
    /// A prefix that providers drop or add at will.
    pub scope_prefix: Option<String>,
    /// Scopes the provider grants without repeating them in its answer.
    pub silent_scopes: Vec<String>,
    /// Whether the scopes that the provider says it granted are held against those that were asked for.
    pub compares_scopes: bool,
    /// Parameters every authorization request carries.
    pub authorize_params: Vec<(String, String)>,
    /// Makes the provider show its consent page to a user who has consented before. Without one a
    /// provider application cannot be lent: nobody would notice whom it is lent to.
    pub consent_param: Option<(String, String)>,
    /// Sent unless the caller excludes it: adds formerly granted scopes (Google).
    pub incremental_param: Option<(String, String)>,
    /// Whether a sign-in must yield a refresh token. Without one an access token whose end is not told lasts
    /// until the provider refuses it.
    pub refresh_tokens: bool,
    /// How long the provider keeps a refresh token that nobody uses, in days, where an end is known.
    pub refresh_token_idle_days: Option<u16>,
    /// The refresh request repeats `redirect_uri` (Yahoo).
    pub refresh_needs_redirect_uri: bool,
    /// How to tell a wrong client secret without side effects.
    pub probe: Option<Probe>,
    /// The scope of an application's own tokens, where an administrator can consent for a whole tenant.
    pub consent_scope: Option<String>,
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// All entries, by provider.
#[derive(Clone, Debug)]
pub struct Catalogue(BTreeMap<Provider, ProviderEntry>);

impl Default for Catalogue {
    fn default() -> Self {
        let shipped = form::shipped().into_iter();
        // A test holds that every shipped form is one of an entry.
        let shipped = shipped.filter_map(|(provider, form)| form.entry(provider).ok());
        let all = clouds::all().into_iter().chain(shipped);
        Self(all.map(|entry| (entry.provider, entry)).collect())
    }
}

/// Endpoints that stand in for built-in ones. Absent members keep the built-in value.
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
    /// The entry of `provider`, if its users sign in through OAuth and there is one.
    #[must_use]
    pub fn entry(&self, provider: Provider) -> Option<&ProviderEntry> {
        self.0.get(&provider)
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &ProviderEntry> {
        self.0.values()
    }

    /// Whether connectors for `provider` can be made: it has an entry, or needs none.
    #[must_use]
    pub fn knows(&self, provider: Provider) -> bool {
        !matches!(provider, Provider::Other(_)) || self.0.contains_key(&provider)
    }

    /// The names of all providers that connectors can be made for, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        let others = self.0.keys().filter(|p| matches!(p, Provider::Other(_)));
        let all: Vec<&str> = Provider::ALL
            .iter()
            .chain(others)
            .map(Provider::as_str)
            .collect();
        all.join(", ")
    }

    /// The provider's name for people.
    #[must_use]
    pub fn title<'a>(&'a self, provider: &'a Provider) -> &'a str {
        let entry = self.0.get(provider);
        entry.map_or_else(|| provider.title(), |entry| &entry.title)
    }

    /// Takes up an operator's table of `provider`: replaces endpoints of a public cloud, replaces any field of
    /// a shipped entry, or adds an entry.
    ///
    /// # Errors
    /// If the table cannot be one, naming the field.
    pub fn configure(&mut self, provider: Provider, form: &EntryForm) -> Result<(), FormError> {
        if !matches!(provider, Provider::Other(_)) {
            self.apply(provider, form.endpoints_alone()?);
            return Ok(());
        }
        let entry = form::configured(provider, form)?;
        self.0.insert(provider, entry);
        Ok(())
    }

    /// Replaces endpoints of `provider`; no effect where there is no entry.
    pub fn apply(&mut self, provider: Provider, overrides: EndpointOverrides) {
        let Some(entry) = self.0.get_mut(&provider) else {
            return;
        };
        let o = overrides;
        if o.api_base_url.is_some() {
            entry.api_hosts.clear();
        }
        let mandatory = [
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
            (&mut entry.issuer, o.issuer),
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
    /// An entry of `provider` with the habits of the standards and no endpoints yet.
    fn of(provider: Provider) -> Self {
        Self {
            provider,
            title: provider.title().to_owned(),
            issuer: None,
            authorization_endpoint: String::new(),
            token_endpoint: String::new(),
            revocation_endpoint: None,
            revocation_token: RevokedToken::Refresh,
            userinfo_endpoint: None,
            userinfo_method: UserinfoMethod::Get,
            userinfo_body: None,
            email_endpoint: None,
            jwks_uri: None,
            admin_consent_endpoint: None,
            admin_consent_v1_endpoint: None,
            api_base_url: String::new(),
            api_hosts: Vec::new(),
            extra_headers: Vec::new(),
            client_auth: ClientAuth::Basic,
            token_request: BodyFormat::Form,
            token_member: None,
            pkce: true,
            identity: IdentityRule::None,
            user_id_claims: Vec::new(),
            email_claims: texts(&["email"]),
            name_claims: texts(&["name", "display_name"]),
            identity_scopes: Vec::new(),
            scope_param: "scope".to_owned(),
            scope_separator: ' ',
            scope_aliases: Vec::new(),
            scope_prefix: None,
            silent_scopes: Vec::new(),
            compares_scopes: true,
            authorize_params: Vec::new(),
            consent_param: None,
            incremental_param: None,
            refresh_tokens: true,
            refresh_token_idle_days: None,
            refresh_needs_redirect_uri: false,
            probe: None,
            consent_scope: None,
        }
    }

    /// An endpoint with its `{tenant}` filled in; `common` when none is named.
    #[must_use]
    pub fn endpoint(&self, template: &str, tenant: Option<&str>) -> String {
        template.replace("{tenant}", tenant.unwrap_or("common"))
    }

    /// Whether an id_token has to come with every code.
    #[must_use]
    pub fn expects_id_token(&self) -> bool {
        self.issuer.is_some() && self.identity_scopes.iter().any(|scope| scope == "openid")
    }

    /// Every path of a claim.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &str> {
        let identity = match &self.identity {
            IdentityRule::Stable(paths) => paths.as_slice(),
            IdentityRule::None => &[],
        };
        let others = [&self.user_id_claims, &self.email_claims, &self.name_claims];
        let all = identity.iter().chain(others.into_iter().flatten());
        all.map(String::as_str)
    }

    /// Whether the token endpoint's answers hold more, or hold it elsewhere, than RFC 6749, 5.1 has it.
    pub(crate) fn has_own_answers(&self) -> bool {
        let tells = |path: &str| path.starts_with(TOKEN_STEP);
        self.token_member.is_some() || !self.refresh_tokens || self.claims().any(tells)
    }

    /// The one spelling of a scope that comparisons use.
    #[must_use]
    pub fn canonical_scope<'a>(&'a self, scope: &'a str) -> &'a str {
        let prefix = self.scope_prefix.as_deref();
        let bare = prefix
            .and_then(|prefix| scope.strip_prefix(prefix))
            .unwrap_or(scope);
        self.scope_aliases
            .iter()
            .find(|(written, _)| written == bare)
            .map_or(bare, |(_, to)| to)
    }

    /// The scopes a sign-in asks the provider for: identity first, then what the caller wants.
    #[must_use]
    pub fn request_scopes(&self, wanted: &Scopes) -> Scopes {
        let identity = Scopes::from_items(&self.identity_scopes).unwrap_or_default();
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
        let Some(granted) = granted.filter(|_| self.compares_scopes) else {
            return Scopes::none();
        };
        let granted: Vec<&str> = granted.iter().map(|s| self.canonical_scope(s)).collect();
        asked.filtered(|scope| {
            let canonical = self.canonical_scope(scope);
            !granted.contains(&canonical) && !self.silent_scopes.iter().any(|s| s == canonical)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::clouds::{GOOGLE_EMAIL, GOOGLE_PROFILE, google, microsoft};
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
    fn a_catalogue_names_what_it_knows() {
        let catalogue = Catalogue::default();
        assert!(
            catalogue
                .names()
                .starts_with("google, microsoft, yahoo, zoom, imap")
        );
        assert!(catalogue.names().ends_with(", salesforce, slack"));
        let [slack, inbox] = ["slack", "inbox"].map(|name| name.parse::<Provider>().unwrap());
        assert!(catalogue.knows(slack) && catalogue.knows(Provider::Imap));
        assert!(!catalogue.knows(inbox));
        assert_eq!(catalogue.title(&slack), "Slack");
        assert_eq!(catalogue.title(&inbox), "inbox");
        assert_eq!(catalogue.title(&Provider::Imap), "IMAP");
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
