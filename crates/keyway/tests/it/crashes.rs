//! Servers that are killed, and disks that fail.

mod client;
mod disk;
mod kills;
mod line;
