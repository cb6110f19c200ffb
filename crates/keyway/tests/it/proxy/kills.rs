//! The server is killed at each step of a refresh and started again; the provider rotates, and ends a family
//! of tokens when a used one comes again.

use super::world::{CLIENT, World};
use crate::wire::Answer;
use keyway_sandbox::{Fault, Faults, When};
use keyway_store::Backend;
use std::io::Write as _;
use std::time::Duration;

/// Longer than the test: nothing comes of it.
const NEVER_MS: u64 = 60_000;

fn on_token(fault: Fault) -> Faults {
    Faults {
        token: Some(fault),
        ..Faults::default()
    }
}

fn late(delay_ms: u64, when: When) -> Fault {
    Fault {
        when,
        ..Fault::delay(delay_ms)
    }
}

struct Story {
    world: World,
    id: String,
    refreshes_before: u64,
}

impl Story {
    /// A grant whose access token has ended.
    fn on(backend: Backend) -> Option<Self> {
        let world = World::rotating(backend)?;
        let id = world.grant("ann@example.com", CLIENT, None);
        world.execute("UPDATE token_sets SET access_expires_at = 1");
        let refreshes_before = world.sandbox.counters().token_requests_of("refresh_token");
        Some(Self {
            world,
            id,
            refreshes_before,
        })
    }

    fn path(&self) -> String {
        format!("/v3/grants/{}/proxy/echo", self.id)
    }

    /// Somebody calls and is not answered.
    fn call_and_leave(&self) -> std::net::TcpStream {
        let mut stream = self.world.connect();
        let (path, key) = (self.path(), &self.world.key);
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn call(&self) -> Answer {
        self.world.call("GET", &self.path(), "", b"")
    }

    fn refreshes(&self) -> u64 {
        let all = self
            .world
            .sandbox
            .counters()
            .token_requests_of("refresh_token");
        all - self.refreshes_before
    }

    fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if is_so(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{what} does not happen");
    }

    /// The server dies; its lease, which nobody gives back, is over by the database's clock when the next one
    /// is asked.
    fn kill(&mut self) {
        self.world.kill_and_restart();
        self.world.sandbox.set_faults(Faults::default());
        self.world
            .execute("UPDATE refresh_states SET lease_until = 1 WHERE lease_until IS NOT NULL");
    }

    fn assert_lost(mut self) {
        let answer = self.call();
        assert_eq!(
            (answer.status, answer.error_type().as_str()),
            (401, "token.unauthorized_access")
        );
        let grant = self
            .world
            .call("GET", &format!("/v3/grants/{}", self.id), "", b"");
        assert_eq!(grant.json()["data"]["grant_status"], "invalid");
        let log = self.world.kill_and_restart();
        assert!(log.contains("refresh_interrupted"), "{log}");
    }

    fn assert_kept(&self, refreshes: u64) {
        let answer = self.call();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(self.refreshes(), refreshes);
        assert_eq!(self.call().status, 200);
    }
}

fn killed_before_the_provider_has_acted(backend: Backend) {
    let Some(mut story) = Story::on(backend) else {
        return;
    };
    story
        .world
        .sandbox
        .set_faults(on_token(late(NEVER_MS, When::Before)));
    let _caller = story.call_and_leave();
    // The lease is durable before anything is sent.
    story.until("the request", |story| story.refreshes() == 1);
    story.kill();
    // Asked again, since the first time nothing came of it.
    story.assert_kept(2);
}

fn killed_after_the_provider_has_rotated(backend: Backend) {
    let Some(mut story) = Story::on(backend) else {
        return;
    };
    story
        .world
        .sandbox
        .set_faults(on_token(late(NEVER_MS, When::After)));
    let _caller = story.call_and_leave();
    story.until("the rotation", |story| story.refreshes() == 1);
    // It is counted when it is asked, and acts at once.
    std::thread::sleep(Duration::from_millis(100));
    story.kill();
    story.assert_lost();
}

fn killed_while_the_answer_cannot_be_stored(backend: Backend) {
    let Some(mut story) = Story::on(backend) else {
        return;
    };
    story
        .world
        .sandbox
        .set_faults(on_token(late(1_000, When::After)));
    let caller = story.call_and_leave();
    story.until("the rotation", |story| story.refreshes() == 1);
    story.world.while_nobody_writes(|| {
        // The answer has come, and waits for the lock.
        std::thread::sleep(Duration::from_millis(1_300));
        super::super::site::signal("KILL", story.world.server.pid());
    });
    drop(caller);
    story.kill();
    story.assert_lost();
}

fn killed_after_the_answer_is_stored(backend: Backend) {
    let Some(mut story) = Story::on(backend) else {
        return;
    };
    story.world.sandbox.set_faults(Faults {
        api: Some(Fault::delay(NEVER_MS)),
        ..Faults::default()
    });
    let _caller = story.call_and_leave();
    story.until("the refresh", |story| story.refreshes() == 1);
    // The API is called once the new token is durable.
    std::thread::sleep(Duration::from_millis(500));
    story.kill();
    story.assert_kept(1);
}

macro_rules! on_both {
    ($($name:ident => $test:ident;)+) => {$(
        mod $test {
            #[test]
            fn on_sqlite() {
                super::$name(super::Backend::Sqlite);
            }

            #[test]
            fn on_postgres() {
                super::$name(super::Backend::Postgres);
            }
        }
    )+};
}

on_both! {
    killed_before_the_provider_has_acted => rule_05_killed_before_the_provider_has_acted_nothing_is_lost;
    killed_after_the_provider_has_rotated => rule_05_killed_after_the_rotation_the_grant_ends_with_its_cause;
    killed_while_the_answer_cannot_be_stored => rule_05_killed_while_the_answer_waits_to_be_stored_likewise;
    killed_after_the_answer_is_stored => rule_05_killed_after_the_answer_is_stored_nothing_is_lost;
}
