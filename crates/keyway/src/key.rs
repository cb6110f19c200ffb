//! `keyway key create | list | rotate | revoke`.

pub(crate) mod rotate;

use crate::cli::{KeyCommand, KeyCreateArgs, KeyListArgs, KeyRevokeArgs};
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::open::Opening;
use crate::output;
use crate::session::{application_id, timestamp, with_engine};
use keyway_core::application::ApiKey;
use keyway_core::ids::ApiKeyId;
use keyway_core::time::UnixMillis;
use keyway_engine::Engine;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const SECS_PER_DAY: i64 = 86_400;

/// Runs one of the commands.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) fn run(command: &KeyCommand, environment: &Environment) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create(args) => create(args, environment),
        KeyCommand::List(args) => list(args, environment),
        KeyCommand::Rotate(args) => rotate::run(args, environment),
        KeyCommand::Revoke(args) => revoke(args, environment),
    }
}

fn create(args: &KeyCreateArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let id = application_id(engine, args.app.as_deref()).await?;
            let expires_at = args.expires_in_days.map(|days| ending(engine, days));
            let (key, secret) = engine.create_key(id, &args.name, expires_at).await?;
            if args.json {
                let shown = view(&key, engine.now());
                let shown = adding(shown, "api_key", json!(secret.expose_secret()));
                return Ok(output::json(&shown)?);
            }
            output::line(&output::pairs(&[
                ("application_id", id.to_string()),
                ("key_id", key.id.to_string()),
                ("api_key", secret.expose_secret().to_owned()),
                ("expires", expiry(&key)),
            ]))?;
            Ok(output::line(
                "\nThe API key is shown this once: put it where your program finds it.",
            )?)
        },
    )
}

fn list(args: &KeyListArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let id = application_id(engine, args.app.as_deref()).await?;
            let (keys, now) = (engine.keys(id).await?, engine.now());
            if args.json {
                let views = keys.iter().map(|key| view(key, now));
                return Ok(output::json(&views.collect())?);
            }
            let rows: Vec<_> = keys
                .iter()
                .map(|key| {
                    let id = key.id.to_string();
                    let created = timestamp(key.created_at);
                    [
                        id,
                        key.hint.clone(),
                        key.name.clone(),
                        created,
                        state(key, now),
                    ]
                })
                .collect();
            let headings = ["KEY_ID", "KEY", "NAME", "CREATED", "STATE"];
            Ok(output::line(&output::table(headings, &rows))?)
        },
    )
}

fn revoke(args: &KeyRevokeArgs, environment: &Environment) -> anyhow::Result<()> {
    let id = key_id(&args.key)?;
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let application_id = application_id(engine, args.app.as_deref()).await?;
            engine.revoke_key(application_id, id).await?;
            if args.json {
                return Ok(output::json(&json!({"key_id": id, "revoked": true}))?);
            }
            Ok(output::line(&format!(
                "Revoked {id}. Running servers refuse it from now on."
            ))?)
        },
    )
}

/// The id of a key, as it was given.
fn key_id(text: &str) -> anyhow::Result<ApiKeyId> {
    text.parse().map_err(|_| {
        // It may be the key itself: it is not repeated.
        let failure = Failure::bad_input("that is not the id of an API key");
        let next = "`keyway key list` shows the ids. An id is not the key itself.";
        failure.next(next).into()
    })
}

/// When a key ends that is made now for so many days.
fn ending(engine: &Engine, days: u32) -> UnixMillis {
    engine.now().plus_secs(i64::from(days) * SECS_PER_DAY)
}

fn expiry(key: &ApiKey) -> String {
    key.expires_at.map_or_else(|| "never".to_owned(), timestamp)
}

/// An object with one more member.
pub(crate) fn adding(mut object: Value, name: &str, member: Value) -> Value {
    if let Value::Object(members) = &mut object {
        members.insert(name.to_owned(), member);
    }
    object
}

pub(crate) fn view(key: &ApiKey, now: UnixMillis) -> Value {
    json!({
        "key_id": key.id,
        "application_id": key.application_id,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at.as_secs(),
        "expires_at": key.expires_at.map(UnixMillis::as_secs),
        "revoked_at": key.revoked_at.map(UnixMillis::as_secs),
        "live": key.is_live(now),
    })
}

fn state(key: &ApiKey, now: UnixMillis) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", timestamp(at)),
        (None, Some(at)) if at <= now => format!("expired {}", timestamp(at)),
        (None, Some(at)) => format!("live until {}", timestamp(at)),
        (None, None) => "live".to_owned(),
    }
}
