//! `[providers.X]` and `[shared_apps.X]`.

use super::file::{ProviderTable, SharedAppTable};
use crate::failure::Failure;
use anyhow::Context as _;
use keyway_core::catalogue::{Catalogue, EndpointOverrides};
use keyway_core::ids::ApplicationId;
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_engine::{AllowedApplications, SharedApp};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use url::Url;

/// The provider a table is for. Only those whose users sign in through OAuth have endpoints.
fn provider_of(table: &str, name: &str) -> anyhow::Result<Provider> {
    let provider: Provider = name
        .parse()
        .map_err(|error| Failure::bad_input(format!("[{table}.{name}]: {error}")))?;
    if !provider.is_oauth() {
        let what = format!("[{table}.{name}]: users of {name} do not sign in through OAuth");
        let next = "Such tables are for google, microsoft, yahoo and zoom.";
        return Err(Failure::bad_input(what).next(next).into());
    }
    Ok(provider)
}

/// The endpoints of the file.
///
/// # Errors
/// On an unknown provider, or an endpoint that is no URL.
pub(crate) fn overrides(
    tables: BTreeMap<String, ProviderTable>,
) -> anyhow::Result<BTreeMap<Provider, EndpointOverrides>> {
    let each = tables.into_iter().map(|(name, table)| {
        let provider = provider_of("providers", &name)?;
        let overrides = overrides_of(table);
        check_urls(&name, &overrides)?;
        Ok((provider, overrides))
    });
    each.collect()
}

fn overrides_of(table: ProviderTable) -> EndpointOverrides {
    EndpointOverrides {
        issuer: table.issuer,
        authorization_endpoint: table.authorization_endpoint,
        token_endpoint: table.token_endpoint,
        revocation_endpoint: table.revocation_endpoint,
        userinfo_endpoint: table.userinfo_endpoint,
        jwks_uri: table.jwks_uri,
        admin_consent_endpoint: table.admin_consent_endpoint,
        admin_consent_v1_endpoint: table.admin_consent_v1_endpoint,
        api_base_url: table.api_base_url,
    }
}

/// The fields of an override that are set, by their names in the file.
pub(crate) fn named(overrides: &EndpointOverrides) -> Vec<(&'static str, &str)> {
    let all = [
        ("issuer", &overrides.issuer),
        ("authorization_endpoint", &overrides.authorization_endpoint),
        ("token_endpoint", &overrides.token_endpoint),
        ("revocation_endpoint", &overrides.revocation_endpoint),
        ("userinfo_endpoint", &overrides.userinfo_endpoint),
        ("jwks_uri", &overrides.jwks_uri),
        ("admin_consent_endpoint", &overrides.admin_consent_endpoint),
        (
            "admin_consent_v1_endpoint",
            &overrides.admin_consent_v1_endpoint,
        ),
        ("api_base_url", &overrides.api_base_url),
    ];
    let set = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)));
    set.collect()
}

fn check_urls(provider: &str, overrides: &EndpointOverrides) -> anyhow::Result<()> {
    for (name, value) in named(overrides) {
        let url = parse_endpoint(value);
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            let what = format!("providers.{provider}.{name}: '{value}' is not an http(s) URL");
            return Err(Failure::bad_input(what)
                .next("Write a whole URL, such as https://login.example.com/token.")
                .into());
        }
    }
    Ok(())
}

/// An endpoint as a URL; `{tenant}` stands for a path segment.
fn parse_endpoint(text: &str) -> Option<Url> {
    Url::parse(&text.replace("{tenant}", "common")).ok()
}

/// The hosts that the file names: they may always be called.
pub(crate) fn hosts(providers: &BTreeMap<Provider, EndpointOverrides>) -> BTreeSet<String> {
    let endpoints = providers.values().flat_map(named);
    let hosts = endpoints.filter_map(|(_, value)| {
        let url = parse_endpoint(value)?;
        url.host_str().map(str::to_owned)
    });
    hosts.collect()
}

/// A provider whose applications can be lent: it can be made to ask a user for consent again.
fn lendable(name: &str) -> anyhow::Result<Provider> {
    let provider = provider_of("shared_apps", name)?;
    let catalogue = Catalogue::default();
    let entry = catalogue.entry(provider);
    if entry.is_some_and(|entry| entry.consent_param.is_some()) {
        return Ok(provider);
    }
    let what = format!("[shared_apps.{name}]: an application at {name} cannot be shared");
    let next = format!(
        "{name} does not ask a user who has consented before, so each application could take what users allowed another.\nRemove the table; applications add {name} credentials of their own."
    );
    Err(Failure::bad_input(what).next(next).into())
}

/// The operator's own provider applications.
///
/// # Errors
/// On an unknown provider, one whose applications cannot be shared, a missing field, a file that cannot
/// be read, or a wrong id or scope.
pub(crate) fn shared_apps(
    tables: BTreeMap<String, SharedAppTable>,
    base: &Path,
) -> anyhow::Result<BTreeMap<Provider, SharedApp>> {
    let each = tables.into_iter().map(|(name, table)| {
        let provider = lendable(&name)?;
        Ok((provider, shared_app(&name, table, base)?))
    });
    each.collect()
}

fn shared_app(name: &str, table: SharedAppTable, base: &Path) -> anyhow::Result<SharedApp> {
    let client_secret = client_secret(name, &table, base)?;
    let client_id = table.client_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        Failure::bad_input(format!("[shared_apps.{name}] has no client_id"))
            .next("Add the client id of the application at the provider.")
    })?;
    let scopes = Scopes::from_items(&table.scopes)
        .map_err(|error| Failure::bad_input(format!("shared_apps.{name}.scopes: {error}")))?;
    Ok(SharedApp {
        client_id,
        client_secret,
        applications: allowed(name, &table.applications)?,
        scopes,
    })
}

fn client_secret(name: &str, table: &SharedAppTable, base: &Path) -> anyhow::Result<SecretString> {
    match (&table.client_secret, &table.client_secret_file) {
        (Some(secret), None) => Ok(SecretString::from(secret.as_str())),
        (None, Some(file)) => {
            let path = base.join(file);
            let text = std::fs::read_to_string(&path).with_context(|| {
                let path = path.display();
                let what = format!("shared_apps.{name}.client_secret_file: {path} cannot be read");
                Failure::bad_input(what)
            })?;
            Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
        }
        _ => Err(Failure::bad_input(format!(
            "[shared_apps.{name}] needs one of client_secret and client_secret_file"
        ))
        .into()),
    }
}

fn allowed(name: &str, applications: &[String]) -> anyhow::Result<AllowedApplications> {
    if applications.iter().any(|id| id == "*") {
        return Ok(AllowedApplications::All);
    }
    let ids = applications.iter().map(|text| {
        text.parse::<ApplicationId>().map_err(|_| {
            let what = format!("shared_apps.{name}.applications: '{text}' is not an id");
            Failure::bad_input(what).next("`keyway app list` shows the ids; \"*\" allows all.")
        })
    });
    Ok(AllowedApplications::Listed(ids.collect::<Result<_, _>>()?))
}
