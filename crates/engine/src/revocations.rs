//! Telling providers that a consent has ended. The token sets to revoke are rows, so a crash or an
//! outage postpones the telling and does not lose it.

use crate::applications::changed_meanwhile;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::provider_calls::ProviderFailure;
use keyway_core::catalogue::RevokedToken;
use keyway_core::ids::{ApplicationId, TokenSetId};
use keyway_core::oauth::revocation_request;
use keyway_core::sign_in::CODE_LIFETIME_SECS;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{TokenSet, TokenSetState};
use keyway_store::Session;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a revocation endpoint may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Rows taken up at once.
const BATCH: i64 = 50;
/// Pause before the second try, in seconds: longer than the first may take. A later pause is as long as
/// all that has passed, so that pauses double.
const FIRST_PAUSE_SECS: i64 = 60;
/// The longest pause before another try, in seconds.
const LONGEST_PAUSE_SECS: i64 = 3600;
/// A revocation that fails this long after it was asked for is given up, in seconds.
const GIVE_UP_AFTER_SECS: i64 = 24 * 3600;

/// What became of one revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Done, or nothing to do: the row can go.
    Done,
    /// To be tried again.
    Later,
    /// To be tried again; somebody waited for an answer in vain.
    Silence,
}

/// When a row cut off then is tried again, if it is tried now and that fails.
fn next_try(cut_off_at: UnixMillis, now: UnixMillis) -> UnixMillis {
    let passed_secs = (now.0 - cut_off_at.0) / 1000;
    now.plus_secs(passed_secs.clamp(FIRST_PAUSE_SECS, LONGEST_PAUSE_SECS))
}

/// Takes a token set from its grant; what the provider is to be told waits in its row. From here the
/// row's `created_at` says when it was cut off, and its `updated_at` when it is tried next.
pub(crate) async fn cut_off(
    s: &mut Session<'_>,
    mut set: TokenSet,
    now: UnixMillis,
) -> Result<(), Error> {
    set.state = TokenSetState::Revoking;
    set.grant_id = None;
    set.updated_at = next_try(now, now);
    set.version += 1;
    // Fences a refresh under way, whose tokens would be lost to the revocation.
    if !s.update_token_set(&set, set.version - 1).await? {
        return Err(changed_meanwhile());
    }
    set.created_at = now;
    s.delete_token_set(set.application_id, set.id).await?;
    Ok(s.insert_token_set(&set).await?)
}

impl Engine {
    /// Tells the provider of a token set just cut off, without making anyone wait. Failing that, the
    /// row is tried again later.
    pub(crate) fn revoke_in_background(&self, application_id: ApplicationId, id: TokenSetId) {
        let engine = self.clone();
        self.in_background(async move {
            if let Err(error) = engine.revoke_now(application_id, id).await {
                tracing::warn!(token_set = %id, %error, "a revocation waits");
            }
        });
    }

