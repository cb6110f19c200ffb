//! The whole application in one process, for tests: an engine on a throw-away database, a clock that
//! stands still, and the sandbox as the provider on a loopback socket.
//!
//! [`World`] is that; [`on_both_databases!`] gives one to each test, on SQLite and on PostgreSQL.
//! Nothing but tests links to this crate, so what cannot be set up here panics.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot be set up, or finds something else than it expects, fails"
)]

mod application;
mod database;
mod exchange;
mod hosted;
mod logs;
mod mailboxes;
mod master_keys;
mod on_both_databases;
mod options;
mod poll;
mod recorder;
mod service_account;
mod snapshot;
mod stored;
mod world;

pub use application::{TestApplication, callback_params, object};
pub use database::TestDatabase;
pub use exchange::{ExchangeMood, ExchangeSeen, FakeExchange};
pub use hosted::{AtProvider, Ended, SignIn, returned};
pub use keyway_store::Backend;
pub use logs::captured_logs;
pub use mailboxes::{FakeMailboxes, LoginSeen};
pub use master_keys::KeptMasterKeys;
pub use on_both_databases::tell;
pub use options::WorldOptions;
pub use poll::eventually;
pub use recorder::{Call, Recorder, StandIn};
pub use service_account::TestServiceAccount;
pub use world::{ALICE, BOB, CALLBACK_URI, DEV, OpenedTokens, PROD, STAGING, World};
