//! A server, a sandbox provider, and a grant to make calls for.

use crate::site::{Server, Site, signal, text};
use crate::wire::{Answer, Ask, PATIENCE, read_answer};
use keyway_core::time::SystemClock;
use keyway_sandbox::{
    ClientConfig, Control, RevocationReach, Rotation, Sandbox, SandboxConfig, ScriptedUser,
};
use keyway_store::Backend;
use keyway_vault::SystemEntropy;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};
use url::Url;

pub(crate) const CLIENT: &str = "dev-app";
pub(crate) const OTHER_CLIENT: &str = "staging-app";

pub(crate) struct World {
    pub(crate) sandbox: Control,
    pub(crate) server: Server,
    pub(crate) key: String,
    pub(crate) app: String,
    site: Site,
    pub(crate) file: PathBuf,
    secrets: Vec<(String, String)>,
    _runtime: Runtime,
}

/// A provider that ends a family of tokens when a used one comes again.
fn strict(life_secs: i64) -> impl Fn(&mut SandboxConfig) {
    move |config| {
        config.rotation = Rotation::OnWithReuseDetection;
        config.access_token_lifetime_s = life_secs;
    }
}

impl World {
    /// A world whose provider's API is the sandbox's.
    pub(crate) fn new() -> Self {
        Self::with_api(None, "")
    }

    /// A world whose provider's API is at `api`, with more lines in the configuration; `{base}` in them stands
    /// for the sandbox's address.
    pub(crate) fn with_api(api: Option<&str>, more: &str) -> Self {
        let site = Site::on(Backend::Sqlite).unwrap();
        Self::of(site, &|_| {}, api, more)
    }

    /// A world on that kind of database, whose provider ends a family of tokens when a used one comes again.
    /// `None` if there is no such database to test on.
    pub(crate) fn rotating(backend: Backend) -> Option<Self> {
        let site = Site::on(backend)?;
        Some(Self::of(site, &strict(3600), None, ""))
    }

    /// The same on a database at `url` that somebody else takes care of, with more lines in the configuration.
    pub(crate) fn elsewhere(url: &str, more: &str) -> Self {
        Self::of(Site::at(url), &|_| {}, None, more)
    }

    /// A world whose provider lets refresh tokens be.
    pub(crate) fn plain(backend: Backend) -> Option<Self> {
        let site = Site::on(backend)?;
        Some(Self::of(site, &|_| {}, None, ""))
    }

    /// The same, and the application may read its grants' provider tokens.
    pub(crate) fn lending(backend: Backend) -> Option<Self> {
        let site = Site::on(backend)?;
        let more = "[tokens]\nallow_provider_tokens = true";
        let world = Self::of(site, &|_| {}, None, more);
        let allowed = json!({"additional_settings": {"allow_provider_tokens": true}});
        let changed = world.api("PATCH", "/v3/applications", &allowed);
        assert_eq!(changed.status, 200, "{changed:?}");
        Some(world)
    }

    /// The same, with access tokens that live for `life_secs`.
    pub(crate) fn hurried(backend: Backend, life_secs: i64) -> Option<Self> {
        let site = Site::on(backend)?;
        Some(Self::of(site, &strict(life_secs), None, ""))
    }

    /// A world on that database, whose provider replaces no refresh token, and where revoking one ends no
    /// other.
    pub(crate) fn on(site: Site) -> Self {
        let change = |config: &mut SandboxConfig| config.revocation = RevocationReach::SameSignIn;
        Self::of(site, &change, None, "")
    }

