//! A provider's API that a test writes by hand, byte for byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub(crate) struct Upstream {
    pub(crate) base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

/// One request as it came: its head is read, its body is not.
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) stream: BufReader<TcpStream>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn answer(&mut self, bytes: &[u8]) {
        drop(self.stream.get_mut().write_all(bytes));
    }

    /// Reads and counts the body: by its length, or by its chunks.
    pub(crate) fn body_bytes(&mut self) -> usize {
        if let Some(length) = self.header("content-length") {
            let length: u64 = length.parse().unwrap();
            let mut limited = (&mut self.stream).take(length);
            return usize::try_from(std::io::copy(&mut limited, &mut std::io::sink()).unwrap())
                .unwrap();
        }
        let mut all = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return all;
            }
            all += size;
        }
    }
}

impl Upstream {
    /// Answers every request on every connection with `serve`, until it returns false for a connection.
    pub(crate) fn start(serve: impl Fn(&mut Asked) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (serve, noted) = (Arc::new(serve), Arc::clone(&heads));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, noted) = (Arc::clone(&serve), Arc::clone(&noted));
                std::thread::spawn(move || requests(stream.unwrap(), &*serve, &noted));
            }
        });
        Self { base, heads }
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn requests(stream: TcpStream, serve: &dyn Fn(&mut Asked) -> bool, noted: &Mutex<Vec<String>>) {
    let mut asked = Asked {
        head: String::new(),
        stream: BufReader::new(stream),
    };
    loop {
        asked.head.clear();
        while !asked.head.ends_with("\r\n\r\n") {
            match asked.stream.read_line(&mut asked.head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        noted.lock().unwrap().push(asked.head.clone());
        if !serve(&mut asked) {
            return;
        }
    }
}
