//! An application in a [`crate::World`], and what it does day by day.

use crate::hosted::{AtProvider, Ended, SignIn, returned};
use keyway_core::application::{ApiKey, Platform};
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::ids::{ApplicationId, CredentialId, GrantId};
use keyway_core::page::{LIMIT_MAX, Page};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_engine::applications::NewApplication;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::credentials::NewCredential;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::redirect_uris::NewRedirectUri;
use keyway_engine::sign_in::{CallbackParams, Finish, Start};
use keyway_engine::tokens::{TokenAnswer, TokenParams};
use keyway_engine::{Caller, Engine, Error, GrantFilter, OAuthError, Principal};
use keyway_sandbox::{Control, ScriptedUser};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

/// A JSON object, as a map.
///
/// # Panics
/// If `value` is none.
#[must_use]
pub fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}

/// An application with its first API key.
#[derive(Clone)]
pub struct TestApplication {
    /// Its id and `client_id`.
    pub id: ApplicationId,
    /// Proof of its key.
    pub caller: Caller,
    /// The key's row.
    pub key: ApiKey,
    /// Its redirect URI of platform `web`.
    pub redirect_uri: String,
    /// Its redirect URI of platform `js`.
    pub page_uri: String,
    /// Its redirect URI of platform `ios`.
    pub mobile_uri: String,
    api_key: SecretString,
    engine: Engine,
    provider: Control,
}

fn registered(url: &str, platform: Platform, settings: Value) -> NewRedirectUri {
    NewRedirectUri {
        url: url.to_owned(),
        platform,
        settings: object(settings),
    }
}

/// What a browser that is sent to the callback carries there.
#[must_use]
pub fn callback_params(location: &str) -> CallbackParams {
    let mut query = returned(location);
    CallbackParams {
        state: query.remove("state"),
        code: query.remove("code"),
        error: query.remove("error"),
        error_description: query.remove("error_description"),
        iss: query.remove("iss"),
        admin_consent: query.remove("admin_consent"),
        tenant: query.remove("tenant"),
    }
}

impl TestApplication {
    pub(crate) async fn create(engine: &Engine, provider: &Control, name: &str) -> Self {
        let redirect_uri = format!("https://{name}.example/callback");
        let page_uri = format!("https://{name}.example/page");
        let mobile_uri = format!("{name}.app://callback");
        let new = NewApplication {
            name: name.to_owned(),
            region: "us".to_owned(),
            environment: "sandbox".to_owned(),
            redirect_uris: vec![
                registered(&redirect_uri, Platform::Web, json!({})),
                registered(
                    &page_uri,
                    Platform::Js,
                    json!({"origin": format!("https://{name}.example")}),
                ),
                registered(
                    &mobile_uri,
                    Platform::Ios,
                    json!({"bundle_id": "example.app"}),
                ),
            ],
        };
        let (application, api_key, key) = engine.create_application(new).await.unwrap();
        let caller = engine.caller(api_key.expose_secret()).await.unwrap();
        Self {
            id: application.id,
            caller,
            key,
            redirect_uri,
            page_uri,
            mobile_uri,
            api_key,
            engine: engine.clone(),
            provider: provider.clone(),
        }
    }

