//! What holds of every statement.

use crate::{Db, on_both};
use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::DatabaseUrl;
use keyway_store::testing::{
    TestDatabase, statement_names, statement_texts, unpreparable_statements,
};
use std::collections::BTreeSet;
use std::sync::Arc;

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
        "applications.ANY",
        "api_keys.BY_DIGEST",
        "application_origins.BY_ORIGIN",
        "service_accounts.NONCE_USED",
        "token_sets.LIVE_CONSENTS",
        "token_sets.REVOKING",
        "refresh_states.DUE",
        "account_secrets.DUE",
        "changes.SINCE",
        "credentials.LENT_OTHERWISE",
        "connectors.PROVIDERS",
        "changes.LATEST",
        "sweeps.SIGN_INS",
        "sweeps.ACCESS_TOKENS",
        "sweeps.REFRESH_TOKENS",
        "sweeps.NONCES",
        "sweeps.API_KEYS",
        "service_accounts.BY_ID",
        "service_accounts.LIST",
        "service_accounts.REVOKE",
        "service_accounts.APPLICATIONS",
        "sweeps.GRANTS_OF_CREDENTIALS",
        "sweeps.GRANTS_OF_CONNECTORS",
        "sweeps.CREDENTIALS",
        "sweeps.CONNECTORS",
        "sweeps.REDIRECT_URIS",
    ];
    let names: BTreeSet<_> = statement_names().into_iter().collect();
    for name in GLOBAL {
        assert!(names.contains(name), "{name} is excused and is not there");
    }
    for (name, sql) in statement_texts() {
        let is_servers = [
            "sealed.",
            "server.",
            "signing_keys.",
            "vault_keys.",
            "schema_migrations.",
        ]
        .iter()
        .any(|table| name.starts_with(table));
        if is_servers || GLOBAL.contains(&name) || sql.starts_with("INSERT") {
            continue;
        }
        assert!(sql.contains("application_id = $1"), "{name}: {sql}");
    }
}

/// SQLite's plans name what they scan. A whole-table scan is right only where the table is small.
#[tokio::test]
async fn no_statement_on_a_large_table_scans_it() {
    const SMALL: [&str; 4] = [
        "signing_keys",
        "vault_keys",
        "schema_migrations",
        "service_accounts.LIST",
    ];
    /// The way of an operator who asks how far a rotation is: the whole table, by nature.
    const WHOLE: [&str; 5] = [
        "sealed.SECRETS_COUNT",
        "sealed.TOKEN_SETS_COUNT",
        "sealed.ACCOUNT_SECRETS_COUNT",
        "sealed.SIGN_INS_COUNT",
        "sealed.SIGNING_KEYS_COUNT",
    ];
    let database = TestDatabase::sqlite();
    let clock = Arc::new(ManualClock::at(UnixMillis(1)));
    let store = database.open(clock).await.unwrap();
    store.migrate().await.unwrap();
    let DatabaseUrl::Sqlite(path) = database.url() else {
        panic!("not a file");
    };
    let connection = rusqlite::Connection::open(path).unwrap();
    for (name, sql) in statement_texts() {
        if SMALL.iter().any(|table| name.starts_with(table)) || WHOLE.contains(&name) {
            continue;
        }
        let plan = plan(&connection, sql);
        let scans = |step: &String| step.starts_with("SCAN") && !step.contains("USING");
        assert!(!plan.iter().any(scans), "{name}: {plan:#?}");
        let sorts_all = name.starts_with("grants.ALL") || name.starts_with("credentials.CREATED");
        let sorts = |step: &String| step.contains("TEMP B-TREE");
        assert!(!(sorts_all && plan.iter().any(sorts)), "{name}: {plan:#?}");
    }
    store.close().await;
}

fn plan(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut prepared = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let mut rows = prepared.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps
}
