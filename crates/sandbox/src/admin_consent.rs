//! Microsoft-like administrator consent: a page that is accepted or declined for the whole tenant.

use crate::authorize::{error_page, see_other};
use crate::config::ClientConfig;
use crate::pages::PageError;
use crate::params::Params;
use crate::provider::Provider;
use crate::tenants;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use minijinja::context;
use std::sync::Arc;

/// A request of either version: `client_id`, `redirect_uri`, `state`, and `scope` in version 2.
struct AdminRequest {
    client: Arc<ClientConfig>,
    redirect_uri: String,
    state: Option<String>,
    scope: Option<String>,
}

impl AdminRequest {
    /// Reads it; `Err` is what the page says.
    fn parse(provider: &Provider, query: &str) -> Result<Self, String> {
        let params = Params::parse(query.as_bytes());
        let client_id = params.get("client_id").unwrap_or_default();
        let client = provider.store().clients.get(client_id).cloned();
        let client = client.ok_or("No client with this client_id is registered here.")?;
        let redirect_uri = params.get("redirect_uri").unwrap_or_default().to_owned();
        if !client.redirect_uris.contains(&redirect_uri) {
            return Err(format!("redirect_uri is not registered for {client_id}."));
        }
        let own = |name| params.get(name).map(str::to_owned);
        Ok(Self {
            client,
            redirect_uri,
            state: own("state"),
            scope: own("scope"),
        })
    }

    fn location(&self, told: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(told);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        let separator = if self.redirect_uri.contains('?') {
            '&'
        } else {
            '?'
        };
        format!("{}{separator}{}", self.redirect_uri, query.finish())
    }

    fn accepted(&self, tenant: &str) -> String {
        let mut told = vec![("admin_consent", "True"), ("tenant", tenant)];
        told.extend(self.scope.as_deref().map(|scope| ("scope", scope)));
        self.location(&told)
    }

    fn declined(&self) -> String {
        let text = "AADSTS65004: the administrator declined to consent to the application";
        self.location(&[
            ("admin_consent", "True"),
            ("error", "access_denied"),
            ("error_description", text),
        ])
    }
}

/// `GET /adminconsent` and `GET /v2.0/adminconsent`.
pub(crate) async fn show(
    State(provider): State<Arc<Provider>>,
    tenant: Option<Path<String>>,
    RawQuery(query): RawQuery,
) -> Result<Response, PageError> {
    let query = query.unwrap_or_default();
    let request = match AdminRequest::parse(&provider, &query) {
        Ok(request) => request,
        Err(problem) => return error_page(&provider, &problem),
    };
    let context = context! {
        client_name => &request.client.name,
        tenant => administrators_tenant(&provider, tenant.as_ref().map(|Path(name)| name.as_str())),
        request => query,
    };
    provider.pages.render("admin_consent.html", &context)
}

/// The tenant that the path names; else that of the administrator who is here.
fn administrators_tenant(provider: &Provider, named: Option<&str>) -> String {
    named
        .and_then(|name| tenants::named(provider, name))
        .unwrap_or_else(|| provider.config.tenant_id.clone())
}

/// `POST /adminconsent` with the fields `request`, `tenant` and `decision` (`accept` or `deny`).
pub(crate) async fn decide(
    State(provider): State<Arc<Provider>>,
    form: Bytes,
) -> Result<Response, PageError> {
    let form = Params::parse(&form);
    match decide_at(
        &provider,
        form.get("request").unwrap_or_default(),
        form.get("decision"),
        form.get("tenant"),
    ) {
        Ok(location) => Ok(see_other(&location)),
        Err(problem) => error_page(&provider, &problem),
    }
}

/// Where the administrator goes after the decision.
pub(crate) fn decide_at(
    provider: &Provider,
    query: &str,
    decision: Option<&str>,
    tenant: Option<&str>,
) -> Result<String, String> {
    let request = AdminRequest::parse(provider, query)?;
    if decision != Some("accept") {
        return Ok(request.declined());
    }
    let tenant = administrators_tenant(provider, tenant);
    provider
        .store()
        .admin_consents
        .insert((request.client.client_id.clone(), tenant.clone()));
    Ok(request.accepted(&tenant))
}
