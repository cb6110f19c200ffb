//! Mail accounts that a password opens.

use keyway_core::application::AdditionalSettings;
use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::page::Page;
use keyway_core::provider::Provider::{self, Icloud, Imap};
use keyway_core::scope::Scopes;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::connectors::NewConnector;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::{Error, ErrorKind, GrantFilter};
use keyway_outbound::{CallError, CallErrorKind, MailFailure, NoWay, ServerWords};
use keyway_store::{SealedColumn, StoreError};
use keyway_testkit::{LoginSeen, World, captured_logs, object, on_both_databases};
use serde_json::{Value, json};

pub(crate) const ANN: &str = "ann@mail.invalid";
pub(crate) const HOST: &str = "imap.mail.invalid";
const SMTP: &str = "smtp.mail.invalid";
pub(crate) const PASSWORD: &str = "correct-horse-1";

pub(crate) async fn connector(world: &World, provider: Provider, settings: Value) {
    let new = NewConnector {
        provider,
        name: None,
        settings: object(settings),
        scope: Scopes::none(),
    };
    let made = world.engine.create_connector(&world.app.caller, new);
    made.await.unwrap();
}

pub(crate) async fn authenticate(
    world: &World,
    provider: Provider,
    settings: Value,
) -> Result<Grant, Error> {
    let request = CustomAuthentication {
        provider: Some(provider),
        settings: object(settings),
        state: Some("s".into()),
        ..CustomAuthentication::default()
    };
    let caller = &world.app.caller;
    world.engine.custom_authentication(caller, request).await
}

/// Ann's account, open, and her grant.
pub(crate) async fn ann(world: &World) -> Grant {
    connector(world, Imap, json!({})).await;
    world.mailboxes.open(HOST, ANN, PASSWORD);
    authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap()
}

pub(crate) fn of_ann(password: &str) -> Value {
    json!({"imap_username": ANN, "imap_password": password, "imap_host": HOST})
}

pub(crate) async fn patch(world: &World, grant: &Grant, settings: Value) -> Result<Grant, Error> {
    let patch = GrantPatch {
        settings: Some(object(settings)),
        ..GrantPatch::default()
    };
    let caller = &world.app.caller;
    let locator = GrantLocator::Id(grant.id);
    world.engine.update_grant(caller, locator, patch).await
}

pub(crate) fn seen(protocol: &'static str, server: &str, username: &str) -> LoginSeen {
    LoginSeen {
        protocol,
        server: server.to_owned(),
        username: username.to_owned(),
    }
}

pub(crate) async fn stored_passwords(world: &World) -> i64 {
    let job = world
        .store
        .read(|s| Box::pin(async move { s.count_sealed(SealedColumn::AccountSecrets).await }));
    let counts: Result<_, StoreError> = job.await;
    counts.unwrap().iter().map(|(_, number)| number).sum()
}

async fn an_account_opens_for_reading_and_sending_before_there_is_a_grant(world: &World) {
    connector(world, Imap, json!({})).await;
    world.mailboxes.open(HOST, ANN, PASSWORD);
    world.mailboxes.open(SMTP, "ann-out", "out-pass-1");
    let settings = json!({"imap_username": ANN, "imap_password": PASSWORD, "imap_host": HOST,
        "imap_port": 143, "smtp_host": "SMTP.mail.invalid", "smtp_username": "ann-out",
        "smtp_password": "out-pass-1", "type": "generic"});
    let grant = authenticate(world, Imap, settings).await.unwrap();
    let logins = [
        seen("imap", "imap.mail.invalid:143", ANN),
        seen("smtp", "smtp.mail.invalid:465", "ann-out"),
    ];
    assert_eq!(world.mailboxes.take_seen(), logins);
    assert_eq!((grant.email.as_str(), grant.provider), (ANN, Imap));
    assert_eq!(grant.credential_id, None);
    assert_eq!(grant.effective_status(), GrantStatus::Valid);
    assert_eq!(grant.state.as_deref(), Some("s"));
    assert_eq!(
        Value::Object(grant.settings),
        json!({"imap_username": ANN, "imap_host": HOST, "imap_port": 143, "smtp_host": SMTP,
            "smtp_port": 465, "smtp_username": "ann-out"})
    );
    assert_eq!(stored_passwords(world).await, 1);
}

