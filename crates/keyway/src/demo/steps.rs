//! The story itself. Every step makes real requests and says what must be true afterwards.

use super::browser::{self, Returned};
use super::http_client::{Answer, Call};
use super::shared;
use super::tour::{Tour, gist};
use super::world::{Tenant, World};
use anyhow::{Context as _, ensure};
use http::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use url::Url;

pub(super) const SCOPES: [&str; 3] = ["openid", "email", "profile"];
/// Where one connector's credentials are.
pub(super) const CREDENTIALS: &str = "/v3/connectors/google/creds";

/// The story so far.
pub(super) struct Story<'a> {
    world: &'a World,
    /// Whose story it is at the moment.
    tenant: &'a Tenant,
    pub(super) tour: &'a mut Tour,
}

/// What is known of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) id: String,
    pub(super) credential_id: String,
    created_at: i64,
}

/// Tells it all.
///
/// # Errors
/// If a step does not end as it should.
pub(super) async fn tell(world: &World, tour: &mut Tour) -> anyhow::Result<()> {
    let mut story = Story {
        world,
        tenant: &world.acme,
        tour,
    };
    let development = story.connector().await?;
    let production = story.second_credential(&development).await?;
    let alice = story.through_the_default(&development).await?;
    let bob = story.through_the_other(&production).await?;
    story
        .call_on_behalf([(&alice, "dev-app"), (&bob, "production-app")])
        .await?;
    let carol = story.bring_your_own(&production).await?;
    story
        .change_the_default(&development, &production, &alice)
        .await?;
    let moved = story.migrate(&production, &alice).await?;
    story
        .read_back([&development, &production], &[moved, bob, carol])
        .await?;
    story.tenant = &world.globex;
    shared::tell(&mut story).await?;
    let end = "That is Keyway: one connector, two provider applications, and users who moved without noticing.";
    Ok(story.tour.title(&format!("\n{end}"))?)
}

