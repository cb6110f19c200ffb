//! Child processes: started, asked for their address, measured from /proc, ended by their id.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child })
    }

    /// The bare server, in a process of its own, with as many threads as the machine has.
    pub(crate) fn reference() -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let own = std::env::current_exe()?;
        Self::start(Command::new(own).args(["reference", &threads.to_string()]))
    }

    /// The address in the first line of its output.
    pub(crate) fn address(&mut self) -> Result<SocketAddr> {
        let stdout = self.child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.rsplit("http://").next().unwrap_or_default().trim();
        address
            .parse()
            .with_context(|| format!("no address in {line:?}"))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))
    }

    /// Processor time used so far, in microseconds, user and system.
    pub(crate) fn cpu_us(&self) -> Result<u64> {
        let (user, system) = self.cpu_split_us()?;
        Ok(user + system)
    }

    /// The same apart: user, then system.
    pub(crate) fn cpu_split_us(&self) -> Result<(u64, u64)> {
        let stat = self.proc_file("stat")?;
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        // Fields 14 and 15 of proc(5), counted from after the command; a tick is 10 ms on Linux.
        Ok((
            ticks(11).unwrap_or(0) * 10_000,
            ticks(12).unwrap_or(0) * 10_000,
        ))
    }

    /// How many files it has open, connections among them.
    pub(crate) fn open_files(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.child.id());
        let files = std::fs::read_dir(&path).with_context(|| format!("{path} cannot be read"))?;
        Ok(files.count())
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let status = self.proc_file("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or("0");
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
