//! The bare hyper server everything is compared with: one runtime per thread on one port, a constant
//! body of a grant's size, nothing else.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket};

/// As long as the answer for a grant with a handful of scopes.
const BODY: &str = r#"{"request_id":"0199a7a2-7c1e-7000-8000-000000000000","data":{"id":"0199a7a2-7c1e-7000-8000-000000000001","provider":"google","credential_id":"0199a7a2-7c1e-7000-8000-000000000002","grant_status":"valid","email":"user-0000@bench.example","name":"Bench User","scope":["openid","https://www.googleapis.com/auth/userinfo.email","https://www.googleapis.com/auth/userinfo.profile"],"provider_user_id":"subject-0000","settings":{},"ip":"127.0.0.1","blocked":false,"created_at":1795000000,"updated_at":1795000000}}"#;

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    let json = HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket.listen(1024)?)
}

async fn accept(listener: TcpListener) {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream.set_nodelay(true));
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::task::spawn_local(async move { drop(connection.await) });
            }
        })
        .await;
}

/// Serves until it is killed.
pub(crate) fn serve(threads: &str) -> Result<()> {
    let threads: usize = threads.parse()?;
    let (tell, told) = std::sync::mpsc::channel();
    let first = std::thread::spawn(move || worker("127.0.0.1:0".parse()?, Some(tell)));
    let address: SocketAddr = told.recv()?;
    for _ in 1..threads {
        std::thread::spawn(move || worker(address, None));
    }
    println!("listening on http://{address}");
    match first.join() {
        Ok(result) => result,
        Err(_) => anyhow::bail!("the reference server died"),
    }
}

fn worker(address: SocketAddr, tell: Option<std::sync::mpsc::Sender<SocketAddr>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = listen(address)?;
        if let Some(tell) = tell {
            tell.send(listener.local_addr()?)?;
        }
        accept(listener).await;
        Ok(())
    })
}
