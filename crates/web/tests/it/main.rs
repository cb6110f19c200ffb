//! The whole router against an engine, a database and a provider: who may call what, and that an answer
//! is the same whichever way it takes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects fails"
)]

mod access;
mod api_keys;
mod attacks;
mod client;
mod detection;
mod leniency;
mod origins;
mod pages;
mod patches;
mod refusals;
mod remembered;
mod tokens;
