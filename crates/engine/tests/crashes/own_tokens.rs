//! Keyway's own refresh tokens.

use crate::ground::Ground;
use crate::matrix::Story;
use keyway_engine::tokens::TokenAnswer;
use keyway_testkit::TestApplication;
use secrecy::ExposeSecret as _;
use std::sync::OnceLock;

/// A token used, and then the one that came of it.
pub(crate) struct Rotation {
    first: TokenAnswer,
    second: OnceLock<TokenAnswer>,
    third: OnceLock<TokenAnswer>,
}

fn refresh_token(answer: &TokenAnswer) -> &str {
    answer.refresh_token.as_ref().unwrap().expose_secret()
}

impl Rotation {
    /// The newest the application has been given.
    fn newest(&self) -> &TokenAnswer {
        let second = self.second.get().unwrap_or(&self.first);
        self.third.get().unwrap_or(second)
    }
}

impl Story for Rotation {
    async fn prepare(ground: &Ground<'_>) -> Self {
        Self {
            first: ground.app.sign_in(&ground.sign_in()).await,
            second: OnceLock::new(),
            third: OnceLock::new(),
        }
    }

    async fn act(&self, app: &TestApplication) -> Result<(), String> {
        for given in [&self.second, &self.third] {
            let next = app.refresh(refresh_token(self.newest())).await;
            let _ = given.set(next.map_err(|error| format!("{error:?}"))?);
        }
        Ok(())
    }

    async fn check(&self, ground: &Ground<'_>, app: &TestApplication) {
        let newest = self.newest();
        let access = newest.access_token.expose_secret();
        assert!(app.engine().bearer(access).await.is_ok());
        match app.refresh(refresh_token(newest)).await {
            // Nothing had come of its last use.
            Ok(next) => assert!(app.refresh(refresh_token(&next)).await.is_ok()),
            // It was used by the process that died: whoever holds the next one, if anybody, has it no more.
            Err(refused) => {
                assert_eq!(refused.error, "invalid_grant");
                assert!(self.third.get().is_none());
            }
        }
        let reused = app.refresh(refresh_token(&self.first)).await;
        assert!(reused.is_err() || self.second.get().is_none());
        assert!(app.try_sign_in(&ground.sign_in()).await.is_ok());
    }
}
