//! Hosted sign-ins of accounts that a password opens: the form, what is typed into it, and what comes of it.

use crate::ews::server;
use crate::mail::{ANN, HOST, PASSWORD, authenticate, connector, of_ann};
use keyway_core::provider::Provider::{Ews, Google, Icloud, Imap, VirtualCalendar, Zoom};
use keyway_engine::Engine;
use keyway_engine::sign_in::{
    AccountForm, Browser, Cookie, Entered, SignInFault, TroubleKind, TypedAccount,
};
use keyway_outbound::{CallError, CallErrorKind, MailFailure};
use keyway_testkit::{
    ALICE, Ended, ExchangeMood, PROD, SignIn, World, captured_logs, object, on_both_databases,
    returned,
};
use serde_json::{Value, json};

/// A form in Ann's browser.
struct Shown {
    form: AccountForm,
    cookie: Cookie,
}

async fn shown(world: &World, sign_in: &SignIn) -> Shown {
    match world.app.start(sign_in).await {
        Err(Ended::Form(form, cookie)) => Shown {
            form: *form,
            cookie,
        },
        other => panic!("no form: {other:?}"),
    }
}

impl Shown {
    async fn entered_at(&self, engine: &Engine, settings: Value, ip: &str) -> Entered {
        let typed = TypedAccount {
            state: Some(self.form.state.clone()),
            settings: object(settings),
        };
        let cookies = vec![(self.cookie.name.clone(), self.cookie.value.clone())];
        let browser = Browser {
            ip: Some(ip.to_owned()),
            user_agent: None,
        };
        engine.enter_account(typed, cookies, browser).await
    }

    async fn entered(&self, world: &World, settings: Value) -> Entered {
        self.entered_at(&world.engine, settings, "192.0.2.1").await
    }

    /// The code this brings.
    async fn code(&self, world: &World, settings: Value) -> String {
        code_of(&self.entered(world, settings).await)
    }

