//! The transport: one call from request to whole answer.

pub(crate) mod failure;

use crate::address::NetworkPolicy;
use crate::connector::GuardedConnector;
use crate::error::{CallError, CallErrorKind};
use crate::request::{Request, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioTimer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Some servers close idle connections after five seconds. A refresh that is sent at that very moment brings no
/// answer, and nobody can tell whether it was read: so a connection that has rested longer than this is not used again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE_PER_HOST: usize = 64;
const MAX_HEADER_BYTES: usize = 64 * 1024;
const USER_AGENT: &str = concat!("Keyway/", env!("CARGO_PKG_VERSION"));

/// A way to make calls.
pub trait Transport: Send + Sync {
    /// Makes one call. Any status is an answer; errors are calls that brought none.
    ///
    /// Dropping the future gives up the answer and not the call: what it does at the provider happens
    /// all the same. Whoever cannot lose the answer keeps the future until it ends.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, CallError>>;
}

/// The transport could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The file of additional certificates is not PEM, or holds none.
    #[error("the additional certificates are not certificates in PEM form: {0}")]
    Certificates(String),
    /// The TLS library refused its configuration.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

type HttpClient = Client<HttpsConnector<GuardedConnector>, Full<Bytes>>;

/// Calls over HTTP/1.1 and HTTP/2, with pooled connections.
///
/// Every call runs as a task of the one runtime given at the start, and so do its connections.
/// [`Transport::send`] may therefore be called from any thread and any runtime: a pooled connection
/// never belongs to a runtime that has ended or stands still, and a caller that hangs up breaks no
/// connection others share. What the tasks cost is bounded by each call's deadline. When that runtime
/// shuts down, calls under way end with [`CallErrorKind::Stopped`].
#[derive(Clone)]
pub struct HttpTransport {
    client: HttpClient,
    policy: Arc<NetworkPolicy>,
    runtime: Handle,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpTransport(..)")
    }
}

impl HttpTransport {
    /// A transport under `policy` that works on `runtime`, which must have I/O and time enabled, and
    /// trusts `roots`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: NetworkPolicy, runtime: Handle, roots: Roots) -> Result<Self, SetupError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(roots.tls_config()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(GuardedConnector::new(policy.clone()));
        let client = Client::builder(OnRuntime(runtime.clone()))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEADER_BYTES)
            .build(connector);
        Ok(Self {
            client,
            policy: Arc::new(policy),
            runtime,
        })
    }
}

/// The certificate authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Roots(rustls::RootCertStore);

impl Default for Roots {
    /// Those of the Mozilla programme.
    fn default() -> Self {
        Self(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }
}

impl Roots {
    /// These and those whose certificates are in `pem`, such as an intranet's own.
    ///
    /// # Errors
    /// When that holds no certificates.
    pub fn and(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        let wrong = |error: &dyn fmt::Display| SetupError::Certificates(error.to_string());
        let certificates = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error))?;
        if certificates.is_empty() {
            return Err(wrong(&"it holds none"));
        }
        for certificate in certificates {
            self.0.add(certificate).map_err(|error| wrong(&error))?;
        }
        Ok(self)
    }

    pub(crate) fn tls_config(self) -> Result<rustls::ClientConfig, SetupError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SetupError::Tls(error.to_string()))?
            .with_root_certificates(self.0)
            .with_no_client_auth())
    }
}

/// Puts the tasks of connections on the transport's own runtime.
#[derive(Clone)]
struct OnRuntime(Handle);

impl<F> hyper::rt::Executor<F> for OnRuntime
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, CallError>> {
        let host = request.host();
        if request.is_port_guarded && !self.policy.permits_port(&request.url) {
            let refused = CallError::new(CallErrorKind::AddressRefused, host);
            let detail = "only https on port 443 is called on hosts the operator does not name";
            return std::future::ready(Err(refused.with_detail(detail))).boxed();
        }
        let call = self
            .runtime
            .spawn(call_within_deadline(self.client.clone(), request));
        async move {
            call.await
                .unwrap_or_else(|_| Err(CallError::new(CallErrorKind::Stopped, host)))
        }
        .boxed()
    }
}

async fn call_within_deadline(client: HttpClient, request: Request) -> Result<Response, CallError> {
    let (host, deadline) = (request.host(), request.deadline);
    let result = tokio::time::timeout(deadline, call(&client, request, &host))
        .await
        .unwrap_or_else(|_| Err(CallError::timeout(&host, deadline)));
    if let Err(error) = &result {
        tracing::debug!(host, kind = ?error.kind, detail = error.detail, "a call brought no answer");
    }
    result
}

async fn call(client: &HttpClient, request: Request, host: &str) -> Result<Response, CallError> {
    let max_bytes = request.max_response_bytes;
    let request = to_hyper(request, host)?;
    let answer = client
        .request(request)
        .await
        .map_err(|error| failure::of_client(&error, host))?;
    let (head, body) = answer.into_parts();
    let body = read_body(body, max_bytes, host).await?;
    Ok(Response {
        status: head.status,
        headers: head.headers,
        body,
    })
}

fn to_hyper(request: Request, host: &str) -> Result<http::Request<Full<Bytes>>, CallError> {
    let refused = |detail: &str| {
        CallError::new(CallErrorKind::AddressRefused, host).with_detail(detail.to_owned())
    };
    let url = &request.url;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(refused("only https and http are called"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a URL may hold no user name or password"));
    }
    // The fragment is never sent, and the parser of the HTTP library drops it.
    let uri: http::Uri = url
        .as_str()
        .parse()
        .map_err(|_| refused("the URL cannot be called"))?;
    if uri.host() != url.host_str() {
        return Err(refused("the URL can be read in two ways"));
    }
    let mut outgoing = http::Request::new(Full::new(request.body));
    *outgoing.method_mut() = request.method;
    *outgoing.uri_mut() = uri;
    *outgoing.headers_mut() = own_headers(request.headers);
    Ok(outgoing)
}

/// The caller's headers without those that frame the message on its connection, which are the HTTP
/// library's alone to set.
fn own_headers(mut headers: http::HeaderMap) -> http::HeaderMap {
    for name in [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    if let Some(authorization) = headers.get_mut(header::AUTHORIZATION) {
        // Keeps it out of HTTP/2's compression tables as well.
        authorization.set_sensitive(true);
    }
    headers
        .entry(header::USER_AGENT)
        .or_insert(http::HeaderValue::from_static(USER_AGENT));
    headers
}

async fn read_body(body: Incoming, max_bytes: usize, host: &str) -> Result<Bytes, CallError> {
    let too_large = || {
        let detail = format!("more than {max_bytes} bytes");
        CallError::new(CallErrorKind::TooLarge, host).with_detail(detail)
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max_bytes {
        return Err(too_large());
    }
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(failure::of_body(error.as_ref(), host)),
    }
}
