//! The only way out of the process: HTTP calls to providers, and logins at mail servers.
//!
//! [`Transport`] is what the rest of Keyway sees: one request in, one whole answer or one sorted
//! failure out. [`HttpTransport`] is the real one. It connects to public addresses only, unless the
//! operator's configuration says otherwise ([`NetworkPolicy`]), gives every call a deadline and every
//! answer a size limit, and does nothing on its own account: no redirects followed, no cookies kept,
//! no proxies, no decompression. [`Upstreams`] makes the calls that are streamed, under the same policy, and [`MailClient`] opens mail accounts. Nothing here prints a query, a header's value or a body.

pub mod address;
mod connector;
pub mod error;
mod lookup;
pub mod mail;
pub mod names;
pub mod request;
pub mod transport;
pub mod upstream;

pub use address::{NetworkPolicy, is_public};
pub use error::{CallError, CallErrorKind, Sent, Whose};
pub use mail::{MailClient, MailFailure, MailLogin, Mailboxes, NoWay, ServerWords};
pub use names::{MailExchangers, NameServers, NotAsked};
pub use request::{DEFAULT_DEADLINE, Request, Response};
pub use transport::{HttpTransport, Roots, SetupError, Transport};
pub use upstream::{AnswerBody, CallBody, Origin, Upload, Upstreams};
