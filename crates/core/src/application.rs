//! Applications: the tenants of a server, their API keys and their redirect URIs.

use crate::ids::{ApiKeyId, ApplicationId, OrganizationId, RedirectUriId};
use crate::sealed::Digest;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// Its id, and OAuth `client_id`.
    pub id: ApplicationId,
    /// The organization it is shown under.
    pub organization_id: OrganizationId,
    /// Its name for people.
    pub name: String,
    /// `us` or `eu` for the strict SDKs; any text otherwise.
    pub region: String,
    /// `production`, `staging`, `sandbox` or any other text.
    pub environment: String,
    /// What PATCH stores and GET gives back: `branding`, `hosted_authentication`, `idp_settings`, `domain`.
    pub profile: Map<String, Value>,
    /// Switches that are written but never read back.
    pub additional: AdditionalSettings,
    /// Barred from the API.
    pub blocked: bool,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// Raised by every write; the fence of concurrent ones.
    pub version: i64,
}

/// `additional_settings` of an application: write-only on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionalSettings {
    /// Where the application's own sign-in page is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_url: Option<String>,
    /// Where its sign-out page is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logout_url: Option<String>,
    /// Refresh tokens die this many seconds after they were first given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expiration_absolute: Option<i64>,
    /// Refresh tokens die when unused for this many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expiration_idle: Option<i64>,
    /// Each use of a refresh token gives a new one and ends the old.
    #[serde(default)]
    pub rotate_refresh_token: bool,
    /// Redirect URIs may carry a query.
    #[serde(default)]
    pub allow_query_param_in_redirect_uri: bool,
    /// Its API keys may read providers' access tokens, where the operator allows it too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_provider_tokens: bool,
}

/// An API key. The key itself is shown once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The key's id.
    pub id: ApiKeyId,
    /// Its application.
    pub application_id: ApplicationId,
    /// A name for people.
    pub name: String,
    /// The keyed digest it is found by.
    pub digest: Digest,
    /// Prefix and last characters, to recognise it in a list.
    pub hint: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed: its end was set, or it was revoked.
    pub updated_at: UnixMillis,
    /// When it stops working by itself.
    pub expires_at: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
}

impl ApiKey {
    /// Whether it opens anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// Which kind of program a redirect URI belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// A server-side program that can keep a secret.
    #[default]
    Web,
    /// A program on a desktop.
    Desktop,
    /// A page in a browser.
    Js,
    /// An iOS app.
    Ios,
    /// An Android app.
    Android,
}

impl Platform {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Desktop => "desktop",
            Self::Js => "js",
            Self::Ios => "ios",
            Self::Android => "android",
        }
    }

    /// The platform of that name. Java writes `mobile` for `js`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "web" => Some(Self::Web),
            "desktop" => Some(Self::Desktop),
            "js" | "mobile" => Some(Self::Js),
            "ios" => Some(Self::Ios),
            "android" => Some(Self::Android),
            _ => None,
        }
    }

    /// Whether programs of this kind cannot keep a secret, so that PKCE stands in for it
    /// (RFC 8252, 8.5).
    #[must_use]
    pub const fn is_public(self) -> bool {
        !matches!(self, Self::Web)
    }
}

/// A URI an application may have its users sent back to.
#[derive(Clone, Debug, PartialEq)]
pub struct RedirectUri {
    /// Its id.
    pub id: RedirectUriId,
    /// Its application.
    pub application_id: ApplicationId,
    /// Compared byte for byte.
    pub url: String,
    /// What kind of program it belongs to.
    pub platform: Platform,
    /// Members that the platform asks for.
    pub settings: Map<String, Value>,
    /// For platform `js`: the origin browsers may call from.
    pub origin: Option<String>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it last changed.
    pub updated_at: UnixMillis,
}
