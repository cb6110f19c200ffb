//! Sign-ins with nowhere to return to: this server takes the code itself, and the person is told on a page.
//!
//! An application asks for it by registering [`Engine::done_uri`] as a redirect URI. The grant is made as by any
//! exchange; nobody is given tokens, since nobody is there to take them.

use super::exchange::bad_code;
use super::issue::FamilyFacts;
use crate::engine::Engine;
use crate::error::OAuthError;
use keyway_core::grant::Grant;
use keyway_core::redirect_uri::audience_of;

impl Engine {
    /// The redirect URI of sign-ins that end here.
    #[must_use]
    pub fn done_uri(&self) -> String {
        let base = self.public_url().as_str().trim_end_matches('/');
        format!("{base}/v3/connect/done")
    }

    /// Takes effect of a sign-in that ends here.
    ///
    /// # Errors
    /// If the code is not good, was not made for here, or belongs to a program that must prove itself (PKCE).
    pub async fn finish_here(&self, code: String) -> Result<Grant, OAuthError> {
        // A consumed code must not be lost with the browser's connection.
        let engine = self.clone();
        self.finishing(async move { engine.exchange_here(&code).await })
            .await?
    }

    async fn exchange_here(&self, code: &str) -> Result<Grant, OAuthError> {
        let sign_in = self.find_sign_in(code).await?.ok_or_else(bad_code)?;
        self.check_unused(&sign_in).await?;
        let sealed = sign_in.outcome.as_ref().ok_or_else(bad_code)?;
        let outcome = self.open_outcome(sign_in.id, sealed)?;
        let started = &outcome.started;
        let is_for_here = started.redirect_uri == self.done_uri() && started.challenge.is_none();
        if !is_for_here || !self.still_leads_back(started).await? {
            return Err(bad_code());
        }
        let facts = FamilyFacts {
            application_id: sign_in.application_id,
            family_id: self.new_family(),
            audience: audience_of(&started.redirect_uri),
            public_client: false,
            rotates: false,
            began_at: self.now(),
        };
        let exchanged = self.exchanged(&sign_in, &outcome, &facts, false).await;
        let exchanged = exchanged.map_err(OAuthError::from);
        if exchanged.as_ref().is_err_and(OAuthError::is_final) {
            self.burn(&sign_in).await;
        }
        exchanged.map(|(grant, _)| grant)
    }
}
