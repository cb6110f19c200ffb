//! What becomes of answers, good and bad.

use crate::server::{Server, answer, read_request, transport};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, LOCATION, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use keyway_outbound::{CallError, CallErrorKind, Request, Sent, Transport as _, Whose};
use std::io::Write as _;
use std::thread;
use std::time::Duration;

async fn failure(server: &Server, adjust: impl Fn(Request) -> Request) -> CallError {
    let request = adjust(Request::get(server.url("/token?code=s3cret")));
    let error = transport().send(request).await.unwrap_err();
    assert!(
        !format!("{error} {error:?}").contains("s3cret"),
        "{error:?}"
    );
    assert_eq!(error.host, server.address.to_string());
    error
}

#[tokio::test]
async fn a_form_is_posted_and_the_answer_read_whole() {
    let server = Server::answering(answer("400 Bad Request", r#"{"error":"invalid_grant"}"#));
    let request = Request::post_form(server.url("/token"), [("grant_type", "refresh_token")]);
    let response = transport().send(request).await.unwrap();
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(response.body, r#"{"error":"invalid_grant"}"#);

    let seen = server.requests().remove(0);
    assert!(seen.starts_with("POST /token HTTP/1.1\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\ngrant_type=refresh_token"), "{seen}");
    assert!(
        seen.contains(&format!("host: {}\r\n", server.address)),
        "{seen}"
    );
    assert!(seen.contains("user-agent: Keyway/"), "{seen}");
}

#[tokio::test]
async fn headers_that_frame_the_message_are_not_the_callers() {
    let server = Server::answering(answer("200 OK", ""));
    let request = Request::post_form(server.url("/"), [("a", "b")])
        .with_header(HOST, HeaderValue::from_static("evil.example"))
        .with_header(CONTENT_LENGTH, HeaderValue::from_static("99"))
        .with_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    transport().send(request).await.unwrap();
    let seen = server.requests().remove(0);
    assert!(seen.contains("content-length: 3\r\n"), "{seen}");
    assert!(
        !seen.contains("evil") && !seen.contains("chunked"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = Server::answering(answer("200 OK", ""));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        target.url("/")
    );
    let server = Server::answering(redirect);
    let response = transport()
        .send(Request::get(server.url("/")))
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
    assert_eq!(response.header(&LOCATION), Some(target.url("/").as_str()));
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn cookies_are_not_kept_and_compression_is_neither_asked_for_nor_undone() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzzzz",
    );
    let transport = transport();
    for _ in 0..2 {
        let response = transport.send(Request::get(server.url("/"))).await.unwrap();
        assert_eq!(response.body, "zzzz");
    }
    for seen in server.requests() {
        assert!(
            !seen.contains("cookie") && !seen.contains(ACCEPT_ENCODING.as_str()),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let server = Server::raw(|stream| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let error = failure(&server, |r| r.with_deadline(Duration::from_millis(80))).await;
    assert_eq!(
        (error.kind, error.sent),
        (CallErrorKind::Timeout, Sent::Perhaps)
    );
    assert_eq!(error.whose, Whose::Provider);
}

#[tokio::test]
async fn the_deadline_holds_for_a_body_that_trickles() {
    let server = Server::raw(|mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let error = failure(&server, |r| r.with_deadline(Duration::from_millis(120))).await;
    assert_eq!(error.kind, CallErrorKind::Timeout);
}

#[tokio::test]
async fn an_answer_announced_as_too_large_is_refused() {
    let server = Server::answering(answer("200 OK", &"x".repeat(101)));
    let error = failure(&server, |r| r.with_max_response_bytes(100)).await;
    assert_eq!(error.kind, CallErrorKind::TooLarge);
    let exact = Request::get(server.url("/")).with_max_response_bytes(101);
    assert_eq!(transport().send(exact).await.unwrap().body.len(), 101);
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    let server = Server::raw(|mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while stream.write_all(b"4\r\nspam\r\n").is_ok() {}
    });
    let error = failure(&server, |r| r.with_max_response_bytes(1000)).await;
    assert_eq!(error.kind, CallErrorKind::TooLarge);
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = Server::raw(|mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"x-more: 0123456789\r\n").is_ok() {}
    });
    assert_eq!(failure(&server, |r| r).await.kind, CallErrorKind::Protocol);
}

#[tokio::test]
async fn garbage_silence_and_half_answers_are_protocol_errors() {
    for sent in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "<html>not http</html>\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let server = Server::raw(move |mut stream| {
            let _ = read_request(&mut stream);
            let _ = stream.write_all(sent.as_bytes());
        });
        let error = failure(&server, |r| r).await;
        assert_eq!(
            (error.kind, error.sent),
            (CallErrorKind::Protocol, Sent::Perhaps),
            "{sent:?}"
        );
    }
}
