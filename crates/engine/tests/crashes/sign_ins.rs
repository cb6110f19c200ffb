//! Grants made and moved.

use crate::ground::Ground;
use crate::matrix::Story;
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::provider::Provider::Google;
use keyway_engine::grants::GrantPatch;
use keyway_engine::sign_in::CallbackParams;
use keyway_engine::tokens::TokenAnswer;
use keyway_testkit::{AtProvider, DEV, Ended, STAGING, SignIn, TestApplication, object};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::sync::OnceLock;

/// A hosted sign-in, and what the browser and the application were given on the way.
pub(crate) struct Hosted {
    sign_in: SignIn,
    before: Option<Grant>,
    codes_before: u64,
    returned: OnceLock<(AtProvider, CallbackParams)>,
    code: OnceLock<String>,
    tokens: OnceLock<TokenAnswer>,
}

fn codes_asked(ground: &Ground<'_>) -> u64 {
    let counters = ground.world.provider.counters();
    counters.token_requests_of("authorization_code")
}

impl Hosted {
    fn new(ground: &Ground<'_>, sign_in: SignIn, before: Option<Grant>) -> Self {
        Self {
            sign_in,
            before,
            codes_before: codes_asked(ground),
            returned: OnceLock::new(),
            code: OnceLock::new(),
            tokens: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let told = |ended: Ended| format!("{ended:?}");
        let at = app.start(&self.sign_in).await.map_err(told)?;
        let params = app.at_provider(&at, &self.sign_in);
        let _ = self.returned.set((at.clone(), params.clone()));
        let code = app.code_from(&at, params).await.map_err(told)?;
        let _ = self.code.set(code.clone());
        let tokens = app.exchange(&self.sign_in, &code).await;
        let _ = self
            .tokens
            .set(tokens.map_err(|error| format!("{error:?}"))?);
        Ok(())
    }

    /// Whether the grant is already what the sign-in makes of it.
    async fn has_taken_effect(&self, ground: &Ground<'_>, app: &TestApplication) -> bool {
        let now = ground.only_grant(app).await;
        if let Some(grant) = &now {
            ground.assert_works(grant).await;
        }
        now != self.before
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let is_done = self.has_taken_effect(ground, app).await;
        if let Some(tokens) = self.tokens.get() {
            assert!(is_done, "an acknowledged sign-in is lost");
            let access = tokens.access_token.expose_secret();
            assert!(app.engine().bearer(access).await.is_ok());
        } else if let Some(code) = self.code.get() {
            self.exchange_again(app, code, is_done).await;
        } else {
            assert!(!is_done, "without a code nothing takes effect");
            if let Some((at, params)) = self.returned.get() {
                self.come_back_again(app, at, params).await;
            }
        }
        assert!(codes_asked(ground) <= self.codes_before + 1, "rule 9");
        self.tell_again(ground, app).await;
    }

    /// Rule 9: the code works unless it has worked, and never after that.
    async fn exchange_again(&self, app: &TestApplication, code: &str, is_done: bool) {
        let again = app.exchange(&self.sign_in, code).await;
        assert_eq!(again.is_ok(), !is_done, "{again:?}");
        let refused = app.exchange(&self.sign_in, code).await.unwrap_err();
        assert_eq!(refused.error, "invalid_grant");
    }

    /// Rule 9: the state works unless it has worked; the user who came too early is told to start again.
    async fn come_back_again(
        &self,
        app: &TestApplication,
        at: &AtProvider,
        params: &CallbackParams,
    ) {
        match app.code_from(at, params.clone()).await {
            Ok(code) => assert!(app.exchange(&self.sign_in, &code).await.is_ok()),
            Err(Ended::Page(fault)) => assert_eq!(fault.as_str(), "used"),
            Err(other) => panic!("{other:?}"),
        }
        assert!(app.code_from(at, params.clone()).await.is_err());
    }

    async fn tell_again(&self, ground: &Ground<'_>, app: &TestApplication) {
        let grant = app.connect(&self.sign_in).await;
        ground.assert_works(&grant).await;
        let only = ground.only_grant(app).await.unwrap();
        assert_eq!(only, grant);
        if let Some(before) = &self.before {
            assert_eq!((grant.id, grant.created_at), (before.id, before.created_at));
            assert_eq!(grant.credential_id, Some(ground.staging.id));
        }
    }
}

/// A user who was never here signs in.
pub(crate) struct FirstSignIn(Hosted);

impl Story for FirstSignIn {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self(Hosted::new(ground, ground.sign_in(), None))
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        self.0.act(app).await
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        self.0.check(ground, app).await;
    }
}

