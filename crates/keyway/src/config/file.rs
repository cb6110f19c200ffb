//! The configuration file: TOML in which every unknown field is an error.

use super::{LogFormat, fields};
use crate::failure::Failure;
use anyhow::Context as _;
use keyway_core::catalogue::EntryForm;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// The whole file. Every part may be missing.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileConfig {
    /// Listeners.
    pub(crate) server: ServerTable,
    /// Database and master key.
    pub(crate) storage: StorageTable,
    /// The key service that opens the master key.
    pub(crate) transit: TransitTable,
    /// What is logged.
    pub(crate) log: LogTable,
    /// Endpoints and whole entries, by provider.
    pub(crate) providers: BTreeMap<String, EntryForm>,
    /// The operator's own provider applications, by provider.
    pub(crate) shared_apps: BTreeMap<String, SharedAppTable>,
    /// What may be called, and who is believed.
    pub(crate) network: NetworkTable,
    /// What applications may use.
    pub(crate) limits: LimitsTable,
    /// Whether providers' tokens may leave the server.
    pub(crate) tokens: TokensTable,
}

/// `[server]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ServerTable {
    /// As `--listen`.
    pub(crate) listen: Option<String>,
    /// As `--admin-listen`.
    pub(crate) admin_listen: Option<String>,
    /// As `--public-url`.
    pub(crate) public_url: Option<String>,
    /// Threads that serve connections.
    pub(crate) threads: Option<NonZeroUsize>,
    /// Connections open at once.
    pub(crate) max_connections: Option<NonZeroUsize>,
    /// Requests under way at once.
    pub(crate) max_requests: Option<NonZeroUsize>,
    /// How long a caller may take nothing of its answer.
    pub(crate) write_timeout_seconds: Option<NonZeroU32>,
}

/// `[storage]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StorageTable {
    /// As `--data-dir`.
    pub(crate) data_dir: Option<PathBuf>,
    /// As `--database`.
    pub(crate) database: Option<String>,
    /// As `--master-key-file`.
    pub(crate) master_key_file: Option<PathBuf>,
    /// A command that prints the master key.
    pub(crate) master_key_command: Option<String>,
    /// How long remembered things are served while the database cannot be reached.
    pub(crate) serve_through_outage_seconds: Option<u64>,
}

/// `[transit]`
#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TransitTable {
    /// Where the key service is.
    pub(crate) address: Option<String>,
    /// The path its transit engine is mounted on.
    pub(crate) mount: Option<String>,
    /// The key that encrypts the master key.
    pub(crate) key: Option<String>,
    /// The file with the token to authenticate with.
    pub(crate) token_file: Option<PathBuf>,
    /// The namespace, where the service has such.
    pub(crate) namespace: Option<String>,
    /// The file with the encrypted master key.
    pub(crate) ciphertext_file: Option<PathBuf>,
}

impl TransitTable {
    /// Whether nothing is said.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `[log]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogTable {
    /// As `KEYWAY_LOG`.
    pub(crate) level: Option<String>,
    /// `text` or `json`.
    pub(crate) format: Option<LogFormat>,
}

/// `[shared_apps.X]`. Not printable: it holds a secret.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SharedAppTable {
    /// The client id at the provider.
    pub(crate) client_id: Option<String>,
    /// The client secret itself.
    pub(crate) client_secret: Option<String>,
    /// Or a file that holds it.
    pub(crate) client_secret_file: Option<String>,
    /// The ids of the applications that may use it, or `*`.
    pub(crate) applications: Vec<String>,
    /// The most it may ask for.
    pub(crate) scopes: Vec<String>,
}

/// `[network]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NetworkTable {
    /// Whether tenants may name hosts in private networks.
    pub(crate) allow_private_addresses: bool,
    /// The networks of reverse proxies whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<String>,
    /// Certificate authorities to be trusted beside the public ones, in PEM form.
    pub(crate) extra_certificates_file: Option<String>,
    /// Whether the name servers are asked who takes a domain's mail.
    pub(crate) look_up_mail_exchangers: Option<bool>,
}

/// `[limits]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// Per application.
    pub(crate) requests_per_second: Option<NonZeroU32>,
}

/// `[tokens]`
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TokensTable {
    /// Whether applications whose settings ask for it may read providers' access tokens.
    pub(crate) allow_provider_tokens: bool,
}

impl FileConfig {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If it cannot be read or is not understood, naming the field and line, never a value: one of
    /// them may be a secret.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            let what = format!("the configuration file {} cannot be read", path.display());
            Failure::bad_input(what)
        })?;
        Self::parse(&text).map_err(|failure| {
            let (what, next) = failure;
            Failure::bad_input(format!("{}: {what}", path.display()))
                .next(next)
                .into()
        })
    }

    /// Understands the text of a file, or says what is wrong with it and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, String)> {
        let correct = "Correct that line; docs/configuration.md lists every field.".to_owned();
        let told = |what| (what, correct.clone());
        let syntax = DeTable::parse(text).map_err(|e| told(syntax_fault(text, &e)))?;
        let type_fault = |error| told(type_fault(text, syntax.get_ref(), &error));
        let table: toml::Table = toml::from_str(text).map_err(type_fault)?;
        fields::refuse_unknown(&table)?;
        toml::from_str(text).map_err(type_fault)
    }
}

/// What is wrong where the text is no TOML. The parser's words hold nothing of the text.
fn syntax_fault(text: &str, error: &toml::de::Error) -> String {
    format!("{}: {}", line_of(text, error), error.message())
}

/// Which field has a value of the wrong type, and what it should be. The error's own words hold the
/// value, which may be a secret.
fn type_fault(text: &str, table: &DeTable<'_>, error: &toml::de::Error) -> String {
    let at = error.span().and_then(|span| field_at(table, span.start));
    let field = at.map_or_else(String::new, |field| format!("{field}: "));
    let line = line_of(text, error);
    format!("{line}: {field}{}", expected(error.message()))
}

/// "expected …" of serde's "invalid type: …, expected …".
fn expected(message: &str) -> String {
    let kinds = ["invalid type", "invalid value", "unknown variant"];
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if kinds.iter().any(|kind| found.starts_with(kind)) => {
            format!("expected {expected}")
        }
        _ => "this value cannot be used".to_owned(),
    }
}

/// The path of the innermost field whose value stands at a place in the text.
fn field_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(name, value)| {
        let name = name.get_ref();
        let inner = value.get_ref().as_table();
        match inner.and_then(|table| field_at(table, at)) {
            Some(inner) => Some(format!("{name}.{inner}")),
            None => value.span().contains(&at).then(|| name.to_string()),
        }
    })
}

fn line_of(text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start);
    format!("line {}", line_number(text, at))
}

fn line_number(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}
