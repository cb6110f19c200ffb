//! What holds of everything that is stored, whoever died.

use keyway_core::change::Action;
use keyway_testkit::World;

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
