//! A database and a data directory of one test, and the program run on them as an operator would.

use keyway_core::time::SystemClock;
use keyway_store::testing::TestDatabase;
use keyway_store::{Backend, DatabaseUrl};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Longest wait for anything, so that a test that hangs says where.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    database: TestDatabase,
    directory: TempDir,
    runtime: Runtime,
    /// A database that somebody else takes care of.
    elsewhere: Option<String>,
}

/// The program with nobody's settings but the test's.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyway"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYWAY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Site {
    /// `None` if there is no such database to test on.
    pub(crate) fn on(backend: Backend) -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let database = runtime.block_on(TestDatabase::create(backend))?;
        Some(Self {
            database,
            directory: tempfile::tempdir().unwrap(),
            runtime,
            elsewhere: None,
        })
    }

    /// A site on a database that somebody else takes care of.
    pub(crate) fn at(url: &str) -> Self {
        let site = Self::on(Backend::Sqlite).unwrap();
        Self {
            elsewhere: Some(url.to_owned()),
            ..site
        }
    }

    /// Everything below `directory`, on SQLite.
    pub(crate) fn below(directory: &Path) -> Self {
        Self {
            database: TestDatabase::sqlite_in(directory),
            directory: tempfile::tempdir_in(directory).unwrap(),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            elsewhere: None,
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    fn database_url(&self) -> String {
        if let Some(url) = &self.elsewhere {
            return url.clone();
        }
        match self.database.url() {
            DatabaseUrl::Sqlite(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Postgres(url) => url.clone(),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command.env("KEYWAY_DATA_DIR", self.data_dir());
        command.env("KEYWAY_DATABASE", self.database_url());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that prints JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments).arg("--json").output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            stderr(&output)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Makes an application; its id and its API key.
    pub(crate) fn app(&self, name: &str) -> (String, String) {
        let uri = "http://localhost:3000/callback";
        let made = self.json(&["app", "create", "--name", name, "--redirect-uri", uri]);
        (text(&made, "application_id"), text(&made, "api_key"))
    }

    pub(crate) fn backend(&self) -> Backend {
        match self.database.url() {
            DatabaseUrl::Sqlite(_) => Backend::Sqlite,
            DatabaseUrl::Postgres(_) => Backend::Postgres,
        }
    }

    /// Makes the tables, and nothing in them.
    pub(crate) fn migrate(&self) {
        let clock = Arc::new(SystemClock);
        self.runtime.block_on(async {
            let store = self.database.open(clock).await.unwrap();
            store.migrate().await.unwrap();
            store.close().await;
        });
    }

    /// Statements past the program.
    pub(crate) fn execute(&self, sql: &str) {
        self.runtime.block_on(self.database.execute(sql));
    }

    /// The first column of what a statement past the program finds.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(self.database.texts(sql))
    }

    /// Holds the database's write lock for some three seconds, while `then` is done.
    pub(crate) fn while_nobody_writes<T>(&self, then: impl FnOnce() -> T) -> T {
        let held = match self.database.url() {
            DatabaseUrl::Postgres(_) => {
                "BEGIN; LOCK TABLE token_sets IN EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT"
            }
            // SQLite cannot sleep; it can count.
            DatabaseUrl::Sqlite(_) => {
                "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE;
                 WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 25000000)
                 SELECT count(*) FROM c; COMMIT"
            }
        };
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| self.execute(held));
            std::thread::sleep(Duration::from_millis(200));
            let done = then();
            holder.join().unwrap();
            done
        })
    }

    /// What is half there, by the rules.
    pub(crate) fn half_done(&self) -> Vec<String> {
        self.runtime.block_on(self.database.half_done())
    }

    /// Starts a server on a port of its own and waits until it accepts connections.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_at("127.0.0.1:0", arguments)
    }

    /// The same, on that address.
    pub(crate) fn serve_at(&self, address: &str, arguments: &[&str]) -> Server {
        let mut command = self.command(&["serve", "--listen", address]);
        Server::start(command.args(arguments))
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap().to_owned()
}

/// A running server; killed if the test does not stop it.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    log: Option<JoinHandle<String>>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("keyway listening on http://");
        let Some(address) = address.map(str::to_owned) else {
            child.wait().unwrap();
            panic!(
                "the server printed {line:?} and logged {}",
                log.join().unwrap()
            );
        };
        Self {
            child,
            address,
            log: Some(log),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The status and the body.
    pub(crate) fn get(&self, path: &str, api_key: Option<&str>) -> (u16, String) {
        get(&self.address, path, api_key)
    }

    /// Ends it as a power cut would, and waits until it has.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits until it has; its status and its log.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        signal("TERM", self.pid());
        self.wait()
    }

    /// Waits until it has ended; its status and its log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// One HTTP request on a connection of its own.
pub(crate) fn get(address: &str, path: &str, api_key: Option<&str>) -> (u16, String) {
    let proof = api_key.map(|key| format!("Bearer {key}"));
    get_as(address, path, proof.as_deref())
}

/// The same with an Authorization header as it is given.
pub(crate) fn get_as(address: &str, path: &str, proof: Option<&str>) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let proof = proof
        .map(|proof| format!("Authorization: {proof}\r\n"))
        .unwrap_or_default();
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{proof}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Where a page sends the browser.
pub(crate) fn location(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "));
    line.unwrap_or_else(|| panic!("{answer}")).to_owned()
}
