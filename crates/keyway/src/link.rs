//! `keyway link`: a URL that signs a user in.

use crate::cli::LinkArgs;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::open::Opening;
use crate::output;
use crate::session::{application_id, operator, with_engine};
use anyhow::Context as _;
use keyway_core::application::RedirectUri;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider;
use keyway_engine::{Caller, Engine};
use serde_json::json;
use url::Url;

/// Prints the link, after looking whether it can work.
///
/// # Errors
/// If something it names does not exist.
pub(crate) fn run(args: &LinkArgs, environment: &Environment) -> anyhow::Result<()> {
    let provider = provider(&args.provider)?;
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let id = application_id(engine, args.app.as_deref()).await?;
            let (_, uris) = engine.application(id).await?;
            let uri = redirect_uri(&uris, args.redirect_uri.as_deref())?;
            let caller = operator(id);
            engine.connector(&caller, provider).await.with_context(|| {
                let what = format!("application {id} has no connector for {provider}");
                Failure::bad_input(what).next(
                    "Create one with POST /v3/connectors; `keyway app create` shows the call.",
                )
            })?;
            let credential =
                credential(engine, &caller, provider, args.credential.as_deref()).await?;
            let mut link = engine.public_url().clone();
            link.set_path("/v3/connect/auth");
            link.query_pairs_mut()
                .append_pair("client_id", &id.to_string())
                .append_pair("redirect_uri", &uri.url)
                .append_pair("response_type", "code")
                .append_pair("provider", provider.as_str());
            add(
                &mut link,
                "credential_id",
                credential.map(|id| id.to_string()).as_deref(),
            );
            add(&mut link, "login_hint", args.login_hint.as_deref());
            if uri.platform.is_public() {
                output::notice(&needs_pkce(uri));
            }
            if args.json {
                return Ok(output::json(
                    &json!({"url": link.as_str(), "redirect_uri": uri.url}),
                )?);
            }
            Ok(output::line(link.as_str())?)
        },
    )
}

fn provider(text: &str) -> anyhow::Result<Provider> {
    let provider: Provider = text
        .parse()
        .map_err(|error| Failure::bad_input(format!("--provider {text}: {error}")))?;
    if !provider.has_hosted_sign_in() {
        let what = format!("users of {provider} do not sign in through a link");
        let next = "Their accounts are connected with POST /v3/connect/custom.";
        return Err(Failure::bad_input(what).next(next).into());
    }
    Ok(provider)
}

fn redirect_uri<'a>(
    uris: &'a [RedirectUri],
    wanted: Option<&str>,
) -> anyhow::Result<&'a RedirectUri> {
    let register = "Register one with POST /v3/applications/redirect-uris; `keyway app show` lists those there are. Where there is nowhere to go back to, register <public-url>/v3/connect/done.";
    let Some(wanted) = wanted else {
        let what = "the application has no redirect URI to send the user back to";
        return uris
            .first()
            .ok_or_else(|| Failure::bad_input(what).next(register).into());
    };
    uris.iter().find(|uri| uri.url == wanted).ok_or_else(|| {
        Failure::bad_input(format!(
            "'{wanted}' is not a redirect URI of this application"
        ))
        .next(register)
        .into()
    })
}

async fn credential(
    engine: &Engine,
    caller: &Caller,
    provider: Provider,
    text: Option<&str>,
) -> anyhow::Result<Option<CredentialId>> {
    let Some(text) = text else { return Ok(None) };
    let list = format!("GET /v3/connectors/{provider}/creds lists the credentials.");
    let id = text.parse().map_err(|_| {
        Failure::bad_input(format!("'{text}' is not a credential's id")).next(&list)
    })?;
    let known = engine.credential(caller, provider, id).await;
    known.with_context(|| {
        let what = format!("the {provider} connector has no credential {id}");
        Failure::bad_input(what).next(&list)
    })?;
    Ok(Some(id))
}

fn add(link: &mut Url, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        link.query_pairs_mut().append_pair(name, value);
    }
}

fn needs_pkce(uri: &RedirectUri) -> String {
    format!(
        "keyway: {} is registered for platform {}, whose programs must add a code_challenge (PKCE) of\n  their own to this link. For a try, use a redirect URI of platform web: --redirect-uri URI",
        uri.url,
        uri.platform.as_str()
    )
}
