//! Connections that belong to the runtime the store was opened on, whichever thread asks for them first.
//!
//! A server answers on several single-threaded runtimes that end before its background work does; a
//! connection driven by one of them would die with it.

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use std::future::poll_fn;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A process that stands still while it holds locks must not hold up the others: the server ends a transaction in
/// which nothing happens, and a wait for a lock, in milliseconds.
const SESSION: &str = "SET idle_in_transaction_session_timeout = 10000; SET lock_timeout = 10000";

pub(super) struct OnRuntime {
    pub(super) runtime: Handle,
    pub(super) tls: MakeRustlsConnect,
}

/// Polls `future` as if on `runtime`: sockets and timers it makes belong there.
async fn as_on<T>(runtime: &Handle, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        let _entered = runtime.enter();
        future.as_mut().poll(cx)
    })
    .await
}

impl Connect for OnRuntime {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let config = config.clone();
        Box::pin(async move {
            let connecting = config.connect(self.tls.clone());
            let (client, connection) = as_on(&self.runtime, connecting).await?;
            // How a connection ended is told to the next statement on it.
            let driver = self.runtime.spawn(async move { drop(connection.await) });
            client.batch_execute(SESSION).await?;
            Ok((client, driver))
        })
    }
}
