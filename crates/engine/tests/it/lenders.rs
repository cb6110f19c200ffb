//! Credentials that borrow another's client, and what that keeps the lender from (rules 1 and 2).

use crate::bulk::{consenting, consents, health, member};
use keyway_core::credential::{Credential, HealthStatus};
use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::Microsoft;
use keyway_engine::connectors::ConnectorPatch;
use keyway_engine::credentials::CredentialPatch;
use keyway_engine::{Error, ErrorKind};
use keyway_sandbox::DEFAULT_TENANT_ID;
use keyway_testkit::{ALICE, BOB, DEV, PROD, World, eventually, object, on_both_databases};
use serde_json::{Value, json};

/// A credential that borrows the primary's client, and a grant that it made.
async fn borrowing(world: &World) -> (Credential, Grant) {
    let bulk = consenting(world, json!({"tenant": "example.com"})).await;
    consents(world, DEFAULT_TENANT_ID);
    let grant = member(world, &bulk, ALICE).await.unwrap();
    (bulk, grant)
}

fn client(id: &str) -> Value {
    json!({"client_id": id, "client_secret": format!("{id}-secret")})
}

async fn patch_connector(world: &World, settings: Value) -> Result<(), Error> {
    let patch = ConnectorPatch {
        settings: Some(object(settings)),
        ..ConnectorPatch::default()
    };
    let (engine, caller) = (&world.engine, &world.app.caller);
    let patched = engine.update_connector(caller, Microsoft, patch).await;
    patched.map(drop)
}

async fn patch(world: &World, id: CredentialId, data: Value) -> Result<Credential, Error> {
    let patch = CredentialPatch {
        data: Some(object(data)),
        ..CredentialPatch::default()
    };
    let (engine, caller) = (&world.engine, &world.app.caller);
    engine.update_credential(caller, Microsoft, id, patch).await
}

async fn rule_01_another_client_of_a_lender_is_refused_while_grants_of_borrowers_live(
    world: &World,
) {
    let (bulk, grant) = borrowing(world).await;
    let lender = bulk.borrows_from.unwrap();
    let before = world.snapshot().await;
    let refused = patch_connector(world, client(PROD)).await.unwrap_err();
    let words = refused.message();
    assert!(words.starts_with("settings.client_id: 1 grant"), "{words}");
    let refused = patch(world, lender, client(PROD)).await.unwrap_err();
    let words = refused.message();
    let named = words.starts_with("credential_data.client_id: 1 grant");
    assert!(named, "{words}");
    assert_eq!(world.snapshot().await, before);
    // A new secret of the same client is the lender's own affair.
    patch_connector(world, client(DEV)).await.unwrap();
    let (engine, caller) = (&world.engine, &world.app.caller);
    let gone = engine.delete_grant(caller, GrantLocator::Id(grant.id));
    gone.await.unwrap();
    patch_connector(world, client(PROD)).await.unwrap();
}

async fn rule_01_a_borrower_is_given_the_client_it_borrows_and_no_other(world: &World) {
    let (bulk, grant) = borrowing(world).await;
    let with_tenant = |id| {
        let mut data = object(client(id));
        data.insert("tenant".into(), json!("example.com"));
        Value::Object(data)
    };
    let before = world.snapshot().await;
    let refused = patch(world, bulk.id, with_tenant(PROD)).await.unwrap_err();
    assert!(refused.message().contains("1 grant"), "{refused}");
    assert_eq!(world.snapshot().await, before);
    let own = patch(world, bulk.id, with_tenant(DEV)).await.unwrap();
    assert_eq!(
        (own.borrows_from, own.client_id.as_deref()),
        (None, Some(DEV))
    );
    // Nobody borrows the lender's any more, so that it can go.
    let (engine, caller) = (&world.engine, &world.app.caller);
    let other = world.app.credential(Microsoft, "other", PROD).await;
    world.app.make_default(Microsoft, other.id).await;
    let lender = bulk.borrows_from.unwrap();
    let removed = engine.delete_credential(caller, Microsoft, lender);
    removed.await.unwrap();
    world.pass_secs(3601);
    let kept = world.app.grant(grant.id).await;
    assert_eq!(kept.effective_status(), GrantStatus::Valid);
    let token = engine.fresh_token(&kept).await.unwrap();
    assert!(token.named_user.is_some());
    member(world, &own, BOB).await.unwrap();
}

