//! The file: lines of JSON. The first says what it is, the last that it is whole, those between hold rows of one
//! table each. Every line goes into a chain of hashes, whose end the vault's digest key signs in the last line:
//! whoever changes, drops or moves a line is noticed.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyway_store::{Cell, CellKind, Column, PortableTable, portable_table};
use keyway_vault::hash::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of the file.
pub(super) const FORM: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The form of the file.
    pub(super) keyway_export: u32,
    /// The schema of the database.
    pub(super) schema: i64,
    /// Names this export.
    pub(super) export_id: String,
    /// When it was made, in seconds.
    pub(super) made_at: i64,
    /// Which master key the database belongs to.
    pub(super) master_key: String,
    /// How many rows there are.
    pub(super) rows: u64,
}

/// A line of rows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rows {
    /// The table.
    pub(super) table: String,
    /// The rows, each with all columns in the order of [`PortableTable::columns`].
    pub(super) rows: Vec<Vec<Value>>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    /// How many rows there were.
    pub(super) rows: u64,
    /// The keyed digest of the end of the chain, in base64.
    pub(super) digest: String,
}

/// Any line but the first.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    /// Rows.
    Rows(Rows),
    /// The end.
    End {
        /// What it says.
        end: End,
    },
}

/// The chain of hashes over the lines so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// Takes in a line, without its end.
    pub(super) fn add(&mut self, line: &str) {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(line.as_bytes());
        self.0 = sha256(&bytes);
    }

    /// What the digest is of.
    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A value as JSON.
pub(super) fn to_json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(number) => (*number).into(),
        Cell::Text(text) => text.as_str().into(),
        Cell::Bytes(bytes) => STANDARD.encode(bytes).into(),
    }
}

fn from_json(column: &Column, value: Value) -> anyhow::Result<Cell> {
    Ok(match (column.kind, value) {
        (_, Value::Null) => Cell::Null,
        (CellKind::Int, Value::Number(number)) => {
            Cell::Int(number.as_i64().context("a number that is no integer")?)
        }
        (CellKind::Text, Value::String(text)) => Cell::Text(text),
        (CellKind::Bytes, Value::String(text)) => Cell::Bytes(STANDARD.decode(text)?),
        _ => bail!("a value of another type in {}", column.name),
    })
}

impl Rows {
    /// The table and its rows as the store takes them.
    ///
    /// # Errors
    /// If there is no such table, or a row is not one of it.
    pub(super) fn cells(self) -> anyhow::Result<(&'static PortableTable, Vec<Vec<Cell>>)> {
        let table = portable_table(&self.table);
        let table = table.with_context(|| format!("an unknown table {}", self.table))?;
        let row = |row: Vec<Value>| {
            if row.len() != table.columns.len() {
                bail!("a row of {} with {} columns", table.name, row.len());
            }
            let cells = table.columns.iter().zip(row);
            cells
                .map(|(column, value)| from_json(column, value))
                .collect()
        };
        let rows = self.rows.into_iter().map(row);
        Ok((table, rows.collect::<anyhow::Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_the_file() {
        let column = |kind| Column { name: "c", kind };
        for (kind, cell) in [
            (CellKind::Int, Cell::Int(i64::MIN)),
            (CellKind::Text, Cell::Text("\u{1F511}\n\"".into())),
            (CellKind::Bytes, Cell::Bytes(vec![0, 255])),
            (CellKind::Bytes, Cell::Null),
        ] {
            let text = to_json(&cell).to_string();
            let value = serde_json::from_str(&text).unwrap();
            assert_eq!(from_json(&column(kind), value).unwrap(), cell);
        }
        assert!(from_json(&column(CellKind::Int), "1".into()).is_err());
    }

    #[test]
    fn rows_of_another_shape_are_refused() {
        let rows = |table: &str, row: Vec<Value>| Rows {
            table: table.to_owned(),
            rows: vec![row],
        };
        assert!(rows("nothing", vec![]).cells().is_err());
        assert!(rows("signing_keys", vec!["k".into()]).cells().is_err());
    }

    #[test]
    fn the_chain_depends_on_every_line_and_their_order() {
        let chain = |lines: &[&str]| {
            let mut chain = Chain::default();
            lines.iter().for_each(|line| chain.add(line));
            chain
        };
        assert_eq!(chain(&["a", "b"]), chain(&["a", "b"]));
        for other in [&["b", "a"][..], &["a"], &["ab"], &["a", "b", ""]] {
            assert_ne!(chain(other), chain(&["a", "b"]));
        }
    }
}
