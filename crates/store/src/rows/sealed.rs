//! Every sealed value of the database, whatever it is for: so that a new term can seal all of them anew.

use crate::arg::args;
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::{Statement, statements};
use keyway_core::sealed::Sealed;

statements! { "sealed";
    SECRETS_AFTER = "SELECT application_id, id, sealed FROM credential_secrets
        WHERE (application_id, id) > ($1, $2) AND substr(sealed, 1, 5) <> $3
        ORDER BY application_id, id LIMIT $4";
    SECRETS_REPLACE = "UPDATE credential_secrets SET sealed = $4
        WHERE application_id = $1 AND id = $2 AND sealed = $3";
    SECRETS_COUNT = "SELECT substr(sealed, 1, 5) AS prefix, count(*) AS number
        FROM credential_secrets GROUP BY substr(sealed, 1, 5)";
    TOKEN_SETS_AFTER = "SELECT application_id, id, sealed FROM token_sets
        WHERE (application_id, id) > ($1, $2) AND substr(sealed, 1, 5) <> $3
        ORDER BY application_id, id LIMIT $4";
    TOKEN_SETS_REPLACE = "UPDATE token_sets SET sealed = $4
        WHERE application_id = $1 AND id = $2 AND sealed = $3";
    TOKEN_SETS_COUNT = "SELECT substr(sealed, 1, 5) AS prefix, count(*) AS number
        FROM token_sets GROUP BY substr(sealed, 1, 5)";
    ACCOUNT_SECRETS_AFTER = "SELECT application_id, id, sealed FROM account_secrets
        WHERE (application_id, id) > ($1, $2) AND substr(sealed, 1, 5) <> $3
        ORDER BY application_id, id LIMIT $4";
    ACCOUNT_SECRETS_REPLACE = "UPDATE account_secrets SET sealed = $4
        WHERE application_id = $1 AND id = $2 AND sealed = $3";
    ACCOUNT_SECRETS_COUNT = "SELECT substr(sealed, 1, 5) AS prefix, count(*) AS number
        FROM account_secrets GROUP BY substr(sealed, 1, 5)";
    SIGN_INS_AFTER = "SELECT application_id, id, outcome AS sealed FROM sign_ins
        WHERE (application_id, id) > ($1, $2) AND outcome IS NOT NULL
            AND substr(outcome, 1, 5) <> $3
        ORDER BY application_id, id LIMIT $4";
    SIGN_INS_REPLACE = "UPDATE sign_ins SET outcome = $4
        WHERE application_id = $1 AND id = $2 AND outcome = $3";
    SIGN_INS_COUNT = "SELECT substr(outcome, 1, 5) AS prefix, count(*) AS number
        FROM sign_ins WHERE outcome IS NOT NULL GROUP BY substr(outcome, 1, 5)";
    // The server's own: no application.
    SIGNING_KEYS_AFTER = "SELECT '' AS application_id, kid AS id, sealed FROM signing_keys
        WHERE ('', kid) > ($1, $2) AND substr(sealed, 1, 5) <> $3 ORDER BY kid LIMIT $4";
    SIGNING_KEYS_REPLACE = "UPDATE signing_keys SET sealed = $4
        WHERE '' = $1 AND kid = $2 AND sealed = $3";
    SIGNING_KEYS_COUNT = "SELECT substr(sealed, 1, 5) AS prefix, count(*) AS number
        FROM signing_keys GROUP BY substr(sealed, 1, 5)";
}

/// A column that holds sealed values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SealedColumn {
    /// `credential_secrets.sealed`
    CredentialSecrets,
    /// `token_sets.sealed`
    TokenSets,
    /// `account_secrets.sealed`
    AccountSecrets,
    /// `sign_ins.outcome`
    SignIns,
    /// `signing_keys.sealed`
    SigningKeys,
}

impl SealedColumn {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CredentialSecrets,
        Self::TokenSets,
        Self::AccountSecrets,
        Self::SignIns,
        Self::SigningKeys,
    ];

    /// `table.column`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialSecrets => "credential_secrets.sealed",
            Self::TokenSets => "token_sets.sealed",
            Self::AccountSecrets => "account_secrets.sealed",
            Self::SignIns => "sign_ins.outcome",
            Self::SigningKeys => "signing_keys.sealed",
        }
    }

    const fn after(self) -> &'static Statement {
        match self {
            Self::CredentialSecrets => &SECRETS_AFTER,
            Self::TokenSets => &TOKEN_SETS_AFTER,
            Self::AccountSecrets => &ACCOUNT_SECRETS_AFTER,
            Self::SignIns => &SIGN_INS_AFTER,
            Self::SigningKeys => &SIGNING_KEYS_AFTER,
        }
    }

    const fn replace(self) -> &'static Statement {
        match self {
            Self::CredentialSecrets => &SECRETS_REPLACE,
            Self::TokenSets => &TOKEN_SETS_REPLACE,
            Self::AccountSecrets => &ACCOUNT_SECRETS_REPLACE,
            Self::SignIns => &SIGN_INS_REPLACE,
            Self::SigningKeys => &SIGNING_KEYS_REPLACE,
        }
    }

    const fn count(self) -> &'static Statement {
        match self {
            Self::CredentialSecrets => &SECRETS_COUNT,
            Self::TokenSets => &TOKEN_SETS_COUNT,
            Self::AccountSecrets => &ACCOUNT_SECRETS_COUNT,
            Self::SignIns => &SIGN_INS_COUNT,
            Self::SigningKeys => &SIGNING_KEYS_COUNT,
        }
    }
}

/// A row that holds a sealed value: its application, empty where the server itself owns it, and its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedRow {
    /// The application's id.
    pub application_id: String,
    /// The row's id, which the value is bound to.
    pub id: String,
}

fn sealed_row(row: &mut Row) -> Result<(SealedRow, Sealed), StoreError> {
    let at = SealedRow {
        application_id: row.text("application_id")?,
        id: row.text("id")?,
    };
    Ok((at, row.sealed("sealed")?))
}

fn prefix_count(row: &mut Row) -> Result<(Vec<u8>, i64), StoreError> {
    Ok((row.bytes("prefix")?, row.int("number")?))
}

/// Sealed values, of whatever table.
impl Session<'_> {
    /// The next values after `after` that do not begin with `prefix`, at most `limit`. Where there are none it
    /// reads the rest of the table.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sealed_otherwise(
        &mut self,
        column: SealedColumn,
        after: &SealedRow,
        prefix: &Vec<u8>,
        limit: i64,
    ) -> Result<Vec<(SealedRow, Sealed)>, StoreError> {
        self.be_patient();
        let args = args![after.application_id, after.id, prefix, limit];
        self.many(column.after(), args, sealed_row).await
    }

    /// Puts `new` in place of `old`; `false` if the row is gone or holds something else by now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn replace_sealed(
        &mut self,
        column: SealedColumn,
        row: &SealedRow,
        old: &Sealed,
        new: &Sealed,
    ) -> Result<bool, StoreError> {
        let args = args![row.application_id, row.id, old, new];
        self.wrote(column.replace(), args).await
    }

    /// How many values begin with each prefix. Reads the whole table.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_sealed(
        &mut self,
        column: SealedColumn,
    ) -> Result<Vec<(Vec<u8>, i64)>, StoreError> {
        self.be_patient();
        self.many(column.count(), &[], prefix_count).await
    }
}
