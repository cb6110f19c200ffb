//! One request on its way: counted, limited, and handed to whoever answers it.

use super::body::{ServedBody, Words};
use super::limiter::{Group, Limiter};
use super::metrics::{Metrics, Shed};
use super::places::{Crowded, Place, Placed, Places};
use super::proxy::{self, Proxy};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use keyway_engine::{Engine, Error, ErrorKind, Principal};
use keyway_web::proxy::ANSWER_HEADER;
use keyway_web::{PeerAddr, bearer_of, hot, shed};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tower::Service as _;
use url::Url;

/// Told with a request that is refused because too many are under way.
const RETRY_AFTER_SECS: u32 = 1;
const OVERLOADED: &str =
    "The server has as many requests under way as it allows. Nothing was done; try again shortly.";
const BUSY_APPLICATION: &str = "This application has as many calls under way as the server's load allows it. The call was not made; try again shortly.";
const BUSY_PROVIDER: &str = "Calls to this provider take as much of the server as its load allows them. The call was not made; try again shortly.";
const TUNNELS: &str = "There are too many WebSockets open; try again shortly.";
const TUNNELS_OF_APPLICATION: &str =
    "This application has too many WebSockets open; try again shortly.";

/// Tells the client that the connection ends: HTTP/1.1 has no other way past a body that nobody will read.
/// (`keyway_web` says it of its own answers.)
fn end_connection<B>(answer: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(CONNECTION, close);
}

/// What every connection of one thread uses.
pub(super) struct Lane {
    router: Router,
    engine: Engine,
    proxy: Proxy,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    places: Places,
}

/// What is refused, and in which words.
pub(super) struct Limits {
    /// Requests under way on one thread.
    pub(super) requests: usize,
    /// How long a caller may take nothing of its answer.
    pub(super) write_timeout: Duration,
    /// Requests a second of one application.
    pub(super) limiter: Option<Limiter>,
    /// Where the page is that explains errors.
    pub(super) public_url: Url,
}

impl Lane {
    pub(super) fn new(
        router: Router,
        proxy: Proxy,
        engine: Engine,
        limits: Limits,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            router,
            engine,
            proxy,
            places: Places::new(limits.requests, Arc::default()),
            limits: Arc::new(limits),
            metrics,
        }
    }

    /// The same for another thread, which shares counters and limits and has connections and places of its own.
    pub(super) fn for_another_thread(&self) -> Self {
        let taken = self.metrics.count_requests();
        Self {
            router: self.router.clone(),
            engine: self.engine.clone(),
            proxy: self.proxy.for_another_thread(),
            places: Places::new(self.limits.requests, taken),
            limits: self.limits.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// The places of its thread.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// How long a caller may take nothing of its answer.
    pub(super) fn write_timeout(&self) -> Duration {
        self.limits.write_timeout
    }

    /// Counts what was shed, and tells the log now and then.
    pub(super) fn note(&self, shed: Shed) {
        self.metrics.sheds.note(shed);
        if let Some(counts) = self.metrics.sheds.to_tell(self.engine.now()) {
            tracing::warn!(
                ?counts,
                "overloaded: these were refused or cut off since the start"
            );
        }
    }

    /// Answers one request, in the place it took.
    pub(super) async fn route(
        mut place: Place,
        request: Request<Incoming>,
    ) -> Response<ServedBody> {
        let version = request.version();
        let placed = place.placed();
        let lane = &placed.peer.lane;
        let answer = lane.answer(placed, request).await;
        lane.metrics.count(answer.status());
        answer.map(|words| ServedBody::new(words, place, version))
    }

    /// Paths that cannot afford the router are answered before it is asked.
    async fn answer(&self, placed: Placed<'_>, request: Request<Incoming>) -> Response<Words> {
        let is_call = proxy::is_call(request.uri());
        let has_body = !request.body().is_end_stream() && request.version() < Version::HTTP_2;
        if placed.is_over && !is_probe(request.uri().path()) {
            return self.shed(&request, is_call, has_body);
        }
        let known = match is_call || self.limits.limiter.is_some() {
            true => bearer_of(request.headers()).and_then(|text| self.engine.known_principal(text)),
            false => None,
        };
        let over_limit = match &self.limits.limiter {
            Some(limiter) => self.over_limit(limiter, known, &request).await,
            None => None,
        };
        match over_limit {
            Some(refusal) => refused(refusal, is_call, has_body),
            None if is_call => {
                let mut answer = self.proxy.answer(request, known, placed).await;
                let whose = answer.headers().get(ANSWER_HEADER);
                if has_body && whose.is_some_and(|whose| whose == "keyway") {
                    end_connection(&mut answer);
                }
                answer
            }
            None => match self.remembered(&request) {
                Some(answer) => answer.map(Words::from),
                None => Box::pin(self.own(placed.peer.address, request))
                    .await
                    .map(Words::from),
            },
        }
    }

    /// The answer to a request for which there is no place.
    fn shed(&self, request: &Request<Incoming>, is_call: bool, has_body: bool) -> Response<Words> {
        self.note(Shed::Request);
        let error = Error::new(ErrorKind::Unavailable, OVERLOADED).retry_after(RETRY_AFTER_SECS);
        refused(self.refusal(error, request.uri().path()), is_call, has_body)
    }

    /// The answer to a call whose application, or provider, has too many others under way.
    pub(super) fn crowded_out(&self, crowded: Crowded) -> Response<Words> {
        let (shed, kind, message) = match crowded {
            Crowded::Application => (Shed::Application, ErrorKind::RateLimited, BUSY_APPLICATION),
            Crowded::Host => (Shed::Provider, ErrorKind::Unavailable, BUSY_PROVIDER),
            Crowded::Tunnels => (Shed::Tunnel, ErrorKind::Unavailable, TUNNELS),
            Crowded::TunnelsOfApplication => {
                (Shed::Tunnel, ErrorKind::RateLimited, TUNNELS_OF_APPLICATION)
            }
        };
        self.note(shed);
        let error = Error::new(kind, message).retry_after(RETRY_AFTER_SECS);
        // Errors of calls say nothing about their path.
        refused(self.refusal(error, ""), true, false)
    }

    fn refusal(&self, error: Error, path: &str) -> Response<Body> {
        let url = &self.limits.public_url;
        shed::refusal(error, path, self.engine.request_id(), url)
    }

    async fn own(&self, peer: SocketAddr, mut request: Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(PeerAddr(peer));
        let mut answer = self.ordinary(request).await;
        if answer.extensions_mut().remove::<shed::NoRoom>().is_some() {
            self.note(Shed::Body);
        }
        answer
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
        request: &Request<Incoming>,
    ) -> Option<Response<Body>> {
        let principal = match known {
            Some(principal) => principal,
            // Read as those do who answer: what they accept is counted. Boxed, since it is seldom needed and
            // would be moved with every request.
            None => Box::pin(self.engine.principal(bearer_of(request.headers())?))
                .await
                .ok()?,
        };
        let path = request.uri().path();
        let application = principal.application_id();
        if limiter.admits(application, Group::of(path), self.engine.now()) {
            return None;
        }
        Some(self.refusal(limiter.error(), path))
    }
}

/// Whether an operator's tools ask whether the server is well: they hear it even when it is full.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

/// A refusal as it leaves.
fn refused(mut refusal: Response<Body>, is_call: bool, has_body: bool) -> Response<Words> {
    if is_call {
        let ours = HeaderValue::from_static("keyway");
        refusal.headers_mut().insert(ANSWER_HEADER, ours);
    }
    if has_body {
        end_connection(&mut refusal);
    }
    refusal.map(Words::from)
}
