//! Acting for users without a sign-in of theirs: by a service account's assertion (RFC 7523, 2.1; Google's
//! domain-wide delegation), or by a tenant's consent to an application (RFC 6749, 4.4).

use crate::scope::Scopes;
use crate::time::UnixMillis;
use serde_json::{Value, json};

/// How long an assertion is good for, in seconds: the most that Google allows.
/// <https://developers.google.com/identity/protocols/oauth2/service-account>
pub const ASSERTION_LIFETIME_SECS: i64 = 3600;
/// How much earlier than now an assertion says it was made, in seconds: so that a provider whose clock is
/// a little behind takes it.
const BACKDATED_SECS: i64 = 30;

/// What a service account asserts.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// The service account.
    pub issuer: &'a str,
    /// The user it acts for; itself if none.
    pub subject: Option<&'a str>,
    /// What it asks for.
    pub scope: &'a Scopes,
    /// The token endpoint.
    pub audience: &'a str,
    /// The time.
    pub now: UnixMillis,
}

impl Assertion<'_> {
    /// The claims to sign.
    #[must_use]
    pub fn claims(&self) -> Value {
        let made_at = self.now.as_secs() - BACKDATED_SECS;
        let mut claims = json!({
            "iss": self.issuer, "scope": self.scope.to_string(), "aud": self.audience,
            "iat": made_at, "exp": made_at + ASSERTION_LIFETIME_SECS,
        });
        if let (Some(subject), Some(claims)) = (self.subject, claims.as_object_mut()) {
            claims.insert("sub".to_owned(), subject.into());
        }
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_says_what_google_asks_for() {
        let scope = Scopes::parse_lenient("b a");
        let mut assertion = Assertion {
            issuer: "robot@project.iam.gserviceaccount.com",
            subject: Some("ann@example.com"),
            scope: &scope,
            audience: "https://oauth2.googleapis.com/token",
            now: UnixMillis::from_secs(1_000_030),
        };
        let expected = json!({
            "iss": "robot@project.iam.gserviceaccount.com", "sub": "ann@example.com", "scope": scope.to_string(),
            "aud": "https://oauth2.googleapis.com/token", "iat": 1_000_000, "exp": 1_003_600,
        });
        assert_eq!(assertion.claims(), expected);
        assertion.subject = None;
        assert!(assertion.claims().get("sub").is_none());
    }
}
