//! The scheduler: one seed, one course of events.

use crate::board::{Step, Verdict};
use crate::calls::{Deed, Doing, Ended, Order, Results, take};
use crate::provider::lock;
use crate::rules::Rules;
use crate::world::{CLIENTS, USERS, World};
use futures_util::FutureExt as _;
use keyway_engine::refresh::OpenedToken;
use keyway_store::testing::Moment;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::time::Duration;

/// Steps of a course before everything is mended.
const STEPS: usize = 600;
/// Things under way at once.
const DOINGS_MAX: usize = 12;
/// How long everything waits while nothing else happens, in milliseconds.
const PAUSES_MS: [u64; 12] = [
    10, 200, 1_000, 5_000, 10_000, 20_000, 31_000, 31_000, 31_000, 65_000, 95_000, 400_000,
];
/// How far a clock is set wrong, in milliseconds.
const SKEWS_MS: [i64; 7] = [0, 1_000, -1_000, 30_000, -30_000, 600_000, -600_000];
/// Failures of one process's database in a row; it gives up storing after more.
const OUTAGE_MAX: usize = 3;

pub(crate) struct Run {
    world: World,
    rules: Rules,
    doings: Vec<Doing>,
    results: Results,
    /// Tokens callers hold, by user.
    held: Vec<Option<Arc<OpenedToken>>>,
    failed_in_a_row: Vec<(usize, usize)>,
    next_number: usize,
    has_written: bool,
}

impl Run {
    pub(crate) async fn new(seed: u64) -> Self {
        let world = World::new(seed).await;
        world.board.open(false);
        lock(&world.book).mood.lives_secs = vec![Some(30), Some(400), Some(30), Some(3600)];
        let mut rules = Rules::new(&world).await;
        rules.look(&world).await;
        Self {
            rules,
            world,
            doings: Vec::new(),
            results: Results::default(),
            held: vec![None; USERS],
            failed_in_a_row: Vec::new(),
            next_number: 0,
            has_written: false,
        }
    }

    /// What has happened, a line each.
    pub(crate) fn trace(&self) -> Vec<String> {
        lock(&self.world.book).trace.clone()
    }

