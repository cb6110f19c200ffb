//! The sign-in's handle: sealed into a cookie, bound to the `state` the provider carries.
//!
//! A stolen database holds no handle, a stolen state opens nothing without the browser's cookie, and a
//! cookie fits no other state.

use super::Cookie;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::sealed::{Digest, DigestKind, SealContext, Sealed};
use keyway_core::sign_in::{SIGN_IN_LIFETIME_SECS, Started};
use std::fmt::Write as _;

const PURPOSE: &str = "sign_in.handle";
/// Browsers keep cookies up to 4096 bytes, name and attributes included (RFC 6265, 6.1).
const VALUE_MAX_BYTES: usize = 3800;

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(text)
        .ok()
}

impl Engine {
    pub(crate) fn state_digest(&self, state: &str) -> Digest {
        self.vault().digest(DigestKind::State, state.as_bytes())
    }

    /// The name of the cookie of the sign-in with this state; says nothing about the state.
    pub(crate) fn cookie_name(&self, state: &str) -> String {
        let digest = self.vault().digest(DigestKind::Cookie, state.as_bytes());
        digest
            .0
            .iter()
            .take(8)
            .fold("kw_signin_".to_owned(), |mut name, byte| {
                // Writing to a String cannot fail.
                let _ = write!(name, "{byte:02x}");
                name
            })
    }

    pub(crate) fn seal_handle(&self, state: &str, started: &Started) -> Result<Cookie, Error> {
        let plain = serde_json::to_vec(started).map_err(Error::internal)?;
        let sealed = self.vault().seal(
            &SealContext {
                purpose: PURPOSE,
                row: state,
            },
            &plain,
        );
        let value = encode(&sealed.0);
        if value.len() > VALUE_MAX_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidRequest,
                "scope, state and redirect_uri together are too long for one sign-in; ask for fewer scopes or set them on the connector",
            ));
        }
        let name = self.cookie_name(state);
        Ok(Cookie {
            name,
            value,
            max_age_secs: SIGN_IN_LIFETIME_SECS,
        })
    }

    /// The sign-in in a cookie, or `None` if it is not this state's or was tampered with.
    pub(crate) fn open_handle(&self, state: &str, value: &str) -> Option<Started> {
        let sealed = Sealed(decode(value)?);
        let context = SealContext {
            purpose: PURPOSE,
            row: state,
        };
        let plain = self.vault().open(&context, &sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }
}
