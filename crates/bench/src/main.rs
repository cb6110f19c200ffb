//! Measures a running `keyway` against a bare hyper server in the same run, alternating, and prints
//! ratios: requests for one grant, and whole hosted sign-ins. Absolute figures depend on the machine;
//! the ratios are what the budget speaks of.
//!
//! `keyway-bench run --keyway target/release/keyway` does everything; `keyway-bench reference` is the
//! bare server it starts beside it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark reads the machine's clock"
)]

mod client;
mod grants;
mod load;
mod nginx;
mod overload;
mod process;
mod provider;
mod proxy;
mod reads;
mod reference;
mod refresh;
mod replicas;
mod report;
mod sign_ins;
mod subject;
mod wrk;

use anyhow::{Context as _, Result, bail};

/// What the command line may say.
struct Options {
    keyway: String,
    rounds: usize,
    seconds: u64,
    clients: usize,
    grants: usize,
    threads: usize,
    /// Where several servers keep everything.
    database: Option<String>,
}

fn options(mut args: impl Iterator<Item = String>, usual_clients: usize) -> Result<Options> {
    let mut options = Options {
        keyway: "target/release/keyway".into(),
        rounds: 5,
        seconds: 3,
        clients: usual_clients,
        grants: 10_000,
        threads: 1,
        database: None,
    };
    while let Some(name) = args.next() {
        let value = args
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--keyway" => options.keyway = value,
            "--rounds" => options.rounds = value.parse()?,
            "--seconds" => options.seconds = value.parse()?,
            "--clients" => options.clients = value.parse()?,
            "--grants" => options.grants = value.parse()?,
            "--threads" => options.threads = value.parse()?,
            "--database" => options.database = Some(value),
            other => bail!(
                "unknown option {other}; known: --keyway --rounds --seconds --clients --grants --threads --database"
            ),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("reference") => reference::serve(args.next().as_deref().unwrap_or("2")),
        Some("run") => block_on(run(&options(args, 16)?)),
        Some("proxy") => block_on(proxy::run(&options(args, 32)?)),
        Some("overload") => block_on(overload::run(&options(args, 32)?)),
        Some("refresh") => block_on(refresh::run(&options(args, 32)?)),
        Some("replicas") => block_on(replicas::run(&options(args, 32)?)),
        _ => bail!(
            "usage: keyway-bench run|proxy|refresh|replicas|overload [--keyway PATH] [--rounds N] [--seconds N] [--clients N] [--grants N] [--threads N] [--database URL]"
        ),
    }
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work)
}

async fn run(options: &Options) -> Result<()> {
    let provider = provider::start(provider::ONE_HOUR).await?;
    let subject = subject::start(&options.keyway, &provider).await?;
    let mut reference = process::Process::reference()?;
    let reference_addr = reference.address()?;
    println!("{}", report::machine());
    report::start_up(&subject);
    let plan = load::Plan {
        clients: options.clients,
        seconds: options.seconds,
    };
    // Durable work shares commits: it is measured, like its reference, with as many users as share one.
    let users = load::Plan {
        clients: options.clients * 4,
        seconds: options.seconds,
    };
    let mut table = report::Table::default();
    for round in 1..=options.rounds {
        eprintln_progress(round, options.rounds);
        reads::round(&plan, &subject, &reference, reference_addr, &mut table).await?;
        sign_ins::round(
            &users,
            &subject,
            &provider,
            &reference,
            reference_addr,
            &mut table,
        )
        .await?;
    }
    table.print();
    report::memory(&subject)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress goes beside the table")]
fn eprintln_progress(round: usize, rounds: usize) {
    eprintln!("round {round} of {rounds}");
}
