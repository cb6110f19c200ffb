//! The checklist of `docs/security-checklist.md`: every line has a verdict, and what is met a proof that exists.

use crate::tree;

const DOCUMENT: &str = "docs/security-checklist.md";
const VERDICTS: [&str; 4] = ["met", "partly", "not met", "n/a"];

/// A line of a table: what is asked, what is said of it, and why.
struct Line<'a> {
    text: &'a str,
    verdict: &'a str,
    here: &'a str,
}

fn lines(document: &str) -> Vec<Line<'_>> {
    let rows = document.lines().filter(|line| line.starts_with("| "));
    rows.map(|text| {
        let cells: Vec<_> = text.trim_matches('|').split(" | ").map(str::trim).collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        Line {
            text,
            verdict: if cells.len() == 4 { cell(2) } else { "" },
            here: cell(3),
        }
    })
    .filter(|line| !line.text.starts_with("| | what it asks"))
    .collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a word names a file of this repository, and whether that is there.
fn names_a_file(word: &str) -> Option<bool> {
    let is_path = word.contains('/') && !word.contains(' ') || word.ends_with(".toml");
    let root = tree::root();
    is_path.then(|| root.join("crates").join(word).is_file() || root.join(word).is_file())
}

#[test]
fn every_line_of_the_checklist_has_a_verdict_and_what_is_met_a_proof() {
    let document = tree::read(DOCUMENT);
    let rust = tree::rust();
    let is_test = |word: &str| {
        let function = format!("fn {word}(");
        word.contains('_') && rust.iter().any(|file| file.text.contains(&function))
    };
    let lines = lines(&document);
    assert!(lines.len() > 150, "{} lines", lines.len());
    let mut findings = Vec::new();
    for line in lines {
        let proved =
            quoted(line.here).any(|word| is_test(word) || names_a_file(word) == Some(true));
        if !VERDICTS.contains(&line.verdict) {
            findings.push(format!("no verdict: {}", line.text));
        } else if line.verdict == "met" && !proved && !line.here.contains("](") {
            findings.push(format!("no proof: {}", line.text));
        }
    }
    tree::none("lines of the checklist", &findings);
}

#[test]
fn every_file_the_documents_on_security_name_exists() {
    let mut findings = Vec::new();
    for path in [DOCUMENT, "docs/security.md"] {
        let document = tree::read(path);
        let gone = quoted(&document).filter(|word| names_a_file(word) == Some(false));
        findings.extend(
            gone.filter(|word| word.ends_with(".rs"))
                .map(|word| format!("{path}: {word}")),
        );
    }
    tree::none("files that are named and not there", &findings);
}
