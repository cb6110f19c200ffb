//! `keyway export`.

use super::format::{Chain, End, FORM, Header, Line, Rows, to_json};
use crate::cli::FileArgs;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::files::{create_private, draft_of, name_asked_for, refuse_existing};
use crate::open::Opened;
use crate::output;
use crate::progress::Progress;
use crate::session::with_database;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyway_core::entropy::random_bytes;
use keyway_core::sealed::DigestKind;
use keyway_core::time::{Clock as _, SystemClock};
use keyway_store::{Session, StoreError, portable_tables};
use keyway_vault::SystemEntropy;
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

/// Rows of a line.
const ROWS_PER_LINE: i64 = 500;

/// A file on its way.
struct Writing {
    out: BufWriter<File>,
    chain: Chain,
    rows: u64,
    progress: Progress,
}

impl Writing {
    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(line)?;
        self.chain.add(&text);
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }
}

/// Runs the command.
///
/// # Errors
/// In words for the operator.
pub(crate) fn run(args: &FileArgs, environment: &Environment) -> anyhow::Result<()> {
    with_database(&args.settings, environment, async |config, opened| {
        refuse_existing(&args.file)?;
        let draft = draft_of(&args.file);
        let written = write(opened, &draft).await.and_then(|rows| {
            name_asked_for(&draft, &args.file)?;
            Ok(rows)
        });
        if written.is_err() {
            drop(std::fs::remove_file(&draft));
        }
        let rows = written.with_context(|| {
            let what = format!(
                "{} cannot be exported to {}",
                config.database.value,
                args.file.display()
            );
            Failure::new(what)
                .next("Look at the disk's space and at the database. Nothing was changed.")
        })?;
        report(args, rows)
    })
}

fn report(args: &FileArgs, rows: u64) -> anyhow::Result<()> {
    let file = args.file.display().to_string();
    if args.json {
        return Ok(output::json(&json!({"file": file, "rows": rows}))?);
    }
    Ok(output::line(&format!(
        "{file} holds {rows} rows. Import it with the same master key:\n\
         keyway import {file} --database postgres://… --master-key-file …"
    ))?)
}

async fn write(opened: &Opened, draft: &Path) -> anyhow::Result<u64> {
    let out = BufWriter::new(create_private(draft)?);
    let job = opened
        .store
        .read(move |s| Box::pin(async move { write_rows(s, out).await }));
    let mut writing = job.await??;
    let digest = opened
        .vault
        .digest(DigestKind::Export, writing.chain.bytes());
    let end = End {
        rows: writing.rows,
        digest: STANDARD.encode(digest.0),
    };
    writing.line(&Line::End { end })?;
    let file = writing
        .out
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    writing
        .progress
        .finish(&format!("{} rows exported", writing.rows));
    Ok(writing.rows)
}

async fn header(s: &mut Session<'_>, schema: i64) -> Result<Header, StoreError> {
    let mut rows = 0;
    for table in portable_tables() {
        rows += u64::try_from(s.count_portable(table).await?).unwrap_or(0);
    }
    let id: [u8; 16] = random_bytes(&SystemEntropy);
    let key = s.keys().await?.into_iter().next();
    Ok(Header {
        keyway_export: FORM,
        schema,
        export_id: STANDARD.encode(id),
        made_at: SystemClock.now().as_secs(),
        master_key: key.map(|key| key.master_fingerprint).unwrap_or_default(),
        rows,
    })
}

/// Everything of one snapshot. What fails on the disk is told apart from what fails in the database.
async fn write_rows(
    s: &mut Session<'_>,
    out: BufWriter<File>,
) -> Result<io::Result<Writing>, StoreError> {
    let schema = s.schema_version().await?;
    let header = header(s, schema).await?;
    let mut writing = Writing {
        out,
        chain: Chain::default(),
        rows: 0,
        progress: Progress::new("exporting rows", header.rows),
    };
    if let Err(error) = writing.line(&header) {
        return Ok(Err(error));
    }
    for table in portable_tables() {
        let mut last = None;
        loop {
            let rows = s.portable_rows(table, last.as_ref(), ROWS_PER_LINE).await?;
            let Some(row) = rows.last() else { break };
            last = Some(row.clone());
            let values = rows.iter().map(|row| row.iter().map(to_json).collect());
            let line = Line::Rows(Rows {
                table: table.name.to_owned(),
                rows: values.collect(),
            });
            if let Err(error) = writing.line(&line) {
                return Ok(Err(error));
            }
            writing.rows += u64::try_from(rows.len()).unwrap_or(0);
            writing.progress.at(writing.rows);
        }
    }
    Ok(Ok(writing))
}
