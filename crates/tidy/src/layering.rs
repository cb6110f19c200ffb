//! Who may import what. `docs/architecture.md` says why; `deny.toml` says the same for whole trees.

use crate::tree;
use std::collections::{BTreeMap, BTreeSet};

/// What each crate may depend on of ours, outside its tests.
const OURS: [(&str, &[&str]); 11] = [
    ("core", &[]),
    ("vault", &["core"]),
    ("store", &["core"]),
    ("outbound", &["core"]),
    ("engine", &["core", "vault", "store", "outbound"]),
    ("web", &["core", "engine"]),
    ("sandbox", &["core"]),
    (
        "keyway",
        &[
            "core", "vault", "store", "outbound", "engine", "web", "sandbox",
        ],
    ),
    (
        "testkit",
        &[
            "core", "vault", "store", "outbound", "engine", "web", "sandbox",
        ],
    ),
    ("bench", &["vault"]),
    ("tidy", &[]),
];

/// Libraries that mark a layer, and the only crates that may depend on them outside their tests.
const THEIRS: [(&str, &[&str]); 17] = [
    ("rusqlite", &["store"]),
    ("tokio-postgres", &["store", "testkit"]),
    ("deadpool-postgres", &["store"]),
    ("tokio-postgres-rustls", &["store"]),
    ("rustls", &["store", "outbound"]),
    ("hyper-rustls", &["outbound"]),
    ("tokio-rustls", &["outbound"]),
    ("imap-proto", &["outbound"]),
    ("smtp-proto", &["outbound"]),
    ("axum", &["web", "sandbox", "keyway", "testkit"]),
    ("minijinja", &["web", "sandbox"]),
    ("aws-lc-rs", &["vault", "sandbox"]),
    ("jsonwebtoken", &["vault", "sandbox"]),
    ("hyper", &["outbound", "keyway", "testkit", "bench"]),
    ("hyper-util", &["outbound", "keyway", "testkit", "bench"]),
    ("clap", &["keyway"]),
    ("anyhow", &["keyway", "testkit", "bench"]),
];

/// Crates without I/O: no runtime, no sockets.
const PURE: [&str; 2] = ["core", "vault"];
const RUNTIMES: [&str; 5] = ["tokio", "tokio-util", "futures-util", "hyper", "socket2"];

struct Crate {
    folder: String,
    dependencies: BTreeSet<String>,
    test_dependencies: BTreeSet<String>,
}

fn keys(manifest: &toml::Table, table: &str) -> BTreeSet<String> {
    let table = manifest.get(table).and_then(toml::Value::as_table);
    table
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

fn crates() -> Vec<Crate> {
    let manifests = tree::files(|path| {
        path.starts_with("crates/")
            && path.ends_with("/Cargo.toml")
            && path.matches('/').count() == 2
    });
    let read = |file: tree::File| {
        let manifest: toml::Table = file.text.parse().unwrap();
        Crate {
            folder: file.path.split('/').nth(1).unwrap().to_owned(),
            dependencies: keys(&manifest, "dependencies"),
            test_dependencies: keys(&manifest, "dev-dependencies"),
        }
    };
    manifests.into_iter().map(read).collect()
}

fn package_of(folder: &str) -> String {
    if folder == "keyway" {
        folder.to_owned()
    } else {
        format!("keyway-{folder}")
    }
}

#[test]
fn crates_import_only_the_crates_below_them() {
    let allowed: BTreeMap<_, _> = OURS.into_iter().collect();
    let packages: BTreeMap<String, &str> = OURS
        .iter()
        .map(|(folder, _)| (package_of(folder), *folder))
        .collect();
    let mut findings = Vec::new();
    for Crate {
        folder,
        dependencies,
        ..
    } in crates()
    {
        let Some(below) = allowed.get(folder.as_str()) else {
            findings.push(format!("{folder} is in no layer"));
            continue;
        };
        let ours = dependencies.iter().filter_map(|name| packages.get(name));
        let wrong = ours.filter(|name| !below.contains(name));
        findings.extend(wrong.map(|name| format!("{folder} imports {name}")));
    }
    tree::none("imports across layers", &findings);
}

#[test]
fn the_libraries_of_a_layer_stay_in_it() {
    let crates = crates();
    let mut findings = Vec::new();
    for (library, owners) in THEIRS {
        let users = crates.iter().filter(|c| c.dependencies.contains(library));
        let wrong = users.filter(|c| !owners.contains(&c.folder.as_str()));
        findings.extend(wrong.map(|c| format!("{} depends on {library}", c.folder)));
    }
    tree::none("libraries outside their layer", &findings);
}

#[test]
fn core_and_vault_know_no_runtime() {
    let crates = crates();
    let pure = crates.iter().filter(|c| PURE.contains(&c.folder.as_str()));
    let findings: Vec<_> = pure
        .flat_map(|c| {
            c.dependencies
                .iter()
                .filter(|d| RUNTIMES.contains(&d.as_str()))
        })
        .cloned()
        .collect();
    tree::none("runtimes below the engine", &findings);
}

#[test]
fn no_test_of_a_library_needs_the_program() {
    let findings: Vec<_> = crates()
        .into_iter()
        .filter(|c| c.dependencies.contains("keyway") || c.test_dependencies.contains("keyway"))
        .map(|c| c.folder)
        .collect();
    tree::none("crates that depend on the binary", &findings);
}

#[test]
fn deny_toml_bans_the_same_libraries() {
    let deny: toml::Table = tree::read("deny.toml").parse().unwrap();
    let bans = deny["bans"]["deny"].as_array().unwrap();
    let banned: BTreeSet<_> = bans
        .iter()
        .filter_map(|ban| ban["crate"].as_str())
        .collect();
    for name in [
        "rusqlite",
        "tokio-postgres",
        "axum",
        "jsonwebtoken",
        "aws-lc-rs",
        "openssl",
        "native-tls",
    ] {
        assert!(banned.contains(name), "{name} is missing in deny.toml");
    }
}
