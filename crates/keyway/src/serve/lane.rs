//! One request on its way: counted, limited, and handed to whoever answers it.

use super::body::ServedBody;
use super::limiter::Limiter;
use super::metrics::Metrics;
use super::proxy::{self, Proxy};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use keyway_engine::{Engine, Principal};
use keyway_web::proxy::ANSWER_HEADER;
use keyway_web::{PeerAddr, bearer_of, hot};
use std::net::SocketAddr;
use std::sync::Arc;
use tower::Service as _;

/// Tells the client that the connection ends: HTTP/1.1 has no other way past a body that nobody will read.
/// (`keyway_web` says it of its own answers.)
fn end_connection<B>(answer: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
}

/// What every connection of every thread uses.
pub(super) struct Lane {
    router: Router,
    engine: Engine,
    proxy: Proxy,
    limiter: Option<Arc<Limiter>>,
    metrics: Arc<Metrics>,
}

impl Lane {
    pub(super) fn new(
        router: Router,
        proxy: Proxy,
        engine: Engine,
        limiter: Option<Arc<Limiter>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            router,
            engine,
            proxy,
            limiter,
            metrics,
        }
    }

    /// The same for another thread, which shares counters and limits and has connections of its own.
    pub(super) fn for_another_thread(&self) -> Self {
        Self {
            router: self.router.clone(),
            engine: self.engine.clone(),
            proxy: self.proxy.for_another_thread(),
            limiter: self.limiter.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// Answers one request. Paths that cannot afford the router are answered before it is asked.
    pub(super) async fn route(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<ServedBody> {
        let is_call = proxy::is_call(request.uri());
        let has_body = !request.body().is_end_stream() && request.version() < Version::HTTP_2;
        let known = match is_call || self.limiter.is_some() {
            true => bearer_of(request.headers()).and_then(|text| self.engine.known_principal(text)),
            false => None,
        };
        let over_limit = match &self.limiter {
            Some(limiter) => self.over_limit(limiter, known, request.headers()).await,
            None => None,
        };
        let response = match over_limit {
            Some(mut refusal) => {
                if is_call {
                    let ours = HeaderValue::from_static("keyway");
                    refusal.headers_mut().insert(ANSWER_HEADER, ours);
                }
                if has_body {
                    end_connection(&mut refusal);
                }
                refusal.map(ServedBody::from)
            }
            None if is_call => {
                let mut answer = self.proxy.answer(request, known).await;
                if has_body
                    && answer
                        .headers()
                        .get(ANSWER_HEADER)
                        .is_some_and(|whose| whose == "keyway")
                {
                    end_connection(&mut answer);
                }
                answer
            }
            None => match self.remembered(&request) {
                Some(answer) => answer.map(ServedBody::from),
                None => Box::pin(self.own(peer, request))
                    .await
                    .map(ServedBody::from),
            },
        };
        self.metrics.count(response.status());
        response
    }

    async fn own(&self, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(PeerAddr(peer));
        self.ordinary(request).await
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

    /// The answer to an application that asks too often. Requests that prove no application are not limited
    /// here: nobody may use up another's share.
    async fn over_limit(
        &self,
        limiter: &Limiter,
        known: Option<Principal>,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        let principal = match known {
            Some(principal) => principal,
            // Read as those do who answer: what they accept is counted. Boxed, since it is seldom needed and
            // would be moved with every request.
            None => Box::pin(self.engine.principal(bearer_of(headers)?))
                .await
                .ok()?,
        };
        let application = principal.application_id();
        if limiter.admits(application, self.engine.now()) {
            return None;
        }
        Some(limiter.refusal(&self.engine.request_id().to_string()))
    }
}
