//! The second part of the story: an application that brings no client begins with the operator's, and puts one of
//! its own beside it.

use super::steps::{CREDENTIALS, Grant, SCOPES, Story, count};
use anyhow::{Context as _, ensure};
use http::Method;
use serde_json::{Value, json};

/// Tells it.
///
/// # Errors
/// If a step does not end as it should.
pub(super) async fn tell(story: &mut Story<'_>) -> anyhow::Result<()> {
    let shared = story.lent().await?;
    let own = story.own_beside_it(&shared).await?;
    let erin = story.hosted_through(&shared, "erin@example.com").await?;
    story.own_as_default(&own, &shared, &erin).await
}

impl Story<'_> {
    /// The credential that names no client of the application's.
    async fn lent(&mut self) -> anyhow::Result<String> {
        self.tour.step(
            "Another application, Globex, brings no client: the operator's shared app is its default",
        )?;
        let body = json!({"provider": "google", "scope": SCOPES});
        let made = self
            .call(Method::POST, "/v3/connectors", Some(body))
            .await?;
        ensure!(made.status.is_success(), "the connector was not made");
        let shared = made.text("/data/active_credential_id")?;
        let path = format!("{CREDENTIALS}/{shared}");
        let change =
            json!({"credential_data": {"client_id": "another", "client_secret": "another"}});
        let refused = self.call(Method::PATCH, &path, Some(change)).await?;
        ensure!(
            refused.status.as_u16() == 400,
            "the operator's credential could be changed"
        );
        self.shown("it is a credential like any other, but nobody except the operator changes it")?;
        Ok(shared)
    }

    async fn own_beside_it(&mut self, shared: &str) -> anyhow::Result<String> {
        self.tour
            .step("A customer of Globex brings a Google project of its own, beside it")?;
        let body = json!({
            "name": "customer",
            "credential_type": "connector",
            "credential_data": {"client_id": "globex-app", "client_secret": "globex-app-secret"},
        });
        let made = self.call(Method::POST, CREDENTIALS, Some(body)).await?;
        ensure!(made.status.is_success(), "the credential was not made");
        let own = made.text("/data/id")?;
        let frank = self
            .hosted("frank@example.com", Some(&own), "globex-app")
            .await?;
        ensure!(
            frank.credential_id == own && own != shared,
            "the sign-in took another credential"
        );
        self.shown("users of that customer sign in through its own project")?;
        Ok(own)
    }

    async fn hosted_through(&mut self, shared: &str, email: &str) -> anyhow::Result<Grant> {
        self.tour
            .step("Everybody else comes through the shared app, at the same time")?;
        let grant = self.hosted(email, None, "shared-app").await?;
        ensure!(
            grant.credential_id == shared,
            "the sign-in took another credential"
        );
        self.shown("the provider was asked by shared-app")?;
        Ok(grant)
    }

    async fn own_as_default(
        &mut self,
        own: &str,
        shared: &str,
        erin: &Grant,
    ) -> anyhow::Result<()> {
        self.tour
            .step("The customer's project becomes the default, and gives it back")?;
        self.make_default(own).await?;
        let grace = self.hosted("grace@example.com", None, "globex-app").await?;
        ensure!(grace.credential_id == own, "the default did not count");
        self.make_default(shared).await?;
        let listed = self.call(Method::GET, CREDENTIALS, None).await?;
        ensure!(count(&listed) == 2, "there are not two credentials");
        ensure!(&self.grant(&erin.id).await? == erin, "a grant moved");
        self.shown("no grant moved: each keeps the project it signed in through")?;
        Ok(())
    }

    async fn make_default(&mut self, id: &str) -> anyhow::Result<()> {
        let body = json!({"active_credential_id": id});
        let changed = self
            .call(Method::PATCH, "/v3/connectors/google", Some(body))
            .await?;
        let active = changed.json.pointer("/data/active_credential_id");
        let active = active
            .and_then(Value::as_str)
            .context("no default came back")?;
        ensure!(active == id, "the default was not changed");
        Ok(())
    }
}
