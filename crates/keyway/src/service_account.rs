//! `keyway service-account create | list | revoke`.

use crate::cli::{ListArgs, SettingFlags};
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::open::Opening;
use crate::output;
use crate::session::{application_id, timestamp, with_engine};
use clap::{Args, Subcommand};
use keyway_core::ids::ApplicationId;
use keyway_core::service_account::{Permission, ServiceAccount};
use keyway_core::time::UnixMillis;
use keyway_engine::Engine;
use keyway_engine::service_accounts::{MadeServiceAccount, NewServiceAccount};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const HELP: &str = "\
Examples:
  keyway service-account create --name rotator --app ID > rotator.json
  keyway service-account create --name auditor --app ID --app ID --permission apikey.get
  keyway service-account list
  keyway service-account revoke ID

A service account manages the API keys of the applications it names, over HTTP, by requests it signs:
/v3/admin/applications/{application_id}/api-keys. --app may be left out while there is only one application.";

/// `keyway service-account …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAccountCommand {
    /// Make a service account and print its file, which is shown this once
    #[command(after_help = HELP)]
    Create(CreateArgs),
    /// List the service accounts
    #[command(after_help = HELP)]
    List(ListArgs),
    /// End a service account: nothing it signs is accepted any more
    #[command(after_help = HELP)]
    Revoke(RevokeArgs),
}

/// `keyway service-account create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// A name for people
    #[arg(long, value_name = "N")]
    name: String,
    /// An application it may act on; may be repeated
    #[arg(long, value_name = "ID")]
    app: Vec<String>,
    /// What it may do: apikey.create, apikey.get or apikey.delete; may be repeated [default: all of them]
    #[arg(long, value_name = "P", value_parser = permission)]
    permission: Vec<Permission>,
    /// Print the file alone, without a word on what to do with it
    #[arg(long)]
    json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    settings: SettingFlags,
}

/// `keyway service-account revoke`.
#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// The account's id: the private_key_id of its file
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    settings: SettingFlags,
}

fn permission(text: &str) -> Result<Permission, String> {
    let words = || Permission::ALL.map(Permission::as_str).join(", ");
    Permission::parse(text).ok_or_else(|| format!("must be one of {}", words()))
}

/// Runs one of the commands.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) fn run(
    command: &ServiceAccountCommand,
    environment: &Environment,
) -> anyhow::Result<()> {
    match command {
        ServiceAccountCommand::Create(args) => create(args, environment),
        ServiceAccountCommand::List(args) => list(args, environment),
        ServiceAccountCommand::Revoke(args) => revoke(args, environment),
    }
}

/// The applications named, or the only one there is.
async fn applications(engine: &Engine, named: &[String]) -> anyhow::Result<Vec<ApplicationId>> {
    if named.is_empty() {
        return Ok(vec![application_id(engine, None).await?]);
    }
    let mut ids = Vec::with_capacity(named.len());
    for text in named {
        ids.push(application_id(engine, Some(text)).await?);
    }
    Ok(ids)
}

fn create(args: &CreateArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let permissions = match args.permission.as_slice() {
                [] => Permission::ALL.to_vec(),
                named => named.to_vec(),
            };
            let new = NewServiceAccount {
                name: args.name.clone(),
                applications: applications(engine, &args.app).await?,
                permissions,
            };
            let made = engine.create_service_account(new).await?;
            output::json(&file(&made))?;
            if !args.json {
                output::notice(
                    "\nThe private key is shown this once, and Keyway keeps no copy: put the file where your \
                     program finds it.",
                );
            }
            Ok(())
        },
    )
}

/// The file the official clients' signers are made from.
fn file(made: &MadeServiceAccount) -> Value {
    json!({
        "type": "service_account",
        "name": made.account.name,
        "private_key_id": made.account.id,
        "private_key": made.private_key.expose_secret(),
        "organization_id": made.application.organization_id,
        "region": made.application.region,
        "permissions": made.account.permissions,
    })
}

fn list(args: &ListArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let accounts = engine.service_accounts().await?;
            if args.json {
                let views = accounts.iter().map(|(account, ids)| view(account, ids));
                return Ok(output::json(&views.collect())?);
            }
            let rows: Vec<_> = accounts
                .iter()
                .map(|(account, ids)| row(account, ids))
                .collect();
            let headings = [
                "ID",
                "NAME",
                "CREATED",
                "STATE",
                "PERMISSIONS",
                "APPLICATIONS",
            ];
            Ok(output::line(&output::table(headings, &rows))?)
        },
    )
}

fn view(account: &ServiceAccount, applications: &[ApplicationId]) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "permissions": account.permissions,
        "applications": applications,
        "created_at": account.created_at.as_secs(),
        "revoked_at": account.revoked_at.map(UnixMillis::as_secs),
    })
}

fn row(account: &ServiceAccount, applications: &[ApplicationId]) -> [String; 6] {
    let words = account.permissions.iter().map(|p| p.as_str());
    let ids = applications.iter().map(ToString::to_string);
    let state = match account.revoked_at {
        Some(at) => format!("revoked {}", timestamp(at)),
        None => "live".to_owned(),
    };
    [
        account.id.to_string(),
        account.name.clone(),
        timestamp(account.created_at),
        state,
        words.collect::<Vec<_>>().join(" "),
        ids.collect::<Vec<_>>().join(" "),
    ]
}

fn revoke(args: &RevokeArgs, environment: &Environment) -> anyhow::Result<()> {
    let next = "`keyway service-account list` shows the ids.";
    let id = args
        .id
        .parse()
        .map_err(|_| Failure::bad_input("that is not the id of a service account").next(next))?;
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            engine.revoke_service_account(id).await?;
            if args.json {
                return Ok(output::json(&json!({"id": id, "revoked": true}))?);
            }
            Ok(output::line(&format!(
                "Revoked {id}. Running servers refuse what it signs from now on. The API keys it made go on \
                 working: `keyway key list` shows them."
            ))?)
        },
    )
}
