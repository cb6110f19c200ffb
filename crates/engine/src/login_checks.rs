//! Whether passwords still open their accounts: tried about once a day, by one process at a time, and so that no
//! server keeps the accounts of others waiting.

mod hosts;

pub(crate) use self::hosts::SilentHosts;
use self::hosts::{PutOff, Queues};

use crate::applications::changed_meanwhile;
use crate::custom::{EwsFailure, EwsLogin, ews_where_to};
use crate::engine::{ChangeOf, Engine};
use crate::error::Error;
use crate::refresh::jitter_of;
use futures_util::stream::{self, StreamExt as _};
use keyway_core::account_secret::AccountSecret;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::{ApplicationId, GrantId};
use keyway_core::login_check::{AfterLogin, Login, after_login, next_check_at};
use keyway_core::mail_servers::{MailProtocol, MailServer};
use keyway_core::provider::Provider;
use keyway_core::refusal::Blame;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::RefreshState;
use keyway_outbound::{MailFailure, MailLogin};
use keyway_store::{DueLogin, Session, StoreError};
use serde_json::{Value, json};

/// Due accounts looked at in one round.
const BATCH: i64 = 100;
/// Batches looked at in one round, if there is nothing to try in those before.
const BATCHES_MAX: usize = 20;
/// Tries at once: one server that does not answer must not keep all others waiting.
const AT_ONCE: usize = 8;
/// A server that takes longer over one login, in milliseconds, is asked for no more in this round.
const SLOW_MS: i64 = 10_000;
/// Accounts of a slow server, and what is too much of one server for a round, are looked at again this much later,
/// in milliseconds.
const POSTPONED_MS: i64 = 600_000;
/// How long a turn lasts, in milliseconds: longer than a login may take.
const TURN_MS: i64 = 60_000;
/// Tries at ending a grant that somebody else changes at the same moment.
const END_TRIES: usize = 3;
/// Codes with which an IMAP server says that it is the name or the password.
const REFUSALS: [&str; 3] = ["AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"];

/// One account, and the right to try it.
#[derive(Clone)]
struct Turn {
    grant: Grant,
    secret: AccountSecret,
    state: RefreshState,
}

/// How a try went, and what the server said.
struct Tried {
    login: Login,
    word: Option<String>,
    /// The server was not reached.
    is_silent: bool,
}

impl Tried {
    fn unknown(word: &str) -> Self {
        Self {
            login: Login::Unknown,
            word: Some(word.to_owned()),
            is_silent: false,
        }
    }
}

impl Engine {
    /// Tries passwords whose turn it is, a bounded number.
    pub(crate) async fn check_logins(&self) -> Result<(), Error> {
        for _ in 0..BATCHES_MAX {
            let now = self.now();
            let job = self
                .store()
                .read(move |s| Box::pin(async move { s.due_logins(now, BATCH).await }));
            let due = job.await?;
            let is_last = (due.len() as u64) < BATCH.unsigned_abs();
            let silent = &self.inner.silent_hosts;
            let (queues, put_off) = Queues::of(due, silent, now, now.plus_ms(POSTPONED_MS));
            self.put_off(put_off).await?;
            let lanes = queues.lanes();
            let has_none = lanes.is_empty();
            stream::iter(lanes)
                .for_each_concurrent(AT_ONCE, async |host| self.check_host(&queues, &host).await)
                .await;
            if is_last || !has_none {
                break;
            }
        }
        Ok(())
    }

    /// Tries a server's accounts one after the other, until it is silent or slow.
    async fn check_host(&self, queues: &Queues, host: &str) {
        while let Some(due) = queues.next(host) {
            if self.is_stopping() {
                return;
            }
            // What failed is due again when the turn is over.
            let later = self.check_login(&due, host).await.unwrap_or_else(|error| {
                tracing::warn!(grant_id = %due.grant_id, %error, "what became of a password's trial could not be stored");
                None
            });
            let Some(until) = later else { continue };
            let rest = queues.give_up(host).into_iter();
            let rest = rest.map(|due| (due, until)).collect();
            if let Err(error) = self.put_off(rest).await {
                tracing::warn!(%error, "accounts of a silent or slow server could not be put off");
            }
        }
    }

    /// Puts accounts off without trying them, unless somebody is at one of them.
    async fn put_off(&self, accounts: Vec<PutOff>) -> Result<(), Error> {
        if accounts.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let job = self.store().write(move |s| {
            Box::pin(async move {
                let clock = s.db_now().await?;
                for (due, until) in accounts {
                    let is_free = |state: &RefreshState| is_free(state, now, clock);
                    put_off(s, &due, until, is_free).await?;
                }
                Ok::<_, StoreError>(())
            })
        });
        Ok(job.await?)
    }

