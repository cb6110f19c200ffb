//! What pages need beside sign-ins: somewhere to end, and pictures.

use keyway_core::application::Platform;
use keyway_core::ids::ApplicationId;
use keyway_core::pkce::s256_challenge;
use keyway_core::provider::Provider::Google;
use keyway_engine::ErrorKind;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::pictures::PictureOf::{self, Background, Icon};
use keyway_engine::redirect_uris::NewRedirectUri;
use keyway_testkit::{ALICE, DEV, SignIn, World, object, on_both_databases};
use keyway_vault::hash::sha256;
use serde_json::{Map, json};

/// A sign-in with nowhere to return to.
async fn here(world: &World) -> SignIn {
    world.app.connector(Google, DEV).await;
    let url = world.engine.done_uri();
    let new = NewRedirectUri {
        url: url.clone(),
        platform: Platform::Web,
        settings: Map::new(),
    };
    let made = world.engine.create_redirect_uri(&world.app.caller, new);
    made.await.unwrap();
    SignIn::of(ALICE).back_to(&url)
}

async fn a_sign_in_with_nowhere_to_return_to_ends_here_and_gives_nobody_tokens(world: &World) {
    let sign_in = here(world).await.offline();
    let code = world.app.code(&sign_in).await.unwrap();
    let grant = world.engine.finish_here(code.clone()).await.unwrap();
    assert_eq!(world.app.grant(grant.id).await.email, ALICE);
    // Neither loading the page again nor the token endpoint gets anything for it.
    assert!(world.engine.finish_here(code.clone()).await.is_err());
    assert!(world.app.exchange(&sign_in, &code).await.is_err());
    let again = world.app.code(&sign_in).await.unwrap();
    let same = world.engine.finish_here(again).await.unwrap();
    assert_eq!(same.id, grant.id);
}

async fn a_code_for_elsewhere_or_with_a_challenge_does_not_end_here(world: &World) {
    let sign_in = here(world).await;
    let elsewhere = world.app.code(&SignIn::of(ALICE)).await.unwrap();
    assert!(world.engine.finish_here(elsewhere.clone()).await.is_err());
    // It is still good where it belongs.
    let answer = world.app.exchange(&SignIn::of(ALICE), &elsewhere).await;
    answer.unwrap();
    let challenge = s256_challenge("a-verifier-of-somebody-who-must-prove-it", sha256);
    let proving = sign_in.clone().pkce(&challenge, "S256", "unused");
    let code = world.app.code(&proving).await.unwrap();
    assert!(world.engine.finish_here(code).await.is_err());
    assert!(
        world
            .engine
            .finish_here("nonsense".to_owned())
            .await
            .is_err()
    );
}

async fn an_application_that_withdraws_the_address_means_codes_under_way(world: &World) {
    let sign_in = here(world).await;
    let code = world.app.code(&sign_in).await.unwrap();
    let caller = &world.app.caller;
    let (_, uris) = world.engine.application(world.app.id).await.unwrap();
    let done = world.engine.done_uri();
    let here = uris.iter().find(|uri| uri.url == done).unwrap();
    world
        .engine
        .delete_redirect_uri(caller, here.id)
        .await
        .unwrap();
    assert!(world.engine.finish_here(code).await.is_err());
    assert!(world.app.grants().await.is_empty());
}

const ICON: &str = "GIF89a, and what follows";

async fn look(world: &World, icon: &str) {
    let profile = object(json!({
        "branding": {"name": "Acme", "icon_url": icon},
        "hosted_authentication": {"background_image_url": "https://elsewhere.invalid/b.gif"},
    }));
    let patch = ApplicationPatch {
        profile,
        ..ApplicationPatch::default()
    };
    let changed = world.engine.update_application(&world.app.caller, patch);
    changed.await.unwrap();
}

async fn kind(world: &World, id: ApplicationId, of: PictureOf) -> Result<String, ErrorKind> {
    match world.engine.picture(id, of).await {
        Ok(picture) => Ok(picture.content_type.to_owned()),
        Err(error) => Err(error.kind()),
    }
}

async fn pictures_come_through_this_server_if_they_are_pictures(world: &World) {
    let id = world.app.id;
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    world
        .recorder
        .publish("cdn.invalid", "<svg onload=alert(1)>");
    look(world, "https://cdn.invalid/icon.svg").await;
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    world.recorder.publish("cdn.invalid", ICON);
    // A failure is not asked about at once again, and not forever.
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    world.pass_secs(60);
    assert_eq!(kind(world, id, Icon).await, Ok("image/gif".into()));
    assert_eq!(kind(world, id, Background).await, Err(ErrorKind::NotFound));
    // Remembered, until the application changes.
    world.recorder.publish("cdn.invalid", "gone");
    assert_eq!(kind(world, id, Icon).await, Ok("image/gif".into()));
    look(world, "https://cdn.invalid/icon-2.gif").await;
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    look(world, "http://cdn.invalid/icon.gif").await;
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    look(world, "file:///etc/passwd").await;
    assert_eq!(kind(world, id, Icon).await, Err(ErrorKind::NotFound));
    let nobody = ApplicationId::from_u128(7);
    assert_eq!(kind(world, nobody, Icon).await, Err(ErrorKind::NotFound));
}

on_both_databases!(
    a_sign_in_with_nowhere_to_return_to_ends_here_and_gives_nobody_tokens,
    a_code_for_elsewhere_or_with_a_challenge_does_not_end_here,
    an_application_that_withdraws_the_address_means_codes_under_way,
    pictures_come_through_this_server_if_they_are_pictures,
);
