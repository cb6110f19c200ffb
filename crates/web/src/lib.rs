//! HTTP in: the v3 API, the pages a browser sees during a sign-in, and the documents about both.
//!
//! Every request runs through one own layer ([`layers`]), is authenticated as the route table
//! ([`routes`]) says, is read into plain values, handed to the engine, and its result written in the
//! wire's shape. No rule of the product is decided here, and no secret, statement or provider is within
//! reach: this crate sees only the core and the engine.
//!
//! What always holds: every failure is JSON in the shape its path calls for (facts of the wire: two
//! shapes, [`errors`]); `request_id` in a body equals the `x-request-id` header; no query string, body
//! or header is ever logged.

mod address;
mod app;
mod auth;
mod bodies;
mod body;
mod call;
mod context;
mod cors;
mod documents;
mod envelope;
pub mod errors;
mod hosted;
pub mod hot;
pub mod layers;
mod options;
mod path;
mod probes;
pub mod proxy;
mod query;
mod router;
pub mod routes;
pub mod shed;
mod signed;
mod v3;

pub use address::{Cidr, CidrParseError};
pub use auth::bearer as bearer_of;
pub use options::{PeerAddr, WebOptions};
pub use router::router;
pub use routes::{Access, ROUTES, Route};
