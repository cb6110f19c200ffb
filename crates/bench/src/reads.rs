//! `GET /v3/grants/{id}`, warm, over many grants at random.

use crate::client::{Client, get};
use crate::load::{Plan, drive};
use crate::process::Process;
use crate::report::{Measured, Table};
use crate::subject::Subject;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Grants read in turn by each client.
const GRANTS: usize = 64;

/// Plain requests to the reference.
pub(crate) async fn plain(
    plan: &Plan,
    address: SocketAddr,
    process: &Process,
    path: &str,
) -> Result<Measured> {
    let before = process.cpu_us()?;
    let request = Arc::new(get(path, ""));
    let rate = drive(plan, async |_| {
        repeat(address, vec![Arc::clone(&request)]).await
    })
    .await?;
    Ok(Measured::new(&rate, process.cpu_us()? - before))
}

/// A worker that sends these requests in turn on one connection.
async fn repeat(
    address: SocketAddr,
    requests: Vec<Arc<Vec<u8>>>,
) -> Result<
    impl FnMut() -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + 'static,
> {
    let client = Arc::new(Mutex::new(Client::connect(address).await?));
    let mut turn = 0_usize;
    Ok(move || {
        let client = Arc::clone(&client);
        let request = requests
            .get(turn % requests.len())
            .cloned()
            .unwrap_or_default();
        turn = turn.wrapping_add(1);
        let sent: std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>> =
            Box::pin(async move {
                match client.lock().await.status(&request).await? {
                    200 => Ok(()),
                    other => bail!("status {other}"),
                }
            });
        sent
    })
}

pub(crate) async fn round(
    plan: &Plan,
    subject: &Subject,
    reference: &Process,
    reference_address: SocketAddr,
    table: &mut Table,
) -> Result<()> {
    let mut requests = Vec::new();
    for _ in 0..GRANTS {
        let id = crate::sign_ins::one(subject).await?;
        requests.push(Arc::new(get(
            &format!("/v3/grants/{id}"),
            &subject.authorization(),
        )));
    }
    let before = subject.process.cpu_us()?;
    let ours = drive(plan, async |_| {
        repeat(subject.address, requests.clone()).await
    })
    .await?;
    let ours = Measured::new(&ours, subject.process.cpu_us()? - before);
    let plain = plain(plan, reference_address, reference, "/").await?;
    table.add("GET /v3/grants/{id}, warm", ours, plain);
    Ok(())
}
