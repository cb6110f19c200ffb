//! Calls on behalf of 10,000 grants at random, against nginx's `proxy_pass` with a fixed header before the
//! same provider.

use crate::nginx::{self, Nginx};
use crate::process::Process;
use crate::report::median;
use crate::subject::{self, Subject, Wanted};
use crate::wrk::{Run, Script};
use crate::{Options, grants, provider, report};
use anyhow::Result;
use std::net::SocketAddr;

/// One side of one round.
struct Measured {
    run: Run,
    user_us: f64,
    system_us: f64,
}

impl Measured {
    fn cpu_us(&self) -> f64 {
        self.user_us + self.system_us
    }
}

/// One size of answer, in all its rounds.
struct Series {
    name: &'static str,
    script: Script,
    rounds: Vec<(Measured, Measured)>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a few seconds of microseconds fit"
)]
fn measure(
    script: &Script,
    address: SocketAddr,
    process: &Process,
    plan: &Options,
) -> Result<Measured> {
    let (user, system) = process.cpu_split_us()?;
    let run = script.run(address, plan.seconds, plan.clients)?;
    let (user_after, system_after) = process.cpu_split_us()?;
    Ok(Measured {
        user_us: (user_after - user) as f64 / run.requests,
        system_us: (system_after - system) as f64 / run.requests,
        run,
    })
}

impl Series {
    fn round(
        &mut self,
        number: usize,
        subject: &Subject,
        nginx: &Nginx,
        plan: &Options,
    ) -> Result<()> {
        let ours = || measure(&self.script, subject.address, &subject.process, plan);
        let theirs = || measure(&self.script, nginx.front, &nginx.front_process, plan);
        // Whoever comes first may find a quieter or a warmer machine.
        let pair = if number.is_multiple_of(2) {
            let ours = ours()?;
            (ours, theirs()?)
        } else {
            let theirs = theirs()?;
            (ours()?, theirs)
        };
        self.rounds.push(pair);
        Ok(())
    }

    fn print(&self) {
        println!(
            "\n{}\n{:<8}{:>10}{:>10}{:>8}{:>9}{:>9}{:>9}{:>9}{:>10}{:>10}{:>8}",
            self.name,
            "round",
            "keyway/s",
            "nginx/s",
            "ratio",
            "p50 us",
            "p99 us",
            "nginx",
            "nginx",
            "cpu us",
            "nginx",
            "ratio"
        );
        for (number, (ours, theirs)) in self.rounds.iter().enumerate() {
            println!(
                "{:<8}{:>10.0}{:>10.0}{:>8.2}{:>9.0}{:>9.0}{:>9.0}{:>9.0}{:>10}{:>10}{:>8.2}",
                number + 1,
                ours.run.per_second,
                theirs.run.per_second,
                ours.run.per_second / theirs.run.per_second,
                ours.run.p50_us,
                ours.run.p99_us,
                theirs.run.p50_us,
                theirs.run.p99_us,
                format!("{:.1}+{:.1}", ours.user_us, ours.system_us),
                format!("{:.1}+{:.1}", theirs.user_us, theirs.system_us),
                ours.cpu_us() / theirs.cpu_us(),
            );
        }
        let ratio = |of: fn(&Measured) -> f64| {
            median(
                self.rounds
                    .iter()
                    .map(|(ours, theirs)| of(ours) / of(theirs)),
            )
        };
        println!(
            "medians of the rounds' ratios: requests/s {:.2}, p50 {:.2}, p99 {:.2}, cpu a request {:.2} (user {:.2})",
            ratio(|m| m.run.per_second),
            ratio(|m| m.run.p50_us),
            ratio(|m| m.run.p99_us),
            ratio(Measured::cpu_us),
            ratio(|m| m.user_us),
        );
    }
}

/// Everything: seeds the grants, warms both sides, runs the rounds, prints the tables.
pub(crate) async fn run(plan: &Options) -> Result<()> {
    let provider = provider::start(provider::ONE_HOUR).await?;
    let nginx = nginx::start()?;
    let wanted = Wanted {
        api: format!("http://{}", nginx.backend),
        threads: Some(plan.threads),
        ..Wanted::api_of(&provider)
    };
    let subject = subject::start_with(&plan.keyway, &provider, &wanted).await?;
    println!(
        "{}; keyway with {} serving thread(s)",
        report::machine(),
        plan.threads
    );
    report::start_up(&subject);
    let ids = grants::seed(&subject, plan.grants, "user").await?;
    println!("grants: {}", ids.len());
    // Every grant once: what they were seeded with has expired, so each is refreshed here.
    grants::call_each(&subject, &ids, plan.clients, nginx::SMALL).await?;
    let mut all = Vec::new();
    for (name, file) in [
        ("205-byte answers", nginx::SMALL),
        ("64 KiB answers", nginx::LARGE),
    ] {
        all.push(Series {
            name,
            script: Script::new(&subject.api_key, &ids, file)?,
            rounds: Vec::new(),
        });
    }
    for number in 0..plan.rounds {
        crate::eprintln_progress(number + 1, plan.rounds);
        for series in &mut all {
            series.round(number, &subject, &nginx, plan)?;
        }
    }
    all.iter().for_each(Series::print);
    report::memory(&subject)
}
