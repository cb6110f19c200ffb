//! What must hold after every step, and of everything a caller gets.

use crate::calls::{Deed, Doing, Ended, now_of, text};
use crate::provider::{Death, email, lock};
use crate::world::{Stored, USERS, World};
use keyway_core::grant::GrantStatus;
use keyway_core::ids::CredentialId;
use keyway_core::time::UnixMillis;
use keyway_engine::ErrorKind;
use keyway_engine::refresh::OpenedToken;
use std::collections::BTreeSet;
use tokio::time::{Duration, Instant};

/// A token may still be served this long after another process replaced it: what is remembered counts for
/// half a second after the last good look, and a look may have begun before.
const STALE_MAX: Duration = Duration::from_millis(600);
/// A token that ends sooner than this need not be served, in milliseconds.
const MARGIN_MS: i64 = 6_000;

/// Tokens a grant had, and since when.
struct Had {
    since: Instant,
    access_token: String,
    expires_at: UnixMillis,
}

/// What is known of one user's grant.
#[derive(Default)]
struct Known {
    had: Vec<Had>,
    /// Through which credentials its authentications went that may have taken effect.
    credentials: BTreeSet<CredentialId>,
    /// Labels it may have.
    labels: BTreeSet<Option<String>>,
    created_at: Option<UnixMillis>,
    is_valid: bool,
}

/// The rules' own memory of the world.
#[derive(Default)]
pub(crate) struct Rules {
    known: Vec<Known>,
}

impl Rules {
    /// The rules of a world that nothing has happened in yet.
    pub(crate) async fn new(world: &World) -> Self {
        let mut rules = Self::default();
        for id in &world.grants {
            let stored = world.stored(*id).await;
            rules.known.push(Known {
                credentials: stored.grant.credential_id.into_iter().collect(),
                labels: BTreeSet::from([None]),
                created_at: Some(stored.grant.created_at),
                is_valid: true,
                ..Known::default()
            });
        }
        rules
    }

    /// What `doing` may change from now on.
    pub(crate) fn began(&mut self, doing: &Doing) {
        let known = &mut self.known[doing.user];
        match &doing.deed {
            Deed::Authenticate(credential) => drop(known.credentials.insert(*credential)),
            Deed::Patch(label) => drop(known.labels.insert(Some(label.clone()))),
            _ => {}
        }
    }

    /// Looks at everything stored.
    pub(crate) async fn look(&mut self, world: &World) {
        for user in 0..USERS {
            let stored = world.stored(world.grants[user]).await;
            self.note_tokens(world, user, &stored);
            self.hold_grant(world, user, &stored);
            self.hold_end(world, user, &stored).await;
        }
    }

    fn note_tokens(&mut self, world: &World, user: usize, stored: &Stored) {
        lock(&world.book).stored(&stored.refresh_token, &stored.access_token);
        let had = &mut self.known[user].had;
        if had
            .last()
            .is_none_or(|last| last.access_token != stored.access_token)
        {
            had.push(Had {
                since: Instant::now(),
                access_token: stored.access_token.clone(),
                expires_at: stored.set.access_expires_at.unwrap_or(UnixMillis(0)),
            });
        }
    }

    /// Rules 1 and 4: one credential, the one that was authenticated through; and nothing lost.
    fn hold_grant(&mut self, world: &World, user: usize, stored: &Stored) {
        let known = &self.known[user];
        let mut wrong = Vec::new();
        let credential = stored.grant.credential_id;
        if credential != Some(stored.set.credential_id) {
            wrong.push("rule 1: grant and tokens are of two credentials".to_owned());
        }
        if credential.is_none_or(|id| !known.credentials.contains(&id)) {
            wrong.push("rule 4: the grant moved to a credential nobody used".to_owned());
        }
        if !known.labels.contains(&stored.grant.external_id) {
            let label = &stored.grant.external_id;
            wrong.push(format!(
                "rule 4: the grant's label is {label:?}, not one of {:?}",
                known.labels
            ));
        }
        if known.created_at != Some(stored.grant.created_at) || stored.grant.email != email(user) {
            wrong.push("rule 4: the grant's own data changed".to_owned());
        }
        let mut book = lock(&world.book);
        let expected = credential.and_then(|id| world.credentials.get(&id).copied());
        for token in [&stored.refresh_token, &stored.access_token] {
            let family = book.family_of(token);
            if family.is_none_or(|family| {
                Some(family.client.as_str()) != expected || family.user != user
            }) {
                wrong.push(format!(
                    "rule 1: {token} is not of user {user} through its credential"
                ));
            }
        }
        let refresh_token = &stored.refresh_token;
        let died = book
            .family_of(refresh_token)
            .is_some_and(|family| family.death.is_some());
        if !died
            && !book.is_honoured(refresh_token)
            && !book.is_in_use(refresh_token)
            && !book.was_lost(refresh_token)
        {
            wrong.push(format!(
                "rule 5: {refresh_token} is stored and not honoured, and nobody lost its successor"
            ));
        }
        let wrong = wrong.into_iter().map(|text| format!("user {user}: {text}"));
        book.violations.extend(wrong);
    }

