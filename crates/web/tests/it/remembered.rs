//! Answers that need no router are the router's own.

use crate::client::{Answered, Client, get};
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, Uri};
use http_body_util::BodyExt as _;
use keyway_core::provider::Provider;
use keyway_testkit::{ALICE, DEV, SignIn, World, on_both_databases};
use keyway_web::hot::remembered;
use secrecy::ExposeSecret as _;

on_both_databases!(
    a_remembered_grant_is_answered_as_the_router_answers_it,
    nothing_is_answered_that_is_not_remembered,
);

/// An answer without its request id, which must be the same in body and header, and without its length,
/// which whoever writes the answer adds.
fn without_request_id(answer: &Answered) -> (u16, Vec<(String, String)>, String) {
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.json()["request_id"], id);
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != CONTENT_LENGTH)
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (
        answer.status.as_u16(),
        headers,
        answer.body.replace(id, "-"),
    )
}

async fn hot(world: &World, path: &str, bearer: &str) -> Option<Answered> {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {bearer}")).unwrap();
    headers.insert(AUTHORIZATION, value);
    let uri: Uri = path.parse().unwrap();
    let (parts, body) = remembered(&world.engine, &Method::GET, &uri, &headers)?.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Some(Answered {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    })
}

async fn a_remembered_grant_is_answered_as_the_router_answers_it(world: &World) {
    let client = Client::of(world);
    world.app.connector(Provider::Google, DEV).await;
    let signed_in = world.app.sign_in(&SignIn::of(ALICE)).await;
    let by_id = format!("/v3/grants/{}", signed_in.grant_id);
    let token = signed_in.access_token.expose_secret();
    for (path, bearer) in [
        (by_id.as_str(), world.app.api_key()),
        (by_id.as_str(), token),
        ("/v3/grants/me", token),
    ] {
        let routed = client.send(get(path).bearer(bearer)).await;
        assert_eq!(routed.status, 200, "{}", routed.body);
        let hot = hot(world, path, bearer).await.unwrap();
        assert_eq!(
            without_request_id(&hot),
            without_request_id(&routed),
            "{path}"
        );
    }
}

async fn nothing_is_answered_that_is_not_remembered(world: &World) {
    world.app.connector(Provider::Google, DEV).await;
    let signed_in = world.app.sign_in(&SignIn::of(ALICE)).await;
    let stranger = world.application("stranger").await;
    let path = format!("/v3/grants/{}", signed_in.grant_id);
    let client = Client::of(world);
    client.send(get(&path).bearer(world.app.api_key())).await;
    client.send(get(&path).bearer(stranger.api_key())).await;
    assert!(hot(world, &path, world.app.api_key()).await.is_some());
    for (path, bearer) in [
        (path.as_str(), stranger.api_key()),
        (path.as_str(), "kwk_unknown"),
        ("/v3/grants/me", world.app.api_key()),
        ("/v3/grants", world.app.api_key()),
    ] {
        assert!(hot(world, path, bearer).await.is_none(), "{path}");
    }
    let asked = client.send(get(&path).bearer(stranger.api_key())).await;
    assert_eq!(asked.status, 404);
}
