//! Many grants, made by custom authentication, whose tokens have expired at once.

use crate::client::{Client, get, post_json};
use crate::subject::Subject;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Clients that make grants.
const MAKERS: usize = 16;

/// Makes `count` grants of users who are called `name` and numbered; their ids.
pub(crate) async fn seed(subject: &Subject, count: usize, name: &str) -> Result<Vec<String>> {
    let mut makers = JoinSet::new();
    for maker in 0..MAKERS {
        let (address, authorization) = (subject.address, subject.authorization());
        let name = name.to_owned();
        makers.spawn(async move {
            let mut client = Client::connect(address).await?;
            let mut ids = Vec::new();
            for number in (maker..count).step_by(MAKERS) {
                let token = format!("seed.{name}-{number}@bench.example");
                let body = json!({"provider": "google", "settings": {"refresh_token": token}});
                let request = post_json("/v3/connect/custom", &authorization, &body);
                let answer = client.send(&request).await?;
                let answer = answer.json()?;
                let id = answer.pointer("/data/id").and_then(Value::as_str);
                ids.push(
                    id.with_context(|| format!("no grant: {answer}"))?
                        .to_owned(),
                );
            }
            Ok::<_, anyhow::Error>(ids)
        });
    }
    let mut all = Vec::new();
    while let Some(ids) = makers.join_next().await {
        all.extend(ids??);
    }
    Ok(all)
}

/// Calls each grant once, over so many clients.
pub(crate) async fn call_each(
    subject: &Subject,
    ids: &[String],
    clients: usize,
    file: &str,
) -> Result<()> {
    let requests: Vec<_> = ids
        .iter()
        .map(|id| {
            let path = format!("/v3/grants/{id}/proxy/{file}");
            Arc::new(get(&path, &subject.authorization()))
        })
        .collect();
    send_each(subject.address, &requests, clients).await
}

/// Sends each request once, over so many clients.
pub(crate) async fn send_each(
    address: std::net::SocketAddr,
    requests: &[Arc<Vec<u8>>],
    clients: usize,
) -> Result<()> {
    let mut callers = JoinSet::new();
    for caller in 0..clients {
        let share: Vec<_> = requests
            .iter()
            .skip(caller)
            .step_by(clients)
            .cloned()
            .collect();
        callers.spawn(async move {
            let mut client = Client::connect(address).await?;
            for request in share {
                match client.status(&request).await? {
                    200 => {}
                    other => bail!("status {other}"),
                }
            }
            Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}
