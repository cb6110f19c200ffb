//! One story, told on both databases.

use crate::options::WorldOptions;
use crate::world::World;
use keyway_store::Backend;
use std::time::Duration;

/// Makes `name::sqlite` and `name::postgres` of each `async fn name(world: &World)`. The latter is
/// skipped, with a line that says so, where `KEYWAY_TEST_POSTGRES` names no server, and fails instead
/// where `KEYWAY_TEST_REQUIRE_POSTGRES` is `1`.
///
/// `on_both_databases!(first, second)`, or, with a world of another kind,
/// `on_both_databases!(World::options().microsoft() => first, second)`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        $crate::on_both_databases!($crate::World::options() => $($name),+);
    };
    ($options:expr => $($name:ident),+ $(,)?) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::tell($crate::Backend::Sqlite, $options, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::tell($crate::Backend::Postgres, $options, super::$name).await;
            }
        }
    )+};
}

/// How long an engine with nothing left to do may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// Tells `story` in a world on that kind of database, and ends the world.
///
/// # Panics
/// If the engine does not stop when it is told to.
pub async fn tell(backend: Backend, options: WorldOptions, story: impl AsyncFnOnce(&World)) {
    let Some(world) = World::create(backend, options).await else {
        return;
    };
    Box::pin(story(&world)).await;
    let stopped = tokio::time::timeout(STOP_LIMIT, world.engine.shutdown()).await;
    assert!(stopped.is_ok(), "the engine does not stop");
    Box::pin(world.remove()).await;
}
