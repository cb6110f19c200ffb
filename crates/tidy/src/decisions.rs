//! Decisions: numbered without gaps, each on one page of one form, all in the index.

use crate::tree;

const FOLDER: &str = "docs/decisions/";
const PARTS: [&str; 5] = [
    "## Context",
    "## Options",
    "## Choice",
    "## Consequences",
    "## Revisit when",
];

#[test]
fn every_decision_has_its_number_its_parts_and_its_place_in_the_index() {
    let index = tree::read("docs/decisions/README.md");
    let decisions = tree::files(|path| path.starts_with(FOLDER) && !path.ends_with("README.md"));
    for (number, file) in (1..).zip(&decisions) {
        let name = file.path.strip_prefix(FOLDER).unwrap();
        assert!(
            name.starts_with(&format!("{number:04}-")),
            "{name} leaves a gap"
        );
        assert!(
            index.contains(&format!("({name})")),
            "{name} is not in the index"
        );
        let mut from = 0;
        for part in PARTS {
            let at = file.text[from..].find(&format!("\n{part}\n"));
            from += at.unwrap_or_else(|| panic!("{name}: {part} is missing or out of order"));
        }
    }
    assert!(!decisions.is_empty());
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = tree::read("Cargo.toml").parse().unwrap();
    let document =
        tree::files(|path| path.starts_with(FOLDER) && path.ends_with("dependencies.md"));
    let document = &document.first().expect("a decision on dependencies").text;
    let workspace = manifest["workspace"]["dependencies"].as_table().unwrap();
    let missing: Vec<_> = workspace
        .keys()
        .filter(|name| !name.starts_with("keyway-") && !document.contains(&format!("| {name} |")))
        .cloned()
        .collect();
    tree::none("dependencies without a reason", &missing);
}
