//! The append-only sequence of changes (rule 10): audit, webhooks and cache invalidation read it.

use crate::ids::ApplicationId;
use crate::time::UnixMillis;
use serde_json::{Map, Value};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// The word in the database.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// What the word means.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// What kind of thing changed.
    Entity {
        /// An application.
        Application = "application",
        /// An API key.
        ApiKey = "api_key",
        /// A redirect URI.
        RedirectUri = "redirect_uri",
        /// A connector.
        Connector = "connector",
        /// A credential.
        Credential = "credential",
        /// A grant.
        Grant = "grant",
        /// A grant's provider tokens.
        TokenSet = "token_set",
        /// Keyway's own tokens of one exchange; the entity id is the family's.
        TokenFamily = "token_family",
        /// The vault's keys; the server's own, of no application.
        Keyring = "keyring",
        /// A service account; one entry in each application it may act on.
        ServiceAccount = "service_account",
        /// Something that a newer version knows.
        Unknown = "unknown",
    }
}

words! {
    /// What happened to it.
    Action {
        /// It came to be.
        Created = "created",
        /// It changed.
        Updated = "updated",
        /// A grant was authenticated again.
        Reauthenticated = "reauthenticated",
        /// A key was revoked, or tokens were.
        Revoked = "revoked",
        /// A grant became invalid.
        Expired = "expired",
        /// A tenant's administrator consented to a credential's application.
        Consented = "consented",
        /// A credential's health changed.
        HealthChanged = "health_changed",
        /// It is gone.
        Deleted = "deleted",
        /// Something that a newer version does.
        Unknown = "unknown",
    }
}

/// One entry to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewChange {
    /// When.
    pub at: UnixMillis,
    /// In which application.
    pub application_id: ApplicationId,
    /// What kind of thing.
    pub entity: Entity,
    /// Which one.
    pub entity_id: String,
    /// What happened.
    pub action: Action,
    /// Who did it: `api_key:<id>`, `sign_in:<id>`, `cli`, `engine`.
    pub actor: String,
    /// Facts for audit and webhooks; never a secret.
    pub detail: Map<String, Value>,
}

/// One entry of the sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place; grows in the order of commits.
    pub seq: i64,
    /// What it says.
    pub change: NewChange,
}
