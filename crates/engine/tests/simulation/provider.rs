//! A provider that rotates refresh tokens, ends a family whose token comes twice, and keeps book of who
//! did what: its book is what the rules are held against.

use crate::board::{Board, ProcessId, Step, Verdict};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use keyway_outbound::{CallError, CallErrorKind, Request, Response, Transport};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// A process may still be at a call this long after it began, in seconds; nobody else may present the
/// same token before.
const CALL_SECS: u64 = 60;
/// A process that cannot reach the database for so long after a call began has lost its lease, in seconds.
const LEASE_SECS: u64 = 85;

/// Why a family of tokens ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The user withdrew it.
    Revoked,
    /// A used token came again, after the answer to its first use got lost.
    Reused,
}

/// What comes of one consent.
pub(crate) struct Family {
    pub(crate) user: usize,
    pub(crate) client: String,
    pub(crate) death: Option<Death>,
    /// The refresh token that counts.
    newest: String,
}

/// How far a use of a refresh token has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The process waits for its answer.
    Open,
    /// The process has its answer.
    Delivered,
    /// The process knows that it will hear no answer.
    Lost,
    /// The process is gone.
    Crashed,
}

struct Use {
    token: String,
    process: ProcessId,
    began: Instant,
    progress: Progress,
    /// What the provider gave in its place.
    issued: Option<String>,
}

/// How the provider behaves at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mood {
    /// Answers 503 to everything.
    pub(crate) is_down: bool,
    /// Refuses this client itself.
    pub(crate) refuses: Option<String>,
    /// Lives of the access tokens it gives, in turn, in seconds; none means it does not say.
    pub(crate) lives_secs: Vec<Option<i64>>,
    /// Keeps every nth refresh token instead of rotating it.
    pub(crate) keeps_every: usize,
}

#[derive(Default)]
pub(crate) struct Book {
    pub(crate) mood: Mood,
    pub(crate) families: Vec<Family>,
    /// Every refresh token given, by family.
    tokens: BTreeMap<String, usize>,
    /// Every access token given, by family.
    access: BTreeMap<String, usize>,
    uses: Vec<Use>,
    /// What is or was stored as a grant's current tokens.
    durable: BTreeSet<String>,
    /// Requests whose sender has gone, and which may still arrive.
    orphans: Vec<Vec<(String, String)>>,
    given: usize,
    pub(crate) refreshes: usize,
    pub(crate) violations: Vec<String>,
    /// What has happened, a line each.
    pub(crate) trace: Vec<String>,
    began: Option<Instant>,
}

impl Book {
    /// Notes what happens.
    pub(crate) fn note(&mut self, line: &str) {
        let began = *self.began.get_or_insert_with(Instant::now);
        let ms = began.elapsed().as_millis();
        self.trace.push(format!("{ms:>9} {line}"));
    }

    fn name(&mut self, kind: &str) -> String {
        self.given += 1;
        format!("{kind}-{}", self.given)
    }

    /// A consent of `user` for `client`; gives its refresh token.
    pub(crate) fn consent(&mut self, user: usize, client: &str) -> String {
        let newest = self.name("rt");
        self.tokens.insert(newest.clone(), self.families.len());
        self.families.push(Family {
            user,
            client: client.to_owned(),
            death: None,
            newest: newest.clone(),
        });
        newest
    }

    pub(crate) fn family_of(&self, token: &str) -> Option<&Family> {
        let number = self.tokens.get(token).or_else(|| self.access.get(token))?;
        self.families.get(*number)
    }

    /// The user withdraws the consent that `token` comes from.
    pub(crate) fn revoke(&mut self, token: &str) {
        let number = self.tokens.get(token).copied();
        if let Some(family) = number.and_then(|number| self.families.get_mut(number)) {
            family.death.get_or_insert(Death::Revoked);
        }
    }

    /// These are stored as somebody's current tokens.
    pub(crate) fn stored(&mut self, refresh_token: &str, access_token: &str) {
        if self.durable.insert(refresh_token.to_owned()) {
            self.note(&format!("  {refresh_token} is stored"));
        }
        self.durable.insert(access_token.to_owned());
    }

    pub(crate) fn is_durable(&self, token: &str) -> bool {
        self.durable.contains(token)
    }

    /// Whether the provider still takes `refresh_token`.
    pub(crate) fn is_honoured(&self, refresh_token: &str) -> bool {
        self.family_of(refresh_token)
            .is_some_and(|family| family.death.is_none() && family.newest == refresh_token)
    }

