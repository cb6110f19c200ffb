//! A user with a browser: signs in at the sandbox and carries cookies between the two servers.

use super::http_client::{Call, HttpClient};
use anyhow::ensure;
use http::Method;
use serde_json::json;
use url::Url;

/// What the user's browser brought back to the application.
pub(super) struct Returned {
    /// The code to exchange.
    pub(super) code: String,
    /// The application's own `state`.
    pub(super) state: String,
    /// The provider application that the provider was asked by.
    pub(super) provider_client_id: String,
}

/// Opens a sign-in link as `email` and goes wherever it is sent, until it is back at the application.
pub(super) async fn sign_in(
    http: &HttpClient,
    sandbox_url: &str,
    link: &str,
    email: &str,
) -> anyhow::Result<Returned> {
    let start = http.send(Call::new(Method::GET, link)).await?;
    ensure!(
        start.status.is_redirection(),
        "the link answers {}: {}",
        start.status,
        start.json
    );
    let cookies = start.cookies();
    let at_provider = start.location()?.to_owned();
    let provider_client_id = parameter(&at_provider, "client_id")?;

    // What the sandbox's pages do when the user types the address and allows everything.
    let decision = json!({"authorize_url": at_provider, "email": email});
    let url = format!("{sandbox_url}/sandbox/sign-in");
    let consent = Call {
        body: Some(&decision),
        ..Call::new(Method::POST, &url)
    };
    let callback = http.send(consent).await?.text("/location")?;
    let back = Call {
        cookies: Some(cookies.join("; ")),
        ..Call::new(Method::GET, &callback)
    };
    let back = http.send(back).await?;
    ensure!(
        back.status.is_redirection(),
        "the callback answers {}",
        back.status
    );
    let end = back.location()?;
    Ok(Returned {
        code: parameter(end, "code")?,
        state: parameter(end, "state")?,
        provider_client_id,
    })
}

fn parameter(url: &str, name: &str) -> anyhow::Result<String> {
    let url = Url::parse(url)?;
    let found = url.query_pairs().find(|(known, _)| known == name);
    let error = url
        .query_pairs()
        .find(|(known, _)| known == "error_description");
    match found {
        Some((_, value)) => Ok(value.into_owned()),
        None => anyhow::bail!("no {name} came back: {}", error.unwrap_or_default().1),
    }
}
