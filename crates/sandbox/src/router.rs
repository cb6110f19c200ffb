//! Which handler answers which path.

use crate::fault_answer;
use crate::faults::Endpoint;
use crate::provider::Provider;
use crate::{admin_consent, api, authorize, console, pages, revocation, tenants, token, userinfo};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, any, delete, get, post, put};
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// Bodies of the OAuth endpoints and the controls, in bytes.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
/// Bodies of the echo, in bytes.
const ECHO_LIMIT_BYTES: usize = 16 * 1024 * 1024;

type Routes = Router<Arc<Provider>>;

pub(crate) fn router(provider: Arc<Provider>) -> Router {
    pages_for_users()
        .merge(oauth(&provider))
        .merge(controls())
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .merge(mail_api(&provider).layer(DefaultBodyLimit::max(ECHO_LIMIT_BYTES)))
        .fallback(console::not_found)
        .layer(map_response(label))
        .with_state(provider)
}

fn pages_for_users() -> Routes {
    let admin = || get(admin_consent::show).post(admin_consent::decide);
    Router::new()
        .route("/", get(console::index))
        .route("/sandbox/style.css", get(pages::style))
        .route("/auth", get(authorize::show))
        .route("/auth/sign-in", post(authorize::sign_in))
        .route("/auth/consent", post(authorize::consent))
        .route("/adminconsent", admin())
        .route("/v2.0/adminconsent", admin())
        .route("/{tenant}/adminconsent", admin())
        .route("/{tenant}/v2.0/adminconsent", admin())
        .route(
            "/{tenant}/oauth2/v2.0/authorize",
            get(userinfo::to_authorize),
        )
}

fn oauth(provider: &Arc<Provider>) -> Routes {
    let faulty = |endpoint, route: MethodRouter<Arc<Provider>>| {
        route.layer(from_fn_with_state(
            (provider.clone(), endpoint),
            fault_answer::layer,
        ))
    };
    let discovery = || faulty(Endpoint::Discovery, get(userinfo::discovery));
    let me = get(userinfo::userinfo).post(userinfo::userinfo);
    Router::new()
        .route("/.well-known/openid-configuration", discovery())
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            discovery(),
        )
        .route("/token", post(token::token))
        .route("/{tenant}/oauth2/v2.0/token", post(token::token))
        .route("/token/revocation", post(revocation::revoke))
        .route("/token/introspection", post(revocation::introspect))
        .route("/me", faulty(Endpoint::Userinfo, me))
        .route("/jwks", faulty(Endpoint::Jwks, get(userinfo::jwks)))
}

fn mail_api(provider: &Arc<Provider>) -> Routes {
    let faults = from_fn_with_state((provider.clone(), Endpoint::Api), fault_answer::layer);
    Router::new()
        .route("/api/me", get(api::me))
        .route("/api/messages", get(api::messages).post(api::send))
        .route("/api/messages/{id}", get(api::message))
        .route("/api/v1.0/users", get(tenants::users))
        .route("/api/v1.0/users/{name}", get(tenants::user))
        .route("/api/v1.0/users/{id}/{*rest}", get(tenants::of_user))
        .route("/api/echo", any(api::echo))
        .route("/api/echo/{*rest}", any(api::echo))
        .layer(faults)
        .layer(from_fn_with_state(provider.clone(), api::count))
}

fn controls() -> Routes {
    Router::new()
        .route("/sandbox/state", get(console::state))
        .route(
            "/sandbox/faults",
            get(console::faults).put(console::set_faults),
        )
        .route("/sandbox/sign-in", post(console::sign_in))
        .route("/sandbox/clients/{client_id}", put(console::put_client))
        .route("/sandbox/users/{email}", put(console::put_user))
        .route("/sandbox/users/{email}/tokens", delete(console::revoke_all))
        .route("/sandbox/refresh-tokens", post(console::mint_refresh_token))
        .route(
            "/sandbox/service-accounts",
            post(console::new_service_account),
        )
}

/// Every answer says where it comes from, and none but the style is kept by anybody.
async fn label(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        HeaderName::from_static("x-keyway-sandbox"),
        HeaderValue::from_static("1"),
    );
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
