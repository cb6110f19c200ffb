//! `keyway config check`: the settings that count, and where each comes from.

use crate::cli::ConfigCheckArgs;
use crate::config::environment::Environment;
use crate::config::setting::{Origin, Setting};
use crate::config::{Config, MasterKeySource};
use crate::output;
use keyway_engine::{AllowedApplications, SharedApp};
use serde_json::{Map, Value, json};
use std::fmt::Display;
use std::path::Path;

/// One line: name, value, origin.
struct Line {
    name: String,
    value: Value,
    origin: String,
}

impl Line {
    fn new(name: impl Into<String>, value: impl Into<Value>, origin: impl Display) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            origin: origin.to_string(),
        }
    }

    fn of<T: Display>(name: &str, setting: &Setting<T>) -> Self {
        Self::new(name, setting.value.to_string(), setting.origin)
    }

    fn path(name: &str, path: &Path, origin: Origin) -> Self {
        Self::new(name, path.display().to_string(), origin)
    }
}

/// Checks the configuration and prints it.
///
/// # Errors
/// If something in it cannot be worked with.
pub(crate) fn run(args: &ConfigCheckArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load(&args.serve, environment)?;
    let lines = lines(&config);
    if args.json {
        return Ok(output::json(&as_json(&config, &lines))?);
    }
    let rows: Vec<_> = lines
        .into_iter()
        .map(|l| [l.name, text(&l.value), l.origin])
        .collect();
    output::line(&output::table(["SETTING", "VALUE", "FROM"], &rows))?;
    output::line(&format!(
        "\nRedirect URI to register at every provider:\n  {}",
        config.callback_uri()
    ))?;
    for warning in warnings(&config) {
        output::line(&format!("\nNote: {warning}"))?;
    }
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}

fn as_json(config: &Config, lines: &[Line]) -> Value {
    let members = lines
        .iter()
        .map(|l| (l.name.clone(), json!({"value": l.value, "from": l.origin})));
    json!({
        "settings": members.collect::<Map<_, _>>(),
        "redirect_uri": config.callback_uri(),
        "warnings": warnings(config),
    })
}

fn lines(config: &Config) -> Vec<Line> {
    let mut lines = basic(config);
    for (provider, form) in &config.providers.tables {
        let set = serde_json::to_value(form).unwrap_or_default();
        let set = set.as_object().into_iter().flatten();
        lines.extend(set.map(|(name, value)| {
            let name = format!("providers.{provider}.{name}");
            Line::new(name, shown(value), Origin::File)
        }));
    }
    for (provider, app) in &config.shared_apps {
        lines.extend(shared_app(&format!("shared_apps.{provider}"), app));
    }
    let network = &config.network;
    let from = |is_default| {
        if is_default {
            Origin::Default
        } else {
            Origin::File
        }
    };
    lines.push(Line::new(
        "network.allow_private_addresses",
        network.allow_private_addresses,
        from(!network.allow_private_addresses),
    ));
    lines.push(Line::new(
        "network.trusted_proxies",
        network.trusted_proxies_text.clone(),
        from(network.trusted_proxies_text.is_empty()),
    ));
    lines.push(Line::new(
        "network.extra_certificates_file",
        json!(network.extra_certificates_file),
        from(network.extra_certificates_file.is_none()),
    ));
    lines.push(Line::new(
        "network.look_up_mail_exchangers",
        network.look_up_mail_exchangers,
        from(network.look_up_mail_exchangers),
    ));
    lines.push(Line::new(
        "tokens.allow_provider_tokens",
        config.allow_provider_tokens,
        from(!config.allow_provider_tokens),
    ));
    let limit = config.requests_per_second.map(std::num::NonZeroU32::get);
    lines.push(Line::new(
        "limits.requests_per_second",
        json!(limit),
        from(limit.is_none()),
    ));
    lines
}

