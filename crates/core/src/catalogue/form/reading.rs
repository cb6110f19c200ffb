//! A form read into an entry, field by field.

use super::{EntryForm, FormError, wrong};
use crate::catalogue::{IdentityRule, ProviderEntry, UserinfoMethod};
use crate::identity::TOKEN_STEP;
use crate::oauth::is_printable;
use crate::provider::Provider;
use crate::proxy::ApiBase;
use crate::scope::Scopes;
use std::collections::BTreeMap;

/// Longest title, in characters.
const TITLE_MAX_CHARS: usize = 60;
/// Longest path of a claim, or name or value of a parameter or header, in bytes.
const WORD_MAX_BYTES: usize = 512;
/// Longest JSON a userinfo endpoint is asked with, in bytes.
const USERINFO_BODY_MAX_BYTES: usize = 4096;

/// What every authorization request carries: no habit of a provider's may stand in its place.
const OWN_PARAMS: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];
/// Headers that frame a message, prove who sends it, or say what its body is.
const OWN_HEADERS: [&str; 10] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl EntryForm {
    /// The entry of this form.
    ///
    /// # Errors
    /// If a field is missing, wrong, or could have no effect.
    pub fn entry(&self, provider: Provider) -> Result<ProviderEntry, FormError> {
        let form = self.without_empty_endpoints();
        form.check_urls()?;
        form.check_effects()?;
        let plain = ProviderEntry::of(provider);
        let entry = ProviderEntry {
            title: form.checked_title(&plain)?,
            pkce: form.pkce.unwrap_or(plain.pkce),
            client_auth: form.client_auth.unwrap_or(plain.client_auth),
            token_request: form.token_request.unwrap_or(plain.token_request),
            token_member: form.checked_token_member()?,
            extra_headers: form.checked_headers()?,
            refresh_tokens: form.refresh_tokens.unwrap_or(plain.refresh_tokens),
            refresh_token_idle_days: form.checked_idle_days()?,
            revocation_token: form.revocation_token.unwrap_or(plain.revocation_token),
            ..plain
        };
        let entry = form.with_endpoints(entry)?;
        let entry = form.with_scopes(entry)?;
        let entry = form.with_claims(entry)?;
        form.check_id_token(&entry)?;
        Ok(entry)
    }

    /// An empty text takes a shipped entry's endpoint away.
    fn without_empty_endpoints(&self) -> Self {
        let mut form = self.clone();
        for slot in [
            &mut form.issuer,
            &mut form.revocation_endpoint,
            &mut form.userinfo_endpoint,
            &mut form.email_endpoint,
            &mut form.jwks_uri,
        ] {
            slot.take_if(|text| text.is_empty());
        }
        form
    }

    /// Refuses what could have no effect.
    fn check_effects(&self) -> Result<(), FormError> {
        let told = self.userinfo_endpoint.is_some();
        let is_post = self.userinfo_method == Some(UserinfoMethod::Post);
        let consent = [
            &self.admin_consent_endpoint,
            &self.admin_consent_v1_endpoint,
        ];
        if consent.iter().any(|endpoint| endpoint.is_some()) {
            return wrong(
                "admin_consent_endpoint",
                "is for microsoft, like its version 1",
            );
        }
        if self.userinfo_method.is_some() && !told {
            return wrong(
                "userinfo_method",
                "there is no userinfo_endpoint to be asked so",
            );
        }
        if self.userinfo_body.is_some() && !is_post {
            return wrong("userinfo_body", "goes with a userinfo_method of \"post\"");
        }
        if self.email_endpoint.is_some() && !told {
            return wrong(
                "email_endpoint",
                "goes with a userinfo_endpoint, which tells who the user is",
            );
        }
        if self.jwks_uri.is_some() && self.issuer.is_none() {
            return wrong(
                "jwks_uri",
                "id_tokens are looked at only where there is an issuer",
            );
        }
        if self.revocation_token.is_some() && self.revocation_endpoint.is_none() {
            return wrong("revocation_token", "there is no revocation_endpoint");
        }
        if self.silent_scopes.is_some() && self.compare_scopes == Some(false) {
            return wrong(
                "silent_scopes",
                "has no effect where compare_scopes is false",
            );
        }
        Ok(())
    }

    fn checked_title(&self, plain: &ProviderEntry) -> Result<String, FormError> {
        let title = self.title.as_deref().unwrap_or(&plain.title);
        let chars = title.chars().count();
        if (1..=TITLE_MAX_CHARS).contains(&chars) && title.chars().all(is_printable) {
            return Ok(title.to_owned());
        }
        wrong(
            "title",
            format!("must be 1 to {TITLE_MAX_CHARS} printable characters"),
        )
    }

    fn checked_token_member(&self) -> Result<Option<String>, FormError> {
        match &self.token_member {
            Some(name) if !is_word(name) => wrong("token_member", "must be the name of a member"),
            other => Ok(other.clone()),
        }
    }

    fn checked_headers(&self) -> Result<Vec<(String, String)>, FormError> {
        let mut headers = Vec::new();
        for (name, value) in self.extra_headers.iter().flatten() {
            let lower = name.to_ascii_lowercase();
            let is_name = lower
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !is_word(&lower) || !is_name || OWN_HEADERS.contains(&lower.as_str()) {
                return wrong("extra_headers", format!("'{name}' cannot be set here"));
            }
            if !is_word(value) || !value.is_ascii() {
                return wrong(
                    "extra_headers",
                    format!("the value of '{name}' must be printable ASCII"),
                );
            }
            headers.push((lower, value.clone()));
        }
        Ok(headers)
    }

    fn checked_idle_days(&self) -> Result<Option<u16>, FormError> {
        match self.refresh_token_idle_days {
            Some(0) => wrong("refresh_token_idle_days", "must be at least 1"),
            other => Ok(other),
        }
    }

    fn with_endpoints(&self, plain: ProviderEntry) -> Result<ProviderEntry, FormError> {
        let required = |field, value: &Option<String>| match value.as_deref() {
            None | Some("") => wrong(field, "is required"),
            Some(text) => Ok(text.to_owned()),
        };
        let tenanted = self
            .endpoints()
            .into_iter()
            .find(|(_, url)| url.contains('{'));
        if let Some((field, _)) = tenanted {
            return wrong(
                field,
                "holds a brace: only microsoft's endpoints have a tenant filled in",
            );
        }
        let base = required("api_base_url", &self.api_base_url)?;
        if ApiBase::parse(&base).is_none() {
            return wrong(
                "api_base_url",
                "must be a URL without user, query and fragment",
            );
        }
        Ok(ProviderEntry {
            issuer: self.issuer.clone(),
            authorization_endpoint: required(
                "authorization_endpoint",
                &self.authorization_endpoint,
            )?,
            token_endpoint: required("token_endpoint", &self.token_endpoint)?,
            revocation_endpoint: self.revocation_endpoint.clone(),
            userinfo_endpoint: self.userinfo_endpoint.clone(),
            userinfo_method: self.userinfo_method.unwrap_or(plain.userinfo_method),
            userinfo_body: self.checked_userinfo_body()?,
            email_endpoint: self.email_endpoint.clone(),
            jwks_uri: self.jwks_uri.clone(),
            api_base_url: base,
            api_hosts: self.checked_hosts()?,
            ..plain
        })
    }

    fn checked_userinfo_body(&self) -> Result<Option<String>, FormError> {
        let is_json = |text: &String| serde_json::from_str::<serde_json::Value>(text).is_ok();
        match &self.userinfo_body {
            Some(text) if text.len() > USERINFO_BODY_MAX_BYTES || !is_json(text) => wrong(
                "userinfo_body",
                format!("must be JSON of at most {USERINFO_BODY_MAX_BYTES} bytes"),
            ),
            other => Ok(other.clone()),
        }
    }

    fn checked_hosts(&self) -> Result<Vec<String>, FormError> {
        let hosts = self.api_hosts.clone().unwrap_or_default();
        let is_host = |host: &String| {
            let base = ApiBase::parse(&format!("https://{host}"));
            base.is_some_and(|base| base.authority == *host)
        };
        match hosts.iter().find(|host| !is_host(host)) {
            Some(host) => wrong(
                "api_hosts",
                format!("'{host}' is not a host such as uploads.example.com"),
            ),
            None => Ok(hosts),
        }
    }

    fn with_scopes(&self, plain: ProviderEntry) -> Result<ProviderEntry, FormError> {
        let scope_param = self.scope_param.clone().unwrap_or(plain.scope_param);
        if !is_word(&scope_param) || OWN_PARAMS.contains(&scope_param.as_str()) {
            return wrong(
                "scope_param",
                "must be the name of a parameter that is not Keyway's own",
            );
        }
        let scope_separator = match self.scope_separator.as_deref() {
            None | Some(" ") => ' ',
            Some(",") => ',',
            Some(_) => return wrong("scope_separator", "must be \" \" or \",\""),
        };
        let consent = self.consent_param.as_ref();
        if consent.is_some_and(|pairs| pairs.len() != 1) {
            return wrong("consent_param", "must be one name with one value");
        }
        let authorize_params = params(
            "authorize_params",
            self.authorize_params.as_ref(),
            &scope_param,
        )?;
        let consent_param = params("consent_param", consent, &scope_param)?.pop();
        Ok(ProviderEntry {
            identity_scopes: scopes("identity_scopes", self.identity_scopes.as_ref())?,
            silent_scopes: scopes("silent_scopes", self.silent_scopes.as_ref())?,
            compares_scopes: self.compare_scopes.unwrap_or(plain.compares_scopes),
            scope_param,
            scope_separator,
            authorize_params,
            consent_param,
            ..plain
        })
    }

    fn with_claims(&self, plain: ProviderEntry) -> Result<ProviderEntry, FormError> {
        let identity = claims("identity_claims", self.identity_claims.as_ref())?;
        let email_claims = claims("email_claims", self.email_claims.as_ref())?;
        if email_claims.is_empty() {
            return wrong(
                "email_claims",
                "is required: a grant is known by its user's address",
            );
        }
        let user_id = claims("user_id_claims", self.user_id_claims.as_ref())?;
        let last = || identity.last().cloned().into_iter().collect();
        Ok(ProviderEntry {
            user_id_claims: if user_id.is_empty() { last() } else { user_id },
            email_claims,
            name_claims: match &self.name_claims {
                None => plain.name_claims,
                named => claims("name_claims", named.as_ref())?,
            },
            identity: match identity.is_empty() {
                true => IdentityRule::None,
                false => IdentityRule::Stable(identity),
            },
            ..plain
        })
    }

    /// What is to be read must come from somewhere.
    fn check_id_token(&self, entry: &ProviderEntry) -> Result<(), FormError> {
        if entry.issuer.is_some() && !entry.expects_id_token() {
            return wrong(
                "issuer",
                "id_tokens come only where openid is among identity_scopes",
            );
        }
        let lists = [self.identity_claims.iter(), self.email_claims.iter()];
        let mut named = lists.into_iter().flatten().flatten();
        let outside = named.find(|path| !path.starts_with(TOKEN_STEP));
        match outside {
            Some(path) if entry.userinfo_endpoint.is_none() && entry.issuer.is_none() => wrong(
                "userinfo_endpoint",
                format!("is required, or an issuer: nobody else would be asked for '{path}'"),
            ),
            _ => Ok(()),
        }
    }
}