async fn a_login_that_is_refused_leaves_no_grant_and_changes_none(world: &World) {
    let grant = ann(world).await;
    let before = world.snapshot().await;
    let refused = authenticate(world, Imap, of_ann("wrong-pass"))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidAuthentication);
    assert!(
        refused.message().contains("settings.imap_password"),
        "{refused}"
    );
    let said = refused.provider_error().unwrap();
    assert_eq!(said.error, "AUTHENTICATIONFAILED");
    // It opens for reading, and not for sending.
    let mut settings = of_ann(PASSWORD);
    settings["smtp_host"] = SMTP.into();
    let refused = authenticate(world, Imap, settings).await.unwrap_err();
    assert!(
        refused.message().contains("settings.smtp_password"),
        "{refused}"
    );
    let refused = patch(world, &grant, json!({"imap_password": "wrong-pass"})).await;
    assert!(refused.is_err());
    assert_eq!(world.snapshot().await, before);
    let again = authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
    assert_eq!(again.id, grant.id);
    assert_eq!(stored_passwords(world).await, 1);
}

async fn well_known_addresses_need_no_servers(world: &World) {
    connector(world, Imap, json!({})).await;
    connector(world, Icloud, json!({})).await;
    let (yahoo, icloud) = ("ann@yahoo.com", "ann@icloud.com");
    for (host, who) in [
        ("imap.mail.yahoo.com", yahoo),
        ("smtp.mail.yahoo.com", yahoo),
        ("imap.mail.me.com", icloud),
        ("smtp.mail.me.com", icloud),
    ] {
        world.mailboxes.open(host, who, "app-password-1");
    }
    let settings = json!({"imap_username": yahoo, "imap_password": "app-password-1"});
    let grant = authenticate(world, Imap, settings).await.unwrap();
    assert_eq!(grant.settings["smtp_host"], "smtp.mail.yahoo.com");
    let settings = json!({"username": icloud, "password": "app-password-1"});
    let grant = authenticate(world, Icloud, settings).await.unwrap();
    assert_eq!((grant.email.as_str(), grant.provider), (icloud, Icloud));
    assert_eq!(
        Value::Object(grant.settings),
        json!({"username": icloud, "imap_host": "imap.mail.me.com", "imap_port": 993,
            "smtp_host": "smtp.mail.me.com", "smtp_port": 587})
    );
    // The account's own password opens nothing there, and the words say so.
    let settings = json!({"username": icloud, "password": "own-password"});
    let refused = authenticate(world, Icloud, settings).await.unwrap_err();
    assert!(refused.message().contains("app password"), "{refused}");
    assert!(refused.message().contains("settings.password"), "{refused}");
    let settings = json!({"imap_username": "ann@outlook.com", "imap_password": "x-pass-word"});
    let refused = authenticate(world, Imap, settings).await.unwrap_err();
    assert!(
        refused.message().contains("microsoft connector"),
        "{refused}"
    );
}

const PUBLISHED: &str = r#"<clientConfig><emailProvider id="mail.invalid">
  <incomingServer type="imap"><hostname>imap.%EMAILDOMAIN%</hostname><port>993</port>
    <socketType>SSL</socketType></incomingServer>
  <outgoingServer type="smtp"><hostname>smtp.mail.invalid</hostname><port>587</port>
    <socketType>STARTTLS</socketType></outgoingServer>
</emailProvider></clientConfig>"#;

