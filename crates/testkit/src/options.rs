//! What kind of world a story happens in.

use keyway_core::catalogue::EntryForm;
use keyway_core::provider::Provider;
use keyway_engine::SharedApp;
use keyway_sandbox::{Dialect, RevocationReach, Rotation};
use std::collections::BTreeMap;

/// Where the server would be reached, if a web server were there.
const PUBLIC_URL: &str = "http://127.0.0.1:8080";
/// The same behind a proxy that ends TLS.
const PUBLIC_URL_TLS: &str = "https://keyway.example";

/// What a [`crate::World`] is made with.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    pub(crate) public_url: &'static str,
    pub(crate) dialect: Dialect,
    pub(crate) rotation: Rotation,
    pub(crate) revocation: RevocationReach,
    pub(crate) project: Option<String>,
    pub(crate) probe_credentials: bool,
    pub(crate) shared_apps: BTreeMap<Provider, SharedApp>,
    pub(crate) tenants: BTreeMap<String, String>,
    pub(crate) entries: BTreeMap<Provider, EntryForm>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            public_url: PUBLIC_URL,
            dialect: Dialect::Plain,
            rotation: Rotation::Off,
            revocation: RevocationReach::WholeProject,
            project: None,
            probe_credentials: false,
            shared_apps: BTreeMap::new(),
            tenants: BTreeMap::new(),
            entries: BTreeMap::new(),
        }
    }
}

impl WorldOptions {
    /// Reached over https.
    #[must_use]
    pub fn https(mut self) -> Self {
        self.public_url = PUBLIC_URL_TLS;
        self
    }

    /// A provider with Microsoft's manners: `sub` differs for every client.
    #[must_use]
    pub fn microsoft(mut self) -> Self {
        self.dialect = Dialect::Microsoft;
        self
    }

    /// A provider with Google's manners.
    #[must_use]
    pub fn google(mut self) -> Self {
        self.dialect = Dialect::Google;
        self
    }

    /// What happens to a provider's refresh token that is used.
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// All clients belong to one provider project.
    #[must_use]
    pub fn one_project(mut self, project: &str) -> Self {
        self.project = Some(project.to_owned());
        self
    }

    /// Client secrets are tried at the provider when they are stored.
    #[must_use]
    pub fn probing(mut self) -> Self {
        self.probe_credentials = true;
        self
    }

    /// The people of `domain` belong to a tenant of their own.
    #[must_use]
    pub fn tenant(mut self, domain: &str, id: &str) -> Self {
        self.tenants.insert(domain.to_owned(), id.to_owned());
        self
    }

    /// The operator's configuration describes `provider` so.
    #[must_use]
    pub fn entry(mut self, provider: Provider, form: EntryForm) -> Self {
        self.entries.insert(provider, form);
        self
    }

    /// The operator lends `app` for `provider`.
    #[must_use]
    pub fn shared_app(mut self, provider: Provider, app: SharedApp) -> Self {
        self.shared_apps.insert(provider, app);
        self
    }
}
