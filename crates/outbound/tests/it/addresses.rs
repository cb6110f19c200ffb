//! Whom the transport calls, and whom it does not.

use crate::server::{Server, answer};
use keyway_outbound::{CallError, CallErrorKind, HttpTransport, NetworkPolicy, Roots, Sent, Whose};
use keyway_outbound::{Request, Response, Transport as _};
use tokio::runtime::Handle;
use url::Url;

async fn call(policy: NetworkPolicy, url: &str) -> Result<Response, CallError> {
    let transport = HttpTransport::new(policy, Handle::current(), Roots::default()).unwrap();
    transport.send(Request::get(Url::parse(url).unwrap())).await
}

fn naming(host: &str) -> NetworkPolicy {
    NetworkPolicy::new(false, [host.to_owned()])
}

fn assert_refused(result: Result<Response, CallError>, url: &str) {
    let error = result.expect_err(url);
    assert_eq!(error.kind, CallErrorKind::AddressRefused, "{url}: {error}");
    assert_eq!((error.whose, error.sent), (Whose::Us, Sent::No), "{url}");
}

#[tokio::test]
async fn this_machine_is_refused_by_address_and_by_name_and_never_connected_to() {
    let server = Server::answering(answer("200 OK", "internal"));
    let port = server.address.port();
    for scheme in ["http", "https"] {
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "2130706433",
            "0x7f.1",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::]",
        ] {
            let url = format!("{scheme}://{host}:{port}/");
            assert_refused(call(NetworkPolicy::default(), &url).await, &url);
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_metadata_service_and_private_networks_are_refused_at_once() {
    for host in [
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "[fd00::1]",
        "[64:ff9b::a00:1]",
    ] {
        let url = format!("https://{host}/latest/meta-data/");
        assert_refused(call(NetworkPolicy::default(), &url).await, &url);
    }
}

#[tokio::test]
async fn public_addresses_are_not_called_without_tls() {
    let url = "http://8.8.8.8/";
    assert_refused(call(NetworkPolicy::default(), url).await, url);
    assert_refused(call(NetworkPolicy::new(true, []), url).await, url);
}

#[tokio::test]
async fn a_host_named_in_the_configuration_is_called_and_no_other_spelling_of_it() {
    let server = Server::answering(answer("200 OK", "fine"));
    let port = server.address.port();
    let named = call(naming("localhost"), &format!("http://localhost:{port}/")).await;
    assert_eq!(named.unwrap().body, "fine");
    let url = format!("http://127.0.0.1:{port}/");
    assert_refused(call(naming("localhost"), &url).await, &url);
}

#[tokio::test]
async fn private_addresses_are_called_where_the_operator_allows_them() {
    let server = Server::answering(answer("200 OK", "fine"));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", server.address.port());
        assert_eq!(
            call(NetworkPolicy::new(true, []), &url).await.unwrap().body,
            "fine"
        );
    }
}

#[tokio::test]
async fn a_port_that_a_stranger_names_is_called_only_where_the_operator_answers_for_the_host() {
    let url = Url::parse("https://mail.invalid:8443/").unwrap();
    let call = |policy: NetworkPolicy| {
        let request = Request::get(url.clone()).with_guarded_port();
        let transport = HttpTransport::new(policy, Handle::current(), Roots::default()).unwrap();
        async move { transport.send(request).await.unwrap_err().kind }
    };
    assert_eq!(
        call(naming("other.invalid")).await,
        CallErrorKind::AddressRefused
    );
    // From here on it is the name service's matter.
    assert_eq!(call(naming("mail.invalid")).await, CallErrorKind::Dns);
    assert_eq!(call(NetworkPolicy::new(true, [])).await, CallErrorKind::Dns);
}

#[tokio::test]
async fn other_schemes_and_passwords_in_urls_are_refused() {
    let policy = || naming("localhost");
    for url in [
        "ftp://localhost/",
        "file:///etc/passwd",
        "gopher://localhost/",
        "data:text/plain,x",
        "unix:/run/docker.sock",
        "https://user@localhost/",
        "https://user:pass@localhost/",
    ] {
        assert_refused(call(policy(), url).await, url);
    }
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = call(naming("127.0.0.1"), &format!("http://{closed}/?q=s3cret"))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (CallErrorKind::Connect, Sent::No));
    assert!(
        error.to_string().starts_with(&closed.to_string()),
        "{error}"
    );
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_name_without_address_is_a_dns_error() {
    let error = call(naming("no.such.invalid"), "http://no.such.invalid/")
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.sent), (CallErrorKind::Dns, Sent::No));
}
