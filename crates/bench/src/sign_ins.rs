//! Whole hosted sign-ins: authorize, callback (with the provider's token endpoint behind it), exchange.
//! Durable: SQLite with synchronous=FULL. The reference is the same number of plain exchanges.

use crate::client::{Client, get, post_json};
use crate::load::{Plan, drive};
use crate::process::Process;
use crate::provider::Provider;
use crate::report::{Measured, Table};
use crate::subject::{REDIRECT_URI, Subject};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Mutex;
use url::Url;

/// HTTP exchanges in a sign-in: authorize, callback, the provider's token endpoint, exchange.
const EXCHANGES: f64 = 4.0;

/// Users signed in so far, over all rounds: each is new.
static USERS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone)]
struct Facts {
    application_id: String,
    api_key: String,
}

/// One sign-in of a new user; the grant's id.
async fn sign_in(client: &mut Client, facts: &Facts) -> Result<String> {
    let user = format!(
        "user-{}@bench.example",
        USERS.fetch_add(1, Ordering::Relaxed)
    );
    let redirect = form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect::<String>();
    let path = format!(
        "/v3/connect/auth?client_id={}&redirect_uri={redirect}&response_type=code&provider=google&access_type=offline",
        facts.application_id
    );
    let begun = client.send(&get(&path, "")).await?;
    let location = Url::parse(begun.header("location").context("no location")?)?;
    let query = |name: &str| {
        let found = location.query_pairs().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .with_context(|| format!("no {name}"))
    };
    let cookie = begun
        .header("set-cookie")
        .and_then(|text| text.split(';').next());
    let cookie = format!("cookie: {}\r\n", cookie.context("no cookie")?);
    let path = format!(
        "/v3/connect/callback?state={}&code={user}.{}",
        query("state")?,
        query("nonce")?
    );
    let called = client.send(&get(&path, &cookie)).await?;
    let back = Url::parse(
        called
            .header("location")
            .context("no location at the callback")?,
    )?;
    let code = back
        .query_pairs()
        .find(|(name, _)| name == "code")
        .map(|(_, code)| code.into_owned());
    let body = json!({"grant_type": "authorization_code", "client_id": facts.application_id,
        "client_secret": facts.api_key, "redirect_uri": REDIRECT_URI,
        "code": code.with_context(|| format!("no code in {back}"))?});
    let answer = client
        .send(&post_json("/v3/connect/token", "", &body))
        .await?;
    match answer.json()?.get("grant_id").and_then(Value::as_str) {
        Some(id) if answer.status == 200 => Ok(id.to_owned()),
        _ => bail!("the exchange failed: {}", answer.body),
    }
}

/// Signs one user in; for the benchmark of reads.
pub(crate) async fn one(subject: &Subject) -> Result<String> {
    let mut client = Client::connect(subject.address).await?;
    sign_in(&mut client, &facts(subject)).await
}

fn facts(subject: &Subject) -> Facts {
    Facts {
        application_id: subject.application_id.clone(),
        api_key: subject.api_key.clone(),
    }
}

pub(crate) async fn round(
    plan: &Plan,
    subject: &Subject,
    _provider: &Provider,
    reference: &Process,
    reference_address: SocketAddr,
    table: &mut Table,
) -> Result<()> {
    let before = subject.process.cpu_us()?;
    let ours = drive(plan, async |_| {
        let client = Arc::new(Mutex::new(Client::connect(subject.address).await?));
        let facts = facts(subject);
        Ok(move || {
            let (client, facts) = (Arc::clone(&client), facts.clone());
            async move { sign_in(&mut *client.lock().await, &facts).await.map(drop) }
        })
    })
    .await?;
    let ours = Measured::new(&ours, subject.process.cpu_us()? - before);
    let plain = crate::reads::plain(plan, reference_address, reference, "/").await?;
    table.add("hosted sign-in", ours, plain.split(EXCHANGES));
    Ok(())
}
