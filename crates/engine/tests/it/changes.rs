//! Rule 10: every change leaves its entries in the sequence, and what fails leaves none.

use keyway_core::application::Platform;
use keyway_core::change::Action::{self, Created, Deleted, Reauthenticated, Revoked, Updated};
use keyway_core::change::Entity::{
    self, ApiKey, Application, Connector, Credential, Grant, RedirectUri, ServiceAccount,
    TokenFamily,
};
use keyway_core::grant::GrantLocator;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::Google;
use keyway_core::service_account::Permission;
use keyway_engine::admin_keys::NewApiKey;
use keyway_engine::applications::{ApplicationPatch, CallbackUriPatch};
use keyway_engine::connectors::ConnectorPatch;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::grants::GrantPatch;
use keyway_engine::keys::Rotation;
use keyway_engine::redirect_uris::{NewRedirectUri, RedirectUriPatch};
use keyway_engine::service_accounts::NewServiceAccount;
use keyway_testkit::{
    ALICE, BOB, DEV, Ended, STAGING, SignIn, TestServiceAccount, World, object, on_both_databases,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use std::fmt::Debug;

/// Follows the sequence of changes step by step.
struct Ledger<'w> {
    world: &'w World,
    seq: i64,
}

impl<'w> Ledger<'w> {
    async fn open(world: &'w World) -> Self {
        let seq = world.latest_seq().await;
        Self { world, seq }
    }

    /// What was appended since the last look is exactly `expected`, by `actor`.
    async fn shows(&mut self, actor: &str, expected: &[(Entity, Action)]) {
        let changes = self.world.changes_since(self.seq).await;
        let told: Vec<_> = changes.iter().map(|c| (c.entity, c.action)).collect();
        assert_eq!(told, expected);
        for change in &changes {
            assert_eq!(change.application_id, self.world.app.id);
            assert!(change.actor.starts_with(actor), "{change:?}");
            assert_eq!(change.at, self.world.engine.now());
            assert!(!change.entity_id.is_empty());
        }
        self.seq = self.world.latest_seq().await;
    }

    async fn key(&mut self, expected: &[(Entity, Action)]) {
        let actor = self.world.app.caller.actor();
        self.shows(&actor, expected).await;
    }

    async fn nothing<T: Debug, E: Debug>(&mut self, failed: Result<T, E>) {
        failed.unwrap_err();
        self.shows("nobody", &[]).await;
    }
}

fn uri(url: &str) -> NewRedirectUri {
    NewRedirectUri {
        url: url.into(),
        platform: Platform::Web,
        settings: object(json!({})),
    }
}

async fn rule_10_applications_keys_and_redirect_uris_leave_entries(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    let mut ledger = Ledger { world, seq: 0 };
    let born = [
        (Application, Created),
        (ApiKey, Created),
        (RedirectUri, Created),
        (RedirectUri, Created),
        (RedirectUri, Created),
    ];
    ledger.shows("cli", &born).await;
    let (key, _) = engine.create_key(app.id, "second", None).await.unwrap();
    ledger.shows("cli", &[(ApiKey, Created)]).await;
    ledger
        .nothing(engine.create_key(app.id, " ", None).await.map(|_| ()))
        .await;
    engine.revoke_key(app.id, key.id).await.unwrap();
    ledger.shows("cli", &[(ApiKey, Revoked)]).await;
    ledger
        .nothing(engine.revoke_key(app.id, key.id).await)
        .await;
    let caller = &app.caller;
    let made = engine
        .create_redirect_uri(caller, uri("https://a.example/"))
        .await
        .unwrap();
    ledger.key(&[(RedirectUri, Created)]).await;
    ledger
        .nothing(
            engine
                .create_redirect_uri(caller, uri("https://a.example/"))
                .await,
        )
        .await;
    let renamed = RedirectUriPatch {
        url: Some("https://b.example/".into()),
        ..RedirectUriPatch::default()
    };
    engine
        .update_redirect_uri(caller, made.id, renamed)
        .await
        .unwrap();
    ledger.key(&[(RedirectUri, Updated)]).await;
    let taken = RedirectUriPatch {
        url: Some(app.redirect_uri.clone()),
        ..RedirectUriPatch::default()
    };
    ledger
        .nothing(engine.update_redirect_uri(caller, made.id, taken).await)
        .await;
    engine.delete_redirect_uri(caller, made.id).await.unwrap();
    ledger.key(&[(RedirectUri, Deleted)]).await;
    ledger
        .nothing(engine.delete_redirect_uri(caller, made.id).await)
        .await;
}