    /// Whether somebody who holds a token of the same family may still store a newer one.
    pub(crate) fn is_in_use(&self, refresh_token: &str) -> bool {
        let live = [Progress::Open, Progress::Delivered];
        let mut uses = self.uses.iter().filter(|one| one.token == refresh_token);
        uses.any(|one| live.contains(&one.progress))
    }

    /// Whether an answer to `refresh_token` got lost, or may have.
    pub(crate) fn was_lost(&self, refresh_token: &str) -> bool {
        let gone = [Progress::Lost, Progress::Crashed];
        let mut uses = self.uses.iter().filter(|one| one.token == refresh_token);
        uses.any(|one| gone.contains(&one.progress))
    }

    /// `process` is gone, and with it every answer it has not stored.
    pub(crate) fn crashed(&mut self, process: ProcessId) {
        let durable = &self.durable;
        let is_stored = |one: &Use| one.issued.as_ref().is_some_and(|t| durable.contains(t));
        for one in self.uses.iter_mut().filter(|one| one.process == process) {
            let is_pending = match one.progress {
                Progress::Open => true,
                Progress::Delivered => is_rotated(one) && !is_stored(one),
                Progress::Lost | Progress::Crashed => false,
            };
            if is_pending {
                one.progress = Progress::Crashed;
            }
        }
    }

    /// One request without a sender arrives, if there is one.
    pub(crate) fn deliver_orphan(&mut self) -> bool {
        let Some(form) = self.orphans.pop() else {
            return false;
        };
        drop(self.token(&form, None));
        true
    }

    fn begin(&mut self, process: ProcessId, token: &str) -> usize {
        let now = Instant::now();
        self.note(&format!("  {process} presents {token}"));
        self.orphans.retain(|form| refresh_token(form) != token);
        for other in self.uses.iter_mut().filter(|one| one.token == token) {
            let is_over = match other.progress {
                Progress::Open => false,
                Progress::Delivered if is_rotated(other) => {
                    let is_late = now.duration_since(other.began).as_secs() >= LEASE_SECS;
                    if is_late {
                        other.progress = Progress::Lost;
                    }
                    is_late
                }
                Progress::Delivered | Progress::Lost => true,
                // Its request may be on its way still.
                Progress::Crashed => now.duration_since(other.began).as_secs() >= CALL_SECS,
            };
            if !is_over {
                let text = format!(
                    "rule 5: {token} is presented by {process} while {} is at it",
                    other.process
                );
                self.violations.push(text);
            }
        }
        self.uses.push(Use {
            token: token.to_owned(),
            process,
            began: now,
            progress: Progress::Open,
            issued: None,
        });
        self.uses.len() - 1
    }

    fn token(&mut self, form: &[(String, String)], number: Option<usize>) -> (u16, Value) {
        let field = |name: &str| {
            let found = form.iter().find(|(key, _)| key == name);
            found.map_or(String::new(), |(_, value)| value.clone())
        };
        let (token, client) = (field("refresh_token"), field("client_id"));
        if self.mood.is_down {
            return (503, json!({}));
        }
        if self.mood.refuses.as_ref() == Some(&client) {
            return (401, json!({"error": "invalid_client"}));
        }
        let Some(family) = self.tokens.get(&token).copied() else {
            self.violations.push(format!("unknown token {token}"));
            return (400, json!({"error": "invalid_grant"}));
        };
        if self.families[family].client != client {
            let text = format!(
                "rule 1: {token} of {} came from {client}",
                self.families[family].client
            );
            self.violations.push(text);
            return (400, json!({"error": "invalid_grant"}));
        }
        if self.families[family].death.is_some() {
            return (400, json!({"error": "invalid_grant"}));
        }
        if self.families[family].newest != token {
            self.reused(family, &token);
            return (400, json!({"error": "invalid_grant"}));
        }
        let answer = self.give(family, &token, number);
        self.note(&format!("  {token} for {answer}"));
        (200, answer)
    }

    /// A used token comes again: a violation, unless what came in its place was lost.
    fn reused(&mut self, family: usize, token: &str) {
        let newest = self.families[family].newest.clone();
        let made_by = self
            .uses
            .iter()
            .find(|one| one.issued.as_ref() == Some(&newest));
        let was_lost =
            made_by.is_none_or(|one| matches!(one.progress, Progress::Lost | Progress::Crashed));
        if self.durable.contains(&newest) || !was_lost {
            let text = format!("rule 5: {token} came after {newest} was given and not lost");
            self.violations.push(text);
        }
        self.families[family].death = Some(Death::Reused);
    }

