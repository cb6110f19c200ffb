//! A database that stores something and is not heard to: what is tried again must not undo what came since.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::Google;
use keyway_core::time::ManualClock;
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::{Engine, Principal};
use keyway_sandbox::Rotation;
use keyway_store::StoreError;
use keyway_store::testing::{Moment, Stage, simulated_outage};
use keyway_testkit::{ALICE, DEV, World, object, on_both_databases};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Once a grant of Alice's has been stored, another process refreshes it, and then nobody hears that it was stored.
struct Unheard {
    is_over: AtomicBool,
    elsewhere: Engine,
    alice: (Principal, GrantLocator),
    clock: Arc<ManualClock>,
}

async fn refresh_elsewhere(
    engine: Engine,
    alice: (Principal, GrantLocator),
    clock: Arc<ManualClock>,
) -> bool {
    let Ok(grant) = engine.grant(&alice.0, alice.1).await else {
        return false;
    };
    clock.advance_ms(3_601_000);
    engine.fresh_token(&grant).await.unwrap();
    true
}

struct OnStage(Arc<Unheard>);

impl Stage for OnStage {
    fn turn(&self, moment: Moment) -> BoxFuture<'static, Result<(), StoreError>> {
        let this = Arc::clone(&self.0);
        async move {
            if moment != Moment::AfterWrite || this.is_over.load(Relaxed) {
                return Ok(());
            }
            let (engine, clock) = (this.elsewhere.clone(), this.clock.clone());
            match refresh_elsewhere(engine, this.alice.clone(), clock).await {
                true => {
                    this.is_over.store(true, Relaxed);
                    Err(simulated_outage())
                }
                false => Ok(()),
            }
        }
        .boxed()
    }

    fn is_alone(&self) -> bool {
        false
    }
}

async fn rule_05_tokens_that_were_stored_unheard_do_not_come_back_after_a_refresh(world: &World) {
    let app = &world.app;
    app.connector(Google, DEV).await;
    let unheard = Arc::new(Unheard {
        is_over: AtomicBool::new(false),
        elsewhere: world.engine.clone(),
        alice: (
            Principal::Key(app.caller),
            GrantLocator::Email(ALICE.to_owned()),
        ),
        clock: world.clock.clone(),
    });
    let (staged, store) = world
        .staged_engine(Arc::new(OnStage(unheard.clone())))
        .await;
    let request = CustomAuthentication {
        provider: Some(Google),
        settings: object(json!({"refresh_token": app.minted(DEV, ALICE)})),
        ..CustomAuthentication::default()
    };
    let grant = staged.custom_authentication(&app.caller, request).await;
    let grant = grant.unwrap();
    assert!(unheard.is_over.load(Relaxed));
    let kept = world.tokens(&grant).await.refresh_token.unwrap();
    assert!(world.provider.is_alive(&kept), "the newest is kept");
    world.pass_secs(3601);
    world.engine.fresh_token(&grant).await.unwrap();
    assert_eq!(app.grants().await.len(), 1);
    store.close().await;
}

on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    rule_05_tokens_that_were_stored_unheard_do_not_come_back_after_a_refresh,
);
