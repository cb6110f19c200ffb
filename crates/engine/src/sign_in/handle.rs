//! The sign-in's handle: sealed into a cookie, bound to the `state` the provider carries.
//!
//! A stolen database holds no handle, a stolen state opens nothing without the browser's cookie, and a
//! cookie fits no other state.

use super::{Cookie, Returned};
use crate::engine::Engine;
use crate::error::Error;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyway_core::scope::Scopes;
use keyway_core::sealed::{DigestKind, SealContext, Sealed};
use keyway_core::sign_in::{SIGN_IN_LIFETIME_SECS, Started};
use keyway_vault::OpenError;
use std::fmt::Write as _;

const PURPOSE: &str = "sign_in.handle";
/// Browsers keep cookies up to 4096 bytes, name and attributes included (RFC 6265, 6.1).
const VALUE_MAX_BYTES: usize = 3800;
/// The form of what is sealed. A handle of another form is begun anew.
const FORM: u8 = 2;

/// What the name of every sign-in's cookie begins with; the time it was made at follows, in hex.
///
/// Under https a browser takes a cookie of such a name from this very host alone: no page of a
/// neighbouring subdomain can put its own sign-in into somebody's browser (RFC 6265bis, 4.1.3.2). Over
/// plain http, which is for this machine, browsers know no such names.
#[must_use]
pub const fn cookie_prefix(is_https: bool) -> &'static str {
    if is_https {
        "__Host-kw_signin_"
    } else {
        "kw_signin_"
    }
}

/// Beginnings that long lists of scopes repeat, and what stands for them. No scope holds these characters.
const SHORT: [(&str, char); 2] = [
    ("https://www.googleapis.com/auth/", '\u{1}'),
    ("https://graph.microsoft.com/", '\u{2}'),
];

fn pack(scope: &Scopes) -> String {
    SHORT.iter().fold(scope.to_string(), |text, (long, short)| {
        text.replace(long, short.encode_utf8(&mut [0; 4]))
    })
}

fn unpack(text: &str) -> Option<Scopes> {
    let long = SHORT.iter().fold(text.to_owned(), |text, (long, short)| {
        text.replace(*short, long)
    });
    Scopes::parse(&long).ok()
}

/// The bytes to seal: the form, then the packed scopes, then everything else.
fn to_bytes(started: &Started) -> Option<Vec<u8>> {
    let rest = Started {
        scope: Scopes::none(),
        ..started.clone()
    };
    postcard::to_extend(&(pack(&started.scope), rest), vec![FORM]).ok()
}

fn from_bytes(bytes: &[u8]) -> Option<Started> {
    let (form, rest) = bytes.split_first()?;
    if *form != FORM {
        return None;
    }
    let (scope, started): (String, Started) = postcard::from_bytes(rest).ok()?;
    Some(Started {
        scope: unpack(&scope)?,
        ..started
    })
}

impl Engine {
    /// What the names of this server's sign-in cookies begin with.
    pub(crate) fn cookie_prefix(&self) -> &'static str {
        cookie_prefix(self.settings().public_url.scheme() == "https")
    }

    /// The end of the name of the cookie of the sign-in with this state; says nothing about the state.
    pub(crate) fn cookie_suffix(&self, state: &str) -> String {
        let digest = self.vault().digest(DigestKind::Cookie, state.as_bytes());
        digest
            .0
            .iter()
            .take(8)
            .fold("_".to_owned(), |mut name, byte| {
                // Writing to a String cannot fail.
                let _ = write!(name, "{byte:02x}");
                name
            })
    }

    pub(crate) fn seal_handle(&self, state: &str, started: &Started) -> Result<Cookie, Returned> {
        let too_long = || {
            let words = "scope, state and redirect_uri together are too long for one sign-in; ask for fewer scopes";
            Returned::new("invalid_scope", 400, words)
        };
        let plain = to_bytes(started).ok_or_else(too_long)?;
        let sealed = self.vault().seal(
            &SealContext {
                purpose: PURPOSE,
                row: state,
            },
            &plain,
        );
        let value = URL_SAFE_NO_PAD.encode(&sealed.0);
        if value.len() > VALUE_MAX_BYTES {
            return Err(too_long());
        }
        let made_at = started.started_at.as_secs();
        let (prefix, suffix) = (self.cookie_prefix(), self.cookie_suffix(state));
        let name = format!("{prefix}{made_at:08x}{suffix}");
        Ok(Cookie {
            name,
            value,
            max_age_secs: SIGN_IN_LIFETIME_SECS,
        })
    }

    /// The sign-in in a cookie, or `None` if it is not this state's or was tampered with.
    ///
    /// # Errors
    /// If it was sealed with a term that this process has not read of yet. One that is retired is none: its
    /// cookies are over.
    pub(crate) fn open_handle(&self, state: &str, value: &str) -> Result<Option<Started>, Error> {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(value) else {
            return Ok(None);
        };
        let (sealed, vault) = (Sealed(bytes), self.vault());
        let context = SealContext {
            purpose: PURPOSE,
            row: state,
        };
        match vault.open(&context, &sealed) {
            Ok(plain) => Ok(from_bytes(&plain)),
            Err(error @ OpenError::UnknownTerm { term })
                if vault.terms().iter().all(|known| *known < term) =>
            {
                Err(self.term_unknown(error))
            }
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::application::Platform;
    use keyway_core::ids::{ApplicationId, ConnectorId, CredentialId, SignInId};
    use keyway_core::provider::Provider;
    use keyway_core::sign_in::CredentialChoice;
    use keyway_core::time::UnixMillis;

    fn started(scope: &str) -> Started {
        Started {
            id: SignInId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            connector_id: ConnectorId::from_u128(3),
            credential_id: CredentialId::from_u128(4),
            credential_choice: CredentialChoice::Named,
            provider: Provider::Microsoft,
            redirect_uri: "https://app.example.com/callback".into(),
            platform: Platform::Web,
            scope: Scopes::parse(scope).unwrap(),
            state: Some("s".repeat(256)),
            login_hint: Some("a@b.c".into()),
            offline: true,
            rotate_refresh_token: false,
            challenge: None,
            external_id: None,
            provider_verifier: Some("v".repeat(43)),
            nonce: "n".repeat(43),
            started_at: UnixMillis(5),
            ip: None,
            user_agent: Some("u".repeat(120)),
        }
    }

    #[test]
    fn a_handle_survives_the_trip_and_another_form_does_not() {
        let scope = "openid https://www.googleapis.com/auth/gmail.readonly https://graph.microsoft.com/Mail.Read";
        let bytes = to_bytes(&started(scope)).unwrap();
        let back = from_bytes(&bytes).unwrap();
        assert_eq!(back.scope.to_string(), scope);
        assert_eq!(back.nonce, started(scope).nonce);
        let mut other = bytes;
        other[0] = FORM + 1;
        assert!(from_bytes(&other).is_none() && from_bytes(&[]).is_none());
    }

    #[test]
    fn sixty_long_scopes_fit_into_a_cookie() {
        let scopes: Vec<String> = (0..60)
            .map(|n| format!("https://graph.microsoft.com/Mail.ReadWrite.All.{n}"))
            .collect();
        let bytes = to_bytes(&started(&scopes.join(" "))).unwrap();
        // Sealing adds 33 bytes, base64 a third.
        assert!(
            (bytes.len() + 33) * 4 / 3 < VALUE_MAX_BYTES,
            "{}",
            bytes.len()
        );
    }
}