/// A user signs in through another credential: the grant moves and keeps its id.
pub(crate) struct Move(Hosted);

impl Story for Move {
    async fn prepare(ground: &Ground<'_>) -> Self {
        let before = ground.connect().await;
        let sign_in = ground.sign_in().through(ground.staging.id);
        Self(Hosted::new(ground, sign_in, Some(before)))
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        self.0.act(app).await
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        self.0.check(ground, app).await;
    }
}

/// A refresh token the application brings, which the provider does not replace.
pub(crate) struct Custom {
    token: String,
    credential: keyway_core::ids::CredentialId,
    before: Option<Grant>,
    made: OnceLock<Grant>,
}

impl Custom {
    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let made = app.bring(Google, Some(self.credential), &self.token).await;
        let _ = self.made.set(made.map_err(|error| format!("{error:?}"))?);
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let now = ground.only_grant(app).await;
        match (self.made.get(), &now) {
            (Some(made), now) => assert_eq!(now.as_ref(), Some(made)),
            (None, now) => {
                let is_new = now.as_ref().map(|grant| grant.credential_id);
                assert!(*now == self.before || is_new == Some(Some(self.credential)));
            }
        }
        if let Some(grant) = &now {
            ground.assert_works(grant).await;
        }
        let again = app.bring(Google, Some(self.credential), &self.token).await;
        let again = again.unwrap();
        ground.assert_works(&again).await;
        assert_eq!(again.credential_id, Some(self.credential));
        let known = now.as_ref().or(self.before.as_ref());
        assert!(known.is_none_or(|known| known.id == again.id));
    }
}

/// A grant made by custom authentication.
pub(crate) struct FirstCustom(Custom);

impl Story for FirstCustom {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self(Custom {
            token: ground.app.minted(DEV, &ground.email),
            credential: ground.dev,
            before: None,
            made: OnceLock::new(),
        })
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        self.0.act(app).await
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        self.0.check(ground, app).await;
    }
}

/// A grant moved by custom authentication.
pub(crate) struct CustomMove(Custom);

impl Story for CustomMove {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self(Custom {
            token: ground.app.minted(STAGING, &ground.email),
            credential: ground.staging.id,
            before: Some(ground.connect().await),
            made: OnceLock::new(),
        })
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        self.0.act(app).await
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        self.0.check(ground, app).await;
    }
}

/// A PATCH of a grant with a new refresh token and a label: both or neither.
pub(crate) struct Patch {
    before: Grant,
    token: String,
    patched: OnceLock<Grant>,
}

impl Patch {
    fn patch(&self) -> GrantPatch {
        GrantPatch {
            settings: Some(object(json!({"refresh_token": self.token}))),
            external_id: Some(Some("label".to_owned())),
            ..GrantPatch::default()
        }
    }
}

impl Story for Patch {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self {
            before: ground.connect().await,
            token: ground.app.minted(DEV, &ground.email),
            patched: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        let locator = GrantLocator::Id(self.before.id);
        let patched = app
            .engine()
            .update_grant(&app.caller, locator, self.patch());
        let patched = patched.await.map_err(|error| format!("{error:?}"))?;
        let _ = self.patched.set(patched);
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let now = app.grant(self.before.id).await;
        ground.assert_works(&now).await;
        let token = ground.world.tokens(&now).await.refresh_token;
        let is_replaced = token.as_deref() == Some(self.token.as_str());
        let is_labelled = now.external_id.is_some();
        assert_eq!(is_replaced, is_labelled, "half of a PATCH: {now:?}");
        if let Some(patched) = self.patched.get() {
            assert_eq!(&now, patched);
            assert!(is_labelled);
        }
        let locator = GrantLocator::Id(self.before.id);
        let again = app
            .engine()
            .update_grant(&app.caller, locator, self.patch());
        assert_eq!(again.await.unwrap().external_id.as_deref(), Some("label"));
    }
}
