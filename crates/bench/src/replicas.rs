//! 10,000 expired grants called through several servers on one PostgreSQL, each grant through two of them at
//! about the same time: as many refreshes as grants. Then once more while one server is killed: what that
//! costs is counted.

use crate::client::{Client, get};
use crate::process::Process;
use crate::provider::{self, Provider};
use crate::report::median;
use crate::subject::{self, Subject, Wanted};
use crate::{Options, grants, report};
use anyhow::{Context as _, Result, bail};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Servers beside each other.
const SERVERS: usize = 4;
/// After this the access tokens of new grants have ended.
const UNTIL_OVER: Duration = Duration::from_secs(2);
/// How long a caller goes on asking; a lease of a killed server ends before.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two tries of a caller who was told to try again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a caller went through until each of its calls was answered with 200.
#[derive(Default)]
struct Troubles {
    cut_off: usize,
    told_to_wait: usize,
    longest: Duration,
}

impl Troubles {
    fn add(&mut self, other: &Self) {
        self.cut_off += other.cut_off;
        self.told_to_wait += other.told_to_wait;
        self.longest = self.longest.max(other.longest);
    }
}

/// One who calls through one server, and through the next as soon as that is gone.
struct Caller {
    addresses: Vec<SocketAddr>,
    at: usize,
    client: Option<Client>,
    troubles: Troubles,
}

impl Caller {
    async fn once(&mut self, request: &[u8]) -> Result<u16> {
        let address = self.addresses.get(self.at % self.addresses.len());
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect(*address.context("no server")?).await?),
        };
        client.status(request).await
    }

    async fn insist(&mut self, request: &[u8]) -> Result<()> {
        let began = Instant::now();
        let mut told_to_wait = false;
        while began.elapsed() < PATIENCE {
            match self.once(request).await {
                Ok(200) => {
                    self.troubles.told_to_wait += usize::from(told_to_wait);
                    self.troubles.longest = self.troubles.longest.max(began.elapsed());
                    return Ok(());
                }
                Ok(503 | 504) => {
                    told_to_wait = true;
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(other) => bail!("status {other}"),
                Err(_) => {
                    self.troubles.cut_off += 1;
                    self.client = None;
                    self.at += 1;
                }
            }
        }
        bail!("no answer within {} s", PATIENCE.as_secs())
    }
}

/// Calls every grant through two servers: two callers each, at different servers, do the same at the same time.
async fn call_twice(
    subject: &Subject,
    addresses: &[SocketAddr],
    ids: &[String],
    clients: usize,
) -> Result<Troubles> {
    let pairs = (clients / 2).max(1);
    let mut callers = JoinSet::new();
    for number in 0..pairs * 2 {
        let share: Vec<_> = ids
            .iter()
            .skip(number % pairs)
            .step_by(pairs)
            .map(|id| {
                get(
                    &format!("/v3/grants/{id}/proxy/me.json"),
                    &subject.authorization(),
                )
            })
            .collect();
        let mut caller = Caller {
            addresses: addresses.to_vec(),
            at: number + number / pairs,
            client: None,
            troubles: Troubles::default(),
        };
        callers.spawn(async move {
            for request in share {
                caller.insist(&request).await?;
            }
            Ok::<_, anyhow::Error>(caller.troubles)
        });
    }
    let mut all = Troubles::default();
    while let Some(troubles) = callers.join_next().await {
        all.add(&troubles??);
    }
    Ok(all)
}

/// New grants whose access tokens have ended.
async fn expired(subject: &Subject, plan: &Options, round: usize) -> Result<Vec<String>> {
    let ids = grants::seed(subject, plan.grants, &format!("round-{round}")).await?;
    tokio::time::sleep(UNTIL_OVER).await;
    Ok(ids)
}

struct Servers {
    subject: Subject,
    others: Vec<(Process, SocketAddr)>,
}

impl Servers {
    async fn start(plan: &Options, provider: &Provider) -> Result<Self> {
        let database = plan.database.clone();
        let database =
            database.context("--database: the postgres:// URL of an empty database is needed")?;
        let wanted = Wanted {
            threads: Some(plan.threads),
            database: Some(database),
            ..Wanted::api_of(provider)
        };
        let subject = subject::start_with(&plan.keyway, provider, &wanted).await?;
        let others = (1..SERVERS).map(|_| subject.replica());
        let others = others.collect::<Result<_>>()?;
        Ok(Self { subject, others })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let others = self.others.iter().map(|(_, address)| *address);
        std::iter::once(self.subject.address)
            .chain(others)
            .collect()
    }
}

pub(crate) async fn run(plan: &Options) -> Result<()> {
    let provider = provider::start(provider::ONE_HOUR).await?;
    let mut servers = Servers::start(plan, &provider).await?;
    println!(
        "{}; {SERVERS} servers of {} serving thread(s), {} callers, PostgreSQL on the same machine",
        report::machine(),
        plan.threads,
        plan.clients
    );
    println!(
        "{:<8}{:>10}{:>12}{:>14}{:>10}",
        "round", "grants", "refreshes", "refreshes/s", "calls"
    );
    let mut rates = Vec::new();
    for round in 1..=plan.rounds {
        let ids = expired(&servers.subject, plan, round).await?;
        let before = provider.refreshes();
        let began = Instant::now();
        call_twice(&servers.subject, &servers.addresses(), &ids, plan.clients).await?;
        let rate = report::rate(ids.len(), began);
        let refreshes = provider.refreshes() - before;
        println!(
            "{round:<8}{:>10}{refreshes:>12}{rate:>14.0}{:>10}",
            ids.len(),
            ids.len() * 2
        );
        if refreshes != u64::try_from(ids.len())? {
            bail!("{refreshes} refreshes for {} grants", ids.len());
        }
        rates.push(rate);
    }
    println!("median: {:.0} refreshes/s", median(rates.into_iter()));
    with_one_killed(plan, &provider, &mut servers).await
}

/// The last server is killed when a third of the grants have been refreshed.
async fn with_one_killed(plan: &Options, provider: &Provider, servers: &mut Servers) -> Result<()> {
    let ids = expired(&servers.subject, plan, plan.rounds + 1).await?;
    let (before, wanted) = (provider.refreshes(), u64::try_from(ids.len())?);
    let addresses = servers.addresses();
    let (mut victim, _) = servers.others.pop().context("no server to kill")?;
    let kill = async {
        while provider.refreshes() - before < wanted / 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        victim.kill()
    };
    let calls = call_twice(&servers.subject, &addresses, &ids, plan.clients);
    let (troubles, killed) = tokio::join!(calls, kill);
    killed?;
    let troubles = troubles?;
    let refreshes = provider.refreshes() - before;
    println!(
        "one of {SERVERS} killed after a third: {refreshes} refreshes for {wanted} grants; {} calls cut off and made again elsewhere, \
         {} told to wait, the longest answered after {:.1} s",
        troubles.cut_off,
        troubles.told_to_wait,
        troubles.longest.as_secs_f64()
    );
    let at_the_victim = u64::try_from(plan.clients.div_ceil(SERVERS))?;
    if !(wanted..=wanted + at_the_victim).contains(&refreshes) {
        bail!(
            "more than the {at_the_victim} refreshes that can have been under way at the killed server"
        );
    }
    Ok(())
}
