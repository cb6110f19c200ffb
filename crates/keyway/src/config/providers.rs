//! `[providers.X]` and `[shared_apps.X]`.

use super::file::SharedAppTable;
use crate::failure::Failure;
use anyhow::Context as _;
use keyway_core::catalogue::{Catalogue, EntryForm};
use keyway_core::ids::ApplicationId;
use keyway_core::provider::{Provider, ProviderParseError};
use keyway_core::scope::Scopes;
use keyway_engine::{AllowedApplications, SharedApp};
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use url::Url;

/// The provider a table is for. Only those whose users sign in through OAuth have endpoints.
fn provider_of(table: &str, name: &str) -> anyhow::Result<Provider> {
    let provider: Provider = name.parse().map_err(|error| match error {
        ProviderParseError::Nylas => Failure::bad_input(format!("[{table}.{name}]: {error}")),
        ProviderParseError::Unknown => {
            let what = format!("[{table}.{name}]: '{name}' can be no provider's name");
            let next = "A name begins with a letter and goes on with letters, digits and dashes: small ones, at most 32 in all.";
            Failure::bad_input(what).next(next)
        }
    })?;
    if !provider.is_oauth() {
        let what = format!("[{table}.{name}]: users of {name} do not sign in through OAuth");
        let next = "Such tables are for google, microsoft, yahoo, zoom and providers that the catalogue describes.";
        return Err(Failure::bad_input(what).next(next).into());
    }
    Ok(provider)
}

/// What the file says of providers, and the catalogue with that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers {
    /// The tables as they are written.
    pub(crate) tables: BTreeMap<Provider, EntryForm>,
    /// All entries.
    pub(crate) catalogue: Catalogue,
}

impl Providers {
    /// Takes up the tables of a file.
    ///
    /// # Errors
    /// On a name that can be no provider's, and on a field that is missing, wrong, or could have no effect.
    pub(crate) fn take(&mut self, tables: BTreeMap<String, EntryForm>) -> anyhow::Result<()> {
        for (name, form) in tables {
            let provider = provider_of("providers", &name)?;
            if !self.catalogue.knows(provider) && form.authorization_endpoint.is_none() {
                return Err(unknown(&name, &self.catalogue).into());
            }
            self.catalogue.configure(provider, &form).map_err(|error| {
                Failure::bad_input(format!("providers.{name}.{error}")).next(
                    "docs/configuration.md says what each field of a provider's table is for.",
                )
            })?;
            self.tables.insert(provider, form);
        }
        Ok(())
    }
}

/// A misspelt name, or a table that is too short to be an entry.
fn unknown(name: &str, catalogue: &Catalogue) -> Failure {
    let what = format!("[providers.{name}]: unknown provider");
    let known: Vec<_> = catalogue
        .entries()
        .map(|e| e.provider.to_string())
        .collect();
    let next = format!(
        "Known are {}. An entry of another has at least authorization_endpoint, token_endpoint, api_base_url and email_claims.",
        known.join(", ")
    );
    Failure::bad_input(what).next(next)
}

/// An endpoint as a URL; `{tenant}` stands for a path segment.
fn parse_endpoint(text: &str) -> Option<Url> {
    Url::parse(&text.replace("{tenant}", "common")).ok()
}

/// The hosts that the file names: they may always be called.
pub(crate) fn hosts(tables: &BTreeMap<Provider, EntryForm>) -> BTreeSet<String> {
    let endpoints = tables.values().flat_map(EntryForm::endpoints);
    let hosts = endpoints.filter_map(|(_, value)| {
        let url = parse_endpoint(value)?;
        url.host_str().map(str::to_owned)
    });
    let named = tables.values().filter_map(|form| form.api_hosts.as_ref());
    hosts.chain(named.flatten().cloned()).collect()
}

/// A provider whose applications can be lent: it can be made to ask a user for consent again.
fn lendable(name: &str, catalogue: &Catalogue) -> anyhow::Result<Provider> {
    let provider = provider_of("shared_apps", name)?;
    let Some(entry) = catalogue.entry(provider) else {
        let what = format!("[shared_apps.{name}]: no such provider");
        let next = format!("Describe it in a table [providers.{name}], or remove this one.");
        return Err(Failure::bad_input(what).next(next).into());
    };
    if entry.consent_param.is_some() {
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
    catalogue: &Catalogue,
    base: &Path,
) -> anyhow::Result<BTreeMap<Provider, SharedApp>> {
    let each = tables.into_iter().map(|(name, table)| {
        let provider = lendable(&name, catalogue)?;
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