async fn rule_10_rotated_keys_and_service_accounts_leave_entries(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    let mut ledger = Ledger::open(world).await;
    let rotation = Rotation {
        overlap_secs: 60,
        expires_at: None,
    };
    let rotated = engine.rotate_key(app.id, app.caller.key_id, rotation);
    let rotated = rotated.await.unwrap();
    ledger
        .shows("cli", &[(ApiKey, Created), (ApiKey, Updated)])
        .await;
    world.pass_secs(60);
    let again = engine.rotate_key(app.id, rotated.old.id, rotation).await;
    ledger.nothing(again).await;
    let nobody = NewServiceAccount {
        name: "rotator".into(),
        applications: vec![app.id],
        permissions: vec![],
    };
    ledger
        .nothing(engine.create_service_account(nobody).await)
        .await;
    let account = TestServiceAccount::create(engine, &[app.id], &Permission::ALL).await;
    ledger.shows("cli", &[(ServiceAccount, Created)]).await;
    let caller = account.proves(engine).await;
    let new = NewApiKey {
        name: "n".into(),
        expires_in_days: None,
    };
    let (key, _) = engine.issue_key(&caller, app.id, new).await.unwrap();
    let actor = caller.actor();
    ledger.shows(&actor, &[(ApiKey, Created)]).await;
    engine.delete_key(&caller, app.id, key.id).await.unwrap();
    ledger.shows(&actor, &[(ApiKey, Revoked)]).await;
    let again = engine.delete_key(&caller, app.id, key.id).await;
    ledger.nothing(again).await;
    engine.revoke_service_account(account.id).await.unwrap();
    ledger.shows("cli", &[(ServiceAccount, Revoked)]).await;
    let again = engine.revoke_service_account(account.id).await;
    ledger.nothing(again).await;
}

async fn rule_10_an_application_edited_with_its_redirect_uris_leaves_an_entry_for_each(
    world: &World,
) {
    let (engine, caller) = (&world.engine, &world.app.caller);
    let existing = engine.redirect_uris(caller).await.unwrap();
    let mut ledger = Ledger::open(world).await;
    let kept = RedirectUriPatch {
        url: Some("https://kept.example/".into()),
        ..RedirectUriPatch::default()
    };
    let patch = ApplicationPatch {
        callback_uris: Some(vec![
            CallbackUriPatch::Kept(existing[0].id, kept),
            CallbackUriPatch::New(uri("https://new.example/")),
        ]),
        ..ApplicationPatch::default()
    };
    engine.update_application(caller, patch).await.unwrap();
    ledger
        .key(&[
            (Application, Updated),
            (RedirectUri, Deleted),
            (RedirectUri, Deleted),
            (RedirectUri, Updated),
            (RedirectUri, Created),
        ])
        .await;
    let bad = ApplicationPatch {
        callback_uris: Some(vec![CallbackUriPatch::New(uri("not a uri"))]),
        ..ApplicationPatch::default()
    };
    ledger
        .nothing(engine.update_application(caller, bad).await)
        .await;
}

async fn rule_10_connectors_and_credentials_leave_entries(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    let caller = &app.caller;
    let mut ledger = Ledger::open(world).await;
    let connector = app.connector(Google, DEV).await;
    ledger
        .key(&[(Connector, Created), (Credential, Created)])
        .await;
    let staging = app.credential(Google, "staging", STAGING).await;
    ledger.key(&[(Credential, Created)]).await;
    app.credential(Google, "staging", STAGING).await;
    ledger.key(&[]).await;
    app.make_default(Google, staging.id).await;
    ledger.key(&[(Connector, Updated)]).await;
    let wrong = ConnectorPatch {
        active_credential_id: Some(CredentialId::from_u128(7)),
        ..ConnectorPatch::default()
    };
    ledger
        .nothing(engine.update_connector(caller, Google, wrong).await)
        .await;
    let secret = ConnectorPatch {
        settings: Some(object(json!({"client_secret": "renewed"}))),
        ..ConnectorPatch::default()
    };
    engine
        .update_connector(caller, Google, secret)
        .await
        .unwrap();
    ledger
        .key(&[(Connector, Updated), (Credential, Updated)])
        .await;
    let renamed = CredentialPatch {
        name: Some("renamed".into()),
        ..CredentialPatch::default()
    };
    engine
        .update_credential(caller, Google, staging.id, renamed)
        .await
        .unwrap();
    ledger.key(&[(Credential, Updated)]).await;
    ledger
        .nothing(engine.delete_credential(caller, Google, staging.id).await)
        .await;
    let primary = connector.primary_credential_id.unwrap();
    engine
        .delete_credential(caller, Google, primary)
        .await
        .unwrap();
    ledger
        .key(&[(Credential, Deleted), (Connector, Updated)])
        .await;
    engine.delete_connector(caller, Google).await.unwrap();
    ledger
        .key(&[(Connector, Deleted), (Credential, Deleted)])
        .await;
    ledger
        .nothing(engine.delete_connector(caller, Google).await)
        .await;
}

