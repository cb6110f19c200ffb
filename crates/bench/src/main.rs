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
mod load;
mod process;
mod provider;
mod reads;
mod reference;
mod report;
mod sign_ins;
mod subject;

use anyhow::{Context as _, Result, bail};

/// What the command line may say.
struct Options {
    keyway: String,
    rounds: usize,
    seconds: u64,
    clients: usize,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        keyway: "target/release/keyway".into(),
        rounds: 5,
        seconds: 3,
        clients: 16,
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
            other => bail!("unknown option {other}; known: --keyway --rounds --seconds --clients"),
        }
    }
    Ok(options)
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("reference") => reference::serve(args.next().as_deref().unwrap_or("2")),
        Some("run") => {
            let options = options(args)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(&options))
        }
        _ => bail!(
            "usage: keyway-bench run [--keyway PATH] [--rounds N] [--seconds N] [--clients N]"
        ),
    }
}

async fn run(options: &Options) -> Result<()> {
    let provider = provider::start().await?;
    let subject = subject::start(&options.keyway, &provider).await?;
    let mut reference = process::Process::reference()?;
    let reference_addr = reference.address()?;
    println!("{}", report::machine());
    report::start_up(&subject);
    let plan = load::Plan {
        clients: options.clients,
        seconds: options.seconds,
    };
    let mut table = report::Table::default();
    for round in 1..=options.rounds {
        eprintln_progress(round, options.rounds);
        reads::round(&plan, &subject, &reference, reference_addr, &mut table).await?;
        sign_ins::round(
            &plan,
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
