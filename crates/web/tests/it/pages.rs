//! The pages of hosted sign-ins, as a browser gets them.

use crate::client::{Answered, Client, get, post};
use keyway_core::application::Platform;
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::connectors::NewConnector;
use keyway_engine::redirect_uris::NewRedirectUri;
use keyway_testkit::{DEV, World, object, on_both_databases};
use serde_json::{Map, Value, json};

const ANN: &str = "ann@mail.invalid";
const HOST: &str = "imap.mail.invalid";
const PASSWORD: &str = "correct-horse-1";

async fn imap(world: &World) {
    let new = NewConnector {
        provider: Provider::Imap,
        name: None,
        settings: Map::new(),
        scope: Scopes::none(),
    };
    let made = world.engine.create_connector(&world.app.caller, new);
    made.await.unwrap();
    world.mailboxes.open(HOST, ANN, PASSWORD);
}

fn auth(world: &World, more: &str) -> String {
    let app = &world.app;
    format!(
        "/v3/connect/auth?client_id={}&redirect_uri={}&response_type=code&state=mine{more}",
        app.id, app.redirect_uri
    )
}

/// The value of a hidden field.
fn hidden(page: &Answered, name: &str) -> String {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.body.split_once(&begin).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// Name and value of the cookie an answer sets.
fn cookie(page: &Answered) -> String {
    let line = page.header("set-cookie").unwrap();
    line.split(';').next().unwrap().to_owned()
}

async fn entered(client: &Client, form: &Answered, password: &str) -> Answered {
    let body = format!(
        "state={}&email={ANN}&imap_host={HOST}&imap_password={password}",
        hidden(form, "state")
    );
    let posted = post("/v3/connect/login").form(&body);
    client.send(posted.header("cookie", &cookie(form))).await
}

async fn a_form_is_strict_and_never_repeats_a_password(world: &World) {
    imap(world).await;
    let client = Client::of(world);
    let form = client.send(get(auth(world, "&provider=imap"))).await;
    assert_eq!(form.status, 200);
    let policy = form.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"));
    assert_eq!(form.header("cache-control"), Some("no-store"));
    assert_eq!(form.header("referrer-policy"), Some("no-referrer"));
    assert!(!form.body.contains("<script") && !form.body.contains("style="));
    let again = entered(&client, &form, "wrong-pass").await;
    assert_eq!(again.status, 400);
    assert!(
        again
            .body
            .contains("did not accept the name or the password")
    );
    assert!(again.body.contains(again.header("x-request-id").unwrap()));
    assert!(again.body.contains(ANN) && !again.body.contains("wrong-pass"));
    let done = entered(&client, &form, PASSWORD).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(done.body.contains("http-equiv=\"refresh\"") && done.body.contains("code="));
    assert!(done.header("set-cookie").unwrap().contains("Max-Age=15"));
    let policy = done.header("content-security-policy");
    assert_eq!(policy, form.header("content-security-policy"));
}

async fn rule_14_a_form_without_its_cookie_is_a_page_in_words(world: &World) {
    imap(world).await;
    let client = Client::of(world);
    let form = client.send(get(auth(world, "&provider=imap"))).await;
    let body = format!(
        "state={}&email={ANN}&imap_password={PASSWORD}",
        hidden(&form, "state")
    );
    let page = client.send(post("/v3/connect/login").form(&body)).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("in one browser"), "{}", page.body);
    assert!(world.mailboxes.take_seen().is_empty());
}

async fn a_typed_address_leads_on_by_a_page_and_a_hint_by_a_redirect(world: &World) {
    imap(world).await;
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let page = client.send(get(auth(world, "&prompt=detect"))).await;
    assert!(page.body.contains("name=\"email\"") && !page.body.contains("class=\"choices\""));
    assert_eq!(hidden(&page, "prompt"), "detect");
    let typed = client
        .send(get(auth(world, "&prompt=detect&email=x@gmail.com")))
        .await;
    assert_eq!(typed.status, 200);
    assert!(
        typed.body.contains("http-equiv=\"refresh\""),
        "{}",
        typed.body
    );
    assert!(typed.header("set-cookie").is_some());
    let hinted = client
        .send(get(auth(world, "&login_hint=x@gmail.com")))
        .await;
    assert_eq!(hinted.status, 302);
    let unknown = auth(world, "&prompt=detect&email=x@unheard-of.invalid");
    let unknown = client.send(get(unknown)).await;
    assert!(
        unknown
            .body
            .contains("could not tell where x@unheard-of.invalid is")
    );
    assert!(unknown.body.contains("provider=google"), "{}", unknown.body);
    let wrong = client
        .send(get(auth(world, "&prompt=detect&email=x")))
        .await;
    assert!(wrong.body.contains("not a complete e-mail address"));
    // Nobody typed what the application hints at.
    let page = client.send(get(auth(world, "&login_hint=user-17"))).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("class=\"choices\""), "{}", page.body);
    assert!(!page.body.contains("not a complete e-mail address"));
}