/// Whether a text can stand as a name or value: printable, not empty, not long.
fn is_word(text: &str) -> bool {
    (1..=WORD_MAX_BYTES).contains(&text.len()) && text.chars().all(is_printable)
}

fn params(
    field: &'static str,
    pairs: Option<&BTreeMap<String, String>>,
    scope_param: &str,
) -> Result<Vec<(String, String)>, FormError> {
    let mut list = Vec::new();
    for (name, value) in pairs.into_iter().flatten() {
        if OWN_PARAMS.contains(&name.as_str()) || name == scope_param {
            return wrong(field, format!("'{name}' is Keyway's own to set"));
        }
        if !is_word(name) || !is_word(value) {
            return wrong(
                field,
                format!("'{name}' or its value is empty, too long or not printable"),
            );
        }
        list.push((name.clone(), value.clone()));
    }
    Ok(list)
}

fn scopes(field: &'static str, list: Option<&Vec<String>>) -> Result<Vec<String>, FormError> {
    match Scopes::from_items(list.into_iter().flatten()) {
        Ok(scopes) => Ok(scopes.as_slice().to_vec()),
        Err(error) => wrong(field, error.to_string()),
    }
}

fn claims(field: &'static str, list: Option<&Vec<String>>) -> Result<Vec<String>, FormError> {
    let list: Vec<String> = list.cloned().unwrap_or_default();
    match list
        .iter()
        .find(|path| !is_word(path) || path.contains('|'))
    {
        Some(path) => wrong(
            field,
            format!("'{path}' is no path of a member, such as id or user.id"),
        ),
        None => Ok(list),
    }
}
