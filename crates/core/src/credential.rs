//! Credentials: the provider applications behind a connector.

use crate::ids::{ApplicationId, ConnectorId, CredentialId, SecretId};
use crate::provider::Provider;
use crate::sealed::{Digest, Sealed};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of provider application a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CredentialType {
    /// An OAuth client: id and secret.
    Connector,
    /// A Google service account with domain-wide delegation.
    ServiceAccount,
    /// A Microsoft application with a tenant administrator's consent.
    AdminConsent,
}

impl CredentialType {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::ServiceAccount => "serviceaccount",
            Self::AdminConsent => "adminconsent",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Connector, Self::ServiceAccount, Self::AdminConsent]
            .into_iter()
            .find(|t| t.as_str() == text)
    }
}

/// Who owns the provider application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The application, or a customer of its.
    Application,
    /// The operator of this server, who lends it.
    Operator,
}

impl Owner {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Operator => "operator",
        }
    }

    /// The owner of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Application, Self::Operator]
            .into_iter()
            .find(|o| o.as_str() == text)
    }
}

/// How the provider has lately answered to a credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthStatus {
    /// Never yet used, or never conclusively.
    #[default]
    Unknown,
    /// The provider accepted it.
    Healthy,
    /// The provider refused the application itself.
    Failing,
}

impl HealthStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unknown, Self::Healthy, Self::Failing]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// A credential's health, as last learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// In one word.
    pub status: HealthStatus,
    /// The provider's word for what is wrong, such as `invalid_client`.
    pub error: Option<String>,
    /// What that means and what to do.
    pub message: Option<String>,
    /// Since when.
    pub since: Option<UnixMillis>,
}

/// One provider application.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its connector.
    pub connector_id: ConnectorId,
    /// The connector's provider.
    pub provider: Provider,
    /// Unique among the connector's live credentials.
    pub name: String,
    /// What kind it is; fixed at creation.
    pub credential_type: CredentialType,
    /// Who owns the provider application.
    pub owner: Owner,
    /// The OAuth client id at the provider; no secret.
    pub client_id: Option<String>,
    /// The provider's project the client belongs to, where it can be told: consent is per project.
    pub provider_project: Option<String>,
    /// The Microsoft tenant, where one is named.
    pub tenant: Option<String>,
    /// A credential without client settings of its own uses this one's. Pinned at creation, so that a
    /// change of the connector's default moves nothing.
    pub borrows_from: Option<CredentialId>,
    /// Labels for people and, later, routing rules.
    pub labels: Map<String, Value>,
    /// Digest of type, name and data, by which an equal creation is recognised.
    pub data_digest: Digest,
    /// How the provider has lately answered.
    pub health: Health,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When name or data last changed.
    pub updated_at: UnixMillis,
    /// When it was deleted; its row stays while grants name it.
    pub deleted_at: Option<UnixMillis>,
    /// Raised by every write.
    pub version: i64,
}

/// Where a slot of secrets stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// In use, or ready to be.
    Active,
    /// Replaced.
    Retired,
}

impl SlotState {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Retired]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// One slot of a credential's secrets: the whole `credential_data`, sealed and bound to the slot's id.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialSecret {
    /// The slot's id.
    pub id: SecretId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its credential.
    pub credential_id: CredentialId,
    /// The sealed JSON object.
    pub sealed: Sealed,
    /// Where it stands.
    pub state: SlotState,
    /// Not used before.
    pub not_before: UnixMillis,
    /// Not used after.
    pub expires_at: Option<UnixMillis>,
    /// When it was stored.
    pub created_at: UnixMillis,
}

/// A tenant whose administrator has consented to a credential's application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantConsent {
    /// The credential's application.
    pub application_id: ApplicationId,
    /// The credential.
    pub credential_id: CredentialId,
    /// The client it had then: what was consented to.
    pub client_id: String,
    /// The tenant, by its id where the provider has one.
    pub tenant: String,
    /// When it was first known.
    pub noted_at: UnixMillis,
}

/// How many grants a credential has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrantCounts {
    /// With status `valid`.
    pub valid: i64,
    /// With status `invalid`.
    pub invalid: i64,
}
