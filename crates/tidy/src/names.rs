//! Files: their names, their lengths, their beginnings.

use crate::tree;

const LINES_MAX: usize = 600;
const TEST_LINES_MAX: usize = 800;
/// A file named for no noun collects what has no place.
const FORBIDDEN: [&str; 5] = [
    "utils.rs",
    "helpers.rs",
    "common.rs",
    "types.rs",
    "models.rs",
];

#[test]
fn no_file_is_too_long() {
    let mut findings = Vec::new();
    for file in
        tree::files(|path| path.ends_with(".rs") || path.ends_with(".mjs") || path.ends_with(".py"))
    {
        let lines = file.text.lines().count();
        let is_test = file.is_test() || file.path.starts_with("tests/");
        if lines > if is_test { TEST_LINES_MAX } else { LINES_MAX } {
            findings.push(format!("{} has {lines} lines", file.path));
        }
    }
    tree::none("files that are too long", &findings);
}

#[test]
fn no_file_is_named_for_nothing() {
    let paths = tree::paths();
    let is_forbidden = |path: &&String| FORBIDDEN.contains(&path.rsplit('/').next().unwrap());
    let findings: Vec<_> = paths.iter().filter(is_forbidden).cloned().collect();
    tree::none("files that need a noun for a name", &findings);
}

#[test]
fn every_crate_says_first_what_it_is_for() {
    let roots = tree::files(|path| {
        path.starts_with("crates/")
            && (path.ends_with("src/lib.rs") || path.ends_with("src/main.rs"))
    });
    let mut findings = Vec::new();
    for root in &roots {
        let opening = root.text.lines().take_while(|line| line.starts_with("//!"));
        let words = opening
            .map(|line| line.trim_start_matches("//!").split_whitespace().count())
            .sum::<usize>();
        if words < 10 {
            findings.push(root.path.clone());
        }
    }
    assert!(roots.len() >= 10, "{} crates", roots.len());
    tree::none(
        "crate roots without a paragraph on their purpose",
        &findings,
    );
}

#[test]
fn every_module_file_says_first_what_it_is_for() {
    let files = tree::program();
    let findings: Vec<_> = files
        .iter()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| file.path.clone())
        .collect();
    tree::none("files without a line on their purpose", &findings);
}
