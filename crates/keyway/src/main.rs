#![doc = "keyway"]
fn main() {}