    /// The whole course. What was violated, if anything was.
    pub(crate) async fn go(&mut self) -> Vec<String> {
        for _ in 0..STEPS {
            self.step().await;
            self.settle().await;
            let violations = Rules::violations(&self.world);
            if !violations.is_empty() {
                return violations;
            }
        }
        self.mend().await;
        Rules::violations(&self.world)
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.world.random() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn note(&self, line: &str) {
        lock(&self.world.book).note(line);
    }

    /// Lets everything go on as far as it can by itself, and looks at what came of it.
    async fn settle(&mut self) {
        // The runtime's time moves only when nothing else can.
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Nothing is written without a turn.
        if std::mem::take(&mut self.has_written) {
            self.rules.look(&self.world).await;
        }
        for (number, ended) in take(&self.results) {
            let Some(at) = self.doings.iter().position(|doing| doing.number == number) else {
                continue;
            };
            let doing = self.doings.remove(at);
            let how = match &ended {
                Ended::Token(token) => crate::calls::text(token).to_owned(),
                Ended::Done => "done".to_owned(),
                Ended::Failed(kind, _) => format!("{kind:?}"),
            };
            self.note(&format!(
                "{:?} {number} for user {} ended: {how}",
                doing.deed, doing.user
            ));
            self.rules.ended(&self.world, &doing, &ended);
            if let Ended::Token(token) = ended {
                self.held[doing.user] = Some(token);
            }
        }
    }

    async fn step(&mut self) {
        match self.below(1000) {
            0..740 => self.go_on(),
            740..840 => self.begin(Deed::Call),
            840..880 => self.replace(),
            880..895 => self.authenticate(),
            895..905 => self.patch(),
            905..910 => self.begin(Deed::Round),
            910..920 => self.hang_up(),
            920..930 => self.crash().await,
            930..968 => self.pause().await,
            968..975 => self.set_clock(),
            975..988 => self.change_mood(),
            988..991 => self.revoke().await,
            _ => self.deliver_orphan(),
        }
    }

    /// Something that waits has its turn.
    fn go_on(&mut self) {
        let waiting = self.world.board.waiting();
        if waiting.is_empty() {
            return;
        }
        // Most of what waits only looks whether others have changed something: it has every third turn.
        let is_read = |step: Step| step == Step::Database(Moment::BeforeRead);
        let others = waiting
            .iter()
            .enumerate()
            .filter(|(_, (_, step))| !is_read(*step));
        let others: Vec<usize> = others.map(|(at, _)| at).collect();
        let at = match others.is_empty() || self.below(3) == 0 {
            true => self.below(waiting.len()),
            false => others[self.below(others.len())],
        };
        let (process, step) = waiting[at];
        let verdict = self.verdict(process, step);
        self.note(&format!("{process} {step:?} {verdict:?}"));
        self.has_written = step == Step::Database(Moment::BeforeWrite);
        self.world.board.decide(at, verdict);
    }

    fn verdict(&mut self, process: usize, step: Step) -> Verdict {
        let chance = match step {
            Step::Database(Moment::BeforeRead) => 1,
            Step::Database(_) | Step::Request | Step::Answer => 4,
        };
        let fails = self.below(100) < chance;
        if !matches!(step, Step::Database(_)) {
            return if fails { Verdict::Fail } else { Verdict::Go };
        }
        let at = self.failed_in_a_row.iter().position(|(p, _)| *p == process);
        let at = at.unwrap_or_else(|| {
            self.failed_in_a_row.push((process, 0));
            self.failed_in_a_row.len() - 1
        });
        let count = &mut self.failed_in_a_row[at].1;
        if !fails || *count >= OUTAGE_MAX {
            *count = 0;
            return Verdict::Go;
        }
        *count += 1;
        self.excuse(process);
        Verdict::Fail
    }

    fn excuse(&mut self, process: usize) {
        for doing in self
            .doings
            .iter_mut()
            .filter(|doing| doing.process == process)
        {
            doing.is_excused = true;
        }
    }

    fn begin(&mut self, deed: Deed) {
        let user = self.below(USERS);
        self.begin_for(user, deed, None);
    }

    fn begin_for(&mut self, user: usize, deed: Deed, refused: Option<Arc<OpenedToken>>) {
        if self.doings.len() >= DOINGS_MAX {
            return;
        }
        let at = self.below(self.world.processes.len());
        let number = self.next_number;
        self.next_number += 1;
        let process = self.world.processes[at].id;
        self.note(&format!(
            "{process} begins {deed:?} {number} for user {user}"
        ));
        let order = Order {
            number,
            user,
            deed,
            refused,
        };
        let doing = self.world.start(at, order, &self.results);
        self.rules.began(&doing);
        self.doings.push(doing);
    }

    fn replace(&mut self) {
        let user = self.below(USERS);
        if let Some(refused) = self.held[user].clone() {
            self.begin_for(user, Deed::Replace, Some(refused));
        }
    }

    fn authenticate(&mut self) {
        let at = self.below(self.world.credentials.len());
        let credential = self.world.credentials.keys().nth(at).copied();
        self.begin(Deed::Authenticate(credential.unwrap()));
    }

    fn patch(&mut self) {
        let label = format!("label-{}", self.next_number);
        self.begin(Deed::Patch(label));
    }

    fn hang_up(&mut self) {
        if self.doings.is_empty() {
            return;
        }
        let at = self.below(self.doings.len());
        let doing = self.doings.remove(at);
        self.note(&format!(
            "the caller of {:?} {} hangs up",
            doing.deed, doing.number
        ));
        doing.task.abort();
    }

    async fn crash(&mut self) {
        let at = self.below(self.world.processes.len());
        let id = self.world.processes[at].id;
        self.note(&format!("{id} crashes"));
        self.world.board.kill(id);
        lock(&self.world.book).crashed(id);
        let process = self.world.processes.remove(at);
        // Nothing it does counts any more; this spares it the trouble.
        let _ = process.engine.shutdown().now_or_never();
        self.doings.retain(|doing| doing.process != id);
        self.world.start_process().await;
    }

    async fn pause(&mut self) {
        let ms = PAUSES_MS[self.below(PAUSES_MS.len())];
        self.note(&format!("{ms} ms pass"));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn set_clock(&mut self) {
        let at = self.below(self.world.processes.len());
        let skew_ms = SKEWS_MS[self.below(SKEWS_MS.len())];
        let id = self.world.processes[at].id;
        self.note(&format!("{id}'s clock is {skew_ms} ms off"));
        self.world.processes[at]
            .clock
            .skew_ms
            .store(skew_ms, Ordering::SeqCst);
        self.excuse(id);
    }

    fn change_mood(&mut self) {
        let lives: [Option<i64>; 5] = [Some(3600), Some(30), Some(400), Some(0), None];
        let lives_secs = (0..4).map(|_| lives[self.below(lives.len())]).collect();
        let (is_down, is_broken) = (self.below(4) == 0, self.below(4) == 0);
        let refuses = is_broken.then(|| CLIENTS[self.below(CLIENTS.len())].to_owned());
        let keeps_every = self.below(4);
        let mood = crate::provider::Mood {
            is_down,
            refuses,
            lives_secs,
            keeps_every,
        };
        self.note(&format!("the provider: {mood:?}"));
        lock(&self.world.book).mood = mood;
    }

    async fn revoke(&mut self) {
        let user = self.below(USERS);
        let stored = self.world.stored(self.world.grants[user]).await;
        self.note(&format!("user {user} withdraws {}", stored.refresh_token));
        lock(&self.world.book).revoke(&stored.refresh_token);
    }

    fn deliver_orphan(&mut self) {
        if lock(&self.world.book).deliver_orphan() {
            self.note("a late request arrives");
        }
    }

    /// All is well again: everybody whose consent stands is served, and whoever signs in again comes back.
    async fn mend(&mut self) {
        lock(&self.world.book).mood = crate::provider::Mood::default();
        for process in &self.world.processes {
            process.clock.skew_ms.store(0, Ordering::SeqCst);
        }
        self.doings.clear();
        self.note("all is well again");
        // Past every lease and pause; nobody follows changes meanwhile, which would take long.
        tokio::time::sleep(Duration::from_secs(1_200)).await;
        self.world.board.open(true);
        tokio::time::sleep(Duration::from_secs(5)).await;
        // Answers of before have come in, and may have called for the longest pause.
        self.world.board.open(false);
        tokio::time::sleep(Duration::from_secs(400)).await;
        self.world.board.open(true);
        self.rules.look(&self.world).await;
        drop(take(&self.results));
        for user in 0..USERS {
            self.serve(user).await;
        }
    }

    async fn serve(&mut self, user: usize) {
        let stored = self.world.stored(self.world.grants[user]).await;
        let stands = lock(&self.world.book).is_honoured(&stored.refresh_token);
        self.finish(user, Deed::Call, stands).await;
        if !stands {
            let credential = stored.set.credential_id;
            self.finish(user, Deed::Authenticate(credential), true)
                .await;
            self.finish(user, Deed::Call, true).await;
        }
    }

    async fn finish(&mut self, user: usize, deed: Deed, succeeds: bool) {
        let number = self.next_number;
        self.next_number += 1;
        let at = self.below(self.world.processes.len());
        let order = Order {
            number,
            user,
            deed,
            refused: None,
        };
        let doing = self.world.start(at, order, &self.results);
        self.rules.began(&doing);
        let mut ended = None;
        // In all, longer than any lease.
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            ended = take(&self.results).pop().map(|(_, ended)| ended);
            if ended.is_some() {
                break;
            }
        }
        self.rules.look(&self.world).await;
        let has_succeeded = matches!(ended, Some(Ended::Token(_) | Ended::Done));
        if succeeds && !has_succeeded {
            let why = match ended {
                Some(Ended::Failed(kind, words)) => format!("{kind:?}: {words}"),
                _ => "it never ended".to_owned(),
            };
            let text = format!(
                "rule 5: all is well, and user {user}'s {:?} fails ({why})",
                doing.deed
            );
            lock(&self.world.book).violations.push(text);
        }
    }
}
