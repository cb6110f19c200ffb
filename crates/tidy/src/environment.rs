//! Environment variables: all in one document.

use crate::tree;
use std::collections::BTreeSet;

/// Read by tests and scripts alone.
const OF_TESTS: [&str; 2] = ["KEYWAY_TEST_", "KEYWAY_PEERS_"];

fn variables(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices("KEYWAY_").map(|(at, _)| at);
    starts
        .map(|at| {
            let rest = &text[at..];
            let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('_')
        })
        .filter(|name| *name != "KEYWAY")
        .collect()
}

#[test]
fn every_variable_is_documented_and_every_documented_one_is_read() {
    let document = tree::read("docs/configuration.md");
    let documented = variables(&document);
    let files = tree::program();
    let read: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| variables(file.without_tests()))
        .filter(|name| !OF_TESTS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    let missing: Vec<_> = read
        .difference(&documented)
        .map(ToString::to_string)
        .collect();
    let invented: Vec<_> = documented
        .difference(&read)
        .map(ToString::to_string)
        .collect();
    tree::none("variables missing in docs/configuration.md", &missing);
    tree::none("variables nothing reads", &invented);
}
