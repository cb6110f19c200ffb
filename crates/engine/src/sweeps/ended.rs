//! Refresh tokens of Keyway's own that have ended by the limits their application has set. No index tells which: once
//! in a while all of such applications are looked through, a bounded number of them in each round.

use super::{BATCH, BATCHES_MAX};
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::application::Application;
use keyway_core::ids::{ApplicationId, RefreshTokenId};
use keyway_core::time::UnixMillis;
use keyway_store::{EndedBefore, StoreError};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Between two looks through everything, in milliseconds.
const LOOK_AGAIN_MS: i64 = 3_600_000;
/// Applications read at once, to find one that has limits.
const APPLICATIONS: i64 = 100;

/// How far a look has come: the application, by its place among all, and the token it is to go on after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    application: i64,
    after: RefreshTokenId,
}

impl Place {
    const fn before(application: i64) -> Self {
        Self {
            application,
            after: RefreshTokenId::from_u128(0),
        }
    }
}

#[derive(Default)]
struct Progress {
    next_at: Option<UnixMillis>,
    place: Option<Place>,
}

/// A look through everything, and when the next one begins. Each process has its own: what one has removed the
/// others do not find.
#[derive(Default)]
pub(crate) struct LookThrough(Mutex<Progress>);

impl LookThrough {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, now: UnixMillis) -> bool {
        let progress = self.progress();
        progress.place.is_none() && progress.next_at.is_none_or(|at| at <= now)
    }

    fn place(&self) -> Option<Place> {
        self.progress().place
    }

    fn begin(&self, now: UnixMillis) {
        *self.progress() = Progress {
            next_at: Some(now.plus_ms(LOOK_AGAIN_MS)),
            place: Some(Place::before(0)),
        };
    }

    fn has_come_to(&self, place: Option<Place>) {
        self.progress().place = place;
    }
}

impl Engine {
    /// Goes on with the look that is under way, or begins one if it is time.
    pub(super) async fn sweep_ended(&self) -> Result<(), Error> {
        let look = &self.inner.look_through;
        if look.is_due(self.now()) {
            look.begin(self.now());
        }
        for _ in 0..BATCHES_MAX {
            let Some(place) = look.place().filter(|_| !self.is_stopping()) else {
                break;
            };
            look.has_come_to(self.sweep_tokens(place).await?);
        }
        Ok(())
    }

    /// Removes what has ended of the next tokens; where to go on, if there are more.
    async fn sweep_tokens(&self, place: Place) -> Result<Option<Place>, Error> {
        let now = self.now();
        let skipped = place.application;
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.applications(APPLICATIONS, skipped).await }));
        let applications: Vec<Application> = job.await?;
        let read = i64::try_from(applications.len()).unwrap_or(APPLICATIONS);
        let mut limits = (skipped..).zip(applications.iter().map(|one| limits_of(one, now)));
        let Some((number, Some((application_id, ended)))) = limits.find(|(_, it)| it.is_some())
        else {
            return Ok((read == APPLICATIONS).then(|| Place::before(skipped + read)));
        };
        let after = match number == skipped {
            true => place.after,
            false => Place::before(number).after,
        };
        let job = self.store().write::<_, StoreError, _>(move |s| {
            Box::pin(async move {
                s.sweep_ended_refresh_tokens(application_id, after, ended, BATCH)
                    .await
            })
        });
        Ok(Some(match job.await? {
            Some(last) => Place {
                application: number,
                after: last,
            },
            None => Place::before(number + 1),
        }))
    }
}

/// What has ended at `now` by the application's own limits, if it has any.
fn limits_of(application: &Application, now: UnixMillis) -> Option<(ApplicationId, EndedBefore)> {
    let settings = &application.additional;
    let before = |secs: i64| now.plus_secs(secs.saturating_neg());
    let ended = EndedBefore {
        first_given: settings.refresh_token_expiration_absolute.map(before),
        last_used: settings.refresh_token_expiration_idle.map(before),
    };
    (ended != EndedBefore::default()).then_some((application.id, ended))
}
