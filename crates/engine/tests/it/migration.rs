//! Moving a grant between provider applications, and what happens when two do it at once.

use keyway_core::credential::Credential;
use keyway_core::grant::{Grant, GrantLocator};
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::Google;
use keyway_engine::grants::GrantPatch;
use keyway_engine::{Error, ErrorKind};
use keyway_sandbox::Rotation;
use keyway_testkit::{ALICE, DEV, PROD, STAGING, SignIn, World, on_both_databases};
use tokio::task::JoinHandle;

struct Clients {
    dev: CredentialId,
    staging: Credential,
    prod: Credential,
}

impl Clients {
    async fn of(world: &World) -> Self {
        let connector = world.app.connector(Google, DEV).await;
        Self {
            dev: connector.active_credential_id.unwrap(),
            staging: world.app.credential(Google, "staging", STAGING).await,
            prod: world.app.credential(Google, "prod", PROD).await,
        }
    }

    fn client_of(&self, id: CredentialId) -> &'static str {
        match id {
            id if id == self.dev => DEV,
            id if id == self.staging.id => STAGING,
            id if id == self.prod.id => PROD,
            other => panic!("whose is {other}?"),
        }
    }

    /// The grant's tokens were issued to the client of the credential it stands under.
    async fn assert_consistent(&self, world: &World, grant: &Grant) {
        let credential = grant.credential_id.unwrap();
        let tokens = world.tokens(grant).await;
        assert_eq!(tokens.set.credential_id, credential);
        let client = world.recorder.client_of(&tokens.access_token).unwrap();
        assert_eq!(client, self.client_of(credential));
    }
}

async fn migration_by_signing_in_goes_both_ways_and_keeps_the_id(world: &World) {
    let app = &world.app;
    let clients = Clients::of(world).await;
    let first = app.connect(&SignIn::of(ALICE).external_id("user-1")).await;
    for credential in [clients.staging.id, clients.prod.id, clients.dev] {
        world.pass_secs(1);
        let moved = app.connect(&SignIn::of(ALICE).through(credential)).await;
        assert_eq!((moved.id, moved.created_at), (first.id, first.created_at));
        assert_eq!(moved.external_id, first.external_id);
        assert_eq!(moved.credential_id, Some(credential));
        clients.assert_consistent(world, &moved).await;
    }
    assert_eq!(app.grants().await.len(), 1);
}

async fn migration_by_bringing_a_token_goes_both_ways_and_keeps_the_id(world: &World) {
    let app = &world.app;
    let clients = Clients::of(world).await;
    let first = app.connect(&SignIn::of(ALICE)).await;
    for (credential, client) in [(clients.staging.id, STAGING), (clients.dev, DEV)] {
        let brought = app.minted(client, ALICE);
        let moved = app.bring(Google, Some(credential), &brought).await.unwrap();
        assert_eq!((moved.id, moved.created_at), (first.id, first.created_at));
        clients.assert_consistent(world, &moved).await;
    }
}

async fn a_brought_token_that_the_provider_rotates_is_kept_rotated(world: &World) {
    let app = &world.app;
    Clients::of(world).await;
    let brought = app.minted(DEV, ALICE);
    let grant = app.bring(Google, None, &brought).await.unwrap();
    let kept = world.tokens(&grant).await.refresh_token.unwrap();
    assert_ne!(kept, brought);
    assert!(world.provider.is_alive(&kept));
}

async fn a_brought_token_that_stays_is_kept_as_it_is(world: &World) {
    let app = &world.app;
    Clients::of(world).await;
    let brought = app.minted(DEV, ALICE);
    let grant = app.bring(Google, None, &brought).await.unwrap();
    assert_eq!(world.tokens(&grant).await.refresh_token, Some(brought));
}

fn bringing(
    world: &World,
    credential: CredentialId,
    client: &str,
) -> JoinHandle<Result<(), Error>> {
    let (app, token) = (world.app.clone(), world.app.minted(client, ALICE));
    spawn(async move { app.bring(Google, Some(credential), &token).await.map(drop) })
}

async fn exchanging(world: &World, sign_in: SignIn) -> JoinHandle<Result<(), Error>> {
    let code = world.app.code(&sign_in).await.unwrap();
    let app = world.app.clone();
    spawn(async move {
        match app.exchange(&sign_in, &code).await {
            Ok(_) => Ok(()),
            Err(error) if error.error == "temporarily_unavailable" => {
                Err(Error::new(ErrorKind::Unavailable, error.description))
            }
            Err(error) => panic!("{error:?}"),
        }
    })
}

fn labelling(world: &World, grant: &Grant, round: usize) -> JoinHandle<Result<(), Error>> {
    let (engine, caller, id) = (world.engine.clone(), world.app.caller, grant.id);
    let patch = GrantPatch {
        external_id: Some(Some(format!("round-{round}"))),
        ..GrantPatch::default()
    };
    spawn(async move {
        let patched = engine.update_grant(&caller, GrantLocator::Id(id), patch);
        patched.await.map(drop)
    })
}

fn spawn<W>(work: W) -> JoinHandle<Result<(), Error>>
where
    W: Future<Output = Result<(), Error>> + Send + 'static,
{
    tokio::runtime::Handle::current().spawn(work)
}

async fn migrations_at_the_same_moment_never_mix_one_apps_tokens_with_anothers_credential(
    world: &World,
) {
    let app = &world.app;
    let clients = Clients::of(world).await;
    let first = app.connect(&SignIn::of(ALICE)).await;
    for round in 0..8 {
        let back = SignIn::of(ALICE).through(clients.dev);
        let racers = vec![
            exchanging(world, back).await,
            exchanging(world, SignIn::of(ALICE).through(clients.prod.id)).await,
            bringing(world, clients.staging.id, STAGING),
            bringing(world, clients.prod.id, PROD),
            labelling(world, &first, round),
        ];
        let mut won = 0;
        for racer in racers {
            match racer.await.unwrap() {
                Ok(()) => won += 1,
                // Whoever lost is told that trying again helps.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
            }
        }
        assert!(won >= 1);
        let after = app.grant(first.id).await;
        assert_eq!(after.created_at, first.created_at);
        clients.assert_consistent(world, &after).await;
    }
    assert_eq!(app.grants().await.len(), 1);
}

async fn a_label_set_during_a_migration_is_not_lost(world: &World) {
    let app = &world.app;
    let clients = Clients::of(world).await;
    let grant = app.connect(&SignIn::of(ALICE)).await;
    let again = SignIn::of(ALICE).through(clients.staging.id);
    let code = app.code(&again).await.unwrap();
    labelling(world, &grant, 7).await.unwrap().unwrap();
    app.exchange(&again, &code).await.unwrap();
    let after = app.grant(grant.id).await;
    assert_eq!(after.external_id.as_deref(), Some("round-7"));
    clients.assert_consistent(world, &after).await;
}

on_both_databases!(
    migration_by_signing_in_goes_both_ways_and_keeps_the_id,
    migration_by_bringing_a_token_goes_both_ways_and_keeps_the_id,
    a_brought_token_that_stays_is_kept_as_it_is,
    migrations_at_the_same_moment_never_mix_one_apps_tokens_with_anothers_credential,
    a_label_set_during_a_migration_is_not_lost,
);
on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    a_brought_token_that_the_provider_rotates_is_kept_rotated,
);