    /// The same application, talking to another process.
    #[must_use]
    pub fn at(&self, engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            ..self.clone()
        }
    }

    /// The process it talks to.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The API key itself.
    #[must_use]
    pub fn api_key(&self) -> &str {
        self.api_key.expose_secret()
    }

    /// Proof of its key, where an access token would do as well.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::Key(self.caller)
    }

    /// A connector with `client` of the sandbox as its primary credential.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn connector(&self, provider: Provider, client: &str) -> Connector {
        let settings =
            object(json!({"client_id": client, "client_secret": format!("{client}-secret")}));
        let new = NewConnector {
            provider,
            name: None,
            settings,
            scope: Scopes::parse("mail.read").unwrap(),
        };
        self.engine
            .create_connector(&self.caller, new)
            .await
            .unwrap()
    }

    /// What a credential of the sandbox's `client` is made from.
    #[must_use]
    pub fn new_credential(&self, name: &str, client: &str) -> NewCredential {
        NewCredential {
            name: name.to_owned(),
            credential_type: CredentialType::Connector,
            data: object(json!({"client_id": client, "client_secret": format!("{client}-secret")})),
        }
    }

    /// One more credential of the provider's connector.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn credential(&self, provider: Provider, name: &str, client: &str) -> Credential {
        let new = self.new_credential(name, client);
        self.engine
            .create_credential(&self.caller, provider, new)
            .await
            .unwrap()
    }

    /// Makes `id` the default of the provider's connector.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn make_default(&self, provider: Provider, id: CredentialId) {
        let patch = ConnectorPatch {
            active_credential_id: Some(id),
            ..ConnectorPatch::default()
        };
        self.engine
            .update_connector(&self.caller, provider, patch)
            .await
            .unwrap();
    }

    /// Begins `sign_in`.
    ///
    /// # Errors
    /// If the user is not sent to a provider.
    pub async fn start(&self, sign_in: &SignIn) -> Result<AtProvider, Ended> {
        let params = sign_in.authorize_params(self);
        match self
            .engine
            .start_sign_in(params, sign_in.browser.clone())
            .await
        {
            Ok(Start::Provider { location, cookie }) => Ok(AtProvider { location, cookie }),
            Ok(Start::Application { location }) => Err(Ended::Returned(returned(&location))),
            Ok(Start::Choose(options)) => Err(Ended::Choose(options.providers)),
            Ok(Start::Form { form, cookie }) => Err(Ended::Form(form, cookie)),
            Err(error) => Err(Ended::Here(error)),
        }
    }

    /// What the user does at the provider; gives what the provider sends the browser back with.
    ///
    /// # Panics
    /// If the provider shows an error page.
    #[must_use]
    pub fn at_provider(&self, at: &AtProvider, sign_in: &SignIn) -> CallbackParams {
        let user = ScriptedUser {
            email: sign_in.email.clone(),
            decision: sign_in.decision.clone(),
        };
        let back = self.provider.sign_in(&at.location, &user).unwrap();
        assert!(back.starts_with(&self.engine.callback_uri()), "{back}");
        callback_params(&back)
    }

    /// The browser comes back with its cookie.
    pub async fn finish(&self, at: &AtProvider, params: CallbackParams) -> Finish {
        self.engine.finish_sign_in(params, at.cookies()).await
    }

    /// Everything up to Keyway's own code.
    ///
    /// # Errors
    /// If the sign-in ends otherwise.
    pub async fn code(&self, sign_in: &SignIn) -> Result<String, Ended> {
        let at = self.start(sign_in).await?;
        let params = self.at_provider(&at, sign_in);
        self.code_from(&at, params).await
    }

    /// The browser comes back, and the code it then brings to the application.
    ///
    /// # Errors
    /// If it brings none.
    pub async fn code_from(
        &self,
        at: &AtProvider,
        params: CallbackParams,
    ) -> Result<String, Ended> {
        match self.finish(at, params).await {
            Finish::Page(fault) => Err(Ended::Page(fault)),
            Finish::Application { location, .. } => {
                let mut query = returned(&location);
                query.remove("code").ok_or(Ended::Returned(query))
            }
        }
    }

    /// The body of the exchange of `code`.
    #[must_use]
    pub fn exchange_params(&self, sign_in: &SignIn, code: &str) -> TokenParams {
        let redirect_uri = sign_in.redirect_uri.clone();
        TokenParams {
            grant_type: Some("authorization_code".to_owned()),
            client_id: Some(self.id.to_string()),
            client_secret: Some(self.api_key().to_owned()),
            code: Some(code.to_owned()),
            redirect_uri: Some(redirect_uri.unwrap_or_else(|| self.redirect_uri.clone())),
            code_verifier: sign_in.verifier.clone(),
            ..TokenParams::default()
        }
    }

    /// Exchanges `code`.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn exchange(&self, sign_in: &SignIn, code: &str) -> Result<TokenAnswer, OAuthError> {
        self.engine.token(self.exchange_params(sign_in, code)).await
    }

    /// The whole story of `sign_in`.
    ///
    /// # Errors
    /// If it ends without tokens.
    pub async fn try_sign_in(&self, sign_in: &SignIn) -> Result<TokenAnswer, Ended> {
        let code = self.code(sign_in).await?;
        self.exchange(sign_in, &code).await.map_err(Ended::Token)
    }

    /// The whole story of `sign_in`, which ends well.
    ///
    /// # Panics
    /// If it does not.
    pub async fn sign_in(&self, sign_in: &SignIn) -> TokenAnswer {
        match self.try_sign_in(sign_in).await {
            Ok(answer) => answer,
            Err(ended) => panic!("the sign-in ended: {ended:?}"),
        }
    }

    /// The whole story of `sign_in`; gives the grant.
    ///
    /// # Panics
    /// If it does not end well.
    pub async fn connect(&self, sign_in: &SignIn) -> Grant {
        let id = self.sign_in(sign_in).await.grant_id;
        self.grant(id).await
    }

    /// A grant.
    ///
    /// # Panics
    /// If there is none.
    pub async fn grant(&self, id: GrantId) -> Grant {
        self.engine
            .grant(&self.principal(), GrantLocator::Id(id))
            .await
            .unwrap()
    }

    /// All grants.
    ///
    /// # Panics
    /// If the database does not answer.
    pub async fn grants(&self) -> Vec<Grant> {
        let page = Page {
            limit: LIMIT_MAX,
            ..Page::default()
        };
        self.engine
            .grants(&self.caller, GrantFilter::default(), page)
            .await
            .unwrap()
    }

    /// Hands over a refresh token obtained elsewhere.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn bring(
        &self,
        provider: Provider,
        credential: Option<CredentialId>,
        refresh_token: &str,
    ) -> Result<Grant, Error> {
        let request = CustomAuthentication {
            provider: Some(provider),
            settings: object(json!({"refresh_token": refresh_token})),
            credential_id: credential,
            ..CustomAuthentication::default()
        };
        self.engine
            .custom_authentication(&self.caller, request)
            .await
    }

    /// A refresh token `client` obtained from the provider without this server.
    #[must_use]
    pub fn minted(&self, client: &str, email: &str) -> String {
        let scopes = ["openid", "email", "profile", "mail.read", "offline_access"];
        self.provider.mint_refresh_token(client, email, &scopes)
    }

    /// The body of a use of a refresh token of Keyway's own.
    #[must_use]
    pub fn refresh_params(&self, refresh_token: &str) -> TokenParams {
        TokenParams {
            grant_type: Some("refresh_token".to_owned()),
            client_id: Some(self.id.to_string()),
            client_secret: Some(self.api_key().to_owned()),
            refresh_token: Some(refresh_token.to_owned()),
            ..TokenParams::default()
        }
    }

    /// Uses a refresh token of Keyway's own.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenAnswer, OAuthError> {
        self.engine.token(self.refresh_params(refresh_token)).await
    }

    /// The origin of its redirect URIs.
    ///
    /// # Panics
    /// Never: the URI was accepted when it was registered.
    #[must_use]
    pub fn origin(&self) -> String {
        let url = Url::parse(&self.redirect_uri).unwrap();
        url.origin().ascii_serialization()
    }
}
