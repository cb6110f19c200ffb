//! Rows on their way out of a statement: columns are taken in order, each with the type it must have.

use crate::error::StoreError;
use keyway_core::sealed::{Digest, Sealed};
use keyway_core::time::UnixMillis;
use rusqlite::types::Value;
use serde::de::DeserializeOwned;
use std::str::FromStr;

enum Cells {
    Sqlite(std::vec::IntoIter<Value>),
    Postgres(tokio_postgres::Row),
}

/// One row of an answer. Each getter takes the next column and is told its name, for errors.
pub(crate) struct Row {
    table: &'static str,
    cells: Cells,
    taken: usize,
    id: Option<String>,
}

type Taken<T> = Result<T, StoreError>;

impl Row {
    pub(crate) fn sqlite(table: &'static str, values: Vec<Value>) -> Self {
        Self::new(table, Cells::Sqlite(values.into_iter()))
    }

    pub(crate) fn postgres(table: &'static str, row: tokio_postgres::Row) -> Self {
        Self::new(table, Cells::Postgres(row))
    }

    const fn new(table: &'static str, cells: Cells) -> Self {
        Self {
            table,
            cells,
            taken: 0,
            id: None,
        }
    }

    /// The error for a value that Keyway cannot have written.
    pub(crate) fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt {
            table: self.table,
            column,
            id: self.id.clone(),
        }
    }

    fn step(&mut self) -> usize {
        let at = self.taken;
        self.taken += 1;
        at
    }

    fn present<T>(&self, value: Option<T>, column: &'static str) -> Taken<T> {
        value.ok_or_else(|| self.corrupt(column))
    }

    pub(crate) fn opt_int(&mut self, column: &'static str) -> Taken<Option<i64>> {
        let at = self.step();
        let value = match &mut self.cells {
            Cells::Postgres(row) => row.try_get(at).ok(),
            Cells::Sqlite(values) => match values.next() {
                Some(Value::Integer(number)) => Some(Some(number)),
                Some(Value::Null) => Some(None),
                _ => None,
            },
        };
        self.present(value, column)
    }

    pub(crate) fn opt_text(&mut self, column: &'static str) -> Taken<Option<String>> {
        let at = self.step();
        let value = match &mut self.cells {
            Cells::Postgres(row) => row.try_get(at).ok(),
            Cells::Sqlite(values) => match values.next() {
                Some(Value::Text(text)) => Some(Some(text)),
                Some(Value::Null) => Some(None),
                _ => None,
            },
        };
        self.present(value, column)
    }

    pub(crate) fn opt_bytes(&mut self, column: &'static str) -> Taken<Option<Vec<u8>>> {
        let at = self.step();
        let value = match &mut self.cells {
            Cells::Postgres(row) => row.try_get(at).ok(),
            Cells::Sqlite(values) => match values.next() {
                Some(Value::Blob(bytes)) => Some(Some(bytes)),
                Some(Value::Null) => Some(None),
                _ => None,
            },
        };
        self.present(value, column)
    }

    pub(crate) fn int(&mut self, column: &'static str) -> Taken<i64> {
        let value = self.opt_int(column)?;
        self.present(value, column)
    }

    pub(crate) fn text(&mut self, column: &'static str) -> Taken<String> {
        let value = self.opt_text(column)?;
        self.present(value, column)
    }

    pub(crate) fn bytes(&mut self, column: &'static str) -> Taken<Vec<u8>> {
        let value = self.opt_bytes(column)?;
        self.present(value, column)
    }

    pub(crate) fn flag(&mut self, column: &'static str) -> Taken<bool> {
        match self.int(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.corrupt(column)),
        }
    }

    pub(crate) fn time(&mut self, column: &'static str) -> Taken<UnixMillis> {
        self.int(column).map(UnixMillis)
    }

    pub(crate) fn opt_time(&mut self, column: &'static str) -> Taken<Option<UnixMillis>> {
        Ok(self.opt_int(column)?.map(UnixMillis))
    }

    /// The row's own id: errors on later columns name it.
    pub(crate) fn own_id<T: FromStr>(&mut self, column: &'static str) -> Taken<T> {
        let text = self.text(column)?;
        let parsed = text.parse().ok();
        self.id = Some(text);
        self.present(parsed, column)
    }

    /// A value that is written as its text: an id, a provider.
    pub(crate) fn parsed<T: FromStr>(&mut self, column: &'static str) -> Taken<T> {
        let text = self.text(column)?;
        self.present(text.parse().ok(), column)
    }

    pub(crate) fn opt_parsed<T: FromStr>(&mut self, column: &'static str) -> Taken<Option<T>> {
        match self.opt_text(column)? {
            None => Ok(None),
            Some(text) => self.present(text.parse().ok(), column).map(Some),
        }
    }

    /// One of a fixed set of words.
    pub(crate) fn word<T>(
        &mut self,
        column: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Taken<T> {
        let text = self.text(column)?;
        self.present(parse(&text), column)
    }

    pub(crate) fn opt_word<T>(
        &mut self,
        column: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Taken<Option<T>> {
        let text = self.opt_text(column)?;
        let word = text.map(|text| self.present(parse(&text), column));
        word.transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self, column: &'static str) -> Taken<T> {
        let text = self.text(column)?;
        self.present(serde_json::from_str(&text).ok(), column)
    }

    pub(crate) fn sealed(&mut self, column: &'static str) -> Taken<Sealed> {
        self.bytes(column).map(Sealed)
    }

    pub(crate) fn opt_sealed(&mut self, column: &'static str) -> Taken<Option<Sealed>> {
        Ok(self.opt_bytes(column)?.map(Sealed))
    }

    pub(crate) fn digest(&mut self, column: &'static str) -> Taken<Digest> {
        let value = self.opt_digest(column)?;
        self.present(value, column)
    }

    pub(crate) fn opt_digest(&mut self, column: &'static str) -> Taken<Option<Digest>> {
        match self.opt_bytes(column)? {
            None => Ok(None),
            Some(bytes) => self
                .present(bytes.try_into().ok(), column)
                .map(|bytes| Some(Digest(bytes))),
        }
    }
}
