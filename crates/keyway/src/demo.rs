//! `keyway demo`: a server, a sandbox provider and an application on this machine, and the story of what
//! they do together.
//!
//! Everything is real but the provider: requests go over loopback connections to a server that is put
//! together as `keyway serve` does it. The only secrets that are printed are the sandbox's.

mod browser;
mod http_client;
mod landing;
mod shared;
mod steps;
mod tour;
mod world;

use crate::cli::DemoArgs;
use crate::failure::Failure;
use crate::logging::{self, Program};
use crate::serve::stop_signal;
use crate::{output, session};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use tour::Tour;
use world::World;

/// Tells the story, and then stays up unless asked not to.
///
/// # Errors
/// If a step does not end as it should.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let directory = Directory::choose(args.dir.as_deref())?;
    session::on_runtime(async |runtime| {
        let stop = stop_signal().context("the system lets nobody ask this process to stop")?;
        let config = world::config(directory.path())?;
        logging::start(&config.log, Program::Command);
        let mut tour = Tour::new();
        tour.title("Keyway: one connector per provider, many provider applications behind it")?;
        let world = World::start(config, runtime.handle()).await?;
        tour.facts(&world.introduction())?;
        let mut stop = std::pin::pin!(stop);
        let told = tokio::select! {
            told = steps::tell(&world, &mut tour) => told,
            () = stop.as_mut() => return world.stop().await,
        };
        if told.is_ok() && !args.exit {
            output::line(&world.invitation(directory.path()))?;
            stop.await;
        }
        let stopped = world.stop().await;
        told.context(Failure::new("the demo did not end as it should"))?;
        stopped
    })
}

/// Where the demo keeps its database.
enum Directory {
    /// Gone when the demo ends.
    Temporary(tempfile::TempDir),
    /// Kept.
    Named(PathBuf),
}

impl Directory {
    fn choose(named: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = named else {
            let made = tempfile::Builder::new().prefix("keyway-demo-").tempdir();
            let what = "no temporary directory can be made";
            return Ok(Self::Temporary(
                made.context(Failure::new(what).next("Name one with --dir."))?,
            ));
        };
        let is_used = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if is_used {
            let what = format!("{} is not empty", path.display());
            let next = "The demo begins with a new database: name a directory that is empty or does not exist.";
            return Err(Failure::bad_input(what).next(next).into());
        }
        crate::files::make_private_directory(path)?;
        Ok(Self::Named(path.to_owned()))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Named(path) => path,
        }
    }
}
