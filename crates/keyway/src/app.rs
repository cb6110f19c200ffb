//! `keyway app create | list | show`.

use crate::cli::{AppCommand, AppCreateArgs, AppShowArgs, ListArgs};
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::open::Opening;
use crate::output;
use crate::session::{APPLICATIONS_PER_PAGE, application_id, operator, timestamp, with_engine};
use anyhow::Context as _;
use keyway_core::application::{Application, Platform, RedirectUri};
use keyway_core::connector::Connector;
use keyway_core::page::{LIMIT_MAX, Page};
use keyway_core::provider::Provider;
use keyway_core::redirect_uri::parse_origin;
use keyway_engine::applications::NewApplication;
use keyway_engine::redirect_uris::NewRedirectUri;
use keyway_engine::{Caller, Engine};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use url::Url;

/// Runs one of the commands.
///
/// # Errors
/// In words for the person at the terminal.
pub(crate) fn run(command: &AppCommand, environment: &Environment) -> anyhow::Result<()> {
    match command {
        AppCommand::Create(args) => create(args, environment),
        AppCommand::List(args) => list(args, environment),
        AppCommand::Show(args) => show(args, environment),
    }
}

fn create(args: &AppCreateArgs, environment: &Environment) -> anyhow::Result<()> {
    let new = NewApplication {
        name: args.name.clone(),
        region: args.region.clone(),
        environment: args.environment.clone(),
        redirect_uris: redirect_uris(args)?,
    };
    warn_of_region(&args.region);
    with_engine(
        &args.settings,
        environment,
        Opening::MayMake,
        async |_, engine| {
            let uris = args.redirect_uri.clone();
            let (application, secret, key) = engine
                .create_application(new)
                .await
                .context(Failure::bad_input("the application was not made").next(CREATE_AGAIN))?;
            let callback_uri = engine.callback_uri();
            if args.json {
                let mut shown = view(&application);
                shown.insert("api_key".into(), json!(secret.expose_secret()));
                shown.insert("api_key_id".into(), json!(key.id));
                shown.insert("redirect_uri".into(), json!(callback_uri));
                shown.insert("redirect_uris".into(), json!(uris));
                return Ok(output::json(&Value::Object(shown))?);
            }
            let base = engine.public_url().as_str().trim_end_matches('/');
            let flags = args.settings.repeated();
            let steps = next_steps(&application, base, &callback_uri, uris.is_empty(), &flags);
            output::line(&output::pairs(&[
                ("application_id", application.id.to_string()),
                ("client_id", application.id.to_string()),
                ("api_key", secret.expose_secret().to_owned()),
                (
                    "redirect_uri",
                    format!("{callback_uri}    (register it at every provider)"),
                ),
            ]))?;
            Ok(output::line(&steps)?)
        },
    )
}

const CREATE_AGAIN: &str = "Nothing was changed; correct the command and run it again.
Apps on iOS and Android register their redirect URIs through POST /v3/applications/redirect-uris.";

/// The redirect URIs of the command line. In a browser program each has an origin: its own, the only
/// one given, or the one at the same place.
fn redirect_uris(args: &AppCreateArgs) -> anyhow::Result<Vec<NewRedirectUri>> {
    let platform = Platform::parse(&args.platform).ok_or_else(|| {
        Failure::bad_input(format!("'{}' is not a platform", args.platform))
            .next("Use one of: web, desktop, js, ios, android.")
    })?;
    check_origins(args, platform)?;
    let uris = args.redirect_uri.iter().enumerate().map(|(at, url)| {
        let mut settings = Map::new();
        let given = args.origin.get(at).or_else(|| args.origin.first());
        let origin = given.cloned().or_else(|| own_origin(url));
        if let (Platform::Js, Some(origin)) = (platform, origin) {
            settings.insert("origin".to_owned(), Value::String(origin));
        }
        let url = url.clone();
        NewRedirectUri {
            url,
            platform,
            settings,
        }
    });
    Ok(uris.collect())
}

fn own_origin(url: &str) -> Option<String> {
    parse_origin(&Url::parse(url).ok()?.origin().ascii_serialization())
}

fn check_origins(args: &AppCreateArgs, platform: Platform) -> anyhow::Result<()> {
    let (origins, uris) = (args.origin.len(), args.redirect_uri.len());
    let refuse = |what: &str, next: &str| Err(Failure::bad_input(what).next(next).into());
    if origins == 0 {
        return Ok(());
    }
    if platform != Platform::Js {
        return refuse(
            "--origin is for browser programs",
            "Add --platform js, or leave --origin out.",
        );
    }
    if uris == 0 {
        return refuse(
            "--origin belongs to a redirect URI",
            "Add --redirect-uri URI.",
        );
    }
    if origins != 1 && origins != uris {
        return refuse(
            "there are neither as many --origin as --redirect-uri, nor one for all",
            "Give one --origin, or one for each --redirect-uri in the same order.",
        );
    }
    Ok(())
}

