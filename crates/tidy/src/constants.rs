//! Every bound in the code has its line, with its reason, in `docs/limits.md`.

use crate::tree;
use syn::visit::{self, Visit};

/// Crates whose bounds concern nobody but the tests that use them.
const ELSEWHERE: [&str; 5] = [
    "crates/bench/",
    "crates/sandbox/",
    "crates/testkit/",
    "crates/tidy/",
    "crates/keyway/src/demo/",
];

/// Numbers that are no bounds: formats, statuses, marks, units.
const NO_LIMITS: [&str; 22] = [
    "DAY_MS",
    "ADVISORY_LOCK",
    "BAD_INPUT",
    "BEARER_BYTES",
    "DIGEST_KEY_ID",
    "EWS_PORT",
    "FAILED",
    "FINGERPRINT_BYTES",
    "FIRST_TERM",
    "HEADER_BYTES",
    "IMAPS_PORT",
    "IMAP_PORT",
    "KEY_BYTES",
    "NONCE_BYTES",
    "ONE",
    "PKCE_FAILED",
    "SEAL_VERSION",
    "SECS_PER_DAY",
    "SUBMISSIONS_PORT",
    "SUBMISSION_PORT",
    "TAG_BYTES",
    "WRAP_VERSION",
];

const NUMBERS: [&str; 9] = [
    "i32", "i64", "u8", "u16", "u32", "u64", "usize", "f64", "Duration",
];

#[derive(Default)]
struct Constants {
    names: Vec<String>,
}

impl<'ast> Visit<'ast> for Constants {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        if let syn::Type::Path(path) = &*item.ty
            && let Some(last) = path.path.segments.last()
            && NUMBERS.iter().any(|number| last.ident == number)
        {
            self.names.push(item.ident.to_string());
        }
        visit::visit_item_const(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }
}

#[test]
fn every_bound_is_in_the_document_of_limits() {
    let document = tree::read("docs/limits.md");
    let mut findings = Vec::new();
    for file in tree::program() {
        if ELSEWHERE.iter().any(|prefix| file.path.starts_with(prefix)) {
            continue;
        }
        let mut constants = Constants::default();
        constants.visit_file(&syn::parse_file(&file.text).unwrap());
        let place = file
            .path
            .trim_start_matches("crates/")
            .replace("/src/", "/");
        for name in constants
            .names
            .iter()
            .filter(|name| !NO_LIMITS.contains(&name.as_str()))
        {
            let mark = format!("`{name}` {place}");
            if !document.contains(&mark) {
                findings.push(mark);
            }
        }
    }
    tree::none("bounds missing in docs/limits.md", &findings);
}

#[test]
fn the_document_of_limits_names_no_bound_that_is_gone() {
    let document = tree::read("docs/limits.md");
    let files = tree::program();
    for cell in document
        .split('|')
        .map(str::trim)
        .filter(|cell| cell.ends_with(".rs"))
    {
        let (name, place) = cell.split_once("` ").unwrap_or_else(|| panic!("{cell}"));
        let name = name.trim_start_matches('`');
        let place = place
            .split_once('/')
            .map(|(folder, rest)| format!("crates/{folder}/src/{rest}"));
        let file = files.iter().find(|file| Some(&file.path) == place.as_ref());
        let holds = file.is_some_and(|file| file.text.contains(&format!("const {name}:")));
        assert!(holds, "docs/limits.md: {cell}");
    }
}
