//! Functions that fit on a screen.

use crate::tree;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

const LINES_MAX: usize = 70;
/// With a reason beside it.
const LONG_LINES_MAX: usize = 100;
const REASON: &str = "// Long because ";
/// Half of all functions of the programs have no more lines.
const MEDIAN_MAX: usize = 15;

struct Found {
    name: String,
    first_line: usize,
    lines: usize,
    is_test: bool,
}

#[derive(Default)]
struct Functions {
    found: Vec<Found>,
    in_tests: usize,
}

fn has_test_mark(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let is_cfg_test = path.is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "test");
        is_cfg_test
            || path
                .segments
                .last()
                .is_some_and(|last| last.ident == "test")
    })
}

impl Functions {
    fn note(
        &mut self,
        signature: &syn::Signature,
        block: &syn::Block,
        attributes: &[syn::Attribute],
    ) {
        let first_line = signature.span().start().line;
        self.found.push(Found {
            name: signature.ident.to_string(),
            first_line,
            lines: block.span().end().line + 1 - first_line,
            is_test: self.in_tests > 0 || has_test_mark(attributes),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test = usize::from(has_test_mark(&module.attrs));
        self.in_tests += is_test;
        visit::visit_item_mod(self, module);
        self.in_tests -= is_test;
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block, &function.attrs);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block, &function.attrs);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.note(&function.sig, block, &function.attrs);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn functions_of(file: &tree::File) -> Vec<Found> {
    let parsed = syn::parse_file(&file.text);
    let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", file.path));
    let mut functions = Functions::default();
    functions.visit_file(&parsed);
    functions.found
}

fn limit_of(file: &tree::File, function: &Found) -> usize {
    let from = function.first_line.saturating_sub(6);
    let mut lines = file.text.lines().skip(from).take(function.lines + 6);
    match lines.any(|line| line.trim_start().starts_with(REASON)) {
        true => LONG_LINES_MAX,
        false => LINES_MAX,
    }
}

#[test]
fn no_function_is_longer_than_seventy_lines_without_a_reason() {
    let (mut findings, mut lengths) = (Vec::new(), Vec::new());
    for file in tree::rust() {
        for function in functions_of(&file) {
            if function.lines > limit_of(&file, &function) {
                let Found { name, lines, .. } = &function;
                findings.push(format!("{}: {name} has {lines} lines", file.path));
            }
            if !function.is_test && !file.is_test() {
                lengths.push(function.lines);
            }
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    println!(
        "{} functions outside tests, half of them with at most {median} lines",
        lengths.len()
    );
    tree::none("functions that are too long", &findings);
    assert!(
        median <= MEDIAN_MAX,
        "the median function has {median} lines"
    );
}

#[test]
fn functions_are_measured_and_told_from_tests() {
    let text = "fn a() {\n}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nstruct S;\nimpl S {\n  #[test]\n  fn c() {\n\n  }\n}\n";
    let file = tree::File {
        path: "x.rs".into(),
        text: text.into(),
    };
    let found: Vec<_> = functions_of(&file)
        .into_iter()
        .map(|f| (f.name, f.lines, f.is_test))
        .collect();
    assert_eq!(
        found,
        [
            ("a".into(), 2, false),
            ("b".into(), 1, true),
            ("c".into(), 3, true)
        ]
    );
}
