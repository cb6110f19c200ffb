//! One attempt: lease, call, store, and only then hand out.

use super::flight::Outcome;
use super::lease::{Asked, Asking, Held};
use super::opened::{NoToken, OpenedToken};
use super::{ended, is_good, jitter_of};
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::provider_calls::ProviderFailure;
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::credential::Credential;
use keyway_core::ids::{ApplicationId, CredentialId, GrantId, RequestId};
use keyway_core::oauth::{TokenGrant, TokenResponse};
use keyway_core::refresh::{CALL_LIMIT_MS, keep_alive_at};
use keyway_core::token_set::{ProviderTokens, RefreshState, TokenSet};
use secrecy::SecretString;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two looks at a refresh somebody else has under way.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Looks taken before a waiter gives up: as long as a call may take, and a little.
const LOOKS: i64 = CALL_LIMIT_MS / 100 + 50;
/// Tries at storing what a provider has given; the pause doubles to its bound between them.
const STORE_TRIES: u32 = 12;
const STORE_PAUSE: Duration = Duration::from_millis(50);
const STORE_PAUSE_MAX: Duration = Duration::from_secs(5);

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
        };
        for _ in 0..LOOKS {
            asking.now = self.now();
            match self.ask_lease(asking.clone()).await? {
                Asked::Good(set) => return self.opened(&set),
                Asked::Gone => return Err(ended().into()),
                Asked::Resting(until) => {
                    return self.resting(grant_id, application_id, until).await;
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
            return self
                .lease_back_unused(asking, &held, broken(credential.id).into())
                .await;
        }
        match self.call(&held.set, &credential).await {
            Ok((tokens, old)) => {
                let answered_at = Instant::now();
                self.inner.breakers.succeeded(credential.id, self.now());
                let stored = self.keep(asking, held, &tokens, &old).await;
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
        self.still_valid(&held.set, error.into())
    }

    /// A token that is still valid is served whatever happened (rule 11).
    pub(super) fn still_valid(&self, set: &TokenSet, no: NoToken) -> Outcome {
        let left = set.access_expires_at.is_some_and(|end| end > self.now());
        if left { self.opened(set) } else { Err(no) }
    }

    async fn call(
        &self,
        set: &TokenSet,
        credential: &Credential,
    ) -> Result<(TokenResponse, SecretString), ProviderFailure> {
        let ours = ProviderFailure::Ours;
        let entry = self.entry(set.provider).map_err(ours)?;
        let client = self.client(credential).await.map_err(ours)?;
        let tokens = self.open_tokens(set).map_err(ours)?;
        let refresh_token = tokens.refresh_token.ok_or_else(|| ours(ended()))?;
        let redirect_uri = self.callback_uri();
        let grant = TokenGrant::RefreshToken {
            refresh_token: &refresh_token,
            redirect_uri: &redirect_uri,
        };
        let answer = self.provider_tokens(entry, &client, grant).await?;
        Ok((answer, refresh_token))
    }

    /// Stores what the provider gave, tenaciously: it may have rotated, and then this is the only copy.
    /// Nobody sees the access token before it is durable (rule 5).
    async fn keep(
        &self,
        asking: &Asking,
        held: Held,
        answer: &TokenResponse,
        old: &SecretString,
    ) -> Outcome {
        let set = self.renewed(&held.set, answer, old);
        let mut pause = STORE_PAUSE;
        for attempt in 1..=STORE_TRIES {
            match self.store_renewed(asking, &held, set.clone()).await {
                Ok(true) => return self.opened(&set),
                // A re-authentication came first: its tokens count, these are another consent's (E2).
                Ok(false) => return self.overtaken(asking).await,
                Err(error) if error.kind() == ErrorKind::Unavailable && attempt < STORE_TRIES => {
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
        Err(slow())
    }

    fn renewed(&self, set: &TokenSet, answer: &TokenResponse, old: &SecretString) -> TokenSet {
        let now = self.now();
        let tokens = ProviderTokens {
            access_token: answer.access_token.clone(),
            // No new one means the old one stays (RFC 6749, 6).
            refresh_token: Some(answer.refresh_token.clone().unwrap_or_else(|| old.clone())),
        };
        TokenSet {
            sealed: self.seal_tokens(set.id, &tokens),
            has_refresh_token: true,
            scope: answer.scope.clone().unwrap_or_else(|| set.scope.clone()),
            access_expires_at: Some(answer.expires_at(now)),
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
        let due_at = keep_alive_at(set.provider, self.now(), jitter_of(grant_id));
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
                    // Somebody who took over an expired lease has its own row to answer for; the
                    // token set's version has decided already.
                    s.upsert_refresh_state(application_id, grant_id, &rested, Some(lease_version))
                        .await?;
                    Ok(((), vec![change]))
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
            Some(set) if is_good(set.access_expires_at, self.now(), grant_id) => self.opened(&set),
            Some(_) => Err(slow()),
            None => Err(ended().into()),
        }
    }

    async fn resting(
        &self,
        grant_id: GrantId,
        application_id: ApplicationId,
        until: keyway_core::time::UnixMillis,
    ) -> Outcome {
        let job = self.store().read(move |s| {
            Box::pin(async move { s.current_token_set(application_id, grant_id).await })
        });
        let secs = (until.0 - self.now().0).clamp(1_000, 3_600_000) / 1000;
        let no = NoToken {
            retry_after_secs: u32::try_from(secs).ok(),
            ..NoToken::new(
                ErrorKind::ProviderUnavailable,
                "The provider could not refresh this grant's token just now; it will be tried again.",
            )
        };
        match job.await? {
            Some(set) => self.still_valid(&set, no),
            None => Err(ended().into()),
        }
    }
}

fn renewed_change(
    set: &TokenSet,
    grant_id: GrantId,
    at: keyway_core::time::UnixMillis,
) -> NewChange {
    let change = ChangeOf {
        application_id: set.application_id,
        entity: Entity::TokenSet,
        id: &grant_id,
        action: Action::Updated,
        actor: "engine",
    };
    change.with(at, json!({"credential_id": set.credential_id.to_string()}))
}

fn slow() -> NoToken {
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
