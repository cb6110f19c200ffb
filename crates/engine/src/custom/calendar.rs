//! A calendar without a provider: any text names it, and it never expires.

use super::{CustomAuthentication, address_only};
use crate::caller::Caller;
use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::Error;
use crate::grants::Labels;
use crate::transfer::Opener;
use keyway_core::grant::Grant;
use keyway_core::provider::Provider;

impl Engine {
    pub(super) async fn virtual_calendar(
        &self,
        caller: &Caller,
        request: CustomAuthentication,
    ) -> Result<Grant, Error> {
        let connector = self
            .connector_for(caller, Provider::VirtualCalendar)
            .await?;
        let email = text_member(&request.settings, "settings", "email")?
            .ok_or_else(|| Error::field("settings.email", "is required"))?;
        if email.len() > keyway_core::email::EMAIL_MAX_BYTES {
            return Err(Error::field(
                "settings.email",
                "must not be longer than 320 bytes",
            ));
        }
        let identity = address_only(email);
        let scope = request.scope.clone().unwrap_or_default();
        let auth = self.custom_facts(caller, &connector, &request, identity, scope);
        self.kept(auth, Opener::Nothing, Labels::default()).await
    }
}