    fn of(site: Site, change: &dyn Fn(&mut SandboxConfig), api: Option<&str>, more: &str) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut config = SandboxConfig::demo(Url::parse(&base).unwrap());
        change(&mut config);
        let clock = Arc::new(SystemClock);
        let sandbox = Sandbox::new(config, clock, Arc::new(SystemEntropy)).unwrap();
        let control = sandbox.control();
        runtime.spawn(async move { sandbox.serve(listener, std::future::pending()).await });
        let api = api.map_or_else(|| format!("{base}/api"), str::to_owned);
        let more = more.replace("{base}", &base);
        let file = site.data_dir().join("keyway.toml");
        std::fs::write(&file, format!(
            "{more}\n[providers.google]\nissuer = \"{base}\"\nauthorization_endpoint = \"{base}/auth\"\n\
             token_endpoint = \"{base}/token\"\nrevocation_endpoint = \"{base}/token/revocation\"\n\
             userinfo_endpoint = \"{base}/me\"\njwks_uri = \"{base}/jwks\"\napi_base_url = \"{api}\"\n"
        )).unwrap();
        let (app, key) = site.app("A");
        let server = site.serve(&["--config", file.to_str().unwrap()]);
        let secrets = control
            .index_of_clients()
            .into_iter()
            .filter_map(|client| {
                use secrecy::ExposeSecret as _;
                let secret = client.client_secret.as_ref()?.expose_secret().to_owned();
                Some((client.client_id, secret))
            })
            .collect();
        let world = Self {
            sandbox: control,
            server,
            key,
            app,
            site,
            file,
            secrets,
            _runtime: runtime,
        };
        let settings = json!({"client_id": CLIENT, "client_secret": world.secret(CLIENT)});
        let connector =
            json!({"provider": "google", "name": "G", "settings": settings, "scope": []});
        assert_eq!(world.api("POST", "/v3/connectors", &connector).status, 201);
        world
    }

    /// One more server on the same database.
    pub(crate) fn replica(&self) -> Server {
        self.site.serve(&["--config", self.file.to_str().unwrap()])
    }

    /// Kills the server as a power cut would, and starts another on the same database.
    pub(crate) fn kill_and_restart(&mut self) -> String {
        let server = self.replica();
        let killed = std::mem::replace(&mut self.server, server);
        signal("KILL", killed.pid());
        killed.wait().1
    }

    /// The server is dead: another takes its place, on the same address.
    pub(crate) fn start_again(&mut self) {
        let arguments = ["--config", self.file.to_str().unwrap()];
        self.server = self.site.serve_at(&self.server.address, &arguments);
    }

    /// What is half there, by the rules.
    pub(crate) fn half_done(&self) -> Vec<String> {
        self.site.half_done()
    }

    /// Keeps everybody from writing to the database for some seconds, while `then` is done.
    pub(crate) fn while_nobody_writes<T>(&self, then: impl FnOnce() -> T) -> T {
        self.site.while_nobody_writes(then)
    }

    pub(crate) fn secret(&self, client: &str) -> &str {
        let found = self.secrets.iter().find(|(id, _)| id == client);
        &found.unwrap().1
    }

    /// Another application on the same server; its API key.
    pub(crate) fn other_key(&self) -> String {
        self.site.app("B").1
    }

    /// A grant of another application on the same server, through the same provider; its key and its id.
    pub(crate) fn grant_elsewhere(&self, email: &str) -> (String, String) {
        let key = self.other_key();
        let post = |path: &str, body: &Value| {
            let answer = Ask::new(&self.server.address, &key).json("POST", path, body);
            answer.unwrap().acknowledged().json()
        };
        let settings = json!({"client_id": CLIENT, "client_secret": self.secret(CLIENT)});
        post(
            "/v3/connectors",
            &json!({"provider": "google", "name": "G", "settings": settings, "scope": []}),
        );
        let token = self
            .sandbox
            .mint_refresh_token(CLIENT, email, &["openid", "email"]);
        let settings = json!({"refresh_token": token});
        let made = post(
            "/v3/connect/custom",
            &json!({"provider": "google", "settings": settings}),
        );
        let id = text(&made["data"], "id");
        (key, id)
    }

    /// Another key of the application, and its id.
    pub(crate) fn new_key(&self) -> (String, String) {
        let made = self.site.json(&["key", "create", "--app", &self.app]);
        (text(&made, "api_key"), text(&made, "key_id"))
    }

    /// Revokes a key, as an operator would, with the program beside the running server.
    pub(crate) fn revoke_key(&self, id: &str) {
        let revoked = self.site.run(&["key", "revoke", "--app", &self.app, id]);
        assert!(revoked.status.success());
    }

    /// Runs a command with the server's configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = self.site.command(arguments);
        command.args(["--config", self.file.to_str().unwrap()]);
        command.output().unwrap()
    }

    /// Statements past the program.
    pub(crate) fn execute(&self, sql: &str) {
        self.site.execute(sql);
    }

    /// The first column of what a statement past the program finds.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        self.site.texts(sql)
    }

    /// A second credential of the connector; its id.
    pub(crate) fn credential(&self) -> String {
        let data = json!({"client_id": OTHER_CLIENT, "client_secret": self.secret(OTHER_CLIENT)});
        let credential =
            json!({"name": "second", "credential_type": "connector", "credential_data": data});
        let made = self.api("POST", "/v3/connectors/google/creds", &credential);
        text(&made.json()["data"], "id")
    }

    /// A grant of `email` through a client, made by custom authentication; its id.
    pub(crate) fn grant(&self, email: &str, client: &str, credential: Option<&str>) -> String {
        let scopes = ["openid", "email", "mail.read"];
        let token = self.sandbox.mint_refresh_token(client, email, &scopes);
        let mut settings = json!({"refresh_token": token});
        if let Some(id) = credential {
            settings["credential_id"] = json!(id);
        }
        let made = self.api(
            "POST",
            "/v3/connect/custom",
            &json!({"provider": "google", "settings": settings}),
        );
        assert!(made.status < 300, "{made:?}");
        text(&made.json()["data"], "id")
    }

    /// Signs a user in as a browser would; the access token and the grant's id.
    pub(crate) fn sign_in(&self, email: &str) -> (String, String) {
        let code = self.code(email);
        let tokens = self.exchange(&code).json();
        (text(&tokens, "access_token"), text(&tokens, "grant_id"))
    }

    /// The provider sends the users of both clients back to the server.
    pub(crate) fn allow_callback(&self) {
        let ours = format!("http://{}/v3/connect/callback", self.server.address);
        for client in [CLIENT, OTHER_CLIENT] {
            let registered = ClientConfig::new(client, self.secret(client), &[&ours]);
            self.sandbox.put_client(registered);
        }
    }

    /// The code a sign-in ends with.
    pub(crate) fn code(&self, email: &str) -> String {
        self.code_at(email, "google")
    }

    /// The code a sign-in at that provider ends with.
    pub(crate) fn code_at(&self, email: &str, provider: &str) -> String {
        let encoded = "http%3A%2F%2Flocalhost%3A3000%2Fcallback";
        let path = format!(
            "/v3/connect/auth?client_id={}&redirect_uri={encoded}&response_type=code&provider={provider}&access_type=offline",
            self.app
        );
        self.allow_callback();
        let begun = self.call("GET", &path, "", b"");
        let to_provider = begun.header("location").unwrap();
        let back = self
            .sandbox
            .sign_in(to_provider, &ScriptedUser::allowing_all(email))
            .unwrap();
        let cookie = begun
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        let back = Url::parse(&back).unwrap();
        let path = format!("{}?{}", back.path(), back.query().unwrap());
        let called = self.call("GET", &path, &format!("Cookie: {cookie}\r\n"), b"");
        let to_app = Url::parse(called.header("location").unwrap()).unwrap();
        let mut query = to_app.query_pairs();
        query.find(|(name, _)| name == "code").unwrap().1.into()
    }

    /// The application exchanges a code.
    pub(crate) fn exchange(&self, code: &str) -> Answer {
        let exchange = json!({"grant_type": "authorization_code", "client_id": self.app, "client_secret": self.key,
            "redirect_uri": "http://localhost:3000/callback", "code": code});
        self.api("POST", "/v3/connect/token", &exchange)
    }

    fn ask(&self) -> Ask<'_> {
        Ask::new(&self.server.address, &self.key)
    }

    /// One request of the application's with a body in JSON.
    pub(crate) fn api(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.ask().json(method, path, body).unwrap()
    }

    /// One request of the application's, with these header lines.
    pub(crate) fn call(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.ask().call(method, path, headers, body).unwrap()
    }

    /// Bytes on a connection of their own.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_answer(&mut stream)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
