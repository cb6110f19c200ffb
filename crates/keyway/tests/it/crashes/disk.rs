//! A disk that is full, read-only, or takes no more of a file: what cannot be stored is refused with words,
//! what is stored is served, nothing is broken, and the server goes on by itself once there is room.

use super::line::{Line, Returning};
use crate::proxy::world::{CLIENT, World};
use crate::site::{Site, get, stderr, text};
use crate::wire::Answer;
use keyway_store::Backend;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Large enough for a server, small enough to fill.
const DISK: &str = "size=8m";
/// More than the disk has.
const FILLER_BYTES: usize = 16 << 20;

/// A file system of this test's own.
struct Mount {
    directory: tempfile::TempDir,
}

fn ran(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

impl Mount {
    /// `None`, with a line that says so, where this user may not mount.
    fn new(arguments: &[&str]) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut all = arguments.to_vec();
        all.push(directory.path().to_str().unwrap());
        if ran("mount", &all) {
            return Some(Self { directory });
        }
        eprintln!("skipped: this user may not mount a file system");
        None
    }

    fn in_memory() -> Option<Self> {
        Self::new(&["-t", "tmpfs", "-o", DISK, "tmpfs"])
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn remount(&self, how: &str) -> bool {
        let path = self.path().to_str().unwrap();
        ran("mount", &["-o", &format!("remount,{how}"), path])
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let full = file.write_all(&vec![0; FILLER_BYTES]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = self.path().to_str().unwrap();
        assert!(ran("umount", &["--lazy", path]), "{path} stays mounted");
    }
}

/// A server with a grant, and with a sign-in whose code waits.
struct Story {
    world: World,
    grant: String,
    code: String,
    waiting: String,
    /// A browser at the provider.
    returning: Returning,
    line: Line,
}

impl Story {
    fn on(site: Site) -> Self {
        let world = World::on(site);
        world.allow_callback();
        let line = Line::to(&world);
        let credential = world.texts("SELECT id FROM credentials").remove(0);
        Self {
            grant: world.grant("ann@example.com", CLIENT, None),
            code: world.code("bob@example.com"),
            waiting: world.code("cid@example.com"),
            returning: line.to_provider("eve@example.com", &credential).unwrap(),
            line,
            world,
        }
    }

    fn writes(&self) -> Vec<Answer> {
        let world = &self.world;
        let settings = json!({"client_id": "x", "client_secret": "y"});
        let connector = json!({"provider": "zoom", "name": "Z", "settings": settings});
        let label = json!({"external_id": "label"});
        let token = world.sandbox.mint_refresh_token(
            CLIENT,
            "dora@example.com",
            &["openid", "email", "mail.read"],
        );
        let custom = json!({"provider": "google", "settings": {"refresh_token": token}});
        let grant = format!("/v3/grants/{}", self.grant);
        vec![
            world.api("POST", "/v3/connectors", &connector),
            world.api("PATCH", &grant, &label),
            world.api("POST", "/v3/connect/custom", &custom),
            world.api("PATCH", "/v3/connectors/google", &json!({"name": "H"})),
            world.api("DELETE", &grant, &Value::Null),
        ]
    }

    /// Nothing can be stored: that is said, and whatever needs nothing stored goes on.
    fn assert_refused(&self) {
        let before = self.stored();
        for answer in self.writes() {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert_eq!(answer.error_type(), "api.unavailable_error");
            let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(wait >= 1);
            let words = text(&answer.json()["error"], "message");
            assert!(words.contains("try again"), "{words}");
        }
        let refused = self.world.exchange(&self.code);
        assert_eq!(refused.json()["error"], "temporarily_unavailable");
        assert_eq!(self.line.come_back(&self.returning), Some(None), "a page");
        assert_eq!(self.stored(), before, "what was refused is not there");
        assert_eq!(self.ready(), 503);
        self.assert_served();
    }

    /// What is stored is read, and calls go out.
    fn assert_served(&self) {
        let world = &self.world;
        let path = format!("/v3/grants/{}", self.grant);
        assert_eq!(world.call("GET", "/healthz", "", b"").status, 200);
        assert_eq!(world.call("GET", "/v3/connectors", "", b"").status, 200);
        assert_eq!(world.call("GET", &path, "", b"").status, 200);
        let called = world.call("GET", &format!("{path}/proxy/echo"), "", b"");
        assert_eq!(called.status, 200, "{called:?}");
    }

    /// There is room again, and nobody has restarted anything.
    fn assert_mended(&self) {
        assert_eq!(self.ready(), 200);
        assert_eq!(self.texts("PRAGMA integrity_check"), ["ok"]);
        // Rule 9: neither the codes nor the state were used up in vain.
        let code = self.line.come_back(&self.returning).unwrap().unwrap();
        assert_eq!(self.world.exchange(&code).status, 200);
        assert_eq!(self.world.exchange(&self.code).status, 200);
        assert_eq!(self.world.exchange(&self.waiting).status, 200);
        for answer in self.writes() {
            assert!(answer.status < 300, "{answer:?}");
        }
    }

    fn ready(&self) -> u16 {
        get(&self.world.server.address, "/readyz", None).0
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        self.world.texts(sql)
    }

    /// Everything that requests of this test could change.
    fn stored(&self) -> Vec<String> {
        self.texts(
            "SELECT id || version FROM grants UNION ALL SELECT id || version FROM connectors
             UNION ALL SELECT id || state || version FROM token_sets UNION ALL
             SELECT id || status FROM sign_ins UNION ALL SELECT id FROM access_tokens UNION ALL
             SELECT seq || entity_id FROM changes WHERE action <> 'health_changed' ORDER BY 1",
        )
    }

    /// Ends the server; what it logged.
    fn log(self) -> String {
        let (status, log) = self.world.server.terminate();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }
}

#[test]
fn rules_04_09_10_a_full_disk_refuses_with_words_and_recovers_without_a_restart() {
    let Some(mount) = Mount::in_memory() else {
        return;
    };
    let story = Story::on(Site::below(mount.path()));
    for _ in 0..2 {
        let filler = mount.fill();
        story.assert_refused();
        std::fs::remove_file(filler).unwrap();
        assert_eq!(story.ready(), 200);
    }
    story.assert_mended();
    let log = story.log();
    assert!(
        log.contains("the disk of the database file is full: make room"),
        "{log}"
    );
}

#[test]
fn rules_04_09_10_a_file_that_may_not_grow_refuses_with_words_and_recovers_without_a_restart() {
    let story = Story::on(Site::on(Backend::Sqlite).unwrap());
    let pid = story.world.server.pid().to_string();
    let limit = |bytes: &str| ran("prlimit", &["--pid", &pid, &format!("--fsize={bytes}")]);
    if !limit("1:unlimited") {
        eprintln!("skipped: no prlimit here");
        return;
    }
    story.assert_refused();
    assert!(limit("unlimited:unlimited"));
    story.assert_mended();
    let log = story.log();
    assert!(log.contains("a limit of size is reached"), "{log}");
}

/// A file system in a file, which can be made read-only under a running server as a kernel does that meets a
/// broken disk.
fn breakable(directory: &Path) -> Option<Mount> {
    let image = directory.join("disk");
    File::create(&image).unwrap().set_len(32 << 20).unwrap();
    let image = image.to_str().unwrap();
    if !ran("mkfs.ext4", &["-q", image]) {
        eprintln!("skipped: no mkfs.ext4 here");
        return None;
    }
    Mount::new(&["-o", "loop", image])
}

#[test]
fn rules_04_10_a_disk_that_becomes_read_only_refuses_with_words_and_serves_what_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let Some(mount) = breakable(directory.path()) else {
        return;
    };
    let story = Story::on(Site::below(mount.path()));
    assert!(mount.remount("abort"));
    let path = format!("/v3/grants/{}", story.grant);
    let answer = story
        .world
        .api("PATCH", &path, &json!({"external_id": "x"}));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.error_type(), "api.unavailable_error");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(story.ready(), 503);
    story.assert_served();
    let log = story.log();
    assert!(log.contains("is full or read-only"), "{log}");
}

fn assert_does_not_start(site: &Site, why: &str) {
    let refused = site.run(&["serve", "--listen", "127.0.0.1:0"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_full_or_read_only_disk_is_refused_at_the_start_with_words() {
    let Some(mount) = Mount::in_memory() else {
        return;
    };
    let site = Site::below(mount.path());
    site.app("A");
    assert!(mount.remount("ro"));
    assert_does_not_start(&site, "read-only");
    assert!(mount.remount("rw"));
    let filler = mount.fill();
    assert_does_not_start(&site, "full");
    std::fs::remove_file(filler).unwrap();
    let server = site.serve(&[]);
    assert_eq!(server.get("/readyz", None).0, 200);
}
