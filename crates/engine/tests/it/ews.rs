//! Mailboxes of Exchange servers that a password opens.

use crate::mail::{authenticate, connector, stored_passwords};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyway_core::change::Action;
use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::provider::Provider::Ews;
use keyway_core::scope::Scopes;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::{Error, ErrorKind};
use keyway_testkit::{ExchangeMood, FakeExchange, World, captured_logs, object, on_both_databases};
use serde_json::{Value, json};
use std::sync::Arc;

const ANN: &str = "ann@corp.test";
const HOST: &str = "mail.corp.test";
const PASSWORD: &str = "correct-horse-2";
const DAY_SECS: i64 = 24 * 3600;
const HOUR_SECS: i64 = 3600;

/// A server by that name which knows Ann.
pub(crate) fn server(world: &World, host: &str) -> Arc<FakeExchange> {
    let server = Arc::new(FakeExchange::default());
    server.open(ANN, PASSWORD);
    world.recorder.serve(host, &server);
    server
}

fn of_ann(password: &str) -> Value {
    json!({"email": ANN, "ews_username": ANN, "ews_password": password, "ews_host": HOST})
}

/// Ann's mailbox, open, and her grant.
async fn ann(world: &World) -> (Arc<FakeExchange>, Grant) {
    connector(world, Ews, json!({})).await;
    let server = server(world, HOST);
    let grant = authenticate(world, Ews, of_ann(PASSWORD)).await.unwrap();
    let _ = server.take_seen();
    (server, grant)
}

async fn patch(world: &World, grant: &Grant, patch: GrantPatch) -> Result<Grant, Error> {
    let locator = GrantLocator::Id(grant.id);
    let caller = &world.app.caller;
    world.engine.update_grant(caller, locator, patch).await
}

fn settings(settings: Value) -> GrantPatch {
    GrantPatch {
        settings: Some(object(settings)),
        ..GrantPatch::default()
    }
}

/// What a server was asked, and as whom.
fn asked(server: &FakeExchange) -> Vec<String> {
    let seen = server.take_seen().into_iter();
    seen.map(|seen| match seen.username {
        Some(name) => format!("{} as {name}", seen.line),
        None => seen.line,
    })
    .collect()
}

async fn a_mailbox_opens_before_there_is_a_grant(world: &World) {
    connector(world, Ews, json!({})).await;
    let server = server(world, "mail.corp.test:8443");
    server.open("CORP\\ann", PASSWORD);
    let given = json!({"email": ANN, "ews_username": "CORP\\ann", "ews_password": PASSWORD,
        "ews_host": "Mail.Corp.Test", "ews_port": "8443"});
    let grant = authenticate(world, Ews, given).await.unwrap();
    assert_eq!(
        asked(&server),
        [
            "GET /EWS/Exchange.asmx",
            "POST /EWS/Exchange.asmx as CORP\\ann"
        ]
    );
    assert_eq!((grant.email.as_str(), grant.provider), (ANN, Ews));
    assert_eq!(grant.credential_id, None);
    assert_eq!(grant.effective_status(), GrantStatus::Valid);
    assert_eq!(
        Value::Object(grant.settings),
        json!({"ews_username": "CORP\\ann", "ews_host": HOST, "ews_port": 8443})
    );
    assert_eq!(stored_passwords(world).await, 1);
}

