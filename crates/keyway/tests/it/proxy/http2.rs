//! HTTP/2 on both sides, and TLS towards the provider.

use super::overload::{UNDER_WAY, metric, until};
use super::world::{CLIENT, World};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

/// An authority made for tests, and its certificate for `localhost`.
const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../outbound/tests/it/fixtures/ca.pem"
);
const CERTIFICATE: &[u8] = include_bytes!("../../../../outbound/tests/it/fixtures/localhost.pem");
const KEY: &[u8] = include_bytes!("../../../../outbound/tests/it/fixtures/localhost.key");
const GIVEN_UP: &str = "keyway_shed_total{what=\"reader\"} ";
/// More than a stream's window, less than a connection's.
const LARGE_BYTES: usize = 8 * 1024 * 1024;

type Body = BoxBody<Bytes, Infallible>;
type Sender = hyper::client::conn::http2::SendRequest<Body>;

/// What the provider saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    version: Version,
    host: String,
    headers: HeaderMap,
    trailers: Option<HeaderMap>,
}

/// A provider's API that speaks HTTP/2 over TLS.
struct Provider {
    base: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

fn tls() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn frames(frames: Vec<Frame<Bytes>>) -> Body {
    let frames = futures_util::stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    StreamBody::new(frames).boxed()
}

fn trailers(pairs: &[(&'static str, &'static str)]) -> Frame<Bytes> {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    Frame::trailers(pairs.collect())
}

/// Echoes the body with trailers; `/large` is a large answer.
async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let collected = body.collect().await.unwrap();
    let sent_trailers = collected.trailers().cloned();
    let echoed = collected.to_bytes();
    seen.lock().unwrap().push(Seen {
        version: head.version,
        host: head
            .uri
            .authority()
            .map_or(String::new(), ToString::to_string),
        headers: head.headers,
        trailers: sent_trailers,
    });
    if head.uri.path().ends_with("/large") {
        let large = Full::new(Bytes::from(vec![b'x'; LARGE_BYTES]));
        return Ok(Response::new(large.boxed()));
    }
    let mut response = Response::new(frames(vec![
        Frame::data(echoed),
        trailers(&[("x-sum", "7"), ("set-cookie", "a=b")]),
    ]));
    let headers = response.headers_mut();
    headers.insert("x-from", HeaderValue::from_static("provider"));
    Ok(response)
}

impl Provider {
    fn start() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        runtime.spawn(async move {
            let tls = tls();
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, noted) = (tls.clone(), Arc::clone(&noted));
                tokio::runtime::Handle::current().spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| answer(request, Arc::clone(&noted)));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    drop(
                        builder
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Self {
            base,
            seen,
            _runtime: runtime,
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A world whose provider's API is this one, and which trusts it.
    fn world(&self) -> World {
        let more = format!("[network]\nextra_certificates_file = \"{AUTHORITY}\"\n");
        World::with_api(Some(&self.base), &more)
    }
}

/// An HTTP/2 connection to Keyway.
async fn connect(world: &World) -> Sender {
    connect_with_window(world, 65_535).await
}

/// The same of a caller that lets every answer send so much before it reads.
async fn connect_with_window(world: &World, bytes: u32) -> Sender {
    let stream = TcpStream::connect(&world.server.address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(bytes);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::runtime::Handle::current().spawn(async move { drop(connection.await) });
    sender
}

fn request(world: &World, method: &str, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", world.server.address))
        .header("authorization", format!("Bearer {}", world.key))
        .body(body)
        .unwrap()
}

#[test]
fn a_provider_that_speaks_http2_over_tls_is_called_so() {
    let provider = Provider::start();
    let world = provider.world();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    let answer = world.call(
        "POST",
        &path,
        "X-Own: 1\r\nConnection: X-Gone\r\nX-Gone: 1\r\n",
        b"hello",
    );
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"hello"[..])
    );
    assert_eq!(answer.header("x-from"), Some("provider"));
    assert_eq!(answer.header("x-keyway-answer"), Some("provider"));
    let seen = provider.seen();
    assert_eq!(seen[0].version, Version::HTTP_2);
    assert_eq!(format!("https://{}", seen[0].host), provider.base);
    assert_eq!(seen[0].headers["x-own"], "1");
    for gone in ["x-gone", "connection", "host"] {
        assert!(!seen[0].headers.contains_key(gone), "{gone}");
    }
    let bearer = seen[0].headers["authorization"].to_str().unwrap();
    assert!(bearer.starts_with("Bearer ") && !bearer.contains(&world.key));
}

#[test]
fn a_provider_whose_certificate_nobody_vouches_for_is_told_nothing() {
    let provider = Provider::start();
    let world = World::with_api(Some(&provider.base), "");
    let id = world.grant("ann@example.com", CLIENT, None);
    let answer = world.call("GET", &format!("/v3/grants/{id}/proxy/echo"), "", b"");
    assert_eq!(
        (answer.status, answer.error_type().as_str()),
        (504, "api.provider_error")
    );
    assert!(provider.seen().is_empty());
}

#[test]
fn http2_passes_from_end_to_end_with_trailers_and_without_what_they_may_not_carry() {
    let provider = Provider::start();
    let world = provider.world();
    let id = world.grant("ann@example.com", CLIENT, None);
    let path = format!("/v3/grants/{id}/proxy/echo");
    runtime().block_on(async {
        let mut sender = connect(&world).await;
        let body = frames(vec![
            Frame::data(Bytes::from_static(b"hel")),
            Frame::data(Bytes::from_static(b"lo")),
            trailers(&[
                ("x-check", "1"),
                ("authorization", "Bearer mine"),
                ("cookie", "a=b"),
            ]),
        ]);
        let mut asked = request(&world, "POST", &path, body);
        asked
            .headers_mut()
            .insert("te", HeaderValue::from_static("trailers"));
        let answer = sender.send_request(asked).await.unwrap();
        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::OK, Version::HTTP_2)
        );
        let collected = answer.into_body().collect().await.unwrap();
        let got = collected.trailers().cloned().unwrap();
        assert_eq!(got["x-sum"], "7");
        assert!(!got.contains_key("set-cookie"));
        assert_eq!(collected.to_bytes(), "hello");
    });
    let seen = provider.seen();
    assert_eq!(seen[0].headers["te"], "trailers");
    let arrived = seen[0].trailers.as_ref().unwrap();
    assert_eq!(arrived["x-check"], "1");
    assert!(!arrived.contains_key("authorization") && !arrived.contains_key("cookie"));
}