    /// What is wrong with this.
    async fn trouble(&self, world: &World, settings: Value) -> (TroubleKind, Option<String>) {
        match self.entered(world, settings).await {
            Entered::Again(form) => {
                assert!(form.values.keys().all(|name| !name.contains("password")));
                let trouble = form.trouble.unwrap();
                (trouble.kind, trouble.field)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn code_of(entered: &Entered) -> String {
    match entered {
        Entered::Left { way, .. } if way.is_connected => {
            returned(&way.location).remove("code").unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// What the application is told.
fn error_of(entered: &Entered) -> String {
    match entered {
        Entered::Left { way, .. } if !way.is_connected => {
            let told = returned(&way.location);
            format!("{} {}", told["error"], told["error_description"])
        }
        other => panic!("{other:?}"),
    }
}

fn fault_of(entered: &Entered) -> SignInFault {
    match entered {
        Entered::Page(fault) => *fault,
        other => panic!("{other:?}"),
    }
}

/// What Ann types.
fn typed(password: &str) -> Value {
    json!({"email": ANN, "imap_password": password, "imap_host": HOST})
}

fn imap() -> SignIn {
    SignIn::of(ANN).at(Imap).state("mine")
}

async fn mail_world(world: &World) {
    connector(world, Imap, json!({})).await;
    world.mailboxes.open(HOST, ANN, PASSWORD);
}

async fn a_mail_account_is_connected_by_its_form_and_counts_from_the_exchange(world: &World) {
    mail_world(world).await;
    let sign_in = imap().offline().external_id("ann-1");
    let shown = shown(world, &sign_in).await;
    assert_eq!(shown.form.provider, Imap);
    assert!(shown.form.cancel.contains("error=access_denied"));
    let code = shown.code(world, typed(PASSWORD)).await;
    assert!(world.app.grants().await.is_empty());
    let answer = world.app.exchange(&sign_in, &code).await.unwrap();
    assert!(answer.refresh_token.is_some());
    let grant = world.app.grant(answer.grant_id).await;
    assert_eq!((grant.email.as_str(), grant.credential_id), (ANN, None));
    assert_eq!(grant.state.as_deref(), Some("mine"));
    assert_eq!(grant.external_id.as_deref(), Some("ann-1"));
    assert_eq!(
        Value::Object(grant.settings),
        json!({"imap_username": ANN, "imap_host": HOST, "imap_port": 993})
    );
    // The same account, known to the API as well.
    let again = authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
    assert_eq!(again.id, answer.grant_id);
}

async fn a_mistyped_password_can_be_typed_again(world: &World) {
    mail_world(world).await;
    let sign_in = imap();
    let shown = shown(world, &sign_in).await;
    let refused = shown.trouble(world, typed("wrong-pass")).await;
    assert_eq!(
        refused,
        (TroubleKind::Refused, Some("imap_password".into()))
    );
    let code = shown.code(world, typed(PASSWORD)).await;
    world.app.exchange(&sign_in, &code).await.unwrap();
}

async fn what_is_wrong_is_told_to_the_person_by_field(world: &World) {
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    for (settings, kind, field) in [
        (json!({}), TroubleKind::Missing, "email"),
        (
            json!({"email": "ann"}),
            TroubleKind::Missing,
            "imap_password",
        ),
        (
            json!({"email": "ann", "imap_password": "x"}),
            TroubleKind::Wrong,
            "email",
        ),
        (
            json!({"email": "a@nowhere.invalid", "imap_password": "x"}),
            TroubleKind::ServersUnknown,
            "imap_host",
        ),
        (
            json!({"email": "a@outlook.com", "imap_password": "x"}),
            TroubleKind::NoPasswords,
            "email",
        ),
        (
            json!({"email": ANN, "imap_password": "x", "imap_host": "a b"}),
            TroubleKind::Wrong,
            "imap_host",
        ),
        (
            json!({"email": ANN, "imap_password": "x", "imap_host": HOST, "imap_port": "x"}),
            TroubleKind::Wrong,
            "imap_port",
        ),
        (
            json!({"email": ANN, "imap_password": "x", "imap_host": HOST, "smtp_port": "587"}),
            TroubleKind::SmtpNeeded,
            "smtp_host",
        ),
    ] {
        let told = shown.trouble(world, settings.clone()).await;
        assert_eq!(told, (kind, Some(field.to_owned())), "{settings}");
    }
    let failures = [
        (CallErrorKind::Dns, TroubleKind::UnknownHost, "imap_host"),
        (
            CallErrorKind::AddressRefused,
            TroubleKind::UnknownHost,
            "imap_host",
        ),
        (CallErrorKind::Tls, TroubleKind::Certificate, "imap_host"),
        (
            CallErrorKind::Timeout,
            TroubleKind::Unreachable,
            "imap_host",
        ),
        (
            CallErrorKind::Protocol,
            TroubleKind::OtherServer,
            "imap_port",
        ),
    ];
    for (cause, kind, field) in failures {
        let failure = MailFailure::Unreachable(CallError::new(cause, "on purpose"));
        world.mailboxes.fail(HOST, Some(failure));
        let told = shown.trouble(world, typed(PASSWORD)).await;
        assert_eq!(told, (kind, Some(field.to_owned())));
    }
}

async fn sending_is_asked_for_where_the_application_needs_it(world: &World) {
    mail_world(world).await;
    for options in [Some("smtp_required"), None] {
        let mut sign_in = imap();
        sign_in.query.options = options.map(str::to_owned);
        sign_in.query.smtp_required = options.is_none().then(|| "True".to_owned());
        let shown = shown(world, &sign_in).await;
        assert!(shown.form.smtp_required);
        let told = shown.trouble(world, typed(PASSWORD)).await;
        assert_eq!(told, (TroubleKind::SmtpNeeded, Some("smtp_host".into())));
        let mut settings = typed(PASSWORD);
        settings["smtp_host"] = HOST.into();
        let code = shown.code(world, settings).await;
        world.app.exchange(&sign_in, &code).await.unwrap();
    }
}

async fn an_icloud_account_has_a_form_of_its_own(world: &World) {
    connector(world, Icloud, json!({})).await;
    for host in ["imap.mail.me.com", "smtp.mail.me.com"] {
        world.mailboxes.open(host, "ann@icloud.com", "abcd-efgh");
    }
    let sign_in = SignIn::of(ANN).at(Icloud).hint("ann@icloud.com");
    let shown = shown(world, &sign_in).await;
    assert_eq!(
        Value::Object(shown.form.values.clone()),
        json!({"username": "ann@icloud.com"})
    );
    let refused = json!({"username": "ann@icloud.com", "password": "own"});
    let told = shown.trouble(world, refused).await;
    assert_eq!(told, (TroubleKind::AppPassword, Some("password".into())));
    let right = json!({"username": "ann@icloud.com", "password": "abcd-efgh"});
    let code = shown.code(world, right).await;
    let answer = world.app.exchange(&sign_in, &code).await.unwrap();
    assert_eq!(answer.email, "ann@icloud.com");
}

async fn an_exchange_mailbox_has_a_form_of_its_own(world: &World) {
    connector(world, Ews, json!({})).await;
    let server = server(world, "mail.corp.test");
    let sign_in = SignIn::of(ANN).at(Ews).scope("ews.messages");
    let shown = shown(world, &sign_in).await;
    let typed = |password: &str| json!({"email": "ann@corp.test", "ews_password": password, "ews_host": "mail.corp.test"});
    let told = shown.trouble(world, typed("wrong-pass")).await;
    assert_eq!(told, (TroubleKind::Refused, Some("ews_password".into())));
    for (mood, kind, field) in [
        (ExchangeMood::Status(503), TroubleKind::NotNow, None),
        (ExchangeMood::WindowsOnly, TroubleKind::NoBasic, None),
        (
            ExchangeMood::Open,
            TroubleKind::OtherServer,
            Some("ews_host".to_owned()),
        ),
        (
            ExchangeMood::Silent,
            TroubleKind::OtherServer,
            Some("ews_host".to_owned()),
        ),
        (
            ExchangeMood::Says(403, String::new()),
            TroubleKind::NotAllowed,
            None,
        ),
    ] {
        server.behave(mood);
        let told = shown.trouble(world, typed("correct-horse-2")).await;
        assert_eq!(told, (kind, field));
    }
    server.behave(ExchangeMood::Serves);
    let told = shown
        .trouble(world, json!({"email": "ann@corp.test"}))
        .await;
    assert_eq!(told, (TroubleKind::Missing, Some("ews_password".into())));
    let code = shown.code(world, typed("correct-horse-2")).await;
    let answer = world.app.exchange(&sign_in, &code).await.unwrap();
    let grant = world.app.grant(answer.grant_id).await;
    assert_eq!(
        (grant.provider, grant.scope.to_string()),
        (Ews, "ews.messages".into())
    );
    assert_eq!(grant.settings["ews_host"], "mail.corp.test");
    let odd = world
        .app
        .start(&SignIn::of(ANN).at(Ews).scope("mail.everything"))
        .await;
    assert_eq!(odd.unwrap_err().returned("error"), "invalid_scope");
}

async fn rule_12_another_host_for_an_address_that_has_a_grant_is_refused(world: &World) {
    mail_world(world).await;
    let grant = authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
    let before = world.snapshot().await;
    // Whoever picks the server decides what it lets in.
    world.mailboxes.open("imap.evil.invalid", ANN, "anything");
    let shown = shown(world, &imap()).await;
    let evil = json!({"email": ANN, "imap_password": "anything", "imap_host": "imap.evil.invalid"});
    // Nor does he learn that there is a grant: the application hears of it, and nobody else.
    let code = shown.code(world, evil).await;
    let refused = world.app.exchange(&imap(), &code).await.unwrap_err();
    assert!(
        refused.description.contains("already connected"),
        "{refused}"
    );
    assert_eq!(world.app.grant(grant.id).await, grant);
    assert_eq!(world.snapshot().await, before);
    let again = shown_again(world).await;
    let code = again.code(world, typed(PASSWORD)).await;
    let answer = world.app.exchange(&imap(), &code).await.unwrap();
    assert_eq!(answer.grant_id, grant.id);
}

async fn shown_again(world: &World) -> Shown {
    shown(world, &imap()).await
}

async fn rule_12_a_hint_that_names_a_grant_is_answered_by_its_account_or_refused(world: &World) {
    mail_world(world).await;
    authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
    world.mailboxes.open(HOST, "bob@mail.invalid", "bob-pass");
    let shown = shown(world, &imap().hint(ANN)).await;
    let bob = json!({"email": "bob@mail.invalid", "imap_password": "bob-pass", "imap_host": HOST});
    let code = shown.code(world, bob).await;
    assert!(world.app.exchange(&imap(), &code).await.is_err());
    assert_eq!(world.app.grants().await.len(), 1);
}

async fn rule_12_where_the_connector_names_the_server_a_person_names_none(world: &World) {
    connector(world, Imap, json!({"imap_host": HOST})).await;
    world.mailboxes.open(HOST, ANN, PASSWORD);
    world.mailboxes.open("imap.evil.invalid", ANN, "anything");
    let sign_in = imap();
    let first = shown(world, &sign_in).await;
    assert!(first.form.servers_are_given);
    let evil = json!({"email": ANN, "imap_password": "anything", "imap_host": "imap.evil.invalid"});
    let told = first.trouble(world, evil).await;
    assert_eq!(told.0, TroubleKind::Refused);
    let code = first
        .code(world, json!({"email": ANN, "imap_password": PASSWORD}))
        .await;
    world.app.exchange(&sign_in, &code).await.unwrap();
    // Somebody whose own server is not in doubt hears at once that it is the wrong account.
    world.mailboxes.open(HOST, "bob@mail.invalid", "bob-pass");
    let hinted = shown(world, &imap().hint(ANN)).await;
    let bob = json!({"email": "bob@mail.invalid", "imap_password": "bob-pass"});
    let entered = hinted.entered(world, bob).await;
    assert!(error_of(&entered).contains("grant.reauth_email_invalid"));
}

async fn rule_12_a_form_gives_no_grant_another_address(world: &World) {
    mail_world(world).await;
    world.mailboxes.open(HOST, "ann", PASSWORD);
    let typed = |email: &str| json!({"email": email, "imap_username": "ann", "imap_password": PASSWORD, "imap_host": HOST});
    let connect = async |email: &str| {
        let shown = shown(world, &imap()).await;
        let code = shown.code(world, typed(email)).await;
        world.app.exchange(&imap(), &code).await.unwrap()
    };
    let first = connect("ann@mail.invalid").await;
    let again = connect("ceo@mail.invalid").await;
    assert_eq!(
        (again.grant_id, again.email.as_str()),
        (first.grant_id, "ann@mail.invalid")
    );
}

async fn rule_12_forms_sent_before_there_is_a_grant_agree_on_its_address(world: &World) {
    mail_world(world).await;
    world.mailboxes.open(HOST, "ann", PASSWORD);
    let typed = |email: &str| json!({"email": email, "imap_username": "ann", "imap_password": PASSWORD, "imap_host": HOST});
    let code = async |email: &str| {
        let shown = shown(world, &imap()).await;
        shown.code(world, typed(email)).await
    };
    let codes = [
        code("ann@mail.invalid").await,
        code("ceo@mail.invalid").await,
    ];
    let mut grants = Vec::new();
    for code in &codes {
        grants.push(world.app.exchange(&imap(), code).await.unwrap());
    }
    assert_eq!(grants[0].grant_id, grants[1].grant_id);
    assert_eq!(grants[1].email, "ann@mail.invalid");
}

async fn a_connector_deleted_meanwhile_is_told_to_the_application(world: &World) {
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    let app = &world.app;
    app.engine()
        .delete_connector(&app.caller, Imap)
        .await
        .unwrap();
    let entered = shown.entered(world, typed(PASSWORD)).await;
    let told = error_of(&entered);
    assert!(told.starts_with("access_denied "), "{told}");
}

async fn what_is_too_long_is_named_and_tried_nowhere(world: &World) {
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    let mut settings = typed(PASSWORD);
    settings["imap_username"] = "bob@mail.invalid".into();
    settings["email"] = "x".repeat(1025).into();
    for _ in 0..40 {
        let told = shown.trouble(world, settings.clone()).await;
        assert_eq!(told, (TroubleKind::Wrong, Some("email".to_owned())));
    }
    assert_eq!(world.mailboxes.take_seen(), []);
}

async fn forms_sent_without_waiting_do_not_pile_up(world: &World) {
    mail_world(world).await;
    world.mailboxes.silence(HOST);
    let shown = shown(world, &imap()).await;
    let waiting = || Box::pin(shown.trouble(world, typed(PASSWORD)));
    let told = futures_util::future::select_all((0..4).map(|_| waiting()))
        .await
        .0;
    assert_eq!(told, (TroubleKind::Busy, None));
    assert_eq!(world.mailboxes.take_seen().len(), 1);
    world.mailboxes.speak(HOST);
}

async fn strangers_name_no_odd_ports(world: &World) {
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    for (field, port) in [
        ("imap_port", json!("22")),
        ("imap_port", json!(8080)),
        ("smtp_port", json!("25")),
    ] {
        let mut settings = typed(PASSWORD);
        settings[field] = port;
        let told = shown.trouble(world, settings).await;
        assert_eq!(told, (TroubleKind::WrongPort, Some(field.to_owned())));
    }
    assert!(world.mailboxes.take_seen().is_empty());
}

async fn rule_04_a_form_that_is_not_exchanged_changes_nothing(world: &World) {
    mail_world(world).await;
    let grant = authenticate(world, Imap, of_ann(PASSWORD)).await.unwrap();
    world.mailboxes.open(HOST, ANN, "newer-pass");
    let shown = shown(world, &imap()).await;
    shown.code(world, typed("newer-pass")).await;
    assert_eq!(world.app.grant(grant.id).await, grant);
}

async fn rule_09_a_form_works_once_and_a_double_click_ends_where_the_first_did(world: &World) {
    mail_world(world).await;
    let sign_in = imap();
    let shown = shown(world, &sign_in).await;
    let (one, other) = tokio::join!(
        shown.entered(world, typed(PASSWORD)),
        shown.entered(world, typed(PASSWORD)),
    );
    let code = code_of(&one);
    assert_eq!(code, code_of(&other));
    // Of another server the second is told that it was finished.
    let second = world.second_engine().await;
    let elsewhere = shown.entered_at(&second, typed(PASSWORD), "192.0.2.1");
    assert_eq!(fault_of(&elsewhere.await), SignInFault::Used);
    world.app.exchange(&sign_in, &code).await.unwrap();
    assert_eq!(world.app.grants().await.len(), 1);
    // Once the code is exchanged it is told to nobody: another exchange would end what the first gave.
    let again = shown.entered(world, typed(PASSWORD)).await;
    assert_eq!(fault_of(&again), SignInFault::Used);
    world.pass_secs(60);
    let late = shown.entered(world, typed(PASSWORD)).await;
    assert_eq!(fault_of(&late), SignInFault::Used);
}

async fn rule_14_a_form_is_its_browsers_own_and_ends_after_half_an_hour(world: &World) {
    mail_world(world).await;
    let (mine, other) = (shown(world, &imap()).await, shown(world, &imap()).await);
    let stolen = Shown {
        form: mine.form.clone(),
        cookie: other.cookie.clone(),
    };
    let entered = stolen.entered(world, typed(PASSWORD)).await;
    assert_eq!(fault_of(&entered), SignInFault::OtherBrowser);
    let nothing = TypedAccount::default();
    let entered = world
        .engine
        .enter_account(nothing, Vec::new(), Browser::default());
    assert_eq!(fault_of(&entered.await), SignInFault::NoState);
    // Two tabs: each has its own.
    mine.code(world, typed(PASSWORD)).await;
    other.code(world, typed(PASSWORD)).await;
    let late = shown(world, &imap()).await;
    world.pass_secs(30 * 60);
    let entered = late.entered(world, typed(PASSWORD)).await;
    assert_eq!(fault_of(&entered), SignInFault::Expired);
}

async fn a_restart_in_the_middle_loses_no_form(world: &World) {
    mail_world(world).await;
    let sign_in = imap();
    let shown = shown(world, &sign_in).await;
    // A process that has never heard of it.
    let restarted = world.second_engine().await;
    let entered = shown
        .entered_at(&restarted, typed(PASSWORD), "192.0.2.1")
        .await;
    let code = code_of(&entered);
    world.app.exchange(&sign_in, &code).await.unwrap();
}

async fn passwords_are_not_guessed_for_long(world: &World) {
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    for n in 0..10 {
        let ip = format!("192.0.2.{n}");
        let entered = shown
            .entered_at(&world.engine, typed("wrong-pass"), &ip)
            .await;
        assert!(matches!(entered, Entered::Again(_)));
    }
    let _ = world.mailboxes.take_seen();
    let told = shown.trouble(world, typed(PASSWORD)).await;
    assert_eq!(told.0, TroubleKind::TooMany);
    assert!(world.mailboxes.take_seen().is_empty());
    // Nor under another address, for the name at the server counts.
    let hidden = json!({"email": "x@mail.invalid", "imap_username": ANN, "imap_password": PASSWORD, "imap_host": HOST});
    assert_eq!(shown.trouble(world, hidden).await.0, TroubleKind::TooMany);
    world.pass_secs(15 * 60);
    shown.code(world, typed(PASSWORD)).await;
}

async fn a_providers_sign_in_is_no_form_and_a_form_no_callback(world: &World) {
    let app = &world.app;
    app.connector(Google, PROD).await;
    mail_world(world).await;
    let at = app.start(&SignIn::of(ALICE).at(Google)).await.unwrap();
    let theirs = Shown {
        form: shown(world, &imap()).await.form,
        cookie: at.cookie.clone(),
    };
    let state = at.asked("state");
    let theirs = Shown {
        form: AccountForm {
            state: state.into(),
            ..theirs.form
        },
        ..theirs
    };
    let entered = theirs.entered(world, typed(PASSWORD)).await;
    assert_eq!(fault_of(&entered), SignInFault::NoState);
    assert!(world.mailboxes.take_seen().is_empty());
}

async fn the_way_to_the_form_follows_the_address(world: &World) {
    let app = &world.app;
    app.connector(Google, PROD).await;
    connector(world, Imap, json!({})).await;
    connector(world, VirtualCalendar, json!({})).await;
    // Neither a client of its own nor a shared app: nobody could sign in there.
    connector(world, Zoom, json!({})).await;
    let offered = world.engine.hosted_providers(app.id).await.unwrap();
    assert_eq!(offered, [Google, Imap]);
    let start = async |sign_in: &SignIn| app.start(sign_in).await;
    // Nothing is known: the person chooses, and is not offered what has no page.
    let asked = start(&SignIn::of(ALICE)).await;
    assert!(matches!(asked, Err(Ended::Choose(of)) if of == [Google, Imap]));
    // The application names the address: straight to its provider.
    let at = start(&SignIn::of(ALICE).hint("x@gmail.com")).await.unwrap();
    assert_eq!(at.asked("login_hint"), "x@gmail.com");
    let at_gmx = start(&SignIn::of(ALICE).hint("x@gmx.de")).await;
    assert!(matches!(at_gmx, Err(Ended::Form(form, _)) if form.provider == Imap));
    let unknown = start(&SignIn::of(ALICE).hint("x@unheard-of.invalid")).await;
    assert!(matches!(unknown, Err(Ended::Choose(_))));
    // The person types it where the application asked for the page.
    let mut detect = SignIn::of(ALICE).hint("old@gmail.com");
    detect.query.prompt = Some("detect".to_owned());
    assert!(matches!(start(&detect).await, Err(Ended::Choose(_))));
    detect.query.email = Some("x@gmx.de".to_owned());
    let at_gmx = start(&detect).await;
    assert!(matches!(at_gmx, Err(Ended::Form(form, _)) if form.values["email"] == "x@gmx.de"));
    detect.query.email = Some("no address".to_owned());
    assert!(matches!(start(&detect).await, Err(Ended::Choose(_))));
    let calendar = start(&SignIn::of(ALICE).at(VirtualCalendar))
        .await
        .unwrap_err();
    assert!(
        calendar
            .returned("error_description")
            .contains("no hosted sign-in")
    );
}

async fn rule_07_what_is_typed_is_stored_sealed_and_logged_nowhere(world: &World) {
    let _ = captured_logs();
    mail_world(world).await;
    let shown = shown(world, &imap()).await;
    shown.trouble(world, typed("wrong-pass")).await;
    shown.code(world, typed(PASSWORD)).await;
    let stored = world.stored_bytes().await;
    for secret in [PASSWORD, "wrong-pass"] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
        assert!(!is_in(&stored), "{secret} is stored");
        assert!(!is_in(captured_logs().as_bytes()), "{secret} is logged");
    }
}

async fn a_connector_deleted_meanwhile_ends_the_form_in_words(world: &World) {
    mail_world(world).await;
    let sign_in = imap();
    let shown = shown(world, &sign_in).await;
    let code = shown.code(world, typed(PASSWORD)).await;
    let caller = &world.app.caller;
    world.engine.delete_connector(caller, Imap).await.unwrap();
    let refused = world.app.exchange(&sign_in, &code).await.unwrap_err();
    assert!(
        refused
            .description
            .contains("connector of this sign-in was deleted"),
        "{refused}"
    );
}

on_both_databases!(
    a_mail_account_is_connected_by_its_form_and_counts_from_the_exchange,
    a_mistyped_password_can_be_typed_again,
    what_is_wrong_is_told_to_the_person_by_field,
    sending_is_asked_for_where_the_application_needs_it,
    an_icloud_account_has_a_form_of_its_own,
    an_exchange_mailbox_has_a_form_of_its_own,
    rule_12_another_host_for_an_address_that_has_a_grant_is_refused,
    rule_12_a_hint_that_names_a_grant_is_answered_by_its_account_or_refused,
    rule_12_where_the_connector_names_the_server_a_person_names_none,
    rule_12_a_form_gives_no_grant_another_address,
    rule_12_forms_sent_before_there_is_a_grant_agree_on_its_address,
    a_connector_deleted_meanwhile_is_told_to_the_application,
    what_is_too_long_is_named_and_tried_nowhere,
    forms_sent_without_waiting_do_not_pile_up,
    strangers_name_no_odd_ports,
    rule_04_a_form_that_is_not_exchanged_changes_nothing,
    rule_09_a_form_works_once_and_a_double_click_ends_where_the_first_did,
    rule_14_a_form_is_its_browsers_own_and_ends_after_half_an_hour,
    a_restart_in_the_middle_loses_no_form,
    passwords_are_not_guessed_for_long,
    a_providers_sign_in_is_no_form_and_a_form_no_callback,
    the_way_to_the_form_follows_the_address,
    rule_07_what_is_typed_is_stored_sealed_and_logged_nowhere,
    a_connector_deleted_meanwhile_ends_the_form_in_words,
);
