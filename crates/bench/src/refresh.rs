//! 10,000 grants whose tokens have expired, each called once by 32 clients: as many refreshes as grants,
//! against the provider's token endpoint driven directly.

use crate::provider::{self, Provider};
use crate::report::median;
use crate::subject::{self, Wanted};
use crate::{Options, grants, report};
use anyhow::{Result, bail};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tokens live so briefly that they have ended for Keyway soon after a round.
const LIFETIME_SECS: u64 = 4;
const UNTIL_OVER: Duration = Duration::from_secs(LIFETIME_SECS);

/// The token endpoint by itself, asked as often by as many clients.
async fn direct(provider: &Provider, plan: &Options) -> Result<f64> {
    let body = "grant_type=refresh_token&refresh_token=rt-direct&client_id=bench-app&client_secret=bench-secret";
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = Arc::new(request.into_bytes());
    let requests: Vec<_> = (0..plan.grants).map(|_| Arc::clone(&request)).collect();
    let began = Instant::now();
    grants::send_each(provider.address, &requests, plan.clients).await?;
    Ok(report::rate(plan.grants, began))
}

pub(crate) async fn run(plan: &Options) -> Result<()> {
    let provider = provider::start(LIFETIME_SECS).await?;
    let wanted = Wanted {
        threads: Some(plan.threads),
        ..Wanted::api_of(&provider)
    };
    let subject = subject::start_with(&plan.keyway, &provider, &wanted).await?;
    println!(
        "{}; keyway with {} serving thread(s)",
        report::machine(),
        plan.threads
    );
    let ids = grants::seed(&subject, plan.grants, "user").await?;
    println!(
        "{:<8}{:>14}{:>14}{:>14}{:>8}",
        "round", "refreshes", "keyway/s", "endpoint/s", "ratio"
    );
    let mut rates = Vec::new();
    for round in 1..=plan.rounds {
        let endpoint = direct(&provider, plan).await?;
        tokio::time::sleep(UNTIL_OVER).await;
        let before = provider.refreshes();
        let began = Instant::now();
        grants::call_each(&subject, &ids, plan.clients, "me.json").await?;
        let ours = report::rate(ids.len(), began);
        let refreshes = provider.refreshes() - before;
        println!(
            "{round:<8}{refreshes:>14}{ours:>14.0}{endpoint:>14.0}{:>8.2}",
            ours / endpoint
        );
        if refreshes != u64::try_from(ids.len())? {
            bail!("{refreshes} refreshes for {} grants", ids.len());
        }
        rates.push((ours, endpoint));
    }
    println!(
        "medians: {:.0} refreshes/s, {:.2} of the endpoint's own rate",
        median(rates.iter().map(|(ours, _)| *ours)),
        median(rates.iter().map(|(ours, endpoint)| ours / endpoint)),
    );
    report::memory(&subject)
}
