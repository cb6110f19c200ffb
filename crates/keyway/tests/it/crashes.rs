//! Servers that are killed, and disks that fail.

mod admin;
mod client;
mod disk;
mod kills;
mod line;
