//! The configuration: a file, overlaid by the environment, overlaid by flags; every value remembers
//! where it comes from.

pub(crate) mod environment;
mod fields;
pub(crate) mod file;
mod master_key;
pub(crate) mod network;
pub(crate) mod providers;
pub(crate) mod setting;

use crate::cli::{ServeArgs, SettingFlags};
use crate::failure::Failure;
use environment::Environment;
use file::FileConfig;
use keyway_core::catalogue::Catalogue;
use keyway_core::provider::Provider;
use keyway_engine::SharedApp;
use keyway_store::DatabaseUrl;
pub(crate) use master_key::{MasterKeySource, Transit};
use network::Network;
use providers::Providers;
use setting::{Origin, Setting};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DATA_DIR: &str = "./keyway-data";
/// The longest an operator may let remembered things be served without the database, in seconds.
const OUTAGE_MAX_SECS: u64 = 300;
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
const DEFAULT_MAX_REQUESTS: usize = 4_000;
const DEFAULT_WRITE_TIMEOUT_SECS: u32 = 60;

/// How much is logged, and how.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The least important level that is written.
    pub(crate) level: Setting<tracing::Level>,
    /// The form of a line.
    pub(crate) format: Setting<LogFormat>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// All settings, resolved.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// The configuration file, if there is one.
    pub(crate) file: Option<Setting<PathBuf>>,
    /// The public listener's address. Port 0 lets the system choose.
    pub(crate) listen: Setting<SocketAddr>,
    /// The operator's listener's address.
    pub(crate) admin_listen: Option<Setting<SocketAddr>>,
    /// Where browsers and providers reach the server.
    pub(crate) public_url: Setting<Url>,
    /// Where the embedded database and the master key are.
    pub(crate) data_dir: Setting<PathBuf>,
    /// The database.
    pub(crate) database: Setting<DatabaseUrl>,
    /// The master key.
    pub(crate) master_key: MasterKeySource,
    /// How many threads serve connections, each with a runtime of its own.
    pub(crate) threads: Setting<usize>,
    /// How many connections may be open at once.
    pub(crate) max_connections: Setting<usize>,
    /// How many requests may be under way at once.
    pub(crate) max_requests: Setting<usize>,
    /// How long a caller may take nothing of an answer that waits for it, in seconds.
    pub(crate) write_timeout_secs: Setting<u32>,
    /// What is logged.
    pub(crate) log: Log,
    /// What providers are like, beside or in place of what is built in.
    pub(crate) providers: Providers,
    /// The operator's own provider applications.
    pub(crate) shared_apps: BTreeMap<Provider, SharedApp>,
    /// What may be called, and who is believed.
    pub(crate) network: Network,
    /// How long what is remembered is served while the database cannot be reached.
    pub(crate) serve_through_outage: Duration,
    /// Requests a second per application.
    pub(crate) requests_per_second: Option<NonZeroU32>,
    /// Whether applications whose settings ask for it may read providers' access tokens.
    pub(crate) allow_provider_tokens: bool,
    /// Variables that begin with `KEYWAY_` and mean nothing to Keyway.
    pub(crate) ignored_variables: Vec<String>,
}

/// One setting's three sources, before they are overlaid.
struct Sources<'a, T> {
    flag: (&'static str, Option<&'a T>),
    variable: &'static str,
    file: Option<&'a T>,
}

impl Config {
    /// The configuration of a command that has all flags.
    ///
    /// # Errors
    /// In words that name the setting, where it was made, and what to do.
    pub(crate) fn load(args: &ServeArgs, environment: &Environment) -> anyhow::Result<Self> {
        let path = config_path(&args.settings, environment);
        let file = match &path {
            Some(path) => FileConfig::read(&path.value)?,
            None => FileConfig::default(),
        };
        Self::overlay(args, environment, path, file)
    }

