//! A stand-in for the transit engine of HashiCorp Vault and OpenBao: its documented requests and answers for
//! `encrypt` and `decrypt`, and nothing else. The real servers could not be had for these tests.

use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A server that answers until it is dropped.
pub(crate) struct KeyService {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Rules {
    mount: String,
    key: String,
    token: String,
}

impl KeyService {
    /// A service with one key, for whoever brings `token`.
    pub(crate) fn start(mount: &str, key: &str, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let rules = Rules {
            mount: mount.to_owned(),
            key: key.to_owned(),
            token: token.to_owned(),
        };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                serve(&rules, stream.unwrap());
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for KeyService {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        let _ = self.thread.take().unwrap().join();
    }
}

fn serve(rules: &Rules, stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut token, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-vault-token" => token = value.to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, answer) = answer(rules, &path, &token, &body);
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all((head + &text).as_bytes()).unwrap();
}

fn answer(rules: &Rules, path: &str, token: &str, body: &[u8]) -> (&'static str, Value) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return ("400 Bad Request", json!({"errors": ["error parsing JSON"]}));
    };
    let member = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let at = |operation: &str| format!("/v1/{}/{operation}/{}", rules.mount, rules.key);
    if token != rules.token {
        return (
            "403 Forbidden",
            json!({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}),
        );
    }
    let turned = |text: &str| text.chars().rev().collect::<String>();
    let data = match (member("plaintext"), member("ciphertext")) {
        (Some(plain), None) if path == at("encrypt") => {
            json!({"ciphertext": format!("vault:v1:{}", turned(&plain)), "key_version": 1})
        }
        (None, Some(cipher)) if path == at("decrypt") => match cipher.strip_prefix("vault:v1:") {
            Some(text) => json!({"plaintext": turned(text)}),
            None => {
                return (
                    "400 Bad Request",
                    json!({"errors": ["invalid ciphertext: no prefix"]}),
                );
            }
        },
        _ => return ("404 Not Found", json!({"errors": []})),
    };
    (
        "200 OK",
        json!({"request_id": "1", "lease_id": "", "data": data}),
    )
}
