//! Passwords of accounts that are opened without a provider application: the grant belongs to no credential,
//! and what opens it is kept beside it.

use crate::ids::{AccountSecretId, ApplicationId, GrantId};
use crate::provider::Provider;
use crate::sealed::Sealed;
use crate::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The passwords of a grant as stored; one such row for each grant, replaced whole.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSecret {
    /// Its application.
    pub application_id: ApplicationId,
    /// Its id; the sealing is bound to it.
    pub id: AccountSecretId,
    /// Its grant.
    pub grant_id: GrantId,
    /// The grant's provider.
    pub provider: Provider,
    /// The sealed [`Passwords`].
    pub sealed: Sealed,
    /// When it was stored.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// Raised by every write.
    pub version: i64,
}

/// What opens an account.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// The account's password, or one made for this server alone.
    pub account: SecretString,
    /// The one of the outgoing mail server, where that has its own.
    pub smtp: Option<SecretString>,
}

#[derive(Serialize)]
struct ToStore<'a> {
    p: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a str>,
}

#[derive(Deserialize)]
struct Stored {
    p: String,
    s: Option<String>,
}

impl From<Stored> for Passwords {
    fn from(stored: Stored) -> Self {
        Self {
            account: SecretString::from(stored.p),
            smtp: stored.s.map(SecretString::from),
        }
    }
}

/// As part of what is sealed, and of nothing else.
impl Serialize for Passwords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = ToStore {
            p: self.account.expose_secret(),
            s: self.smtp.as_ref().map(|password| password.expose_secret()),
        };
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Passwords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Stored::deserialize(deserializer).map(Self::from)
    }
}

impl Passwords {
    /// The bytes to seal.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // Texts and options are always JSON.
        Zeroizing::new(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The passwords in opened bytes, or `None` if they are not what [`Self::to_bytes`] made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_07_passwords_survive_the_trip_through_bytes_and_do_not_print() {
        for smtp in [None, Some("out\"er")] {
            let passwords = Passwords {
                account: SecretString::from("gr\u{fc}n".to_owned()),
                smtp: smtp.map(|text| SecretString::from(text.to_owned())),
            };
            let back = Passwords::from_bytes(&passwords.to_bytes()).unwrap();
            assert_eq!(back.account.expose_secret(), "gr\u{fc}n");
            assert_eq!(back.smtp.as_ref().map(|text| text.expose_secret()), smtp);
            let shown = format!("{back:?}");
            assert!(!shown.contains("gr") && !shown.contains("out"), "{shown}");
        }
        assert!(Passwords::from_bytes(b"{}").is_none());
    }
}
