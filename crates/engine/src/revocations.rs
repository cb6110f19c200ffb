//! Telling providers that a consent has ended. The token sets to revoke are rows, so a crash or an
//! outage postpones the telling and does not lose it.

use crate::engine::Engine;
use crate::error::Error;
use crate::provider_calls::ProviderFailure;
use keyway_core::oauth::revocation_request;
use keyway_core::token_set::TokenSet;
use std::time::Duration;

/// How long a revocation endpoint may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Rows taken up at once.
const BATCH: i64 = 50;
/// A row is given up this long after it was last a grant's, in seconds.
const GIVE_UP_AFTER_SECS: i64 = 24 * 3600;
/// Pause before the next try, in seconds.
const RETRY_PAUSE_SECS: i64 = 60;

/// What became of one revocation.
enum Told {
    /// Done, or nothing to do: the row can go.
    Done,
    /// To be tried again.
    Later,
}

impl Engine {
    /// Tells providers of what was just deleted, without making anyone wait.
    pub(crate) fn revoke_in_background(&self) {
        let engine = self.clone();
        self.in_background(async move {
            if let Err(error) = engine.revoke_tick(0).await {
                tracing::warn!(%error, "revocations wait");
            }
        });
    }

    /// One round: rows that have rested `pause_secs` since they were last tried.
    pub(crate) async fn revoke_tick(&self, pause_secs: i64) -> Result<(), Error> {
        let job = self
            .store()
            .read(|s| Box::pin(async move { s.revoking_token_sets(BATCH).await }));
        for set in job.await? {
            // A row that was tried has a version beyond the one it was cut off with, and rests.
            if pause_secs == 0 || self.now() >= set.updated_at.plus_secs(pause_secs) {
                self.revoke_one(set).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn revoke_rested(&self) -> Result<(), Error> {
        self.revoke_tick(RETRY_PAUSE_SECS).await
    }

    async fn revoke_one(&self, set: TokenSet) -> Result<(), Error> {
        let now = self.now();
        let given_up = now >= set.created_at.plus_secs(GIVE_UP_AFTER_SECS)
            && now >= set.updated_at.plus_secs(GIVE_UP_AFTER_SECS);
        let told = if given_up {
            Told::Done
        } else {
            self.tell_provider(&set).await?
        };
        let (application_id, id) = (set.application_id, set.id);
        if let Told::Done = told {
            self.store()
                .write(move |s| {
                    Box::pin(async move { s.delete_token_set(application_id, id).await })
                })
                .await?;
        }
        Ok(())
    }

    /// Rule 13: revoking ends the user's consent for the whole provider project, so it is done only if
    /// nothing else on this server lives by it.
    async fn tell_provider(&self, set: &TokenSet) -> Result<Told, Error> {
        let Some(consent) = set.consent_key.clone() else {
            return Ok(Told::Done);
        };
        let id = set.id;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.live_consents(&consent, id).await }));
        if job.await? > 0 {
            return Ok(Told::Done);
        }
        let Some(request) = self.revocation_of(set).await else {
            return Ok(Told::Done);
        };
        match self.send_form(request, DEADLINE).await {
            Ok(answer) if answer.status.is_server_error() || answer.status.as_u16() == 429 => {
                Ok(Told::Later)
            }
            // RFC 7009, 2.2: an unknown token is no failure; any other refusal will not mend itself.
            Ok(_) => Ok(Told::Done),
            Err(ProviderFailure::Unreachable(_)) => Ok(Told::Later),
            Err(error) => {
                tracing::warn!(token_set = %set.id, %error, "a revocation could not be sent");
                Ok(Told::Done)
            }
        }
    }

    /// The request through the credential the tokens were issued to, deleted or not (rule 1).
    async fn revocation_of(&self, set: &TokenSet) -> Option<keyway_core::oauth::TokenRequest> {
        let entry = self.entry(set.provider).ok()?;
        entry.revocation_endpoint.as_ref()?;
        let (application_id, credential_id) = (set.application_id, set.credential_id);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.credential_any(application_id, credential_id).await })
        });
        let credential = job.await.ok()??;
        let client = self.client(&credential).await.ok()?;
        let tokens = self.open_tokens(set).ok()?;
        let token = tokens.refresh_token.unwrap_or(tokens.access_token);
        revocation_request(entry, &client, &token).ok().flatten()
    }
}
