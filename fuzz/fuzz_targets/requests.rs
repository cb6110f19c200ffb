//! Whole requests to the router, with an engine, a database and a provider behind it: queries, paths, cookies,
//! credentials, forwarded addresses, forms and JSON as the real code reads them. Whatever is sent, there is an
//! answer, it is the caller's fault, and nothing that was sent gets out of the place it belongs to.
//!
//! An input is `METHOD PATH`, headers, an empty line and a body. `{K}`, `{A}`, `{U}`, `{S}`, `{C}` and `{N}`
//! stand for an API key, its application, a redirect URI, and state, cookie and its name of a sign-in under way.
#![no_main]

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use keyway_core::provider::Provider;
use keyway_testkit::{ALICE, AtProvider, Backend, DEV, SignIn, World};
use keyway_web::{PeerAddr, WebOptions, router};
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::sync::OnceLock;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

struct Server {
    runtime: Runtime,
    router: Router,
    world: World,
    at: AtProvider,
}

async fn set_up() -> (World, AtProvider) {
    let world = World::create(Backend::Sqlite, World::options()).await;
    let world = world.expect("SQLite is always there");
    world.app.connector(Provider::Google, DEV).await;
    world.app.connector(Provider::Zoom, DEV).await;
    world
        .app
        .connect(&SignIn::of(ALICE).at(Provider::Google))
        .await;
    let at = world
        .app
        .start(&SignIn::of(ALICE).at(Provider::Google))
        .await;
    (world, at.expect("a sign-in begins"))
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (world, at) = runtime.block_on(set_up());
        let mut options = WebOptions::new(world.engine.public_url().clone());
        options.trusted_proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        let router = router(world.engine.clone(), options);
        Server {
            runtime,
            router,
            world,
            at,
        }
    })
}

impl Server {
    fn filled(&self, text: &str) -> String {
        let app = &self.world.app;
        text.replace("{K}", app.api_key())
            .replace("{A}", &app.id.to_string())
            .replace("{U}", &app.redirect_uri)
            .replace("{S}", &self.at.asked("state"))
            .replace("{C}", &self.at.cookie.value)
            .replace("{N}", &self.at.cookie.name)
    }

    /// The request an input stands for, if HTTP has such a one.
    fn request(&self, text: &str) -> Option<Request<Body>> {
        let text = self.filled(text);
        let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let (method, path) = lines.next()?.split_once(' ')?;
        // What is made would pile up over millions of requests; `fuzz_targets/client_input.rs` reads its members.
        let makes = [
            "POST /v3/connectors",
            "POST /v3/applications",
            "PATCH",
            "PUT",
            "DELETE",
        ];
        if makes.iter().any(|begin| head.starts_with(begin)) {
            return None;
        }
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            request = request.header(name, value.as_bytes());
        }
        let peer = SocketAddr::from(([10, 0, 0, 1], 4711));
        request
            .extension(PeerAddr(peer))
            .body(Body::from(body.to_owned()))
            .ok()
    }

    fn answer(&self, request: Request<Body>) -> Response<String> {
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await;
            let (head, body) = answer.unwrap_or_else(|never| match never {}).into_parts();
            let body = body.collect().await.expect("bodies come whole").to_bytes();
            let text = String::from_utf8(body.to_vec()).expect("answers are text");
            Response::from_parts(head, text)
        })
    }

    fn check(&self, answer: &Response<String>, may_repeat: bool) {
        let status = answer.status().as_u16();
        assert!(!matches!(status, 500 | 503), "{status}: {}", answer.body());
        for value in answer.headers().values() {
            assert!(!value.as_bytes().iter().any(u8::is_ascii_control));
        }
        let id = answer.headers()["x-request-id"].to_str().expect("an id");
        let text = answer.body();
        assert!(!text.contains("<script"));
        assert!(may_repeat || !text.contains(self.world.app.api_key()));
        let kind = answer
            .headers()
            .get("content-type")
            .map(|value| value.as_bytes());
        if kind == Some(b"application/json") {
            let json: serde_json::Value = serde_json::from_str(text).expect("JSON");
            let told = json.get("request_id").and_then(|id| id.as_str());
            assert!(told.is_none_or(|told| told == id));
        }
        if let Some(location) = answer.headers().get("location") {
            let location = location.to_str().expect("ASCII");
            let app = &self.world.app;
            let own = [&app.redirect_uri, &app.page_uri, &app.mobile_uri];
            let back = own.iter().any(|uri| {
                location
                    .strip_prefix(&***uri)
                    .is_some_and(|rest| rest.starts_with('?'))
            });
            let provider = self.at.location.split('?').next().expect("an address");
            assert!(back || location.starts_with(provider), "{location}");
        }
    }
}

fuzz_target!(|text: &str| {
    let server = server();
    if let Some(request) = server.request(text) {
        // The page to choose a provider on repeats what the browser itself sent as state or the like.
        let head = text.lines().next().unwrap_or_default();
        let may_repeat = head.contains("/v3/connect/auth") && head.contains("{K}");
        server.check(&server.answer(request), may_repeat);
    }
});
