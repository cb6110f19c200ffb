//! The transport against servers on this machine: what it refuses, gives up on, and keeps.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
