//! The server under test: the real binary, on an empty SQLite database, with one application and one
//! connector made through its own command line and API.

use crate::client::{Client, get, post_json};
use crate::process::Process;
use crate::provider::{CLIENT_ID, Provider};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Where the application wants its users back.
pub(crate) const REDIRECT_URI: &str = "http://127.0.0.1:1/cb";

pub(crate) struct Subject {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) application_id: String,
    pub(crate) api_key: String,
    pub(crate) started_in: Duration,
    pub(crate) idle_kib: u64,
    keyway: String,
    dir: TempDir,
}

impl Subject {
    /// Another server on the same database, with the same configuration.
    pub(crate) fn replica(&self) -> Result<(Process, SocketAddr)> {
        let mut process = Process::start(command(&self.keyway, &self.dir).arg("serve"))?;
        let address = process.address()?;
        Ok((process, address))
    }

    pub(crate) fn authorization(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.api_key)
    }

    pub(crate) fn database_bytes(&self) -> u64 {
        let path = self.dir.path().join("data/keyway.db");
        std::fs::metadata(path).map_or(0, |meta| meta.len())
    }
}

/// What a run asks of the server beside the usual.
pub(crate) struct Wanted {
    /// The provider's API.
    pub(crate) api: String,
    /// Threads that serve; as many as cores if none is said.
    pub(crate) threads: Option<usize>,
    /// More lines of `[server]`.
    pub(crate) server: String,
    /// Another database than SQLite in the data directory.
    pub(crate) database: Option<String>,
}

impl Wanted {
    /// The provider's own API, and else the usual.
    pub(crate) fn api_of(provider: &Provider) -> Self {
        Self {
            api: format!("http://{}", provider.address),
            threads: None,
            server: String::new(),
            database: None,
        }
    }
}

fn config(provider: &Provider, wanted: &Wanted) -> String {
    let base = format!("http://{}", provider.address);
    // On, and never reached.
    let limits = "[limits]\nrequests_per_second = 1000000\n";
    let threads = wanted
        .threads
        .map_or_else(String::new, |threads| format!("threads = {threads}\n"));
    let Wanted { api, server, .. } = wanted;
    let storage = wanted.database.as_ref().map_or_else(String::new, |url| {
        format!("[storage]\ndatabase = \"{url}\"\n")
    });
    format!(
        "{limits}{storage}[server]\n{threads}{server}[providers.google]\nissuer = \"{base}\"\nauthorization_endpoint = \"{base}/auth\"\n\
         token_endpoint = \"{base}/token\"\nuserinfo_endpoint = \"{base}/me\"\n\
         revocation_endpoint = \"{base}/revoke\"\njwks_uri = \"{base}/jwks\"\n\
         api_base_url = \"{api}\"\n"
    )
}

fn command(keyway: &str, dir: &TempDir) -> Command {
    let mut command = Command::new(keyway);
    command
        .env("KEYWAY_CONFIG", dir.path().join("keyway.toml"))
        .env("KEYWAY_DATA_DIR", dir.path().join("data"))
        .env("KEYWAY_LISTEN", "127.0.0.1:0");
    command
}

fn create_application(keyway: &str, dir: &TempDir) -> Result<Value> {
    let output = command(keyway, dir)
        .args([
            "app",
            "create",
            "--name",
            "bench",
            "--json",
            "--redirect-uri",
            REDIRECT_URI,
        ])
        .output()
        .with_context(|| format!("{keyway} cannot be run"))?;
    if !output.status.success() {
        bail!(
            "app create failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn text(value: &Value, name: &str) -> Result<String> {
    let found = value.get(name).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("no {name} in {value}"))?
        .to_owned())
}

/// Starts it and makes what sign-ins need.
pub(crate) async fn start(keyway: &str, provider: &Provider) -> Result<Subject> {
    start_with(keyway, provider, &Wanted::api_of(provider)).await
}

/// The same with another API or number of threads.
pub(crate) async fn start_with(
    keyway: &str,
    provider: &Provider,
    wanted: &Wanted,
) -> Result<Subject> {
    let dir = TempDir::new()?;
    std::fs::write(dir.path().join("keyway.toml"), config(provider, wanted))?;
    // The first start, on an empty database, is the one that is timed.
    let began = Instant::now();
    let mut process = Process::start(command(keyway, &dir).arg("serve"))?;
    let address = process.address()?;
    let mut client = Client::connect(address).await?;
    let health = client.status(&get("/healthz", "")).await?;
    let started_in = began.elapsed();
    if health != 200 {
        bail!("healthz answered {health}");
    }
    let idle_kib = process.resident_kib()?;
    let application = create_application(keyway, &dir)?;
    let subject = Subject {
        process,
        address,
        application_id: text(&application, "application_id")?,
        api_key: text(&application, "api_key")?,
        started_in,
        idle_kib,
        keyway: keyway.to_owned(),
        dir,
    };
    let connector = json!({"provider": "google", "name": "bench",
        "settings": {"client_id": CLIENT_ID, "client_secret": "bench-secret"}, "scope": []});
    let request = post_json("/v3/connectors", &subject.authorization(), &connector);
    let answer = client.send(&request).await?;
    if answer.status != 201 {
        bail!("the connector was not made: {}", answer.body);
    }
    Ok(subject)
}
