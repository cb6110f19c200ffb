//! What an application's own sign-in page calls in place of ours, as `@nylas/identity` does: which providers there
//! are, and accounts with passwords, begun and ended in one request. Pages of registered origins alone may read
//! the answers.

use super::connect_auth::browser;
use crate::body::PublicObject;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use keyway_core::catalogue::Catalogue;
use keyway_core::ids::ApplicationId;
use keyway_core::provider::Provider;
use keyway_engine::sign_in::{AuthorizeParams, TypedAccount};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A way to sign in.
#[derive(Serialize)]
struct Offered {
    name: String,
    provider: Provider,
    #[serde(rename = "type")]
    kind: &'static str,
    settings: Map<String, Value>,
}

impl Offered {
    fn of(provider: Provider, catalogue: &Catalogue) -> Self {
        let kind = match provider {
            Provider::Ews => "ews",
            Provider::Imap | Provider::Icloud => "imap",
            _ => "oauth",
        };
        Self {
            name: catalogue.title(&provider).to_owned(),
            provider,
            kind,
            settings: Map::new(),
        }
    }
}

/// `GET /v3/connect/providers/find?client_id=`: the application's connectors that a person can sign in through.
pub(crate) async fn find(call: Call) -> Answer {
    let id = call.query.get("client_id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Failure::not_found("Application not found"))?;
    let providers = call.app.engine.hosted_providers(id).await?;
    let catalogue = call.app.engine.catalogue();
    let offered = providers.into_iter().map(|p| Offered::of(p, catalogue));
    let offered: Vec<Offered> = offered.collect();
    call.answer.single(&offered)
}

/// A member that is a text.
fn text(body: &Map<String, Value>, name: &str) -> Option<String> {
    body.get(name)?.as_str().map(str::to_owned)
}

/// Scopes, as a text or as an array.
fn scope(body: &Map<String, Value>) -> Option<String> {
    match body.get("scope")? {
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            Some(items.join(" "))
        }
        other => other.as_str().map(str::to_owned),
    }
}

fn params(body: &Map<String, Value>, provider: &str) -> AuthorizeParams {
    AuthorizeParams {
        client_id: text(body, "public_application_id"),
        redirect_uri: text(body, "redirect_uri"),
        provider: Some(provider.to_owned()),
        scope: scope(body),
        state: text(body, "state"),
        access_type: text(body, "access_type"),
        code_challenge: text(body, "code_challenge"),
        code_challenge_method: text(body, "code_challenge_method"),
        options: text(body, "options"),
        ..AuthorizeParams::default()
    }
}

/// The fields, by the names of `provider`: upstream's page calls every name and password after IMAP.
fn typed(mut body: Map<String, Value>, provider: &str) -> TypedAccount {
    match provider {
        "icloud" => {
            for (theirs, ours) in [("imap_username", "username"), ("imap_password", "password")] {
                if let Some(value) = body.remove(theirs) {
                    body.insert(ours.to_owned(), value);
                }
            }
        }
        "imap" if !body.contains_key("email") => {
            if let Some(name) = body.get("imap_username").cloned() {
                body.insert("email".to_owned(), name);
            }
        }
        _ => {}
    }
    TypedAccount {
        state: None,
        settings: body,
    }
}

/// `POST /v3/connect/login/imap`: an IMAP or iCloud account.
pub(crate) async fn imap(call: Call, PublicObject(body): PublicObject) -> Answer {
    let provider = match text(&body, "provider").as_deref() {
        Some("icloud") => "icloud",
        _ => "imap",
    };
    enter(&call, body, provider).await
}

/// `POST /v3/connect/login/ews`: an Exchange mailbox.
pub(crate) async fn ews(call: Call, PublicObject(body): PublicObject) -> Answer {
    enter(&call, body, "ews").await
}

async fn enter(call: &Call, body: Map<String, Value>, provider: &str) -> Answer {
    let params = params(&body, provider);
    let id: Option<ApplicationId> = params.client_id.as_deref().and_then(|id| id.parse().ok());
    if let Some(id) = id {
        // Decides which origins may read the answer, whatever that is.
        call.context.belongs_to(id);
    }
    let typed = typed(body, provider);
    let entered = call.app.engine.enter_directly(params, typed, browser(call));
    let base_url = entered.await?.location;
    // One client reads it inside `data`, the other beside.
    let both = json!({ "BaseURL": base_url, "data": { "BaseURL": base_url } });
    call.answer.flat(&both)
}
