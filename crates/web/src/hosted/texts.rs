//! The words of the pages, by language. A language is one file of `texts/`; a test holds all to the same keys.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use minijinja::Value as JinjaValue;
use minijinja::value::Serde;
use serde_json::Value;

/// The languages there are; the first is shown to whoever reads none of them.
const LANGUAGES: [(&str, &str); 1] = [("en", include_str!("texts/en.json"))];
/// Most entries of an Accept-Language header that are looked at.
const WISHES_MAX: usize = 20;

/// The words of one language.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    /// Its tag (BCP 47).
    pub(crate) language: &'static str,
    words: JinjaValue,
}

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Languages(Vec<Texts>);

impl Languages {
    /// Reads the files. They are constants: a test reads each, so none can be faulty here.
    pub(crate) fn new() -> Self {
        let read = |(language, text): (&'static str, &str)| Texts {
            language,
            words: Serde(serde_json::from_str::<Value>(text).unwrap_or_default()).into(),
        };
        Self(LANGUAGES.map(read).to_vec())
    }

    /// The language a browser asks for, among those there are.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<&Texts> {
        let header = headers.get(ACCEPT_LANGUAGE);
        let wished = header.and_then(|value| value.to_str().ok());
        let tags: Vec<&str> = self.0.iter().map(|texts| texts.language).collect();
        let best = best_of(&tags, wished.unwrap_or_default());
        self.0
            .iter()
            .find(|texts| Some(texts.language) == best)
            .or(self.0.first())
    }
}

impl Texts {
    /// As templates see them.
    pub(crate) fn words(&self) -> JinjaValue {
        self.words.clone()
    }
}

/// The tag among `tags` that `wished` likes best (RFC 9110, 12.5.4): by quality, then by order.
fn best_of<'a>(tags: &[&'a str], wished: &str) -> Option<&'a str> {
    let mut best: Option<(&'a str, u32)> = None;
    for wish in wished.split(',').take(WISHES_MAX) {
        let mut parts = wish.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default();
        let primary = tag.split('-').next().unwrap_or_default();
        let found = tags
            .iter()
            .find(|known| known.eq_ignore_ascii_case(primary));
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let thousandths = quality.map_or(1000, thousandths);
        if let Some(found) = found
            && thousandths > best.map_or(0, |(_, best)| best)
        {
            best = Some((found, thousandths));
        }
    }
    best.map(|(tag, _)| tag)
}

/// `0.8` as 800; what is no quality is none.
fn thousandths(text: &str) -> u32 {
    match text.split_once('.') {
        _ if text == "1" => 1000,
        Some(("1", _)) => 1000,
        Some(("0", fraction)) if fraction.len() <= 3 => {
            format!("{fraction:0<3}").parse().unwrap_or(0)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_engine::sign_in::{SignInFault, TroubleKind};
    use std::collections::BTreeSet;

    fn keys(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    keys(&format!("{prefix}.{name}"), member, found);
                }
            }
            Value::String(text) => {
                let holes = text
                    .split('{')
                    .skip(1)
                    .filter_map(|part| part.split('}').next());
                let holes: BTreeSet<&str> = holes.collect();
                found.insert(format!("{prefix} {holes:?}"));
            }
            other => panic!("{prefix} is {other}"),
        }
    }

    fn file(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_language_says_the_same_things() {
        let of = |text| {
            let mut found = BTreeSet::new();
            keys("", &file(text), &mut found);
            found
        };
        let [(_, first), rest @ ..] = &LANGUAGES;
        for (language, text) in rest {
            assert_eq!(of(text), of(first), "{language}");
        }
    }

    #[test]
    fn there_are_words_for_whatever_can_go_wrong() {
        for (language, text) in LANGUAGES {
            let words = file(text);
            for kind in TroubleKind::ALL {
                assert!(
                    words["trouble"][kind.as_str()].is_string(),
                    "{language} {kind:?}"
                );
            }
            for fault in SignInFault::ALL {
                let told = &words["faults"][fault.as_str()];
                assert!(
                    told["title"].is_string() && told["message"].is_string(),
                    "{fault:?}"
                );
            }
        }
    }

    #[test]
    fn the_best_language_there_is_is_taken() {
        let tags = ["en", "de", "pt"];
        for (wished, best) in [
            ("de-AT,de;q=0.9,en;q=0.8", Some("de")),
            ("fr,en;q=0.3,PT-br;q=0.31", Some("pt")),
            ("fr;q=1, nl", None),
            ("de;q=0, en;q=x", None),
            ("", None),
        ] {
            assert_eq!(best_of(&tags, wished), best, "{wished}");
        }
    }
}
