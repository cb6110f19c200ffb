//! The store, method by method, on both databases.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects fails"
)]

mod account_secrets;
mod applications;
mod changes;
mod conflicts;
mod connectors;
mod files;
mod fixtures;
mod grants;
mod group_commit;
mod keys;
mod migrations;
mod outages;
mod portable;
mod sealed;
mod server;
mod service_accounts;
mod sign_ins;
mod statements;
mod sweeps;
mod tenants;
mod token_sets;
mod tokens;
mod transactions;

use keyway_core::time::{ManualClock, UnixMillis};
use keyway_store::testing::TestDatabase;
use keyway_store::{Backend, Store};
use std::sync::Arc;

/// A migrated database of the test's own.
pub(crate) struct Db {
    pub(crate) database: TestDatabase,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
}

impl Db {
    /// A second store on the same database, as another process would have it.
    pub(crate) async fn second_store(&self) -> Store {
        self.database.open(self.clock.clone()).await.unwrap()
    }
}

pub(crate) async fn with_db(backend: Backend, test: impl AsyncFnOnce(&Db)) {
    let Some(database) = TestDatabase::create(backend).await else {
        return;
    };
    let clock = Arc::new(ManualClock::at(UnixMillis(1_000_000)));
    let store = database.open(clock.clone()).await.unwrap();
    store.migrate().await.unwrap();
    let db = Db {
        database,
        store,
        clock,
    };
    test(&db).await;
    db.store.close().await;
    db.database.remove().await;
}

/// Each test runs on both databases. One that is left out is dead code.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                $crate::with_db(keyway_store::Backend::Sqlite, super::$name).await;
            }

            #[tokio::test]
            async fn postgres() {
                $crate::with_db(keyway_store::Backend::Postgres, super::$name).await;
            }
        }
    )+};
}
pub(crate) use on_both;

/// `put!(db, |s| s.method(..))`: one transaction around one call, which must succeed.
macro_rules! put {
    ($db:expr, |$s:ident| $call:expr) => {
        $crate::try_put!($db, |$s| $call).unwrap()
    };
}
pub(crate) use put;

/// The same, answering what came of it.
macro_rules! try_put {
    ($db:expr, |$s:ident| $call:expr) => {
        $db.store
            .write::<_, keyway_store::StoreError, _>(move |$s| Box::pin(async move { $call.await }))
            .await
    };
}
pub(crate) use try_put;

/// `get!(db, |s| s.method(..))`: one snapshot around one call, which must succeed.
macro_rules! get {
    ($db:expr, |$s:ident| $call:expr) => {
        $db.store
            .read(move |$s| Box::pin(async move { $call.await }))
            .await
            .unwrap()
    };
}
pub(crate) use get;
