//! What the demo starts: a server, a sandbox provider, and an application with a page of its own.

use super::http_client::HttpClient;
use super::landing::Landing;
use crate::cli::{ServeArgs, SettingFlags};
use crate::config::Config;
use crate::config::environment::Environment;
use crate::failure::Failure;
use crate::sandbox;
use crate::serve::Server;
use anyhow::Context as _;
use keyway_core::application::Platform;
use keyway_engine::applications::NewApplication;
use keyway_engine::redirect_uris::NewRedirectUri;
use keyway_sandbox::{ClientConfig, Dialect, SandboxConfig};
use secrecy::SecretString;
use serde_json::Map;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Everything at work.
pub(super) struct World {
    pub(super) http: HttpClient,
    /// `http://127.0.0.1:PORT` of the server.
    pub(super) keyway_url: String,
    /// The same of the sandbox.
    pub(super) sandbox_url: String,
    /// An application with provider applications of its own.
    pub(super) acme: Tenant,
    /// An application that begins with the operator's.
    pub(super) globex: Tenant,
    landing_url: String,
    callback_uri: String,
    server: Server,
    stop: CancellationToken,
}

/// An application, as its own server knows it.
#[derive(Clone)]
pub(super) struct Tenant {
    pub(super) application_id: String,
    pub(super) api_key: SecretString,
    /// Where its users are sent back to.
    pub(super) redirect_uri: String,
}

/// The operator's own application at the provider, for all that bring none.
const SHARED_APP: &str = "[shared_apps.google]
client_id = \"shared-app\"
client_secret = \"shared-app-secret\"
applications = [\"*\"]
scopes = [\"openid\", \"email\", \"profile\"]
";

/// The configuration of the demo's server: as it would be without a file, in a directory of its own.
pub(super) fn config(directory: &Path) -> anyhow::Result<Config> {
    let args = ServeArgs {
        settings: SettingFlags {
            listen: Some("127.0.0.1:0".to_owned()),
            data_dir: Some(directory.to_owned()),
            ..SettingFlags::default()
        },
        admin_listen: None,
    };
    // The operator's own variables must not make the demo open the operator's database.
    Config::load(&args, &Environment::default())
}

async fn listen() -> anyhow::Result<(TcpListener, Url)> {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.context(Failure::new("no port of this machine can be listened on"))?;
    let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
    Ok((listener, url))
}

fn base(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

impl World {
    /// Starts it all.
    ///
    /// # Errors
    /// If something cannot be started.
    pub(super) async fn start(mut config: Config, runtime: &Handle) -> anyhow::Result<Self> {
        let (sandbox_listener, sandbox_url) = listen().await?;
        let (landing_listener, landing_url) = listen().await?;
        let tables = sandbox::configuration(&base(&sandbox_url), Dialect::Plain);
        config.use_providers(&format!("{tables}\n{SHARED_APP}"))?;
        let server = Server::start(config, runtime).await?;
        let keyway_url = format!("http://{}", server.address);
        let stop = CancellationToken::new();

        let callback_uri = server.engine.callback_uri();
        let mut provider = SandboxConfig::demo(sandbox_url.clone());
        let more = [("shared-app", "the-operators"), ("globex-app", "globex")];
        let more = more.map(|(id, project)| ClientConfig::demo(id, project));
        provider.clients.extend(more);
        let provider = sandbox::build(provider.with_redirect_uri(&callback_uri))?;
        let until = stop.clone().cancelled_owned();
        runtime.spawn(async move { provider.serve(sandbox_listener, until).await });

        let redirect_uri = format!("{}/callback", base(&landing_url));
        let acme = make_application(&server, "Acme", &redirect_uri).await?;
        let globex = make_application(&server, "Globex", &redirect_uri).await?;
        let http = HttpClient::new();
        let landing = Landing {
            http: http.clone(),
            keyway_url: keyway_url.clone(),
            tenant: acme.clone(),
        };
        runtime.spawn(landing.serve(landing_listener, stop.clone()));
        Ok(Self {
            http,
            keyway_url,
            sandbox_url: base(&sandbox_url),
            acme,
            globex,
            landing_url: base(&landing_url),
            callback_uri,
            server,
            stop,
        })
    }

    /// What runs where.
    pub(super) fn introduction(&self) -> [(&'static str, String); 4] {
        [
            ("Keyway", self.keyway_url.clone()),
            (
                "sandbox provider",
                format!("{} (stands in for Google)", self.sandbox_url),
            ),
            (
                "application",
                format!(
                    "{}, its page is {}",
                    self.acme.application_id, self.landing_url
                ),
            ),
            (
                "registered there",
                format!("{} (at the provider)", self.callback_uri),
            ),
        ]
    }

    /// What the reader can do now.
    pub(super) fn invitation(&self, directory: &Path) -> String {
        format!(
            "\nNow you: open {} in a browser and sign in as anybody.\n\
             The sandbox's own page, with its clients and faults: {}\n\
             The database is in {}. Ctrl-C ends the demo.",
            self.landing_url,
            self.sandbox_url,
            directory.display()
        )
    }

    /// Ends it all.
    ///
    /// # Errors
    /// If the server did not end cleanly.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.server.stop().await
    }
}

/// What `keyway app create` does.
async fn make_application(
    server: &Server,
    name: &str,
    redirect_uri: &str,
) -> anyhow::Result<Tenant> {
    let new = NewApplication {
        name: name.to_owned(),
        region: "us".to_owned(),
        environment: "sandbox".to_owned(),
        redirect_uris: vec![NewRedirectUri {
            url: redirect_uri.to_owned(),
            platform: Platform::Web,
            settings: Map::new(),
        }],
    };
    let (application, api_key, _) = server.engine.create_application(new).await?;
    Ok(Tenant {
        application_id: application.id.to_string(),
        api_key,
        redirect_uri: redirect_uri.to_owned(),
    })
}
