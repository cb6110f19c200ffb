//! Links between documents lead somewhere.

use crate::tree;

/// The targets of `[text](target)` outside code blocks.
fn targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, block) in text.split("```").enumerate() {
        if at % 2 == 0 {
            let rests = block
                .match_indices("](")
                .map(|(at, mark)| &block[at + mark.len()..]);
            found.extend(rests.filter_map(|rest| rest.split_once(')').map(|(target, _)| target)));
        }
    }
    found
}

fn anchor_of(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_');
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(text: &str, anchor: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with('#') && anchor_of(line) == anchor)
}

#[test]
fn every_relative_link_leads_to_a_file_and_heading_that_exist() {
    let mut findings = Vec::new();
    for document in tree::files(|path| path.ends_with(".md")) {
        let folder = document
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        for target in targets(&document.text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let full = tree::root().join(folder).join(path);
            let text = match path {
                "" => Some(document.text.clone()),
                // A folder or a picture has no headings.
                _ if anchor.is_empty() && full.exists() => Some(String::new()),
                _ => std::fs::read_to_string(&full).ok(),
            };
            let leads = text.is_some_and(|text| anchor.is_empty() || has_anchor(&text, anchor));
            if !leads {
                findings.push(format!("{}: {target}", document.path));
            }
        }
    }
    tree::none("links that lead nowhere", &findings);
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let readme = tree::read("README.md");
    let documents = tree::files(|path| {
        path.starts_with("docs/") && path.ends_with(".md") && path.matches('/').count() == 1
    });
    let unlinked = documents
        .iter()
        .filter(|file| !readme.contains(&format!("({})", file.path)));
    tree::none(
        "documents nobody finds",
        &unlinked.map(|file| file.path.clone()).collect::<Vec<_>>(),
    );
}

/// Names of tests, as documents give them: in backticks, lower case, many words.
fn named_tests(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split('`').skip(1).step_by(2);
    words
        .filter(|word| word.matches('_').count() >= 4 && word.chars().all(is_part))
        // Those are metrics.
        .filter(|word| !word.starts_with("keyway_"))
        .collect()
}

#[test]
fn every_test_a_document_names_exists() {
    let rust = tree::rust();
    let mut findings = Vec::new();
    for document in tree::files(|path| path.starts_with("docs/") && path.ends_with(".md")) {
        for name in named_tests(&document.text) {
            let function = format!("fn {name}(");
            if !rust.iter().any(|file| file.text.contains(&function)) {
                findings.push(format!("{}: {name}", document.path));
            }
        }
    }
    tree::none("tests that are named and not there", &findings);
}
