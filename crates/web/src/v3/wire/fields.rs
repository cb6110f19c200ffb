//! Reading members of a JSON object, with messages that name the member.
//!
//! Members nobody asks for are ignored, and null counts as absent: clients send both.

use crate::errors::Failure;
use keyway_core::provider::{Provider, ProviderParseError};
use keyway_core::scope::Scopes;
use serde_json::{Map, Value};
use std::str::FromStr;

/// An object and how messages call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    prefix: &'a str,
    members: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The body itself.
    pub(crate) const fn of(members: &'a Map<String, Value>) -> Self {
        Self::within("", members)
    }

    /// An object inside the body; `prefix` ends in a dot, such as `settings.`.
    pub(crate) const fn within(prefix: &'a str, members: &'a Map<String, Value>) -> Self {
        Self { prefix, members }
    }

    /// A failure that names `name` in full.
    pub(crate) fn wrong(&self, name: &str, what: impl std::fmt::Display) -> Failure {
        Failure::field(&format!("{}{name}", self.prefix), what)
    }

    /// Whether the member is there, null included.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    /// A text, owned.
    pub(crate) fn owned(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.text(name)?.map(str::to_owned))
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, Failure> {
        self.text(name)?
            .ok_or_else(|| self.wrong(name, "is required"))
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(members)),
            Some(_) => Err(self.wrong(name, "must be an object")),
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| self.wrong(name, "must be a number")),
        }
    }

    /// A whole number from 0 on.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<i64>, Failure> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => value
                .as_i64()
                .filter(|number| *number >= 0)
                .map(Some)
                .ok_or_else(|| self.wrong(name, "must be a whole number, 0 or more")),
        }
    }

    /// A port number; clients send them as numbers and as texts.
    pub(crate) fn port(&self, name: &str) -> Result<Option<u16>, Failure> {
        let number = match self.value(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number
            .filter(|port| *port > 0)
            .map(Some)
            .ok_or_else(|| self.wrong(name, "must be a port number, 1 to 65535"))
    }

    /// The id of something.
    pub(crate) fn id<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        match self.text(name)? {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| self.wrong(name, "must be an id (a UUID)")),
        }
    }

    /// The provider, by name.
    pub(crate) fn provider(&self) -> Result<Option<Provider>, Failure> {
        match self.text("provider")? {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|error: ProviderParseError| self.wrong("provider", error)),
        }
    }

    /// Scopes: `scope`, or `scopes` as some clients write, each a list or a space-separated text.
    pub(crate) fn scopes(&self) -> Result<Option<Scopes>, Failure> {
        for name in ["scope", "scopes"] {
            if let Some(value) = self.value(name) {
                return self.read_scopes(name, value).map(Some);
            }
        }
        Ok(None)
    }

    fn read_scopes(&self, name: &str, value: &Value) -> Result<Scopes, Failure> {
        let not_a_list = || self.wrong(name, "must be an array of strings");
        let parsed = match value {
            Value::String(text) => Scopes::parse(text),
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                Scopes::from_items(texts.ok_or_else(not_a_list)?)
            }
            _ => return Err(not_a_list()),
        };
        parsed.map_err(|error| self.wrong(name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::CredentialId;
    use serde_json::json;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn a_member_of_the_wrong_type_is_named_in_full() {
        let body = json!({"client_id": 1, "on": "yes", "n": -1, "o": [], "id": "x"});
        let fields = Fields::within("settings.", map(&body));
        let messages = [
            fields.text("client_id").unwrap_err(),
            fields.boolean("on").unwrap_err(),
            fields.whole("n").unwrap_err(),
            fields.object("o").unwrap_err(),
            fields.id::<CredentialId>("id").unwrap_err(),
            fields.required("absent").unwrap_err(),
        ]
        .map(|failure| failure.message().to_owned());
        assert_eq!(
            messages,
            [
                "settings.client_id: must be a string",
                "settings.on: must be true or false",
                "settings.n: must be a whole number, 0 or more",
                "settings.o: must be an object",
                "settings.id: must be an id (a UUID)",
                "settings.absent: is required",
            ]
        );
    }

    #[test]
    fn ports_come_as_numbers_or_texts() {
        let body = json!({"a": 993, "b": " 465", "c": null, "d": 0, "e": 70_000, "f": "x"});
        let fields = Fields::within("settings.", map(&body));
        assert_eq!(fields.port("a").unwrap(), Some(993));
        assert_eq!(fields.port("b").unwrap(), Some(465));
        assert_eq!(fields.port("c").unwrap(), None);
        for name in ["d", "e", "f"] {
            let failure = fields.port(name).unwrap_err();
            let words = format!("settings.{name}: must be a port number, 1 to 65535");
            assert_eq!(failure.message(), words);
        }
    }

    #[test]
    fn null_counts_as_absent() {
        let body = json!({"name": null, "settings": null, "scope": null});
        let fields = Fields::of(map(&body));
        assert_eq!(fields.text("name").unwrap(), None);
        assert_eq!(fields.object("settings").unwrap(), None);
        assert_eq!(fields.scopes().unwrap(), None);
        assert!(fields.has("name"));
    }

    #[test]
    fn scopes_go_by_two_names_and_come_as_list_or_text() {
        for body in [
            json!({"scope": ["openid", "email"]}),
            json!({"scopes": ["openid", "email"]}),
            json!({"scope": "openid email"}),
        ] {
            let scopes = Fields::of(map(&body)).scopes().unwrap().unwrap();
            assert_eq!(scopes.to_string(), "openid email");
        }
        for (bad, words) in [
            (json!({"scope": [1]}), "scope: must be an array of strings"),
            (json!({"scopes": {}}), "scopes: must be an array of strings"),
            (json!({"scope": ["a\"b"]}), "scope: contains a character"),
        ] {
            let failure = Fields::of(map(&bad)).scopes().unwrap_err();
            assert!(
                failure.message().starts_with(words),
                "{}",
                failure.message()
            );
        }
    }

    #[test]
    fn providers_are_known_by_name() {
        assert_eq!(Fields::of(&Map::new()).provider().unwrap(), None);
        for (bad, words) in [
            (json!({"provider": 1}), "provider: must be a string"),
            (json!({"provider": "in_box"}), "provider: unknown provider"),
            (json!({"provider": "nylas"}), "provider: 'nylas' accounts"),
        ] {
            let failure = Fields::of(map(&bad)).provider().unwrap_err();
            assert!(
                failure.message().starts_with(words),
                "{}",
                failure.message()
            );
        }
    }
}
