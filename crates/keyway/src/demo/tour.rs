//! What the demo prints.

use crate::output;
use http::Method;
use serde_json::Value;
use std::io::{self, IsTerminal as _};

/// The voice of the demo. Coloured on a terminal only.
pub(super) struct Tour {
    step: usize,
    is_coloured: bool,
}

#[derive(Clone, Copy)]
enum Style {
    Bold,
    Dim,
    Green,
}

impl Tour {
    pub(super) fn new() -> Self {
        Self {
            step: 0,
            is_coloured: io::stdout().is_terminal(),
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Green => 32,
        };
        if self.is_coloured {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// The first line.
    pub(super) fn title(&self, text: &str) -> io::Result<()> {
        output::line(&self.paint(Style::Bold, text))
    }

    /// Names and values.
    pub(super) fn facts(&self, rows: &[(&str, String)]) -> io::Result<()> {
        output::line(&output::pairs(rows))
    }

    /// A new step begins.
    pub(super) fn step(&mut self, text: &str) -> io::Result<()> {
        self.step += 1;
        let title = format!("{}. {text}", self.step);
        output::line(&format!("\n{}", self.paint(Style::Bold, &title)))
    }

    /// Something that happens elsewhere than at Keyway.
    pub(super) fn aside(&self, text: &str) -> io::Result<()> {
        output::line(&format!("   {}", self.paint(Style::Dim, text)))
    }

    /// A request to Keyway.
    pub(super) fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> io::Result<()> {
        let body = body
            .map(|json| format!(" {}", shortened(json)))
            .unwrap_or_default();
        output::line(&format!(
            "   > {method} {}{}",
            short_path(path),
            self.paint(Style::Dim, &body)
        ))
    }

    /// What came back.
    pub(super) fn answer(&self, status: http::StatusCode, said: &str) -> io::Result<()> {
        output::line(&format!(
            "   < {} {}",
            status.as_u16(),
            self.paint(Style::Dim, said)
        ))
    }

    /// What was to be shown is so.
    pub(super) fn shown(&self, text: &str) -> io::Result<()> {
        output::line(&format!(
            "   {}",
            self.paint(Style::Green, &format!("ok: {text}"))
        ))
    }
}

/// Members of an answer worth a reader's time, in this order.
const TOLD: [&str; 8] = [
    "id",
    "name",
    "email",
    "status",
    "grant_status",
    "credential_id",
    "active_credential_id",
    "grants",
];
/// Length of a UUID as text.
const UUID_LEN: usize = 36;
/// How much is left of an id: the end, since ids made together begin alike.
const ID_TAIL: usize = 8;
/// Longest text that is shown whole, in bytes.
const TEXT_MAX: usize = 32;

/// What an answer says, in short.
pub(super) fn gist(data: &Value) -> String {
    match data {
        Value::Array(items) => {
            let each: Vec<_> = items.iter().map(gist).collect();
            format!("{} items\n       {}", items.len(), each.join("\n       "))
        }
        Value::Object(members) if TOLD.iter().any(|name| members.contains_key(*name)) => {
            let told = TOLD.iter().filter_map(|name| {
                let value = members.get(*name).filter(|value| !value.is_null())?;
                Some(format!("{name} {}", bare(value)))
            });
            told.collect::<Vec<_>>().join(", ")
        }
        other => shortened(other).to_string(),
    }
}

fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => short_text(text),
        other => shortened(other).to_string(),
    }
}

/// A body with its ids and other long texts cut.
pub(super) fn shortened(json: &Value) -> Value {
    match json {
        Value::String(text) => Value::String(short_text(text)),
        Value::Array(items) => items.iter().map(shortened).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shortened(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A path with its ids cut.
fn short_path(path: &str) -> String {
    let parts = path.split_inclusive(['/', '?', '=', '&']).map(|part| {
        let word = part.trim_end_matches(['/', '?', '=', '&']);
        let end = part.get(word.len()..).unwrap_or_default();
        short_text(word) + end
    });
    parts.collect()
}

fn short_text(text: &str) -> String {
    let is_id = text.len() == UUID_LEN && text.bytes().filter(|byte| *byte == b'-').count() == 4;
    if is_id {
        return format!("…{}", text.get(UUID_LEN - ID_TAIL..).unwrap_or_default());
    }
    match text.get(..TEXT_MAX) {
        Some(start) if text.len() > TEXT_MAX => format!("{start}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "01a206de-f697-7dde-85ce-be5bd8068a5d";

    #[test]
    fn answers_are_told_by_what_matters_in_them() {
        let grant = json!({"blocked": false, "id": ID, "email": "a@b.c", "ip": null});
        assert_eq!(gist(&grant), "id …d8068a5d, email a@b.c");
        assert_eq!(
            gist(&json!([grant])),
            "1 items\n       id …d8068a5d, email a@b.c"
        );
    }

    #[test]
    fn ids_are_cut_in_paths_and_bodies() {
        let path = format!("/v3/grants/{ID}?credential_id={ID}");
        assert_eq!(
            short_path(&path),
            "/v3/grants/…d8068a5d?credential_id=…d8068a5d"
        );
        assert_eq!(shortened(&json!({"a": [ID]})), json!({"a": ["…d8068a5d"]}));
    }
}