async fn a_password_that_is_refused_leaves_no_grant_and_changes_none(world: &World) {
    let (server, grant) = ann(world).await;
    let before = world.snapshot().await;
    let refused = authenticate(world, Ews, of_ann("wrong-pass"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidAuthentication);
    assert!(
        refused.message().contains("settings.ews_password"),
        "{refused}"
    );
    assert_eq!(refused.provider_error().unwrap().error, "login_refused");
    let change = settings(json!({"ews_password": "wrong-pass"}));
    assert!(patch(world, &grant, change).await.is_err());
    let change = settings(json!({"ews_host": "other.corp.test"}));
    let refused = patch(world, &grant, change).await.unwrap_err();
    assert!(
        refused.message().starts_with("settings.ews_password"),
        "{refused}"
    );
    assert_eq!(world.snapshot().await, before);
    server.open(ANN, "next-horse-3");
    let change = settings(json!({"ews_password": "next-horse-3"}));
    let changed = patch(world, &grant, change).await.unwrap();
    assert_eq!((changed.id, changed.email.as_str()), (grant.id, ANN));
    assert_eq!(stored_passwords(world).await, 1);
}

async fn rule_12_an_exchange_mailbox_is_its_server_with_its_name(world: &World) {
    let (_, grant) = ann(world).await;
    let again = authenticate(world, Ews, of_ann(PASSWORD)).await.unwrap();
    assert_eq!(again.id, grant.id);
    assert_eq!(
        again.identity.as_deref(),
        Some("mail.corp.test|ann@corp.test")
    );
    // The same mailbox under another address: the same grant.
    let mut given = of_ann(PASSWORD);
    given["email"] = "ann.smith@corp.test".into();
    given["ews_username"] = "ANN@corp.test".into();
    server(world, HOST).open("ANN@corp.test", PASSWORD);
    let renamed = authenticate(world, Ews, given).await.unwrap();
    assert_eq!(renamed.id, grant.id);
    assert_eq!(renamed.email, "ann.smith@corp.test");
}

fn soap(code: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"x\"><s:Body><GetFolderResponse><ResponseMessages><GetFolderResponseMessage><ResponseCode>{code}</ResponseCode></GetFolderResponseMessage></ResponseMessages></GetFolderResponse></s:Body></s:Envelope>"
    )
}

/// Tries while the server behaves so, and finds the failure of that kind that says `word`.
async fn refused_so(
    world: &World,
    server: &FakeExchange,
    mood: ExchangeMood,
    (kind, word): (ErrorKind, &str),
) {
    let shown = format!("{mood:?}");
    server.behave(mood);
    let Err(refused) = authenticate(world, Ews, of_ann(PASSWORD)).await else {
        panic!("{shown} opens")
    };
    assert_eq!(refused.kind(), kind, "{shown}: {refused}");
    assert!(refused.message().contains(word), "{shown}: {refused}");
}

async fn what_a_server_answers_to_anybody_decides_whose_move_it_is(world: &World) {
    use ExchangeMood::{Open, Redirects, Silent, Status, WindowsOnly};
    connector(world, Ews, json!({})).await;
    let server = server(world, HOST);
    let ours = ErrorKind::InvalidRequest;
    let theirs = ErrorKind::ProviderUnavailable;
    let windows = "only NTLM/Negotiate, which this server does not speak";
    for (mood, told) in [
        (WindowsOnly, (ours, windows)),
        (Open, (ours, "settings.ews_host")),
        (Status(200), (ours, "no Exchange")),
        (Status(404), (ours, "no Exchange")),
        (Status(503), (theirs, "later")),
        (Silent, (theirs, "broke off")),
        (
            Redirects("https://other.test/x".into()),
            (ours, "other.test"),
        ),
        (
            Redirects("https://outlook.office365.com/x".into()),
            (ours, "microsoft connector"),
        ),
    ] {
        refused_so(world, &server, mood, told).await;
    }
    assert_eq!(stored_passwords(world).await, 0);
}

