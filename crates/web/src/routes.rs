//! The route table: one list of every method and path, who may call it, and its handler.
//!
//! The router is built from it, and so are the tests that try every route without a key, with a wrong one
//! and with another application's; nothing is reachable that is not listed here, save CORS preflights,
//! which are derived from it, and calls on behalf of grants (`/v3/grants/{grant}/proxy/…`): their bodies are
//! streamed, and the listener's own lane makes them before the router is asked (see [`crate::proxy`]).

use crate::app::App;
use crate::v3::{
    api_keys, applications, connect_auth, connect_callback, connect_custom, connect_done,
    connect_embedded, connect_login, connect_look, connect_revoke, connect_token,
    connect_tokeninfo, connectors, credentials, grants, provider_token, providers, redirect_uris,
};
use crate::{documents, probes};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;

/// What a caller must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An API key.
    ApiKey,
    /// An API key; without an Authorization header, `?client_id=` does what is public of an application.
    ApiKeyOrClientId,
    /// An API key or an access token.
    Principal,
    /// A service account's signature over the request.
    ServiceAccount,
    /// Nothing.
    Public,
    /// Nothing up front: OAuth's own parameters are the proof, and errors take OAuth's shape.
    OAuth,
}

impl Access {
    /// Whether a request without any proof is answered 401.
    #[must_use]
    pub const fn asks_for_proof(self) -> bool {
        matches!(
            self,
            Self::ApiKey | Self::ApiKeyOrClientId | Self::Principal | Self::ServiceAccount
        )
    }
}

/// One method on one path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{name}` stands for one segment.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// A short stable name.
    pub name: &'static str,
    /// Whether pages in browsers may call it from other origins.
    pub browser: bool,
    pub(crate) mount: fn(MethodFilter) -> MethodRouter<App>,
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $name:literal $handler:path $(, $browser:ident)?;)+) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            name: $name,
            browser: routes!(@browser $($browser)?),
            mount: |filter| on(filter, $handler),
        }),+]
    };
    (@browser) => { false };
    (@browser browser) => { true };
}

