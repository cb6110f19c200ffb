//! Keyway's own tokens: what `/v3/connect/token` gives to an application.

use crate::ids::{AccessTokenId, ApplicationId, FamilyId, GrantId, RefreshTokenId};
use crate::scope::Scopes;
use crate::sealed::{Digest, Sealed};
use crate::time::UnixMillis;

/// Life of an access token, in seconds.
pub const ACCESS_TOKEN_LIFETIME_SECS: i64 = 3600;

/// An access token: opens one grant's calls as `me`.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessToken {
    /// Its id.
    pub id: AccessTokenId,
    /// Its application.
    pub application_id: ApplicationId,
    /// The one grant it opens.
    pub grant_id: GrantId,
    /// All tokens of one code exchange.
    pub family_id: FamilyId,
    /// The digest it is found by.
    pub digest: Digest,
    /// The origin of the redirect URI it was given to (`aud` of tokeninfo).
    pub audience: String,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When it was given.
    pub created_at: UnixMillis,
}

/// A refresh token: gives new access tokens until it is revoked, rotated or too old.
#[derive(Clone, Debug, PartialEq)]
pub struct RefreshToken {
    /// Its id.
    pub id: RefreshTokenId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its grant.
    pub grant_id: GrantId,
    /// All tokens of one code exchange.
    pub family_id: FamilyId,
    /// The digest it is found by.
    pub digest: Digest,
    /// Passed on to the access tokens it gives.
    pub audience: String,
    /// Scopes repeated in refresh answers.
    pub scope: Scopes,
    /// Given to a program that cannot keep a secret: none is asked when it is used.
    pub public_client: bool,
    /// Each use gives a new one and ends this.
    pub rotates: bool,
    /// When it was used up by rotation.
    pub used_at: Option<UnixMillis>,
    /// When it was last used, or given.
    pub last_used_at: UnixMillis,
    /// When its family began: absolute expiry counts from here.
    pub family_created_at: UnixMillis,
    /// When it was given.
    pub created_at: UnixMillis,
}

/// A key that signs id_tokens. Retired keys stay published until the last token they signed has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct SigningKeyRow {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// The private key (PKCS#8), sealed and bound to the kid.
    pub sealed: Sealed,
    /// The public key as a JWK, as JSON text.
    pub public_jwk: String,
    /// When it was made; the newest signs.
    pub created_at: UnixMillis,
}

/// A key of the vault as stored: wrapped by the master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The term's number; unique per purpose.
    pub term: i64,
    /// What it is for, in the vault's words.
    pub purpose: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
    /// Where it stands, in the vault's words.
    pub state: String,
    /// Which master key wrapped it.
    pub master_fingerprint: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Since when it stands there.
    pub state_since: UnixMillis,
}