    /// The configuration of a command that does not listen.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load_settings(
        settings: &SettingFlags,
        environment: &Environment,
    ) -> anyhow::Result<Self> {
        let args = ServeArgs {
            settings: settings.clone(),
            admin_listen: None,
        };
        Self::load(&args, environment)
    }

    fn overlay(
        args: &ServeArgs,
        environment: &Environment,
        path: Option<Setting<PathBuf>>,
        mut file: FileConfig,
    ) -> anyhow::Result<Self> {
        let flags = &args.settings;
        let base = path
            .as_ref()
            .and_then(|p| p.value.parent())
            .unwrap_or(Path::new(""));
        let listen = listen(flags, environment, &file)?;
        let data_dir = data_dir(flags, environment, &file, base)?;
        let mut providers = Providers::default();
        providers.take(std::mem::take(&mut file.providers))?;
        Ok(Self {
            admin_listen: admin_listen(args, environment, &file)?,
            public_url: public_url(flags, environment, &file, &listen.value)?,
            database: database(flags, environment, &file, (&data_dir.value, base))?,
            master_key: master_key::resolve(flags, environment, &file, (&data_dir.value, base))?,
            threads: threads(&file),
            max_connections: count(file.server.max_connections, DEFAULT_MAX_CONNECTIONS),
            write_timeout_secs: file.server.write_timeout_seconds.map_or_else(
                || Setting::default_value(DEFAULT_WRITE_TIMEOUT_SECS),
                |secs| Setting::from_file(secs.get()),
            ),
            max_requests: count(file.server.max_requests, DEFAULT_MAX_REQUESTS),
            log: log(environment, &file)?,
            shared_apps: providers::shared_apps(file.shared_apps, &providers.catalogue, base)?,
            providers,
            network: Network::resolve(file.network)?,
            serve_through_outage: serve_through_outage(file.storage.serve_through_outage_seconds)?,
            requests_per_second: file.limits.requests_per_second,
            allow_provider_tokens: file.tokens.allow_provider_tokens,
            ignored_variables: environment.unknown(),
            file: path,
            listen,
            data_dir,
        })
    }

    /// Takes the providers of a file's text in addition: for a server whose provider is known only once
    /// it runs.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn use_providers(&mut self, text: &str) -> anyhow::Result<()> {
        let file = FileConfig::parse(text).map_err(|(what, _)| Failure::new(what))?;
        self.providers.take(file.providers)?;
        let catalogue = &self.providers.catalogue;
        self.shared_apps = providers::shared_apps(file.shared_apps, catalogue, Path::new("."))?;
        Ok(())
    }

    /// The built-in catalogue with what this configuration says of providers.
    pub(crate) fn catalogue(&self) -> Catalogue {
        self.providers.catalogue.clone()
    }

    /// What has to be registered at providers.
    pub(crate) fn callback_uri(&self) -> String {
        format!("{}/v3/connect/callback", self.public_base())
    }

    /// The public URL as it is shown: without a slash at its end.
    pub(crate) fn public_base(&self) -> &str {
        self.public_url.value.as_str().trim_end_matches('/')
    }
}

impl<T: AsRef<std::ffi::OsStr>> Sources<'_, T> {
    /// The text of the strongest source, and which it is.
    fn strongest(&self, environment: &Environment) -> anyhow::Result<Option<Setting<String>>> {
        let of = |text: &T, origin: Origin| {
            let text =
                text.as_ref().to_str().map(str::to_owned).ok_or_else(|| {
                    Failure::bad_input(format!("the value of {origin} is not UTF-8"))
                })?;
            Ok(Some(Setting::new(text, origin)))
        };
        if let (name, Some(text)) = &self.flag {
            return of(text, Origin::Flag(name));
        }
        if let Some(text) = environment.get(self.variable) {
            let origin = Origin::Environment(self.variable);
            return Ok(Some(Setting::new(text.to_owned(), origin)));
        }
        self.file.map_or(Ok(None), |text| of(text, Origin::File))
    }
}

fn config_path(flags: &SettingFlags, environment: &Environment) -> Option<Setting<PathBuf>> {
    if let Some(path) = &flags.config {
        return Some(Setting::new(path.clone(), Origin::Flag("--config")));
    }
    let path = environment.get("KEYWAY_CONFIG")?;
    Some(Setting::new(
        path.into(),
        Origin::Environment("KEYWAY_CONFIG"),
    ))
}

/// A host and port. `localhost` is this machine, without asking a resolver.
pub(crate) fn parse_address(text: &Setting<String>) -> anyhow::Result<Setting<SocketAddr>> {
    let numeric = text
        .value
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric
        .as_ref()
        .unwrap_or(&text.value)
        .parse()
        .map_err(|_| {
            Failure::bad_input(format!(
            "'{}' ({}) is not an address to listen on",
            text.value, text.origin
        ))
        .next("Write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080.")
        })?;
    Ok(Setting::new(parsed, text.origin))
}

fn listen(
    flags: &SettingFlags,
    environment: &Environment,
    file: &FileConfig,
) -> anyhow::Result<Setting<SocketAddr>> {
    let sources = Sources {
        flag: ("--listen", flags.listen.as_ref()),
        variable: "KEYWAY_LISTEN",
        file: file.server.listen.as_ref(),
    };
    let text = sources.strongest(environment)?;
    parse_address(&text.unwrap_or_else(|| Setting::default_value(DEFAULT_LISTEN.to_owned())))
}

fn admin_listen(
    args: &ServeArgs,
    environment: &Environment,
    file: &FileConfig,
) -> anyhow::Result<Option<Setting<SocketAddr>>> {
    let sources = Sources {
        flag: ("--admin-listen", args.admin_listen.as_ref()),
        variable: "KEYWAY_ADMIN_LISTEN",
        file: file.server.admin_listen.as_ref(),
    };
    let text = sources.strongest(environment)?;
    text.as_ref().map(parse_address).transpose()
}

