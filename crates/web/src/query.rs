//! Query strings and forms: pairs of text, decoded once.

use crate::errors::Failure;

/// Decoded pairs in the order they came. Of equal names the last counts, and an empty value counts as
/// absent (RFC 6749, 3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

/// Longest name repeated, in bytes; of those there are the longest has 21.
const NAME_MAX_BYTES: usize = 40;

/// A parameter's name, if it may be repeated to whoever sent it: a stranger's is not, for it may be a secret
/// in the wrong place, or words for somebody else to read.
pub(crate) fn told(name: &str) -> Option<&str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (name.len() <= NAME_MAX_BYTES && name.bytes().all(plain)).then_some(name)
}

impl Query {
    /// Decodes `name=value&…`; `+` and `%20` are both spaces.
    ///
    /// # Errors
    /// If a value holds a NUL, which no database column takes.
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, Failure> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(encoded).into_owned().collect();
        match pairs.iter().find(|(_, value)| value.contains('\0')) {
            Some((name, _)) => {
                let name = told(name).unwrap_or("a value");
                Err(Failure::query(format!("{name} must not contain NUL")))
            }
            None => Ok(Self(pairs)),
        }
    }

    /// The value of `name`, if there is one and it is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().rev().filter(|(key, _)| key == name);
        values
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// As [`Self::get`], owned.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A boolean in any case, as clients of several languages write it; `false` if it is absent, or if a client
    /// in JavaScript sends the name of nothing.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0" | "undefined") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Failure::query(format!("{name} must be true or false"))),
        }
    }

    /// All pairs.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The pairs with one of these names.
    pub(crate) fn only(&self, names: &[&str]) -> Self {
        let is_named = |(name, _): &&(String, String)| names.contains(&name.as_str());
        Self(self.0.iter().filter(is_named).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_07_a_page_repeats_no_parameter_that_means_nothing_to_it() {
        let query = Query::parse(b"client_id=a&client_secret=kwk_x&state=s&state=t").unwrap();
        let expected = [("client_id", "a"), ("state", "s"), ("state", "t")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(query.only(&["client_id", "state"]).pairs(), expected);
    }

    #[test]
    fn the_last_value_counts_and_empty_ones_do_not() {
        let query = Query::parse(b"a=1&a=2&b=&c=x+y%20z&d=http%3A//x/cb").unwrap();
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.get("b"), None);
        assert_eq!(query.get("c"), Some("x y z"));
        assert_eq!(query.get("d"), Some("http://x/cb"));
    }

    #[test]
    fn booleans_are_read_without_case() {
        let query = Query::parse(b"a=True&b=FALSE&c=yes&d=undefined").unwrap();
        assert!(query.flag("a").unwrap());
        assert!(!query.flag("b").unwrap());
        assert!(!query.flag("absent").unwrap());
        assert!(!query.flag("d").unwrap());
        let failure = query.flag("c").unwrap_err();
        assert_eq!(failure.message(), "c must be true or false");
    }

    #[test]
    fn a_nul_is_refused_by_name() {
        let failure = Query::parse(b"email=a%00b").unwrap_err();
        assert_eq!(failure.message(), "email must not contain NUL");
        let failure = Query::parse(b"kwk_S3cret%0d%0a=%00").unwrap_err();
        assert_eq!(failure.message(), "a value must not contain NUL");
    }
}
