//! Statements: constant texts, each the same for both databases, and the list of them all.

use crate::rows;

/// One statement and the table it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    /// `table.NAME`, for messages.
    pub(crate) name: &'static str,
    /// The table its rows come from.
    pub(crate) table: &'static str,
    /// The text; parameters are `$1`, `$2`, …
    pub(crate) sql: &'static str,
}

/// `statements! { "table"; NAME = "text"; … }`: the constants, and `ALL` of them for the test that
/// prepares each on both databases.
macro_rules! statements {
    ($table:literal; $($name:ident = $sql:expr;)+) => {
        $(
            const $name: $crate::statement::Statement = $crate::statement::Statement {
                name: concat!($table, ".", stringify!($name)),
                table: $table,
                sql: $sql,
            };
        )+

        /// Every statement of this file.
        pub(crate) const ALL: &[$crate::statement::Statement] = &[$($name),+];
    };
}
pub(crate) use statements;

/// Every statement of the crate that both databases run, file by file.
#[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "only tests ask"))]
pub(crate) const REGISTRY: &[&[Statement]] = &[
    rows::access_tokens::ALL,
    rows::account_secrets::ALL,
    rows::api_keys::ALL,
    rows::application_origins::ALL,
    rows::applications::ALL,
    rows::changes::ALL,
    rows::connectors::ALL,
    rows::credential_secrets::ALL,
    rows::credentials::ALL,
    rows::grant_list::ALL,
    rows::grants::ALL,
    rows::keys::ALL,
    rows::redirect_uris::ALL,
    rows::refresh_states::ALL,
    rows::refresh_tokens::ALL,
    rows::sealed::ALL,
    rows::server::ALL,
    rows::service_accounts::ALL,
    rows::sign_ins::ALL,
    rows::signing_keys::ALL,
    rows::sweeps::ALL,
    rows::tenant_consents::ALL,
    rows::token_sets::ALL,
    crate::migrations::ALL,
];
