//! Migrations: numbered without gaps, and all of them applied.

use crate::tree;

const FOLDER: &str = "crates/store/migrations/";
const LIST: &str = "crates/store/src/migrations.rs";

#[test]
fn every_migration_is_numbered_in_order_and_listed() {
    let files = tree::files(|path| path.starts_with(FOLDER) && path.ends_with(".sql"));
    let list = tree::read(LIST);
    let mut from = 0;
    for (number, file) in (1..).zip(&files) {
        let name = file.path.strip_prefix(FOLDER).unwrap();
        let (digits, word) = name.strip_suffix(".sql").unwrap().split_once('_').unwrap();
        assert_eq!(digits, format!("{number:04}"), "{name} leaves a gap");
        let include = format!("include_str!(\"../migrations/{name}\")");
        let at = list[from..]
            .find(&include)
            .unwrap_or_else(|| panic!("{name} is not listed in order"));
        let entry = &list[from..from + at];
        assert!(
            entry.contains(&format!("version: {number},")),
            "{name}: another version"
        );
        assert!(
            entry.contains(&format!("name: \"{word}\"")),
            "{name}: another name"
        );
        from += at + include.len();
    }
    assert_eq!(
        list.matches("include_str!").count(),
        files.len(),
        "one entry for each file"
    );
    assert!(!files.is_empty());
}
