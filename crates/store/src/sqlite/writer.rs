//! The one thread that writes to a SQLite file, and commits in groups.
//!
//! Waiting for the disk is what a commit costs, so all jobs that wait share one: each in a savepoint
//! of its own, so that a failing one spares the rest, and answered only after the commit.

use super::{lock, poll_once, statement};
use crate::error::StoreError;
use crate::session::Session;
use futures_util::future::BoxFuture;
use keyway_core::time::Clock;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Most jobs that share a commit.
const GROUP_MAX: usize = 64;
/// After a group of so many, others are on their way: the next one waits for them.
const BUSY_GROUP: usize = 4;
/// How long it waits. A commit takes about as long, and costs the same for one job as for twenty.
const GATHERING: Duration = Duration::from_micros(500);
/// Jobs that may wait; whoever comes later waits for a place among them.
const QUEUE_MAX: usize = 1024;
/// How long for: as long as for a connection of the other database. A disk that is so slow has failed.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// A job's turn.
enum Turn<'c> {
    Go(&'c mut Connection),
    Refused(StoreError),
}

/// Tells a job's caller how the commit went.
type Answer = Box<dyn FnOnce(Result<(), StoreError>)>;
/// Runs a job. One that failed left nothing behind, but waits for the commit like the others.
type Job = Box<dyn FnOnce(Turn<'_>) -> Answer + Send>;

/// The way to the writing thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    is_failing: Arc<AtomicBool>,
    wait_max: Duration,
}

fn closed() -> StoreError {
    StoreError::down("the store is closed")
}

impl Writer {
    /// Starts the thread. It ends when this is dropped or closed, after the jobs that wait.
    pub(super) fn start(connection: Connection) -> Result<Self, StoreError> {
        Self::with_queue(connection, QUEUE_MAX, WAIT_MAX)
    }

    fn with_queue(
        connection: Connection,
        queue_max: usize,
        wait_max: Duration,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(queue_max);
        let (end, ended) = oneshot::channel();
        let is_failing = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&is_failing);
        std::thread::Builder::new()
            .name("keyway-writer".to_owned())
            .spawn(move || {
                serve(connection, jobs, &failing);
                let _ = end.send(());
            })
            .map_err(|_| StoreError::down("the writing thread could not be started"))?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            ended: Mutex::new(Some(ended)),
            is_failing,
            wait_max,
        })
    }

    /// Hands a job over, as soon as there is a place for it.
    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let queue = lock(&self.queue).clone().ok_or_else(closed)?;
        let job = match queue.try_send(job) {
            Err(mpsc::error::TrySendError::Full(job)) => job,
            sent => return sent.map_err(|_| closed()),
        };
        match tokio::time::timeout(self.wait_max, queue.send(job)).await {
            Ok(sent) => sent.map_err(|_| closed()),
            Err(_) => Err(StoreError::busy(
                "more waits to be written than can be written",
            )),
        }
    }

    pub(super) async fn write<T, E, F>(&self, clock: Arc<dyn Clock>, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(job(clock, work, reply)).await?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Refuses once the store is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        let is_open = lock(&self.queue).as_ref().is_some_and(|q| !q.is_closed());
        is_open.then_some(()).ok_or_else(closed)
    }

    /// Whether the last transaction could not be stored, the disk being full, say. Other processes that
    /// were faster do not count.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Takes no more jobs, and waits for those at hand.
    pub(super) async fn close(&self) {
        lock(&self.queue).take();
        let ended = lock(&self.ended).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }
}

fn job<T, E, F>(clock: Arc<dyn Clock>, work: F, reply: oneshot::Sender<Result<T, E>>) -> Job
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
{
    // A caller that has gone away needs no answer; its work is committed all the same.
    Box::new(move |turn| {
        let outcome = match turn {
            Turn::Go(connection) => in_savepoint(connection, &*clock, work),
            Turn::Refused(error) => Err(error.into()),
        };
        match outcome {
            Ok(value) => Box::new(move |committed: Result<(), StoreError>| {
                let _ = reply.send(committed.map(|()| value).map_err(E::from));
            }),
            // What a job was refused for may be a neighbour's work in the same group: nobody is told
            // of that before it is committed.
            Err(error) => Box::new(move |committed: Result<(), StoreError>| {
                let _ = reply.send(Err(committed.map_or_else(E::from, |()| error)));
            }),
        }
    })
}

