//! Work nobody waits for: keeping unused grants alive, and finding out when a broken credential is mended.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::token_set::RefreshState;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Due grants looked at in one round.
const BATCH: i64 = 200;
/// Of these, grants of one credential in one round: a tenth of a second each leaves room for callers.
const PER_CREDENTIAL: usize = 20;
/// A due grant whose credential is broken, or whose provider is slow, is looked at again this
/// much later, in seconds.
const POSTPONED_SECS: i64 = 600;
/// A provider that takes longer over one due grant is not asked for the next of that credential.
const SLOW: Duration = Duration::from_secs(5);

impl Engine {
    /// Refreshes grants that are due, a bounded number per credential, one after the other.
    pub(crate) async fn refresh_due(&self) -> Result<(), Error> {
        let now = self.now();
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.due_refreshes(now, BATCH).await }));
        let mut taken: BTreeMap<CredentialId, usize> = BTreeMap::new();
        let mut silent = BTreeSet::new();
        for due in job.await? {
            if self.is_stopping() {
                break;
            }
            let count = taken.entry(due.credential_id).or_default();
            *count += 1;
            if *count > PER_CREDENTIAL {
                continue;
            }
            let breakers = &self.inner.breakers;
            let permit = breakers.ahead(due.provider, due.credential_id, self.now());
            // One grant that had to wait is enough: others' grants must not wait for each of this credential.
            let can_ask = !silent.contains(&due.credential_id) && self.entry(due.provider).is_ok();
            let Some(permit) = permit.filter(|_| can_ask) else {
                self.postpone(due.application_id, due.grant_id).await?;
                continue;
            };
            let began = Instant::now();
            // Failures are recorded in the grant's own row; the next round honours it.
            let kept = self.keep_alive(due.application_id, due.grant_id).await;
            if let Err(error) = kept {
                tracing::debug!(grant = %due.grant_id, %error, "a due refresh did not succeed");
            }
            if began.elapsed() > SLOW {
                silent.insert(due.credential_id);
            }
            drop(permit);
        }
        Ok(())
    }

    /// Puts a due grant off, so that those of a broken credential do not stand before all others. Only this
    /// round's work is put off: callers are not to wait for it, as they would for a grant with failures.
    async fn postpone(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<(), Error> {
        let due_at = Some(self.now().plus_secs(POSTPONED_SECS));
        self.store()
            .write(move |s| {
                Box::pin(async move {
                    let known = s.refresh_state(application_id, grant_id).await?;
                    // Whoever holds the lease by now could not give it back if its row changed.
                    let Some(state) = known.filter(|state| state.lease_owner.is_none()) else {
                        return Ok(false);
                    };
                    let version = Some(state.version);
                    let later = RefreshState {
                        due_at,
                        failures: 0,
                        ..state
                    };
                    s.upsert_refresh_state(application_id, grant_id, &later, version)
                        .await
                })
            })
            .await?;
        Ok(())
    }

    /// Refreshes a grant although its access token may still be good: it is the refresh token that ages.
    async fn keep_alive(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
    ) -> Result<(), Error> {
        let now = self.now();
        let job = self.store().read(move |s| {
            Box::pin(async move {
                let state = s.refresh_state(application_id, grant_id).await?;
                let set = s.current_token_set(application_id, grant_id).await?;
                // A call, or another process, may have refreshed it since the list was made.
                let is_due = state
                    .and_then(|state| state.due_at)
                    .is_some_and(|at| at <= now);
                Ok(set.filter(|_| is_due))
            })
        });
        let Some(set) = job.await? else { return Ok(()) };
        let tokens = self.open_tokens(&set)?;
        let current = super::OpenedToken::new(&set, &tokens, self.now());
        self.refreshed(application_id, grant_id, Some(current))
            .await
            .map(drop)
    }

    /// Probes credentials whose breaker is open: slowly, since nobody may be calling.
    pub(crate) async fn probe_broken(&self) -> Result<(), Error> {
        for (application_id, id) in self.inner.breakers.to_probe(self.now()) {
            if self.is_stopping() {
                break;
            }
            self.probe_by_id(application_id, id).await;
        }
        Ok(())
    }
}
