//! `keyway serve`: a server from its first listener to its last answer.
//!
//! Connections are served by threads that share nothing but the port: each has a listener of its own
//! (`SO_REUSEPORT`) and a runtime of its own, so that a request never moves between cores. Calls to
//! providers and work that outlives a request run on the engine's runtime beside them.

mod admin;
mod body;
mod connection;
mod crowd;
mod lane;
mod limiter;
mod listener;
mod metrics;
mod patient;
mod peer;
mod places;
mod proxy;
mod signal;
mod streams;
mod worker;

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::config::environment::Environment;
use crate::config::setting::Origin;
use crate::failure::Failure;
use crate::logging::{self, Program};
use crate::{open, output, session};
use anyhow::Context as _;
use keyway_engine::Engine;
use keyway_web::WebOptions;
use lane::{Lane, Limits};
use limiter::Limiter;
use metrics::Metrics;
use proxy::Proxy;
pub(crate) use signal::stop as stop_signal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;
use worker::Workers;

/// How long requests under way may take to end once the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(30);

/// Runs the server until it is asked to stop.
///
/// # Errors
/// If it cannot start, or stops by itself.
pub(crate) fn run(args: &ServeArgs, environment: &Environment) -> anyhow::Result<()> {
    let config = Config::load(args, environment)?;
    logging::start(&config.log, Program::Server);
    session::on_runtime(async |runtime| {
        let stop = signal::stop().context("the system lets nobody ask this process to stop")?;
        signal::outlive_file_size_limit()?;
        let server = Server::start(config, runtime.handle()).await?;
        output::line(&format!("keyway listening on http://{}", server.address))?;
        tokio::select! {
            () = stop => tracing::info!("stopping: requests under way are finished first"),
            () = server.workers.failed() => {
                server.stop().await?;
                return Err(Failure::new("a thread that serves connections ended").into());
            }
        }
        server.stop().await
    })
}

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it works with.
    pub(crate) engine: Engine,
    workers: Workers,
    admin: CancellationToken,
}

impl Server {
    /// Starts a server; it accepts connections when this returns. Its background work is on `runtime`.
    ///
    /// # Errors
    /// If the port is taken, or the configuration's database cannot be opened.
    pub(crate) async fn start(mut config: Config, runtime: &Handle) -> anyhow::Result<Self> {
        let listeners = listener::bind(&config.listen, config.threads.value)?;
        adopt_address(&mut config, listeners.address)?;
        let engine = open::open(&config, runtime, open::Opening::MayMake).await?;
        settle_shared_apps(&engine).await?;
        engine.run_background();
        let metrics = Arc::new(Metrics::starting_at(engine.now()));
        let admin = CancellationToken::new();
        if let Some(address) = &config.admin_listen {
            let page = admin::Admin::new(engine.clone(), metrics.clone());
            let bound = page.serve(address, runtime, admin.clone()).await?;
            tracing::info!(address = %bound, "the operator's listener is up");
        }
        let upstreams = open::upstreams(&config)?;
        let lane = Lane::new(
            keyway_web::router(engine.clone(), web_options(&config)),
            Proxy::new(engine.clone(), upstreams, metrics.clone()),
            engine.clone(),
            limits(&config),
            metrics,
        );
        let address = listeners.address;
        let workers = Workers::start(listeners.sockets, &lane, config.max_connections.value)?;
        log_start(&config, address);
        Ok(Self {
            address,
            engine,
            workers,
            admin,
        })
    }

    /// Accepts no more, finishes what is under way, and closes everything.
    ///
    /// # Errors
    /// If a thread that serves connections had ended by itself.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.workers.drain(DRAIN).await;
        self.admin.cancel();
        // The threads' runtimes may carry database connections: they end last.
        self.engine.shutdown().await;
        self.workers.end().await
    }
}

/// The configuration's shared apps must be those that grants live by.
async fn settle_shared_apps(engine: &Engine) -> anyhow::Result<()> {
    let settled = engine.settle_shared_apps().await;
    let settled = settled.context(Failure::new("shared apps could not be looked up"))?;
    settled.map_err(|changed| {
        let what = format!(
            "[shared_apps.{}] has another client_id than the one that grants live by ({}; grants of one credential: {}). Their tokens are good for that client only: put it back. To change over, have the applications add credentials of their own and their users sign in again, or delete those grants.",
            changed.provider, changed.former, changed.grants
        );
        Failure::bad_input(what).into()
    })
}

/// Where nobody said how the server is reached, it is reached where it listens.
fn adopt_address(config: &mut Config, address: SocketAddr) -> anyhow::Result<()> {
    if config.public_url.origin != Origin::Default {
        return Ok(());
    }
    if address.ip().is_unspecified() {
        tracing::warn!(
            "listening on every address without a public URL: browsers and providers need one, see --public-url"
        );
    }
    let url = Url::parse(&format!("http://{address}"));
    config.public_url.value =
        url.context(Failure::new("the address cannot be written as a URL"))?;
    Ok(())
}

fn limits(config: &Config) -> Limits {
    Limits {
        // Threads share nothing; the system spreads connections evenly over them.
        requests: config.max_requests.value.div_ceil(config.threads.value),
        write_timeout: Duration::from_secs(config.write_timeout_secs.value.into()),
        limiter: config.requests_per_second.map(Limiter::new),
        public_url: config.public_url.value.clone(),
    }
}

fn web_options(config: &Config) -> WebOptions {
    WebOptions {
        trusted_proxies: config.network.trusted_proxies.clone(),
        allow_provider_tokens: config.allow_provider_tokens,
        ..WebOptions::new(config.public_url.value.clone())
    }
}

fn log_start(config: &Config, address: SocketAddr) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        %address,
        public_url = config.public_base(),
        database = %config.database.value,
        threads = config.threads.value,
        register_at_providers = config.callback_uri(),
        "accepting connections"
    );
}
