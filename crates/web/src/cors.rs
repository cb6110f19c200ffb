//! Which browser pages may read an answer (the Fetch standard's CORS protocol).
//!
//! A preflight says only that some application registered the origin; nothing tenant-owned is told. The
//! answer itself is readable only from origins of the application the request belongs to. A failure that
//! belongs to nobody, such as an expired token's 401, may be read from any registered origin: it tells
//! nothing, and without it a page could not learn that its session is over. Never `*`, never cookies.

use crate::app::App;
use crate::context::Context;
use crate::errors::Failure;
use crate::query::Query;
use crate::routes::ROUTES;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use keyway_core::ids::ApplicationId;
use std::collections::BTreeMap;

/// Request headers the browser clients send.
const ALLOWED_HEADERS: &str = "content-type, authorization, x-nylas-connect, x-nylas-application-public-id, x-nylas-external-user-id";
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE_SECS: &str = "600";

/// The paths browsers may call, each with its methods as a preflight lists them.
pub(crate) fn browser_paths() -> BTreeMap<&'static str, String> {
    let mut paths: BTreeMap<&'static str, String> = BTreeMap::new();
    for route in ROUTES.iter().filter(|route| route.browser) {
        let methods = paths.entry(route.path).or_default();
        if !methods.is_empty() {
            methods.push_str(", ");
        }
        methods.push_str(route.method.as_str());
    }
    paths
}

/// The one Origin header, as text, unless it is `null` (a page without an origin).
pub(crate) fn origin_of(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(ORIGIN)?.to_str().ok()?;
    (origin != "null" && !origin.is_empty()).then_some(origin)
}

/// Answers a preflight.
pub(crate) async fn preflight(app: App, headers: HeaderMap, methods: HeaderValue) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let answered = response.headers_mut();
    answered.insert(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin_of(&headers) else {
        return response;
    };
    if !is_registered(&app, origin).await {
        return response;
    }
    allow(answered, origin);
    answered.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    answered.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(ALLOWED_HEADERS),
    );
    answered.insert(
        ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static(MAX_AGE_SECS),
    );
    response
}

fn allow(headers: &mut HeaderMap, origin: &str) {
    if let Ok(value) = HeaderValue::from_str(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
    }
}

/// A question the engine cannot answer now is answered no: the page may try again.
async fn is_registered(app: &App, origin: &str) -> bool {
    app.engine
        .origin_is_registered(origin)
        .await
        .unwrap_or(false)
}

/// The application a request names without proving it: good enough to decide who may read the answer,
/// since the answer itself depends on real proof.
fn named_application(request: &Request) -> Option<ApplicationId> {
    let header = request.headers().get("x-nylas-application-public-id");
    let from_header = header.and_then(|value| value.to_str().ok()?.parse().ok());
    let query = Query::parse(request.uri().query().unwrap_or_default().as_bytes()).ok();
    from_header.or_else(|| query?.get("client_id")?.parse().ok())
}

async fn may_read(
    app: &App,
    origin: &str,
    application: Option<ApplicationId>,
    is_failure: bool,
) -> bool {
    match application {
        Some(id) => app
            .engine
            .origin_is_allowed(id, origin)
            .await
            .unwrap_or(false),
        None => is_failure && is_registered(app, origin).await,
    }
}

/// Marks an answer as readable by the page that asked, if it may be.
pub(crate) async fn share(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = origin_of(request.headers()).map(str::to_owned);
    let named = named_application(&request);
    let context = request
        .extensions()
        .get::<Context>()
        .cloned()
        .unwrap_or_else(|| Context::new(app.engine.request_id()));
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else {
        return response;
    };
    let application = context.application().or(named);
    let is_failure = response.extensions().get::<Failure>().is_some();
    if may_read(&app, &origin, application, is_failure).await {
        allow(response.headers_mut(), &origin);
        response.headers_mut().insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("x-request-id"),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[test]
    fn browsers_may_call_the_paths_the_browser_clients_use() {
        let paths = browser_paths();
        assert_eq!(paths["/v3/connect/token"], "POST");
        assert_eq!(paths["/v3/connect/tokeninfo"], "GET, POST");
        assert_eq!(paths["/v3/applications"], "GET");
        assert_eq!(paths["/v3/grants/me"], "GET");
        assert_eq!(paths["/v3/providers/detect"], "POST");
        assert_eq!(paths["/v3/connect/providers/find"], "GET");
        assert_eq!(paths["/v3/connect/login/imap"], "POST");
        assert_eq!(paths["/v3/connect/login/ews"], "POST");
        assert_eq!(paths.len(), 8);
    }

    #[test]
    fn the_application_is_read_from_the_header_before_the_query() {
        let (one, two) = (ApplicationId::from_u128(1), ApplicationId::from_u128(2));
        let request = Request::get(format!("/v3/applications?client_id={two}"));
        let plain = request.body(Body::empty()).unwrap();
        assert_eq!(named_application(&plain), Some(two));
        let request = Request::get(format!("/v3/applications?client_id={two}"))
            .header("x-nylas-application-public-id", one.to_string());
        let told = request.body(Body::empty()).unwrap();
        assert_eq!(named_application(&told), Some(one));
    }

    #[test]
    fn a_page_without_an_origin_has_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(origin_of(&headers), None);
        headers.insert(ORIGIN, HeaderValue::from_static("null"));
        assert_eq!(origin_of(&headers), None);
        headers.insert(ORIGIN, HeaderValue::from_static("https://a.b"));
        assert_eq!(origin_of(&headers), Some("https://a.b"));
    }
}
