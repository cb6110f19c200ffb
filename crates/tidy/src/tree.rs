//! The files of this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 6] = [
    ".git",
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    "keyway-data",
];

/// A text file, by its path from the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Whether the file holds tests alone.
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.ends_with("tests.rs")
            || self.path.contains("/tidy/")
    }

    /// The text without the unit tests at its end.
    pub(crate) fn without_tests(&self) -> &str {
        let end = self.text.find("#[cfg(test)]\nmod tests");
        end.map_or(&self.text, |end| &self.text[..end])
    }
}

pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap().to_owned()
}

/// Everything that is tracked, or would be: by git where it is there, else by walking.
pub(crate) fn paths() -> Vec<String> {
    let mut git = Command::new("git");
    git.current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut paths: Vec<String> = match git.output() {
        Ok(listed) if listed.status.success() => {
            let text = String::from_utf8(listed.stdout).unwrap();
            text.lines().map(str::to_owned).collect()
        }
        _ => walk(&root(), ""),
    };
    paths.retain(|path| root().join(path).is_file());
    paths.sort();
    assert!(
        paths.len() > 100,
        "this is not the whole repository: {} files",
        paths.len()
    );
    paths
}

fn walk(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            found.extend(walk(&entry.path(), &format!("{path}/")));
        } else {
            found.push(path);
        }
    }
    found
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The tracked text files whose path `wanted` accepts. Binary files are left out.
pub(crate) fn files(wanted: impl Fn(&str) -> bool) -> Vec<File> {
    let paths = paths().into_iter().filter(|path| wanted(path));
    paths
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(File { path, text })
        })
        .collect()
}

/// Every Rust file of the workspace.
pub(crate) fn rust() -> Vec<File> {
    files(|path| path.starts_with("crates/") && path.ends_with(".rs"))
}

/// Rust that is part of a program: no tests.
pub(crate) fn program() -> Vec<File> {
    let mut files = rust();
    files.retain(|file| !file.is_test() && !file.path.starts_with("crates/testkit/"));
    files
}

/// Fails with every finding, or passes.
pub(crate) fn none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

#[test]
fn the_repository_is_read_whole_without_git_too() {
    let walked: std::collections::BTreeSet<String> = walk(&root(), "").into_iter().collect();
    for path in paths() {
        assert!(walked.contains(&path), "{path}");
    }
}
