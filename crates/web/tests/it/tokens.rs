//! Keyway's own tokens, shown by another application's key.

use crate::client::{Client, get, post};
use keyway_core::provider::Provider;
use keyway_testkit::{ALICE, DEV, SignIn, World, on_both_databases};
use secrecy::ExposeSecret as _;

on_both_databases!(rule_08_a_key_opens_and_ends_no_token_of_another_application);

async fn rule_08_a_key_opens_and_ends_no_token_of_another_application(world: &World) {
    let client = Client::of(world);
    world.app.connector(Provider::Google, DEV).await;
    let signed_in = world.app.sign_in(&SignIn::of(ALICE)).await;
    let stranger = world.application("stranger").await;
    let access = signed_in.access_token.expose_secret();
    let info = format!("/v3/connect/tokeninfo?access_token={access}");
    let id_info = format!("/v3/connect/tokeninfo?id_token={}", signed_in.id_token);
    let revoke = format!("/v3/connect/revoke?token={access}");
    let asked = [get(&info), get(&id_info), post(&revoke)];
    for asked in asked {
        let answer = client.send(asked.bearer(stranger.api_key())).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert_eq!(answer.json()["error"], "invalid_token");
    }
    for bearer in [world.app.api_key(), "not-a-key"] {
        let answer = client.send(get(&info).bearer(bearer)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let ended = client.send(post(&revoke).bearer(world.app.api_key())).await;
    assert_eq!(ended.status, 200, "{}", ended.body);
    assert_eq!(client.send(get(&info)).await.status, 400);
}
