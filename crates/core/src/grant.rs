//! Grants: users' accounts, as an application sees them.

use crate::ids::{ApplicationId, ConnectorId, CredentialId, GrantId, WorkspaceId};
use crate::provider::Provider;
use crate::scope::Scopes;
use crate::time::UnixMillis;
use serde_json::{Map, Value};

/// Whether a grant can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantStatus {
    /// The provider honours it, as far as is known.
    Valid,
    /// The user (or a tenant administrator) must act, or its credential or connector is gone.
    Invalid,
}

impl GrantStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Valid, Self::Invalid]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// One user's account. Its id outlives re-authentication and moves between credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its provider; never changes.
    pub provider: Provider,
    /// The connector it came through.
    pub connector_id: ConnectorId,
    /// The credential whose provider application holds the user's consent.
    pub credential_id: Option<CredentialId>,
    /// The address as the provider gave it; unique with the provider, without case.
    pub email: String,
    /// The identity by which the provider names the same person to every provider application.
    pub identity: Option<String>,
    /// The provider's id of the user, as shown on the wire.
    pub provider_user_id: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Granted scopes.
    pub scope: Scopes,
    /// What is stored; deletion of credential or connector makes it invalid without a write here.
    pub status: GrantStatus,
    /// Whether its credential and connector still exist (or it needs no credential). Read, never written.
    pub is_anchored: bool,
    /// Barred from the API.
    pub blocked: bool,
    /// Settings that are no secret.
    pub settings: Map<String, Value>,
    /// The application's `state` of the last authentication.
    pub state: Option<String>,
    /// The browser's address at the last authentication.
    pub ip: Option<String>,
    /// The browser's user agent at the last authentication.
    pub user_agent: Option<String>,
    /// Its workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// The application's own id for it; unique in the application.
    pub external_id: Option<String>,
    /// When it was first authenticated.
    pub created_at: UnixMillis,
    /// When it was last authenticated.
    pub updated_at: UnixMillis,
    /// Raised by every write; the fence of concurrent ones.
    pub version: i64,
}

impl Grant {
    /// The status the wire shows: stored status, and nothing it stands on deleted.
    #[must_use]
    pub const fn effective_status(&self) -> GrantStatus {
        match (self.status, self.is_anchored) {
            (GrantStatus::Valid, true) => GrantStatus::Valid,
            _ => GrantStatus::Invalid,
        }
    }
}

/// Which grant a path names (`{grant_id}` on the wire).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLocator {
    /// By id.
    Id(GrantId),
    /// By address, without case.
    Email(String),
    /// By the application's own id.
    External(String),
    /// The grant of the access token that makes the call.
    Me,
}

impl GrantLocator {
    /// Reads a decoded path segment. `None` when it can name no grant at all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "me" {
            return Some(Self::Me);
        }
        if let Some(id) = text.strip_prefix("grant:") {
            return id.parse().ok().map(Self::Id);
        }
        if let Some(id) = text.strip_prefix("external:") {
            return (!id.is_empty()).then(|| Self::External(id.to_owned()));
        }
        if let Some(email) = text.strip_prefix("email:") {
            return (!email.is_empty()).then(|| Self::Email(email.to_owned()));
        }
        if let Ok(id) = text.parse() {
            return Some(Self::Id(id));
        }
        text.contains('@').then(|| Self::Email(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_locator_form_is_read() {
        let id = GrantId::from_u128(7);
        for text in [id.to_string(), format!("grant:{id}")] {
            assert_eq!(GrantLocator::parse(&text), Some(GrantLocator::Id(id)));
        }
        for text in ["a+b@c.d", "email:a+b@c.d"] {
            assert_eq!(
                GrantLocator::parse(text),
                Some(GrantLocator::Email("a+b@c.d".into()))
            );
        }
        assert_eq!(GrantLocator::parse("me"), Some(GrantLocator::Me));
        assert_eq!(
            GrantLocator::parse("external:x:1"),
            Some(GrantLocator::External("x:1".into()))
        );
        for bad in ["", "grant:x", "external:", "email:", "nonsense"] {
            assert_eq!(GrantLocator::parse(bad), None, "{bad}");
        }
    }
}
