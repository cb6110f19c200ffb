//! The numbered rules of `docs/architecture.md`, and the tests that prove them.

use crate::tree;
use std::collections::BTreeSet;

const RULES: std::ops::RangeInclusive<u8> = 1..=14;

fn numbers_in(text: &str) -> BTreeSet<u8> {
    let after = text.split("rule_").skip(1);
    after
        .filter_map(|rest| rest.get(..2)?.parse().ok())
        .collect()
}

#[test]
fn every_rule_has_a_test_with_its_number() {
    let files = tree::rust();
    let tests = files.iter().filter(|file| !file.path.contains("/tidy/"));
    let proved: BTreeSet<u8> = tests.flat_map(|file| numbers_in(&file.text)).collect();
    let unproved: Vec<_> = RULES
        .filter(|rule| !proved.contains(rule))
        .map(|rule| format!("rule {rule}"))
        .collect();
    tree::none("rules without a test", &unproved);
}

#[test]
fn no_test_proves_a_rule_that_does_not_exist() {
    let files = tree::rust();
    let tests = files.iter().filter(|file| !file.path.contains("/tidy/"));
    for file in tests {
        for number in numbers_in(&file.text) {
            assert!(RULES.contains(&number), "{}: rule {number}", file.path);
        }
    }
}

#[test]
fn every_rule_is_written_down() {
    let text = tree::read("docs/architecture.md");
    for rule in RULES {
        let line = format!("\n{rule}. ");
        assert!(
            text.contains(&line),
            "docs/architecture.md has no rule {rule}"
        );
    }
}
