//! Rules 1 and 2: a grant lives by its own credential, whatever becomes of the default.

use keyway_core::credential::CredentialType;
use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::{Google, Microsoft};
use keyway_engine::connectors::ConnectorPatch;
use keyway_engine::credentials::{CredentialPatch, NewCredential};
use keyway_engine::grants::GrantPatch;
use keyway_testkit::{
    ALICE, BOB, DEV, PROD, STAGING, SignIn, World, eventually, object, on_both_databases,
};
use serde_json::json;

async fn rule_01_sign_in_and_tokens_go_through_the_credential_that_was_named(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    assert_eq!(grant.credential_id, Some(staging.id));
    let exchanges = &world.provider.counters().token_requests["authorization_code"];
    assert_eq!(exchanges.keys().collect::<Vec<_>>(), [STAGING]);
    let tokens = world.tokens(&grant).await;
    assert_eq!(tokens.set.credential_id, staging.id);
    let client = world.recorder.client_of(&tokens.access_token);
    assert_eq!(client.as_deref(), Some(STAGING));
}

async fn rule_01_a_brought_token_is_tried_through_the_named_credential_alone(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let token = app.minted(STAGING, ALICE);
    let grant = app.bring(Google, Some(staging.id), &token).await.unwrap();
    assert_eq!(grant.credential_id, Some(staging.id));
    let default = app
        .bring(Google, None, &app.minted(DEV, BOB))
        .await
        .unwrap();
    assert_eq!(default.credential_id, connector.active_credential_id);
    let requests = world.provider.token_requests();
    let clients: Vec<_> = requests.iter().map(|r| r.client_id.as_str()).collect();
    assert_eq!(clients, [STAGING, DEV]);
}

async fn rule_01_a_new_refresh_token_of_a_grant_is_tried_through_its_own_credential(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    let brought = |client| GrantPatch {
        settings: Some(object(json!({"refresh_token": app.minted(client, ALICE)}))),
        ..GrantPatch::default()
    };
    let locator = || GrantLocator::Id(grant.id);
    let before = world.snapshot().await;
    let refused = world
        .engine
        .update_grant(&app.caller, locator(), brought(DEV));
    assert!(refused.await.is_err());
    assert_eq!(world.snapshot().await, before);
    let patched = world
        .engine
        .update_grant(&app.caller, locator(), brought(STAGING));
    assert_eq!(patched.await.unwrap().credential_id, Some(staging.id));
    let refreshes = &world.provider.counters().token_requests["refresh_token"];
    assert_eq!(refreshes.keys().collect::<Vec<_>>(), [STAGING]);
}

async fn rule_01_a_revocation_uses_the_client_the_tokens_were_issued_to(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let prod = app.credential(Google, "prod", PROD).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    app.make_default(Google, prod.id).await;
    let token = world.tokens(&grant).await.access_token;
    let gone = world
        .engine
        .delete_grant(&app.caller, GrantLocator::Id(grant.id));
    gone.await.unwrap();
    eventually("the provider is told", async || {
        !world.provider.is_alive(&token)
    })
    .await;
    let revocations = world.provider.revocations();
    let clients: Vec<_> = revocations.iter().map(|r| r.client_id.as_deref()).collect();
    assert_eq!(clients, [Some(STAGING)]);
}

async fn rule_02_another_default_moves_no_grant(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let tokens = world.tokens(&grant).await.access_token;
    app.make_default(Google, staging.id).await;
    let kept = app.grant(grant.id).await;
    assert_eq!(kept, grant);
    assert_eq!(kept.credential_id, connector.active_credential_id);
    assert_eq!(world.tokens(&kept).await.access_token, tokens);
    let later = app.connect(&SignIn::of(BOB)).await;
    assert_eq!(later.credential_id, Some(staging.id));
}

async fn rule_02_a_credential_that_borrows_its_client_stays_pinned_to_the_lender(world: &World) {
    let app = &world.app;
    let connector = app.connector(Microsoft, DEV).await;
    let bulk = NewCredential {
        name: "bulk".into(),
        credential_type: CredentialType::AdminConsent,
        data: object(json!({"tenant": "contoso.example"})),
    };
    let bulk = world
        .engine
        .create_credential(&app.caller, Microsoft, bulk)
        .await
        .unwrap();
    assert_eq!(bulk.borrows_from, connector.primary_credential_id);
    let other = app.credential(Microsoft, "other", STAGING).await;
    app.make_default(Microsoft, other.id).await;
    let patch = CredentialPatch {
        name: Some("bulk, renamed".into()),
        data: Some(object(json!({"tenant": "fabrikam.example"}))),
    };
    let patched = world
        .engine
        .update_credential(&app.caller, Microsoft, bulk.id, patch);
    assert_eq!(patched.await.unwrap().borrows_from, bulk.borrows_from);
    let lender = bulk.borrows_from.unwrap();
    let refused = world
        .engine
        .delete_credential(&app.caller, Microsoft, lender)
        .await;
    assert!(refused.unwrap_err().message().contains("bulk, renamed"));
}

async fn rule_02_a_default_must_be_a_live_oauth_client_of_the_same_connector(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    app.connector(Microsoft, DEV).await;
    let elsewhere = app.credential(Microsoft, "elsewhere", STAGING).await;
    let before = world.snapshot().await;
    let patch = ConnectorPatch {
        name: Some("renamed".into()),
        active_credential_id: Some(elsewhere.id),
        ..ConnectorPatch::default()
    };
    let refused = world
        .engine
        .update_connector(&app.caller, Google, patch)
        .await;
    assert!(
        refused
            .unwrap_err()
            .message()
            .starts_with("active_credential_id")
    );
    assert_eq!(world.snapshot().await, before);
}

async fn a_connectors_tenant_is_that_of_credentials_without_one(world: &World) {
    let app = &world.app;
    app.connector(Microsoft, DEV).await;
    let second = app.credential(Microsoft, "second", STAGING).await;
    let patch = ConnectorPatch {
        settings: Some(object(json!({"tenant": "contoso.example"}))),
        ..ConnectorPatch::default()
    };
    let sign_in = SignIn::of(ALICE).at(Microsoft).through(second.id);
    let before = app.start(&sign_in).await.unwrap();
    assert!(before.location.contains("/common/"), "{}", before.location);
    let patched = world.engine.update_connector(&app.caller, Microsoft, patch);
    patched.await.unwrap();
    let after = app.start(&sign_in).await.unwrap();
    assert!(
        after.location.contains("/contoso.example/"),
        "{}",
        after.location
    );
}

on_both_databases!(
    rule_01_sign_in_and_tokens_go_through_the_credential_that_was_named,
    rule_01_a_brought_token_is_tried_through_the_named_credential_alone,
    rule_01_a_new_refresh_token_of_a_grant_is_tried_through_its_own_credential,
    rule_01_a_revocation_uses_the_client_the_tokens_were_issued_to,
    rule_02_another_default_moves_no_grant,
    rule_02_a_credential_that_borrows_its_client_stays_pinned_to_the_lender,
    rule_02_a_default_must_be_a_live_oauth_client_of_the_same_connector,
);
on_both_databases!(World::options().microsoft() =>
    a_connectors_tenant_is_that_of_credentials_without_one,
);
