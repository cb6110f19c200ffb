//! Connectors, credentials and keys made and changed.

use crate::ground::Ground;
use crate::matrix::Story;
use keyway_core::application::ApiKey;
use keyway_core::connector::Connector;
use keyway_core::credential::Credential;
use keyway_core::grant::Grant;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::{Google, Zoom};
use keyway_core::scope::Scopes;
use keyway_core::service_account::{Permission, RequestProof, SignedRequest};
use keyway_engine::admin_keys::NewApiKey;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::{Engine, Error, ErrorKind};
use keyway_testkit::{DEV, PROD, TestApplication, TestServiceAccount, object};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::sync::OnceLock;

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn told(error: Error) -> String {
    format!("{error:?}")
}

/// Another default credential.
pub(crate) struct Default {
    grant: Grant,
    wanted: CredentialId,
    patched: OnceLock<()>,
}

impl Default {
    async fn patch(&self, app: &TestApplication) -> Result<Connector, Error> {
        let patch = ConnectorPatch {
            active_credential_id: Some(self.wanted),
            ..ConnectorPatch::default()
        };
        let engine = app.engine();
        engine.update_connector(&app.caller, Google, patch).await
    }
}

impl Story for Default {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self {
            grant: ground.connect().await,
            wanted: ground.staging.id,
            patched: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        self.patch(app).await.map_err(told)?;
        let _ = self.patched.set(());
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let connector = app.engine().connector(&app.caller, Google).await.unwrap();
        let active = connector.active_credential_id.unwrap();
        assert!(active == self.wanted || (active == ground.dev && self.patched.get().is_none()));
        // Rule 2: no grant moves.
        assert_eq!(app.grant(self.grant.id).await, self.grant);
        ground.assert_works(&self.grant).await;
        let again = self.patch(app).await.unwrap();
        assert_eq!(again.active_credential_id, Some(self.wanted));
    }
}

/// A connector with its primary credential, and a credential beside it.
pub(crate) struct Made {
    connector: OnceLock<Connector>,
    credential: OnceLock<Credential>,
}

impl Made {
    async fn make_connector(app: &TestApplication) -> Result<Connector, Error> {
        let settings = json!({"client_id": DEV, "client_secret": format!("{DEV}-secret")});
        let new = NewConnector {
            provider: Zoom,
            name: None,
            settings: object(settings),
            scope: Scopes::none(),
        };
        app.engine().create_connector(&app.caller, new).await
    }

    async fn make_credential(app: &TestApplication) -> Result<Credential, Error> {
        let new = app.new_credential("beside", PROD);
        app.engine().create_credential(&app.caller, Zoom, new).await
    }
}

impl Story for Made {
    async fn prepare(_: &Ground<'_>) -> Self {
        Self {
            connector: OnceLock::new(),
            credential: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let made = Self::make_connector(app).await.map_err(told)?;
        let _ = self.connector.set(made);
        let made = Self::make_credential(app).await.map_err(told)?;
        let _ = self.credential.set(made);
        Ok(())
    }

    async fn check(&self, _: &Ground<'_>, app: &TestApplication) {
        let found = app.engine().connector(&app.caller, Zoom).await;
        match (self.connector.get(), found) {
            (Some(made), found) => assert_eq!(found.unwrap().id, made.id),
            (None, Ok(_)) => {}
            (None, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::NotFound);
                Self::make_connector(app).await.unwrap();
            }
        }
        if let Some(made) = self.credential.get() {
            let found = app.engine().credential(&app.caller, Zoom, made.id).await;
            assert_eq!(found.unwrap().id, made.id);
        }
        // Made already, and nobody heard of it: refused by its name, and nothing else.
        if let Err(error) = Self::make_credential(app).await {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error:?}");
        }
    }
}

/// An API key made by the operator, and revoked.
pub(crate) struct Key {
    made: OnceLock<(ApiKey, SecretString)>,
    revoked: OnceLock<()>,
}

impl Story for Key {
    async fn prepare(_: &Ground<'_>) -> Self {
        Self {
            made: OnceLock::new(),
            revoked: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let engine = app.engine();
        let (key, secret) = engine.create_key(app.id, "new", None).await.map_err(told)?;
        let _ = self.made.set((key.clone(), secret));
        engine.revoke_key(app.id, key.id).await.map_err(told)?;
        let _ = self.revoked.set(());
        Ok(())
    }

    async fn check(&self, _: &Ground<'_>, app: &TestApplication) {
        let engine = app.engine();
        assert!(engine.caller(app.api_key()).await.is_ok());
        let Some((key, secret)) = self.made.get() else {
            return;
        };
        let works = engine.caller(secret.expose_secret()).await.is_ok();
        assert!(!works || self.revoked.get().is_none());
        let again = engine.revoke_key(app.id, key.id).await;
        assert_eq!(again.is_ok(), works);
        assert!(engine.caller(secret.expose_secret()).await.is_err());
    }
}

/// An API key made by a service account's signed request.
pub(crate) struct Signed {
    account: TestServiceAccount,
    made: OnceLock<SecretString>,
    was_let_in: OnceLock<()>,
}

const REQUEST: SignedRequest<'_> = SignedRequest {
    method: "POST",
    path: "/v3/admin/applications/a/api-keys",
    body: "{}",
};

impl Signed {
    fn proof(&self, engine: &Engine) -> RequestProof {
        let now = engine.now().as_secs();
        self.account.proof_with(REQUEST, now, "the only nonce")
    }
}

impl Story for Signed {
    async fn prepare(ground: &Ground<'_>) -> Self {
        let engine = ground.app.engine();
        let account = TestServiceAccount::create(engine, &[ground.app.id], &Permission::ALL).await;
        Self {
            account,
            made: OnceLock::new(),
            was_let_in: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let engine = app.engine();
        let caller = engine.service_caller(self.proof(engine), REQUEST);
        let caller = caller.await.map_err(told)?;
        let _ = self.was_let_in.set(());
        let new = NewApiKey {
            name: "signed for".to_owned(),
            expires_in_days: None,
        };
        let (_, secret) = engine.issue_key(&caller, app.id, new).await.map_err(told)?;
        let _ = self.made.set(secret);
        Ok(())
    }

    async fn check(&self, _: &Ground<'_>, app: &TestApplication) {
        let engine = app.engine();
        if let Some(secret) = self.made.get() {
            assert!(engine.caller(secret.expose_secret()).await.is_ok());
        }
        // Rule 9: one use at most, over both processes.
        let again = engine.service_caller(self.proof(engine), REQUEST).await;
        assert!(again.is_err() || self.was_let_in.get().is_none());
        let refused = engine.service_caller(self.proof(engine), REQUEST).await;
        assert!(refused.unwrap_err().message().contains("X-Nylas-Nonce"));
    }
}