/// Every route.
pub static ROUTES: &[Route] = routes! {
    GET "/v3/applications" ApiKeyOrClientId "applications.read" applications::read, browser;
    PATCH "/v3/applications" ApiKey "applications.update" applications::update;
    GET "/v3/applications/{id}" ApiKey "applications.read_by_id" applications::read_by_id;
    PATCH "/v3/applications/{id}" ApiKey "applications.update_by_id" applications::update_by_id;

    GET "/v3/admin/applications/{application_id}/api-keys" ServiceAccount "api_keys.list" api_keys::list;
    POST "/v3/admin/applications/{application_id}/api-keys" ServiceAccount "api_keys.create" api_keys::create;
    GET "/v3/admin/applications/{application_id}/api-keys/{api_key_id}" ServiceAccount "api_keys.read" api_keys::read;
    DELETE "/v3/admin/applications/{application_id}/api-keys/{api_key_id}" ServiceAccount "api_keys.delete" api_keys::delete;

    GET "/v3/applications/redirect-uris" ApiKey "redirect_uris.list" redirect_uris::list;
    POST "/v3/applications/redirect-uris" ApiKey "redirect_uris.create" redirect_uris::create;
    GET "/v3/applications/redirect-uris/{id}" ApiKey "redirect_uris.read" redirect_uris::read;
    PATCH "/v3/applications/redirect-uris/{id}" ApiKey "redirect_uris.update" redirect_uris::update;
    PUT "/v3/applications/redirect-uris/{id}" ApiKey "redirect_uris.put" redirect_uris::update;
    DELETE "/v3/applications/redirect-uris/{id}" ApiKey "redirect_uris.delete" redirect_uris::delete;
    GET "/v3/applications/callback-uris" ApiKey "callback_uris.list" redirect_uris::list;
    POST "/v3/applications/callback-uris" ApiKey "callback_uris.create" redirect_uris::create;
    GET "/v3/applications/callback-uris/{id}" ApiKey "callback_uris.read" redirect_uris::read;
    PATCH "/v3/applications/callback-uris/{id}" ApiKey "callback_uris.update" redirect_uris::update;
    PUT "/v3/applications/callback-uris/{id}" ApiKey "callback_uris.put" redirect_uris::update;
    DELETE "/v3/applications/callback-uris/{id}" ApiKey "callback_uris.delete" redirect_uris::delete;

    GET "/v3/connectors" ApiKey "connectors.list" connectors::list;
    POST "/v3/connectors" ApiKey "connectors.create" connectors::create;
    GET "/v3/connectors/{provider}" ApiKey "connectors.read" connectors::read;
    PATCH "/v3/connectors/{provider}" ApiKey "connectors.update" connectors::update;
    PUT "/v3/connectors/{provider}" ApiKey "connectors.put" connectors::update;
    DELETE "/v3/connectors/{provider}" ApiKey "connectors.delete" connectors::delete;

    GET "/v3/connectors/{provider}/creds" ApiKey "credentials.list" credentials::list;
    POST "/v3/connectors/{provider}/creds" ApiKey "credentials.create" credentials::create;
    GET "/v3/connectors/{provider}/creds/{id}" ApiKey "credentials.read" credentials::read;
    PATCH "/v3/connectors/{provider}/creds/{id}" ApiKey "credentials.update" credentials::update;
    PUT "/v3/connectors/{provider}/creds/{id}" ApiKey "credentials.put" credentials::update;
    DELETE "/v3/connectors/{provider}/creds/{id}" ApiKey "credentials.delete" credentials::delete;
    GET "/v3/connectors/{provider}/creds/{id}/health" ApiKey "credentials.health" credentials::health;

    GET "/v3/grants" ApiKey "grants.list" grants::list;
    GET "/v3/grants/me" Principal "grants.me" grants::me, browser;
    GET "/v3/grants/{grant_id}" Principal "grants.read" grants::read;
    PATCH "/v3/grants/{grant_id}" ApiKey "grants.update" grants::update;
    DELETE "/v3/grants/{grant_id}" ApiKey "grants.delete" grants::delete;
    GET "/v3/grants/{grant_id}/token" ApiKey "grants.provider_token" provider_token::read;

    POST "/v3/providers/detect" ApiKeyOrClientId "providers.detect" providers::detect, browser;

    GET "/v3/connect/auth" Public "connect.auth" connect_auth::begin;
    GET "/v3/connect/theme.css" Public "connect.theme" connect_look::theme;
    GET "/v3/connect/images/icon" Public "connect.icon" connect_look::icon;
    GET "/v3/connect/images/background" Public "connect.background" connect_look::background;
    POST "/v3/connect/login" Public "connect.login" connect_login::enter;
    GET "/v3/connect/done" Public "connect.done" connect_done::finish;
    GET "/v3/connect/providers/find" Public "connect.providers" connect_embedded::find, browser;
    POST "/v3/connect/login/imap" Public "connect.login_imap" connect_embedded::imap, browser;
    POST "/v3/connect/login/ews" Public "connect.login_ews" connect_embedded::ews, browser;
    GET "/v3/connect/callback" Public "connect.callback" connect_callback::finish;
    POST "/v3/connect/custom" ApiKey "connect.custom" connect_custom::create;
    POST "/v3/connect/token" OAuth "connect.token" connect_token::exchange, browser;
    POST "/v3/connect/revoke" OAuth "connect.revoke" connect_revoke::revoke;
    GET "/v3/connect/tokeninfo" OAuth "connect.tokeninfo" connect_tokeninfo::read, browser;
    POST "/v3/connect/tokeninfo" OAuth "connect.tokeninfo_form" connect_tokeninfo::read_form, browser;

    GET "/.well-known/jwks.json" Public "jwks" documents::jwks;
    GET "/openapi.yaml" Public "openapi" documents::openapi;
    GET "/errors" Public "errors" documents::errors;
    GET "/hosted.css" Public "hosted_css" documents::hosted_css;
    GET "/healthz" Public "healthz" probes::healthz;
    GET "/readyz" Public "readyz" probes::readyz;
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_method_and_path_and_no_name_appears_twice() {
        let pairs: BTreeSet<_> = ROUTES.iter().map(|r| (r.path, r.method.as_str())).collect();
        let names: BTreeSet<_> = ROUTES.iter().map(|r| r.name).collect();
        assert_eq!(pairs.len(), ROUTES.len());
        assert_eq!(names.len(), ROUTES.len());
    }

    #[test]
    fn tenant_data_is_never_public() {
        for route in ROUTES {
            let is_tenant_data = route.path.starts_with("/v3/applications")
                || route.path.starts_with("/v3/admin")
                || route.path.starts_with("/v3/connectors")
                || route.path.starts_with("/v3/grants")
                || route.path.starts_with("/v3/providers")
                || route.path == "/v3/connect/custom";
            assert_eq!(
                route.access.asks_for_proof(),
                is_tenant_data,
                "{}",
                route.name
            );
        }
    }

    #[test]
    fn every_method_can_be_routed() {
        for route in ROUTES {
            assert!(MethodFilter::try_from(route.method.clone()).is_ok());
        }
    }
}
