//! Service accounts: programs that manage an application's API keys over HTTP, by requests they sign.
//!
//! They are the operator's, who names the applications each may act on. The private key is shown once and
//! kept nowhere; a request proves itself by a signature over what [`SignedRequest::canonical`] writes.

use crate::ids::ServiceAccountId;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// How far a request's timestamp may be from the server's time, either way, in seconds.
pub const TIMESTAMP_WINDOW_SECS: i64 = 300;
/// Longest nonce, in bytes; the official clients send 20.
pub const NONCE_MAX_BYTES: usize = 128;
/// Longest signature as text, in bytes; one of a 2048-bit key has 344.
const SIGNATURE_MAX_BYTES: usize = 1024;
/// A timestamp from here on is in milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Something a service account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Permission {
    /// Make API keys.
    #[serde(rename = "apikey.create")]
    CreateKeys,
    /// See API keys, without the keys themselves.
    #[serde(rename = "apikey.get")]
    ReadKeys,
    /// End API keys.
    #[serde(rename = "apikey.delete")]
    DeleteKeys,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CreateKeys, Self::ReadKeys, Self::DeleteKeys];

    /// The word in the service account's file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateKeys => "apikey.create",
            Self::ReadKeys => "apikey.get",
            Self::DeleteKeys => "apikey.delete",
        }
    }

    /// The permission of that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// A service account as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its id, which is also the id of its key (`private_key_id`).
    pub id: ServiceAccountId,
    /// A name for people.
    pub name: String,
    /// The public half of its RSA key: DER of a PKCS #1 `RSAPublicKey` (RFC 8017, A.1.1).
    pub public_key: Vec<u8>,
    /// What it may do.
    pub permissions: Vec<Permission>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

/// One of the four headers that sign a request is not what it has to be. The words help whoever writes a
/// client, and depend on nothing but the request and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// No `X-Nylas-Kid`, or not one.
    #[error("X-Nylas-Kid must be sent once: the private_key_id of a service account")]
    Kid,
    /// No `X-Nylas-Timestamp`, or not one, or no number.
    #[error("X-Nylas-Timestamp must be sent once: the Unix time in seconds, digits alone")]
    Timestamp,
    /// The timestamp is too far away.
    #[error("X-Nylas-Timestamp is more than 5 minutes from this server's time")]
    Window,
    /// No `X-Nylas-Nonce`, or not one, or none that is kept.
    #[error("X-Nylas-Nonce must be sent once: 1 to 128 printable ASCII characters without blanks")]
    Nonce,
    /// No `X-Nylas-Signature`, or not one, or no base64.
    #[error("X-Nylas-Signature must be sent once, in base64")]
    Signature,
}

/// The values of the four headers, as they came; `None` if one came not at all, or twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct SigningHeaders<'a> {
    /// `X-Nylas-Kid`.
    pub kid: Option<&'a str>,
    /// `X-Nylas-Timestamp`.
    pub timestamp: Option<&'a str>,
    /// `X-Nylas-Nonce`.
    pub nonce: Option<&'a str>,
    /// `X-Nylas-Signature`.
    pub signature: Option<&'a str>,
}

/// The four headers, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestProof {
    /// Which service account claims to have signed; `None` if the text can be no account's.
    pub account_id: Option<ServiceAccountId>,
    /// The timestamp as it was signed: seconds, or milliseconds.
    pub timestamp: i64,
    /// Makes the request unlike every other.
    pub nonce: String,
    /// The signature, as base64.
    pub signature: String,
}

fn timestamp(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero would be a second spelling of what is signed as one number.
    let is_plain = is_number && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok())?
}

fn is_nonce(text: &str) -> bool {
    (1..=NONCE_MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_base64(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    (1..=SIGNATURE_MAX_BYTES).contains(&text.len()) && text.bytes().all(is_digit)
}

impl RequestProof {
    /// Reads the headers of a request that came at `now`.
    ///
    /// # Errors
    /// If one is missing or malformed, or the timestamp is more than [`TIMESTAMP_WINDOW_SECS`] away.
    pub fn read(headers: &SigningHeaders<'_>, now: UnixMillis) -> Result<Self, SigningError> {
        let kid = headers.kid.filter(|kid| !kid.is_empty());
        let kid = kid.ok_or(SigningError::Kid)?;
        let timestamp = headers.timestamp.and_then(timestamp);
        let timestamp = timestamp.ok_or(SigningError::Timestamp)?;
        let nonce = headers.nonce.filter(|text| is_nonce(text));
        let signature = headers.signature.filter(|text| is_base64(text));
        let proof = Self {
            account_id: kid.parse().ok(),
            timestamp,
            nonce: nonce.ok_or(SigningError::Nonce)?.to_owned(),
            signature: signature.ok_or(SigningError::Signature)?.to_owned(),
        };
        proof
            .is_in_window(now)
            .then_some(proof)
            .ok_or(SigningError::Window)
    }

    /// When the request says it was made. Seconds by the rule; one published sample sends milliseconds,
    /// and the two cannot be taken for each other.
    #[must_use]
    pub const fn made_at(&self) -> UnixMillis {
        if self.timestamp < MILLISECONDS_FROM {
            UnixMillis::from_secs(self.timestamp)
        } else {
            UnixMillis(self.timestamp)
        }
    }

    fn is_in_window(&self, now: UnixMillis) -> bool {
        now.0.abs_diff(self.made_at().0) <= TIMESTAMP_WINDOW_SECS.unsigned_abs() * 1000
    }
}

/// What of a request its signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedRequest<'a> {
    /// The method, in any case.
    pub method: &'a str,
    /// The path as it was sent, without the query: that is covered by nothing, so nothing here reads it.
    pub path: &'a str,
    /// The body as it was sent.
    pub body: &'a str,
}

/// Members in the order of their names, as the canonical form has them.
#[derive(Serialize)]
struct Envelope<'a> {
    method: &'a str,
    nonce: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    timestamp: i64,
}

/// Whether a signature covers the body of a request with this method. What it does not cover is not read.
#[must_use]
pub fn covers_body(method: &str) -> bool {
    let methods = ["post", "put", "patch"];
    methods
        .iter()
        .any(|known| method.eq_ignore_ascii_case(known))
}

impl SignedRequest<'_> {
    /// The text that is signed: JSON without blanks, members in the order of their names.
    ///
    /// The body goes in as a text, byte for byte as it came. So it need not be canonical itself: the
    /// official clients differ in what they take for it (the order of members inside arrays, and how `1.0`
    /// is written), and whatever was signed is what is read. A client that signs one text and sends
    /// another is refused. Only methods with a body cover one, and only if it is not empty.
    #[must_use]
    pub fn canonical(&self, proof: &RequestProof) -> String {
        let method = self.method.to_ascii_lowercase();
        let has_body = covers_body(&method) && !self.body.is_empty();
        let envelope = Envelope {
            method: &method,
            nonce: &proof.nonce,
            path: self.path,
            payload: has_body.then_some(self.body),
            timestamp: proof.timestamp,
        };
        // Texts and a number always have a JSON form.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "service_account_tests.rs"]
mod tests;