async fn rule_01_a_credential_takes_up_borrowing_only_of_the_client_it_has(world: &World) {
    let (bulk, _) = borrowing(world).await;
    let tenant = || json!({"tenant": "example.com"});
    let mut own = object(client(DEV));
    own.insert("tenant".into(), json!("example.com"));
    patch(world, bulk.id, Value::Object(own)).await.unwrap();
    let lender = bulk.borrows_from.unwrap();
    // The same client: its grants lose nothing.
    let again = patch(world, bulk.id, tenant()).await.unwrap();
    assert_eq!(again.borrows_from, Some(lender));
    let mut own = object(client(DEV));
    own.insert("tenant".into(), json!("example.com"));
    patch(world, bulk.id, Value::Object(own)).await.unwrap();
    patch(world, lender, client(PROD)).await.unwrap();
    let before = world.snapshot().await;
    let refused = patch(world, bulk.id, tenant()).await.unwrap_err();
    assert!(refused.message().contains("1 grant"), "{refused}");
    assert_eq!(world.snapshot().await, before);
}

async fn rule_01_a_bulk_grant_and_another_client_of_its_lender_never_both_come(world: &World) {
    for round in 0..10 {
        let bulk = consenting(world, json!({"tenant": "example.com"})).await;
        consents(world, DEFAULT_TENANT_ID);
        let making = member(world, &bulk, ALICE);
        let (made, patched) = tokio::join!(making, patch_connector(world, client(PROD)));
        assert!(
            made.is_err() || patched.is_err(),
            "round {round}: a grant of {DEV} stands on {PROD}"
        );
        let (engine, caller) = (&world.engine, &world.app.caller);
        engine.delete_connector(caller, Microsoft).await.unwrap();
        if let Ok(grant) = made {
            let gone = engine.delete_grant(caller, GrantLocator::Id(grant.id));
            gone.await.unwrap();
        }
    }
}

async fn a_lenders_new_secret_is_tried_for_those_who_borrow_it(world: &World) {
    let bulk = consenting(world, json!({"tenant": "example.com"})).await;
    consents(world, DEFAULT_TENANT_ID);
    member(world, &bulk, ALICE).await.unwrap();
    assert_eq!(health(world, Microsoft, &bulk).await, HealthStatus::Healthy);
    let caller = &world.app.caller;
    let told = world.engine.credential_health(caller, Microsoft, bulk.id);
    // Permissions of the application, and no scopes of users, who do not sign in through it.
    assert_eq!(told.await.unwrap().scope.to_string(), "User.Read.All");
    patch_connector(world, json!({"client_secret": "wrong"}))
        .await
        .unwrap();
    eventually("the borrower's health fails too", async || {
        health(world, Microsoft, &bulk).await == HealthStatus::Failing
    })
    .await;
    patch(world, bulk.borrows_from.unwrap(), client(DEV))
        .await
        .unwrap();
    eventually("and is mended with the lender's", async || {
        health(world, Microsoft, &bulk).await == HealthStatus::Healthy
    })
    .await;
}

async fn a_borrowers_lender_is_not_deleted_and_the_advice_given_helps(world: &World) {
    let (bulk, _) = borrowing(world).await;
    let (engine, caller) = (&world.engine, &world.app.caller);
    let other = world.app.credential(Microsoft, "other", PROD).await;
    world.app.make_default(Microsoft, other.id).await;
    let lender = bulk.borrows_from.unwrap();
    let refused = engine.delete_credential(caller, Microsoft, lender).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(refused.message().contains("client settings of its own"));
    patch(world, bulk.id, client(DEV)).await.unwrap();
    let removed = engine.delete_credential(caller, Microsoft, lender);
    removed.await.unwrap();
}

on_both_databases!(World::options().microsoft() =>
    rule_01_another_client_of_a_lender_is_refused_while_grants_of_borrowers_live,
    rule_01_a_borrower_is_given_the_client_it_borrows_and_no_other,
    rule_01_a_credential_takes_up_borrowing_only_of_the_client_it_has,
    rule_01_a_bulk_grant_and_another_client_of_its_lender_never_both_come,
    a_borrowers_lender_is_not_deleted_and_the_advice_given_helps,
);
on_both_databases!(World::options().microsoft().probing() =>
    a_lenders_new_secret_is_tried_for_those_who_borrow_it,
);