/// A warning only: a server of one's own may be anywhere.
fn warn_of_region(region: &str) {
    if !["us", "eu"].contains(&region) {
        output::notice(&format!(
            "keyway: some official clients know the regions us and eu alone and may refuse '{region}'"
        ));
    }
}

fn next_steps(
    application: &Application,
    base: &str,
    callback_uri: &str,
    no_uri: bool,
    flags: &str,
) -> String {
    let id = application.id;
    let register = if no_uri {
        format!(
            "0. Tell Keyway where your users are sent back to:\n\
             \x20    curl -X POST {base}/v3/applications/redirect-uris -H 'Authorization: Bearer <api_key>' \\\n\
             \x20      -H 'Content-Type: application/json' -d '{{\"url\": \"http://localhost:3000/callback\", \"platform\": \"web\"}}'\n"
        )
    } else {
        String::new()
    };
    format!(
        "\n\
The API key is shown this once: put it where your program finds it. client_id and application_id are the same.

Next:
{register}1. Register the redirect URI at the provider:
     {callback_uri}
   Google Cloud: APIs & Services > Credentials > your OAuth client (type Web application) > Authorized redirect URIs
   Azure:        App registrations > your app > Authentication > Add a platform > Web > Redirect URIs
2. Create a connector with the client id and secret you get there:
     curl -X POST {base}/v3/connectors -H 'Authorization: Bearer <api_key>' -H 'Content-Type: application/json' \\
       -d '{{\"provider\": \"google\", \"settings\": {{\"client_id\": \"…\", \"client_secret\": \"…\"}}}}'
   More provider applications behind the same connector: POST {base}/v3/connectors/google/creds
3. Sign a user in:
     keyway link --app {id} --provider google{flags}"
    )
}

/// What is shown of an application.
fn view(application: &Application) -> Map<String, Value> {
    let mut shown = Map::new();
    let members = [
        ("application_id", json!(application.id)),
        ("client_id", json!(application.id)),
        ("name", json!(application.name)),
        ("region", json!(application.region)),
        ("environment", json!(application.environment)),
        ("created_at", json!(application.created_at.as_secs())),
    ];
    for (name, value) in members {
        shown.insert(name.to_owned(), value);
    }
    shown
}

fn list(args: &ListArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let applications = all(engine).await?;
            if args.json {
                let views = applications.iter().map(|a| Value::Object(view(a)));
                return Ok(output::json(&Value::Array(views.collect()))?);
            }
            if applications.is_empty() {
                let text = "No applications yet. Make one: keyway app create --name Acme --redirect-uri http://localhost:3000/callback";
                return Ok(output::line(text)?);
            }
            let rows: Vec<_> = applications
                .iter()
                .map(|a| {
                    [
                        a.id.to_string(),
                        a.name.clone(),
                        a.environment.clone(),
                        timestamp(a.created_at),
                    ]
                })
                .collect();
            Ok(output::line(&output::table(
                ["ID", "NAME", "ENVIRONMENT", "CREATED"],
                &rows,
            ))?)
        },
    )
}

async fn all(engine: &Engine) -> anyhow::Result<Vec<Application>> {
    let mut applications = Vec::new();
    loop {
        let offset = i64::try_from(applications.len())?;
        let page = engine.applications(APPLICATIONS_PER_PAGE, offset).await?;
        if page.is_empty() {
            return Ok(applications);
        }
        applications.extend(page);
    }
}

fn show(args: &AppShowArgs, environment: &Environment) -> anyhow::Result<()> {
    with_engine(
        &args.settings,
        environment,
        Opening::MustExist,
        async |_, engine| {
            let named = args.id.as_deref().or(args.app.as_deref());
            let id = application_id(engine, named).await?;
            let (application, uris) = engine.application(id).await?;
            let connectors = connectors(engine, &application).await?;
            if args.json {
                let shown = detailed(&application, &uris, &connectors, &engine.callback_uri());
                return Ok(output::json(&shown)?);
            }
            output::line(&output::pairs(&[
                ("application_id", id.to_string()),
                ("name", application.name.clone()),
                ("environment", application.environment.clone()),
                ("region", application.region.clone()),
                ("created", timestamp(application.created_at)),
                (
                    "redirect_uri",
                    format!(
                        "{}    (register it at every provider)",
                        engine.callback_uri()
                    ),
                ),
            ]))?;
            Ok(output::line(&parts_text(&uris, &connectors))?)
        },
    )
}

