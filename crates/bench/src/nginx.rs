//! The baselines: an nginx that serves files, and one that passes requests on to it. Both with one worker,
//! without access logs.

use crate::process::Process;
use anyhow::{Context as _, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What the small answer is: 205 bytes of JSON.
const SMALL_BYTES: usize = 205;
const LARGE_BYTES: usize = 64 * 1024;

pub(crate) const SMALL: &str = "me.json";
pub(crate) const LARGE: &str = "large.bin";

/// A provider's API and a reverse proxy before it.
pub(crate) struct Nginx {
    pub(crate) backend: SocketAddr,
    pub(crate) front: SocketAddr,
    pub(crate) front_process: Process,
    _backend_process: Process,
    _dir: TempDir,
}

fn free_port() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn write_answers(dir: &Path) -> Result<()> {
    let start = r#"{"id":"me","padding":""#;
    let padding = "x".repeat(SMALL_BYTES - start.len() - 2);
    std::fs::write(dir.join(SMALL), format!("{start}{padding}\"}}"))?;
    std::fs::write(dir.join(LARGE), vec![b'x'; LARGE_BYTES])?;
    Ok(())
}

/// What both configurations begin with. One process each, so that /proc shows the worker itself.
fn common(dir: &Path, name: &str) -> String {
    let dir = dir.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {dir}/{name}.pid; error_log {dir}/{name}.log crit;\n\
         events {{ worker_connections 2048; }}\n"
    )
}

fn http(dir: &Path, body: &str) -> String {
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", dir.display()))
        .join(" ");
    format!("http {{ access_log off; keepalive_requests 1000000; {paths} {body} }}\n")
}

fn backend(dir: &Path, address: SocketAddr) -> String {
    let root = dir.display();
    let body = format!(
        "sendfile on; tcp_nopush on; open_file_cache max=100 inactive=60s; types {{ application/json json; }}\n\
         server {{ listen {address} backlog=1024; root {root};\n\
         location ~ /{SMALL}$ {{ try_files /{SMALL} =404; }} location ~ /{LARGE}$ {{ try_files /{LARGE} =404; }} }}"
    );
    common(dir, "backend") + &http(dir, &body)
}

fn front(dir: &Path, address: SocketAddr, backend: SocketAddr) -> String {
    let body = format!(
        "upstream up {{ server {backend}; keepalive 64; keepalive_requests 1000000; }}\n\
         server {{ listen {address} backlog=1024; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; proxy_set_header Authorization \"Bearer at-fixed\";\n\
         proxy_set_header Host upstream.test; }} }}"
    );
    common(dir, "front") + &http(dir, &body)
}

fn run(dir: &Path, name: &str, config: &str) -> Result<Process> {
    let path = dir.join(format!("{name}.conf"));
    std::fs::write(&path, config)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&path);
    Process::start(&mut command).context("nginx cannot be run; scripts/bench installs it")
}

/// Starts both.
pub(crate) fn start() -> Result<Nginx> {
    let dir = TempDir::new()?;
    write_answers(dir.path())?;
    let (backend_address, front_address) = (free_port()?, free_port()?);
    let backend_process = run(dir.path(), "backend", &backend(dir.path(), backend_address))?;
    let config = front(dir.path(), front_address, backend_address);
    let front_process = run(dir.path(), "front", &config)?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    Ok(Nginx {
        backend: backend_address,
        front: front_address,
        front_process,
        _backend_process: backend_process,
        _dir: dir,
    })
}
