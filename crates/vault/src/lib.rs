//! All of Keyway's cryptography: sealing of secrets, keyed digests, the keyring and its master key,
//! and signed tokens.
//!
//! A secret rests in the database only *sealed*: encrypted with AES-256-GCM under a key of its own,
//! derived from a *term key* of the keyring, and bound to the table, column and row it belongs to.
//! The term keys themselves rest there *wrapped* by a key the operator keeps elsewhere (the
//! [`master::MasterKey`]). Values that are looked up rather than read back (API keys, codes, states)
//! are kept as keyed digests, whose key is no sealing term, so that a new term changes no digest.
//!
//! No other crate of the workspace imports a cryptographic library for such ends, and this one does
//! no I/O: keys arrive and leave as plain data ([`keyring::StoredKey`]).

mod aead;
pub mod assertion;
mod digest;
pub mod entropy;
pub mod hash;
pub mod jwt;
pub mod keyring;
pub mod master;
pub mod request_key;
pub mod vault;

pub use entropy::SystemEntropy;
pub use keyring::{KeyPurpose, KeyState, StoredKey, UnlockError, rewrap};
pub use master::{MasterKey, MasterKeyError};
pub use vault::{OpenError, Vault, sealed_prefix, term_of_prefix};
