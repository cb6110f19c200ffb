//! The demo application's own page: a link to sign in, and what came of it.

use super::http_client::{Answer, Call, HttpClient};
use super::world::Tenant;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use http::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The application, as its own server knows it.
#[derive(Clone)]
pub(super) struct Landing {
    pub(super) http: HttpClient,
    pub(super) keyway_url: String,
    pub(super) tenant: Tenant,
}

type Credentials = Vec<(String, String)>;

impl Landing {
    /// Answers until `stop`.
    pub(super) async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Router::new()
            .route("/", get(index))
            .route("/callback", get(callback))
            .with_state(self);
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the demo's page ended");
        }
    }

    async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.keyway_url);
        let call = Call {
            bearer: Some(self.tenant.api_key.expose_secret()),
            body,
            ..Call::new(method, &url)
        };
        self.http.send(call).await
    }

    /// Names and ids of the connector's credentials.
    async fn credentials(&self) -> anyhow::Result<Credentials> {
        let answer = self
            .api(Method::GET, "/v3/connectors/google/creds", None)
            .await?;
        let items = answer
            .json
            .pointer("/data")
            .and_then(Value::as_array)
            .cloned();
        let pair = |item: Value| {
            let text = |name| item.get(name).and_then(Value::as_str).map(str::to_owned);
            Some((text("name")?, text("id")?))
        };
        Ok(items
            .unwrap_or_default()
            .into_iter()
            .filter_map(pair)
            .collect())
    }

    fn link(&self, credential_id: Option<&str>) -> anyhow::Result<Url> {
        let mut link = Url::parse(&self.keyway_url)?;
        link.set_path("/v3/connect/auth");
        link.query_pairs_mut()
            .append_pair("client_id", &self.tenant.application_id)
            .append_pair("redirect_uri", &self.tenant.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("provider", "google");
        if let Some(id) = credential_id {
            link.query_pairs_mut().append_pair("credential_id", id);
        }
        Ok(link)
    }

    async fn index_body(&self) -> anyhow::Result<String> {
        let item = |name: &str, link: &Url| {
            format!(
                "<li><a href=\"{}\">{}</a></li>",
                escape(link.as_str()),
                escape(name)
            )
        };
        let mut items = item("Sign in through the connector's default", &self.link(None)?);
        for (name, id) in self.credentials().await? {
            let text = format!("Sign in through the credential “{name}”");
            items.push_str(&item(&text, &self.link(Some(&id))?));
        }
        Ok(format!(
            "<p>This is the demo application. Its users can:</p><ul>{items}</ul>"
        ))
    }

    /// What an application's server does with a code: exchanges it, and reads the grant.
    async fn grant(&self, code: &str) -> anyhow::Result<Value> {
        let body = json!({
            "grant_type": "authorization_code",
            "client_id": self.tenant.application_id,
            "client_secret": self.tenant.api_key.expose_secret(),
            "redirect_uri": self.tenant.redirect_uri,
            "code": code,
        });
        let tokens = self
            .api(Method::POST, "/v3/connect/token", Some(&body))
            .await?;
        if !tokens.status.is_success() {
            return Ok(tokens.json);
        }
        let id = tokens.text("/grant_id")?;
        let grant = self
            .api(Method::GET, &format!("/v3/grants/{id}"), None)
            .await?;
        Ok(grant.json.get("data").cloned().unwrap_or_default())
    }

    async fn callback_body(&self, query: &BTreeMap<String, String>) -> anyhow::Result<String> {
        let Some(code) = query.get("code") else {
            let why = query
                .get("error_description")
                .or_else(|| query.get("error"));
            let why = escape(why.map_or("nothing came back", String::as_str));
            return Ok(format!("<p>The sign-in did not work: {why}</p>{BACK}"));
        };
        let grant = self.grant(code).await?;
        let shown = escape(&format!("{grant:#}"));
        Ok(format!(
            "<p>The code was exchanged. This is the grant:</p><pre>{shown}</pre>{BACK}"
        ))
    }
}

const BACK: &str = "<p><a href=\"/\">Again</a></p>";

async fn index(State(landing): State<Landing>) -> Html<String> {
    page(landing.index_body().await)
}

async fn callback(
    State(landing): State<Landing>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Html<String> {
    page(landing.callback_body(&query).await)
}

fn page(body: anyhow::Result<String>) -> Html<String> {
    let body = body.unwrap_or_else(|error| format!("<p>{}</p>{BACK}", escape(&error.to_string())));
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Keyway demo</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}}\
         pre{{background:#f4f4f4;padding:1rem;overflow:auto}}</style><h1>Keyway demo</h1>{body}</html>"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_no_markup() {
        assert_eq!(escape("<a href=\"&\">"), "&lt;a href=&quot;&amp;&quot;&gt;");
    }
}
