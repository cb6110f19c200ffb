//! Credentials and connectors as applications manage them.

use keyway_core::credential::{Credential, CredentialType};
use keyway_core::grant::GrantStatus;
use keyway_core::ids::CredentialId;
use keyway_core::page::Page;
use keyway_core::provider::Provider::{Google, Microsoft};
use keyway_core::scope::Scopes;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use keyway_engine::credentials::{CredentialPatch, NewCredential};
use keyway_engine::{Error, ErrorKind};
use keyway_sandbox::ClientConfig;
use keyway_store::StoreError;
use keyway_testkit::{
    ALICE, CALLBACK_URI, DEV, PROD, STAGING, SignIn, World, object, on_both_databases,
};
use serde_json::{Value, json};

async fn patch_connector(world: &World, settings: Value) -> Result<(), Error> {
    let patch = ConnectorPatch {
        settings: Some(object(settings)),
        ..ConnectorPatch::default()
    };
    let patched = world
        .engine
        .update_connector(&world.app.caller, Google, patch);
    patched.await.map(drop)
}

async fn delete_credential(world: &World, id: CredentialId) -> Result<(), Error> {
    world
        .engine
        .delete_credential(&world.app.caller, Google, id)
        .await
}

async fn all(world: &World) -> Vec<Credential> {
    let (engine, caller) = (&world.engine, &world.app.caller);
    engine
        .credentials(caller, Google, Page::default())
        .await
        .unwrap()
}

async fn an_equal_credential_is_returned_and_not_made_again(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let first = app.credential(Google, "staging", STAGING).await;
    let again = app.credential(Google, "staging", STAGING).await;
    assert_eq!(again.id, first.id);
    let before = world.snapshot().await;
    let other = app.new_credential("staging", PROD);
    let refused = world
        .engine
        .create_credential(&app.caller, Google, other)
        .await
        .unwrap_err();
    assert!(refused.message().starts_with("name"), "{refused}");
    assert_eq!(world.snapshot().await, before);
    assert_eq!(all(world).await.len(), 2);
}

async fn equal_credentials_made_at_once_are_one(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let making = || {
        let app = app.clone();
        tokio::runtime::Handle::current()
            .spawn(async move { app.credential(Google, "staging", STAGING).await })
    };
    let (one, other) = tokio::join!(making(), making());
    assert_eq!(one.unwrap().id, other.unwrap().id);
    assert_eq!(all(world).await.len(), 2);
}