async fn a_domain_may_say_where_its_servers_are_and_else_they_must_be_named(world: &World) {
    connector(world, Imap, json!({})).await;
    let settings = || json!({"imap_username": ANN, "imap_password": PASSWORD});
    for host in ["autoconfig.mail.invalid", "mail.invalid"] {
        world.recorder.publish(host, "<html>no such page</html>");
    }
    let refused = authenticate(world, Imap, settings()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(
        refused.message().starts_with("settings.imap_host"),
        "{refused}"
    );
    assert!(world.mailboxes.take_seen().is_empty());
    world.recorder.publish("mail.invalid", PUBLISHED);
    world.mailboxes.open(HOST, ANN, PASSWORD);
    world.mailboxes.open(SMTP, ANN, PASSWORD);
    let grant = authenticate(world, Imap, settings()).await.unwrap();
    assert_eq!(grant.settings["imap_host"], HOST);
    assert_eq!(grant.settings["smtp_port"], 587);
}

async fn a_connector_may_name_the_servers_of_its_users(world: &World) {
    let settings = json!({"imap_host": HOST, "imap_port": 143, "smtp_host": SMTP});
    connector(world, Imap, settings).await;
    for host in [HOST, SMTP] {
        world.mailboxes.open(host, "ann", PASSWORD);
    }
    let nameless = json!({"imap_username": "ann", "imap_password": PASSWORD});
    let refused = authenticate(world, Imap, nameless.clone())
        .await
        .unwrap_err();
    assert!(refused.message().contains("settings.email"), "{refused}");
    let mut settings = nameless;
    settings["email"] = ANN.into();
    let grant = authenticate(world, Imap, settings).await.unwrap();
    assert_eq!(grant.email, ANN);
    let logins = [
        seen("imap", "imap.mail.invalid:143", "ann"),
        seen("smtp", "smtp.mail.invalid:465", "ann"),
    ];
    assert_eq!(world.mailboxes.take_seen(), logins);
    let patched = patch(world, &grant, json!({"imap_password": PASSWORD})).await;
    assert_eq!(patched.unwrap().email, ANN);
}

async fn what_is_wrong_is_named(world: &World) {
    connector(world, Imap, json!({})).await;
    let whole = of_ann(PASSWORD);
    let with = |name: &str, value: Value| {
        let mut settings = whole.clone();
        settings[name] = value;
        settings
    };
    for (settings, named) in [
        (json!({"imap_password": "x"}), "settings.imap_username"),
        (json!({"imap_username": ANN}), "settings.imap_password"),
        (
            with("imap_password", "a\r\nk9 LOGOUT".into()),
            "settings.imap_password",
        ),
        (
            with("imap_password", "x".repeat(2000).into()),
            "settings.imap_password",
        ),
        (
            with("imap_username", "ann\u{0}@x".into()),
            "settings.imap_username",
        ),
        (with("imap_host", "imaps://h".into()), "settings.imap_host"),
        (with("imap_port", 70_000.into()), "settings.imap_port"),
        (with("smtp_password", "x".into()), "settings.smtp_host"),
        (
            with("imap_host", "outlook.office365.com".into()),
            "settings.imap_username",
        ),
    ] {
        let refused = authenticate(world, Imap, settings).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
        assert!(refused.message().starts_with(named), "{named}: {refused}");
    }
    assert!(world.mailboxes.take_seen().is_empty());
    let refused = authenticate(world, Icloud, json!({"username": ANN, "password": "x"})).await;
    assert!(refused.unwrap_err().message().starts_with("provider"));
}

async fn a_server_that_is_not_there_is_told_from_one_that_refuses(world: &World) {
    connector(world, Imap, json!({})).await;
    let unreachable = |kind| MailFailure::Unreachable(CallError::new(kind, HOST));
    let words = ServerWords {
        code: Some("UNAVAILABLE".into()),
        text: "Try again".into(),
    };
    for (failure, kind, named) in [
        (
            unreachable(CallErrorKind::Dns),
            ErrorKind::InvalidRequest,
            "settings.imap_host",
        ),
        (
            unreachable(CallErrorKind::AddressRefused),
            ErrorKind::InvalidRequest,
            "settings.imap_host",
        ),
        (
            MailFailure::Port(25),
            ErrorKind::InvalidRequest,
            "settings.imap_port",
        ),
        (
            MailFailure::NoWay(NoWay::Encryption),
            ErrorKind::InvalidRequest,
            "settings.imap_port",
        ),
        (
            unreachable(CallErrorKind::Connect),
            ErrorKind::ProviderUnavailable,
            "The mail server",
        ),
        (
            unreachable(CallErrorKind::Tls),
            ErrorKind::ProviderUnavailable,
            "The mail server",
        ),
        (
            MailFailure::NotNow(words),
            ErrorKind::ProviderUnavailable,
            HOST,
        ),
    ] {
        world.mailboxes.fail(HOST, Some(failure));
        let refused = authenticate(world, Imap, of_ann(PASSWORD))
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.message().starts_with(named), "{named}: {refused}");
    }
    let all = GrantFilter::default();
    let grants = world.engine.grants(&world.app.caller, all, Page::default());
    assert!(grants.await.unwrap().is_empty());
}