impl Story<'_> {
    async fn connector(&mut self) -> anyhow::Result<String> {
        self.tour
            .step("A connector for Google, with the development application behind it")?;
        let body = json!({
            "provider": "google",
            "settings": {"client_id": "dev-app", "client_secret": "dev-app-secret"},
            "scope": SCOPES,
        });
        let made = self
            .call(Method::POST, "/v3/connectors", Some(body))
            .await?;
        ensure!(made.status.is_success(), "the connector was not made");
        let development = made.text("/data/active_credential_id")?;
        self.shown("its client settings became its first credential, and the default")?;
        Ok(development)
    }

    async fn second_credential(&mut self, development: &str) -> anyhow::Result<String> {
        self.tour
            .step("A second credential: the production application, behind the same connector")?;
        let body = json!({
            "name": "production",
            "credential_type": "connector",
            "credential_data": {"client_id": "production-app", "client_secret": "production-app-secret"},
        });
        let made = self.call(Method::POST, CREDENTIALS, Some(body)).await?;
        ensure!(made.status.is_success(), "the credential was not made");
        let production = made.text("/data/id")?;
        let connector = self
            .call(Method::GET, "/v3/connectors/google", None)
            .await?;
        let active = connector.text("/data/active_credential_id")?;
        ensure!(active == development, "the default moved by itself");
        self.shown("the default is still the development application")?;
        Ok(production)
    }

    /// The same call for two users: each token is of the application its grant belongs to.
    async fn call_on_behalf(&mut self, grants: [(&Grant, &str); 2]) -> anyhow::Result<()> {
        self.tour
            .step("The provider's own API, called for both of them through one connector")?;
        for (grant, client_id) in grants {
            let path = format!("/v3/grants/{}/proxy/echo", grant.id);
            self.tour.request(&Method::GET, &path, None)?;
            let answer = self.send(Method::GET, &path, None).await?;
            let (user, client) = (answer.text("/user")?, answer.text("/client_id")?);
            let said = format!("the API saw a token of {user}, issued to {client}");
            self.tour.answer(answer.status, &said)?;
            ensure!(client == client_id, "the call used the token of {client}");
        }
        self.shown("each call went out with its own grant's token, through its own credential")?;
        Ok(())
    }

    async fn through_the_default(&mut self, development: &str) -> anyhow::Result<Grant> {
        self.tour
            .step("Alice signs in. Nobody names a credential, so the default counts")?;
        let grant = self.hosted("alice@example.com", None, "dev-app").await?;
        ensure!(
            grant.credential_id == development,
            "the grant has another credential"
        );
        self.shown("the provider was asked by dev-app, and the grant says so")?;
        Ok(grant)
    }

    async fn through_the_other(&mut self, production: &str) -> anyhow::Result<Grant> {
        self.tour
            .step("Bob signs in, through the production application by name")?;
        let grant = self
            .hosted("bob@example.com", Some(production), "production-app")
            .await?;
        ensure!(
            grant.credential_id == production,
            "the grant has another credential"
        );
        self.shown("the same link with credential_id: the provider was asked by production-app")?;
        Ok(grant)
    }

    async fn bring_your_own(&mut self, production: &str) -> anyhow::Result<Grant> {
        self.tour
            .step("Carol signed in long ago, elsewhere: her refresh token is brought along")?;
        let token = self.old_refresh_token("carol@example.org").await?;
        self.tour.aside(
            "the application has a refresh token that production-app got for carol@example.org",
        )?;
        let body = json!({
            "provider": "google",
            "settings": {"refresh_token": token, "credential_id": production},
        });
        let made = self
            .call(Method::POST, "/v3/connect/custom", Some(body))
            .await?;
        ensure!(made.status.is_success(), "the token was not taken");
        let grant = grant_of(&made.json)?;
        ensure!(
            grant.credential_id == production,
            "the grant has another credential"
        );
        ensure!(
            made.text("/data/email")? == "carol@example.org",
            "it is somebody else's"
        );
        self.shown("Keyway tried the token, asked the provider whose it is, and made a grant")?;
        Ok(grant)
    }

    async fn change_the_default(
        &mut self,
        development: &str,
        production: &str,
        alice: &Grant,
    ) -> anyhow::Result<()> {
        self.tour
            .step("The production application becomes the default")?;
        let body = json!({"active_credential_id": production});
        let changed = self
            .call(Method::PATCH, "/v3/connectors/google", Some(body))
            .await?;
        ensure!(
            changed.status == StatusCode::OK,
            "the default was not changed"
        );
        let still = self.grant(&alice.id).await?;
        ensure!(
            still.credential_id == development,
            "an existing grant moved"
        );
        self.shown("Alice's grant stays where it is: the default decides later sign-ins only")?;
        let later = self
            .hosted("dave@example.com", None, "production-app")
            .await?;
        ensure!(
            later.credential_id == production,
            "a later sign-in took the old default"
        );
        self.shown("Dave, who names no credential either, came through production-app")?;
        Ok(())
    }

    async fn migrate(&mut self, production: &str, alice: &Grant) -> anyhow::Result<Grant> {
        self.tour
            .step("Alice signs in again through the production application: a migration")?;
        let moved = self
            .hosted("alice@example.com", Some(production), "production-app")
            .await?;
        ensure!(moved.id == alice.id, "it became another grant");
        ensure!(
            moved.created_at == alice.created_at,
            "the grant was made anew"
        );
        ensure!(moved.credential_id == production, "the grant did not move");
        self.shown("the same grant id, another credential: nothing changes for the application")?;
        Ok(moved)
    }

    async fn read_back(&mut self, credentials: [&str; 2], grants: &[Grant]) -> anyhow::Result<()> {
        self.tour.step("Everything read back")?;
        let [development, production] = credentials;
        let listed = self.call(Method::GET, CREDENTIALS, None).await?;
        ensure!(count(&listed) == 2, "there are not two credentials");
        let path = format!("/v3/grants?credential_id={production}");
        let through = self.call(Method::GET, &path, None).await?;
        ensure!(
            count(&through) == 4,
            "not all four users are behind the production application"
        );
        for grant in grants {
            ensure!(
                &self.grant(&grant.id).await? == grant,
                "a grant is not what it was"
            );
        }
        for credential in [development, production] {
            let path = format!("{CREDENTIALS}/{credential}/health");
            let health = self.call(Method::GET, &path, None).await?;
            ensure!(
                health.text("/data/status")? == "healthy",
                "a credential is not healthy"
            );
        }
        self.shown(
            "two credentials, both healthy; four grants, all of them with production-app now",
        )?;
        Ok(())
    }

    /// A user's whole sign-in, from the link to the grant.
    pub(super) async fn hosted(
        &mut self,
        email: &str,
        credential_id: Option<&str>,
        client_id: &str,
    ) -> anyhow::Result<Grant> {
        let link = self.link(credential_id)?;
        // The rest of the query is the same every time: client_id, redirect_uri, response_type, state.
        let named = credential_id
            .map(|id| format!("&credential_id={id}"))
            .unwrap_or_default();
        let printed = format!("/v3/connect/auth?provider=google{named}&…");
        self.tour.request(&Method::GET, &printed, None)?;
        let world = self.world;
        let back = browser::sign_in(&world.http, &world.sandbox_url, link.as_str(), email).await?;
        let Returned {
            code,
            state,
            provider_client_id,
        } = back;
        ensure!(state == "demo", "another state came back");
        ensure!(
            provider_client_id == client_id,
            "the provider was asked by {provider_client_id}"
        );
        self.tour.aside(&format!(
            "{email} signs in at the provider, which is asked by {provider_client_id}, and comes back with a code"
        ))?;
        let id = self.exchange(&code).await?;
        self.grant(&id).await
    }

    fn link(&self, credential_id: Option<&str>) -> anyhow::Result<Url> {
        let mut link = Url::parse(&self.world.keyway_url)?;
        link.set_path("/v3/connect/auth");
        link.query_pairs_mut()
            .append_pair("client_id", &self.tenant.application_id)
            .append_pair("redirect_uri", &self.tenant.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("provider", "google")
            .append_pair("state", "demo");
        if let Some(id) = credential_id {
            link.query_pairs_mut().append_pair("credential_id", id);
        }
        Ok(link)
    }

    /// Exchanges a code, whose secrets are not printed.
    async fn exchange(&self, code: &str) -> anyhow::Result<String> {
        let body = json!({
            "grant_type": "authorization_code",
            "client_id": self.tenant.application_id,
            "client_secret": self.tenant.api_key.expose_secret(),
            "redirect_uri": self.tenant.redirect_uri,
            "code": code,
        });
        let printed =
            json!({"grant_type": "authorization_code", "code": "…", "client_secret": "<api_key>"});
        self.tour
            .request(&Method::POST, "/v3/connect/token", Some(&printed))?;
        let answer = self
            .send(Method::POST, "/v3/connect/token", Some(&body))
            .await?;
        ensure!(
            answer.status == StatusCode::OK,
            "the code was not taken: {}",
            answer.json
        );
        let id = answer.text("/grant_id")?;
        let said = json!({"id": id, "email": answer.text("/email")?});
        self.tour
            .answer(answer.status, &format!("a grant: {}", gist(&said)))?;
        Ok(id)
    }

    pub(super) async fn grant(&self, id: &str) -> anyhow::Result<Grant> {
        let answer = self
            .call(Method::GET, &format!("/v3/grants/{id}"), None)
            .await?;
        ensure!(answer.status == StatusCode::OK, "the grant cannot be read");
        ensure!(
            answer.text("/data/grant_status")? == "valid",
            "the grant is not valid"
        );
        grant_of(&answer.json)
    }

    /// A refresh token as an application would bring it from somewhere else.
    async fn old_refresh_token(&self, email: &str) -> anyhow::Result<String> {
        let body = json!({"client_id": "production-app", "email": email, "scopes": SCOPES});
        let url = format!("{}/sandbox/refresh-tokens", self.world.sandbox_url);
        let call = Call {
            body: Some(&body),
            ..Call::new(Method::POST, &url)
        };
        self.world.http.send(call).await?.text("/refresh_token")
    }

    /// A request to Keyway with the API key, printed with what comes back.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        self.tour.request(&method, path, body.as_ref())?;
        let answer = self.send(method, path, body.as_ref()).await?;
        let said = answer.json.get("data").unwrap_or(&answer.json);
        self.tour.answer(answer.status, &gist(said))?;
        Ok(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.world.keyway_url);
        let call = Call {
            bearer: Some(self.tenant.api_key.expose_secret()),
            body,
            ..Call::new(method, &url)
        };
        self.world.http.send(call).await
    }

    pub(super) fn shown(&self, text: &str) -> std::io::Result<()> {
        self.tour.shown(text)
    }
}

fn grant_of(json: &Value) -> anyhow::Result<Grant> {
    let data = json.get("data").context("no grant came back")?;
    let text = |name: &str| {
        let text = data.get(name).and_then(Value::as_str).map(str::to_owned);
        text.with_context(|| format!("the grant has no {name}"))
    };
    Ok(Grant {
        id: text("id")?,
        credential_id: text("credential_id")?,
        created_at: data
            .get("created_at")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
    })
}

pub(super) fn count(answer: &Answer) -> usize {
    answer
        .json
        .get("data")
        .and_then(Value::as_array)
        .map_or(0, Vec::len)
}
