//! Token sets: the access and refresh token a provider issued for a grant through one credential.
//!
//! Never the same thing as Keyway's own access tokens ([`crate::issued`]).

use crate::ids::{ApplicationId, CredentialId, GrantId, SignInId, TokenSetId};
use crate::provider::Provider;
use crate::refresh::{Freshness, Life, freshness};
use crate::scope::Scopes;
use crate::sealed::Sealed;
use crate::time::UnixMillis;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Where a token set stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSetState {
    /// Issued at the callback of a sign-in that has not been exchanged yet.
    Pending,
    /// The one its grant uses.
    Current,
    /// The one its grant used before; kept for a rollback.
    Previous,
    /// Cut off from its grant; the provider is still to be told.
    Revoking,
}

impl TokenSetState {
    const ALL: [Self; 4] = [Self::Pending, Self::Current, Self::Previous, Self::Revoking];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Revoking => "revoking",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// A token set as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSet {
    /// Its id; the sealing is bound to it, so moving it between states reseals nothing.
    pub id: TokenSetId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Its grant. A pending one of a first sign-in has none yet.
    pub grant_id: Option<GrantId>,
    /// The credential whose provider application it was issued to.
    pub credential_id: CredentialId,
    /// The sign-in it came from, if it came from one.
    pub sign_in_id: Option<SignInId>,
    /// Its provider.
    pub provider: Provider,
    /// Where it stands.
    pub state: TokenSetState,
    /// The sealed [`ProviderTokens`].
    pub sealed: Sealed,
    /// Whether a refresh token is in it.
    pub has_refresh_token: bool,
    /// Scopes the provider granted.
    pub scope: Scopes,
    /// When the access token ends; none if it lasts until the provider refuses it.
    pub access_expires_at: Option<UnixMillis>,
    /// Names the user's consent at the provider: provider, project (else client id) and identity.
    /// Revoking one token set of a consent ends them all.
    pub consent_key: Option<String>,
    /// When it was stored; of a revoking one, when it was cut off from its grant.
    pub created_at: UnixMillis,
    /// When it last changed; of a revoking one, when its revocation is tried next.
    pub updated_at: UnixMillis,
    /// Raised by every write.
    pub version: i64,
}

impl TokenSet {
    /// How good its access token still is at `now`, for a grant with that share of the jitter.
    #[must_use]
    pub fn freshness(&self, now: UnixMillis, jitter: u16) -> Freshness {
        let judge = |expires_at| {
            let life = Life {
                obtained_at: self.updated_at,
                expires_at,
            };
            freshness(life, now, jitter)
        };
        self.access_expires_at.map_or(Freshness::Fresh, judge)
    }
}

/// The secrets of a token set.
#[derive(Clone, Debug)]
pub struct ProviderTokens {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token, if the provider gave one.
    pub refresh_token: Option<SecretString>,
    /// Whom the credential acts for by itself, where no refresh token of the user's is behind the tokens.
    pub acts_for: Option<ActsFor>,
}

/// The user a credential acts for without a sign-in of theirs (bulk authentication).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActsFor {
    /// The subject of a service account's assertions: its tokens are the user's.
    Subject(String),
    /// A member of a tenant whose administrator has consented: the tokens are the application's, and calls
    /// name the user.
    Member {
        /// The tenant.
        tenant: String,
        /// The user's id there.
        user_id: String,
    },
}

impl ActsFor {
    /// The id by which calls must name the user, if they must.
    #[must_use]
    pub fn named_user(&self) -> Option<&str> {
        match self {
            Self::Subject(_) => None,
            Self::Member { user_id, .. } => Some(user_id),
        }
    }
}

#[derive(Serialize)]
struct ToStore<'a> {
    a: &'a str,
    r: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<&'a ActsFor>,
}

#[derive(Deserialize)]
struct Stored {
    a: String,
    r: Option<String>,
    f: Option<ActsFor>,
}