fn in_savepoint<T, E, F>(connection: &mut Connection, clock: &dyn Clock, work: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: for<'a, 'b> FnOnce(&'a mut Session<'b>) -> BoxFuture<'a, Result<T, E>>,
{
    statement::run(connection, "SAVEPOINT job")?;
    // The unwound job owned what it broke; the connection is put right by the roll-back.
    let outcome = catch_unwind(AssertUnwindSafe(|| poll_once(connection, clock, work)))
        .unwrap_or_else(|_| Err(StoreError::bug("a job panicked").into()));
    if outcome.is_err() && !connection.is_autocommit() {
        statement::run(connection, "ROLLBACK TO job")?;
    }
    if !connection.is_autocommit() {
        statement::run(connection, "RELEASE job")?;
    }
    outcome
}

fn serve(mut connection: Connection, mut jobs: mpsc::Receiver<Job>, is_failing: &AtomicBool) {
    let mut last_group = 0;
    while let Some(first) = jobs.blocking_recv() {
        if last_group >= BUSY_GROUP {
            std::thread::sleep(GATHERING);
        }
        let (count, outcome) = commit_group(&mut connection, first, &mut jobs);
        let failed = outcome.is_err_and(|error| !error.is_retryable());
        is_failing.store(failed, Ordering::Relaxed);
        last_group = count;
    }
}

/// Runs `first` and whoever else waits by then in one transaction. How many they were, and what came of
/// the transaction.
fn commit_group(
    connection: &mut Connection,
    first: Job,
    jobs: &mut mpsc::Receiver<Job>,
) -> (usize, Result<(), StoreError>) {
    if let Err(error) = statement::run(connection, "BEGIN IMMEDIATE") {
        first(Turn::Refused(error.clone()))(Ok(()));
        return (0, Err(error));
    }
    let mut answers = Vec::new();
    let mut next = Some(first);
    let mut room = GROUP_MAX;
    while let Some(job) = next {
        answers.push(job(Turn::Go(connection)));
        room -= 1;
        // A full disk and the like end the whole transaction, not one savepoint.
        let goes_on = room > 0 && !connection.is_autocommit();
        next = if goes_on { jobs.try_recv().ok() } else { None };
    }
    let committed = commit(connection);
    let count = answers.len();
    for answer in answers {
        answer(committed.clone());
    }
    (count, committed)
}

fn commit(connection: &Connection) -> Result<(), StoreError> {
    if connection.is_autocommit() {
        return Err(StoreError::down(
            "SQLite gave the transaction up, as it does when the disk is full or fails",
        ));
    }
    statement::run(connection, "COMMIT").inspect_err(|_| {
        if !connection.is_autocommit() {
            let _ = statement::run(connection, "ROLLBACK");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::time::SystemClock;
    use std::sync::mpsc as blocking;

    /// A writer with room for one job, and what lets go of the job it has in hand.
    fn busy_writer() -> (Arc<Writer>, blocking::Sender<()>) {
        let connection = Connection::open_in_memory().unwrap();
        let wait_max = Duration::from_millis(20);
        let writer = Writer::with_queue(connection, 1, wait_max).unwrap();
        let (let_go, held) = blocking::channel::<()>();
        let holding: Job = Box::new(move |_| {
            let _ = held.recv();
            Box::new(|_| ())
        });
        let queue = lock(&writer.queue).clone().unwrap();
        queue
            .try_send(holding)
            .unwrap_or_else(|_| panic!("the queue is empty"));
        (Arc::new(writer), let_go)
    }

    async fn write(writer: &Writer) -> Result<i32, StoreError> {
        let clock = Arc::new(SystemClock);
        writer.write(clock, |_| Box::pin(async { Ok(7) })).await
    }

    #[tokio::test]
    async fn a_full_queue_is_an_outage_and_those_in_it_are_served() {
        let (writer, let_go) = busy_writer();
        let queue = lock(&writer.queue).clone().unwrap();
        while queue.capacity() == 0 {
            tokio::task::yield_now().await;
        }
        let waiting = write(&writer);
        let too_many = async {
            let refused = write(&writer).await.unwrap_err();
            let_go.send(()).unwrap();
            refused
        };
        let (served, refused) = tokio::join!(waiting, too_many);
        assert!(refused.is_retryable(), "{refused}");
        assert_eq!(served, Ok(7));
        assert_eq!(write(&writer).await, Ok(7));
    }
}
