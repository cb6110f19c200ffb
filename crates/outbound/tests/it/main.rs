//! The transport and the mail client against servers on this machine: what they refuse, give up on, and keep.

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
