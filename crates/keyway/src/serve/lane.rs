//! One request on its way: counted, limited, and handed to whoever answers it.

use super::limiter::Limiter;
use super::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use keyway_engine::Engine;
use keyway_web::{PeerAddr, hot};
use std::net::SocketAddr;
use std::sync::Arc;
use tower::Service as _;

/// What every connection of every thread uses.
pub(super) struct Lane {
    router: Router,
    engine: Engine,
    limiter: Option<Limiter>,
    metrics: Arc<Metrics>,
}

impl Lane {
    pub(super) fn new(
        router: Router,
        engine: Engine,
        limiter: Option<Limiter>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            router,
            engine,
            limiter,
            metrics,
        }
    }

    /// Answers one request. Paths that cannot afford the router are answered before it is asked.
    pub(super) async fn route(
        &self,
        peer: SocketAddr,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let response = match self.over_limit(request.headers()).await {
            Some(refusal) => refusal,
            None => match self.remembered(&request) {
                Some(answer) => answer,
                None => {
                    request.extensions_mut().insert(PeerAddr(peer));
                    self.ordinary(request).await
                }
            },
        };
        self.metrics.count(response.status());
        response
    }

    fn remembered(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        hot::remembered(
            &self.engine,
            request.method(),
            request.uri(),
            request.headers(),
        )
    }

    async fn ordinary(&self, request: Request<Incoming>) -> Response<Body> {
        // Ready at any time, and without errors of its own: the type says so.
        self.router
            .clone()
            .call(request)
            .await
            .unwrap_or_else(|never| match never {})
    }

    /// The answer to an application that asks too often. Costs nothing where no limit is set. Requests
    /// that prove no application are not limited here: nobody may use up another's share.
    async fn over_limit(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let limiter = self.limiter.as_ref()?;
        let bearer = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let token = bearer
            .strip_prefix("Bearer ")
            .or_else(|| bearer.strip_prefix("bearer "))?;
        let application = self
            .engine
            .principal(token.trim())
            .await
            .ok()?
            .application_id();
        if limiter.admits(application, self.engine.now()) {
            return None;
        }
        Some(limiter.refusal(&self.engine.request_id().to_string()))
    }
}
