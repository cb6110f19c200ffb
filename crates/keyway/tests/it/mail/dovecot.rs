//! A Dovecot of one test, on an address of its own: mail servers have their ports, and not others.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Looks whether it listens, and the pause between two: twenty seconds in all.
const TRIES: usize = 1000;
const PAUSE: Duration = Duration::from_millis(20);

/// The user there is, and the password.
pub(crate) const ALICE: &str = "alice@example.com";
pub(crate) const PASSWORD: &str = "app-pass-1";
/// Users with passwords that are not as easily said.
pub(crate) const OTHERS: [(&str, &str); 2] = [
    ("bob@example.com", "with \"quotes\" and \\"),
    ("carol@example.com", "gr\u{fc}n \"quoted\\ pass"),
];
/// Dovecot looks at its list of users so seldom.
const LOOKS_AGAIN: Duration = Duration::from_millis(2100);

pub(crate) struct Dovecot {
    /// Where it listens, on 143, 993, 465 and 587.
    pub(crate) host: String,
    directory: TempDir,
    child: Child,
}

fn is_there(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // `openssl` knows no such option, and is there all the same.
    version.is_ok()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// Why there can be no Dovecot here.
fn missing() -> Option<&'static str> {
    if !is_root() {
        return Some("Dovecot needs root");
    }
    if !is_there("dovecot") || !is_there("openssl") {
        return Some("Dovecot or openssl is not installed: scripts/test-prerequisites dovecot");
    }
    None
}

fn openssl(directory: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "openssl {arguments}: {words}");
}

/// An authority, and a certificate of its for `host`.
fn certify(directory: &Path, host: &str) {
    fs::write(
        directory.join("names"),
        format!("subjectAltName=IP:{host}\n"),
    )
    .unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        directory,
        &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=tests"),
    );
    openssl(
        directory,
        &format!("req {key} -keyout key.pem -out request.pem -subj /CN=mail.test"),
    );
    openssl(
        directory,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out cert.pem",
    );
}

fn configuration(directory: &str, host: &str) -> String {
    format!(
        "base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/dovecot.log
protocols = imap submission
auth_failure_delay = 0
hostname = mail.test
submission_relay_host = 127.0.0.1
submission_relay_port = 1
submission_relay_trusted = yes
listen = {host}
ssl = required
ssl_cert = <{directory}/cert.pem
ssl_key = <{directory}/key.pem
auth_mechanisms = plain login
mail_location = maildir:{directory}/mail/%u
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {directory}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={directory}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    port = 143
  }}
  inet_listener imaps {{
    port = 993
    ssl = yes
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service submission-login {{
  inet_listener submission {{
    port = 587
  }}
  inet_listener submissions {{
    port = 465
    ssl = yes
  }}
}}
"
    )
}

/// An address of this machine that no other test has at the moment: every test is a process of its own.
fn own_host() -> String {
    let pid = std::process::id();
    let [_, high, middle, low] = pid.to_be_bytes();
    format!("127.{}.{middle}.{}", 64 + high % 128, low.max(1))
}

impl Dovecot {
    /// `None`, with words, where there can be none.
    pub(crate) fn start() -> Option<Self> {
        if let Some(why) = missing() {
            assert!(
                std::env::var_os("KEYWAY_TEST_REQUIRE_DOVECOT").is_none(),
                "{why}"
            );
            eprintln!("skipped: {why}");
            return None;
        }
        let host = own_host();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        // Its login processes run as users of their own.
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        certify(path, &host);
        fs::create_dir(path.join("mail")).unwrap();
        let owned = Command::new("chown")
            .args(["mail:mail", "mail"])
            .current_dir(path)
            .status();
        assert!(owned.unwrap().success());
        let text = configuration(path.to_str().unwrap(), &host);
        fs::write(path.join("dovecot.conf"), text).unwrap();
        let child = Command::new("dovecot")
            .args(["-F", "-c"])
            .arg(path.join("dovecot.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let dovecot = Self {
            host,
            directory,
            child,
        };
        dovecot.write_users(PASSWORD);
        dovecot.wait();
        Some(dovecot)
    }

    fn wait(&self) {
        let address: SocketAddr = format!("{}:993", self.host).parse().unwrap();
        for _ in 0..TRIES {
            if TcpStream::connect(address).is_ok() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        let log = fs::read_to_string(self.directory.path().join("dovecot.log"));
        panic!("Dovecot does not listen: {log:?}");
    }

    /// From now on the first user has this password.
    pub(crate) fn set_password(&self, password: &str) {
        // Dovecot reads the list again when its size or its second has changed: a password as long as the last, set
        // within a second of the start, would go unseen.
        self.write_users(&format!("{password}\n# Changed."));
        std::thread::sleep(LOOKS_AGAIN);
    }

    fn write_users(&self, password: &str) {
        let others = OTHERS.map(|(name, password)| format!("{name}:{{PLAIN}}{password}\n"));
        let users = format!("{ALICE}:{{PLAIN}}{password}\n{}", others.concat());
        let path = self.directory.path();
        let next = path.join("users.next");
        fs::write(&next, users).unwrap();
        fs::set_permissions(&next, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(next, path.join("users")).unwrap();
    }

    /// The authority its certificate is of.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It ends its own processes when it is asked to, and leaves them behind when it is killed.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}
