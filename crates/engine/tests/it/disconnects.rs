//! Work that has begun is finished, whatever becomes of whoever asked for it.

use keyway_core::ids::TokenSetId;
use keyway_core::provider::Provider::Google;
use keyway_core::time::UnixMillis;
use keyway_core::token_set::consent_key;
use keyway_sandbox::{Fault, Faults, Rotation};
use keyway_testkit::{ALICE, DEV, SignIn, World, eventually, on_both_databases};

const SLOW: u64 = 200;

fn slow_token_endpoint(world: &World) {
    world.provider.set_faults(Faults {
        token: Some(Fault::delay(SLOW)),
        ..Faults::default()
    });
}

/// Drops `work` once the provider has been asked and before it has answered.
async fn drop_in_the_middle<T>(world: &World, grant_type: &str, work: impl Future<Output = T>) {
    let asked = async || world.provider.counters().token_requests_of(grant_type) > 0;
    let work = Box::pin(work);
    tokio::select! {
        _ = work => panic!("it was done before it could be dropped"),
        () = eventually("the provider is asked", asked) => {}
    }
}

async fn a_brought_token_is_kept_though_its_bringer_has_hung_up(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    slow_token_endpoint(world);
    let brought = app.minted(DEV, ALICE);
    drop_in_the_middle(
        world,
        "refresh_token",
        Box::pin(app.bring(Google, None, &brought)),
    )
    .await;
    assert!(app.grants().await.is_empty());
    eventually("the grant is made", async || app.grants().await.len() == 1).await;
    // The provider rotated the token: the old one is dead, and the new one is ours.
    let grant = app.grants().await.remove(0);
    let kept = world.tokens(&grant).await.refresh_token.unwrap();
    assert_ne!(kept, brought);
    assert!(world.provider.is_alive(&kept) && !world.provider.is_alive(&brought));
}

async fn a_graceful_stop_waits_for_what_was_begun(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    slow_token_endpoint(world);
    let brought = app.minted(DEV, ALICE);
    drop_in_the_middle(
        world,
        "refresh_token",
        Box::pin(app.bring(Google, None, &brought)),
    )
    .await;
    world.engine.shutdown().await;
    assert_eq!(app.grants().await.len(), 1);
}

async fn a_callback_is_finished_though_the_browser_has_gone(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let at = app.start(&sign_in).await.unwrap();
    let params = app.at_provider(&at, &sign_in);
    slow_token_endpoint(world);
    drop_in_the_middle(
        world,
        "authorization_code",
        Box::pin(app.finish(&at, params)),
    )
    .await;
    let subject = world.provider.subject(ALICE, DEV);
    let consent = consent_key(Google, None, Some(DEV), Some(&subject)).unwrap();
    eventually("the tokens wait for the exchange", async || {
        let (consent, nobody) = (consent.clone(), TokenSetId::from_u128(0));
        let job = world.store.read(move |s| {
            Box::pin(async move { s.live_consents(&consent, nobody, UnixMillis(0)).await })
        });
        job.await.unwrap() == 1
    })
    .await;
}

async fn an_exchange_is_finished_though_the_application_has_hung_up(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let sign_in = SignIn::of(ALICE);
    let code = app.code(&sign_in).await.unwrap();
    tokio::select! {
        biased;
        _ = app.exchange(&sign_in, &code) => panic!("it was done at once"),
        () = std::future::ready(()) => {}
    }
    eventually("the grant is made", async || app.grants().await.len() == 1).await;
    assert!(app.exchange(&sign_in, &code).await.is_err());
}

on_both_databases!(
    a_callback_is_finished_though_the_browser_has_gone,
    an_exchange_is_finished_though_the_application_has_hung_up,
);
on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    a_brought_token_is_kept_though_its_bringer_has_hung_up,
    a_graceful_stop_waits_for_what_was_begun,
);
