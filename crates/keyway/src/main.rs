//! The program `keyway`: command line, configuration, listeners, and the order in which the other
//! crates are put together. It decides nothing about sign-ins, tokens or grants.
//!
//! Kept here: the environment is read once, in [`config`]; standard output belongs to [`output`];
//! every failure ends in words that say what to do next ([`failure`]).

mod app;
mod backup;
mod check;
mod cli;
mod config;
mod demo;
mod doctor;
mod failure;
mod files;
mod key;
mod keyring;
mod link;
mod logging;
mod master_key;
mod open;
mod output;
mod portable;
mod progress;
mod sandbox;
mod serve;
mod service_account;
mod session;

use clap::Parser as _;
use cli::{Cli, Command, ConfigCommand};
use config::environment::Environment;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command, &Environment::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::notice(&failure::report(&error));
            ExitCode::from(failure::status(&error))
        }
    }
}

fn run(command: &Command, environment: &Environment) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(args, environment),
        Command::Demo(args) => demo::run(args),
        Command::Sandbox(args) => sandbox::run(args),
        Command::App(command) => app::run(command, environment),
        Command::Key(command) => key::run(command, environment),
        Command::Backup(args) => backup::run(args, environment),
        Command::Restore(args) => backup::restore::run(args, environment),
        Command::Doctor(args) => doctor::run(args, environment),
        Command::Export(args) => portable::export::run(args, environment),
        Command::Import(args) => portable::import::run(args, environment),
        Command::Keyring(command) => keyring::run(command, environment),
        Command::ServiceAccount(command) => service_account::run(command, environment),
        Command::Link(args) => link::run(args, environment),
        Command::Config(ConfigCommand::Check(args)) => check::run(args, environment),
    }
}
