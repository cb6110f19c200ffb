//! `/` and `/sandbox/…`: the controls of the sandbox itself, for people and for scripts.

use crate::authorization::{self, Script};
use crate::config::{ClientConfig, UserConfig};
use crate::control::Control;
use crate::faults::Faults;
use crate::pages::PageError;
use crate::provider::Provider;
use crate::service_account::NewServiceAccount;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use minijinja::context;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// `GET /`.
pub(crate) async fn index(State(provider): State<Arc<Provider>>) -> Result<Response, PageError> {
    let store = provider.store();
    let client = |client: &Arc<ClientConfig>| {
        context! {
            client_id => &client.client_id,
            name => &client.name,
            project => &client.project,
            redirect_uris => &client.redirect_uris,
        }
    };
    let clients: Vec<_> = store.clients.values().map(client).collect();
    drop(store);
    let faults = serde_json::to_string_pretty(&*provider.faults()).unwrap_or_default();
    let origin = provider.origin();
    provider
        .pages
        .render("index.html", &context!(clients, faults, origin))
}

/// `GET /sandbox/state`.
pub(crate) async fn state(State(provider): State<Arc<Provider>>) -> Response {
    Json(Control::new(provider).state()).into_response()
}

/// `GET /sandbox/faults`.
pub(crate) async fn faults(State(provider): State<Arc<Provider>>) -> Json<Faults> {
    Json(provider.faults().clone())
}

/// `PUT /sandbox/faults`: replaces them all; `{}` ends them.
pub(crate) async fn set_faults(
    State(provider): State<Arc<Provider>>,
    faults: Result<Json<Faults>, JsonRejection>,
) -> Response {
    answer(faults, |faults| {
        *provider.faults() = faults.clone();
        Json(faults).into_response()
    })
}

/// The body of `POST /sandbox/sign-in`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInBody {
    authorize_url: String,
    email: String,
    #[serde(default)]
    deny: bool,
    scopes: Option<Vec<String>>,
}

/// `POST /sandbox/sign-in`: both pages at once. Answers `{"location": …}`.
pub(crate) async fn sign_in(
    State(provider): State<Arc<Provider>>,
    body: Result<Json<SignInBody>, JsonRejection>,
) -> Response {
    answer(body, |body| {
        let (email, scopes) = (body.email.as_str(), body.scopes.as_deref());
        let script = Script {
            email,
            scopes,
            denies: body.deny,
        };
        match authorization::run_script(&provider, &body.authorize_url, &script) {
            Ok(location) => Json(json!({"location": location})).into_response(),
            Err(text) => refused(&text),
        }
    })
}

/// The body of `PUT /sandbox/clients/{client_id}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientBody {
    client_secret: Option<String>,
    redirect_uris: Vec<String>,
    project: Option<String>,
    name: Option<String>,
}

/// `PUT /sandbox/clients/{client_id}`: registers a client, or changes one.
pub(crate) async fn put_client(
    State(provider): State<Arc<Provider>>,
    Path(client_id): Path<String>,
    body: Result<Json<ClientBody>, JsonRejection>,
) -> Response {
    answer(body, |body| {
        Control::new(provider).put_client(ClientConfig {
            client_secret: body.client_secret.map(SecretString::from),
            redirect_uris: body.redirect_uris,
            project: body.project.unwrap_or_else(|| client_id.clone()),
            name: body.name.unwrap_or_else(|| client_id.clone()),
            client_id,
        });
        StatusCode::NO_CONTENT.into_response()
    })
}

/// The body of `PUT /sandbox/users/{email}`. What is left out is derived from the address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserBody {
    name: Option<String>,
    sub: Option<String>,
    oid: Option<String>,
    email_verified: Option<bool>,
}

/// `PUT /sandbox/users/{email}`: lists a user, or changes who is behind an address.
pub(crate) async fn put_user(
    State(provider): State<Arc<Provider>>,
    Path(email): Path<String>,
    body: Result<Json<UserBody>, JsonRejection>,
) -> Response {
    answer(body, |body| {
        let made = UserConfig::new(&email);
        let user = UserConfig {
            name: body.name.unwrap_or(made.name),
            sub: body.sub.unwrap_or(made.sub),
            oid: body.oid.unwrap_or(made.oid),
            email_verified: body.email_verified.unwrap_or(made.email_verified),
            email: made.email,
        };
        Control::new(provider).put_user(user.clone());
        Json(user).into_response()
    })
}

/// `DELETE /sandbox/users/{email}/tokens`: ends all the user's tokens, as the user might in the
/// account's own settings.
pub(crate) async fn revoke_all(
    State(provider): State<Arc<Provider>>,
    Path(email): Path<String>,
) -> StatusCode {
    Control::new(provider).revoke_all(&email);
    StatusCode::NO_CONTENT
}

/// The body of `POST /sandbox/refresh-tokens`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshTokenBody {
    client_id: String,
    email: String,
    scopes: Vec<String>,
}

/// `POST /sandbox/refresh-tokens`: a refresh token as if from an earlier sign-in, for
/// bring-your-own. Answers `{"refresh_token": …}`.
pub(crate) async fn mint_refresh_token(
    State(provider): State<Arc<Provider>>,
    body: Result<Json<RefreshTokenBody>, JsonRejection>,
) -> Response {
    answer(body, |body| {
        let scopes: Vec<&str> = body.scopes.iter().map(String::as_str).collect();
        let control = Control::new(provider);
        let token = control.mint_refresh_token(&body.client_id, &body.email, &scopes);
        Json(json!({"refresh_token": token})).into_response()
    })
}

/// `POST /sandbox/service-accounts`: makes one and answers its key file.
pub(crate) async fn new_service_account(
    State(provider): State<Arc<Provider>>,
    body: Result<Json<NewServiceAccount>, JsonRejection>,
) -> Response {
    answer(body, |body| match body.create(&provider) {
        Ok(file) => (StatusCode::CREATED, Json(file)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })
}

fn answer<T>(body: Result<Json<T>, JsonRejection>, act: impl FnOnce(T) -> Response) -> Response {
    match body {
        Ok(Json(body)) => act(body),
        Err(rejection) => refused(&rejection.body_text()),
    }
}

fn refused(text: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": text});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Everything else.
pub(crate) async fn not_found() -> Response {
    let text = "the index page lists what is here";
    let body = json!({"error": "not_found", "error_description": text});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}
