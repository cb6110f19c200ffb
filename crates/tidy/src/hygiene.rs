//! Words that must not be there.

use crate::tree;

/// The marks of unfinished work, written so that this file does not hold them.
fn unfinished() -> [String; 5] {
    [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X:"],
        ["todo", "!("],
        ["unimplemented", "!("],
    ]
    .map(|halves| halves.concat())
}

/// Paths of somebody's machine, and hosts that serve packages on somebody's network.
fn local() -> [String; 6] {
    [
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/wo", "rk/"],
        ["/Use", "rs/"],
        ["index.", "crates.io"],
        ["registry.", "npmjs.org"],
    ]
    .map(|halves| halves.concat())
}

fn lines_with(words: &[String], file: &tree::File) -> Vec<String> {
    let numbered = file.text.lines().enumerate();
    let bad = numbered.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    bad.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
        .collect()
}

#[test]
fn nothing_is_left_for_later() {
    let words = unfinished();
    let files = tree::files(|path| !path.ends_with(".lock") && !path.ends_with("-lock.json"));
    let findings: Vec<_> = files
        .iter()
        .flat_map(|file| lines_with(&words, file))
        .collect();
    tree::none("unfinished work", &findings);
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let words = local();
    let findings: Vec<_> = tree::files(|_| true)
        .iter()
        .flat_map(|file| lines_with(&words, file))
        .collect();
    tree::none("machine paths and registry hosts", &findings);
}

#[test]
fn no_key_or_database_is_tracked() {
    let endings = [".db", ".db-wal", ".db-shm", "master.key", ".env"];
    let paths = tree::paths();
    let bad = paths
        .iter()
        .filter(|path| endings.iter().any(|ending| path.ends_with(ending)));
    tree::none(
        "files that hold data or secrets",
        &bad.cloned().collect::<Vec<_>>(),
    );
}
