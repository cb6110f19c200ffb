//! Every error a caller can meet is explained.

use crate::tree;

#[test]
fn every_error_type_is_in_the_document_of_errors() {
    let document = tree::read("docs/errors.md");
    let table = tree::read("crates/web/src/errors.rs");
    let code = table.lines().take_while(|line| *line != "#[cfg(test)]");
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    let table = code.collect::<Vec<_>>().join("\n");
    let words: Vec<&str> = table
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| {
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
            text.contains(['_', '.']) && text.chars().all(is_word)
        })
        .collect();
    assert!(words.len() > 20, "{words:?}");
    let missing: Vec<_> = words
        .into_iter()
        .filter(|word| !document.contains(&format!("`{word}`")))
        .map(str::to_owned)
        .collect();
    tree::none("errors missing in docs/errors.md", &missing);
}