fn public_url(
    flags: &SettingFlags,
    environment: &Environment,
    file: &FileConfig,
    listen: &SocketAddr,
) -> anyhow::Result<Setting<Url>> {
    let sources = Sources {
        flag: ("--public-url", flags.public_url.as_ref()),
        variable: "KEYWAY_PUBLIC_URL",
        file: file.server.public_url.as_ref(),
    };
    let text = match sources.strongest(environment)? {
        Some(text) => text,
        None => Setting::default_value(format!("http://{listen}")),
    };
    let refuse = |why: &str| {
        Failure::bad_input(format!(
            "the public URL '{}' ({}) {why}",
            text.value, text.origin
        ))
        .next("Write scheme, host and port only, such as https://auth.example.com.")
    };
    let url = Url::parse(&text.value).map_err(|_| refuse("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("is neither http nor https").into());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("has a path, a query or a fragment").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::bad_input("the public URL has a user name or a password").into());
    }
    Ok(Setting::new(url, text.origin))
}

/// A path that the file names is relative to the file's own directory.
fn path_of(text: &Setting<String>, base: &Path) -> Setting<PathBuf> {
    let path = match text.origin {
        Origin::File => base.join(&text.value),
        _ => PathBuf::from(&text.value),
    };
    Setting::new(path, text.origin)
}

fn data_dir(
    flags: &SettingFlags,
    environment: &Environment,
    file: &FileConfig,
    base: &Path,
) -> anyhow::Result<Setting<PathBuf>> {
    let sources = Sources {
        flag: ("--data-dir", flags.data_dir.as_ref()),
        variable: "KEYWAY_DATA_DIR",
        file: file.storage.data_dir.as_ref(),
    };
    let text = sources.strongest(environment)?;
    Ok(text.map_or_else(
        || Setting::default_value(PathBuf::from(DEFAULT_DATA_DIR)),
        |text| path_of(&text, base),
    ))
}

fn database(
    flags: &SettingFlags,
    environment: &Environment,
    file: &FileConfig,
    (data_dir, base): (&Path, &Path),
) -> anyhow::Result<Setting<DatabaseUrl>> {
    let sources = Sources {
        flag: ("--database", flags.database.as_ref()),
        variable: "KEYWAY_DATABASE",
        file: file.storage.database.as_ref(),
    };
    let Some(text) = sources.strongest(environment)? else {
        let path = data_dir.join("keyway.db");
        return Ok(Setting::default_value(DatabaseUrl::Sqlite(path)));
    };
    // The text may hold a password: the message names the setting only.
    let url = text.value.parse().map_err(|error| {
        Failure::bad_input(format!("the database URL ({}): {error}", text.origin))
            .next("Examples: sqlite://keyway-data/keyway.db, postgres://keyway@localhost/keyway.")
    })?;
    let url = match (url, text.origin) {
        (DatabaseUrl::Sqlite(path), Origin::File) => DatabaseUrl::Sqlite(base.join(path)),
        (url, _) => url,
    };
    Ok(Setting::new(url, text.origin))
}

fn serve_through_outage(secs: Option<u64>) -> anyhow::Result<Duration> {
    let secs = secs.unwrap_or(0);
    if secs > OUTAGE_MAX_SECS {
        let what = format!("storage.serve_through_outage_seconds is {secs}");
        let next = format!(
            "Write at most {OUTAGE_MAX_SECS}: for so long a key that was revoked elsewhere may open."
        );
        return Err(Failure::bad_input(what).next(next).into());
    }
    Ok(Duration::from_secs(secs))
}

fn threads(file: &FileConfig) -> Setting<usize> {
    file.server.threads.map_or_else(
        || {
            let cores = std::thread::available_parallelism();
            Setting::default_value(cores.map_or(1, usize::from))
        },
        |threads| Setting::from_file(threads.get()),
    )
}

fn count(said: Option<NonZeroUsize>, default: usize) -> Setting<usize> {
    said.map_or_else(
        || Setting::default_value(default),
        |count| Setting::from_file(count.get()),
    )
}

fn log(environment: &Environment, file: &FileConfig) -> anyhow::Result<Log> {
    let level = match (environment.get("KEYWAY_LOG"), file.log.level.as_deref()) {
        (Some(text), _) => Setting::new(text, Origin::Environment("KEYWAY_LOG")),
        (None, Some(text)) => Setting::from_file(text),
        (None, None) => Setting::default_value("info"),
    };
    let parsed = level.value.parse().map_err(|_| {
        Failure::bad_input(format!(
            "'{}' ({}) is not a log level",
            level.value, level.origin
        ))
        .next("Write one of: error, warn, info, debug, trace.")
    })?;
    let format = file.log.format;
    Ok(Log {
        level: Setting::new(parsed, level.origin),
        format: format.map_or_else(
            || Setting::default_value(LogFormat::Text),
            Setting::from_file,
        ),
    })
}

#[cfg(test)]
mod tests;
