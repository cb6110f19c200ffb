//! What a secret looks like outside the vault: sealed bytes, or a keyed digest.

use std::fmt;

/// Bytes only the vault can open, and only for the row they were sealed for.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// What sealed bytes are bound to. Opening with another context fails, so a value copied to another
/// row or column of the database is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// `table.column`, or another name of the use; never given to a second use.
    pub purpose: &'static str,
    /// The id of the row.
    pub row: &'a str,
}

/// A keyed digest (HMAC-SHA256): finds and compares a secret without keeping it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// What a digest is of. Digests of different kinds never coincide, whatever the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigestKind {
    /// An API key.
    ApiKey,
    /// A one-time authorization code of Keyway's own.
    Code,
    /// An access token of Keyway's own.
    AccessToken,
    /// A refresh token of Keyway's own.
    RefreshToken,
    /// The normalised data of a credential, to recognise an equal one.
    CredentialData,
    /// A secret kept in a browser's cookie.
    Cookie,
    /// A whole exported database.
    Export,
}

impl DigestKind {
    /// Every kind, for the vault to prepare.
    pub const ALL: [Self; 7] = [
        Self::ApiKey,
        Self::Code,
        Self::AccessToken,
        Self::RefreshToken,
        Self::CredentialData,
        Self::Cookie,
        Self::Export,
    ];

    /// The label that separates this kind's digests from all others'. Part of the stored format.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Code => "code",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::CredentialData => "credential_data",
            Self::Cookie => "cookie",
            Self::Export => "export",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", Sealed(vec![1, 2, 3])), "Sealed(3 bytes)");
        assert_eq!(format!("{:?}", Digest([7; 32])), "Digest(..)");
    }

    #[test]
    fn every_kind_has_a_label_of_its_own() {
        let labels: std::collections::BTreeSet<_> =
            DigestKind::ALL.iter().map(|k| k.label()).collect();
        assert_eq!(labels.len(), DigestKind::ALL.len());
    }
}
