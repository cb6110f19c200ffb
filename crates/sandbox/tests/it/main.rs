//! The sandbox provider, driven over its router and over real sockets.
//!
//! The modules are marked as tests for the linter, which else takes their helpers for shipped code.

#[cfg(test)]
mod code_flow;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod mail_api;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod secrecy;
#[cfg(test)]
mod service_accounts;