async fn rule_10_a_first_credential_that_becomes_the_default_changes_the_connector_too(
    world: &World,
) {
    let (engine, app) = (&world.engine, &world.app);
    let bare = keyway_engine::connectors::NewConnector {
        provider: Google,
        name: None,
        settings: object(json!({})),
        scope: keyway_core::scope::Scopes::none(),
    };
    engine.create_connector(&app.caller, bare).await.unwrap();
    let mut ledger = Ledger::open(world).await;
    app.credential(Google, "first", DEV).await;
    ledger
        .key(&[(Credential, Created), (Connector, Updated)])
        .await;
}

async fn rule_10_grants_leave_entries_from_sign_in_to_deletion(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    app.connector(Google, DEV).await;
    // The first sign-in also says that the credential is healthy.
    app.connect(&SignIn::of(BOB).external_id("taken")).await;
    let mut ledger = Ledger::open(world).await;
    let code = app.code(&SignIn::of(ALICE)).await.unwrap();
    ledger.shows("nobody", &[]).await;
    let answer = app.exchange(&SignIn::of(ALICE), &code).await.unwrap();
    ledger.shows("sign_in:", &[(Grant, Created)]).await;
    app.connect(&SignIn::of(ALICE)).await;
    ledger.shows("sign_in:", &[(Grant, Reauthenticated)]).await;
    app.bring(Google, None, &app.minted(DEV, ALICE))
        .await
        .unwrap();
    ledger.key(&[(Grant, Reauthenticated)]).await;
    ledger
        .nothing(app.bring(Google, None, "never-issued").await)
        .await;
    let locator = || GrantLocator::Id(answer.grant_id);
    let label = |text: &str| GrantPatch {
        external_id: Some(Some(text.to_owned())),
        ..GrantPatch::default()
    };
    engine
        .update_grant(&app.caller, locator(), label("mine"))
        .await
        .unwrap();
    ledger.key(&[(Grant, Updated)]).await;
    ledger
        .nothing(
            engine
                .update_grant(&app.caller, locator(), label("taken"))
                .await,
        )
        .await;
    let declined: Result<_, Ended> = app.try_sign_in(&SignIn::of(ALICE).declining()).await;
    ledger.nothing(declined).await;
    engine.delete_grant(&app.caller, locator()).await.unwrap();
    ledger.key(&[(Grant, Deleted)]).await;
    ledger
        .nothing(engine.delete_grant(&app.caller, locator()).await)
        .await;
}

async fn rule_10_ended_tokens_leave_an_entry(world: &World) {
    let (engine, app) = (&world.engine, &world.app);
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let code = app.code(&sign_in).await.unwrap();
    app.exchange(&sign_in, &code).await.unwrap();
    let mut ledger = Ledger::open(world).await;
    app.exchange(&sign_in, &code).await.unwrap_err();
    ledger.shows("engine", &[(TokenFamily, Revoked)]).await;
    let answer = app.sign_in(&sign_in).await;
    ledger.shows("sign_in:", &[(Grant, Reauthenticated)]).await;
    engine
        .revoke(Some(answer.access_token.expose_secret()))
        .await
        .unwrap();
    ledger.shows("engine", &[(TokenFamily, Revoked)]).await;
    let again = engine
        .revoke(Some(answer.access_token.expose_secret()))
        .await;
    ledger.nothing(again).await;
}

on_both_databases!(
    rule_10_applications_keys_and_redirect_uris_leave_entries,
    rule_10_rotated_keys_and_service_accounts_leave_entries,
    rule_10_an_application_edited_with_its_redirect_uris_leaves_an_entry_for_each,
    rule_10_connectors_and_credentials_leave_entries,
    rule_10_a_first_credential_that_becomes_the_default_changes_the_connector_too,
    rule_10_grants_leave_entries_from_sign_in_to_deletion,
    rule_10_ended_tokens_leave_an_entry,
);
