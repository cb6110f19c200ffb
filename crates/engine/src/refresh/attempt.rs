//! One attempt: lease, call, store, and only then hand out.

use super::flight::Outcome;
use super::lease::{Asked, Asking, Held, Rest};
use super::opened::{NoToken, OpenedToken};
use super::source::Refreshable;
use super::{ended, jitter_of};
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::credential::Credential;
use keyway_core::grant::GrantStatus;
use keyway_core::ids::{ApplicationId, CredentialId, GrantId, RequestId};
use keyway_core::oauth::TokenResponse;
use keyway_core::refresh::{CALL_LIMIT_MS, REST_MAX_MS, keep_alive_at};
use keyway_core::refusal::Blame;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{ProviderTokens, RefreshState, TokenSet, Unheard};
use keyway_store::Session;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two looks at a refresh somebody else has under way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Looks taken before a waiter gives up: as long as a call may take, and a little.
const LOOKS: i64 = CALL_LIMIT_MS / 100 + 50;
/// How long storing what a provider has given is tried: nobody else has it.
const STORE_PATIENCE: Duration = Duration::from_secs(300);
/// Pause between two tries; doubles to its bound, which is short, since others wait for the lease.
const STORE_PAUSE: Duration = Duration::from_millis(50);
const STORE_PAUSE_MAX: Duration = Duration::from_millis(500);