async fn what_a_server_answers_to_a_user_decides_whose_move_it_is(world: &World) {
    use ExchangeMood::{Says, SilentToUsers};
    connector(world, Ews, json!({})).await;
    let server = server(world, HOST);
    let users = ErrorKind::InvalidAuthentication;
    let theirs = ErrorKind::ProviderUnavailable;
    let ours = ErrorKind::InvalidRequest;
    for (mood, told) in [
        (SilentToUsers, (theirs, "broke off")),
        (Says(403, String::new()), (users, "does not allow")),
        (
            Says(200, "<html>welcome</html>".into()),
            (ours, "no Exchange"),
        ),
        (
            Says(200, soap("ErrorNonExistentMailbox")),
            (users, "no mailbox"),
        ),
        (
            Says(200, soap("ErrorMailboxStoreUnavailable")),
            (theirs, "later"),
        ),
        (Says(500, "<html>sorry".into()), (theirs, "later")),
        (Says(500, soap("NoError")), (theirs, "later")),
        (Says(404, String::new()), (ours, "no Exchange")),
        (Says(302, String::new()), (ours, "elsewhere")),
        (Says(429, String::new()), (theirs, "later")),
    ] {
        refused_so(world, &server, mood, told).await;
    }
    assert_eq!(stored_passwords(world).await, 0);
}

async fn a_password_is_shown_only_to_servers_that_ask_for_it(world: &World) {
    connector(world, Ews, json!({})).await;
    let server = server(world, HOST);
    for mood in [
        ExchangeMood::WindowsOnly,
        ExchangeMood::Open,
        ExchangeMood::Status(404),
        ExchangeMood::Redirects("https://mail.corp.test/owa".into()),
    ] {
        server.behave(mood);
        let _ = authenticate(world, Ews, of_ann(PASSWORD)).await;
        assert_eq!(asked(&server), ["GET /EWS/Exchange.asmx"]);
    }
}

async fn what_is_wrong_is_named(world: &World) {
    connector(world, Ews, json!({})).await;
    let whole = of_ann(PASSWORD);
    let with = |name: &str, value: Value| {
        let mut settings = whole.clone();
        settings[name] = value;
        settings
    };
    for (given, named) in [
        (with("ews_username", Value::Null), "settings.ews_username"),
        (
            with("ews_username", "a:b@corp.test".into()),
            "settings.ews_username",
        ),
        (
            with("ews_username", "a\r\nb".into()),
            "settings.ews_username",
        ),
        (with("ews_password", Value::Null), "settings.ews_password"),
        (with("ews_password", "a\nb".into()), "settings.ews_password"),
        (
            with("ews_password", "x".repeat(1025).into()),
            "settings.ews_password",
        ),
        (with("email", "ann".into()), "settings.email"),
        (
            with("ews_host", "https://mail.corp.test".into()),
            "settings.ews_host",
        ),
        (with("ews_port", 0.into()), "settings.ews_port"),
        (
            with("ews_host", "no.such.invalid".into()),
            "settings.ews_host",
        ),
        (with("ews_host", "127.0.0.2".into()), "settings.ews_host"),
        (
            json!({"ews_username": "CORP\\ann", "ews_password": "x"}),
            "settings.email",
        ),
        (
            json!({"ews_username": "ann@localhost", "ews_password": "x"}),
            "settings.ews_host",
        ),
    ] {
        let Err(refused) = authenticate(world, Ews, given.clone()).await else {
            panic!("{given} opens")
        };
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{given}");
        assert!(refused.message().starts_with(named), "{given}: {refused}");
    }
    for given in [
        json!({"ews_username": "ann@outlook.com", "ews_password": "x"}),
        with("ews_host", "outlook.office365.com".into()),
    ] {
        let refused = authenticate(world, Ews, given).await.unwrap_err();
        assert!(
            refused.message().contains("microsoft connector"),
            "{refused}"
        );
    }
}

