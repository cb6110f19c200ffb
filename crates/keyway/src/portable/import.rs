//! `keyway import`: checked whole before anything is written; then line by line, each with a note of how far it is
//! in the same transaction, so that it goes on from wherever it stopped.

use super::format::{Chain, End, FORM, Header, Line, Rows};
use crate::cli::FileArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::logging::{self, Program};
use crate::open::{self, Opening};
use crate::output;
use crate::progress::Progress;
use crate::session::on_runtime;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyway_core::sealed::{Digest, DigestKind};
use keyway_engine::unlock;
use keyway_outbound::Transport;
use keyway_store::{Cell, Store, StoreError};
use keyway_vault::SystemEntropy;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The note an unfinished import leaves in the database.
const NOTE: &str = "import";

/// How far an import is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnderWay {
    /// Which export it reads.
    export_id: String,
    /// Lines of rows that are in the database.
    lines: u64,
    /// Rows that are in the database.
    rows: u64,
    /// What the lines up to here come to, in base64: whoever goes on goes on with the same ones.
    #[serde(default)]
    chain: String,
}

/// How far the import into this database is, if one is not finished.
///
/// # Errors
/// If the database does not answer, or holds a note this program does not understand.
pub(crate) async fn under_way(store: &Store) -> anyhow::Result<Option<UnderWay>> {
    let note = store.read(|s| Box::pin(async move { s.server_note(NOTE).await }));
    let note = note.await?;
    Ok(note.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(args: &FileArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load_settings(&args.settings, environment)?;
    logging::start(&config.log, Program::Command);
    on_runtime(async |runtime| {
        let whole = check_file(&args.file)?;
        let store = open::open_store(&config, Opening::MayMake).await?;
        let done = import(args, &config, runtime.handle(), (&store, &whole)).await;
        store.close().await;
        done?;
        report(args, &config, whole.header.rows)
    })
}

fn report(args: &FileArgs, config: &Config, rows: u64) -> anyhow::Result<()> {
    let database = config.database.value.to_string();
    if args.json {
        return Ok(output::json(&json!({"database": database, "rows": rows}))?);
    }
    Ok(output::line(&format!(
        "{database} holds the {rows} rows of {}. Start the servers on it.",
        args.file.display()
    ))?)
}

/// A file that was read to its end.
struct Whole {
    header: Header,
    chain: Chain,
    end: End,
    /// The rows of the vault's keys, which tell whether the end is genuine.
    keys: Vec<Vec<Cell>>,
}

fn unusable(file: &Path, why: &str) -> Failure {
    Failure::bad_input(format!("{} cannot be imported: {why}", file.display()))
        .next("Export again with this version of keyway. This run wrote nothing.")
}

/// Reads the file to its end. What it says is not known to be genuine yet.
fn check_file(path: &Path) -> anyhow::Result<Whole> {
    let what = || unusable(path, "it is not a whole export");
    let mut lines = BufReader::new(File::open(path).with_context(what)?).lines();
    let first = lines.next().with_context(what)?.with_context(what)?;
    let header: Header = serde_json::from_str(&first).with_context(what)?;
    if header.keyway_export != FORM {
        return Err(unusable(path, "it was written by a newer version").into());
    }
    let (mut chain, mut keys, mut rows) = (Chain::default(), Vec::new(), 0);
    chain.add(&first);
    for line in lines {
        let line = line.with_context(what)?;
        match serde_json::from_str(&line).with_context(what)? {
            Line::End { end } if end.rows == rows && end.rows == header.rows => {
                return Ok(Whole {
                    header,
                    chain,
                    end,
                    keys,
                });
            }
            Line::End { .. } => bail!(what()),
            Line::Rows(some) => {
                chain.add(&line);
                let (table, cells) = some.cells().with_context(what)?;
                rows += u64::try_from(cells.len()).unwrap_or(0);
                if table.name == "vault_keys" {
                    keys.extend(cells);
                }
            }
        }
    }
    bail!(what())
}

async fn import(
    args: &FileArgs,
    config: &Config,
    runtime: &Handle,
    (store, whole): (&Store, &Whole),
) -> anyhow::Result<()> {
    if whole.header.schema != store.schema_version().await? {
        return Err(unusable(&args.file, "it was written by another version of keyway").into());
    }
    let begun = begin(args, config, store, whole).await?;
    require_genuine(args, config, runtime, whole).await?;
    let mut progress = Progress::new("importing rows", whole.header.rows);
    let mut reading = Reading::open(&args.file)?;
    let genuine = |is| match is {
        true => Ok(()),
        false => Err(spoiled(args, config)),
    };
    while let Some(rows) = reading.next().with_context(|| spoiled(args, config))? {
        let at = reading.at(&whole.header);
        if at.lines == begun.lines {
            genuine(at.chain == begun.chain)?;
        }
        if at.lines > begun.lines {
            store_line(store, rows, &at).await?;
        }
        progress.at(at.rows);
    }
    // It was checked, and then read once more.
    genuine(reading.chain == whole.chain)?;
    finish(store).await?;
    progress.finish(&format!("{} rows imported", reading.rows));
    Ok(())
}

/// What is in the database is not what the file was when it was checked.
fn spoiled(args: &FileArgs, config: &Config) -> Failure {
    let what = format!(
        "{} is not what it was when its first lines were imported",
        args.file.display()
    );
    Failure::new(what).next(format!(
        "Do not use {}: some of it is of unknown origin. Import again into an empty database.",
        config.database.value
    ))
}

/// A file that is read line by line, and how far.
struct Reading {
    lines: Lines<BufReader<File>>,
    chain: Chain,
    count: u64,
    rows: u64,
}

impl Reading {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut reading = Self {
            lines: BufReader::new(File::open(path)?).lines(),
            chain: Chain::default(),
            count: 0,
            rows: 0,
        };
        let header = reading.lines.next().context("it is empty")??;
        reading.chain.add(&header);
        Ok(reading)
    }

    /// The next line of rows; `None` at the end.
    fn next(&mut self) -> anyhow::Result<Option<Rows>> {
        let line = self.lines.next().context("it ends too early")??;
        let Line::Rows(rows) = serde_json::from_str(&line)? else {
            return Ok(None);
        };
        self.chain.add(&line);
        self.count += 1;
        self.rows += u64::try_from(rows.rows.len()).unwrap_or(0);
        Ok(Some(rows))
    }

    fn at(&self, header: &Header) -> UnderWay {
        UnderWay {
            export_id: header.export_id.clone(),
            lines: self.count,
            rows: self.rows,
            chain: STANDARD.encode(self.chain.bytes()),
        }
    }
}

/// From where to go on: the beginning, on an empty database.
async fn begin(
    args: &FileArgs,
    config: &Config,
    store: &Store,
    whole: &Whole,
) -> anyhow::Result<UnderWay> {
    let export_id = whole.header.export_id.clone();
    match under_way(store).await? {
        Some(begun) if begun.export_id == export_id => return Ok(begun),
        Some(_) => {
            let what = format!(
                "another import into {} is not finished",
                config.database.value
            );
            return Err(Failure::bad_input(what)
                .next("Finish it with its own file, or name an empty database.")
                .into());
        }
        None => {}
    }
    let is_empty = store.read(|s| Box::pin(async move { s.is_empty_database().await }));
    if is_empty.await? {
        return Ok(UnderWay {
            export_id,
            lines: 0,
            rows: 0,
            chain: String::new(),
        });
    }
    let what = format!(
        "{} is not empty, and {} is to be a whole database",
        config.database.value,
        args.file.display()
    );
    Err(Failure::bad_input(what)
        .next("Name an empty database with --database.")
        .into())
}

/// Opens the vault of the file with the master key, and checks the file's digest with it.
async fn require_genuine(
    args: &FileArgs,
    config: &Config,
    runtime: &Handle,
    whole: &Whole,
) -> anyhow::Result<()> {
    let transport: Arc<dyn Transport> = Arc::new(open::transport(config, runtime)?);
    let masters = open::master_keys(config, &transport);
    let rows = whole.keys.iter().map(|row| unlock::key_of_cells(row));
    let rows = rows.collect::<Option<Vec<_>>>();
    let rows = rows.with_context(|| unusable(&args.file, "its keys are in no form of ours"))?;
    if masters.read_all().await?.is_empty() {
        return Err(masters.missing(&args.file.display().to_string()).into());
    }
    let vault = unlock::open_rows(rows, &masters, Arc::new(SystemEntropy)).await;
    let vault = vault.with_context(|| {
        Failure::new(format!("the master key does not open {}", args.file.display()))
            .next("Name the master key of the exported database with --master-key-file, or set KEYWAY_MASTER_KEY.")
    })?;
    let digest = STANDARD.decode(&whole.end.digest).ok();
    let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let is_genuine = digest.is_some_and(|digest| {
        vault.verify_digest(DigestKind::Export, whole.chain.bytes(), &Digest(digest))
    });
    if !is_genuine {
        return Err(unusable(&args.file, "it was changed since it was exported").into());
    }
    Ok(())
}

async fn store_line(store: &Store, rows: Rows, at: &UnderWay) -> anyhow::Result<()> {
    let (table, cells) = rows.cells()?;
    let note = serde_json::to_string(at)?;
    let stored = store.write::<_, StoreError, _>(move |s| {
        Box::pin(async move {
            for row in &cells {
                s.insert_portable(table, row).await?;
            }
            s.put_server_note(NOTE, &note).await
        })
    });
    stored.await.with_context(|| {
        Failure::new(format!("the import stopped in {}", table.name))
            .next("Run the same command again: it goes on where it stopped.")
    })
}

async fn finish(store: &Store) -> anyhow::Result<()> {
    let finished = store.write::<_, StoreError, _>(|s| {
        Box::pin(async move {
            s.go_on_counting().await?;
            s.delete_server_note(NOTE).await
        })
    });
    finished.await?;
    Ok(())
}
