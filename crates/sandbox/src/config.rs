//! What a sandbox is started with: its clients, its users, and whose manners it copies.

use crate::digest;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// The tenant that the sandbox's users belong to unless the configuration names another.
pub const DEFAULT_TENANT_ID: &str = "5a9db0c5-0000-4000-8000-000000000001";

/// Everything a sandbox is started with. [`SandboxConfig::demo`] is a good one to begin from.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where the sandbox is reached: the origin that all its endpoints are under, without a path.
    pub issuer: Url,
    /// The client applications registered with this provider.
    pub clients: Vec<ClientConfig>,
    /// The users offered as buttons on the sign-in page. Any other address may be typed there.
    pub users: Vec<UserConfig>,
    /// What happens to a refresh token that is used.
    pub rotation: Rotation,
    /// How long an access token works, in seconds.
    pub access_token_lifetime_s: i64,
    /// How long an authorization code works, in seconds.
    pub code_lifetime_s: i64,
    /// Whose habits the answers copy.
    pub dialect: Dialect,
    /// The `tid` of every user, but for those of other tenants.
    pub tenant_id: String,
    /// Further tenants: a domain, and the id of the tenant its people belong to.
    pub other_tenants: BTreeMap<String, String>,
    /// Which key signs id_tokens.
    pub signing: Signing,
    /// Whether an authorization request without a code challenge is refused (RFC 7636).
    pub pkce: Pkce,
    /// What a revocation reaches.
    pub revocation: RevocationReach,
    /// Whether the redirect back carries `iss` (RFC 9207).
    pub issuer_in_redirect: bool,
    /// How many codes, tokens, sessions and mailboxes of each kind are kept; past that the oldest
    /// are forgotten.
    pub max_live_entries: usize,
}

impl SandboxConfig {
    /// A provider of no particular manners with three clients, `dev-app`, `staging-app` and
    /// `production-app`, whose secrets are their ids followed by `-secret`, and three users.
    ///
    /// The clients accept the callback of a Keyway on its default address; add others with
    /// [`SandboxConfig::with_redirect_uri`].
    #[must_use]
    pub fn demo(issuer: Url) -> Self {
        let clients = [("dev-app", "development"), ("staging-app", "staging")];
        let clients = clients
            .into_iter()
            .chain([("production-app", "production")]);
        Self {
            issuer,
            clients: clients
                .map(|(id, project)| ClientConfig::demo(id, project))
                .collect(),
            users: ["alice@example.com", "bob@example.com", "carol@example.org"]
                .into_iter()
                .map(UserConfig::new)
                .collect(),
            rotation: Rotation::Off,
            access_token_lifetime_s: 3600,
            code_lifetime_s: 300,
            dialect: Dialect::Plain,
            tenant_id: DEFAULT_TENANT_ID.to_owned(),
            other_tenants: BTreeMap::new(),
            signing: Signing::Rs256,
            pkce: Pkce::Optional,
            revocation: RevocationReach::WholeProject,
            issuer_in_redirect: true,
            max_live_entries: 100_000,
        }
    }

    /// Lets every client be redirected to `uri` as well.
    #[must_use]
    pub fn with_redirect_uri(mut self, uri: &str) -> Self {
        for client in &mut self.clients {
            client.redirect_uris.push(uri.to_owned());
        }
        self
    }
}

/// A client application as registered with the provider (RFC 6749, section 2).
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<SecretString>,
    /// Where it may have users sent back to, compared character by character.
    pub redirect_uris: Vec<String>,
    /// The provider project it belongs to. Clients of one project share a user's consent when
    /// [`RevocationReach::WholeProject`] is set.
    pub project: String,
    /// The name shown on the consent page.
    pub name: String,
}

