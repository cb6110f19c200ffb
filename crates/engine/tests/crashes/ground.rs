//! What every story stands on: an application of its own with a connector and two credentials.

use keyway_core::credential::Credential;
use keyway_core::grant::Grant;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::Google;
use keyway_testkit::{DEV, STAGING, SignIn, TestApplication, World};

pub(crate) struct Ground<'w> {
    pub(crate) world: &'w World,
    pub(crate) app: TestApplication,
    /// The connector's first credential, and its default.
    pub(crate) dev: CredentialId,
    pub(crate) staging: Credential,
    /// A user of this story's alone: what ends a consent ends nobody else's.
    pub(crate) email: String,
}

impl<'w> Ground<'w> {
    pub(crate) async fn new(world: &'w World, name: &str) -> Self {
        let app = world.application(name).await;
        let connector = app.connector(Google, DEV).await;
        let staging = app.credential(Google, "staging", STAGING).await;
        Self {
            world,
            dev: connector.active_credential_id.unwrap(),
            staging,
            email: format!("{name}@example.com"),
            app,
        }
    }

    /// The user signs in, with a refresh token that rotates.
    pub(crate) fn sign_in(&self) -> SignIn {
        SignIn::of(&self.email).rotating()
    }

    pub(crate) async fn connect(&self) -> Grant {
        self.app.connect(&self.sign_in()).await
    }

    /// The provider still honours the grant's tokens, and they were issued to its credential's client.
    pub(crate) async fn assert_works(&self, grant: &Grant) {
        let tokens = self.world.tokens(grant).await;
        assert_eq!(Some(tokens.set.credential_id), grant.credential_id);
        let refresh_token = tokens.refresh_token.unwrap();
        assert!(self.world.provider.is_alive(&refresh_token), "{grant:?}");
        let client = self.world.recorder.client_of(&tokens.access_token).unwrap();
        let expected = if grant.credential_id == Some(self.dev) {
            DEV
        } else {
            STAGING
        };
        assert_eq!(client, expected);
    }

    /// The application's only grant.
    pub(crate) async fn only_grant(&self, app: &TestApplication) -> Option<Grant> {
        let mut grants = app.grants().await;
        assert!(grants.len() <= 1, "{grants:?}");
        grants.pop()
    }
}
