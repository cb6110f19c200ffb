//! Small servers, each on a thread of its own, that answer exactly what a test tells them to.

use keyway_outbound::{HttpTransport, NetworkPolicy, Roots};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use url::Url;

/// A listening server and what it has seen.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that gives every connection to `serve` on a thread of its own.
    pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self {
            address,
            connections,
            requests: Arc::default(),
        }
    }

    /// A server that answers every request of every connection with `answer`, byte by byte as given.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let (answer, requests) = (answer.into(), Arc::<Mutex<Vec<String>>>::default());
        let seen = Arc::clone(&requests);
        let server = Self::raw(move |mut stream| {
            while let Some(request) = read_request(&mut stream) {
                seen.lock().unwrap().push(request);
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { requests, ..server }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// `path` at this server, by its address.
    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }
}

/// One request, head and body; none when the connection ends.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// An answer with this status line, body and no more headers than it needs.
pub(crate) fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A transport for which the addresses of the servers above are named in the configuration.
pub(crate) fn transport() -> HttpTransport {
    let policy = NetworkPolicy::new(false, ["127.0.0.1".to_owned()]);
    HttpTransport::new(policy, tokio::runtime::Handle::current(), Roots::default()).unwrap()
}