async fn an_application_has_its_own_look(world: &World) {
    imap(world).await;
    world.app.connector(Provider::Google, DEV).await;
    let client = Client::of(world);
    let look = json!({
        "branding": {"name": "Acme <Mail>", "website_url": "https://acme.example"},
        "hosted_authentication": {"title": "Hello", "color_primary": "#0055aa", "alignment": "left"},
    });
    let profile = object(look).into_iter().collect::<Map<String, Value>>();
    let patch = ApplicationPatch {
        profile,
        ..ApplicationPatch::default()
    };
    let caller = &world.app.caller;
    world
        .engine
        .update_application(caller, patch)
        .await
        .unwrap();
    let page = client.send(get(auth(world, ""))).await;
    assert!(page.body.contains("<h1>Hello</h1>") && page.body.contains("Acme &lt;Mail&gt;"));
    let (_, rest) = page
        .body
        .split_once("href=\"&#x2f;v3&#x2f;connect&#x2f;theme.css")
        .unwrap();
    let query = rest.split('"').next().unwrap().replace("&amp;", "&");
    let style = client
        .send(get(format!("/v3/connect/theme.css{query}")))
        .await;
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(style.body.contains("--accent:#0055aa"), "{}", style.body);
    let unknown = "/v3/connect/theme.css?client_id=00000000-0000-4000-8000-000000000000";
    assert_eq!(client.send(get(unknown)).await.status, 404);
}

async fn a_page_of_the_applications_own_signs_in_with_one_request(world: &World) {
    imap(world).await;
    let (client, app) = (Client::of(world), &world.app);
    let body = json!({
        "public_application_id": app.id.to_string(), "redirect_uri": app.redirect_uri, "state": "mine",
        "imap_username": ANN, "imap_password": PASSWORD, "imap_host": HOST, "imap_port": 993,
        "type": "generic", "provider": "imap",
    });
    let send = async |body: &Value| client.send(post("/v3/connect/login/imap").json(body)).await;
    let answer = send(&body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = answer.json();
    let url = told["BaseURL"].as_str().unwrap();
    assert!(url.starts_with(&app.redirect_uri) && url.contains("state=mine"));
    assert_eq!(told["data"]["BaseURL"], told["BaseURL"]);
    for (name, value, status, words) in [
        (
            "imap_password",
            json!("wrong-pass"),
            400,
            "refused the login",
        ),
        ("imap_password", json!(""), 400, "imap_password"),
        ("imap_port", json!(true), 400, "imap_port"),
        (
            "redirect_uri",
            json!("https://evil.example/cb"),
            400,
            "redirect_uri",
        ),
        ("public_application_id", json!("x"), 400, "client_id"),
        ("provider", json!("icloud"), 400, "provider"),
        ("state", json!("s".repeat(300)), 400, "state"),
    ] {
        let mut wrong = body.clone();
        wrong[name] = value;
        let answer = send(&wrong).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains(words), "{name}: {message}");
    }
    // What a page of any origin may send without asking is not read.
    let plain = post("/v3/connect/login/imap").form(&body.to_string());
    assert_eq!(client.send(plain).await.status, 415);
    assert!(app.grants().await.is_empty());
}

async fn a_sign_in_that_ends_here_says_so_and_shows_nothing_of_what_an_address_says(world: &World) {
    let client = Client::of(world);
    for (query, status, words) in [
        ("code=nonsense", 400, "finished already"),
        ("", 400, "holds no sign-in"),
        (
            "error=access_denied&error_description=EVIL",
            200,
            "did not allow it",
        ),
        ("error=EVIL", 200, "Something went wrong on the way"),
        ("admin_consent=true", 200, "Consent was given"),
    ] {
        let page = client.send(get(format!("/v3/connect/done?{query}"))).await;
        assert_eq!(page.status, status, "{query}");
        assert!(page.body.contains(words), "{query}: {}", page.body);
        assert!(!page.body.contains("EVIL"), "{query}");
    }
}

async fn another_account_than_it_may_be_is_not_called_finished(world: &World) {
    imap(world).await;
    world.mailboxes.open("imap.evil.invalid", ANN, PASSWORD);
    let url = world.engine.done_uri();
    let new = NewRedirectUri {
        url: url.clone(),
        platform: Platform::Web,
        settings: Map::new(),
    };
    let caller = &world.app.caller;
    world.engine.create_redirect_uri(caller, new).await.unwrap();
    let client = Client::of(world);
    let connect = async |host: &str| {
        let query = format!(
            "client_id={}&redirect_uri={url}&response_type=code",
            world.app.id
        );
        let form = get(format!("/v3/connect/auth?{query}&provider=imap"));
        let form = client.send(form).await;
        let body = format!(
            "state={}&email={ANN}&imap_host={host}&imap_password={PASSWORD}",
            hidden(&form, "state")
        );
        let posted = post("/v3/connect/login").form(&body);
        let left = client.send(posted.header("cookie", &cookie(&form))).await;
        let (_, rest) = left.body.split_once("code=").unwrap();
        let code: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || "_-".contains(*c))
            .collect();
        (
            client
                .send(get(format!("/v3/connect/done?code={code}")))
                .await,
            code,
        )
    };
    let (first, _) = connect(HOST).await;
    assert!(first.body.contains("is now connected to"), "{}", first.body);
    let (refused, code) = connect("imap.evil.invalid").await;
    assert!(
        refused.body.contains("You are not connected"),
        "{}",
        refused.body
    );
    // The code is burnt.
    let again = client
        .send(get(format!("/v3/connect/done?code={code}")))
        .await;
    assert!(again.body.contains("finished already"), "{}", again.body);
}

on_both_databases!(
    another_account_than_it_may_be_is_not_called_finished,
    a_sign_in_that_ends_here_says_so_and_shows_nothing_of_what_an_address_says,
    a_page_of_the_applications_own_signs_in_with_one_request,
    a_form_is_strict_and_never_repeats_a_password,
    rule_14_a_form_without_its_cookie_is_a_page_in_words,
    a_typed_address_leads_on_by_a_page_and_a_hint_by_a_redirect,
    an_application_has_its_own_look,
);