fn parts_text(uris: &[RedirectUri], connectors: &[(Connector, usize)]) -> String {
    let uris: Vec<_> = uris
        .iter()
        .map(|uri| {
            [
                uri.url.clone(),
                uri.platform.as_str().to_owned(),
                uri.origin.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let rows: Vec<_> = connectors
        .iter()
        .map(|(connector, credentials)| connector_row(connector, *credentials))
        .collect();
    let uris = output::table(["SENDS USERS BACK TO", "PLATFORM", "ORIGIN"], &uris);
    let connectors = output::table(["CONNECTOR", "CREDENTIALS", "DEFAULT CREDENTIAL"], &rows);
    format!("\n{uris}\n\n{connectors}")
}

fn connector_row(connector: &Connector, credentials: usize) -> [String; 3] {
    let active = connector.active_credential_id;
    [
        connector.provider.to_string(),
        credentials.to_string(),
        active.map_or_else(|| "none".to_owned(), |id| id.to_string()),
    ]
}

/// The connectors, each with the number of its credentials.
async fn connectors(
    engine: &Engine,
    application: &Application,
) -> anyhow::Result<Vec<(Connector, usize)>> {
    let operator = operator(application.id);
    let mut counted = Vec::new();
    for connector in engine.connectors(&operator, 100, 0).await? {
        let credentials = count_credentials(engine, &operator, connector.provider).await?;
        counted.push((connector, credentials));
    }
    Ok(counted)
}

async fn count_credentials(
    engine: &Engine,
    operator: &Caller,
    provider: Provider,
) -> anyhow::Result<usize> {
    let mut page = Page {
        limit: LIMIT_MAX,
        ..Page::default()
    };
    let mut counted = 0;
    loop {
        let found = engine.credentials(operator, provider, page).await?.len();
        counted += found;
        page.offset += LIMIT_MAX;
        if found < usize::try_from(LIMIT_MAX)? {
            return Ok(counted);
        }
    }
}

fn detailed(
    application: &Application,
    uris: &[RedirectUri],
    connectors: &[(Connector, usize)],
    callback_uri: &str,
) -> Value {
    let uris = uris.iter().map(|uri| {
        json!({"id": uri.id, "url": uri.url, "platform": uri.platform.as_str(), "origin": uri.origin})
    });
    let connectors = connectors.iter().map(|(connector, credentials)| {
        json!({
            "provider": connector.provider,
            "name": connector.name,
            "active_credential_id": connector.active_credential_id,
            "credentials": credentials,
        })
    });
    let mut shown = view(application);
    shown.insert("redirect_uri".into(), json!(callback_uri));
    shown.insert("redirect_uris".into(), uris.collect());
    shown.insert("connectors".into(), connectors.collect());
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::SettingFlags;

    fn args(platform: &str, uris: &[&str], origins: &[&str]) -> AppCreateArgs {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        AppCreateArgs {
            name: "n".into(),
            redirect_uri: owned(uris),
            platform: platform.into(),
            origin: owned(origins),
            environment: "e".into(),
            region: "us".into(),
            json: false,
            settings: SettingFlags::default(),
        }
    }

    fn origins(args: &AppCreateArgs) -> Vec<Value> {
        let uris = redirect_uris(args).unwrap();
        uris.iter()
            .map(|uri| uri.settings.get("origin").cloned().unwrap_or_default())
            .collect()
    }

    #[test]
    fn a_browser_program_has_the_origin_given_or_that_of_its_redirect_uri() {
        let uris = ["https://a.test/cb", "https://b.test/cb"];
        assert_eq!(
            origins(&args("js", &uris, &[])),
            ["https://a.test", "https://b.test"]
        );
        assert_eq!(
            origins(&args("js", &uris, &["https://c.test"])),
            ["https://c.test"; 2]
        );
        let each = ["https://c.test", "https://d.test"];
        assert_eq!(origins(&args("js", &uris, &each)), each);
        assert_eq!(
            origins(&args("web", &uris, &[])),
            [Value::Null, Value::Null]
        );
    }

    #[test]
    fn origins_that_belong_nowhere_are_refused() {
        for wrong in [
            args("web", &["https://a.test/cb"], &["https://a.test"]),
            args("js", &[], &["https://a.test"]),
            args(
                "js",
                &["https://a.test/1"],
                &["https://a.test", "https://b.test"],
            ),
            args("toaster", &[], &[]),
        ] {
            let error = redirect_uris(&wrong).unwrap_err();
            assert_eq!(crate::failure::status(&error), 2);
        }
    }
}
