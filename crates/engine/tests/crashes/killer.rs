//! A process that dies at a step of its own, and may be stopped for a while at another.

use keyway_engine::Engine;
use keyway_store::testing::{Moment, Stage};
use keyway_store::{BoxFuture, Store, StoreError};
use keyway_testkit::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// When a process stops and when it dies: steps are counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// It dies when it comes to this step.
    pub(crate) dies_at: usize,
    /// At this one it waits until something else is done.
    pub(crate) waits_at: Option<usize>,
}

struct Killer {
    fate: Fate,
    steps: AtomicUsize,
    dead: Notify,
    waiting: Notify,
    go_on: Notify,
}

/// The stage of one process.
struct OnStage(Arc<Killer>);

impl Stage for OnStage {
    fn turn(&self, _: Moment) -> BoxFuture<'static, Result<(), StoreError>> {
        let killer = Arc::clone(&self.0);
        Box::pin(async move {
            let step = killer.steps.fetch_add(1, Ordering::SeqCst);
            if Some(step) == killer.fate.waits_at {
                killer.waiting.notify_one();
                killer.go_on.notified().await;
            }
            if step >= killer.fate.dies_at {
                killer.dead.notify_one();
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }

    // A job of PostgreSQL's needs the thread for its connection.
    fn is_alone(&self) -> bool {
        false
    }
}

/// An engine on a database it shares, with its fate.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    store: Store,
    killer: Arc<Killer>,
}

impl Process {
    pub(crate) async fn start(world: &World, fate: Fate) -> Self {
        let killer = Arc::new(Killer {
            fate,
            steps: AtomicUsize::new(0),
            dead: Notify::new(),
            waiting: Notify::new(),
            go_on: Notify::new(),
        });
        let stage = Arc::new(OnStage(Arc::clone(&killer)));
        let (engine, store) = world.staged_engine(stage).await;
        Self {
            engine,
            store,
            killer,
        }
    }

    /// What comes of `work`; `None` if the process dies first. Where it waits, `meanwhile` is done.
    pub(crate) async fn run<T>(
        &self,
        work: impl Future<Output = T>,
        meanwhile: impl Future<Output = ()>,
    ) -> Option<T> {
        let interlude = async {
            self.killer.waiting.notified().await;
            meanwhile.await;
            self.killer.go_on.notify_one();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = work => Some(done),
            () = self.killer.dead.notified() => None,
            () = interlude => None,
        }
    }

    /// Lets go of what the operating system would take from a dead process. Nothing of it is under way: its
    /// tasks stand still before a job or after one.
    pub(crate) async fn bury(self) {
        self.store.close().await;
    }
}