impl ClientConfig {
    /// A confidential client in a project of its own, named by its id.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, redirect_uris: &[&str]) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: Some(SecretString::from(client_secret)),
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            project: client_id.to_owned(),
            name: client_id.to_owned(),
        }
    }

    /// A client whose secret is its id followed by `-secret`.
    #[must_use]
    pub fn demo(client_id: &str, project: &str) -> Self {
        const CALLBACKS: [&str; 2] = [
            "http://127.0.0.1:8080/v3/connect/callback",
            "http://localhost:8080/v3/connect/callback",
        ];
        let mut client = Self::new(client_id, &format!("{client_id}-secret"), &CALLBACKS);
        client.project = project.to_owned();
        client.name = format!("Acme Mail ({project})");
        client
    }

    /// Whether `presented` is this client's secret; a public client has none to present.
    pub(crate) fn has_secret(&self, presented: Option<&str>) -> bool {
        match (&self.client_secret, presented) {
            (None, None) => true,
            (Some(kept), Some(presented)) => {
                digest::are_equal(kept.expose_secret().as_bytes(), presented.as_bytes())
            }
            _ => false,
        }
    }
}

/// A person with an account at the provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserConfig {
    /// The address, which is also the sign-in name. Compared without case.
    pub email: String,
    /// The display name.
    pub name: String,
    /// The subject identifier. Under [`Dialect::Microsoft`] each client sees one derived from it.
    pub sub: String,
    /// The `oid` claim: the same for every client.
    pub oid: String,
    /// The `email_verified` claim.
    pub email_verified: bool,
}

impl UserConfig {
    /// The user every sandbox makes of `email`: name and identifiers are derived from the address,
    /// so they are the same after a restart.
    #[must_use]
    pub fn new(email: &str) -> Self {
        let key = email.trim().to_lowercase();
        let local = key.split('@').next().unwrap_or_default();
        Self {
            email: email.trim().to_owned(),
            name: name_from(local),
            sub: digest::decimal(&format!("sub {key}")),
            oid: digest::uuid(&format!("oid {key}")),
            email_verified: true,
        }
    }

    /// The form under which addresses are compared.
    pub(crate) fn key(&self) -> String {
        self.email.to_lowercase()
    }
}

fn name_from(local_part: &str) -> String {
    let words = local_part
        .split(['.', '_', '-', '+'])
        .filter(|word| !word.is_empty());
    words.map(capitalised).collect::<Vec<_>>().join(" ")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// What happens to a refresh token that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It stays, and the answer has no other (Google).
    Off,
    /// It is replaced and dies (Zoom).
    On,
    /// It is replaced but goes on working (Microsoft).
    OnOldStillWorks,
    /// It is replaced and dies; seen again, everything from the same sign-in dies too (RFC 9700,
    /// section 4.14.2).
    OnWithReuseDetection,
}

/// Whose habits the answers copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The RFCs to the letter. A refresh token comes with every code, `sub` is the same for every
    /// client, and `oid` and `tid` are there too, so that it stands in for either of the others.
    Plain,
    /// A refresh token only with `access_type=offline`, and only where the user was asked for
    /// consent. `sub` is the same for every client.
    Google,
    /// A refresh token only with the scope `offline_access`. `sub` differs for every client, the
    /// issuer has the tenant in it, and errors carry AADSTS codes.
    Microsoft,
}

/// Which key signs id_tokens. Made afresh at every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// RSA of 2048 bits, as Google and Microsoft sign.
    Rs256,
    /// P-256: quicker to make and to sign with.
    Es256,
}

/// Whether a code challenge is compulsory (RFC 7636).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// Checked where it is sent.
    Optional,
    /// A request without one is refused.
    Required,
}

/// What a revocation (RFC 7009) reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReach {
    /// The tokens of the same sign-in.
    SameSignIn,
    /// All tokens of that user for all clients of the same project: Google's way.
    WholeProject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_in_any_case_is_always_the_same_user() {
        let (lower, upper) = (UserConfig::new("a.b@x.test"), UserConfig::new("A.B@X.test"));
        assert_eq!((lower.sub, lower.oid), (upper.sub, upper.oid));
        assert_eq!(lower.name, "A B");
    }

    #[test]
    fn debug_output_of_a_configuration_has_no_client_secret() {
        let config = SandboxConfig::demo(Url::parse("http://127.0.0.1:9000").unwrap());
        assert!(!format!("{config:?}").contains("dev-app-secret"));
    }
}
