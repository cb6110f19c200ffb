//! Entries as text gives them: the shipped ones and those of an operator's configuration, in one form.
//!
//! Nothing in a form is ignored: a field that could have no effect is refused, as is one that is missing.

mod reading;

use super::{
    BodyFormat, ClientAuth, EndpointOverrides, ProviderEntry, RevokedToken, UserinfoMethod,
};
use crate::provider::Provider;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// The entries that come with Keyway beside the public clouds.
const SHIPPED: &str = include_str!("shipped.toml");

/// Why a table is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct FormError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub what: String,
}

fn wrong<T>(field: &'static str, what: impl Into<String>) -> Result<T, FormError> {
    let what = what.into();
    Err(FormError { field, what })
}

macro_rules! form {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// A provider's table. Absent members keep the shipped entry's value, else the default.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct EntryForm {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $name: Option<$type>,)*
        }

        impl EntryForm {
            /// The names of all fields.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($name),)*];

            /// This form, and what it leaves open as `base` has it.
            fn over(&self, base: &Self) -> Self {
                Self { $($name: self.$name.clone().or_else(|| base.$name.clone()),)* }
            }
        }
    };
}

form! {
    /// [`ProviderEntry::title`].
    title: String,
    /// [`ProviderEntry::issuer`].
    issuer: String,
    /// [`ProviderEntry::authorization_endpoint`].
    authorization_endpoint: String,
    /// [`ProviderEntry::token_endpoint`].
    token_endpoint: String,
    /// [`ProviderEntry::revocation_endpoint`].
    revocation_endpoint: String,
    /// [`ProviderEntry::userinfo_endpoint`].
    userinfo_endpoint: String,
    /// [`ProviderEntry::jwks_uri`].
    jwks_uri: String,
    /// [`ProviderEntry::admin_consent_endpoint`].
    admin_consent_endpoint: String,
    /// [`ProviderEntry::admin_consent_v1_endpoint`].
    admin_consent_v1_endpoint: String,
    /// [`ProviderEntry::api_base_url`].
    api_base_url: String,
    /// [`ProviderEntry::api_hosts`].
    api_hosts: Vec<String>,
    /// [`ProviderEntry::extra_headers`].
    extra_headers: BTreeMap<String, String>,
    /// [`ProviderEntry::client_auth`].
    client_auth: ClientAuth,
    /// [`ProviderEntry::token_request`].
    token_request: BodyFormat,
    /// [`ProviderEntry::token_member`].
    token_member: String,
    /// [`ProviderEntry::pkce`].
    pkce: bool,
    /// [`ProviderEntry::authorize_params`].
    authorize_params: BTreeMap<String, String>,
    /// [`ProviderEntry::consent_param`]: one name and its value.
    consent_param: BTreeMap<String, String>,
    /// [`ProviderEntry::identity_scopes`].
    identity_scopes: Vec<String>,
    /// [`ProviderEntry::scope_param`].
    scope_param: String,
    /// [`ProviderEntry::scope_separator`].
    scope_separator: String,
    /// [`ProviderEntry::silent_scopes`].
    silent_scopes: Vec<String>,
    /// [`ProviderEntry::compares_scopes`].
    compare_scopes: bool,
    /// [`ProviderEntry::userinfo_method`].
    userinfo_method: UserinfoMethod,
    /// [`ProviderEntry::userinfo_body`].
    userinfo_body: String,
    /// [`ProviderEntry::email_endpoint`].
    email_endpoint: String,
    /// [`ProviderEntry::identity`].
    identity_claims: Vec<String>,
    /// [`ProviderEntry::user_id_claims`].
    user_id_claims: Vec<String>,
    /// [`ProviderEntry::email_claims`].
    email_claims: Vec<String>,
    /// [`ProviderEntry::name_claims`].
    name_claims: Vec<String>,
    /// [`ProviderEntry::refresh_tokens`].
    refresh_tokens: bool,
    /// [`ProviderEntry::refresh_token_idle_days`].
    refresh_token_idle_days: u16,
    /// [`ProviderEntry::revocation_token`].
    revocation_token: RevokedToken,
}

/// The shipped forms, by provider.
pub(super) fn shipped() -> BTreeMap<Provider, EntryForm> {
    // A test holds that it can be read.
    toml::from_str(SHIPPED).unwrap_or_default()
}

