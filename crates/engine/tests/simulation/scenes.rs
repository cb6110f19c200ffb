//! Single courses of events, each told step by step, with what must come of it.

use crate::board::{ProcessId, Step, Verdict};
use crate::calls::{Deed, Ended, Order, Results, take, text};
use crate::provider::{Mood, lock};
use crate::world::{CLIENTS, World};
use keyway_core::grant::GrantStatus;
use keyway_engine::ErrorKind;
use keyway_store::testing::Moment::{AfterWrite, BeforeWrite};
use tokio::time::{Duration, Instant};

/// The user whose grant it is about; its access token has ended.
const USER: usize = 0;
/// Longer than a lease.
const LEASE_SECS: u64 = 91;

struct Scene {
    world: World,
    results: Results,
    ended: Vec<(usize, Ended)>,
    next: usize,
    refreshes_before: usize,
    /// What has no turn while others have theirs.
    held: Option<(ProcessId, Step)>,
}

/// Plays in a world whose clock stands still while anything can go on.
fn play(scene: impl AsyncFnOnce(&mut Scene)) {
    let runtime = crate::runtime();
    runtime.block_on(async {
        let world = World::new(1).await;
        let lives_secs = vec![Some(3600)];
        lock(&world.book).mood = Mood {
            lives_secs,
            ..Mood::default()
        };
        // Nobody follows changes meanwhile, which would take long.
        world.board.open(false);
        tokio::time::sleep(Duration::from_secs(3601)).await;
        // What background work has waited for is done, and the next round is seconds away.
        world.board.open(true);
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.board.open(false);
        let refreshes_before = lock(&world.book).refreshes;
        let mut it = Scene {
            world,
            results: Results::default(),
            ended: Vec::new(),
            next: 0,
            refreshes_before,
            held: None,
        };
        scene(&mut it).await;
        let violations = lock(&it.world.book).violations.clone();
        assert!(violations.is_empty(), "{violations:?}");
    });
}

impl Scene {
    fn begin(&mut self, at: usize, deed: Deed) -> usize {
        let number = self.next;
        self.next += 1;
        let order = Order {
            number,
            user: USER,
            deed,
            refused: None,
        };
        self.world.start(at, order, &self.results);
        number
    }

    /// Somebody wants a token from the process at `at`.
    fn call(&mut self, at: usize) -> usize {
        self.begin(at, Deed::Call)
    }

    /// Lets everything go on as far as it can by itself.
    async fn settle(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let stored = self.world.stored(self.world.grants[USER]).await;
        lock(&self.world.book).stored(&stored.refresh_token, &stored.access_token);
        self.ended.extend(take(&self.results));
    }

    /// Gives everybody their turns until the process at `at` is about to do `step`.
    async fn until(&mut self, at: usize, step: Step) {
        let id = self.world.processes[at].id;
        for _ in 0..10_000 {
            self.settle().await;
            if self.world.board.waiting().contains(&(id, step)) {
                return;
            }
            self.go_on();
        }
        panic!("{id} never comes to {step:?}");
    }

    /// The first that waits and is not held has its turn.
    fn go_on(&mut self) {
        let waiting = self.world.board.waiting();
        if let Some(next) = waiting.iter().position(|one| Some(*one) != self.held) {
            self.world.board.decide(next, Verdict::Go);
        }
    }

    /// Gives everybody who is not held their turns until `number` has ended.
    async fn until_ended(&mut self, number: usize) {
        for _ in 0..10_000 {
            self.settle().await;
            if self.has_ended(number) {
                return;
            }
            self.go_on();
        }
        panic!("{number} never ends");
    }

    /// The process at `at`, which is about to do `step`, is told to go on or to fail.
    async fn decide(&mut self, at: usize, step: Step, verdict: Verdict) {
        let id = self.world.processes[at].id;
        let waiting = self.world.board.waiting();
        let place = waiting.iter().position(|one| *one == (id, step));
        self.world.board.decide(place.unwrap(), verdict);
        self.settle().await;
    }