impl Engine {
    /// Refreshes once, or finds that somebody else has.
    pub(super) async fn attempt(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
        refused: Option<&OpenedToken>,
    ) -> Outcome {
        let mut asking = Asking {
            application_id,
            grant_id,
            owner: RequestId::generate(self.now(), self.entropy()).to_string(),
            refused: refused.map(|token| (token.token_set_id, token.version)),
            now: self.now(),
            spares_the_late: false,
        };
        for _ in 0..LOOKS {
            asking.now = self.now();
            asking.spares_the_late = self.inner.outages.was_lately();
            let asked = self.ask_lease(&asking).await;
            match asked.inspect_err(|no| self.inner.outages.note(no.kind))? {
                Asked::Good(set) => return self.opened(&set),
                Asked::Gone => return Err(ended().into()),
                Asked::Resting(rest) => {
                    let no = resting(&rest, self.now());
                    return self.still_valid(&asking, &rest.set, no);
                }
                Asked::Ours(held) => return self.with_lease(&asking, *held).await,
                Asked::Busy => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Err(slow())
    }

    /// Opens a set and hands it out. It is remembered by whoever reads it next: a re-authentication may
    /// have come between this set and now.
    pub(super) fn opened(&self, set: &TokenSet) -> Outcome {
        let tokens = self.open_tokens(set)?;
        Ok(OpenedToken::new(set, &tokens, self.now()))
    }

    async fn with_lease(&self, asking: &Asking, held: Held) -> Outcome {
        let credential = match self.own_credential(&held.set).await {
            Ok(credential) => credential,
            Err(error) => return self.lease_back_unused(asking, &held, error).await,
        };
        if !self.inner.breakers.admits(credential.id, self.now()) {
            let no = self.turned_away(credential.id);
            return self.lease_back_unused(asking, &held, no.into()).await;
        }
        let from = match self.refreshable(&held.set, &credential).await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::Internal => {
                return self.our_fault(asking, &held, error).await;
            }
            Err(error) => return self.lease_back_unused(asking, &held, error).await,
        };
        if held.is_too_old() {
            // Somebody may have taken it over before a call that begins now would end.
            return self.lease_back_unused(asking, &held, slow().into()).await;
        }
        let provider = held.set.provider;
        match self.obtain(provider, &from.client, &from.source).await {
            Ok(tokens) => {
                let answered_at = Instant::now();
                self.inner.breakers.succeeded(credential.id, self.now());
                let stored = self.keep(asking, held, &tokens, &from).await;
                self.inner
                    .refresh_counts
                    .answered(&stored, answered_at.elapsed());
                self.note_healthy(&credential).await;
                stored
            }
            Err(failure) => {
                self.refused_refresh(asking, held, &credential, failure)
                    .await
            }
        }
    }

    /// Why a credential's refreshes do not go to the provider at present.
    pub(super) fn turned_away(&self, id: CredentialId) -> NoToken {
        match self.inner.breakers.rest_secs(id, self.now()) {
            Some(secs) => NoToken {
                retry_after_secs: Some(secs),
                ..NoToken::new(
                    ErrorKind::ProviderUnavailable,
                    "The provider has asked this server to wait before it refreshes more tokens of this credential.",
                )
            },
            None => broken(id),
        }
    }

    /// The credential the set was issued to, and no other (rule 1).
    async fn own_credential(&self, set: &TokenSet) -> Result<Credential, Error> {
        let (application_id, id) = (set.application_id, set.credential_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.credential(application_id, id).await }));
        job.await?.ok_or_else(|| {
            Error::new(ErrorKind::Unauthorized, "The credential of this grant was deleted; have the user sign in again through another.")
        })
    }

    /// Nothing was sent: the lease goes back as it came.
    async fn lease_back_unused(&self, asking: &Asking, held: &Held, error: Error) -> Outcome {
        let mut unused = RefreshState {
            lease_owner: None,
            lease_until: None,
            ..held.state.clone()
        };
        if error.kind() == ErrorKind::Unauthorized {
            // Its credential is gone: nothing is due until somebody signs in again.
            unused.due_at = None;
        }
        self.give_back(asking, &held.state, unused).await?;
        self.still_valid(asking, &held.set, error.into())
    }

    /// A token that is still valid is served whatever happened (rule 11), unless it is the very one that
    /// the provider's API has refused.
    pub(super) fn still_valid(&self, asking: &Asking, set: &TokenSet, no: NoToken) -> Outcome {
        let is_refused = asking.refused == Some((set.id, set.version));
        let left = set.access_expires_at.is_none_or(|end| end > self.now());
        if left && !is_refused {
            self.opened(set)
        } else {
            Err(no)
        }
    }

    /// Stores what the provider gave, tenaciously: it may have rotated, and then this is the only copy.
    /// Nobody sees the access token before it is durable (rule 5).
    async fn keep(
        &self,
        asking: &Asking,
        held: Held,
        answer: &TokenResponse,
        from: &Refreshable,
    ) -> Outcome {
        let set = self.renewed(&held.set, answer, from);
        let (began, mut pause) = (Instant::now(), STORE_PAUSE);
        loop {
            match self.store_renewed(asking, &held, set.clone()).await {
                Ok(true) => return self.opened(&set),
                // A re-authentication came first: its tokens count, these are another consent's (E2).
                Ok(false) => return self.overtaken(asking).await,
                Err(error)
                    if error.kind() == ErrorKind::Unavailable
                        && began.elapsed() < STORE_PATIENCE =>
                {
                    self.inner.outages.note(error.kind());
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(STORE_PAUSE_MAX);
                }
                Err(error) => {
                    tracing::error!(
                        grant = %asking.grant_id, cause = ?std::error::Error::source(&error),
                        "a refreshed token could not be stored and is given to nobody; if the provider rotates refresh tokens, this grant must be signed in again"
                    );
                    return Err(error.into());
                }
            }
        }
    }

    fn renewed(&self, set: &TokenSet, answer: &TokenResponse, from: &Refreshable) -> TokenSet {
        let now = self.now();
        let tokens = ProviderTokens {
            access_token: answer.access_token.clone(),
            refresh_token: from.source.kept(answer),
            acts_for: from.acts_for.clone(),
        };
        TokenSet {
            sealed: self.seal_tokens(set.id, &tokens),
            has_refresh_token: tokens.refresh_token.is_some(),
            scope: answer.scope.clone().unwrap_or_else(|| set.scope.clone()),
            access_expires_at: from.source.end(answer, now),
            updated_at: now,
            version: set.version + 1,
            ..set.clone()
        }
    }

    async fn store_renewed(
        &self,
        asking: &Asking,
        held: &Held,
        set: TokenSet,
    ) -> Result<bool, Error> {
        let (application_id, grant_id) = (asking.application_id, asking.grant_id);
        let idle_days = self.idle_days(set.provider);
        let due_at = keep_alive_at(idle_days, self.now(), jitter_of(grant_id));
        let rested = RefreshState {
            due_at,
            version: held.state.version + 1,
            ..RefreshState::default()
        };
        let lease_version = held.state.version;
        let change = renewed_change(&set, grant_id, self.now());
        let stored = self
            .commit(move |s| {
                Box::pin(async move {
                    if !s.update_token_set(&set, set.version - 1).await? {
                        return Err(Error::new(ErrorKind::NotFound, "overtaken"));
                    }
                    let mut changes = vec![change];
                    let is_ours = s
                        .upsert_refresh_state(
                            application_id,
                            grant_id,
                            &rested,
                            Some(lease_version),
                        )
                        .await?;
                    if !is_ours {
                        changes.extend(revive(s, &set, grant_id, &rested).await?);
                    }
                    Ok(((), changes))
                })
            })
            .await;
        match stored {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What counts now that our own answer does not.
    pub(super) async fn overtaken(&self, asking: &Asking) -> Outcome {
        let (application_id, grant_id) = (asking.application_id, asking.grant_id);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.current_token_set(application_id, grant_id).await })
        });
        match job.await? {
            Some(set) => self.still_valid(asking, &set, slow()),
            None => Err(ended().into()),
        }
    }
}

