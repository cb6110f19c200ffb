//! PostgreSQL servers of a test's own, that write to the disk what they acknowledge: to be restarted, frozen and
//! replaced by a standby.

use crate::wire::free_address;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

pub(crate) struct Postgres {
    directory: TempDir,
    port: String,
    options: String,
}

/// Where Debian keeps the server's programs, or wherever else they are.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let found = versions.map(|entry| entry.unwrap().path().join("bin").join(name));
    found
        .filter(|path| path.exists())
        .max()
        .unwrap_or_else(|| name.into())
}

fn id(flags: &[&str]) -> Output {
    Command::new("id").args(flags).output().unwrap()
}

/// PostgreSQL refuses to run as root.
fn user() -> Option<&'static str> {
    (id(&["-u"]).stdout == b"0\n").then_some(match id(&["postgres"]).status.success() {
        true => "postgres",
        false => "nobody",
    })
}

fn run(name: &str, arguments: &[&str]) {
    let mut command = match user() {
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program(name));
            command
        }
        None => Command::new(program(name)),
    };
    let output = command.args(arguments).current_dir("/").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {told}");
}

impl Postgres {
    /// `None` where the tests have no PostgreSQL.
    pub(crate) fn start(options: &str) -> Option<Self> {
        std::env::var_os("KEYWAY_TEST_POSTGRES")?;
        let server = Self::place(options);
        let data = server.data();
        run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        server.control(&["-w", "start"]);
        Some(server)
    }

    /// A place of its own, which the server's user may use.
    fn place(options: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("keyway-postgres.")
            .tempdir_in("/tmp")
            .unwrap();
        if let Some(user) = user() {
            let given = Command::new("chown")
                .arg(user)
                .arg(directory.path())
                .status();
            assert!(given.unwrap().success());
        }
        Self {
            directory,
            port: free_address().rsplit(':').next().unwrap().to_owned(),
            options: options.to_owned(),
        }
    }

    /// A server that follows this one.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::place("");
        let from = ["-h", "127.0.0.1", "-p", &self.port, "-U", "postgres"];
        let to = standby.data();
        run(
            "pg_basebackup",
            &[&from[..], &["-D", &to, "-R", "-X", "stream", "-c", "fast"]].concat(),
        );
        standby.control(&["-w", "start"]);
        standby
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// What the server has said so far.
    pub(crate) fn log(&self) -> String {
        let said = std::fs::read(self.log_file()).unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    fn control(&self, arguments: &[&str]) {
        let (data, log) = (self.data(), self.log_file());
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} {}",
            self.port,
            self.directory.path().display(),
            self.options
        );
        let log = log.display().to_string();
        run(
            "pg_ctl",
            &[&["-D", &data, "-l", &log, "-o", &settings], arguments].concat(),
        );
    }

    /// Ends it as a power cut would.
    pub(crate) fn crash(&self) {
        self.control(&["-m", "immediate", "-w", "stop"]);
    }

    /// Starts it again.
    pub(crate) fn start_again(&self) {
        self.control(&["-w", "start"]);
    }

    /// Lets a standby take over.
    pub(crate) fn promote(&self) {
        self.control(&["-w", "promote"]);
    }

    /// Stops or continues every one of its processes.
    pub(crate) fn signal(&self, name: &str) {
        let file = Path::new(&self.data()).join("postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap();
        let postmaster = text.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep")
            .args(["-P", &postmaster])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let pids = std::iter::once(postmaster.as_str()).chain(children.split_whitespace());
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).args(pids);
        // A child may have ended meanwhile.
        let _ = kill.output().unwrap();
    }

    /// Statements in one request, from beside the database that servers use.
    pub(crate) fn execute(&self, sql: &str) {
        run(
            "psql",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &self.port,
                "-U",
                "postgres",
                "-d",
                "template1",
                "-c",
                sql,
            ],
        );
    }

    /// A session that does nothing until it is dropped.
    pub(crate) fn session(&self) -> Session {
        let host = ["-h", "127.0.0.1", "-p", &self.port, "-U", "postgres"];
        let mut psql = Command::new(program("psql"));
        psql.args(host).args(["-d", "postgres", "-At"]);
        let pipes = psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = pipes.spawn().unwrap();
        let asked = child.stdin.as_mut().unwrap().write_all(b"SELECT 7;\n");
        asked.unwrap();
        let mut answer = [0; 2];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut answer)
            .unwrap();
        assert_eq!(&answer, b"7\n");
        Session(child)
    }

    /// Changes a setting of the running server.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.execute(&format!("ALTER SYSTEM SET {name} = '{value}'"));
        self.execute("SELECT pg_reload_conf()");
    }

    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        let mut command = Command::new(program("pg_ctl"));
        if let Some(user) = user() {
            command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program("pg_ctl"));
        }
        let stop = ["-D", &data, "-m", "immediate", "-w", "stop"];
        let _ = command.args(stop).current_dir("/").output();
    }
}

/// One connection to PostgreSQL.
pub(crate) struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
