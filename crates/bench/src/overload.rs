//! 10,000 connections that do nothing, and ten times as many callers as there are places: what the server
//! answers, how long those it serves wait, and what its memory does.

use crate::client::{Client, get};
use crate::process::Process;
use crate::subject::{self, Subject, Wanted};
use crate::{Options, grants, provider, report};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections on which nothing is ever sent.
const IDLE: usize = 10_000;
/// Places of the server: `server.max_requests`.
const PLACES: usize = 500;
/// Callers for each place.
const TIMES: usize = 10;
/// Files that a process needs open beside its connections.
const OTHER_FILES: usize = 1_000;
/// Every so many-th caller reads grants; the others have calls made that their provider is slow to answer.
const READERS: usize = 5;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often it is looked until the connections of a burst are closed: half a minute.
const CLOSING_LOOKS: usize = 600;

/// What callers saw.
#[derive(Default)]
struct Seen {
    /// Answers by what was asked and status.
    statuses: BTreeMap<(&'static str, u16), usize>,
    /// How long answered ones took, in microseconds.
    served_us: BTreeMap<&'static str, Vec<u64>>,
    refused_us: Vec<u64>,
}

impl Seen {
    fn note(&mut self, what: &'static str, status: u16, took: Duration) {
        *self.statuses.entry((what, status)).or_default() += 1;
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match status {
            200 => self.served_us.entry(what).or_default().push(took_us),
            _ => self.refused_us.push(took_us),
        }
    }

    fn add(&mut self, other: Self) {
        for (key, count) in other.statuses {
            *self.statuses.entry(key).or_default() += count;
        }
        for (what, took) in other.served_us {
            self.served_us.entry(what).or_default().extend(took);
        }
        self.refused_us.extend(other.refused_us);
    }

    fn print(mut self, elapsed: Duration) {
        for ((what, status), count) in &self.statuses {
            println!("{what:<24}{status:>5}{count:>10}");
        }
        println!(
            "\n{:<32}{:>10}{:>10}{:>10}",
            "time to the answer, ms", "p50", "p99", "longest"
        );
        for (what, took) in &mut self.served_us {
            print_times(&format!("{what}, served"), took);
        }
        print_times("refused", &mut self.refused_us);
        println!("in {:.1} s", elapsed.as_secs_f64());
    }
}

#[expect(clippy::cast_precision_loss, reason = "times of a few seconds fit")]
fn print_times(what: &str, took_us: &mut [u64]) {
    took_us.sort_unstable();
    let at = |share: usize| {
        let at = (took_us.len() * share / 1000).min(took_us.len().saturating_sub(1));
        took_us.get(at).copied().unwrap_or(0) as f64 / 1000.0
    };
    println!(
        "{what:<32}{:>10.1}{:>10.1}{:>10.1}",
        at(500),
        at(990),
        at(1000)
    );
}

/// A caller that asks the same thing again and again until `end`, without a pause, whatever it is told.
async fn ask(
    address: SocketAddr,
    what: &'static str,
    request: Arc<Vec<u8>>,
    end: Instant,
) -> Result<Seen> {
    let mut seen = Seen::default();
    let mut client = Client::connect(address).await?;
    while Instant::now() < end {
        let began = Instant::now();
        let status = client.status(&request).await?;
        seen.note(what, status, began.elapsed());
    }
    Ok(seen)
}

/// The most memory a server holds until it is no longer looked at.
async fn watch(process: &Process, most_kib: &mut u64) -> Result<()> {
    loop {
        *most_kib = process.resident_kib()?.max(*most_kib);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn burst(subject: &Subject, ids: &[String], seconds: u64) -> Result<(Seen, u64)> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut callers = JoinSet::new();
    for (number, id) in ids.iter().cycle().take(PLACES * TIMES).enumerate() {
        let (what, path) = if number.is_multiple_of(READERS) {
            ("grant reads", format!("/v3/grants/{id}"))
        } else {
            ("calls", format!("/v3/grants/{id}/proxy/slow.json"))
        };
        let request = Arc::new(get(&path, &subject.authorization()));
        callers.spawn(ask(subject.address, what, request, end));
    }
    let mut most_kib = 0;
    let mut seen = Seen::default();
    let asked = async {
        while let Some(caller) = callers.join_next().await {
            seen.add(caller??);
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::select! {
        done = asked => done?,
        watched = watch(&subject.process, &mut most_kib) => watched?,
    }
    Ok((seen, most_kib))
}

/// Waits until the server has closed its side of all connections but so many: what they took is given back, and
/// the next burst does not have to wait for room.
async fn all_closed(subject: &Subject, but: usize) -> Result<()> {
    for _ in 0..CLOSING_LOOKS {
        // What it has open to its provider, and to look after itself, is far less than a burst.
        if subject.process.open_files()? < but + PLACES {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("the server does not close the connections of the last burst")
}

fn open_files_max() -> Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .context("no limit on open files in /proc/self/limits")?;
    let soft = line.split_whitespace().next().unwrap_or_default();
    Ok(soft.parse().unwrap_or(usize::MAX))
}

fn check_open_files() -> Result<()> {
    let needed = IDLE + PLACES * (TIMES + 1) + OTHER_FILES;
    let allowed = open_files_max()?;
    if allowed < needed {
        bail!(
            "{needed} open files are needed and {allowed} allowed: run `ulimit -n {needed}` first"
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "kibibytes of a process fit")]
fn print_memory(when: &str, kib: u64) {
    println!("{when:<44}{:>8.1} MiB", kib as f64 / 1024.0);
}

/// Everything: warms the server, holds idle connections, sends the burst, and looks at the memory throughout.
pub(crate) async fn run(plan: &Options) -> Result<()> {
    check_open_files()?;
    let provider = provider::start(provider::ONE_HOUR).await?;
    let wanted = Wanted {
        server: format!("max_requests = {PLACES}\nmax_connections = 18000\n"),
        ..Wanted::api_of(&provider)
    };
    let subject = subject::start_with(&plan.keyway, &provider, &wanted).await?;
    println!("{}", report::machine());
    let ids = grants::seed(&subject, plan.grants.min(PLACES * TIMES), "user").await?;
    grants::call_each(&subject, &ids, plan.clients, "me.json").await?;
    let resident = || subject.process.resident_kib();
    let mut memory = vec![("warm".to_owned(), resident()?)];
    let mut idle = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        idle.push(TcpStream::connect(subject.address).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    memory.push((format!("{IDLE} idle connections"), resident()?));
    for number in 1..=plan.rounds {
        all_closed(&subject, IDLE).await?;
        let began = Instant::now();
        let (seen, most_kib) = burst(&subject, &ids, plan.seconds).await?;
        println!(
            "\nburst {number}: {} callers, {PLACES} places",
            PLACES * TIMES
        );
        seen.print(began.elapsed());
        memory.push((format!("burst {number}, the most"), most_kib));
        all_closed(&subject, IDLE).await?;
        memory.push((format!("burst {number}, over"), resident()?));
    }
    drop(idle);
    all_closed(&subject, 0).await?;
    memory.push(("all have gone".to_owned(), resident()?));
    println!("\nresident memory of the server");
    for (when, kib) in memory {
        print_memory(&when, kib);
    }
    Ok(())
}
