//! Path segments, percent-decoded once, read into what they name.

use crate::errors::Failure;
use axum::extract::RawPathParams;
use keyway_core::grant::GrantLocator;
use keyway_core::provider::{Provider, ProviderParseError};
use std::str::FromStr;

/// The named segments of a request's path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path(Vec<(String, String)>);

impl From<&RawPathParams> for Path {
    fn from(params: &RawPathParams) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(params.iter().map(owned).collect())
    }
}

impl Path {
    fn segment(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    }

    /// `{id}` as the id of `what`. Text that cannot be one names nothing.
    pub(crate) fn id<T: FromStr>(&self, what: &str) -> Result<T, Failure> {
        self.segment("id")
            .parse()
            .map_err(|_| Failure::not_found(format!("{what} not found")))
    }

    /// The segment `{name}` as what it has to be, if it can be that.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> Option<T> {
        self.segment(name).parse().ok()
    }

    /// `{provider}`.
    pub(crate) fn provider(&self) -> Result<Provider, Failure> {
        let segment = self.segment("provider");
        segment
            .parse()
            .map_err(|error: ProviderParseError| Failure::invalid(format!("provider: {error}")))
    }

    /// `{grant_id}` in any of its forms.
    pub(crate) fn grant(&self) -> Result<GrantLocator, Failure> {
        let segment = self.segment("grant_id");
        GrantLocator::parse(segment)
            .filter(|_| !segment.contains('\0'))
            .ok_or_else(Failure::no_grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::CredentialId;

    fn path(name: &str, value: &str) -> Path {
        Path(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn text_that_is_no_id_is_not_found_rather_than_invalid() {
        let failure = path("id", "nonsense")
            .id::<CredentialId>("Credential")
            .unwrap_err();
        assert_eq!(failure.status().as_u16(), 404);
        assert_eq!(failure.wire_type(), "api.not_found_error");
        let failure = path("grant_id", "nonsense").grant().unwrap_err();
        assert_eq!(failure.wire_type(), "grant.not_found");
    }

    #[test]
    fn unknown_providers_are_invalid_and_named() {
        let failure = path("provider", "in_box").provider().unwrap_err();
        assert_eq!(failure.status().as_u16(), 400);
        assert!(failure.message().contains("google"));
        assert_eq!(
            path("provider", "google").provider().unwrap(),
            Provider::Google
        );
    }
}
