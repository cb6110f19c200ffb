//! Which grants a list shows.

use keyway_core::grant::GrantStatus;
use keyway_core::ids::{ConnectorId, CredentialId, WorkspaceId};
use keyway_core::provider::Provider;
use keyway_core::time::UnixMillis;

/// What a grant must match to be in a list. Everything that is set must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// The address, as [`keyway_core::email::email_key`] makes it.
    pub email_key: Option<String>,
    /// The provider.
    pub provider: Option<Provider>,
    /// The effective status.
    pub status: Option<GrantStatus>,
    /// The browser's address at the last authentication.
    pub ip: Option<String>,
    /// Made at this time or later.
    pub since: Option<UnixMillis>,
    /// Made at this time or earlier.
    pub before: Option<UnixMillis>,
    /// The workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// The credential.
    pub credential_id: Option<CredentialId>,
    /// The connector.
    pub connector_id: Option<ConnectorId>,
    /// The application's own id.
    pub external_id: Option<String>,
    /// Matches nothing at all.
    pub none: bool,
}
