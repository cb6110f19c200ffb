//! What somebody writes into requests to have more than an answer come out: headers, lines of the log,
//! markup, another host.

use crate::client::{Answered, Client, get, post};
use http::header::{LOCATION, SET_COOKIE};
use keyway_core::provider::Provider;
use keyway_sandbox::{Fault, Faults};
use keyway_testkit::{ALICE, DEV, SignIn, World, captured_logs, on_both_databases, returned};
use serde_json::json;

on_both_databases!(
    header_injection_no_parameter_adds_a_header_or_a_line,
    header_injection_a_providers_words_stay_inside_the_location,
    log_injection_no_request_and_no_provider_writes_a_line_of_its_own,
    open_redirect_nothing_in_a_request_chooses_where_a_browser_goes,
    host_header_no_host_a_request_names_comes_back,
    cookies_that_are_not_ours_hide_none_of_ours,
);

/// `\r\nSet-Cookie: evil=1`, a second answer, an escape sequence, markup; percent-encoded.
const HOSTILE: &str =
    "x%0d%0aSet-Cookie:%20evil=1%0d%0a%0d%0aHTTP/1.1%20200%20OK%1b%5b2J%22%3e%3cscript%3e";

fn begin(world: &World, rest: &str) -> String {
    let app = &world.app;
    format!(
        "/v3/connect/auth?client_id={}&redirect_uri={}&response_type=code{rest}",
        app.id, app.redirect_uri
    )
}

fn assert_unharmed(answer: &Answered, told: &str) {
    for (name, value) in &answer.headers {
        let bytes = value.as_bytes();
        assert!(
            bytes.iter().all(|byte| !byte.is_ascii_control()),
            "{told}: {name}"
        );
    }
    let cookies = answer.headers.get_all(SET_COOKIE).iter();
    for cookie in cookies {
        assert!(cookie.to_str().unwrap().starts_with("kw_signin_"), "{told}");
    }
    assert!(!answer.body.contains("<script"), "{told}: {}", answer.body);
}

async fn header_injection_no_parameter_adds_a_header_or_a_line(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    for name in [
        "state",
        "login_hint",
        "scope",
        "provider",
        "external_id",
        "code_challenge",
        "code_challenge_method",
        "access_type",
        "credential_id",
        "options",
        "metadata",
        "prompt",
        "x-new",
    ] {
        let asked = get(begin(world, &format!("&{name}={HOSTILE}"))).header("accept", "text/html");
        let answer = client.send(asked).await;
        assert_eq!(answer.status, 302, "{name}: {}", answer.body);
        assert_unharmed(&answer, name);
    }
    for path in [
        format!("/v3/connect/auth?client_id={HOSTILE}"),
        format!(
            "/v3/connect/auth?client_id={}&redirect_uri={HOSTILE}",
            world.app.id
        ),
        format!("/v3/connect/callback?state={HOSTILE}&error={HOSTILE}"),
        format!("/v3/connect/callback?{HOSTILE}=%00"),
        format!("/v3/grants/{HOSTILE}"),
        format!("/v3/connect/tokeninfo?access_token={HOSTILE}"),
        format!("/{HOSTILE}"),
    ] {
        let asked = get(&path).header("accept", "text/html");
        let answer = client.send(asked.bearer(world.app.api_key())).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
        assert_unharmed(&answer, &path);
    }
}

async fn header_injection_a_providers_words_stay_inside_the_location(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let started = client.send(get(begin(world, "&state=mine"))).await;
    let cookie = started.header(SET_COOKIE.as_str()).unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    let state = &returned(started.header(LOCATION.as_str()).unwrap())["state"];
    let path =
        format!("/v3/connect/callback?state={state}&error={HOSTILE}&error_description={HOSTILE}");
    let answer = client.send(get(path).header("cookie", cookie)).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    assert_unharmed(&answer, "callback");
    let told = returned(answer.header(LOCATION.as_str()).unwrap());
    assert_eq!(told["state"], "mine");
    let words = &told["error_description"];
    assert!(!words.contains(char::is_control), "{words:?}");
}