    /// From now on nothing waits for its turn; gives how `number` ended.
    async fn outcome(&mut self, number: usize) -> Ended {
        self.world.board.open(true);
        for _ in 0..2_000 {
            self.settle().await;
            if let Some(at) = self.ended.iter().position(|(n, _)| *n == number) {
                return self.ended.remove(at).1;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("{number} never ends");
    }

    fn has_ended(&self, number: usize) -> bool {
        self.ended.iter().any(|(n, _)| *n == number)
    }

    fn crash(&mut self, at: usize) {
        let process = self.world.processes.remove(at);
        self.world.board.kill(process.id);
        lock(&self.world.book).crashed(process.id);
    }

    fn refreshes(&self) -> usize {
        lock(&self.world.book).refreshes - self.refreshes_before
    }

    async fn status(&self) -> GrantStatus {
        let stored = self.world.stored(self.world.grants[USER]).await;
        stored.grant.status
    }
}

fn token(ended: &Ended) -> &str {
    match ended {
        Ended::Token(token) => text(token),
        Ended::Done => panic!("no token"),
        Ended::Failed(kind, words) => panic!("{kind:?}: {words}"),
    }
}

fn failure(ended: &Ended) -> ErrorKind {
    match ended {
        Ended::Failed(kind, _) => *kind,
        Ended::Token(_) | Ended::Done => panic!("it should fail"),
    }
}

/// Where a process is killed, and what becomes of the grant at a provider that ends a family of tokens when a
/// used one comes again.
#[derive(Clone, Copy, Debug)]
struct Killing {
    /// The steps of the refresh that are still done, in order; it dies at the last one.
    steps: &'static [Step],
    /// The grant survives.
    survives: bool,
    /// Refreshes the provider made in all.
    refreshes: usize,
}

const LEASE: Step = Step::Database(BeforeWrite);
const LEASED: Step = Step::Database(AfterWrite);
const STORE: Step = Step::Database(BeforeWrite);
const STORED: Step = Step::Database(AfterWrite);

/// Every step of a refresh.
const KILLINGS: [Killing; 6] = [
    // Before it has the lease: nothing has happened.
    Killing {
        steps: &[LEASE],
        survives: true,
        refreshes: 1,
    },
    // With the lease, before anything was sent: another process goes on once the lease has run out.
    Killing {
        steps: &[LEASE, LEASED],
        survives: true,
        refreshes: 1,
    },
    // The request was on its way and never arrived: likewise.
    Killing {
        steps: &[LEASE, LEASED, Step::Request],
        survives: true,
        refreshes: 1,
    },
    // The provider has rotated and nobody heard: the one window in which a grant is lost.
    Killing {
        steps: &[LEASE, LEASED, Step::Request, Step::Answer],
        survives: false,
        refreshes: 1,
    },
    // The answer came and is not stored: the end of that window.
    Killing {
        steps: &[LEASE, LEASED, Step::Request, Step::Answer, STORE],
        survives: false,
        refreshes: 1,
    },
    // Stored, and the caller was not answered: the next one gets the new token.
    Killing {
        steps: &[LEASE, LEASED, Step::Request, Step::Answer, STORE, STORED],
        survives: true,
        refreshes: 1,
    },
];

async fn kill_at(scene: &mut Scene, killing: Killing) {
    scene.call(0);
    for (at, step) in killing.steps.iter().enumerate() {
        scene.until(0, *step).await;
        if at + 1 < killing.steps.len() {
            scene.decide(0, *step, Verdict::Go).await;
        }
    }
    scene.crash(0);
    // Its request dies with it: one that still arrives is another story (rules_… in seeds).
    let number = scene.call(0);
    tokio::time::sleep(Duration::from_secs(LEASE_SECS)).await;
    let ended = scene.outcome(number).await;
    let number = scene.call(0);
    let later = scene.outcome(number).await;
    match killing.survives {
        true => {
            token(&later);
            assert_eq!(scene.status().await, GrantStatus::Valid, "{killing:?}");
        }
        false => {
            assert_eq!(failure(&ended), ErrorKind::Unauthorized, "{killing:?}");
            assert_eq!(scene.status().await, GrantStatus::Invalid, "{killing:?}");
            let cause = scene.world.cause_of_end(scene.world.grants[USER]).await;
            assert_eq!(cause.as_deref(), Some("refresh_interrupted"));
        }
    }
    assert_eq!(scene.refreshes(), killing.refreshes, "{killing:?}");
}

#[test]
fn rule_05_a_process_killed_at_any_step_of_a_refresh_has_the_outcome_stated() {
    for killing in KILLINGS {
        play(async |scene| kill_at(scene, killing).await);
    }
}

#[test]
fn rule_05_e4_a_provider_that_takes_59_s_is_asked_once_for_callers_of_all_processes() {
    play(async |scene| {
        let began = Instant::now();
        let numbers: Vec<usize> = (0..30).map(|n| scene.call(n % 3)).collect();
        scene.until(0, Step::Request).await;
        tokio::time::sleep(Duration::from_secs(59) - began.elapsed()).await;
        scene.decide(0, Step::Request, Verdict::Go).await;
        scene.world.board.open(true);
        let mut tokens = Vec::new();
        for number in numbers {
            let ended = scene.outcome(number).await;
            tokens.push(token(&ended).to_owned());
        }
        tokens.dedup();
        assert_eq!((tokens.len(), scene.refreshes()), (1, 1));
    });
}

#[test]
fn rule_05_a_provider_slower_than_every_limit_costs_nobody_the_grant() {
    play(async |scene| {
        let (first, other) = (scene.call(0), scene.call(1));
        scene.until(0, Step::Request).await;
        // It never answers; the call's own limit ends it.
        tokio::time::sleep(Duration::from_secs(61)).await;
        let ended = scene.outcome(first).await;
        assert_eq!(failure(&ended), ErrorKind::ProviderUnavailable);
        // Who waited elsewhere tries again after the pause, and the provider is well again.
        token(&scene.outcome(other).await);
        assert_eq!(scene.status().await, GrantStatus::Valid);
        assert_eq!(scene.refreshes(), 1);
    });
}

#[test]
fn rule_05_a_token_that_cannot_be_stored_at_once_is_given_to_nobody_before_it_is() {
    play(async |scene| {
        let number = scene.call(0);
        scene.until(0, Step::Answer).await;
        scene.decide(0, Step::Answer, Verdict::Go).await;
        for _ in 0..20 {
            scene.until(0, STORE).await;
            scene.decide(0, STORE, Verdict::Fail).await;
            assert!(!scene.has_ended(number));
        }
        let ended = scene.outcome(number).await;
        assert!(lock(&scene.world.book).is_durable(token(&ended)));
        assert_eq!(scene.refreshes(), 1);
    });
}

#[test]
fn rule_05_a_token_that_was_stored_unnoticed_is_found() {
    play(async |scene| {
        let number = scene.call(0);
        scene.until(0, Step::Answer).await;
        scene.decide(0, Step::Answer, Verdict::Go).await;
        scene.until(0, STORE).await;
        scene.decide(0, STORE, Verdict::Go).await;
        scene.decide(0, STORED, Verdict::Fail).await;
        token(&scene.outcome(number).await);
        assert_eq!(scene.refreshes(), 1);
    });
}

#[test]
fn rule_05_a_token_that_can_never_be_stored_is_given_to_nobody() {
    play(async |scene| {
        let number = scene.call(0);
        scene.until(0, Step::Answer).await;
        scene.decide(0, Step::Answer, Verdict::Go).await;
        let began = Instant::now();
        while !scene.has_ended(number) && began.elapsed() < Duration::from_secs(400) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.settle().await;
            while let Some((_, step)) = scene.world.board.waiting().first().copied() {
                let fails = matches!(step, Step::Database(_));
                let verdict = if fails { Verdict::Fail } else { Verdict::Go };
                scene.world.board.decide(0, verdict);
                scene.settle().await;
            }
        }
        assert!(
            began.elapsed() > Duration::from_secs(299),
            "it gave up too soon"
        );
        let ended = scene.outcome(number).await;
        assert_eq!(failure(&ended), ErrorKind::Unavailable);
    });
}

#[test]
fn rule_04_a_migration_while_the_provider_answers_a_refresh_wins() {
    play(async |scene| {
        let number = scene.call(0);
        scene.until(0, Step::Answer).await;
        scene.held = Some((scene.world.processes[0].id, Step::Answer));
        let mut all = scene.world.credentials.iter();
        let second = *all.find(|(_, client)| **client == CLIENTS[1]).unwrap().0;
        let moving = scene.begin(1, Deed::Authenticate(second));
        scene.until(1, STORED).await;
        let mut moved = scene.world.stored(scene.world.grants[USER]).await;
        if moved.grant.credential_id != Some(second) {
            // The credential's health was stored first: it had not been used before.
            scene.decide(1, STORED, Verdict::Go).await;
            scene.until(1, STORED).await;
            moved = scene.world.stored(scene.world.grants[USER]).await;
        }
        assert_eq!(moved.grant.credential_id, Some(second));
        let ended = scene.outcome(number).await;
        assert_eq!(token(&ended), moved.access_token);
        assert!(matches!(scene.outcome(moving).await, Ended::Done));
        let after = scene.world.stored(scene.world.grants[USER]).await;
        assert_eq!(after.refresh_token, moved.refresh_token);
    });
}

#[test]
fn rule_05_a_graceful_stop_finishes_a_refresh_that_nobody_waits_for() {
    play(async |scene| {
        scene.call(0);
        scene.until(0, Step::Request).await;
        let process = scene.world.processes.remove(0);
        scene.world.board.open(true);
        process.engine.shutdown().await;
        assert_eq!(scene.refreshes(), 1);
        let stored = scene.world.stored(scene.world.grants[USER]).await;
        assert!(lock(&scene.world.book).is_honoured(&stored.refresh_token));
    });
}

#[test]
fn rule_05_a_process_cut_off_for_longer_than_its_lease_sends_nothing_any_more() {
    play(async |scene| {
        scene.call(0);
        scene.until(0, LEASE).await;
        scene.decide(0, LEASE, Verdict::Go).await;
        // It has the lease and does not know yet; another takes over when it has run out, and is done.
        tokio::time::sleep(Duration::from_secs(LEASE_SECS)).await;
        scene.held = Some((scene.world.processes[0].id, LEASED));
        let number = scene.call(1);
        scene.until_ended(number).await;
        scene.held = None;
        token(&scene.outcome(number).await);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(scene.refreshes(), 1);
    });
}
