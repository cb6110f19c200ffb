//! The threads that serve connections.

use super::connection::Acceptor;
use super::crowd::Crowd;
use super::lane::Lane;
use crate::failure::Failure;
use anyhow::Context as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// All threads of a server.
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// Asks them to accept no more.
    stop: CancellationToken,
    /// Tells them that their runtimes may end.
    end: CancellationToken,
    /// Ready once any thread has ended.
    ended: CancellationToken,
    /// Closed once all have finished their requests.
    busy: mpsc::Receiver<()>,
}

struct Worker {
    socket: TcpListener,
    acceptor: Acceptor,
    end: CancellationToken,
    /// Held while requests may be under way.
    busy: mpsc::Sender<()>,
    /// Cancels `Workers::ended` when the thread is over, however it ends.
    ended: DropGuard,
}

impl Workers {
    /// Starts one thread for each socket; together they hold at most `max_connections`.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(crate) fn start(
        sockets: Vec<TcpListener>,
        lane: &Lane,
        max_connections: usize,
    ) -> anyhow::Result<Self> {
        let crowd = Crowd::new(max_connections);
        let (stop, end, ended) =
            <(CancellationToken, CancellationToken, CancellationToken)>::default();
        let (busy, idle) = mpsc::channel(1);
        let threads = sockets.into_iter().map(|socket| {
            let worker = Worker {
                socket,
                acceptor: Acceptor::new(
                    Arc::new(lane.for_another_thread()),
                    crowd.clone(),
                    stop.clone(),
                ),
                end: end.clone(),
                busy: busy.clone(),
                ended: ended.clone().drop_guard(),
            };
            let builder = std::thread::Builder::new().name("keyway-serve".to_owned());
            builder.spawn(move || worker.run())
        });
        let threads = threads.collect::<Result<_, _>>();
        Ok(Self {
            threads: threads.context(Failure::new("the system gives this process no threads"))?,
            stop,
            end,
            ended,
            busy: idle,
        })
    }

    /// Ready when a thread ends without being asked to.
    pub(crate) async fn failed(&self) {
        self.ended.cancelled().await;
    }

    /// Accepts no more connections and waits until requests under way are finished, but not for longer
    /// than `limit`.
    pub(crate) async fn drain(&mut self, limit: Duration) {
        self.stop.cancel();
        // Nobody ever sends: the channel closes when the last thread has let go of it.
        if tokio::time::timeout(limit, self.busy.recv()).await.is_err() {
            tracing::warn!(
                seconds = limit.as_secs(),
                "some requests did not end in time and are cut off"
            );
        }
    }

    /// Ends the threads.
    ///
    /// # Errors
    /// If one had failed.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        self.end.cancel();
        let join = || {
            self.threads
                .into_iter()
                .map(JoinHandle::join)
                .collect::<Result<Vec<()>, _>>()
        };
        let joined = tokio::task::spawn_blocking(join).await?;
        joined
            .map(|_| ())
            .map_err(|_| Failure::new("a thread that serves connections failed").into())
    }
}

impl Worker {
    fn run(self) {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "a thread that serves connections cannot start");
                return;
            }
        };
        let Self {
            socket,
            acceptor,
            end,
            busy,
            ended,
        } = self;
        runtime.block_on(async {
            let served = async {
                if let Err(error) = acceptor.run(socket).await {
                    tracing::error!(%error, "a thread cannot listen");
                    return;
                }
                drop(busy);
                end.cancelled().await;
            };
            tokio::select! {
                () = served => {}
                () = end.cancelled() => {}
            }
        });
        drop(ended);
    }
}