/// The lease was taken over while the answer waited to be stored, and whoever has it may have ended the grant
/// for the token that this answer has replaced: the provider honours the grant, so it stands again.
async fn revive(
    s: &mut Session<'_>,
    set: &TokenSet,
    grant_id: GrantId,
    rested: &RefreshState,
) -> Result<Option<NewChange>, Error> {
    let application_id = set.application_id;
    let Some(mut grant) = s.grant(application_id, grant_id).await? else {
        return Ok(None);
    };
    if grant.status == GrantStatus::Valid {
        return Ok(None);
    }
    grant.status = GrantStatus::Valid;
    grant.version += 1;
    if !s.update_grant(&grant, grant.version - 1).await? {
        return Err(crate::applications::changed_meanwhile());
    }
    // The old token was shown twice: a provider that counts may end what it gave for it, and then it is not the
    // user's doing.
    let shown_twice = RefreshState {
        unheard: Some(Unheard::Interrupted),
        ..rested.clone()
    };
    if let Some(state) = s.refresh_state(application_id, grant_id).await? {
        s.upsert_refresh_state(application_id, grant_id, &shown_twice, Some(state.version))
            .await?;
    }
    let change = ChangeOf {
        application_id,
        entity: Entity::Grant,
        id: &grant_id,
        action: Action::Updated,
        actor: "engine",
    };
    let detail = json!({"cause": "the provider honours it after all"});
    Ok(Some(change.with(set.updated_at, detail)))
}

/// What a caller hears of a grant that rests.
fn resting(rest: &Rest, now: UnixMillis) -> NoToken {
    let secs = (rest.until.0 - now.0).clamp(1_000, REST_MAX_MS) / 1000;
    let why = rest.last_error.as_deref().unwrap_or("unknown");
    let no = match why.strip_prefix(Blame::Ours.as_str()) {
        Some(why) => ours(why.trim_start_matches(": ")),
        None => NoToken::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "The provider could not refresh this grant's token just now ({why}); it will be tried again."
            ),
        ),
    };
    NoToken {
        retry_after_secs: u32::try_from(secs).ok(),
        ..no
    }
}

/// What a caller hears when the provider refuses what Keyway itself asked for.
pub(super) fn ours(word: &str) -> NoToken {
    NoToken::new(
        ErrorKind::Internal,
        format!(
            "The provider refused the way this server asked for a new token ({word}); contact its administrator."
        ),
    )
}

fn renewed_change(set: &TokenSet, grant_id: GrantId, at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id: set.application_id,
        entity: Entity::TokenSet,
        id: &grant_id,
        action: Action::Updated,
        actor: "engine",
    };
    change.with(at, json!({"credential_id": set.credential_id.to_string()}))
}

pub(super) fn slow() -> NoToken {
    NoToken {
        retry_after_secs: Some(5),
        ..NoToken::new(
            ErrorKind::ProviderUnavailable,
            "This grant's token is being refreshed and the provider is slow; try again shortly.",
        )
    }
}

pub(super) fn broken(credential_id: CredentialId) -> NoToken {
    NoToken {
        retry_after_secs: Some(5),
        ..NoToken::new(
            ErrorKind::CredentialFailing,
            format!(
                "The provider refuses the provider application of credential {credential_id}. Its grants come back by themselves when it is mended; see its health.",
            ),
        )
    }
}
