//! Grants, credentials and connectors deleted.

use crate::ground::Ground;
use crate::matrix::Story;
use keyway_core::grant::GrantLocator;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::Google;
use keyway_engine::{Error, ErrorKind};
use keyway_testkit::{TestApplication, eventually};
use std::sync::OnceLock;

/// Longer than the first pause before a provider is told again, in seconds.
pub(crate) const NEXT_TRY_SECS: i64 = 61;

/// Deleted now, or before by a process that could not tell of it.
fn assert_gone<T: std::fmt::Debug>(again: Result<T, Error>, was_acknowledged: bool) {
    match again {
        Ok(_) => assert!(!was_acknowledged, "what was deleted is back"),
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::GrantNotFound),
            "{error:?}"
        ),
    }
}

/// A grant, whose consent the provider is told has ended.
pub(crate) struct Grant {
    grant: keyway_core::grant::Grant,
    token: String,
    deleted: OnceLock<()>,
}

impl Grant {
    async fn delete(&self, app: &TestApplication) -> Result<(), Error> {
        let locator = GrantLocator::Id(self.grant.id);
        app.engine().delete_grant(&app.caller, locator).await
    }
}

impl Story for Grant {
    async fn prepare(ground: &Ground<'_>) -> Self {
        let grant = ground.connect().await;
        Self {
            token: ground.world.tokens(&grant).await.refresh_token.unwrap(),
            grant,
            deleted: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let deleted = self.delete(app).await;
        deleted.map_err(|error| format!("{error:?}"))?;
        let _ = self.deleted.set(());
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        if let Some(kept) = ground.only_grant(app).await {
            assert_eq!(kept, self.grant);
            ground.assert_works(&kept).await;
        }
        assert_gone(self.delete(app).await, self.deleted.get().is_some());
        assert!(ground.only_grant(app).await.is_none());
        // Rule 13: whoever died, the provider is told.
        ground.world.pass_secs(NEXT_TRY_SECS);
        app.engine().tick().await.unwrap();
        eventually("the consent has ended", async || {
            !ground.world.provider.is_alive(&self.token)
        })
        .await;
        let again = app.connect(&ground.sign_in()).await;
        assert_ne!(again.id, self.grant.id);
    }
}

/// A credential with a grant.
pub(crate) struct Credential {
    id: CredentialId,
    grant: keyway_core::grant::Grant,
    deleted: OnceLock<()>,
}

impl Story for Credential {
    async fn prepare(ground: &Ground<'_>) -> Self {
        let sign_in = ground.sign_in().through(ground.staging.id);
        Self {
            id: ground.staging.id,
            grant: ground.app.connect(&sign_in).await,
            deleted: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let deleted = app.engine().delete_credential(&app.caller, Google, self.id);
        deleted.await.map_err(|error| format!("{error:?}"))?;
        let _ = self.deleted.set(());
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let stands = app.grant(self.grant.id).await.is_anchored;
        let found = app.engine().credential(&app.caller, Google, self.id).await;
        assert_eq!(found.is_ok(), stands);
        let again = app.engine().delete_credential(&app.caller, Google, self.id);
        assert_gone(again.await, self.deleted.get().is_some());
        assert!(!app.grant(self.grant.id).await.is_anchored);
        // The grant comes back through the credential that is left.
        let back = app.connect(&ground.sign_in()).await;
        assert_eq!(
            (back.id, back.credential_id),
            (self.grant.id, Some(ground.dev))
        );
    }
}

/// A connector with its credentials and a grant.
pub(crate) struct Connector {
    grant: keyway_core::grant::Grant,
    deleted: OnceLock<()>,
}

impl Story for Connector {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self {
            grant: ground.connect().await,
            deleted: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let deleted = app.engine().delete_connector(&app.caller, Google);
        deleted.await.map_err(|error| format!("{error:?}"))?;
        let _ = self.deleted.set(());
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let stands = app.grant(self.grant.id).await.is_anchored;
        let engine = app.engine();
        let connector = engine.connector(&app.caller, Google).await;
        let credential = engine.credential(&app.caller, Google, ground.staging.id);
        assert_eq!(
            (connector.is_ok(), credential.await.is_ok()),
            (stands, stands)
        );
        let again = engine.delete_connector(&app.caller, Google).await;
        assert_gone(again, self.deleted.get().is_some());
        assert!(!app.grant(self.grant.id).await.is_anchored);
    }
}
