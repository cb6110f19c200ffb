//! The axum router, built from the route table.

use crate::app::App;
use crate::errors::Failure;
use crate::options::WebOptions;
use crate::routes::{Access, ROUTES, Route};
use crate::{auth, cors, layers, signed};
use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, options};
use http::{HeaderMap, HeaderValue};
use keyway_engine::Engine;
use keyway_engine::error::ErrorKind;

/// The whole public HTTP surface of `engine`, served at the root of a host.
///
/// Whoever accepts connections inserts [`crate::PeerAddr`] into each request's extensions; without it the
/// address of browsers is unknown.
pub fn router(engine: Engine, options: WebOptions) -> Router {
    let app = App::new(engine, options);
    let mut router = Router::new();
    for route in ROUTES {
        router = router.route(route.path, mounted(route, &app));
    }
    for (path, methods) in cors::browser_paths() {
        router = router.route(path, preflight(&methods));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(app.clone(), layers::edge))
        .with_state(app)
}

/// A route's handler behind the proof it asks for.
fn mounted(route: &Route, app: &App) -> MethodRouter<App> {
    let filter = MethodFilter::try_from(route.method.clone()).unwrap_or(MethodFilter::GET);
    let handler = (route.mount)(filter);
    let proved = match route.access {
        Access::ApiKey => handler.route_layer(from_fn_with_state(app.clone(), auth::require_key)),
        Access::ApiKeyOrClientId => handler.route_layer(from_fn_with_state(
            app.clone(),
            auth::require_key_or_client_id,
        )),
        Access::Principal => {
            handler.route_layer(from_fn_with_state(app.clone(), auth::require_principal))
        }
        Access::ServiceAccount => {
            handler.route_layer(from_fn_with_state(app.clone(), signed::require_signature))
        }
        Access::Public | Access::OAuth => handler,
    };
    if route.browser {
        proved.route_layer(from_fn_with_state(app.clone(), cors::share))
    } else {
        proved
    }
}

/// Answers preflights for a path with these methods.
fn preflight(methods: &str) -> MethodRouter<App> {
    let methods = HeaderValue::from_str(methods).unwrap_or(HeaderValue::from_static("GET"));
    options(move |State(app): State<App>, headers: HeaderMap| {
        cors::preflight(app, headers, methods.clone())
    })
}

async fn unknown_path() -> Failure {
    Failure::not_found("There is nothing under this path. GET /openapi.yaml lists what there is.")
}

async fn wrong_method() -> Failure {
    Failure::with_status(
        405,
        ErrorKind::InvalidRequest,
        "This path does not take this method. The Allow header lists those it takes.",
    )
}
