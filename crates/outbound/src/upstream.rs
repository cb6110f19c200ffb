//! Calls that are streamed: one request out and its answer back, neither of them ever held whole.
//!
//! [`Upstreams`] is one thread's own: its connections belong to the runtime that called last, its pool is
//! shared with nobody, and so a call stays on its core. Every address goes through the same guard as
//! [`Transport`](crate::Transport)'s.

mod answer;
mod pool;
mod upload;

pub use answer::AnswerBody;
pub use upload::{CallBody, Upload};

use crate::address::NetworkPolicy;
use crate::connector::GuardedConnector;
use crate::error::{CallError, CallErrorKind};
use crate::transport::{Roots, SetupError, failure};
use answer::Lease;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version, header};
use hyper::client::conn::{http1, http2};
use hyper::upgrade::OnUpgrade;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pool::{Pool, Sender};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tower::Service as _;

/// How long a provider may take to begin its answer, from the last byte of the request that moved.
const HEAD_LIMIT: Duration = Duration::from_secs(60);
/// How long making a connection may take in all, with resolving, TCP and TLS.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);
/// What an HTTP/2 provider may send of one answer before its caller has read it, in bytes.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The same of all answers on one connection: as many windows as there are calls on it, so that callers who do
/// not read hold up nobody else.
const CONNECTION_WINDOW_BYTES: u32 = pool::STREAMS_MAX * STREAM_WINDOW_BYTES;
/// How often an HTTP/2 provider is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A host that is called.
#[derive(Clone, Debug)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host_header: HeaderValue,
}

impl Origin {
    /// An origin. `None` when `authority` is no host, with or without port.
    #[must_use]
    pub fn new(is_tls: bool, authority: &str) -> Option<Self> {
        let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let parsed: Authority = authority.parse().ok()?;
        if parsed.as_str().contains('@') {
            return None;
        }
        Some(Self {
            scheme,
            authority: parsed,
            host_header: HeaderValue::from_str(authority).ok()?,
        })
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    fn uri(&self, target: PathAndQuery) -> Option<Uri> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .ok()
    }
}

/// Where to connect and how to prove the other side: shared by all threads.
struct Connectors {
    any: HttpsConnector<GuardedConnector>,
    /// For upgrades, which only HTTP/1.1 has.
    http1: HttpsConnector<GuardedConnector>,
}

/// One thread's way to providers' APIs. Clones share their connections.
#[derive(Clone)]
pub struct Upstreams {
    connectors: Arc<Connectors>,
    pool: Pool,
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstreams(..)")
    }
}

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

impl Upstreams {
    /// A way out under `policy`, trusting `roots`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: NetworkPolicy, roots: Roots) -> Result<Self, SetupError> {
        let tls = roots.tls_config()?;
        let guarded = GuardedConnector::new(policy);
        let builder = |tls| {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
        };
        let any = builder(tls.clone()).enable_all_versions();
        let connectors = Connectors {
            any: any.wrap_connector(guarded.clone()),
            http1: builder(tls).enable_http1().wrap_connector(guarded),
        };
        Ok(Self {
            connectors: Arc::new(connectors),
            pool: Pool::default(),
        })
    }

    /// The same way out with connections of its own, for another thread.
    #[must_use]
    pub fn for_another_thread(&self) -> Self {
        Self {
            connectors: Arc::clone(&self.connectors),
            pool: Pool::default(),
        }
    }

    /// Makes one call. The request's URI is path and query alone; host, scheme and port are `origin`'s.
    ///
    /// Dropping the future ends the call.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn call(
        &self,
        origin: &Arc<Origin>,
        request: Request<CallBody>,
    ) -> Result<Response<AnswerBody>, CallError> {
        match request.body().upload() {
            None => in_time(self.exchange(origin, request, None), origin).await,
            // Boxed, so that calls without a body carry no room for it.
            Some(upload) => {
                let exchange = Box::pin(self.exchange(origin, request, Some(upload.clone())));
                Box::pin(in_time_moving(exchange, upload, origin)).await
            }
        }
    }

    /// Makes a call that may turn its connection into something else (RFC 9110, 7.8), on a connection of
    /// its own.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn call_upgrade(
        &self,
        origin: &Arc<Origin>,
        mut request: Request<CallBody>,
    ) -> Result<(Response<AnswerBody>, OnUpgrade), CallError> {
        let exchange = async {
            let stream = connect(self.connectors.http1.clone(), origin).await?;
            let handshake = http1::handshake::<_, CallBody>(stream);
            let (mut sender, connection) = handshake.await.map_err(|e| broken(&e, origin))?;
            spawn(async move { drop(connection.with_upgrades().await) });
            shape(&mut request, origin, false)?;
            let answer = sender.send_request(request).await;
            let mut answer = answer.map_err(|error| broken(&error, origin))?;
            let turned = hyper::upgrade::on(&mut answer);
            Ok((answer.map(AnswerBody::on_its_own), turned))
        };
        in_time(exchange, origin).await
    }

    async fn exchange(
        &self,
        origin: &Arc<Origin>,
        mut request: Request<CallBody>,
        upload: Option<Upload>,
    ) -> Result<Response<AnswerBody>, CallError> {
        loop {
            let (mut sender, is_kept) = match self.pool.take(origin) {
                Some(sender) => (sender, true),
                // Boxed: a call on a kept connection need not carry the room for making one.
                None => (Box::pin(self.open(origin)).await?, false),
            };
            // A kept connection may have been closed meanwhile: then the request is still whole.
            if !sender.is_ready() && sender.ready().await.is_err() && is_kept {
                continue;
            }
            shape(&mut request, origin, sender.is_http2())?;
            match sender.try_send(request).await {
                Ok(answer) => {
                    let lease = Lease::new(&self.pool, origin, sender, upload);
                    return Ok(answer.map(|body| AnswerBody::new(body, lease)));
                }
                Err(mut refused) => match refused.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(broken(&refused.into_error(), origin)),
                },
            }
        }
    }

    async fn open(&self, origin: &Arc<Origin>) -> Result<Sender, CallError> {
        let stream = connect(self.connectors.any.clone(), origin).await?;
        if !stream.connected().is_negotiated_h2() {
            let handshake = http1::handshake::<_, CallBody>(stream);
            let (sender, connection) = handshake.await.map_err(|e| broken(&e, origin))?;
            spawn(async move { drop(connection.await) });
            return Ok(Sender::H1(sender));
        }
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake::<_, CallBody>(stream);
        let (sender, connection) = handshake.await.map_err(|e| broken(&e, origin))?;
        spawn(async move { drop(connection.await) });
        Ok(Sender::H2(self.pool.share(origin, sender)))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a connection lives as long as its thread's runtime and holds nothing that must be finished"
)]
fn spawn(connection: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(connection));
}

