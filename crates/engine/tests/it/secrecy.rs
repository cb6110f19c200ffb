//! Rule 7: no secret is stored openly, shown, or logged.

use keyway_core::grant::GrantLocator;
use keyway_core::page::Page;
use keyway_core::provider::Provider::Google;
use keyway_core::service_account::Permission;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::grants::GrantPatch;
use keyway_engine::service_accounts::NewServiceAccount;
use keyway_engine::sign_in::Start;
use keyway_sandbox::{BodyKind, Fault, Faults, Lie};
use keyway_testkit::{
    ALICE, BOB, DEV, STAGING, SignIn, World, captured_logs, object, on_both_databases, returned,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::fmt::{Debug, Display, Write as _};

/// What must not be found, and everything it must not be found in.
#[derive(Default)]
struct Search {
    secrets: Vec<String>,
    shown: String,
}

impl Search {
    fn hide(&mut self, secret: impl Into<String>) {
        self.secrets.push(secret.into());
    }

    fn show(&mut self, what: &dyn Debug) {
        writeln!(self.shown, "{what:?}").unwrap();
    }

    fn say(&mut self, what: &(impl Debug + Display)) {
        writeln!(self.shown, "{what} {what:?}").unwrap();
    }

    /// Not in the texts, and not in the bytes, whatever the spelling.
    fn assert_nothing_in(&self, place: &str, bytes: &[u8]) {
        for secret in &self.secrets {
            assert!(secret.len() >= 8, "too short to look for: {secret}");
            for needle in [
                secret.clone(),
                hex(secret.as_bytes()),
                base64(secret.as_bytes()),
            ] {
                let found = bytes
                    .windows(needle.len())
                    .any(|window| window == needle.as_bytes());
                assert!(!found, "{place} holds {needle} ({secret})");
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

async fn managing(world: &World, search: &mut Search) {
    let (engine, app) = (&world.engine, &world.app);
    search.hide(app.api_key());
    search.hide(world.master_key());
    let (row, secret) = engine.create_key(app.id, "second", None).await.unwrap();
    search.hide(secret.expose_secret());
    search.show(&(row, secret, engine.keys(app.id).await.unwrap()));
    let account = NewServiceAccount {
        name: "rotator".into(),
        applications: vec![app.id],
        permissions: Permission::ALL.to_vec(),
    };
    let account = engine.create_service_account(account).await.unwrap();
    let pem = account.private_key.expose_secret();
    // Its last lines are of the private half alone.
    for line in pem.lines().rev().skip(2).take(8) {
        search.hide(line);
    }
    search.show(&(&account, engine.service_accounts().await.unwrap()));
    search.show(&app.connector(Google, DEV).await);
    let new = app.new_credential("staging", STAGING);
    search.show(&new);
    let staging = engine
        .create_credential(&app.caller, Google, new)
        .await
        .unwrap();
    let renewed = CredentialPatch {
        data: Some(object(json!({
            "client_id": STAGING, "client_secret": format!("{STAGING}-secret"), "note": "a-private-note",
        }))),
        ..CredentialPatch::default()
    };
    search.hide("a-private-note");
    search.show(&renewed);
    search.show(
        &engine
            .update_credential(&app.caller, Google, staging.id, renewed)
            .await
            .unwrap(),
    );
    for client in [DEV, STAGING] {
        search.hide(format!("{client}-secret"));
    }
    search.show(
        &engine
            .credentials(&app.caller, Google, Page::default())
            .await
            .unwrap(),
    );
    let health = engine
        .credential_health(&app.caller, Google, staging.id)
        .await;
    search.show(&health.unwrap());
}

async fn signing_in(world: &World, search: &mut Search) {
    let (engine, app) = (&world.engine, &world.app);
    let sign_in = SignIn::of(ALICE)
        .pkce(
            "a-plain-verifier-of-the-application",
            "plain",
            "a-plain-verifier-of-the-application",
        )
        .rotating();
    let params = sign_in.authorize_params(app);
    let start = engine
        .start_sign_in(params, sign_in.browser.clone())
        .await
        .unwrap();
    search.show(&start);
    let Start::Provider { location, cookie } = start else {
        panic!("not sent to the provider")
    };
    let at = keyway_testkit::AtProvider { location, cookie };
    search.hide(at.asked("state"));
    search.hide(at.cookie.value.clone());
    let back = app.at_provider(&at, &sign_in);
    search.hide(back.code.clone().unwrap());
    search.show(&back);
    let finish = app.finish(&at, back.clone()).await;
    search.show(&finish);
    search.show(&app.finish(&at, back).await);
    let keyway_engine::sign_in::Finish::Application { location, .. } = finish else {
        panic!("a page")
    };
    let code = returned(&location).remove("code").unwrap();
    search.hide(code.clone());
    let exchange = app.exchange_params(&sign_in, &code);
    search.show(&exchange);
    let answer = engine.token(exchange.clone()).await.unwrap();
    search.hide(answer.access_token.expose_secret());
    let refresh = answer
        .refresh_token
        .as_ref()
        .unwrap()
        .expose_secret()
        .to_owned();
    search.hide(refresh.clone());
    search.show(&answer);
    let next = app.refresh(&refresh).await.unwrap();
    search.hide(next.access_token.expose_secret());
    search.hide(next.refresh_token.as_ref().unwrap().expose_secret());
    search.show(&next);
    search.say(&app.refresh(&refresh).await.unwrap_err());
    search.say(&engine.token(exchange).await.unwrap_err());
    search.say(&engine.revoke(Some(&code)).await.unwrap_err());
}

async fn bringing_and_failing(world: &World, search: &mut Search) {
    let (engine, app) = (&world.engine, &world.app);
    let brought = app.minted(DEV, BOB);
    search.hide(brought.clone());
    let grant = app.bring(Google, None, &brought).await.unwrap();
    let patch = GrantPatch {
        settings: Some(object(json!({"refresh_token": brought}))),
        ..GrantPatch::default()
    };
    search.show(&patch);
    let locator = || GrantLocator::Id(grant.id);
    search.show(
        &engine
            .update_grant(&app.caller, locator(), patch)
            .await
            .unwrap(),
    );
    for fault in [
        Fault::status(502),
        Fault::error("invalid_grant", "Bad Request"),
        Fault::error("unauthorized_client", "no"),
        Fault::lie(Lie::BadSignature),
        Fault::lie(Lie::WrongNonce),
        Fault {
            body: Some(BodyKind::BrokenJson),
            ..Fault::default()
        },
    ] {
        world.provider.set_faults(Faults {
            token: Some(fault),
            ..Faults::default()
        });
        if let Err(error) = app.bring(Google, None, &brought).await {
            search.say(&error);
        }
        search.show(&app.code(&SignIn::of(BOB)).await.map(drop));
    }
    world.provider.set_faults(Faults::default());
    engine.delete_grant(&app.caller, locator()).await.unwrap();
    search.say(&engine.caller("kwk_wrong-wrong-wrong").await.unwrap_err());
}

async fn rule_07_no_secret_is_stored_openly_shown_or_logged(world: &World) {
    captured_logs();
    let mut search = Search::default();
    managing(world, &mut search).await;
    signing_in(world, &mut search).await;
    bringing_and_failing(world, &mut search).await;
    world.engine.tick().await.unwrap();
    search.show(&world.app.grants().await);
    search.show(&world.changes_since(0).await);
    search.show(&world.engine.jwks().await.unwrap());
    world.engine.shutdown().await;
    let seen = world.recorder.secrets();
    // The probe's own code is no secret.
    search.secrets.extend(
        seen.into_iter()
            .filter(|secret| !secret.starts_with("keyway-probe")),
    );
    assert!(search.secrets.len() > 25, "{}", search.secrets.len());
    let stored = world.stored_bytes().await;
    assert!(
        stored
            .windows(ALICE.len())
            .any(|window| window == ALICE.as_bytes()),
        "looked at nothing"
    );
    search.assert_nothing_in("the database", &stored);
    search.assert_nothing_in("what is shown", search.shown.as_bytes());
    assert!(!captured_logs().is_empty(), "nothing was logged");
    search.assert_nothing_in("the log", captured_logs().as_bytes());
}

on_both_databases!(rule_07_no_secret_is_stored_openly_shown_or_logged);