    /// Tries one account. Until when no other of its server is to be tried, if that is so.
    async fn check_login(&self, due: &DueLogin, host: &str) -> Result<Option<UnixMillis>, Error> {
        let now = self.now();
        let (application_id, grant_id) = (due.application_id, due.grant_id);
        let job = self.store().write(move |s| {
            Box::pin(async move { take_turn(s, application_id, grant_id, now).await })
        });
        let Some(turn) = job.await? else {
            return Ok(None);
        };
        // A fault of our own is no word on the password, and must not stand before all others.
        let tried = self.try_login(&turn).await.unwrap_or_else(|error| {
            tracing::warn!(%grant_id, %error, "a password could not be tried");
            Tried::unknown("internal")
        });
        let ended_at = self.now();
        let silent_until = self.note_host(host, &tried, ended_at);
        self.settle(turn, tried, silent_until).await?;
        let is_slow = ended_at.0.saturating_sub(now.0) > SLOW_MS;
        let slow_until = is_slow.then(|| ended_at.plus_ms(POSTPONED_MS));
        Ok(silent_until.or(slow_until))
    }

    /// Remembers whether a server answered; until when it is left alone if not.
    fn note_host(&self, host: &str, tried: &Tried, now: UnixMillis) -> Option<UnixMillis> {
        let hosts = &self.inner.silent_hosts;
        if tried.is_silent {
            return Some(hosts.was_silent(host, now));
        }
        hosts.was_heard(host);
        None
    }

    async fn try_login(&self, turn: &Turn) -> Result<Tried, Error> {
        if turn.grant.provider == Provider::Ews {
            return self.try_ews(turn).await;
        }
        let passwords = self.open_passwords(&turn.secret)?;
        let Some((server, username)) = where_to(&turn.grant) else {
            return Err(Error::internal("a mail account without a server"));
        };
        let login = MailLogin {
            protocol: MailProtocol::Imap,
            server,
            username,
            password: passwords.account,
        };
        let opened = self.inner.parts.mailboxes.log_in(login).await;
        Ok(sorted(&turn.grant, opened))
    }

    async fn try_ews(&self, turn: &Turn) -> Result<Tried, Error> {
        let password = self.open_passwords(&turn.secret)?.account;
        let Some((server, username)) = ews_where_to(&turn.grant.settings) else {
            return Err(Error::internal("an Exchange mailbox without a server"));
        };
        let login = EwsLogin { username, password };
        let opened = self.open_inbox(&server, &login).await;
        Ok(sorted_ews(&turn.grant, opened))
    }

    /// Gives the turn back with what was learnt. Nothing is written if the account was authenticated again
    /// meanwhile: the verdict was on another password.
    async fn settle(
        &self,
        turn: Turn,
        tried: Tried,
        silent_until: Option<UnixMillis>,
    ) -> Result<(), Error> {
        let jitter = jitter_of(turn.grant.id);
        let after = after_login(tried.login, turn.state.failures, self.now(), jitter);
        let after = AfterLogin {
            due_at: silent_until.or(after.due_at),
            ..after
        };
        let left = left_behind(&turn.state, after, tried.word.as_deref());
        let change = expired(&turn.grant, tried.word.as_deref(), self.now());
        for _ in 1..END_TRIES {
            match self.commit_turn(&turn, &left, &change).await {
                // Somebody changed the grant at that very moment.
                Err(error) if error.kind() == changed_meanwhile().kind() => {}
                other => return other,
            }
        }
        self.commit_turn(&turn, &left, &change).await
    }

    async fn commit_turn(
        &self,
        turn: &Turn,
        left: &RefreshState,
        change: &NewChange,
    ) -> Result<(), Error> {
        let (turn, left, change) = (turn.clone(), left.clone(), change.clone());
        self.commit(move |s| {
            Box::pin(async move {
                let (application_id, id) = (turn.grant.application_id, turn.grant.id);
                let fence = Some(turn.state.version);
                let is_ours = s
                    .upsert_refresh_state(application_id, id, &left, fence)
                    .await?;
                if !is_ours || left.due_at.is_some() {
                    return Ok(((), Vec::new()));
                }
                let ended = end(s, &turn).await?;
                Ok(((), ended.then_some(change).into_iter().collect()))
            })
        })
        .await
    }
}

/// Takes the right to try an account, if it is to be had and there is something to try.
async fn take_turn(
    s: &mut Session<'_>,
    application_id: ApplicationId,
    grant_id: GrantId,
    now: UnixMillis,
) -> Result<Option<Turn>, StoreError> {
    let clock = s.db_now().await?;
    let known = s.refresh_state(application_id, grant_id).await?;
    let is_free = |state: &RefreshState| is_free(state, now, clock);
    let grant = s.grant(application_id, grant_id).await?;
    let secret = s.account_secret(application_id, grant_id).await?;
    let (Some(state), Some(grant), Some(secret)) = (known.filter(is_free), grant, secret) else {
        return Ok(None);
    };
    let is_usable = grant.effective_status() == GrantStatus::Valid && !grant.blocked;
    let version = state.version;
    let taken = RefreshState {
        lease_until: is_usable.then_some(clock.plus_ms(TURN_MS)),
        // Nobody uses it now: a re-authentication, or tomorrow, will see.
        due_at: match is_usable {
            true => state.due_at,
            false => Some(next_check_at(now, jitter_of(grant_id))),
        },
        version: version + 1,
        ..state
    };
    let is_ours = s
        .upsert_refresh_state(application_id, grant_id, &taken, Some(version))
        .await?;
    Ok((is_ours && is_usable).then_some(Turn {
        grant,
        secret,
        state: taken,
    }))
}