async fn connect(
    mut connector: HttpsConnector<GuardedConnector>,
    origin: &Origin,
) -> Result<Stream, CallError> {
    let root = PathAndQuery::from_static("/");
    let uri = origin.uri(root).ok_or_else(|| unfit(origin))?;
    let connecting = tokio::time::timeout(CONNECTION_LIMIT, connector.call(uri));
    match connecting.await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(failure::of_connect(&*error, origin.authority())),
        Err(_) => Err(CallError::new(CallErrorKind::Connect, origin.authority())
            .with_detail("no connection in time")),
    }
}

/// Writes the request the way the connection's version wants it. HTTP/1.1 names the host in a header,
/// HTTP/2 in the URI.
fn shape(
    request: &mut Request<CallBody>,
    origin: &Origin,
    is_http2: bool,
) -> Result<(), CallError> {
    let target = request.uri().path_and_query().cloned();
    let target = target.unwrap_or(PathAndQuery::from_static("/"));
    let headers = request.headers_mut();
    if is_http2 {
        headers.remove(header::HOST);
        // HTTP/2 has none, and what it names would be dropped with it.
        headers.remove(header::CONNECTION);
        *request.uri_mut() = origin.uri(target).ok_or_else(|| unfit(origin))?;
        *request.version_mut() = Version::HTTP_2;
    } else {
        headers.insert(header::HOST, origin.host_header.clone());
        if request.uri().authority().is_some() {
            *request.uri_mut() = Uri::from(target);
        }
        *request.version_mut() = Version::HTTP_11;
    }
    Ok(())
}

fn unfit(origin: &Origin) -> CallError {
    CallError::new(CallErrorKind::AddressRefused, origin.authority())
        .with_detail("host and path make no URL")
}

fn broken(error: &hyper::Error, origin: &Origin) -> CallError {
    failure::of_exchange(error, origin.authority())
}

/// Waits until the answer begins.
async fn in_time<T>(
    exchange: impl Future<Output = Result<T, CallError>>,
    origin: &Origin,
) -> Result<T, CallError> {
    let answer = tokio::time::timeout(HEAD_LIMIT, exchange).await;
    answer.unwrap_or_else(|_| Err(late(origin)))
}

/// The same for a call with a body, which may take as long as it likes while it is still moving.
async fn in_time_moving<T>(
    mut exchange: Pin<Box<impl Future<Output = Result<T, CallError>>>>,
    upload: Upload,
    origin: &Origin,
) -> Result<T, CallError> {
    let mut seen_bytes = 0;
    loop {
        if let Ok(answer) = tokio::time::timeout(HEAD_LIMIT, exchange.as_mut()).await {
            return answer;
        }
        let bytes = upload.bytes();
        if bytes == seen_bytes {
            upload.stall_if_waiting();
            return Err(late(origin));
        }
        seen_bytes = bytes;
    }
}

fn late(origin: &Origin) -> CallError {
    CallError::timeout(origin.authority(), HEAD_LIMIT)
}
