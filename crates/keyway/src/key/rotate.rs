//! `keyway key rotate`.

use super::{adding, ending, expiry, key_id, view};
use crate::cli::SettingFlags;
use crate::config::environment::Environment;
use crate::open::Opening;
use crate::output;
use crate::session::{application_id, with_engine};
use clap::Args;
use keyway_engine::keys::{RotatedKey, Rotation};
use secrecy::ExposeSecret as _;
use serde_json::json;

/// `keyway key rotate`.
#[derive(Args, Debug)]
pub(crate) struct KeyRotateArgs {
    /// The key to replace: its id, as `keyway key list` shows it; never the key itself
    #[arg(long, value_name = "KEY_ID")]
    key: String,
    /// How many hours the old key goes on working beside the new one
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=8760))]
    overlap: u32,
    /// Let the new key end by itself after so many days [default: as long as the old one was made for]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    expires_in_days: Option<u32>,
    /// The application; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    settings: SettingFlags,
}

/// Runs the command.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) fn run(args: &KeyRotateArgs, environment: &Environment) -> anyhow::Result<()> {
    let key_id = key_id(&args.key)?;
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let id = application_id(engine, args.app.as_deref()).await?;
            let rotation = Rotation {
                overlap_secs: i64::from(args.overlap) * 3600,
                expires_at: args.expires_in_days.map(|days| ending(engine, days)),
            };
            let rotated = engine.rotate_key(id, key_id, rotation).await?;
            if args.json {
                let now = engine.now();
                let shown = view(&rotated.new, now);
                let shown = adding(shown, "api_key", json!(rotated.secret.expose_secret()));
                let shown = adding(shown, "replaces", view(&rotated.old, now));
                return Ok(output::json(&shown)?);
            }
            tell(&rotated)
        },
    )
}

fn tell(rotated: &RotatedKey) -> anyhow::Result<()> {
    output::line(&output::pairs(&[
        ("application_id", rotated.new.application_id.to_string()),
        ("key_id", rotated.new.id.to_string()),
        ("api_key", rotated.secret.expose_secret().to_owned()),
        ("expires", expiry(&rotated.new)),
        ("old_key_id", rotated.old.id.to_string()),
        ("old_expires", expiry(&rotated.old)),
    ]))?;
    Ok(output::line(
        "\nThe new API key is shown this once. Both work until the old one expires: give your programs the new \
         one before then.",
    )?)
}
