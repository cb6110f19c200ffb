//! An Exchange stand-in behind real TLS, at `localhost`.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keyway_testkit::FakeExchange;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_rustls::TlsAcceptor;

/// An authority made for tests, and its certificate for `localhost`.
pub(crate) const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../outbound/tests/it/fixtures/ca.pem"
);
const CERTIFICATE: &[u8] = include_bytes!("../../../../outbound/tests/it/fixtures/localhost.pem");
const KEY: &[u8] = include_bytes!("../../../../outbound/tests/it/fixtures/localhost.key");

/// A listening server.
pub(crate) struct Exchange {
    pub(crate) server: Arc<FakeExchange>,
    pub(crate) port: u16,
    _runtime: Runtime,
}

fn tls() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(
    server: Arc<FakeExchange>,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = server.answer(&head.method, head.uri.path(), &head.headers, &body);
    let answer = answer.ok_or_else(|| io::Error::other("the server hangs up"))?;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

async fn converse(server: Arc<FakeExchange>, stream: TcpStream, tls: TlsAcceptor) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| answer(Arc::clone(&server), request));
    let builder = hyper::server::conn::http1::Builder::new();
    drop(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

impl Exchange {
    /// A server nobody has a password for yet.
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(FakeExchange::default());
        let shared = Arc::clone(&server);
        runtime.spawn(async move {
            let tls = tls();
            while let Ok((stream, _)) = listener.accept().await {
                let conversation = converse(Arc::clone(&shared), stream, tls.clone());
                Handle::current().spawn(conversation);
            }
        });
        Self {
            server,
            port,
            _runtime: runtime,
        }
    }
}
