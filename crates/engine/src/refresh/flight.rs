//! One refresh per grant in this process: the first caller's is under way, later ones wait for it.

use super::attempt::slow;
use super::opened::{NoToken, OpenedToken};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use keyway_core::ids::{ApplicationId, GrantId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

pub(crate) type Outcome = Result<Arc<OpenedToken>, NoToken>;
type Waiting = Shared<oneshot::Receiver<Outcome>>;

/// The refreshes under way here.
#[derive(Default)]
pub(crate) struct Flights(Mutex<BTreeMap<GrantId, Waiting>>);

impl Flights {
    /// The flight of a grant: one to wait for, and the end to announce it by if it is a new one.
    fn join(&self, grant_id: GrantId) -> (Waiting, Option<oneshot::Sender<Outcome>>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = flights.get(&grant_id) {
            return (waiting.clone(), None);
        }
        let (announce, waiting) = oneshot::channel();
        let waiting = waiting.shared();
        flights.insert(grant_id, waiting.clone());
        (waiting, Some(announce))
    }

    /// Whether one of this grant is under way.
    pub(super) fn has(&self, grant_id: GrantId) -> bool {
        let flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flights.contains_key(&grant_id)
    }

    fn land(&self, grant_id: GrantId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&grant_id);
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Takes the flight off the board even if the attempt panics; waiters then see the channel closed.
struct Landing {
    engine: Engine,
    grant_id: GrantId,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.engine.inner.flights.land(self.grant_id);
    }
}

async fn landed(waiting: Waiting) -> Result<Arc<OpenedToken>, Error> {
    match waiting.await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::new(
            ErrorKind::Internal,
            "Internal error, contact administrator.",
        )),
    }
}

impl Engine {
    /// Refreshes a grant's token, or waits for the refresh that is under way. The work belongs to the
    /// engine: it ends whatever becomes of those who wait.
    pub(crate) async fn refreshed(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
        refused: Option<Arc<OpenedToken>>,
    ) -> Result<Arc<OpenedToken>, Error> {
        let is_refused = |token: &OpenedToken| {
            let refused = refused.as_ref();
            refused.is_some_and(|refused| token.is_same_as(refused))
        };
        let waiting = self.take_off(application_id, grant_id, refused.clone());
        let token = landed(waiting).await?;
        if !is_refused(&token) {
            return Ok(token);
        }
        // That flight did not know that the token was refused; one that does starts now.
        let waiting = self.take_off(application_id, grant_id, refused.clone());
        let token = landed(waiting).await?;
        match is_refused(&token) {
            true => Err(slow().into()),
            false => Ok(token),
        }
    }

    /// Starts the refresh unless one is under way.
    pub(crate) fn take_off(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
        refused: Option<Arc<OpenedToken>>,
    ) -> Waiting {
        let (waiting, announce) = self.inner.flights.join(grant_id);
        if let Some(announce) = announce {
            let engine = self.clone();
            self.in_background(async move {
                let landing = Landing {
                    engine: engine.clone(),
                    grant_id,
                };
                let outcome = engine
                    .attempt(application_id, grant_id, refused.as_deref())
                    .await;
                // Off the board first: whoever comes now starts anew instead of hearing old news.
                drop(landing);
                let _ = announce.send(outcome);
            });
        }
        waiting
    }

    /// Refreshes under way in this process.
    #[must_use]
    pub fn refreshes_under_way(&self) -> usize {
        self.inner.flights.len()
    }
}
