//! Driving one kind of work from several connections for a while.

use anyhow::Result;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How much load, for how long.
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) seconds: u64,
}

/// What a round of load found.
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) count: u64,
}

/// Runs `work` over and over on every client until the time is up. `work` gets the client's number and
/// returns a future that does one unit.
pub(crate) async fn drive<C, M, F>(plan: &Plan, make: M) -> Result<Rate>
where
    C: FnMut() -> F + Send + 'static,
    M: AsyncFn(usize) -> Result<C>,
    F: Future<Output = Result<()>> + Send,
{
    let mut workers = Vec::new();
    for client in 0..plan.clients {
        workers.push(make(client).await?);
    }
    let began = Instant::now();
    let end = began + Duration::from_secs(plan.seconds);
    let mut tasks = JoinSet::new();
    for mut work in workers {
        tasks.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                work().await?;
                took.push(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Ok::<_, anyhow::Error>(took)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    Ok(rate(all, began.elapsed()))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds fit")]
fn rate(mut took: Vec<u64>, elapsed: Duration) -> Rate {
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or(0);
    Rate {
        per_second: took.len() as f64 / elapsed.as_secs_f64(),
        p50_us: at(50),
        p99_us: at(99),
        count: u64::try_from(took.len()).unwrap_or(u64::MAX),
    }
}
