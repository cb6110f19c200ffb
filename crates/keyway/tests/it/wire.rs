//! HTTP/1.1 as a test speaks it: one request on a connection of its own, to a server that may be dead before it
//! has answered.

use serde_json::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use url::Url;

/// Longest wait for an answer, unless a test says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What came back: status, head without the status line, body without its chunks.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// The body in its chunks, as far as it has come; and whether that is all of it.
fn unchunked(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut whole = Vec::new();
    loop {
        let Some(end) = body.windows(2).position(|pair| pair == b"\r\n") else {
            return (whole, false);
        };
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (whole, true);
        }
        let Some(chunk) = body.get(end + 2..end + 2 + size) else {
            return (whole, false);
        };
        whole.extend_from_slice(chunk);
        body = body.get(end + 2 + size + 2..).unwrap_or_default();
    }
}

impl Answer {
    /// An answer, if its head came; and whether its body came whole.
    fn parse(raw: &[u8]) -> Option<(Self, bool)> {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8(raw[..end].to_vec()).unwrap();
        let (line, head) = head.split_once("\r\n").unwrap_or((&head, ""));
        let mut answer = Self {
            status: line.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: raw[end + 4..].to_vec(),
        };
        let is_whole = match answer.header("transfer-encoding") {
            Some("chunked") => {
                let is_whole;
                (answer.body, is_whole) = unchunked(&raw[end + 4..]);
                is_whole
            }
            _ => {
                let length = answer.header("content-length");
                answer.body.len() >= length.map_or(0, |length| length.parse().unwrap())
            }
        };
        Some((answer, is_whole))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(crate) fn error_type(&self) -> String {
        self.json()["error"]["type"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The answer, which acknowledges something.
    pub(crate) fn acknowledged(self) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert!(self.status < 400, "{} {} {body}", self.status, self.head);
        self
    }

    /// What the browser is sent on with.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.header("location")?).unwrap();
        let mut query = url.query_pairs();
        query
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Reads all there is until the server closes, and answers with what came of the answer.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut raw = Vec::new();
    // A server that refuses what it is still being sent may reset the connection after its answer.
    drop(stream.read_to_end(&mut raw));
    let answer = Answer::parse(&raw);
    let answer = answer.unwrap_or_else(|| panic!("no head in {}", String::from_utf8_lossy(&raw)));
    answer.0
}

/// A request to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) address: &'a str,
    pub(crate) key: &'a str,
    pub(crate) patience: Duration,
}

impl<'a> Ask<'a> {
    /// Whom to ask, with which API key.
    pub(crate) fn new(address: &'a str, key: &'a str) -> Self {
        Self {
            address,
            key,
            patience: PATIENCE,
        }
    }

    /// One request with these header lines. An error if no whole answer came.
    pub(crate) fn call(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = match (method, body.len()) {
            ("GET", 0) => String::new(),
            (_, length) => format!("Content-Length: {length}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{headers}{length}Connection: close\r\n\r\n",
            self.address, self.key
        );
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut raw = Vec::new();
        let read = stream.read_to_end(&mut raw);
        match Answer::parse(&raw) {
            Some((answer, true)) => Ok(answer),
            _ => Err(read.err().unwrap_or(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// The same with a body in JSON.
    pub(crate) fn json(&self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        let headers = "Content-Type: application/json\r\n";
        self.call(method, path, headers, body.to_string().as_bytes())
    }
}

/// An address on this machine that nobody listens on yet.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