    async fn revoke_now(&self, application_id: ApplicationId, id: TokenSetId) -> Result<(), Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.token_set(application_id, id).await }));
        match job.await? {
            Some(set) if set.state == TokenSetState::Revoking => {
                self.end_consent(&set).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// One round: rows whose time has come.
    pub(crate) async fn revoke_due(&self) -> Result<(), Error> {
        let job = self
            .store()
            .read(|s| Box::pin(async move { s.revoking_token_sets(BATCH).await }));
        let (sets, now) = (job.await?, self.now());
        let mut silent = BTreeSet::new();
        for set in sets.into_iter().filter(|set| set.updated_at <= now) {
            if self.is_stopping() {
                break;
            }
            let Some(set) = self.take_up(set).await? else {
                continue;
            };
            // One call that was waited for in vain is enough: the provider's others rest like it, and
            // other providers' get their turn.
            if !silent.contains(&set.provider) && self.end_consent(&set).await? == Told::Silence {
                silent.insert(set.provider);
            }
        }
        Ok(())
    }

    /// Makes a row rest before anything is tried, so that whatever comes of that, it stands behind all
    /// others, and no other process tries the same. `None` if one does already.
    async fn take_up(&self, mut set: TokenSet) -> Result<Option<TokenSet>, Error> {
        set.updated_at = next_try(set.created_at, self.now());
        set.version += 1;
        let row = set.clone();
        let is_ours = self.store().write(move |s| {
            Box::pin(async move { s.update_token_set(&row, row.version - 1).await })
        });
        Ok(is_ours.await?.then_some(set))
    }

    async fn end_consent(&self, set: &TokenSet) -> Result<Told, Error> {
        let told = self.tell_provider(set).await?;
        let is_over = self.now() >= set.created_at.plus_secs(GIVE_UP_AFTER_SECS);
        if told != Told::Done && !is_over {
            return Ok(told);
        }
        if told != Told::Done {
            tracing::warn!(token_set = %set.id, provider = %set.provider, "a revocation is given up after a day");
        }
        let (application_id, id) = (set.application_id, set.id);
        self.store()
            .write(move |s| Box::pin(async move { s.delete_token_set(application_id, id).await }))
            .await?;
        Ok(told)
    }

    /// Rule 13: revoking ends the user's consent for the whole provider project, so it is done only if
    /// nothing else on this server lives by it.
    async fn tell_provider(&self, set: &TokenSet) -> Result<Told, Error> {
        let Some(consent) = set.consent_key.clone() else {
            return Ok(Told::Done);
        };
        let id = set.id;
        let pending_since = self.now().plus_secs(-CODE_LIFETIME_SECS);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.live_consents(&consent, id, pending_since).await })
        });
        if job.await? > 0 {
            return Ok(Told::Done);
        }
        let Some(request) = self.revocation_of(set).await? else {
            return Ok(Told::Done);
        };
        match self.send_form(request, DEADLINE).await {
            Ok(answer) if answer.status.is_server_error() || answer.status.as_u16() == 429 => {
                Ok(Told::Later)
            }
            // RFC 7009, 2.2: an unknown token is no failure; any other refusal will not mend itself.
            Ok(_) => Ok(Told::Done),
            Err(ProviderFailure::Unreachable(cause)) => {
                tracing::warn!(token_set = %set.id, %cause, "a revocation got no answer");
                Ok(Told::Silence)
            }
            Err(error) => {
                tracing::warn!(token_set = %set.id, %error, "a revocation could not be sent");
                Ok(Told::Done)
            }
        }
    }

    /// The request through the credential the tokens were issued to, deleted or not (rule 1). `None`
    /// if there is none to send, now or later.
    async fn revocation_of(
        &self,
        set: &TokenSet,
    ) -> Result<Option<keyway_core::oauth::TokenRequest>, Error> {
        let Ok(entry) = self.entry(set.provider) else {
            return Ok(None);
        };
        if entry.revocation_endpoint.is_none() {
            return Ok(None);
        }
        let (application_id, credential_id) = (set.application_id, set.credential_id);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.credential_any(application_id, credential_id).await })
        });
        let Some(credential) = job.await? else {
            return Ok(None);
        };
        let client = match self.client(&credential).await {
            Ok(client) => client,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            Err(_) => return Ok(None),
        };
        let Ok(tokens) = self.open_tokens(set) else {
            return Ok(None);
        };
        let refresh_token = tokens.refresh_token;
        let refresh_token =
            refresh_token.filter(|_| entry.revocation_token == RevokedToken::Refresh);
        let token = refresh_token.unwrap_or(tokens.access_token);
        Ok(revocation_request(entry, &client, &token).ok().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_tries_double_up_to_an_hour() {
        let cut_off_at = UnixMillis::from_secs(1_000);
        let mut at = cut_off_at;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let next = next_try(cut_off_at, at);
            pauses.push((next.0 - at.0) / 1000);
            at = next;
        }
        assert_eq!(pauses, [60, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    }

    #[test]
    fn a_clock_that_went_back_makes_no_pause_shorter() {
        let cut_off_at = UnixMillis::from_secs(1_000);
        let now = UnixMillis::from_secs(10);
        assert_eq!(next_try(cut_off_at, now), now.plus_secs(FIRST_PAUSE_SECS));
    }
}