async fn rule_12_the_application_may_move_an_address_to_another_server(world: &World) {
    let grant = ann(world).await;
    assert_eq!(
        grant.identity.as_deref(),
        Some("imap.mail.invalid|ann@mail.invalid")
    );
    let new = "new.mail.invalid";
    world.mailboxes.open(new, ANN, "new-pass-1");
    let settings = json!({"imap_username": "Ann@mail.invalid", "imap_password": "new-pass-1",
        "imap_host": new});
    world.mailboxes.open(new, "Ann@mail.invalid", "new-pass-1");
    let moved = authenticate(world, Imap, settings).await.unwrap();
    assert_eq!(moved.id, grant.id);
    assert_eq!(
        moved.identity.as_deref(),
        Some("new.mail.invalid|ann@mail.invalid")
    );
    assert_eq!(moved.settings["imap_host"], new);
    assert_eq!(stored_passwords(world).await, 1);
    // A change of the grant is not another person's account.
    let bob = "bob@mail.invalid";
    world.mailboxes.open(new, bob, "bobs-pass-1");
    let other = json!({"imap_username": bob, "imap_password": "bobs-pass-1", "email": bob});
    let refused = patch(world, &moved, other).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReauthEmailInvalid);
}

async fn a_change_of_a_grant_is_tried_and_needs_the_password(world: &World) {
    let grant = ann(world).await;
    let refused = patch(world, &grant, json!({"imap_host": "evil.invalid"})).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.message().starts_with("settings.imap_password"),
        "{refused}"
    );
    let _ = world.mailboxes.take_seen();
    world.mailboxes.open(HOST, ANN, "second-pass");
    let changed = patch(
        world,
        &grant,
        json!({"imap_password": "second-pass", "imap_port": 143}),
    );
    let changed = changed.await.unwrap();
    assert_eq!(
        (changed.id, &changed.settings["imap_port"]),
        (grant.id, &json!(143))
    );
    let logins = [seen("imap", "imap.mail.invalid:143", ANN)];
    assert_eq!(world.mailboxes.take_seen(), logins);
    // A label alone asks no server.
    let patch = GrantPatch {
        external_id: Some(Some("user-1".into())),
        ..GrantPatch::default()
    };
    let (caller, locator) = (&world.app.caller, GrantLocator::Id(grant.id));
    let labelled = world
        .engine
        .update_grant(caller, locator, patch)
        .await
        .unwrap();
    assert_eq!(labelled.external_id.as_deref(), Some("user-1"));
    assert!(world.mailboxes.take_seen().is_empty());
}

async fn a_mail_grant_has_no_api_and_no_token(world: &World) {
    let grant = ann(world).await;
    let (engine, app) = (&world.engine, &world.app);
    let locator = || GrantLocator::Id(grant.id);
    let words = "imap has no API that can be called on behalf of a grant";
    let call = engine.call_target(&app.principal(), locator(), None).await;
    assert_eq!(call.unwrap_err().message(), words);
    let change = ApplicationPatch {
        additional_settings: Some(AdditionalSettings {
            allow_provider_tokens: true,
            ..AdditionalSettings::default()
        }),
        ..ApplicationPatch::default()
    };
    engine
        .update_application(&app.caller, change)
        .await
        .unwrap();
    let token = engine.provider_token(&app.caller, locator()).await;
    let words = "imap accounts have no provider token";
    assert_eq!(token.unwrap_err().message(), words);
}

async fn rule_07_a_password_is_in_no_row_and_no_log_line_and_goes_with_its_grant(world: &World) {
    let _ = captured_logs();
    let grant = ann(world).await;
    let _ = authenticate(world, Imap, of_ann("wrong-pass")).await;
    let stored = world.stored_bytes().await;
    for secret in [PASSWORD, "wrong-pass"] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!is_in(&stored), "{secret} is stored");
        assert!(!is_in(captured_logs().as_bytes()), "{secret} is logged");
    }
    let locator = GrantLocator::Id(grant.id);
    world
        .engine
        .delete_grant(&world.app.caller, locator)
        .await
        .unwrap();
    assert_eq!(stored_passwords(world).await, 0);
}

on_both_databases!(
    an_account_opens_for_reading_and_sending_before_there_is_a_grant,
    a_login_that_is_refused_leaves_no_grant_and_changes_none,
    well_known_addresses_need_no_servers,
    a_domain_may_say_where_its_servers_are_and_else_they_must_be_named,
    a_connector_may_name_the_servers_of_its_users,
    what_is_wrong_is_named,
    a_server_that_is_not_there_is_told_from_one_that_refuses,
    rule_12_the_application_may_move_an_address_to_another_server,
    a_change_of_a_grant_is_tried_and_needs_the_password,
    a_mail_grant_has_no_api_and_no_token,
    rule_07_a_password_is_in_no_row_and_no_log_line_and_goes_with_its_grant,
);
