//! One refresh per grant in this process: the first caller's is under way, later ones wait for it.

use super::opened::{NoToken, OpenedToken};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::ids::{ApplicationId, GrantId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

pub(crate) type Outcome = Result<Arc<OpenedToken>, NoToken>;
type Waiting = watch::Receiver<Option<Outcome>>;

/// The refreshes under way here.
#[derive(Default)]
pub(crate) struct Flights(Mutex<BTreeMap<GrantId, Waiting>>);

impl Flights {
    /// The flight of a grant: one to wait for, and the end to announce it by if it is a new one.
    fn join(&self, grant_id: GrantId) -> (Waiting, Option<watch::Sender<Option<Outcome>>>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = flights.get(&grant_id) {
            return (waiting.clone(), None);
        }
        let (announce, waiting) = watch::channel(None);
        flights.insert(grant_id, waiting.clone());
        (waiting, Some(announce))
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

impl Engine {
    /// Refreshes a grant's token, or waits for the refresh that is under way. The work belongs to the
    /// engine: it ends whatever becomes of those who wait.
    pub(crate) async fn refreshed(
        &self,
        application_id: ApplicationId,
        grant_id: GrantId,
        refused: Option<Arc<OpenedToken>>,
    ) -> Result<Arc<OpenedToken>, Error> {
        let mut waiting = self.take_off(application_id, grant_id, refused);
        let outcome = waiting
            .wait_for(Option::is_some)
            .await
            .map(|seen| (*seen).clone());
        match outcome {
            Ok(Some(outcome)) => Ok(outcome?),
            _ => Err(Error::new(
                ErrorKind::Internal,
                "Internal error, contact administrator.",
            )),
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
                announce.send_replace(Some(outcome));
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