async fn log_injection_no_request_and_no_provider_writes_a_line_of_its_own(world: &World) {
    const MARK: &str = "forged-3f9c";
    captured_logs();
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let text = format!("%0a{MARK}%0d{MARK}%1b%5b2J");
    for path in [
        format!("/v3/{text}"),
        format!("/v3/grants/{text}"),
        begin(
            world,
            &format!("&provider={text}&state={text}&scope={text}"),
        ),
        format!("/v3/connect/callback?state={text}&code={text}&error={text}"),
    ] {
        let asked = get(&path).bearer(MARK).header("user-agent", MARK);
        client.send(asked).await;
    }
    let form = format!("grant_type={text}&client_id={text}&code={text}");
    client.send(post("/v3/connect/token").form(&form)).await;
    let words = format!("\n{MARK}\r\u{1b}[2J\u{2028}{MARK}");
    world.provider.set_faults(Faults {
        token: Some(Fault::error(&words, &words)),
        ..Faults::default()
    });
    let token = world.app.minted(DEV, ALICE);
    let body = json!({"provider": "google", "settings": {"refresh_token": token}});
    let asked = post("/v3/connect/custom").bearer(world.app.api_key());
    client.send(asked.json(&body)).await;
    assert!(world.app.try_sign_in(&SignIn::of(ALICE)).await.is_err());
    world.provider.set_faults(Faults::default());
    let log = captured_logs();
    // The server's own events alone: a library's finer levels are never on.
    let ours = log.lines().filter(|line| line.contains(MARK));
    for line in ours {
        let is_event = line.starts_with("20") && line.contains(" keyway_");
        let is_librarys = line.contains(" TRACE ") || line.contains(" DEBUG ");
        assert!(is_event || is_librarys, "{line:?}");
        assert!(
            is_librarys || !line.contains(['\u{1b}', '\u{2028}']),
            "{line:?}"
        );
    }
}

async fn open_redirect_nothing_in_a_request_chooses_where_a_browser_goes(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let own = &world.app.redirect_uri;
    for uri in [
        "https://evil.example/".to_owned(),
        "//evil.example/".to_owned(),
        "javascript:alert(1)".to_owned(),
        format!("{own}/"),
        format!("{own}%2f..%2fother"),
        format!("{own}%3fx=1"),
        format!("{own}%23x"),
        format!("{own}%0a"),
        format!("%20{own}"),
        own.to_uppercase(),
        own.replace("https://acme.example", "https://acme.example.evil.example"),
        own.replace("https://", "https://acme.example@evil.example/"),
    ] {
        let path = format!(
            "/v3/connect/auth?client_id={}&response_type=nonsense&redirect_uri={uri}",
            world.app.id
        );
        let answer = client.send(get(&path)).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert_eq!(answer.header(LOCATION.as_str()), None, "{uri}");
        assert_eq!(
            answer.error_type(),
            "grant.callback_uri_not_allowed",
            "{uri}"
        );
    }
}

async fn host_header_no_host_a_request_names_comes_back(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let paths = [
        begin(world, ""),
        begin(world, "&access_type=x"),
        "/v3/connect/callback?state=x".to_owned(),
        "/v3/connect/tokeninfo".to_owned(),
        "/.well-known/openid-configuration".to_owned(),
        "/.well-known/jwks.json".to_owned(),
        "/errors".to_owned(),
        "/nothing".to_owned(),
    ];
    for path in paths {
        let mut asked = get(&path).header("host", "evil.example");
        for name in [
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-original-url",
        ] {
            asked = asked.header(name, "evil.example");
        }
        let asked = asked.header("forwarded", "host=evil.example;proto=http");
        let answer = client.send(asked).await;
        let headers = format!("{:?}", answer.headers);
        assert!(!headers.contains("evil"), "{path}: {headers}");
        assert!(!answer.body.contains("evil"), "{path}: {}", answer.body);
    }
}

async fn cookies_that_are_not_ours_hide_none_of_ours(world: &World) {
    let app = &world.app;
    app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let sign_in = SignIn::of(ALICE);
    let at = app.start(&sign_in).await.unwrap();
    let params = app.at_provider(&at, &sign_in);
    let (state, code) = (params.state.unwrap(), params.code.unwrap());
    let path = format!("/v3/connect/callback?state={state}&code={code}");
    let cookies = format!(
        "name=José; kw_signin_00000000_0=x; {0}=junk; {0}={1}",
        at.cookie.name, at.cookie.value
    );
    let answer = client.send(get(path).header("cookie", &cookies)).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    let location = answer.header(LOCATION.as_str()).unwrap();
    assert!(location.starts_with(&app.redirect_uri), "{location}");
}