async fn the_default_cannot_be_deleted_and_another_takes_its_grants_along(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    let before = world.snapshot().await;
    let refused = delete_credential(world, connector.active_credential_id.unwrap()).await;
    assert!(
        refused
            .unwrap_err()
            .message()
            .contains("active_credential_id")
    );
    assert_eq!(world.snapshot().await, before);
    delete_credential(world, staging.id).await.unwrap();
    let ended = app.grant(grant.id).await;
    assert_eq!(ended.effective_status(), GrantStatus::Invalid);
    assert_eq!(
        delete_credential(world, staging.id)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    // Signing in through a living credential revives it.
    let revived = app.connect(&SignIn::of(ALICE)).await;
    assert_eq!(
        (revived.id, revived.effective_status()),
        (grant.id, GrantStatus::Valid)
    );
}

async fn another_client_id_is_refused_while_grants_use_the_credential(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    let patch = || CredentialPatch {
        data: Some(app.new_credential("", PROD).data),
        ..CredentialPatch::default()
    };
    let grant = app.connect(&SignIn::of(ALICE).through(staging.id)).await;
    app.connect(&SignIn::of("bob@example.com")).await;
    let before = world.snapshot().await;
    let (engine, caller) = (&world.engine, &app.caller);
    let refused = engine
        .update_credential(caller, Google, staging.id, patch())
        .await
        .unwrap_err();
    assert!(
        refused
            .message()
            .starts_with("credential_data.client_id: 1 grant"),
        "{refused}"
    );
    let primary = json!({"client_id": PROD, "client_secret": "x"});
    let refused = patch_connector(world, primary).await.unwrap_err();
    assert!(
        refused.message().starts_with("settings.client_id"),
        "{refused}"
    );
    assert_eq!(world.snapshot().await, before);
    let locator = keyway_core::grant::GrantLocator::Id(grant.id);
    engine.delete_grant(caller, locator).await.unwrap();
    engine
        .update_credential(caller, Google, staging.id, patch())
        .await
        .unwrap();
}

async fn editing_the_connectors_client_edits_the_primary_and_keeps_what_is_left_out(world: &World) {
    let app = &world.app;
    let connector = app.connector(Google, DEV).await;
    let staging = app.credential(Google, "staging", STAGING).await;
    app.make_default(Google, staging.id).await;
    world
        .provider
        .put_client(ClientConfig::new(DEV, "renewed", &[CALLBACK_URI]));
    patch_connector(world, json!({"client_secret": "renewed"}))
        .await
        .unwrap();
    let primary = connector.primary_credential_id.unwrap();
    let grant = app.connect(&SignIn::of(ALICE).through(primary)).await;
    assert_eq!(grant.credential_id, Some(primary));
    // Other settings leave the client alone, and the default is still the other one.
    patch_connector(world, json!({"topic_name": "projects/p/topics/t"}))
        .await
        .unwrap();
    app.connect(&SignIn::of(ALICE).through(primary)).await;
    let read = world.engine.connector(&app.caller, Google).await.unwrap();
    assert_eq!(read.active_credential_id, Some(staging.id));
    assert_eq!(
        Value::Object(read.settings),
        json!({"topic_name": "projects/p/topics/t"})
    );
    assert_eq!(all(world).await.len(), 2);
}

async fn a_connector_without_a_client_gets_its_default_with_the_first_credential(world: &World) {
    let app = &world.app;
    let new = NewConnector {
        provider: Google,
        name: None,
        settings: object(json!({})),
        scope: Scopes::none(),
    };
    let made = world
        .engine
        .create_connector(&app.caller, new)
        .await
        .unwrap();
    assert_eq!(made.active_credential_id, None);
    let ended = app.start(&SignIn::of(ALICE)).await.unwrap_err();
    assert!(
        ended
            .returned("error_description")
            .contains("no default credential")
    );
    let first = app.credential(Google, "first", DEV).await;
    app.credential(Google, "second", STAGING).await;
    let read = world.engine.connector(&app.caller, Google).await.unwrap();
    assert_eq!(read.active_credential_id, Some(first.id));
    app.connect(&SignIn::of(ALICE)).await;
}

async fn a_deleted_connector_ends_its_grants_and_a_new_one_revives_them(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let grant = app.connect(&SignIn::of(ALICE).external_id("user-1")).await;
    world
        .engine
        .delete_connector(&app.caller, Google)
        .await
        .unwrap();
    assert_eq!(
        app.grant(grant.id).await.effective_status(),
        GrantStatus::Invalid
    );
    let gone = world
        .engine
        .connector(&app.caller, Google)
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let again = app.connector(Google, STAGING).await;
    assert_eq!(
        app.grant(grant.id).await.effective_status(),
        GrantStatus::Invalid
    );
    let revived = app.connect(&SignIn::of(ALICE)).await;
    assert_eq!(
        (revived.id, revived.created_at),
        (grant.id, grant.created_at)
    );
    assert_eq!(revived.external_id.as_deref(), Some("user-1"));
    assert_eq!(revived.connector_id, again.id);
    assert_eq!(revived.effective_status(), GrantStatus::Valid);
}

async fn a_second_connector_of_one_provider_is_refused(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let before = world.snapshot().await;
    let new = NewConnector {
        provider: Google,
        name: None,
        settings: object(json!({"client_id": PROD, "client_secret": "x"})),
        scope: Scopes::none(),
    };
    let refused = world
        .engine
        .create_connector(&app.caller, new)
        .await
        .unwrap_err();
    assert!(refused.message().contains("already"), "{refused}");
    assert_eq!(world.snapshot().await, before);
}

async fn a_credential_whose_client_is_borrowed_stays_however_many_there_are(world: &World) {
    let app = &world.app;
    let (engine, caller) = (&world.engine, &app.caller);
    let connector = app.connector(Microsoft, DEV).await;
    let lender = connector.primary_credential_id.unwrap();
    let new = NewCredential {
        name: "bulk".into(),
        credential_type: CredentialType::AdminConsent,
        data: object(json!({"tenant": "contoso.com"})),
    };
    let borrower = engine.create_credential(caller, Microsoft, new);
    let borrower = borrower.await.unwrap();
    assert_eq!(borrower.borrows_from, Some(lender));
    let other = app.credential(Microsoft, "other", STAGING).await;
    app.make_default(Microsoft, other.id).await;
    let crowd = other.clone();
    let job = world.store.write(move |s| {
        Box::pin(async move {
            // More than any page holds, before and after it in every order.
            for n in 0..500_i64 {
                let mut one = crowd.clone();
                one.id = CredentialId::from_u128(u128::try_from(n).unwrap() + 1);
                one.name = format!("crowd {n}");
                let secs = if n % 2 == 0 { n } else { -n };
                one.created_at = crowd.created_at.plus_secs(secs);
                one.updated_at = one.created_at;
                s.insert_credential(&one).await?;
            }
            Ok::<_, StoreError>(())
        })
    });
    job.await.unwrap();
    let refused = engine.delete_credential(caller, Microsoft, lender).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(refused.message().contains("uses this one's client"));
    engine
        .delete_credential(caller, Microsoft, borrower.id)
        .await
        .unwrap();
    engine
        .delete_credential(caller, Microsoft, lender)
        .await
        .unwrap();
}

async fn no_credential_is_made_on_a_connector_that_is_deleted_meanwhile(world: &World) {
    for _ in 0..20 {
        let connector = world.app.connector(Google, DEV).await;
        let (engine, app) = (world.engine.clone(), world.app.clone());
        let making = tokio::runtime::Handle::current().spawn(async move {
            let new = app.new_credential("staging", STAGING);
            let made = engine.create_credential(&app.caller, Google, new).await;
            made.map(drop).map_err(|error| error.kind())
        });
        let deleting = world.engine.delete_connector(&world.app.caller, Google);
        let (made, deleted) = tokio::join!(making, deleting);
        deleted.unwrap();
        assert!(matches!(made.unwrap(), Ok(()) | Err(ErrorKind::NotFound)));
        let (id, connector_id) = (world.app.id, connector.id);
        let job = world.store.read(move |s| {
            Box::pin(async move { s.credentials(id, connector_id, Page::default()).await })
        });
        assert_eq!(job.await.unwrap(), []);
    }
}

on_both_databases!(
    an_equal_credential_is_returned_and_not_made_again,
    equal_credentials_made_at_once_are_one,
    the_default_cannot_be_deleted_and_another_takes_its_grants_along,
    another_client_id_is_refused_while_grants_use_the_credential,
    editing_the_connectors_client_edits_the_primary_and_keeps_what_is_left_out,
    a_connector_without_a_client_gets_its_default_with_the_first_credential,
    a_deleted_connector_ends_its_grants_and_a_new_one_revives_them,
    a_second_connector_of_one_provider_is_refused,
    a_credential_whose_client_is_borrowed_stays_however_many_there_are,
    no_credential_is_made_on_a_connector_that_is_deleted_meanwhile,
);