    /// Rule 6: a grant ends by its user's deed, or by a token that got lost, and says by which.
    async fn hold_end(&mut self, world: &World, user: usize, stored: &Stored) {
        let is_valid = stored.grant.status == GrantStatus::Valid;
        if is_valid || !self.known[user].is_valid {
            self.known[user].is_valid = is_valid;
            return;
        }
        self.known[user].is_valid = false;
        let death = lock(&world.book)
            .family_of(&stored.refresh_token)
            .and_then(|family| family.death);
        let cause = world
            .cause_of_end(world.grants[user])
            .await
            .unwrap_or_default();
        let is_right = match death {
            None => false,
            Some(Death::Revoked) => true,
            Some(Death::Reused) => ["refresh_interrupted", "answer_lost"].contains(&cause.as_str()),
        };
        if !is_right {
            let text = format!("rule 6: user {user}'s grant ended as {cause:?} after {death:?}");
            lock(&world.book).violations.push(text);
        }
    }

    /// Judges how `doing` ended.
    pub(crate) fn ended(&mut self, world: &World, doing: &Doing, ended: &Ended) {
        let wrong = match ended {
            Ended::Token(token) => {
                let wrong = self.wrong_token(world, doing, text(token));
                wrong.or_else(|| got_the_refused(doing, token))
            }
            Ended::Done => self.done(doing),
            Ended::Failed(kind, words) => self.wrong_failure(world, doing, *kind, words),
        };
        lock(&world.book).violations.extend(wrong);
    }

    /// Rules 1 and 5: what is handed out was stored before, and was the grant's when it was asked for.
    fn wrong_token(&self, world: &World, doing: &Doing, token: &str) -> Option<String> {
        let (number, user) = (doing.number, doing.user);
        if !lock(&world.book).is_durable(token) {
            return Some(format!(
                "rule 5: call {number} got {token}, which is not stored"
            ));
        }
        let had = &self.known[user].had;
        let Some(at) = had.iter().rposition(|had| had.access_token == token) else {
            return Some(format!(
                "rule 1: call {number} got {token}, which was never user {user}'s"
            ));
        };
        let ended = had.get(at + 1).map(|next| next.since + STALE_MAX);
        let is_old = ended.is_some_and(|ended| ended < doing.began);
        is_old.then(|| format!("call {number} got {token}, which had been replaced before"))
    }

    /// What took effect leaves no doubt.
    fn done(&mut self, doing: &Doing) -> Option<String> {
        let known = &mut self.known[doing.user];
        if let Deed::Patch(label) = &doing.deed {
            known.labels.remove(&None);
            known.labels.insert(Some(label.clone()));
        }
        None
    }

    /// Rule 11: nobody is refused while a stored token is valid; rule 6: errors say whose fault it is.
    fn wrong_failure(
        &self,
        world: &World,
        doing: &Doing,
        kind: ErrorKind,
        words: &str,
    ) -> Option<String> {
        let (number, user) = (doing.number, doing.user);
        if kind == ErrorKind::Internal {
            return Some(format!(
                "{:?} {number} ended in our own fault: {words}",
                doing.deed
            ));
        }
        let known = &self.known[user];
        if doing.deed != Deed::Call || doing.is_excused || !known.is_valid {
            return None;
        }
        let now = now_of(world, doing.process)?;
        let first = known
            .had
            .iter()
            .rposition(|had| had.since <= doing.began)
            .unwrap_or(0);
        let mut meanwhile = known.had.iter().skip(first);
        let was_valid = meanwhile.all(|had| had.expires_at.0 > now.0 + MARGIN_MS);
        let text = || {
            format!(
                "rule 11: call {number} for user {user} was refused ({kind:?}: {words}) while its token was valid"
            )
        };
        was_valid.then(text)
    }

    /// Nothing that must not happen has happened.
    pub(crate) fn violations(world: &World) -> Vec<String> {
        lock(&world.book).violations.clone()
    }
}

/// Whoever says that a token was refused gets another, or an error.
fn got_the_refused(doing: &Doing, token: &OpenedToken) -> Option<String> {
    let refused = doing.refused.as_ref()?;
    let text = || {
        format!(
            "call {} got the very token it said was refused",
            doing.number
        )
    };
    token.is_same_as(refused).then(text)
}
