//! What a change of a mail grant shows to which server.

use crate::mail::{ANN, HOST, PASSWORD, authenticate, connector, patch, seen};
use keyway_core::grant::Grant;
use keyway_core::provider::Provider::Imap;
use keyway_testkit::{World, on_both_databases};
use serde_json::{Value, json};

const SMTP: &str = "smtp.mail.invalid";
const NEW: &str = "imap.new.invalid";
const SECOND: &str = "battery-staple-2";
const OUT: &str = "out-pass-1";

/// Ann's grant, of an account that sends by another server than it reads at.
async fn sending(world: &World, smtp: Value) -> Grant {
    connector(world, Imap, json!({})).await;
    world.mailboxes.open(HOST, ANN, PASSWORD);
    let mut settings = json!({"imap_username": ANN, "imap_password": PASSWORD, "imap_host": HOST,
        "imap_port": 143, "smtp_host": SMTP, "smtp_port": 587});
    let all = settings.as_object_mut().unwrap();
    all.extend(smtp.as_object().unwrap().clone());
    let grant = authenticate(world, Imap, settings).await.unwrap();
    let _ = world.mailboxes.take_seen();
    grant
}

async fn rule_07_a_new_password_is_shown_to_the_new_server_alone(world: &World) {
    world.mailboxes.open(SMTP, ANN, PASSWORD);
    let grant = sending(world, json!({})).await;
    world.mailboxes.open(NEW, ANN, SECOND);
    let change = json!({"imap_host": NEW, "imap_password": SECOND});
    let moved = patch(world, &grant, change).await.unwrap();
    let logins = [seen("imap", "imap.new.invalid:993", ANN)];
    assert_eq!(world.mailboxes.take_seen(), logins);
    assert_eq!(
        Value::Object(moved.settings),
        json!({"imap_username": ANN, "imap_host": NEW, "imap_port": 993})
    );
}

async fn another_server_for_sending_has_its_own_port(world: &World) {
    for host in [SMTP, NEW] {
        world.mailboxes.open(host, ANN, PASSWORD);
    }
    let grant = sending(world, json!({})).await;
    let change =
        json!({"smtp_host": NEW, "imap_host": "IMAP.mail.invalid", "imap_password": PASSWORD});
    patch(world, &grant, change).await.unwrap();
    let logins = [
        seen("imap", "imap.mail.invalid:143", ANN),
        seen("smtp", "imap.new.invalid:465", ANN),
    ];
    assert_eq!(world.mailboxes.take_seen(), logins);
}

async fn a_password_for_sending_stays_with_its_server_and_user(world: &World) {
    world.mailboxes.open(SMTP, "ann-out", OUT);
    let own = json!({"smtp_username": "ann-out", "smtp_password": OUT});
    let grant = sending(world, own).await;
    world.mailboxes.open(HOST, ANN, SECOND);
    // Twice, since the first change stores it anew.
    for _ in 0..2 {
        let change = json!({"imap_password": SECOND, "smtp_port": 465});
        patch(world, &grant, change).await.unwrap();
        let logins = [
            seen("imap", "imap.mail.invalid:143", ANN),
            seen("smtp", "smtp.mail.invalid:465", "ann-out"),
        ];
        assert_eq!(world.mailboxes.take_seen(), logins);
    }
}

async fn rule_07_a_password_for_sending_is_replaced_by_no_other_unasked(world: &World) {
    world.mailboxes.open(SMTP, "ann-out", OUT);
    let own = json!({"smtp_username": "ann-out", "smtp_password": OUT});
    let grant = sending(world, own).await;
    let before = world.snapshot().await;
    for elsewhere in [
        json!({"smtp_host": NEW, "imap_password": PASSWORD}),
        json!({"smtp_username": "other", "imap_password": PASSWORD}),
        json!({"imap_host": NEW, "smtp_host": SMTP, "imap_password": PASSWORD}),
    ] {
        let refused = patch(world, &grant, elsewhere.clone()).await.unwrap_err();
        let names_it = refused.message().starts_with("settings.smtp_password");
        assert!(names_it, "{elsewhere}: {refused}");
    }
    assert!(world.mailboxes.take_seen().is_empty());
    assert_eq!(world.snapshot().await, before);
    // Asked for, the account's own password does it.
    world.mailboxes.open(NEW, "ann-out", PASSWORD);
    let change = json!({"smtp_host": NEW, "smtp_password": null, "imap_password": PASSWORD});
    let changed = patch(world, &grant, change).await.unwrap();
    assert_eq!(changed.settings["smtp_host"], NEW);
}

on_both_databases!(
    rule_07_a_new_password_is_shown_to_the_new_server_alone,
    another_server_for_sending_has_its_own_port,
    a_password_for_sending_stays_with_its_server_and_user,
    rule_07_a_password_for_sending_is_replaced_by_no_other_unasked,
);
