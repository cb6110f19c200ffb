//! OAuth scopes: ordered lists of tokens (RFC 6749, 3.3), and comparing what was asked with what was
//! granted.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most scopes one list may hold.
pub const SCOPES_MAX: usize = 200;
/// Longest single scope, in bytes.
pub const SCOPE_MAX_BYTES: usize = 512;

/// The text is not a list of OAuth scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeParseError {
    /// A character RFC 6749 does not allow in a scope.
    #[error("contains a character that OAuth does not allow in a scope")]
    Character,
    /// A single scope is too long.
    #[error("contains a scope longer than {SCOPE_MAX_BYTES} bytes")]
    TooLong,
    /// Too many scopes.
    #[error("holds more than {SCOPES_MAX} scopes")]
    TooMany,
}

/// Scopes in the order they were given, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

fn is_scope_char(b: u8) -> bool {
    matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl Scopes {
    /// No scopes.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// A list of single scopes, as in a JSON array.
    ///
    /// # Errors
    /// If an item is not a scope, or there are too many.
    pub fn from_items<I: IntoIterator<Item = S>, S: AsRef<str>>(
        items: I,
    ) -> Result<Self, ScopeParseError> {
        let mut list: Vec<String> = Vec::new();
        for item in items {
            let item = item.as_ref().trim();
            if item.is_empty() || list.iter().any(|known| known == item) {
                continue;
            }
            Self::check(item)?;
            if list.len() == SCOPES_MAX {
                return Err(ScopeParseError::TooMany);
            }
            list.push(item.to_owned());
        }
        Ok(Self(list))
    }

    fn check(item: &str) -> Result<(), ScopeParseError> {
        if item.len() > SCOPE_MAX_BYTES {
            return Err(ScopeParseError::TooLong);
        }
        if item.bytes().all(is_scope_char) {
            Ok(())
        } else {
            Err(ScopeParseError::Character)
        }
    }

    /// A space-separated list, as in a query or a token answer. Commas separate too: Zoom writes them.
    ///
    /// # Errors
    /// If an item is not a scope, or there are too many.
    pub fn parse(text: &str) -> Result<Self, ScopeParseError> {
        Self::from_items(text.split([' ', ',', '\t', '\n']))
    }

    /// Scopes that a provider wrote: what is not a scope is left out, since refusing helps nobody.
    #[must_use]
    pub fn parse_lenient(text: &str) -> Self {
        let items = text.split([' ', ',', '\t', '\n']).map(str::trim);
        let mut list: Vec<String> = Vec::new();
        for item in items.filter(|s| !s.is_empty() && Self::check(s).is_ok()) {
            if list.len() < SCOPES_MAX && !list.iter().any(|known| known == item) {
                list.push(item.to_owned());
            }
        }
        Self(list)
    }

    /// The scopes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The scopes as a list.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `scope` is among them.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    /// These scopes and those of `other`, each once.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut list = self.0.clone();
        for item in &other.0 {
            if !list.contains(item) {
                list.push(item.clone());
            }
        }
        Self(list)
    }

    /// The scopes as one text with `separator` between them.
    #[must_use]
    pub fn joined(&self, separator: &str) -> String {
        self.0.join(separator)
    }

    /// Keeps the scopes `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|s| keep(s)).cloned().collect())
    }
}

/// Space-separated, as RFC 6749 writes them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_keep_their_order_and_drop_repeats() {
        let scopes = Scopes::parse("openid email  openid a.b/c").unwrap();
        assert_eq!(scopes.to_string(), "openid email a.b/c");
    }

    #[test]
    fn characters_outside_rfc_6749_are_refused_from_callers_and_dropped_from_providers() {
        assert_eq!(Scopes::parse("a\"b"), Err(ScopeParseError::Character));
        assert_eq!(Scopes::parse_lenient("a\"b ok").to_string(), "ok");
        let repeated = format!("{}last", "one, ".repeat(SCOPES_MAX));
        assert_eq!(Scopes::parse_lenient(&repeated).to_string(), "one last");
        // What is forgiven a caller is forgiven a provider.
        assert_eq!(
            Scopes::parse_lenient("one\r\ntwo\u{b}").to_string(),
            "one two"
        );
        assert_eq!(
            Scopes::parse(&"x".repeat(513)),
            Err(ScopeParseError::TooLong)
        );
        assert_eq!(
            Scopes::from_items((0..201).map(|n| n.to_string())),
            Err(ScopeParseError::TooMany)
        );
    }
}
