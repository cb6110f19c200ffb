//! Parameters of a query string or a form, each of which may come once (RFC 6749, section 3.1).

use crate::oauth_error::OAuthError;

#[derive(Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The parameter `name`. One sent without a value counts as not sent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        found
            .next()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, OAuthError> {
        let missing = || OAuthError::invalid_request(&format!("parameter '{name}' is missing"));
        self.get(name).ok_or_else(missing)
    }

    /// The name of a parameter that was sent more than once.
    pub(crate) fn repeated(&self) -> Option<&str> {
        let seen_before = |index: usize, name: &str| {
            self.0
                .iter()
                .take(index)
                .any(|(earlier, _)| earlier == name)
        };
        let mut names = self.0.iter().map(|(name, _)| name.as_str()).enumerate();
        names
            .find(|(index, name)| seen_before(*index, name))
            .map(|(_, name)| name)
    }
}

/// The words of a scope, each once, in the order sent.
pub(crate) fn scope_words(scope: &str) -> Vec<String> {
    let mut words = Vec::<String>::new();
    for word in scope.split_ascii_whitespace() {
        if !words.iter().any(|earlier| earlier == word) {
            words.push(word.to_owned());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_found_and_an_empty_one_counts_as_missing() {
        let params = Params::parse(b"a=1&b=&a=2");
        assert_eq!(params.repeated(), Some("a"));
        assert_eq!(params.get("b"), None);
    }

    #[test]
    fn scope_words_come_once() {
        assert_eq!(scope_words(" b a  b"), ["b", "a"]);
    }
}
