//! `/v3/connect/auth`: checking the request and sending the browser to the provider.

use super::choose::{Detected, Options};
use super::consent::consent_url;
use super::form::AccountForm;
use super::resolve::{Resolved, Route, Wanted, parse_providers};
use super::{Cookie, Returned};
use crate::custom::ews::check_ews_scope;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::known::KnownApplication;
use keyway_core::application::RedirectUri;
use keyway_core::bearer::{BearerKind, new_bearer};
use keyway_core::connector::Connector;
use keyway_core::credential::Owner;
use keyway_core::email::EMAIL_MAX_BYTES;
use keyway_core::entropy::random_bytes;
use keyway_core::ids::{ApplicationId, CredentialId, SignInId};
use keyway_core::oauth::{AuthorizeRequest, authorize_url, clean};
use keyway_core::pkce::{
    ChallengeMethod, ClientChallenge, PKCE_MAX_BYTES, s256_challenge, verifier_from,
};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::{CredentialChoice, Started};
use keyway_vault::hash::sha256;
use secrecy::ExposeSecret as _;
use std::sync::Arc;

/// Longest `state` of an application, in characters (documented upstream).
const STATE_MAX_CHARS: usize = 256;
/// Longest external id, in bytes.
pub(crate) const EXTERNAL_ID_MAX_BYTES: usize = 255;
/// Longest user agent kept, in characters.
const USER_AGENT_MAX_CHARS: usize = 256;

/// The query of `/v3/connect/auth`, as sent.
#[derive(Clone, Debug, Default)]
pub struct AuthorizeParams {
    /// The application.
    pub client_id: Option<String>,
    /// Where to send the user afterwards.
    pub redirect_uri: Option<String>,
    /// `code`.
    pub response_type: Option<String>,
    /// One provider, or several separated by commas.
    pub provider: Option<String>,
    /// Scopes for this sign-in.
    pub scope: Option<String>,
    /// What the page that asks which account it is to be shows, and in which order.
    pub prompt: Option<String>,
    /// The application's own state.
    pub state: Option<String>,
    /// The address that is to sign in.
    pub login_hint: Option<String>,
    /// `offline` gives the application a refresh token.
    pub access_type: Option<String>,
    /// PKCE challenge.
    pub code_challenge: Option<String>,
    /// How it was made.
    pub code_challenge_method: Option<String>,
    /// The credential to use.
    pub credential_id: Option<String>,
    /// Switches, separated by commas or spaces.
    pub options: Option<String>,
    /// Java's own spelling of one of them.
    pub smtp_required: Option<String>,
    /// Ask for the existing grant's scopes as well.
    pub include_grant_scopes: Option<String>,
    /// Undocumented upstream; ignored.
    pub metadata: Option<String>,
    /// The application's own id for the grant.
    pub external_id: Option<String>,
    /// The address a person typed on the page that asks for one.
    pub email: Option<String>,
}

impl AuthorizeParams {
    /// The address that is to sign in: the one the person typed, else the application's.
    pub(super) fn address(&self) -> Option<&str> {
        given(&self.email).or(given(&self.login_hint))
    }

    /// Whether a mail account must be able to send.
    fn smtp_required(&self) -> bool {
        let flag = given(&self.smtp_required);
        flag.is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || has_option(given(&self.options), "smtp_required")
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Its address.
    pub ip: Option<String>,
    /// What it calls itself.
    pub user_agent: Option<String>,
}

/// Where the browser goes next.
#[derive(Clone)]
pub enum Start {
    /// To the provider, with the sign-in's cookie.
    Provider {
        /// The provider's page.
        location: String,
        /// The sealed sign-in.
        cookie: Cookie,
    },
    /// Back to the application, with an error.
    Application {
        /// The redirect URI with its error parameters.
        location: String,
    },
    /// To a page that asks which account it is to be.
    Choose(Box<Options>),
    /// To a form that asks for the account's password, with the sign-in's cookie.
    Form {
        /// The form, empty but for the address.
        form: Box<AccountForm>,
        /// The sealed sign-in.
        cookie: Cookie,
    },
}

impl std::fmt::Debug for Start {
    /// Without the location: the sign-in's state is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Provider { cookie, .. } => f.debug_tuple("Provider").field(cookie).finish(),
            Self::Application { .. } => f.write_str("Application(..)"),
            Self::Choose(options) => f.debug_tuple("Choose").field(options).finish(),
            Self::Form { cookie, .. } => f.debug_tuple("Form").field(cookie).finish(),
        }
    }
}

pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|t| !t.is_empty())
}

fn has_option(options: Option<&str>, name: &str) -> bool {
    options.is_some_and(|text| text.split([',', ' ']).any(|option| option == name))
}

