//! Connectors: one provider in one application.

use crate::ids::{ApplicationId, ConnectorId, CredentialId};
use crate::provider::Provider;
use crate::scope::Scopes;
use crate::time::UnixMillis;
use serde_json::{Map, Value};

/// One provider in one application: default scopes, settings and the default credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Connector {
    /// Its id. Not on the wire; notifications and logs name it.
    pub id: ConnectorId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its provider: at most one live connector per provider and application.
    pub provider: Provider,
    /// A name for people.
    pub name: String,
    /// The settings that are no secret, as the wire shows them.
    pub settings: Map<String, Value>,
    /// Default scopes of a sign-in.
    pub scope: Scopes,
    /// The default credential of later sign-ins.
    pub active_credential_id: Option<CredentialId>,
    /// The credential made from the connector's own client settings.
    pub primary_credential_id: Option<CredentialId>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// Raised by every write.
    pub version: i64,
}

impl Connector {
    /// The Microsoft tenant its settings name, if any.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.settings.get("tenant").and_then(Value::as_str)
    }
}