#[test]
fn callers_who_do_not_read_hold_up_nobody_else_on_the_same_connection() {
    let provider = Provider::start();
    let world = provider.world();
    let id = world.grant("ann@example.com", CLIENT, None);
    runtime().block_on(async {
        let large = format!("/v3/grants/{id}/proxy/large");
        let mut unread = Vec::new();
        for _ in 0..20 {
            // Each on a connection of its own, whose window it does not read empty either.
            let mut sender = connect(&world).await;
            let asked = request(&world, "GET", &large, frames(Vec::new()));
            let answer = sender.send_request(asked).await.unwrap();
            unread.push((sender, answer));
        }
        let small = format!("/v3/grants/{id}/proxy/echo");
        for _ in 0..4 {
            let mut sender = connect(&world).await;
            let body = frames(vec![Frame::data(Bytes::from_static(b"hello"))]);
            let asked = request(&world, "POST", &small, body);
            let whole = async { sender.send_request(asked).await.unwrap().collect().await };
            let whole = tokio::time::timeout(Duration::from_secs(20), whole).await;
            assert_eq!(whole.unwrap().unwrap().to_bytes(), "hello");
        }
        assert_eq!(unread.len(), 20);
    });
}

/// A world whose callers may take nothing for a second, with more lines about its server; and where its counters are.
fn impatient(provider: &Provider, server: &str) -> (World, String) {
    let admin = crate::wire::free_address();
    let more = format!(
        "[server]\nthreads = 1\nwrite_timeout_seconds = 1\nadmin_listen = \"{admin}\"\n{server}\n\
         [network]\nextra_certificates_file = \"{AUTHORITY}\"\n"
    );
    (World::with_api(Some(&provider.base), &more), admin)
}

#[test]
fn the_end_of_an_answer_nobody_takes_is_given_up_as_well() {
    let provider = Provider::start();
    let (world, admin) = impatient(&provider, "");
    let id = world.grant("ann@example.com", CLIENT, None);
    runtime().block_on(async {
        // The window lets one byte of it out, and what is left fits in any buffer.
        let mut sender = connect_with_window(&world, 1).await;
        let path = format!("/v3/grants/{id}/proxy/echo");
        let body = frames(vec![Frame::data(Bytes::from_static(b"hello"))]);
        let asked = request(&world, "POST", &path, body);
        let answer = sender.send_request(asked).await.unwrap();
        assert_eq!(metric(&admin, UNDER_WAY), 1, "it holds its place");
        until(&admin, GIVEN_UP, |count| count == 1);
        until(&admin, UNDER_WAY, |count| count == 0);
        assert!(answer.into_body().collect().await.is_err());
        assert!(sender.ready().await.is_ok(), "its connection goes on");
    });
}

#[test]
fn strangers_who_take_no_answers_take_no_places() {
    let provider = Provider::start();
    let (world, admin) = impatient(&provider, "max_requests = 10");
    runtime().block_on(async {
        let mut sender = connect_with_window(&world, 0).await;
        let mut unread = Vec::new();
        for _ in 0..50 {
            let mut asked = request(&world, "GET", "/v3/grants", frames(vec![]));
            asked.headers_mut().remove("authorization");
            let answer = sender.send_request(asked).await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            unread.push(answer);
        }
        assert_eq!(metric(&admin, UNDER_WAY), 0);
        assert_eq!(metric(&admin, GIVEN_UP), 0);
        until(&admin, GIVEN_UP, |count| count == 50);
        assert_eq!(unread.len(), 50);
    });
}

#[test]
fn an_answer_nobody_takes_is_given_up_and_its_connection_goes_on() {
    let provider = Provider::start();
    let (world, admin) = impatient(&provider, "");
    let id = world.grant("ann@example.com", CLIENT, None);
    runtime().block_on(async {
        let mut sender = connect(&world).await;
        let path = format!("/v3/grants/{id}/proxy/large");
        let asked = request(&world, "GET", &path, frames(vec![]));
        let answer = sender.send_request(asked).await.unwrap();
        until(&admin, GIVEN_UP, |count| count == 1);
        assert!(answer.into_body().collect().await.is_err());
        let path = format!("/v3/grants/{id}/proxy/echo");
        let asked = request(&world, "GET", &path, frames(vec![]));
        let answer = sender.send_request(asked).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    });
}
