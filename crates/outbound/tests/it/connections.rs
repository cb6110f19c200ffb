//! How connections are kept and shared.

use crate::server::{Server, answer, read_request, transport};
use keyway_outbound::{
    CallErrorKind, HttpTransport, NetworkPolicy, Request, Roots, Transport as _,
};
use std::io::Write as _;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

fn transport_on(runtime: &Runtime) -> HttpTransport {
    let policy = NetworkPolicy::new(true, []);
    HttpTransport::new(policy, runtime.handle().clone(), Roots::default()).unwrap()
}

#[tokio::test]
async fn calls_one_after_another_share_a_connection() {
    let server = Server::answering(answer("200 OK", "fine"));
    let transport = transport();
    for _ in 0..5 {
        transport.send(Request::get(server.url("/"))).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
}

#[test]
fn a_connection_outlives_the_runtimes_of_its_callers() {
    let server = Server::answering(answer("200 OK", "fine"));
    let background = runtime();
    let transport = transport_on(&background);
    for _ in 0..3 {
        // A runtime without I/O or timers of its own, gone after one call.
        let caller = Builder::new_current_thread().build().unwrap();
        let response = caller
            .block_on(transport.send(Request::get(server.url("/"))))
            .unwrap();
        assert_eq!(response.body, "fine");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_caller_that_hangs_up_breaks_neither_the_call_nor_the_connection() {
    let server = Server::answering(answer("200 OK", "fine"));
    let background = runtime();
    let transport = transport_on(&background);
    drop(transport.send(Request::get(server.url("/dropped"))));
    while server.requests().is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    thread::sleep(Duration::from_millis(50));
    background
        .block_on(transport.send(Request::get(server.url("/kept"))))
        .unwrap();
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
}

#[test]
fn calls_under_way_end_when_the_runtime_stops() {
    let server = Server::raw(|stream| {
        thread::sleep(Duration::from_secs(20));
        drop(stream);
    });
    let background = runtime();
    let transport = transport_on(&background);
    let call = transport.send(Request::get(server.url("/")));
    background.shutdown_timeout(Duration::from_secs(1));
    let caller = Builder::new_current_thread().build().unwrap();
    assert_eq!(
        caller.block_on(call).unwrap_err().kind,
        CallErrorKind::Stopped
    );
}

#[tokio::test]
async fn a_connection_the_server_closed_meanwhile_is_replaced() {
    let server = Server::raw(|mut stream| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(answer("200 OK", "fine").as_bytes());
    });
    let transport = transport();
    for _ in 0..3 {
        let response = transport.send(Request::get(server.url("/"))).await.unwrap();
        assert_eq!(response.body, "fine");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.connections(), 3);
}
