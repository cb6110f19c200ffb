//! What can go wrong between Keyway and its database. Never with a value of a row in the text.

use std::fmt;

/// Why a piece of work on the database failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or cannot do its work now.
    #[error("the database is unavailable: {0}")]
    Unavailable(Outage),
    /// A row like that is already there. The transaction is lost.
    #[error("a row with the same {0} exists already")]
    Conflict(Constraint),
    /// A stored value is not what Keyway writes.
    #[error("the database holds an unreadable value in {table}.{column}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's id, where it was read before.
        id: Option<String>,
    },
    /// A newer Keyway has migrated this database.
    #[error(
        "the database has schema version {found}, but this program knows only up to {known}: use a newer program, or restore a backup of the older version"
    )]
    Newer {
        /// The version the database is at.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// A migration was applied with another text than this program has.
    #[error(
        "migration {version} of the database was applied with another text than this program's: it was made by a different build"
    )]
    Altered {
        /// The migration's number.
        version: i64,
    },
    /// A defect of Keyway itself.
    #[error("a defect in the use of the database: {0}")]
    Bug(String),
}

impl StoreError {
    /// A defect, in words.
    pub(crate) fn bug(what: impl Into<String>) -> Self {
        Self::Bug(what.into())
    }

    /// An outage that trying again at once will not mend.
    pub(crate) fn down(reason: impl Into<String>) -> Self {
        Self::Unavailable(Outage {
            reason: reason.into(),
            mending: Mending::Unknown,
        })
    }

    /// An outage that is over in a moment: the database is there, and lets nobody in yet.
    pub(crate) fn not_yet(reason: impl Into<String>) -> Self {
        Self::Unavailable(Outage {
            reason: reason.into(),
            mending: Mending::Soon,
        })
    }

    /// An outage that the same work may get past when tried again.
    pub(crate) fn busy(reason: impl Into<String>) -> Self {
        Self::Unavailable(Outage {
            reason: reason.into(),
            mending: Mending::AtOnce,
        })
    }

    /// Whether the same work may succeed when tried again at once: it lost against other
    /// transactions, not against its own data.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(outage) if matches!(outage.mending, Mending::AtOnce))
    }

    /// Whether the database is there and lets nobody in at this moment: it starts, or has no connection left.
    #[must_use]
    pub const fn is_over_soon(&self) -> bool {
        matches!(self, Self::Unavailable(outage) if matches!(outage.mending, Mending::Soon))
    }
}

/// What keeps the database from its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    reason: String,
    mending: Mending,
}

/// When trying again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mending {
    AtOnce,
    Soon,
    Unknown,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

macro_rules! constraints {
    ($($(#[$doc:meta])* $variant:ident = $label:literal, $index:literal, $columns:literal;)+) => {
        /// What must be unique.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Constraint {
            $($(#[$doc])* $variant,)+
            /// Something else: an id, mostly.
            Other,
        }

        impl Constraint {
            /// Every named constraint.
            pub const NAMED: &[Self] = &[$(Self::$variant),+];

            /// The constraint of that index, as PostgreSQL names it.
            pub(crate) fn of_index(name: &str) -> Self {
                match name { $($index => Self::$variant,)+ _ => Self::Other }
            }

            /// The constraint over those columns, as SQLite names them.
            pub(crate) fn of_columns(columns: &str) -> Self {
                match columns { $($columns => Self::$variant,)+ _ => Self::Other }
            }

            const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ Self::Other => "key" }
            }
        }
    };
}

constraints! {
    /// The digest of an API key.
    ApplicationKeyDigest = "API key", "api_keys_digest", "api_keys.digest";
    /// The URL of a live redirect URI in its application.
    RedirectUri = "redirect URI", "redirect_uris_url",
        "redirect_uris.application_id, redirect_uris.url";
    /// The provider of a live connector in its application.
    Connector = "provider", "connectors_provider",
        "connectors.application_id, connectors.provider";
    /// The name of a live credential in its connector.
    CredentialName = "credential name", "credentials_name",
        "credentials.application_id, credentials.connector_id, credentials.name";
    /// The address of a grant, with its provider.
    GrantEmail = "address", "grants_email",
        "grants.application_id, grants.email_key, grants.provider";
    /// The identity of a grant's user, with its provider.
    GrantIdentity = "identity", "grants_identity",
        "grants.application_id, grants.provider, grants.identity";
    /// The application's own id of a grant.
    GrantExternalId = "external id", "grants_external_id",
        "grants.application_id, grants.external_id";
    /// A sign-in: it has been used before.
    SignIn = "sign-in", "sign_ins_pkey", "sign_ins.application_id, sign_ins.id";
    /// The current token set of a grant: there is at most one.
    CurrentTokenSet = "current token set", "token_sets_current",
        "token_sets.application_id, token_sets.grant_id";
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
