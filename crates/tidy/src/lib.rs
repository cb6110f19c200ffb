//! What no compiler checks: the house rules of this repository, as tests that read it.
//!
//! Lengths of functions and files, who may import what, words that must not appear, rules that must be
//! tested, and documents that must say what the code says. It builds nothing and calls nothing but `git`,
//! and is part of no program.

#[cfg(test)]
mod checklist;
#[cfg(test)]
mod constants;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod links;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod names;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod wire_errors;
