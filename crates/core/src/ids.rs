//! Identifiers: UUIDs on the wire, one Rust type per thing they name.
//!
//! New ids are version 7 (RFC 9562, 5.7): ordered roughly by time, which keeps index pages together.
//! They are names, never secrets.

use crate::entropy::{Entropy, random_bytes};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::{Builder, Uuid};

/// The text is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct IdParseError;

fn generate(now: UnixMillis, entropy: &dyn Entropy) -> Uuid {
    let ms = u64::try_from(now.0).unwrap_or(0);
    Builder::from_unix_timestamp_millis(ms, &random_bytes(entropy)).into_uuid()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id.
            pub fn generate(now: UnixMillis, entropy: &dyn Entropy) -> Self {
                Self(generate(now, entropy))
            }

            /// The id with these bits; for tests and fixtures.
            #[must_use]
            pub const fn from_u128(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, IdParseError> {
                // Only the hyphenated form of the wire: other spellings would be second names.
                if text.len() != 36 {
                    return Err(IdParseError);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdParseError)
            }
        }
    )+};
}

ids! {
    /// An application: a tenant. Also its OAuth `client_id`.
    ApplicationId,
    /// The organization an application belongs to; only shown.
    OrganizationId,
    /// An API key (the key's name, not its secret).
    ApiKeyId,
    /// A registered redirect URI.
    RedirectUriId,
    /// A connector.
    ConnectorId,
    /// A credential of a connector.
    CredentialId,
    /// One slot of a credential's secrets.
    SecretId,
    /// A grant.
    GrantId,
    /// A workspace.
    WorkspaceId,
    /// A provider's token set for a grant.
    TokenSetId,
    /// The passwords of a grant.
    AccountSecretId,
    /// A sign-in: one hosted authentication run.
    SignInId,
    /// An access token of Keyway's own (its name, not its secret).
    AccessTokenId,
    /// A refresh token of Keyway's own (its name, not its secret).
    RefreshTokenId,
    /// All tokens that came from one code exchange.
    FamilyId,
    /// A service account; also its key's, as `private_key_id`.
    ServiceAccountId,
    /// One request, as told in `request_id`.
    RequestId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn ids_are_version_7_and_ordered_by_time() {
        let entropy = SeededEntropy::new(3);
        let earlier = GrantId::generate(UnixMillis(1_000), &entropy);
        let later = GrantId::generate(UnixMillis(2_000), &entropy);
        assert!(earlier < later);
        assert_eq!(earlier.as_uuid().get_version_num(), 7);
    }

    #[test]
    fn only_the_hyphenated_form_parses() {
        let id = GrantId::from_u128(0x1234);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "x",
            "00000000000000000000000000001234",
            "{00000000-0000-0000-0000-00000000123}",
        ] {
            assert_eq!(bad.parse::<GrantId>(), Err(IdParseError), "{bad}");
        }
    }
}
