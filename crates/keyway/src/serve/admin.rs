//! The operator's listener: metrics and probes, never on the public port.

use super::metrics::Metrics;
use crate::config::setting::Setting;
use crate::failure::Failure;
use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use keyway_engine::Engine;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What the operator's listener answers with.
#[derive(Clone)]
pub(super) struct Admin {
    engine: Engine,
    metrics: Arc<Metrics>,
}

impl Admin {
    pub(super) fn new(engine: Engine, metrics: Arc<Metrics>) -> Self {
        Self { engine, metrics }
    }

    /// Answers on `address` until `stop`, and tells the address it got.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub(super) async fn serve(
        self,
        address: &Setting<SocketAddr>,
        runtime: &Handle,
        stop: CancellationToken,
    ) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind(address.value).await.with_context(|| {
            let what = format!("cannot listen on {} ({})", address.value, address.origin);
            Failure::new(what).next("Choose another address with --admin-listen.")
        })?;
        let bound = listener.local_addr()?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(self);
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        runtime.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "the operator's listener ended");
            }
        });
        Ok(bound)
    }
}

async fn metrics(State(admin): State<Admin>) -> ([(http::HeaderName, &'static str); 1], String) {
    let engine = &admin.engine;
    let is_ready = engine.is_ready().await;
    let text = admin
        .metrics
        .render(engine.now(), is_ready, &engine.refresh_report());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if admin.engine.is_ready().await {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer, or cannot be written to\n",
        )
    }
}
