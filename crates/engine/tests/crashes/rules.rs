//! What holds of everything that is stored, whoever died.

use super::ground::Ground;
use keyway_core::change::Action;
use keyway_store::testing::TestDatabase;
use keyway_testkit::{World, on_both_databases};
use std::collections::BTreeSet;

/// Nothing is half there.
pub(crate) async fn hold(world: &World, what: &str) {
    let found = world.database().half_done().await;
    assert!(found.is_empty(), "{what}: {found:?}");
}

/// What an application can see, as text.
pub(crate) async fn stored(world: &World) -> String {
    world.snapshot().await
}

/// Rule 10: what applications can see has changed since `seq` if the sequence says so, and not otherwise.
/// What a provider last said of a credential is no part of it.
pub(crate) async fn each_change_has_its_entry(world: &World, seq: i64, before: &str, what: &str) {
    let mut entries = world.changes_since(seq).await;
    entries.retain(|entry| entry.action != Action::HealthChanged);
    let is_changed = stored(world).await != before;
    assert_eq!(is_changed, !entries.is_empty(), "{what}: {entries:?}");
}

/// For the beginning of each rule, what breaks it in an application (`{app}`) with one grant.
const BREACHES: &[(&str, &str)] = &[
    (
        "rule 4: a grant without exactly one current",
        "DELETE FROM token_sets WHERE {app} AND state = 'current'",
    ),
    (
        "rule 1: a grant with the tokens of another",
        "UPDATE grants SET credential_id = NULL WHERE {app}",
    ),
    (
        "tokens of a grant that is not there",
        "UPDATE token_sets SET grant_id = 'gone' WHERE {app}",
    ),
    (
        "rule 4: a pending set without",
        "UPDATE token_sets SET state = 'pending', sign_in_id = 'gone' WHERE {app}",
    ),
    (
        "rule 4: a sign-in that waits",
        "UPDATE sign_ins SET status = 'completed' WHERE {app}",
    ),
    (
        "rule 9: a code",
        "UPDATE sign_ins SET status = 'failed' WHERE {app}",
    ),
    (
        "rule 9: a family",
        "INSERT INTO refresh_tokens (application_id, id, grant_id, family_id, digest, audience, scope, public_client,
             rotates, used_at, last_used_at, family_created_at, created_at)
         SELECT application_id, 'more', grant_id, family_id, digest, audience, scope, public_client,
             rotates, NULL, last_used_at, family_created_at, created_at FROM refresh_tokens WHERE {app}",
    ),
    (
        "an access token of a grant",
        "UPDATE access_tokens SET grant_id = 'gone' WHERE {app}",
    ),
    (
        "a refresh token of a grant",
        "UPDATE refresh_tokens SET grant_id = 'gone' WHERE {app}",
    ),
    (
        "a refresh state without",
        "UPDATE refresh_states SET grant_id = 'gone' WHERE {app}",
    ),
    (
        "a grant without its refresh state",
        "DELETE FROM refresh_states WHERE {app}",
    ),
    (
        "passwords without",
        "INSERT INTO account_secrets (application_id, id, grant_id, provider, sealed, created_at, updated_at, version)
         SELECT application_id, id, 'gone', provider, sealed, created_at, updated_at, version FROM token_sets WHERE {app}",
    ),
    (
        "a secret without",
        "UPDATE credential_secrets SET credential_id = 'gone' WHERE {app}",
    ),
    (
        "a live credential without",
        "DELETE FROM credential_secrets WHERE {app}",
    ),
    (
        "a live connector whose default",
        "UPDATE connectors SET active_credential_id = 'gone' WHERE {app}",
    ),
    (
        "rule 10: a grant whose version",
        "UPDATE grants SET version = version + 1 WHERE {app}",
    ),
    (
        "rule 10: an entry that made a grant",
        "UPDATE changes SET action = 'updated' WHERE {app} AND entity = 'grant'",
    ),
    (
        "rule 10: a key",
        "UPDATE api_keys SET revoked_at = 1 WHERE {app}",
    ),
    (
        "rule 10: a credential or connector",
        "UPDATE credentials SET deleted_at = 1 WHERE {app}",
    ),
    (
        "rule 10: an entry about something",
        "UPDATE changes SET entity_id = 'gone' WHERE {app} AND entity = 'api_key'",
    ),
];

async fn every_breach_of_a_rule_is_found(world: &World) {
    let mut unbroken: BTreeSet<_> = TestDatabase::rules().collect();
    let mut known = BTreeSet::new();
    for (number, (rule, sql)) in BREACHES.iter().enumerate() {
        let ground = Ground::new(world, &format!("app-{number}")).await;
        ground.connect().await;
        let found = || async { BTreeSet::from_iter(world.database().half_done().await) };
        assert_eq!(found().await, known, "an application that is well");
        let app = format!("application_id = '{}'", ground.app.id);
        world.database().execute(&sql.replace("{app}", &app)).await;
        let more = found().await;
        let is_new = |found: &&String| found.starts_with(rule) && !known.contains(*found);
        assert!(more.iter().any(|found| is_new(&found)), "{rule}: {more:?}");
        known = more;
        unbroken.retain(|name| !name.starts_with(rule));
    }
    assert!(unbroken.is_empty(), "nobody breaks {unbroken:?}");
}

on_both_databases!(every_breach_of_a_rule_is_found);