async fn scopes_are_kept_as_they_are_spelt(world: &World) {
    connector(world, Ews, json!({})).await;
    server(world, HOST);
    let with = |scope: &str| CustomAuthentication {
        provider: Some(Ews),
        settings: object(of_ann(PASSWORD)),
        scope: Some(Scopes::parse(scope).unwrap()),
        ..CustomAuthentication::default()
    };
    let caller = &world.app.caller;
    for scope in ["ews.messages ews.calendar", "ews.calendars ews.contacts"] {
        let made = world
            .engine
            .custom_authentication(caller, with(scope))
            .await;
        assert_eq!(made.unwrap().scope, Scopes::parse(scope).unwrap());
    }
    let refused = world
        .engine
        .custom_authentication(caller, with("ews.tasks"))
        .await
        .unwrap_err();
    assert!(refused.message().starts_with("scope"), "{refused}");
    let grant = authenticate(world, Ews, of_ann(PASSWORD)).await.unwrap();
    let relabelled = GrantPatch {
        scope: Some(Scopes::parse("mail.read").unwrap()),
        ..GrantPatch::default()
    };
    let refused = patch(world, &grant, relabelled).await.unwrap_err();
    assert!(refused.message().starts_with("scope"), "{refused}");
}

async fn a_connector_may_name_the_server_and_scopes_of_its_users(world: &World) {
    let new = keyway_engine::connectors::NewConnector {
        provider: Ews,
        name: None,
        settings: object(json!({"ews_host": HOST, "ews_port": 443})),
        scope: Scopes::parse("ews.messages").unwrap(),
    };
    let caller = &world.app.caller;
    for wrong in [json!({"ews_host": "https://h/"}), json!({"ews_port": "x"})] {
        let settings = object(wrong);
        let wrong = keyway_engine::connectors::NewConnector {
            settings,
            ..new.clone()
        };
        let refused = world.engine.create_connector(caller, wrong).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
    let scope = Scopes::parse("ews.messages mail.read").unwrap();
    let wrong = keyway_engine::connectors::NewConnector {
        scope: scope.clone(),
        ..new.clone()
    };
    let refused = world.engine.create_connector(caller, wrong).await;
    assert!(refused.unwrap_err().message().starts_with("scope: "));
    world.engine.create_connector(caller, new).await.unwrap();
    let wrong = keyway_engine::connectors::ConnectorPatch {
        scope: Some(scope),
        ..Default::default()
    };
    let refused = world.engine.update_connector(caller, Ews, wrong).await;
    assert!(refused.unwrap_err().message().starts_with("scope: "));
    server(world, HOST);
    let given = json!({"ews_username": ANN, "ews_password": PASSWORD});
    let grant = authenticate(world, Ews, given).await.unwrap();
    assert_eq!(grant.settings["ews_host"], HOST);
    assert_eq!(grant.scope, Scopes::parse("ews.messages").unwrap());
}

async fn status(world: &World, grant: &Grant) -> GrantStatus {
    world.app.grant(grant.id).await.effective_status()
}

/// A round after so much time; how often the password was shown.
async fn round_after(world: &World, server: &FakeExchange, secs: i64) -> usize {
    let _ = server.take_seen();
    world.pass_secs(secs);
    world.engine.tick().await.unwrap();
    let seen = server.take_seen();
    seen.iter().filter(|seen| seen.username.is_some()).count()
}

async fn rule_06_two_refusals_end_an_exchange_grant(world: &World) {
    let (server, grant) = ann(world).await;
    assert_eq!(round_after(world, &server, 20 * HOUR_SECS).await, 0);
    assert_eq!(round_after(world, &server, 4 * HOUR_SECS).await, 1);
    server.open(ANN, "changed-by-ann");
    let seq = world.latest_seq().await;
    assert_eq!(round_after(world, &server, DAY_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
    assert_eq!(round_after(world, &server, 2 * HOUR_SECS).await, 1);
    assert_eq!(status(world, &grant).await, GrantStatus::Invalid);
    let changes = world.changes_since(seq).await;
    let [change] = changes.as_slice() else {
        panic!("one change: {changes:?}")
    };
    assert_eq!(change.action, Action::Expired);
    assert_eq!(change.detail["cause"], "user");
    assert_eq!(change.detail["error"], "login_refused");
    assert_eq!(round_after(world, &server, 3 * DAY_SECS).await, 0);
    let back = authenticate(world, Ews, of_ann("changed-by-ann")).await;
    assert_eq!(back.unwrap().id, grant.id);
    assert_eq!(status(world, &grant).await, GrantStatus::Valid);
}

async fn rule_06_whatever_else_an_exchange_server_says_ends_no_grant(world: &World) {
    let (server, grant) = ann(world).await;
    world.pass_secs(DAY_SECS);
    for mood in [
        ExchangeMood::WindowsOnly,
        ExchangeMood::Open,
        ExchangeMood::Status(200),
        ExchangeMood::Status(404),
        ExchangeMood::Status(503),
        ExchangeMood::Silent,
        ExchangeMood::SilentToUsers,
        ExchangeMood::Redirects("https://other.test/".into()),
        ExchangeMood::Says(200, "<html>".into()),
        ExchangeMood::Says(403, String::new()),
        ExchangeMood::Says(500, String::new()),
    ] {
        let shown = format!("{mood:?}");
        server.behave(mood);
        // As often as a refusal would have to be heard.
        for _ in 0..2 {
            world.pass_secs(DAY_SECS);
            world.engine.tick().await.unwrap();
            assert!(!server.take_seen().is_empty(), "{shown}");
            assert_eq!(status(world, &grant).await, GrantStatus::Valid, "{shown}");
        }
    }
    server.behave(ExchangeMood::Serves);
    assert_eq!(round_after(world, &server, 2 * HOUR_SECS).await, 1);
    assert_eq!(round_after(world, &server, 2 * HOUR_SECS).await, 0);
}

async fn rule_07_an_exchange_password_is_in_no_row_and_no_log_line_and_goes_with_its_grant(
    world: &World,
) {
    let _ = captured_logs();
    let (_, grant) = ann(world).await;
    let refused = authenticate(world, Ews, of_ann("wrong-pass")).await;
    let told = format!("{:?} {grant:?}", refused.unwrap_err());
    let stored = world.stored_bytes().await;
    let basic = |password: &str| STANDARD.encode(format!("{ANN}:{password}"));
    for secret in [
        PASSWORD.to_owned(),
        "wrong-pass".to_owned(),
        basic(PASSWORD),
        basic("wrong-pass"),
    ] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!is_in(&stored), "{secret} is stored");
        assert!(!is_in(captured_logs().as_bytes()), "{secret} is logged");
        assert!(!told.contains(&secret), "{secret} is told");
    }
    let locator = GrantLocator::Id(grant.id);
    let caller = &world.app.caller;
    world.engine.delete_grant(caller, locator).await.unwrap();
    assert_eq!(stored_passwords(world).await, 0);
}

async fn an_exchange_grant_has_no_api_and_no_token(world: &World) {
    let (_, grant) = ann(world).await;
    let locator = GrantLocator::Id(grant.id);
    let call = world
        .engine
        .call_target(&world.app.principal(), locator, None)
        .await;
    assert_eq!(
        call.unwrap_err().message(),
        "ews has no API that can be called on behalf of a grant"
    );
}

on_both_databases!(
    a_mailbox_opens_before_there_is_a_grant,
    a_password_that_is_refused_leaves_no_grant_and_changes_none,
    rule_12_an_exchange_mailbox_is_its_server_with_its_name,
    what_a_server_answers_to_anybody_decides_whose_move_it_is,
    what_a_server_answers_to_a_user_decides_whose_move_it_is,
    a_password_is_shown_only_to_servers_that_ask_for_it,
    what_is_wrong_is_named,
    scopes_are_kept_as_they_are_spelt,
    a_connector_may_name_the_server_and_scopes_of_its_users,
    rule_06_two_refusals_end_an_exchange_grant,
    rule_06_whatever_else_an_exchange_server_says_ends_no_grant,
    rule_07_an_exchange_password_is_in_no_row_and_no_log_line_and_goes_with_its_grant,
    an_exchange_grant_has_no_api_and_no_token,
);
