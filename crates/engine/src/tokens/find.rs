//! From the text of a code or token to its row: the text names the row, the digest proves the text.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::bearer::{BearerKind, parse_named};
use keyway_core::ids::{AccessTokenId, RefreshTokenId, SignInId};
use keyway_core::issued::{AccessToken, RefreshToken};
use keyway_core::sealed::DigestKind;
use keyway_core::sign_in::SignIn;

impl Engine {
    /// The access token `text` is, live or not.
    pub(crate) async fn find_access_token(&self, text: &str) -> Result<Option<AccessToken>, Error> {
        let Some(named) = parse_named(BearerKind::AccessToken, text) else {
            return Ok(None);
        };
        let id = AccessTokenId::from_u128(named.id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.access_token(named.application_id, id).await }));
        let proved = |token: &AccessToken| {
            self.vault()
                .verify_digest(DigestKind::AccessToken, text.as_bytes(), &token.digest)
        };
        Ok(job.await?.filter(proved))
    }

    /// The refresh token `text` is, live or not.
    pub(crate) async fn find_refresh_token(
        &self,
        text: &str,
    ) -> Result<Option<RefreshToken>, Error> {
        let Some(named) = parse_named(BearerKind::RefreshToken, text) else {
            return Ok(None);
        };
        let id = RefreshTokenId::from_u128(named.id);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.refresh_token(named.application_id, id).await })
        });
        let proved = |token: &RefreshToken| {
            self.vault()
                .verify_digest(DigestKind::RefreshToken, text.as_bytes(), &token.digest)
        };
        Ok(job.await?.filter(proved))
    }

    /// The sign-in whose code `text` is, whatever became of it.
    pub(crate) async fn find_sign_in(&self, text: &str) -> Result<Option<SignIn>, Error> {
        let Some(named) = parse_named(BearerKind::Code, text) else {
            return Ok(None);
        };
        let id = SignInId::from_u128(named.id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.sign_in(named.application_id, id).await }));
        let proved = |sign_in: &SignIn| {
            let expected = sign_in.code_digest.as_ref();
            expected.is_some_and(|digest| {
                self.vault()
                    .verify_digest(DigestKind::Code, text.as_bytes(), digest)
            })
        };
        Ok(job.await?.filter(proved))
    }
}
