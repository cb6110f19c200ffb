//! Hosted sign-ins: what is asked for, and how they end.

use crate::application::TestApplication;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider;
use keyway_engine::sign_in::{AccountForm, AuthorizeParams, Browser, Cookie, SignInFault};
use keyway_engine::{Error, OAuthError};
use keyway_sandbox::Decision;
use std::collections::BTreeMap;
use url::Url;

/// What a user and an application do at a sign-in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Who signs in at the provider.
    pub email: String,
    /// What that user decides there.
    pub decision: Decision,
    /// Where to go back to; the application's `web` redirect URI if none is named.
    pub redirect_uri: Option<String>,
    /// The PKCE verifier at the exchange.
    pub verifier: Option<String>,
    /// Everything else the query of `/v3/connect/auth` says.
    pub query: AuthorizeParams,
    /// Who comes.
    pub browser: Browser,
}

impl SignIn {
    /// `email` signs in and allows everything.
    #[must_use]
    pub fn of(email: &str) -> Self {
        Self {
            email: email.to_owned(),
            decision: Decision::AllowAll,
            redirect_uri: None,
            verifier: None,
            query: AuthorizeParams {
                response_type: Some("code".to_owned()),
                ..AuthorizeParams::default()
            },
            browser: Browser::default(),
        }
    }

    /// At this provider.
    #[must_use]
    pub fn at(mut self, provider: Provider) -> Self {
        self.query.provider = Some(provider.as_str().to_owned());
        self
    }

    /// Through this credential.
    #[must_use]
    pub fn through(mut self, credential: CredentialId) -> Self {
        self.query.credential_id = Some(credential.to_string());
        self
    }

    /// With the address the application expects.
    #[must_use]
    pub fn hint(mut self, email: &str) -> Self {
        self.query.login_hint = Some(email.to_owned());
        self
    }

    /// With these scopes.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.query.scope = Some(scope.to_owned());
        self
    }

    /// With this state of the application's.
    #[must_use]
    pub fn state(mut self, state: &str) -> Self {
        self.query.state = Some(state.to_owned());
        self
    }

    /// With a refresh token for the application.
    #[must_use]
    pub fn offline(mut self) -> Self {
        self.query.access_type = Some("offline".to_owned());
        self
    }

    /// With a refresh token that rotates.
    #[must_use]
    pub fn rotating(mut self) -> Self {
        self.query.options = Some("rotate_refresh_token".to_owned());
        self.offline()
    }

    /// With the application's own id for the grant.
    #[must_use]
    pub fn external_id(mut self, id: &str) -> Self {
        self.query.external_id = Some(id.to_owned());
        self
    }

    /// Back to this redirect URI.
    #[must_use]
    pub fn back_to(mut self, redirect_uri: &str) -> Self {
        self.redirect_uri = Some(redirect_uri.to_owned());
        self
    }

    /// With a PKCE challenge, answered by `verifier` at the exchange.
    #[must_use]
    pub fn pkce(mut self, challenge: &str, method: &str, verifier: &str) -> Self {
        self.query.code_challenge = Some(challenge.to_owned());
        self.query.code_challenge_method = Some(method.to_owned());
        self.verifier = Some(verifier.to_owned());
        self
    }

    /// The user leaves only these scopes ticked.
    #[must_use]
    pub fn allowing_only(mut self, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.decision = Decision::AllowOnly(scopes);
        self
    }

    /// The user declines.
    #[must_use]
    pub fn declining(mut self) -> Self {
        self.decision = Decision::Decline;
        self
    }

    /// The query for `application`.
    #[must_use]
    pub fn authorize_params(&self, application: &TestApplication) -> AuthorizeParams {
        let redirect_uri = self.redirect_uri.clone();
        AuthorizeParams {
            client_id: Some(application.id.to_string()),
            redirect_uri: Some(redirect_uri.unwrap_or_else(|| application.redirect_uri.clone())),
            ..self.query.clone()
        }
    }
}

/// A user who has been sent to the provider.
#[derive(Clone, Debug)]
pub struct AtProvider {
    /// The provider's page.
    pub location: String,
    /// The sign-in's cookie.
    pub cookie: Cookie,
}

impl AtProvider {
    /// The cookies the browser sends to the callback.
    #[must_use]
    pub fn cookies(&self) -> Vec<(String, String)> {
        vec![
            ("unrelated".to_owned(), "value".to_owned()),
            (self.cookie.name.clone(), self.cookie.value.clone()),
        ]
    }

    /// A parameter of the authorization request.
    ///
    /// # Panics
    /// If it is not there.
    #[must_use]
    pub fn asked(&self, name: &str) -> String {
        returned(&self.location)
            .remove(name)
            .expect("the authorization request has this parameter")
    }
}

/// How a sign-in can end without tokens.
#[derive(Debug)]
pub enum Ended {
    /// It did not begin, and the application's page is not to hear of it.
    Here(Error),
    /// The browser went back to the application with these parameters.
    Returned(BTreeMap<String, String>),
    /// The user has to choose among these.
    Choose(Vec<Provider>),
    /// At a form that asks for a password, with the browser's new cookie.
    Form(Box<AccountForm>, Cookie),
    /// The browser shows an error page.
    Page(SignInFault),
    /// The code was refused.
    Token(OAuthError),
}

impl Ended {
    /// A parameter the application was sent back with.
    ///
    /// # Panics
    /// If the sign-in ended otherwise, or without it.
    #[must_use]
    pub fn returned(&self, name: &str) -> &str {
        match self {
            Self::Returned(query) => query.get(name).expect("the redirect has this parameter"),
            other => panic!("not sent back: {other:?}"),
        }
    }
}

/// The query of a URL, as a map.
///
/// # Panics
/// If it is no URL.
#[must_use]
pub fn returned(location: &str) -> BTreeMap<String, String> {
    Url::parse(location)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}
