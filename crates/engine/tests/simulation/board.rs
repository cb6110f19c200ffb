//! The board: everything a simulated process wants to do waits here until the scheduler says so.

use crate::world::SimTime;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_store::StoreError;
use keyway_store::testing::{Moment, Stage, simulated_outage};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A simulated process, by number; one that has crashed is never used again.
pub(crate) type ProcessId = usize;

/// What waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A job of the database's.
    Database(Moment),
    /// A request that has not reached the provider yet.
    Request,
    /// The provider's answer on its way back.
    Answer,
}

/// What the scheduler says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    Fail,
}

struct Waiter {
    process: ProcessId,
    step: Step,
    tell: oneshot::Sender<Verdict>,
}

#[derive(Default)]
struct State {
    waiters: Vec<Waiter>,
    dead: Vec<ProcessId>,
    /// Kept, so that what a dead process waits for never comes.
    graveyard: Vec<Waiter>,
    is_open: bool,
}

/// Shared by all processes of one simulation.
#[derive(Default)]
pub(crate) struct Board(Mutex<State>);

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While the board is open, nothing waits.
    pub(crate) fn open(&self, is_open: bool) {
        let mut state = self.state();
        state.is_open = is_open;
        if is_open {
            for waiter in std::mem::take(&mut state.waiters) {
                let _ = waiter.tell.send(Verdict::Go);
            }
        }
    }

    /// What waits, in the order it came.
    pub(crate) fn waiting(&self) -> Vec<(ProcessId, Step)> {
        let mut state = self.state();
        state.waiters.retain(|waiter| !waiter.tell.is_closed());
        let waiting = state.waiters.iter();
        waiting
            .map(|waiter| (waiter.process, waiter.step))
            .collect()
    }

    /// Gives the one at `at` its turn.
    pub(crate) fn decide(&self, at: usize, verdict: Verdict) {
        let waiter = self.state().waiters.remove(at);
        let _ = waiter.tell.send(verdict);
    }

    /// From now on nothing of `process` goes on.
    pub(crate) fn kill(&self, process: ProcessId) {
        let mut state = self.state();
        state.dead.push(process);
        let waiters = std::mem::take(&mut state.waiters);
        let (gone, left): (Vec<_>, Vec<_>) = waiters
            .into_iter()
            .partition(|waiter| waiter.process == process);
        state.waiters = left;
        state.graveyard.extend(gone);
    }

    pub(crate) fn is_dead(&self, process: ProcessId) -> bool {
        self.state().dead.contains(&process)
    }

    /// Waits for the scheduler's word.
    pub(crate) fn turn(&self, process: ProcessId, step: Step) -> BoxFuture<'static, Verdict> {
        let mut state = self.state();
        let (tell, told) = oneshot::channel();
        let waiter = Waiter {
            process,
            step,
            tell,
        };
        if state.dead.contains(&process) {
            state.graveyard.push(waiter);
        } else if state.is_open {
            return std::future::ready(Verdict::Go).boxed();
        } else {
            state.waiters.push(waiter);
        }
        told.map(|verdict| verdict.unwrap_or(Verdict::Fail)).boxed()
    }
}

/// One process's way to its database.
pub(crate) struct ProcessStage {
    pub(crate) process: ProcessId,
    pub(crate) board: Arc<Board>,
    pub(crate) time: Arc<SimTime>,
}

impl Stage for ProcessStage {
    fn turn(&self, moment: Moment) -> BoxFuture<'static, Result<(), StoreError>> {
        let turn = self.board.turn(self.process, Step::Database(moment));
        let time = Arc::clone(&self.time);
        turn.map(move |verdict| {
            time.tell();
            match verdict {
                Verdict::Go => Ok(()),
                Verdict::Fail => Err(simulated_outage()),
            }
        })
        .boxed()
    }
}