/// A request whose application and redirect URI are known to be good: from here on, errors go back to
/// the application.
pub(super) struct Accepted {
    pub(super) known: Arc<KnownApplication>,
    pub(super) redirect: RedirectUri,
    pub(super) params: AuthorizeParams,
    pub(super) browser: Browser,
}

/// The connector a sign-in goes through, and the credential, where the provider knows such.
pub(super) struct Through<'a> {
    pub(super) connector: &'a Connector,
    pub(super) credential_id: Option<CredentialId>,
    pub(super) choice: CredentialChoice,
}

impl<'a> From<&'a Route> for Through<'a> {
    fn from(route: &'a Route) -> Self {
        Self {
            connector: &route.connector,
            credential_id: Some(route.credential.credential.id),
            choice: route.choice,
        }
    }
}

/// Why a sign-in does not start.
pub(super) enum Stop {
    Here(Error),
    Back(Returned),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl From<Returned> for Stop {
    fn from(returned: Returned) -> Self {
        Self::Back(returned)
    }
}

impl Engine {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// Only what must not be sent to the redirect URI: unknown client, unregistered redirect URI, a
    /// state too long to return, a fault of ours. Everything else comes back as [`Start::Application`].
    pub async fn start_sign_in(
        &self,
        params: AuthorizeParams,
        browser: Browser,
    ) -> Result<Start, Error> {
        let (known, redirect) = self.check_client(&params).await?;
        let back = (redirect.url.clone(), params.state.clone());
        let accepted = Accepted {
            known,
            redirect,
            params,
            browser,
        };
        match self.begin(accepted).await {
            Ok(start) => Ok(start),
            Err(Stop::Here(error)) => Err(error),
            Err(Stop::Back(returned)) => {
                let location = returned.to_location(&back.0, given(&back.1));
                Ok(Start::Application { location })
            }
        }
    }

    /// A sign-in that begins with everything at hand, at a provider whose accounts a password opens.
    pub(super) async fn start_directly(
        &self,
        params: AuthorizeParams,
        browser: Browser,
    ) -> Result<Started, Error> {
        let (known, redirect) = self.check_client(&params).await?;
        let provider: Option<Provider> = given(&params.provider).and_then(|p| p.parse().ok());
        let mut connectors = known.connectors.iter();
        let connector = connectors
            .find(|c| Some(c.provider) == provider && !c.provider.is_oauth())
            .cloned()
            .ok_or_else(|| Error::field("provider", "this application has no such connector"))?;
        let accepted = Accepted {
            known,
            redirect,
            params,
            browser,
        };
        let through = Through {
            connector: &connector,
            credential_id: None,
            choice: CredentialChoice::Default,
        };
        let scope = form_scopes(&accepted.params, &connector);
        let started = scope
            .map_err(Stop::from)
            .and_then(|scope| self.started(accepted, &through, scope));
        started.map_err(|stop| match stop {
            Stop::Here(error) => error,
            Stop::Back(returned) => Error::new(ErrorKind::InvalidRequest, returned.description),
        })
    }

    async fn check_client(
        &self,
        params: &AuthorizeParams,
    ) -> Result<(Arc<KnownApplication>, RedirectUri), Error> {
        let unknown = || Error::field("client_id", "unknown application");
        let missing = |name: &str| Error::field(name, "is required");
        let client_id = given(&params.client_id).ok_or_else(|| missing("client_id"))?;
        let redirect_uri = given(&params.redirect_uri).ok_or_else(|| missing("redirect_uri"))?;
        let id: ApplicationId = client_id.parse().map_err(|_| unknown())?;
        let known = self.known_application(id).await?.ok_or_else(unknown)?;
        let application = &known.application;
        if application.blocked {
            let message = "Application blocked, contact administrator.";
            return Err(Error::new(ErrorKind::Blocked, message));
        }
        let redirect = known
            .redirect_uris
            .iter()
            .find(|uri| uri.url == redirect_uri)
            .cloned();
        let redirect = redirect.ok_or_else(|| {
            Error::new(
                ErrorKind::RedirectUriNotAllowed,
                "redirect_uri: not registered for this application; it must equal a registered one to the letter",
            )
        })?;
        if given(&params.state).is_some_and(|s| s.chars().count() > STATE_MAX_CHARS) {
            return Err(Error::field(
                "state",
                "must not be longer than 256 characters",
            ));
        }
        Ok((known, redirect))
    }

