//! What commands print for people and scripts: the only place that writes to standard output.

use serde_json::Value;
use std::io::{self, Write as _};

/// Prints one line. A reader that has gone away, as in `keyway app list | head -1`, is no failure.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Prints a value as JSON over several lines.
pub(crate) fn json(value: &Value) -> io::Result<()> {
    line(&format!("{value:#}"))
}

/// Prints a line for people to standard error.
pub(crate) fn notice(text: &str) {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Lines of `name  value`, the values under one another.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = rows
        .iter()
        .map(|(name, value)| format!("{name:width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A table: a line of headings, then the rows, in columns.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let widths = headings
        .iter()
        .enumerate()
        .map(|(at, heading)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.chars().count())
                .fold(heading.len(), usize::max)
        })
        .collect::<Vec<_>>();
    let one = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![one(&mut headings.into_iter())];
    lines.extend(
        rows.iter()
            .map(|row| one(&mut row.iter().map(String::as_str))),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_under_one_another() {
        let rows = [("id", "1".to_owned()), ("name", "x".to_owned())];
        assert_eq!(pairs(&rows), "id    1\nname  x");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["long cell".to_owned(), "b".to_owned()]];
        assert_eq!(table(["a", "head"], &rows), "a          head\nlong cell  b");
    }
}
