//! Servers that are killed, and disks that fail.

mod disk;
