//! `keyway keyring`: the keys of the database, their rotation, and their master key.

mod replace;

use crate::cli::{KeyringCommand, ListArgs, RotateArgs};
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::open::Opening;
use crate::output;
use crate::progress::Progress;
use crate::session::{timestamp, with_engine};
use keyway_engine::Engine;
use keyway_engine::keyring::reseal::Resealed;
use keyway_engine::keyring::{KeyringStatus, RETIRES_AFTER_SECS, RotateError, TermStatus};
use keyway_vault::KeyState;
use serde_json::{Value, json};
use std::time::Duration;

/// How often a command looks whether a server is done with the work it has taken.
const WATCH: Duration = Duration::from_secs(2);
/// How many values that do not open are named.
const UNREADABLE_TOLD: usize = 20;

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(command: &KeyringCommand, environment: &Environment) -> anyhow::Result<()> {
    match command {
        KeyringCommand::Status(args) => show(args, environment),
        KeyringCommand::Rotate(args) => rotate(args, environment),
        KeyringCommand::ReplaceMaster(args) => replace::run(args, environment),
    }
}

fn show(args: &ListArgs, environment: &Environment) -> anyhow::Result<()> {
    let opening = Opening::MustExist;
    with_engine(&args.settings, environment, opening, async |_, engine| {
        let status = engine.keyring_status().await?;
        print(&status, args.json)
    })
}

fn print(status: &KeyringStatus, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return Ok(output::json(&view(status))?);
    }
    output::line(&format!("master key  {}\n", status.master_fingerprint))?;
    let rows: Vec<_> = status.terms.iter().map(row).collect();
    output::line(&output::table(
        ["term", "state", "since", "values sealed"],
        &rows,
    ))?;
    for (term, values) in &status.strays {
        output::line(&format!(
            "\n{values} values are sealed with term {term}, which is not on the keyring: they cannot be read."
        ))?;
    }
    match advice(status) {
        Some(words) => Ok(output::line(&format!("\n{words}"))?),
        None => Ok(()),
    }
}

fn row(term: &TermStatus) -> [String; 4] {
    let parts = term
        .values
        .iter()
        .map(|(column, n)| format!("{column} {n}"));
    let parts = parts.collect::<Vec<_>>().join(", ");
    let values = match term.total() {
        0 => "0".to_owned(),
        total => format!("{total} ({parts})"),
    };
    let state = term.state.as_str().to_owned();
    [term.term.to_string(), state, timestamp(term.since), values]
}

/// What is left to do.
fn advice(status: &KeyringStatus) -> Option<String> {
    if status.newest(KeyState::Announced).is_some() {
        return Some("A rotation was begun: a running server goes on with it, or `keyway keyring rotate --resume`.".to_owned());
    }
    let retired_with_values = |t: &&TermStatus| t.state == KeyState::Retired && t.total() > 0;
    if let Some(term) = status.terms.iter().find(retired_with_values) {
        return Some(format!(
            "Term {} is retired and yet seals something: `keyway keyring rotate --resume` brings it back and seals that anew.",
            term.term
        ));
    }
    let old = status.newest(KeyState::Retiring)?;
    let at = timestamp(old.since.plus_secs(RETIRES_AFTER_SECS));
    Some(format!(
        "Term {} is retired after {at}, once it seals nothing: by a running server, or by `keyway keyring rotate --resume`.",
        old.term
    ))
}

fn view(status: &KeyringStatus) -> Value {
    let terms = status.terms.iter().map(|term| {
        json!({
            "term": term.term,
            "state": term.state.as_str(),
            "since": term.since.as_secs(),
            "values": term.values,
        })
    });
    json!({
        "master_key": status.master_fingerprint,
        "terms": terms.collect::<Vec<_>>(),
        "unreadable_terms": status.strays,
        "to_reseal": status.to_reseal(),
    })
}

fn rotate(args: &RotateArgs, environment: &Environment) -> anyhow::Result<()> {
    let opening = Opening::MustExist;
    with_engine(&args.settings, environment, opening, async |_, engine| {
        // What a straggler stored with a retired term could not be read otherwise, to be sealed anew.
        engine.revive_terms().await?;
        if !args.resume {
            begin(engine).await?;
        }
        activate(engine).await?;
        let resealed = reseal(engine).await?;
        engine.retire_terms().await?;
        let status = engine.keyring_status().await?;
        print(&status, args.json)?;
        report_unreadable(&resealed)
    })
}

/// Announces a new term, unless one is announced already. What an earlier rotation left to be sealed anew is no
/// hindrance: this one seals it too.
async fn begin(engine: &Engine) -> anyhow::Result<()> {
    let announced = engine.announce_term().await;
    let term = match announced {
        Err(error @ RotateError::UnderWay { .. }) => {
            let failure = Failure::bad_input("the last rotation is not over yet")
                .next("Go on with it: keyway keyring rotate --resume");
            return Err(anyhow::Error::from(error).context(failure));
        }
        announced => announced?,
    };
    output::notice(&format!(
        "Term {term} is made. It seals in {} seconds, when every server knows it.",
        engine.announced_for().as_secs()
    ));
    Ok(())
}

/// Waits until an announced term seals, whoever makes it so.
async fn activate(engine: &Engine) -> anyhow::Result<()> {
    loop {
        engine.activate_announced().await?;
        if !engine.is_announcing().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn reseal(engine: &Engine) -> anyhow::Result<Resealed> {
    let total = u64::try_from(engine.keyring_status().await?.to_reseal()).unwrap_or(0);
    let mut progress = Progress::new("sealing anew", total);
    let mut all = Resealed::default();
    loop {
        let before = all.done;
        let some = engine
            .reseal(Duration::ZERO, |done| progress.at(before + done))
            .await?;
        all.done += some.done;
        all.unreadable = some.unreadable;
        if some.is_complete {
            progress.finish(&format!("{} values sealed anew", all.done));
            return Ok(all);
        }
        // A running server has taken the work: watch it.
        tokio::time::sleep(WATCH).await;
        let left = engine.keyring_status().await?.to_reseal();
        progress.at(total.saturating_sub(u64::try_from(left).unwrap_or(0)));
    }
}

fn report_unreadable(resealed: &Resealed) -> anyhow::Result<()> {
    let Some(first) = resealed.unreadable.first() else {
        return Ok(());
    };
    for value in resealed.unreadable.iter().take(UNREADABLE_TOLD) {
        output::notice(&format!("does not open: {value}"));
    }
    let what = format!(
        "{} values do not open and stay as they are; the first is {first}",
        resealed.unreadable.len()
    );
    Err(Failure::new(what)
        .next(
            "Everything else is sealed anew. They were damaged or moved from another row: bring them back from a\n\
             backup, or delete what they belong to. Their term stays until then.",
        )
        .into())
}