    fn give(&mut self, family: usize, token: &str, number: Option<usize>) -> Value {
        self.refreshes += 1;
        let keeps = self.mood.keeps_every;
        let rotates = keeps == 0 || !self.refreshes.is_multiple_of(keeps);
        let access = self.name("at");
        self.access.insert(access.clone(), family);
        let mut answer = json!({"access_token": access, "token_type": "Bearer"});
        let lives = &self.mood.lives_secs;
        if let Some(Some(life)) = lives.get(self.refreshes % lives.len().max(1)) {
            answer["expires_in"] = json!(life);
        }
        let mut issued = token.to_owned();
        if rotates {
            issued = self.name("rt");
            self.tokens.insert(issued.clone(), family);
            self.families[family].newest.clone_from(&issued);
            answer["refresh_token"] = json!(issued);
        }
        if let Some(number) = number {
            self.uses[number].issued = Some(issued);
        }
        answer
    }

    fn userinfo(&self, access_token: &str) -> (u16, Value) {
        match self.family_of(access_token) {
            Some(family) => {
                let user = family.user;
                (
                    200,
                    json!({"sub": format!("user-{user}"), "email": email(user), "email_verified": true}),
                )
            }
            None => (401, json!({"error": "invalid_token"})),
        }
    }
}

fn is_rotated(one: &Use) -> bool {
    one.issued
        .as_ref()
        .is_some_and(|issued| *issued != one.token)
}

fn refresh_token(form: &[(String, String)]) -> &str {
    let found = form.iter().find(|(name, _)| name == "refresh_token");
    found.map_or("", |(_, token)| token)
}

/// A user's address.
pub(crate) fn email(user: usize) -> String {
    format!("user-{user}@example.com")
}

/// The provider, as one process reaches it.
pub(crate) struct Line {
    pub(crate) process: ProcessId,
    pub(crate) board: Arc<Board>,
    pub(crate) book: Arc<Mutex<Book>>,
}

pub(crate) fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Books what becomes of a use of a token that nobody waits for any more.
struct Using<'l> {
    line: &'l Line,
    number: usize,
    form: Vec<(String, String)>,
    has_arrived: bool,
    is_over: bool,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        if self.is_over || self.line.board.is_dead(self.line.process) {
            return;
        }
        let mut book = lock(&self.line.book);
        book.uses[self.number].progress = Progress::Lost;
        if !self.has_arrived {
            let form = std::mem::take(&mut self.form);
            book.orphans.push(form);
        }
    }
}

impl Line {
    async fn refresh(&self, form: Vec<(String, String)>) -> Result<(u16, Value), CallError> {
        let number = lock(&self.book).begin(self.process, refresh_token(&form));
        let mut using = Using {
            line: self,
            number,
            form,
            has_arrived: false,
            is_over: false,
        };
        if self.board.turn(self.process, Step::Request).await == Verdict::Fail {
            using.is_over = true;
            lock(&self.book).uses[number].progress = Progress::Delivered;
            return Err(CallError::new(CallErrorKind::Connect, "provider"));
        }
        using.has_arrived = true;
        let answer = lock(&self.book).token(&using.form, Some(number));
        if self.board.turn(self.process, Step::Answer).await == Verdict::Fail {
            // The guard books it as lost.
            return Err(CallError::new(CallErrorKind::Protocol, "provider"));
        }
        using.is_over = true;
        lock(&self.book).uses[number].progress = Progress::Delivered;
        Ok(answer)
    }

    async fn answer(&self, request: &Request) -> Result<(u16, Value), CallError> {
        if request.url.path() == "/token" {
            let form = form_urlencoded::parse(&request.body).into_owned().collect();
            return self.refresh(form).await;
        }
        if self.board.turn(self.process, Step::Request).await == Verdict::Fail {
            return Err(CallError::new(CallErrorKind::Connect, "provider"));
        }
        let bearer = request.headers.get(http::header::AUTHORIZATION);
        let bearer = bearer
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = bearer.strip_prefix("Bearer ").unwrap_or_default();
        Ok(lock(&self.book).userinfo(token))
    }
}

impl Transport for Line {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, CallError>> {
        async move {
            let answer = tokio::time::timeout(request.deadline, self.answer(&request)).await;
            let timeout = |_| CallError::new(CallErrorKind::Timeout, "provider");
            let (status, body) = answer.map_err(timeout)??;
            Ok(Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: body.to_string().into(),
            })
        }
        .boxed()
    }
}
