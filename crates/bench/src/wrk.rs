//! The load: wrk from Debian, which picks one of the grants at random for every request.

use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// One run's figures.
pub(crate) struct Run {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Requests for one file on behalf of every grant.
pub(crate) struct Script {
    path: PathBuf,
    _dir: TempDir,
}

impl Script {
    /// A script that asks for `file` through the grants at random, with this API key.
    pub(crate) fn new(api_key: &str, grants: &[String], file: &str) -> Result<Self> {
        let mut text = String::from("local requests = {}\nlocal ids = {\n");
        for id in grants {
            writeln!(text, "\"{id}\",")?;
        }
        writeln!(
            text,
            "}}\n\
             init = function(args)\n\
               math.randomseed(7)\n\
               for i, id in ipairs(ids) do\n\
                 requests[i] = wrk.format('GET', '/v3/grants/' .. id .. '/proxy/{file}', {{['Authorization'] = 'Bearer {api_key}', ['Host'] = 'bench'}})\n\
               end\n\
             end\n\
             request = function() return requests[math.random(#requests)] end\n\
             done = function(summary, latency)\n\
               local e = summary.errors\n\
               local bad = e.connect + e.read + e.write + e.status + e.timeout\n\
               io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), bad))\n\
             end"
        )?;
        let dir = TempDir::new()?;
        let path = dir.path().join("load.lua");
        std::fs::write(&path, text)?;
        Ok(Self { path, _dir: dir })
    }

    /// Runs it against `address` for so many seconds.
    pub(crate) fn run(&self, address: SocketAddr, seconds: u64, clients: usize) -> Result<Run> {
        let output = Command::new("wrk")
            .args([
                "-t1",
                &format!("-c{clients}"),
                &format!("-d{seconds}s"),
                "-s",
            ])
            .arg(&self.path)
            .arg(format!("http://{address}"))
            .output()
            .context("wrk cannot be run; scripts/bench installs it")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
        let figures = line.with_context(|| format!("wrk said {text}"))?;
        let figures: Vec<f64> = figures
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [requests, duration_us, p50_us, p99_us, bad] = figures[..] else {
            bail!("wrk said {text}");
        };
        if bad > 0.0 {
            bail!("{bad} of {requests} requests to {address} failed");
        }
        Ok(Run {
            requests,
            per_second: requests / duration_us * 1e6,
            p50_us,
            p99_us,
        })
    }
}
