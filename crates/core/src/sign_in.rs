//! Sign-ins: one hosted-authentication run, from `/v3/connect/auth` to the token exchange.
//!
//! Until the provider calls back, a sign-in lives nowhere but in the browser that began it: sealed in
//! a cookie, bound to the `state` the provider carries ([`Started`]). The callback uses it up with one
//! insert of its id, and what came of it ([`Outcome`]) waits, sealed, for the exchange.

use crate::account_secret::Passwords;
use crate::application::Platform;
use crate::ids::{
    ApplicationId, ConnectorId, CredentialId, FamilyId, GrantId, SignInId, TokenSetId,
};
use crate::pkce::ClientChallenge;
use crate::provider::Provider;
use crate::scope::Scopes;
use crate::sealed::{Digest, Sealed};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How long a user may take at the provider, in seconds.
pub const SIGN_IN_LIFETIME_SECS: i64 = 30 * 60;
/// How long Keyway's own code may wait for its exchange, in seconds.
pub const CODE_LIFETIME_SECS: i64 = 5 * 60;

/// Why a sign-in uses the credential it uses (rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialChoice {
    /// The caller named it.
    Named,
    /// It was the connector's default when the sign-in began.
    Default,
}

/// A sign-in on its way to the provider, as sealed into the browser's cookie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub id: SignInId,
    /// The application that asked.
    pub application_id: ApplicationId,
    /// The connector it goes through.
    pub connector_id: ConnectorId,
    /// The credential it uses, whatever becomes of the default meanwhile; none where a password opens the
    /// account (rule 1).
    pub credential_id: Option<CredentialId>,
    /// Why that one.
    pub credential_choice: CredentialChoice,
    /// Its provider.
    pub provider: Provider,
    /// Where the user is sent back to; registered when the sign-in began.
    pub redirect_uri: String,
    /// The platform of that URI.
    pub platform: Platform,
    /// Scopes asked of the provider.
    pub scope: Scopes,
    /// The application's own state.
    pub state: Option<String>,
    /// The address the application expects.
    pub login_hint: Option<String>,
    /// A mail account must be able to send.
    #[serde(default)]
    pub smtp_required: bool,
    /// Give the application a refresh token.
    pub offline: bool,
    /// Rotate that refresh token at each use.
    pub rotate_refresh_token: bool,
    /// The application's PKCE challenge.
    pub challenge: Option<ClientChallenge>,
    /// The application's own id for the grant.
    pub external_id: Option<String>,
    /// Our PKCE verifier towards the provider.
    pub provider_verifier: Option<String>,
    /// The nonce an id_token must repeat.
    pub nonce: String,
    /// When the browser came.
    pub started_at: UnixMillis,
    /// The browser's address.
    pub ip: Option<String>,
    /// The browser's user agent.
    pub user_agent: Option<String>,
}

impl Started {
    /// Whether the user took too long.
    #[must_use]
    pub fn is_expired(&self, now: UnixMillis) -> bool {
        now >= self.started_at.plus_secs(SIGN_IN_LIFETIME_SECS)
    }
}

/// Who the provider says the user is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The identifier that is the same for every provider application, where the provider has one.
    pub key: Option<String>,
    /// The provider's id of the user, for the wire.
    pub provider_user_id: Option<String>,
    /// The address.
    pub email: String,
    /// What the provider says of the address; passed on, never assumed.
    pub email_verified: Option<bool>,
    /// Display name.
    pub name: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// Address of a picture.
    pub picture: Option<String>,
}

/// What came of a sign-in at the provider, waiting for the exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The sign-in as it began.
    pub started: Started,
    /// Who signed in.
    pub identity: Identity,
    /// What the provider granted.
    pub scope: Scopes,
    /// The pending token set, of an account that its provider's tokens open.
    #[serde(default)]
    pub token_set_id: Option<TokenSetId>,
    /// What the person typed, of an account that a password opens.
    #[serde(default)]
    pub account: Option<OpenedAccount>,
    /// The credential's client the tokens were issued to.
    pub client_id: Option<String>,
    /// The grant that `login_hint` names: the exchange must end at it.
    pub expected_grant_id: Option<GrantId>,
}

/// A mail account that opened with a password, waiting with it for the exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenedAccount {
    /// What opened it.
    pub passwords: Passwords,
    /// What the grant will show of it.
    pub settings: Map<String, Value>,
}

/// Where a used sign-in stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInStatus {
    /// The callback has come; the provider is being asked.
    Consumed,
    /// A code waits for its exchange.
    Completed,
    /// The code was exchanged.
    Exchanged,
    /// It ended without a grant; its code, if any, is burnt.
    Failed,
}

impl SignInStatus {
    const ALL: [Self; 4] = [
        Self::Consumed,
        Self::Completed,
        Self::Exchanged,
        Self::Failed,
    ];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumed => "consumed",
            Self::Completed => "completed",
            Self::Exchanged => "exchanged",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A used sign-in as stored. Its id is unique: a second use of the same handle finds it taken.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// Its id.
    pub id: SignInId,
    /// Its application.
    pub application_id: ApplicationId,
    /// The credential it uses, if it uses one.
    pub credential_id: Option<CredentialId>,
    /// Where it stands.
    pub status: SignInStatus,
    /// Proves Keyway's code.
    pub code_digest: Option<Digest>,
    /// The sealed [`Outcome`].
    pub outcome: Option<Sealed>,
    /// The tokens its exchange gave, so that a replayed code can end them.
    pub family_id: Option<FamilyId>,
    /// When its code ends.
    pub code_expires_at: Option<UnixMillis>,
    /// When the callback came.
    pub created_at: UnixMillis,
}
