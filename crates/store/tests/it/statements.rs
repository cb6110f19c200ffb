//! What holds of every statement.

use crate::{Db, on_both};
use keyway_store::testing::{statement_names, statement_texts, unpreparable_statements};
use std::collections::BTreeSet;

on_both! {
    every_statement_can_be_prepared,
}

async fn every_statement_can_be_prepared(db: &Db) {
    let bad = unpreparable_statements(&db.store).await.unwrap();
    assert_eq!(bad, Vec::<&str>::new());
}

#[test]
fn statements_have_names_of_their_own() {
    let names = statement_names();
    assert!(names.len() > 90, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
}

/// What is looked up by a secret's digest or swept is not a tenant's statement; all others name the
/// tenant they work for.
#[test]
fn rule_08_every_statement_on_tenants_rows_binds_the_application() {
    const GLOBAL: &[&str] = &[
        "applications.BY_ID",
        "applications.LIST",
        "applications.UPDATE",
        "applications.COUNT",
        "api_keys.BY_DIGEST",
        "redirect_uris.ORIGIN",
        "sign_ins.BY_CODE",
        "access_tokens.BY_DIGEST",
        "refresh_tokens.BY_DIGEST",
        "token_sets.LIVE_CONSENTS",
        "token_sets.REVOKING",
        "changes.SINCE",
        "changes.SINCE_TIME",
        "changes.LATEST",
        "sweeps.SIGN_INS",
        "sweeps.ACCESS_TOKENS",
        "sweeps.GRANTS_OF_CREDENTIALS",
        "sweeps.GRANTS_OF_CONNECTORS",
        "sweeps.CREDENTIALS",
        "sweeps.CONNECTORS",
        "sweeps.REDIRECT_URIS",
    ];
    for (name, sql) in statement_texts() {
        let is_servers = ["signing_keys.", "vault_keys.", "schema_migrations."]
            .iter()
            .any(|table| name.starts_with(table));
        if is_servers || GLOBAL.contains(&name) || sql.starts_with("INSERT") {
            continue;
        }
        assert!(sql.contains("application_id = $1"), "{name}: {sql}");
    }
}