impl ProviderTokens {
    /// The bytes to seal.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let object = ToStore {
            a: self.access_token.expose_secret(),
            r: self.refresh_token.as_ref().map(|t| t.expose_secret()),
            f: self.acts_for.as_ref(),
        };
        // Texts and options are always JSON.
        Zeroizing::new(serde_json::to_vec(&object).unwrap_or_default())
    }

    /// The tokens in opened bytes, or `None` if they are not what [`Self::to_bytes`] made.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        Some(Self {
            access_token: SecretString::from(stored.a),
            refresh_token: stored.r.map(SecretString::from),
            acts_for: stored.f,
        })
    }
}

/// The consent a token set lives by (rule 13): one per provider project, or per client where the
/// project is unknown, and identity.
#[must_use]
pub fn consent_key(
    provider: Provider,
    project: Option<&str>,
    client_id: Option<&str>,
    identity: Option<&str>,
) -> Option<String> {
    let (kind, owner) = match (project, client_id) {
        (Some(project), _) => ("project", project),
        (None, Some(client_id)) => ("client", client_id),
        (None, None) => return None,
    };
    identity.map(|identity| format!("{provider}|{kind}:{owner}|{identity}"))
}

/// The refresh engine's own row of a grant: so that a PATCH and a refresh never write the same row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefreshState {
    /// Who holds the lease of the refresh under way.
    pub lease_owner: Option<String>,
    /// Until when, by the database's clock.
    pub lease_until: Option<UnixMillis>,
    /// When the next refresh is due.
    pub due_at: Option<UnixMillis>,
    /// Refusals in a row.
    pub failures: i64,
    /// The provider's last word of refusal.
    pub last_error: Option<String>,
    /// Whether a call may have gone out whose answer was never stored; until one is.
    pub unheard: Option<Unheard>,
    /// Raised by every write.
    pub version: i64,
}

/// How a refresh ended without its answer being stored. The provider may have rotated the refresh token
/// then, and if it refuses the old one later, this is the cause and not the user (rule 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// The process that held the lease never gave it back: it died, or could not write.
    Interrupted,
    /// The call went out and brought no answer.
    AnswerLost,
}

impl Unheard {
    const ALL: [Self; 2] = [Self::Interrupted, Self::AnswerLost];

    /// The name in the database, in the sequence of changes and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupted => "refresh_interrupted",
            Self::AnswerLost => "answer_lost",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|u| u.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_trip_through_bytes() {
        let tokens = ProviderTokens {
            access_token: SecretString::from("a\"b".to_owned()),
            refresh_token: Some(SecretString::from("r".to_owned())),
            acts_for: None,
        };
        let back = ProviderTokens::from_bytes(&tokens.to_bytes()).unwrap();
        assert_eq!(back.access_token.expose_secret(), "a\"b");
        assert_eq!(back.refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(back.acts_for, None);
        assert!(ProviderTokens::from_bytes(b"{}").is_none());
        // As they were written before there was bulk authentication, and as they are without it.
        assert_eq!(&**tokens.to_bytes(), br#"{"a":"a\"b","r":"r"}"#);
    }

    #[test]
    fn whom_a_credential_acts_for_stays_with_its_tokens() {
        for acts_for in [
            ActsFor::Subject("ann@example.com".into()),
            ActsFor::Member {
                tenant: "t".into(),
                user_id: "u".into(),
            },
        ] {
            let tokens = ProviderTokens {
                access_token: SecretString::from("a".to_owned()),
                refresh_token: None,
                acts_for: Some(acts_for.clone()),
            };
            let back = ProviderTokens::from_bytes(&tokens.to_bytes()).unwrap();
            assert_eq!(back.acts_for, Some(acts_for));
        }
    }

    #[test]
    fn rule_13_two_clients_of_one_project_share_a_consent() {
        let google =
            |project, client| consent_key(Provider::Google, project, Some(client), Some("u1"));
        assert_eq!(google(Some("p"), "a"), google(Some("p"), "b"));
        assert_ne!(google(None, "a"), google(None, "b"));
        assert_ne!(google(Some("a"), "a"), google(None, "a"));
        assert_eq!(consent_key(Provider::Google, None, Some("a"), None), None);
    }
}
