//! Yahoo and Zoom: clients that prove themselves by HTTP Basic, tokens that rotate, consents that are revoked.

use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::provider::Provider::{self, Yahoo, Zoom};
use keyway_sandbox::{Fault, Faults, Rotation};
use keyway_testkit::{
    ALICE, CALLBACK_URI, Call, DEV, SignIn, World, eventually, on_both_databases,
};
use secrecy::ExposeSecret as _;

const TOKEN: &str = "/token";
const REVOCATION: &str = "/token/revocation";

/// What was sent to a path.
fn sent(world: &World, path: &str) -> Vec<Call> {
    let calls = world.recorder.calls().into_iter();
    calls.filter(|call| call.path == path).collect()
}

async fn token(world: &World, grant: &Grant) -> String {
    let grant = world.app.grant(grant.id).await;
    let token = world.engine.fresh_token(&grant).await.unwrap();
    token.access_token.expose_secret().to_owned()
}

async fn connected(world: &World, provider: Provider) -> Grant {
    world.app.connector(provider, DEV).await;
    // Zoom's scopes live on its app; the sandbox, which has none such, has to be asked.
    let sign_in = SignIn::of(ALICE).at(provider).scope("openid email");
    world.app.connect(&sign_in).await
}

/// Signs in, refreshes twice with a token that dies at each use, and deletes the grant.
async fn whole_life(world: &World, provider: Provider) -> Vec<Call> {
    let grant = connected(world, provider).await;
    let mut seen = vec![token(world, &grant).await];
    for _ in 0..2 {
        world.pass_secs(3601);
        seen.push(token(world, &grant).await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let gone = world
        .engine
        .delete_grant(&world.app.caller, GrantLocator::Id(grant.id));
    gone.await.unwrap();
    eventually("the provider is told", async || {
        !sent(world, REVOCATION).is_empty()
    })
    .await;
    assert!(!world.provider.is_alive(&seen[2]));
    let calls = [sent(world, TOKEN), sent(world, REVOCATION)].concat();
    assert_eq!(calls.len(), 4, "a code, two refreshes, a revocation");
    for call in &calls {
        // The sandbox takes neither nobody nor two proofs: what is not in the form was in the header.
        assert!(!call.form.contains_key("client_secret"), "{}", call.path);
    }
    calls
}

async fn a_yahoo_grant_lives_by_basic_and_repeats_its_redirect_uri(world: &World) {
    let calls = whole_life(world, Yahoo).await;
    for call in calls.iter().filter(|call| call.path == TOKEN) {
        assert_eq!(call.form["redirect_uri"], CALLBACK_URI);
    }
}

async fn a_zoom_grant_lives_by_basic_and_replaces_its_token_each_time(world: &World) {
    let calls = whole_life(world, Zoom).await;
    let refreshes = calls
        .iter()
        .filter_map(|call| call.form.get("refresh_token"));
    let used: Vec<_> = refreshes.collect();
    assert_eq!(used.len(), 2);
    assert_ne!(used[0], used[1]);
    let repeats = calls.iter().filter(|c| c.form.contains_key("redirect_uri"));
    assert_eq!(repeats.count(), 1, "with the code alone");
}

async fn rule_06_yahoos_own_words_of_trouble_end_no_grant(world: &World) {
    let grant = connected(world, Yahoo).await;
    world.pass_secs(3601);
    world.provider.set_faults(Faults {
        token: Some(Fault::error("ERROR_HANDLING_REQUEST", "try again")),
        ..Faults::default()
    });
    let kept = world.app.grant(grant.id).await;
    world.engine.fresh_token(&kept).await.unwrap_err();
    let kept = world.app.grant(grant.id).await;
    assert_eq!(kept.effective_status(), GrantStatus::Valid);
    world.provider.set_faults(Faults::default());
    world.pass_secs(60);
    token(world, &grant).await;
}

on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    a_yahoo_grant_lives_by_basic_and_repeats_its_redirect_uri,
    a_zoom_grant_lives_by_basic_and_replaces_its_token_each_time,
    rule_06_yahoos_own_words_of_trouble_end_no_grant,
);