/// Whether an account is due at `now`, and nobody is at it by the database's clock.
fn is_free(state: &RefreshState, now: UnixMillis, clock: UnixMillis) -> bool {
    state.due_at.is_some_and(|at| at <= now) && state.lease_until.is_none_or(|until| until <= clock)
}

/// Puts an account off, if it is free still.
async fn put_off(
    s: &mut Session<'_>,
    due: &DueLogin,
    until: UnixMillis,
    is_free: impl Fn(&RefreshState) -> bool,
) -> Result<(), StoreError> {
    let (application_id, grant_id) = (due.application_id, due.grant_id);
    let known = s.refresh_state(application_id, grant_id).await?;
    let Some(state) = known.filter(is_free) else {
        return Ok(());
    };
    let version = Some(state.version);
    let later = RefreshState {
        due_at: Some(until),
        ..state
    };
    let put_off = s.upsert_refresh_state(application_id, grant_id, &later, version);
    // Whoever was quicker knows better.
    put_off.await.map(drop)
}

/// Where a grant's settings say its account is.
fn where_to(grant: &Grant) -> Option<(MailServer, String)> {
    let text = |name: &str| grant.settings.get(name).and_then(Value::as_str);
    let port = grant.settings.get("imap_port").and_then(Value::as_u64)?;
    let server = MailServer {
        host: text("imap_host")?.to_owned(),
        port: u16::try_from(port).ok()?,
    };
    let username = text("imap_username").or_else(|| text("username"))?;
    Some((server, username.to_owned()))
}

fn sorted(grant: &Grant, opened: Result<(), MailFailure>) -> Tried {
    match opened {
        Ok(()) => OPENED,
        Err(MailFailure::Refused(words)) => Tried {
            login: judged(words.code.as_deref()),
            word: Some(words.to_string()),
            is_silent: false,
        },
        Err(other) => {
            let is_silent = matches!(other, MailFailure::Unreachable(_));
            not_reached(grant, &other, is_silent)
        }
    }
}

fn sorted_ews(grant: &Grant, opened: Result<(), EwsFailure>) -> Tried {
    match opened {
        Ok(()) => OPENED,
        Err(EwsFailure::Refused) => Tried {
            login: Login::Refused,
            word: Some("login_refused".to_owned()),
            is_silent: false,
        },
        Err(other) => {
            let is_silent = matches!(other, EwsFailure::Unreachable(_));
            not_reached(grant, &other, is_silent)
        }
    }
}

const OPENED: Tried = Tried {
    login: Login::Opened,
    word: None,
    is_silent: false,
};

fn not_reached(grant: &Grant, cause: &dyn std::fmt::Display, is_silent: bool) -> Tried {
    tracing::debug!(grant = %grant.id, %cause, "a password could not be tried at its server");
    Tried {
        is_silent,
        ..Tried::unknown("not_reached")
    }
}

/// What a refusal at an IMAP server is worth, by its code (RFC 5530): servers that are busy, or want the user to do
/// something first, refuse good passwords as well.
fn judged(code: Option<&str>) -> Login {
    match code {
        None => Login::Doubted,
        Some(code) if REFUSALS.iter().any(|it| it.eq_ignore_ascii_case(code)) => Login::Refused,
        Some(_) => Login::Unknown,
    }
}

fn left_behind(state: &RefreshState, after: AfterLogin, word: Option<&str>) -> RefreshState {
    let blame = match after.refusals {
        0 => Blame::Transient,
        _ => Blame::User,
    };
    RefreshState {
        lease_until: None,
        due_at: after.due_at,
        failures: after.refusals,
        last_error: word.map(|word| format!("{}: {word}", blame.as_str())),
        version: state.version + 1,
        ..state.clone()
    }
}

/// The entry for the sequence of changes if the grant ends.
fn expired(grant: &Grant, word: Option<&str>, at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id: grant.application_id,
        entity: Entity::Grant,
        id: &grant.id,
        action: Action::Expired,
        actor: "engine",
    };
    change.with(
        at,
        json!({
            "cause": Blame::User.as_str(), "error": word, "provider": grant.provider.as_str(),
        }),
    )
}

/// Ends a grant whose password is still the one that was refused. `false` if it is not, or has ended.
async fn end(s: &mut Session<'_>, turn: &Turn) -> Result<bool, Error> {
    let (application_id, id) = (turn.grant.application_id, turn.grant.id);
    let secret = s.account_secret(application_id, id).await?;
    let is_same = secret.is_some_and(|secret| secret.id == turn.secret.id);
    let grant = s.grant(application_id, id).await?;
    let Some(mut grant) = grant.filter(|grant| is_same && grant.status == GrantStatus::Valid)
    else {
        return Ok(false);
    };
    grant.status = GrantStatus::Invalid;
    grant.version += 1;
    match s.update_grant(&grant, grant.version - 1).await? {
        true => Ok(true),
        false => Err(changed_meanwhile()),
    }
}
