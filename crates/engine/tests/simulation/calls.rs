//! What goes on in the processes: callers who want tokens, people who sign in, patches, rounds.

use crate::world::World;
use keyway_core::grant::GrantLocator;
use keyway_core::ids::{CredentialId, GrantId};
use keyway_core::time::{Clock as _, UnixMillis};
use keyway_engine::grants::GrantPatch;
use keyway_engine::refresh::OpenedToken;
use keyway_engine::{Engine, Error, ErrorKind, Principal};
use secrecy::ExposeSecret as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Somebody wants a token.
    Call,
    /// The API refused the token somebody had.
    Replace,
    /// A user authenticates through this credential.
    Authenticate(CredentialId),
    /// The application labels the grant.
    Patch(String),
    /// One round of background work.
    Round,
}

/// How it ended.
pub(crate) enum Ended {
    Token(Arc<OpenedToken>),
    Done,
    Failed(ErrorKind, String),
}

/// What is to be done.
pub(crate) struct Order {
    pub(crate) number: usize,
    pub(crate) user: usize,
    pub(crate) deed: Deed,
    /// What the API refused.
    pub(crate) refused: Option<Arc<OpenedToken>>,
}

/// Something under way in a process.
pub(crate) struct Doing {
    pub(crate) number: usize,
    pub(crate) process: usize,
    pub(crate) user: usize,
    pub(crate) deed: Deed,
    pub(crate) began: Instant,
    /// The process's clock was set meanwhile, or its database failed it: nothing can be said of its errors.
    pub(crate) is_excused: bool,
    /// What the API refused.
    pub(crate) refused: Option<Arc<OpenedToken>>,
    pub(crate) task: AbortHandle,
}

pub(crate) type Results = Arc<Mutex<Vec<(usize, Ended)>>>;

pub(crate) fn take(results: &Results) -> Vec<(usize, Ended)> {
    std::mem::take(&mut *results.lock().unwrap_or_else(PoisonError::into_inner))
}

fn put(results: &Results, number: usize, ended: Ended) {
    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    results.push((number, ended));
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error.kind(), error.message().to_owned())
    }
}

fn done<T>(outcome: Result<T, Error>) -> Ended {
    outcome.map_or_else(Ended::from, |_| Ended::Done)
}

async fn token(
    engine: &Engine,
    principal: &Principal,
    id: GrantId,
    refused: Option<Arc<OpenedToken>>,
) -> Result<Arc<OpenedToken>, Error> {
    let grant = engine.grant(principal, GrantLocator::Id(id)).await?;
    match refused {
        None => engine.fresh_token(&grant).await,
        Some(refused) => engine.replace_refused(&grant, refused).await,
    }
}

impl World {
    /// Starts what is ordered in the process at `at`.
    pub(crate) fn start(&self, at: usize, order: Order, results: &Results) -> Doing {
        let Order {
            number,
            user,
            deed,
            refused,
        } = order;
        let process = &self.processes[at];
        let (engine, caller, id) = (process.engine.clone(), self.caller, self.grants[user]);
        let (results, kept) = (Arc::clone(results), refused.clone());
        let request = match &deed {
            Deed::Authenticate(credential) => Some(self.authentication(user, *credential)),
            _ => None,
        };
        let what = deed.clone();
        let work = async move {
            let ended = match what {
                Deed::Call | Deed::Replace => {
                    let got = token(&engine, &Principal::Key(caller), id, refused).await;
                    got.map_or_else(Ended::from, Ended::Token)
                }
                Deed::Authenticate(_) => done(
                    engine
                        .custom_authentication(&caller, request.unwrap())
                        .await,
                ),
                Deed::Patch(label) => {
                    let patch = GrantPatch {
                        external_id: Some(Some(label)),
                        ..GrantPatch::default()
                    };
                    done(
                        engine
                            .update_grant(&caller, GrantLocator::Id(id), patch)
                            .await,
                    )
                }
                Deed::Round => done(engine.tick().await),
            };
            put(&results, number, ended);
        };
        Doing {
            number,
            process: process.id,
            user,
            deed,
            began: Instant::now(),
            is_excused: false,
            refused: kept,
            task: Handle::current().spawn(work).abort_handle(),
        }
    }
}

/// A token a caller holds.
pub(crate) fn text(token: &OpenedToken) -> &str {
    token.access_token.expose_secret()
}

/// The present of the process with this number, if it lives.
pub(crate) fn now_of(world: &World, process: usize) -> Option<UnixMillis> {
    let process = world.processes.iter().find(|p| p.id == process)?;
    Some(process.clock.now())
}