/// A field's value; of headers and parameters, which may hold a key of the operator's, the names alone.
fn shown(value: &Value) -> Value {
    match value {
        Value::Object(pairs) => pairs.keys().map(String::as_str).collect(),
        other => other.clone(),
    }
}

fn basic(config: &Config) -> Vec<Line> {
    let file = config.file.as_ref();
    let none = || Value::Null;
    let format = serde_json::to_value(config.log.format.value).unwrap_or_default();
    vec![
        Line::new(
            "config",
            file.map_or_else(none, |f| f.value.display().to_string().into()),
            file.map_or(Origin::Default, |f| f.origin),
        ),
        Line::of("listen", &config.listen),
        Line::new(
            "admin_listen",
            config
                .admin_listen
                .as_ref()
                .map_or_else(none, |a| a.value.to_string().into()),
            config
                .admin_listen
                .as_ref()
                .map_or(Origin::Default, |a| a.origin),
        ),
        Line::new("public_url", config.public_base(), config.public_url.origin),
        Line::path("data_dir", &config.data_dir.value, config.data_dir.origin),
        Line::of("database", &config.database),
        master_key(&config.master_key),
        Line::new(
            "storage.serve_through_outage_seconds",
            config.serve_through_outage.as_secs(),
            match config.serve_through_outage.is_zero() {
                true => Origin::Default,
                false => Origin::File,
            },
        ),
        Line::of("server.threads", &config.threads),
        Line::of("server.max_connections", &config.max_connections),
        Line::of("server.max_requests", &config.max_requests),
        Line::of("server.write_timeout_seconds", &config.write_timeout_secs),
        Line::new(
            "log.level",
            config.log.level.value.to_string().to_lowercase(),
            config.log.level.origin,
        ),
        Line::new("log.format", format, config.log.format.origin),
    ]
}

fn master_key(source: &MasterKeySource) -> Line {
    match source {
        MasterKeySource::Environment { .. } => {
            Line::new("master_key", "(not shown)", "KEYWAY_MASTER_KEY")
        }
        MasterKeySource::Command(command) => Line::of("master_key_command", command),
        MasterKeySource::Transit(transit) => {
            let place = format!("{} key {}", transit.address, transit.key);
            Line::new("transit", place, Origin::File)
        }
        MasterKeySource::File(path) => Line::path("master_key_file", &path.value, path.origin),
    }
}

fn shared_app(table: &str, app: &SharedApp) -> Vec<Line> {
    let applications = match &app.applications {
        AllowedApplications::All => vec!["*".to_owned()],
        AllowedApplications::Listed(ids) => ids.iter().map(ToString::to_string).collect(),
    };
    let line = |name: &str, value: Value| Line::new(format!("{table}.{name}"), value, Origin::File);
    vec![
        line("client_id", app.client_id.clone().into()),
        line("client_secret", "(not shown)".into()),
        line("applications", applications.into()),
        line("scopes", app.scopes.as_slice().to_vec().into()),
    ]
}

/// What is allowed and yet probably not meant.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let is_local = config.listen.value.ip().is_loopback();
    if config.public_url.value.scheme() == "http" && !is_local {
        warnings.push(
            "the public URL is plain http: cookies and codes cross the network in clear. Put TLS in front.".to_owned(),
        );
    }
    if config.public_url.origin == Origin::Default && config.listen.value.ip().is_unspecified() {
        warnings.push("no browser can use this public URL: set --public-url.".to_owned());
    }
    if let Some(app) = config.shared_apps.iter().find(
        |(_, app)| matches!(&app.applications, AllowedApplications::Listed(ids) if ids.is_empty()),
    ) {
        warnings.push(format!(
            "no application may use shared_apps.{}: name some in `applications`.",
            app.0
        ));
    }
    if !config.ignored_variables.is_empty() {
        let names = config.ignored_variables.join(", ");
        warnings.push(format!("these variables mean nothing to Keyway: {names}."));
    }
    warnings
}
