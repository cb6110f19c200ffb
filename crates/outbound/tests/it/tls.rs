//! TLS: which certificates hold.

use crate::server::{Server, answer, read_request};
use keyway_outbound::{
    CallError, CallErrorKind, HttpTransport, NetworkPolicy, Request, Response, Roots, Sent,
    SetupError, Transport as _,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::Write as _;
use std::sync::Arc;
use tokio::runtime::Handle;
use url::Url;

/// An authority made for these tests; its key is not kept.
pub(crate) const AUTHORITY: &[u8] = include_bytes!("fixtures/ca.pem");
/// A certificate of that authority for `localhost`, with its key.
const CERTIFICATE: &[u8] = include_bytes!("fixtures/localhost.pem");
const KEY: &[u8] = include_bytes!("fixtures/localhost.key");

/// A server's side of TLS that speaks `protocol`.
pub(crate) fn server_config(protocol: &[u8]) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_slice(KEY).unwrap(),
        )
        .unwrap();
    if !protocol.is_empty() {
        config.alpn_protocols = vec![protocol.to_vec()];
    }
    Arc::new(config)
}

fn server() -> Server {
    let config = server_config(b"http/1.1");
    Server::raw(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(answer("200 OK", "fine").as_bytes());
        }
    })
}

fn policy() -> NetworkPolicy {
    NetworkPolicy::new(true, [])
}

async fn call(
    transport: HttpTransport,
    server: &Server,
    host: &str,
) -> Result<Response, CallError> {
    let url = Url::parse(&format!("https://{host}:{}/", server.address.port())).unwrap();
    transport.send(Request::get(url)).await
}

fn trusting() -> HttpTransport {
    HttpTransport::new(
        policy(),
        Handle::current(),
        Roots::default().and(AUTHORITY).unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn a_certificate_of_an_added_authority_holds_for_its_name_only() {
    let server = server();
    assert_eq!(
        call(trusting(), &server, "localhost").await.unwrap().body,
        "fine"
    );
    let error = call(trusting(), &server, "127.0.0.1").await.unwrap_err();
    assert_eq!(
        (error.kind, error.sent),
        (CallErrorKind::Tls, Sent::No),
        "{error}"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_a_tls_error_that_says_so() {
    let transport = HttpTransport::new(policy(), Handle::current(), Roots::default()).unwrap();
    let error = call(transport, &server(), "localhost").await.unwrap_err();
    assert_eq!(error.kind, CallErrorKind::Tls);
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let plain = Server::raw(|mut stream| {
        let _ = stream.write_all(answer("200 OK", "plain").as_bytes());
    });
    let error = call(trusting(), &plain, "localhost").await.unwrap_err();
    assert_eq!(
        (error.kind, error.sent),
        (CallErrorKind::Tls, Sent::No),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_at_the_start() {
    for pem in [
        "",
        "text",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let refused = Roots::default().and(pem.as_bytes()).unwrap_err();
        assert!(matches!(refused, SetupError::Certificates(_)), "{pem}");
    }
}