/// The entry that an operator's table makes: over the shipped one of that name, if there is one.
pub(super) fn configured(provider: Provider, form: &EntryForm) -> Result<ProviderEntry, FormError> {
    let Some(base) = shipped().remove(&provider) else {
        return form.entry(provider);
    };
    form.leaves_nothing_behind(&base)?;
    let mut whole = form.over(&base);
    if form.api_base_url.is_some() {
        whole.api_hosts.clone_from(&form.api_hosts);
    }
    whole.entry(provider)
}

fn host_of(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}

impl EntryForm {
    /// The endpoints that are set, by their names.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("issuer", &self.issuer),
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("revocation_endpoint", &self.revocation_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint),
            ("email_endpoint", &self.email_endpoint),
            ("jwks_uri", &self.jwks_uri),
            ("admin_consent_endpoint", &self.admin_consent_endpoint),
            ("admin_consent_v1_endpoint", &self.admin_consent_v1_endpoint),
            ("api_base_url", &self.api_base_url),
        ];
        let set = all.into_iter();
        set.filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }

    /// What a public cloud's entry takes: its habits are built in, its endpoints can be replaced.
    pub(super) fn endpoints_alone(&self) -> Result<EndpointOverrides, FormError> {
        let o = EndpointOverrides {
            issuer: self.issuer.clone(),
            authorization_endpoint: self.authorization_endpoint.clone(),
            token_endpoint: self.token_endpoint.clone(),
            revocation_endpoint: self.revocation_endpoint.clone(),
            userinfo_endpoint: self.userinfo_endpoint.clone(),
            jwks_uri: self.jwks_uri.clone(),
            admin_consent_endpoint: self.admin_consent_endpoint.clone(),
            admin_consent_v1_endpoint: self.admin_consent_v1_endpoint.clone(),
            api_base_url: self.api_base_url.clone(),
        };
        let alone = Self {
            issuer: o.issuer.clone(),
            authorization_endpoint: o.authorization_endpoint.clone(),
            token_endpoint: o.token_endpoint.clone(),
            revocation_endpoint: o.revocation_endpoint.clone(),
            userinfo_endpoint: o.userinfo_endpoint.clone(),
            jwks_uri: o.jwks_uri.clone(),
            admin_consent_endpoint: o.admin_consent_endpoint.clone(),
            admin_consent_v1_endpoint: o.admin_consent_v1_endpoint.clone(),
            api_base_url: o.api_base_url.clone(),
            ..Self::default()
        };
        match self.set_beside(&alone) {
            Some(field) => wrong(
                field,
                "this provider's habits are built in; its table replaces endpoints only",
            ),
            None => {
                self.check_urls()?;
                Ok(o)
            }
        }
    }

    /// The first field that is set here and not in `other`.
    fn set_beside(&self, other: &Self) -> Option<&'static str> {
        let members = |form: &Self| serde_json::to_value(form).unwrap_or_default();
        let (own, others) = (members(self), members(other));
        let is_beside = |name: &&&str| own.get(name).is_some() && others.get(name).is_none();
        Self::FIELDS.iter().find(is_beside).copied()
    }

    fn check_urls(&self) -> Result<(), FormError> {
        for (field, value) in self.endpoints() {
            let url = Url::parse(&value.replace("{tenant}", "common")).ok();
            if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
                return wrong(
                    field,
                    format!(
                        "'{value}' is not an http(s) URL; write a whole one, such as https://login.example.com/token"
                    ),
                );
            }
        }
        Ok(())
    }

    /// With another token endpoint it is another server, whose tokens must not go where the former's went.
    fn leaves_nothing_behind(&self, base: &Self) -> Result<(), FormError> {
        let host = |form: &Self| form.token_endpoint.as_deref().and_then(host_of);
        if self.token_endpoint.is_none() || host(self) == host(base) {
            return Ok(());
        }
        let takers = [
            "authorization_endpoint",
            "revocation_endpoint",
            "userinfo_endpoint",
            "email_endpoint",
            "api_base_url",
        ];
        let own = self.endpoints();
        let left = base.endpoints().into_iter().find(|(field, _)| {
            takers.contains(field) && !own.iter().any(|(named, _)| named == field)
        });
        match left {
            Some((field, url)) => {
                let host = host_of(url).unwrap_or_default();
                wrong(
                    field,
                    format!(
                        "is required beside another token_endpoint: tokens of that server must not be sent to {host}. An empty text stands for none"
                    ),
                )
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
