//! An authorization request (RFC 6749, section 4.1.1), read and judged before anybody signs in.

use crate::config::{ClientConfig, Dialect, Pkce};
use crate::params::{Params, scope_words};
use crate::pkce::Challenge;
use crate::provider::Provider;
use std::sync::Arc;

/// A request that may be put to the user.
pub(crate) struct AuthorizationRequest {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) login_hint: Option<String>,
    pub(crate) is_offline: bool,
    pub(crate) includes_granted_scopes: bool,
    prompt: Vec<String>,
    /// The query string as it came, for the forms to carry along.
    pub(crate) query: String,
}

/// Why a request is not put to the user.
pub(crate) enum RequestRefusal {
    /// Nowhere safe to send the user: said on a page (section 3.1.2.4).
    Page(String),
    /// Told to the client.
    Redirect {
        to: ReturnAddress,
        error: &'static str,
        description: String,
    },
}

/// Where the user goes back to, and with which `state`.
#[derive(Clone)]
pub(crate) struct ReturnAddress {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
}

/// What a request without `scope` asks for; Zoom's clients send none.
const DEFAULT_SCOPES: &str = "openid email profile mail.read";

impl AuthorizationRequest {
    pub(crate) fn parse(provider: &Provider, query: &str) -> Result<Self, RequestRefusal> {
        let params = Params::parse(query.as_bytes());
        let (client, to) = return_address(provider, &params)?;
        let refuse = |(error, description)| RequestRefusal::Redirect {
            to: to.clone(),
            error,
            description,
        };
        check_shape(&params).map_err(refuse)?;
        let scopes = scopes(&params, provider.config.dialect).map_err(refuse)?;
        let challenge = challenge(&params, provider.config.pkce).map_err(refuse)?;
        let own = |name| params.get(name).map(str::to_owned);
        Ok(Self {
            client,
            nonce: own("nonce"),
            challenge,
            login_hint: own("login_hint"),
            is_offline: is_offline(&params, &scopes, provider.config.dialect),
            includes_granted_scopes: params.get("include_granted_scopes") == Some("true"),
            prompt: scope_words(params.get("prompt").unwrap_or_default()),
            scopes,
            redirect_uri: to.redirect_uri,
            state: to.state,
            query: query.to_owned(),
        })
    }

    pub(crate) fn asks_for_prompt(&self, prompt: &str) -> bool {
        self.prompt.iter().any(|asked| asked == prompt)
    }

    pub(crate) fn return_address(&self) -> ReturnAddress {
        ReturnAddress {
            client_id: self.client.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
        }
    }
}

fn return_address(
    provider: &Provider,
    params: &Params,
) -> Result<(Arc<ClientConfig>, ReturnAddress), RequestRefusal> {
    let page = |text: &str| RequestRefusal::Page(text.to_owned());
    let client_id = params
        .get("client_id")
        .ok_or_else(|| page("client_id is missing."))?;
    let client = provider.store().clients.get(client_id).cloned();
    let client = client.ok_or_else(|| page("No client with this client_id is registered here."))?;
    let missing = || page("redirect_uri is missing.");
    let redirect_uri = params.get("redirect_uri").ok_or_else(missing)?;
    if !client
        .redirect_uris
        .iter()
        .any(|registered| registered == redirect_uri)
    {
        let text =
            format!("redirect_uri_mismatch: {redirect_uri} is not registered for {client_id}.");
        return Err(RequestRefusal::Page(text));
    }
    let to = ReturnAddress {
        client_id: client_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        state: params.get("state").map(str::to_owned),
    };
    Ok((client, to))
}

type Refused = (&'static str, String);

fn check_shape(params: &Params) -> Result<(), Refused> {
    if let Some(name) = params.repeated() {
        return Err((
            "invalid_request",
            format!("parameter '{name}' came more than once"),
        ));
    }
    match params.get("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err((
                "unsupported_response_type",
                "only 'code' is supported".to_owned(),
            ));
        }
        None => return Err(("invalid_request", "response_type is missing".to_owned())),
    }
    match params.get("response_mode") {
        None | Some("query") => Ok(()),
        Some(_) => Err((
            "invalid_request",
            "only response_mode 'query' is supported".to_owned(),
        )),
    }
}

fn scopes(params: &Params, dialect: Dialect) -> Result<Vec<String>, Refused> {
    match (params.get("scope"), dialect) {
        (Some(scope), _) => Ok(scope_words(scope)),
        (None, Dialect::Plain) => Ok(scope_words(DEFAULT_SCOPES)),
        (None, _) => Err(("invalid_request", "scope is missing".to_owned())),
    }
}

fn challenge(params: &Params, pkce: Pkce) -> Result<Option<Challenge>, Refused> {
    let refused = |text: &str| ("invalid_request", text.to_owned());
    match (params.get("code_challenge"), pkce) {
        (Some(challenge), _) => Challenge::parse(challenge, params.get("code_challenge_method"))
            .map(Some)
            .ok_or_else(|| refused("the code challenge or its method is not one of RFC 7636")),
        (None, Pkce::Required) => Err(refused("code_challenge is missing")),
        (None, Pkce::Optional) => Ok(None),
    }
}

fn is_offline(params: &Params, scopes: &[String], dialect: Dialect) -> bool {
    match dialect {
        Dialect::Plain => true,
        Dialect::Google => params.get("access_type") == Some("offline"),
        Dialect::Microsoft => scopes.iter().any(|scope| scope == "offline_access"),
    }
}