    async fn begin(&self, accepted: Accepted) -> Result<Start, Stop> {
        let params = &accepted.params;
        let response_type = response_type(given(&params.response_type))?;
        let credential_id = match given(&params.credential_id).map(str::parse).transpose() {
            Ok(id) => id,
            Err(_) => return Err(Returned::invalid_request("credential_id: not a UUID").into()),
        };
        let mut providers = parse_providers(given(&params.provider), self.catalogue())?;
        if response_type == ResponseType::AdminConsent {
            let route = self.consent_route(&accepted.known, &providers, credential_id);
            let route = route.await??;
            return self.go_for_consent(accepted, &route);
        }
        let is_open = providers.known.is_empty() && credential_id.is_none();
        let detected = match is_open && !providers.is_list {
            true => self.detected(&accepted).await,
            false => Detected::NotAsked,
        };
        if let Detected::Provider(provider) = detected {
            providers.known = vec![provider];
        }
        let wanted = Wanted {
            known: Arc::clone(&accepted.known),
            providers,
            credential_id,
        };
        match self.resolve(wanted).await? {
            Resolved::Refused(returned) => Err(returned.into()),
            Resolved::Choose(providers) => {
                let options = Options::new(&accepted, providers, is_open, &detected);
                Ok(Start::Choose(Box::new(options)))
            }
            Resolved::Form(connector) => self.show_form(accepted, &connector),
            Resolved::Route(route) => self.go(accepted, *route).await,
        }
    }

    async fn go(&self, accepted: Accepted, route: Route) -> Result<Start, Stop> {
        let entry = self.entry(route.connector.provider)?;
        let wanted = wanted_scopes(&accepted.params, &route.connector)?;
        let scope = entry.request_scopes(&wanted);
        self.check_shared_scopes(&route, &scope)?;
        let client = &route.credential.client;
        let state = new_bearer(BearerKind::State, self.entropy());
        // Whoever borrows the operator's app must not get what a user consented to for another borrower.
        let is_lent = route.credential.credential.owner == Owner::Operator;
        let exclude_granted_scopes = is_lent
            || has_option(
                given(&accepted.params.options),
                "exclude_google_granted_scopes",
            );
        let started = self.started(accepted, &(&route).into(), scope)?;
        let verifier = started.provider_verifier.clone().unwrap_or_default();
        let url = authorize_url(
            entry,
            &AuthorizeRequest {
                client_id: &client.client_id,
                tenant: client.tenant.as_deref(),
                redirect_uri: &self.callback_uri(),
                scope: &started.scope,
                state: state.expose_secret(),
                nonce: &started.nonce,
                code_challenge: &s256_challenge(&verifier, sha256),
                login_hint: started.login_hint.as_deref(),
                exclude_granted_scopes,
                force_consent: is_lent,
            },
        )
        .map_err(Error::internal)?;
        let cookie = self.seal_handle(state.expose_secret(), &started)?;
        Ok(Start::Provider {
            location: url.into(),
            cookie,
        })
    }

    /// Sends the administrator to the provider's page.
    fn go_for_consent(&self, accepted: Accepted, route: &Route) -> Result<Start, Stop> {
        let entry = self.entry(route.connector.provider)?;
        let state = new_bearer(BearerKind::State, self.entropy());
        let client = &route.credential.client;
        let url = consent_url(entry, client, &self.callback_uri(), state.expose_secret())?;
        let started = self.started(accepted, &route.into(), Scopes::none())?;
        let cookie = self.seal_handle(state.expose_secret(), &started)?;
        Ok(Start::Provider {
            location: url.into(),
            cookie,
        })
    }

    /// An operator's shared app may be asked for no more than the operator allows.
    fn check_shared_scopes(&self, route: &Route, scope: &Scopes) -> Result<(), Returned> {
        if route.credential.credential.owner != Owner::Operator {
            return Ok(());
        }
        let provider = route.connector.provider;
        let Some(app) = self.settings().shared_apps.get(&provider) else {
            return Ok(());
        };
        let Ok(entry) = self.entry(provider) else {
            return Ok(());
        };
        let allowed: Vec<&str> = app
            .scopes
            .iter()
            .map(|s| entry.canonical_scope(s))
            .collect();
        let beyond = scope.filtered(|s| {
            let canonical = entry.canonical_scope(s);
            !allowed.contains(&canonical) && !entry.identity_scopes.iter().any(|own| own == s)
        });
        if beyond.is_empty() {
            return Ok(());
        }
        let description = format!("the operator's shared app does not ask for: {beyond}");
        Err(Returned::new("invalid_scope", 400, description))
    }

    /// Shows the form of a provider whose accounts a password opens.
    fn show_form(&self, accepted: Accepted, connector: &Connector) -> Result<Start, Stop> {
        let scope = form_scopes(&accepted.params, connector)?;
        let state = new_bearer(BearerKind::State, self.entropy());
        let through = Through {
            connector,
            credential_id: None,
            choice: CredentialChoice::Default,
        };
        let typed = accepted.params.address().map(str::to_owned);
        let started = self.started(accepted, &through, scope)?;
        let cookie = self.seal_handle(state.expose_secret(), &started)?;
        let form = Box::new(AccountForm::new(state, &started, connector, typed));
        Ok(Start::Form { form, cookie })
    }

