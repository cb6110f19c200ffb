//! Secrets are found by keyed digests and compared in a time that tells nothing.

use crate::tree;

/// What an operand of a comparison is called if it holds a secret, or decides on one.
const SECRET: [&str; 6] = [
    "expose_secret",
    "digest",
    "verifier",
    "api_key",
    "access_token",
    "refresh_token",
];
/// Comparisons nobody's guess is part of, by a piece of their line.
const HARMLESS: [&str; 1] = [
    // Two tokens a provider gave: whether it has replaced the first.
    "new.expose_secret() != old.expose_secret()",
];

/// The operands of the comparisons of a line, by `==` or `!=`.
fn operands(line: &str) -> Vec<&str> {
    let ends = |c: char| c.is_whitespace() || "(){},;&|".contains(c);
    let signs = line.match_indices("==").chain(line.match_indices("!="));
    signs
        .flat_map(|(at, sign)| {
            let before = line[..at].trim_end().trim_end_matches("()");
            let after = line[at + sign.len()..].trim_start().trim_start_matches('&');
            [
                before.rsplit(ends).next().unwrap_or_default(),
                after.split(ends).next().unwrap_or_default(),
            ]
        })
        .collect()
}

#[test]
fn timing_no_secret_is_compared_byte_by_byte() {
    let mut findings = Vec::new();
    for file in tree::program() {
        // The sandbox is no server of anybody's secrets, nor is the demonstration.
        if file.path.contains("/sandbox/") || file.path.contains("/demo") {
            continue;
        }
        for (number, line) in file.without_tests().lines().enumerate() {
            let is_harmless = HARMLESS.iter().any(|piece| line.contains(piece));
            let mut sides = operands(line).into_iter();
            // `is_none()` and the like say whether there is one, and literals are known to everybody.
            let compares = sides.any(|side| SECRET.iter().any(|word| side.contains(word)));
            if compares && !is_harmless && !line.contains('"') {
                findings.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    tree::none("secrets compared byte by byte", &findings);
}

#[test]
fn timing_what_a_caller_shows_is_looked_up_or_proved_by_a_keyed_digest() {
    let keys = tree::read("crates/store/src/rows/api_keys.rs");
    assert!(
        keys.contains("digest = $1"),
        "an API key is found by its digest"
    );
    let find = tree::read("crates/engine/src/tokens/find.rs");
    let (lookups, proofs) = (
        find.matches("parse_named(").count(),
        find.matches(".verify_digest(").count(),
    );
    assert_eq!(
        (lookups, proofs),
        (3, 3),
        "whatever is found by its name is proved"
    );
    let vault = tree::read("crates/vault/src/vault.rs");
    let (_, body) = vault.split_once("fn verify_digest(").unwrap();
    let body = body.split("\n    }").next().unwrap();
    assert!(body.contains("constant_time_eq("), "{body}");
}

#[test]
fn a_comparison_of_secrets_is_seen() {
    assert_eq!(
        operands("if a.digest == b.digest {"),
        ["a.digest", "b.digest"]
    );
    assert_eq!(
        operands("x(one.expose_secret() != &other)"),
        ["one.expose_secret", "other"]
    );
    assert!(operands("let a = b;").is_empty());
}