    fn started(
        &self,
        accepted: Accepted,
        through: &Through<'_>,
        scope: Scopes,
    ) -> Result<Started, Stop> {
        let now = self.now();
        let Accepted {
            known,
            redirect,
            params,
            browser,
        } = accepted;
        let application = &known.application;
        let short = |text: String| clean(&text, USER_AGENT_MAX_CHARS);
        Ok(Started {
            id: SignInId::generate(now, self.entropy()),
            application_id: application.id,
            connector_id: through.connector.id,
            credential_id: through.credential_id,
            credential_choice: through.choice,
            provider: through.connector.provider,
            redirect_uri: redirect.url,
            platform: redirect.platform,
            scope,
            challenge: client_challenge(&params)?,
            external_id: external_id(&params)?,
            state: given(&params.state).map(str::to_owned),
            login_hint: params.address().map(|text| clean(text, EMAIL_MAX_BYTES)),
            smtp_required: params.smtp_required(),
            offline: offline(given(&params.access_type))?,
            rotate_refresh_token: application.additional.rotate_refresh_token
                || has_option(given(&params.options), "rotate_refresh_token"),
            provider_verifier: Some(verifier_from(random_bytes(self.entropy()))),
            nonce: verifier_from(random_bytes(self.entropy())),
            started_at: now,
            ip: browser.ip,
            user_agent: browser.user_agent.map(short),
        })
    }
}

/// What a sign-in is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ResponseType {
    /// A user's grant.
    Code,
    /// A tenant's consent.
    AdminConsent,
}

fn response_type(text: Option<&str>) -> Result<ResponseType, Returned> {
    match text {
        Some("code") => Ok(ResponseType::Code),
        Some("adminconsent") => Ok(ResponseType::AdminConsent),
        None => Err(Returned::invalid_request(
            "response_type: is required; use code",
        )),
        Some(_) => Err(Returned::new(
            "unsupported_response_type",
            400,
            "response_type: must be code or adminconsent",
        )),
    }
}

/// Only `offline` gives a refresh token; upstream's SDKs send `online` when nothing is said.
fn offline(access_type: Option<&str>) -> Result<bool, Returned> {
    match access_type {
        None | Some("online") => Ok(false),
        Some("offline") => Ok(true),
        Some(_) => Err(Returned::invalid_request(
            "access_type: must be offline or online",
        )),
    }
}

fn client_challenge(params: &AuthorizeParams) -> Result<Option<ClientChallenge>, Returned> {
    let Some(challenge) = given(&params.code_challenge) else {
        return Ok(None);
    };
    if challenge.len() > PKCE_MAX_BYTES {
        return Err(Returned::invalid_request("code_challenge: is too long"));
    }
    let method = ChallengeMethod::parse(params.code_challenge_method.as_deref())
        .ok_or_else(|| Returned::invalid_request("code_challenge_method: must be S256 or plain"))?;
    Ok(Some(ClientChallenge {
        challenge: challenge.to_owned(),
        method,
    }))
}

fn external_id(params: &AuthorizeParams) -> Result<Option<String>, Returned> {
    match given(&params.external_id) {
        Some(id) if id.len() > EXTERNAL_ID_MAX_BYTES || id.chars().any(char::is_control) => Err(
            Returned::invalid_request("external_id: must be 1 to 255 printable bytes"),
        ),
        other => Ok(other.map(str::to_owned)),
    }
}

/// The same of an account that a password opens. Exchange mailboxes have scopes of their own.
fn form_scopes(params: &AuthorizeParams, connector: &Connector) -> Result<Scopes, Returned> {
    let scope = wanted_scopes(params, connector)?;
    if connector.provider == Provider::Ews {
        let checked = check_ews_scope(&scope);
        checked.map_err(|e| Returned::new("invalid_scope", 400, e.message().to_owned()))?;
    }
    Ok(scope)
}

/// The request's scopes, else the connector's. `include_grant_scopes` adds nothing here: whoever knows an
/// address could read its grant's scopes off the redirect. Providers that merge scopes do so themselves.
fn wanted_scopes(params: &AuthorizeParams, connector: &Connector) -> Result<Scopes, Returned> {
    match given(&params.scope) {
        Some(text) => Scopes::parse(text)
            .map_err(|error| Returned::new("invalid_scope", 400, format!("scope: {error}"))),
        None => Ok(connector.scope.clone()),
    }
}
