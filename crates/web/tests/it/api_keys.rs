//! API keys over HTTP: what a service account's signature covers, and what comes of it.

use crate::client::{Answered, Asked, Client, ask, get, post};
use http::{Method, StatusCode};
use keyway_core::service_account::Permission;
use keyway_testkit::{TestServiceAccount, World, on_both_databases};
use serde_json::{Value, json};

on_both_databases!(
    a_key_is_made_listed_read_used_and_deleted,
    several_keys_are_good_at_the_same_time,
    every_part_of_a_request_is_covered_by_its_signature,
    a_body_need_not_be_canonical_but_must_be_the_one_that_was_signed,
    an_unknown_account_and_a_wrong_signature_are_refused_in_the_same_words,
    rule_09_a_signed_request_works_once,
    a_request_out_of_its_time_is_refused,
    rule_08_an_application_an_account_does_not_name_is_as_one_that_is_not_there,
    an_account_does_what_it_is_permitted_and_no_more,
    a_blocked_application_is_said_to_be,
    members_that_cannot_be_worked_with_are_named,
    an_account_that_asks_too_often_is_told_when_to_come_back,
);

async fn account(world: &World) -> TestServiceAccount {
    TestServiceAccount::create(&world.engine, &[world.app.id], &Permission::ALL).await
}

fn keys(world: &World) -> String {
    format!("/v3/admin/applications/{}/api-keys", world.app.id)
}

/// Sends a request signed by `account`.
async fn signed(world: &World, account: &TestServiceAccount, asked: Asked) -> Answered {
    let asked = asked.signed(account, world.engine.now());
    Client::of(world).send(asked).await
}

async fn made(world: &World, account: &TestServiceAccount, body: &Value) -> Value {
    // Keys of the same moment are listed in any order.
    world.pass_secs(1);
    let answer = signed(world, account, post(keys(world)).json(body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    answer.json()["data"].clone()
}

/// The status an API key gets.
async fn status_of(world: &World, key: &Value) -> u16 {
    let asked = get("/v3/applications").bearer(key.as_str().unwrap());
    Client::of(world).send(asked).await.status.as_u16()
}

fn assert_refused(answer: &Answered, status: u16, words: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    let message = answer.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains(words), "{message}");
}

async fn a_key_is_made_listed_read_used_and_deleted(world: &World) {
    let account = account(world).await;
    let now = world.engine.now().as_secs() + 1;
    let seq = world.latest_seq().await;
    let key = made(world, &account, &json!({"name": "CI", "expires_in": 2})).await;
    let end = now + 2 * 86_400;
    for (member, value) in [
        ("application_id", json!(world.app.id)),
        ("name", json!("CI")),
        ("status", json!("active")),
        ("permissions", json!(["all"])),
        ("created_at", json!(now)),
        ("updated_at", json!(now)),
        ("expires_at", json!(end)),
    ] {
        assert_eq!(key[member], value, "{member}");
    }
    assert_eq!(status_of(world, &key["api_key"]).await, 200);
    let one = format!("{}/{}", keys(world), key["id"].as_str().unwrap());
    world.pass_secs(86_400);
    let read = signed(world, &account, get(&one)).await.json()["data"].clone();
    assert_eq!(
        (&read["id"], &read["expires_in"]),
        (&key["id"], &json!(86_400))
    );
    let listed = signed(world, &account, get(keys(world))).await;
    assert_eq!(listed.json()["data"][1], read);
    let secret = key["api_key"].as_str().unwrap();
    assert!(!listed.body.contains(secret) && read.get("api_key").is_none());
    // Some clients send one; it is neither covered nor read.
    let bodied = ask(Method::DELETE, &one).text("no JSON");
    let gone = signed(world, &account, bodied).await;
    assert_eq!(gone.json().as_object().unwrap().len(), 1);
    assert_eq!(status_of(world, &key["api_key"]).await, 401);
    for method in [Method::GET, Method::DELETE] {
        assert_refused(
            &signed(world, &account, ask(method, &one)).await,
            404,
            "API key",
        );
    }
    let left = signed(world, &account, get(keys(world))).await.json();
    assert_eq!(left["data"].as_array().unwrap().len(), 1);
    let told: Vec<_> = world.changes_since(seq).await;
    let told: Vec<_> = told
        .iter()
        .map(|c| (c.entity.as_str(), c.action.as_str(), c.actor.clone()))
        .collect();
    let actor = format!("service_account:{}", account.id);
    let expected = [
        ("api_key", "created", actor.clone()),
        ("api_key", "revoked", actor),
    ];
    assert_eq!(told, expected);
}

async fn several_keys_are_good_at_the_same_time(world: &World) {
    let account = account(world).await;
    let old = made(world, &account, &json!({"name": "2026", "expires_in": 1})).await;
    let new = made(world, &account, &json!({"name": "2027", "expires_in": 90})).await;
    let first = json!(world.app.api_key());
    for key in [&old["api_key"], &new["api_key"], &first] {
        assert_eq!(status_of(world, key).await, 200);
    }
    world.pass_secs(86_398);
    assert_eq!(status_of(world, &old["api_key"]).await, 200);
    world.pass_secs(1);
    assert_eq!(status_of(world, &old["api_key"]).await, 401);
    assert_eq!(status_of(world, &new["api_key"]).await, 200);
    let listed = signed(world, &account, get(keys(world))).await.json();
    let states: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["status"])
        .collect();
    assert_eq!(states, ["active", "expired", "active"]);
    world.pass_secs(30 * 86_400);
    let listed = signed(world, &account, get(keys(world))).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
}

async fn every_part_of_a_request_is_covered_by_its_signature(world: &World) {
    let (account, client) = (account(world).await, Client::of(world));
    let seq = world.latest_seq().await;
    let now = world.engine.now();
    let honest = || post(keys(world)).text(r#"{"name":"n"}"#);
    let proof = |nonce: &str| account.proof_with(honest().covered(), now.as_secs(), nonce);
    let elsewhere = format!("/v3/admin/applications/{}/api-keys", account.id);
    let mut later = proof("a");
    later.timestamp += 1;
    let mut another = proof("b");
    another.nonce = "c".to_owned();
    let tampered = [
        honest().proved(&later),
        honest().proved(&another),
        post(keys(world))
            .text(r#"{"name":"m"}"#)
            .proved(&proof("d")),
        post(keys(world))
            .text(r#"{"name":"n" }"#)
            .proved(&proof("e")),
        post(keys(world)).proved(&proof("f")),
        post(elsewhere).text(r#"{"name":"n"}"#).proved(&proof("g")),
        get(keys(world)).proved(&proof("h")),
        post(keys(world) + "/")
            .text(r#"{"name":"n"}"#)
            .proved(&proof("i")),
    ];
    for asked in tampered {
        let answer = client.send(asked).await;
        let is_refused = [401, 404].contains(&answer.status.as_u16());
        assert!(is_refused, "{}", answer.body);
        assert!(!answer.body.contains("api_key"), "{}", answer.body);
    }
    assert_eq!(world.latest_seq().await, seq);
    let answer = client.send(honest().proved(&proof("j"))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
}

async fn a_body_need_not_be_canonical_but_must_be_the_one_that_was_signed(world: &World) {
    let account = account(world).await;
    for body in [
        " {\"name\" : \"pretty\",\n\t\"expires_in\": 3.0 } ",
        r#"{"name":"Zo\u00eb \ud83d\udd11 \"\\\/","b":{"z":1,"a":[{"y":1e40,"x":-0}]},"a":null}"#,
    ] {
        world.pass_secs(1);
        let answer = signed(world, &account, post(keys(world)).text(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    }
    let listed = signed(world, &account, get(keys(world))).await.json();
    assert_eq!(listed["data"][2]["name"], "Zoë 🔑 \"\\/");
    let canonical = post(keys(world)).text(r#"{"expires_in":3,"name":"n"}"#);
    let proof = account.proof(canonical.covered(), world.engine.now());
    let sent = post(keys(world)).text(r#"{"name": "n", "expires_in": 3}"#);
    let answer = Client::of(world).send(sent.proved(&proof)).await;
    assert_refused(&answer, 401, "signature invalid");
    let broken = signed(world, &account, post(keys(world)).text("{\"name\":")).await;
    assert_refused(&broken, 400, "Invalid JSON");
}

async fn an_unknown_account_and_a_wrong_signature_are_refused_in_the_same_words(world: &World) {
    let (known, other) = (account(world).await, account(world).await);
    let now = world.engine.now();
    let asked = || get(keys(world));
    let mut unknown = known.proof(asked().covered(), now);
    unknown.account_id = Some(keyway_core::ids::ServiceAccountId::from_u128(1));
    let mut none = known.proof(asked().covered(), now);
    none.account_id = None;
    let mut wrong = known.proof(asked().covered(), now);
    wrong.account_id = Some(other.id);
    let revoked = other.proof(asked().covered(), now);
    world.engine.revoke_service_account(other.id).await.unwrap();
    let mut told = Vec::new();
    for proof in [unknown, none, wrong, revoked] {
        let answer = Client::of(world).send(asked().proved(&proof)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        told.push(answer.json()["error"].clone());
    }
    told.dedup();
    let expected = json!({"type": "token.unauthorized_access", "message": "Service account signature invalid"});
    assert_eq!(told, [expected]);
}

async fn rule_09_a_signed_request_works_once(world: &World) {
    let (account, client) = (account(world).await, Client::of(world));
    let asked = || post(keys(world)).text(r#"{"name":"once"}"#);
    let proof = account.proof(asked().covered(), world.engine.now());
    assert_eq!(
        client.send(asked().proved(&proof)).await.status,
        StatusCode::OK
    );
    assert_refused(
        &client.send(asked().proved(&proof)).await,
        401,
        "X-Nylas-Nonce",
    );
    // Not even over something else, signed anew; and a refused request has used its nonce too.
    let reused = account.proof_with(get(keys(world)).covered(), proof.timestamp, &proof.nonce);
    assert_refused(
        &client.send(get(keys(world)).proved(&reused)).await,
        401,
        "X-Nylas-Nonce",
    );
    let bad = || post(keys(world)).text("{}");
    let proof = account.proof(bad().covered(), world.engine.now());
    assert_refused(&client.send(bad().proved(&proof)).await, 400, "name");
    assert_refused(
        &client.send(bad().proved(&proof)).await,
        401,
        "X-Nylas-Nonce",
    );
    // A wrong signature uses nothing up: strangers do not fill the table.
    let mut forged = account.proof(get(keys(world)).covered(), world.engine.now());
    let good = std::mem::replace(&mut forged.signature, "AAAA".to_owned());
    assert_refused(
        &client.send(get(keys(world)).proved(&forged)).await,
        401,
        "invalid",
    );
    forged.signature = good;
    assert_eq!(
        client.send(get(keys(world)).proved(&forged)).await.status,
        StatusCode::OK
    );
}

async fn a_request_out_of_its_time_is_refused(world: &World) {
    let (account, client) = (account(world).await, Client::of(world));
    let now = world.engine.now();
    for (timestamp, accepted) in [
        (now.as_secs() - 300, true),
        (now.as_secs() + 300, true),
        (now.0, true),
        (now.as_secs() - 301, false),
        (now.as_secs() + 301, false),
    ] {
        let nonce = format!("n{timestamp}");
        let proof = account.proof_with(get(keys(world)).covered(), timestamp, &nonce);
        let answer = client.send(get(keys(world)).proved(&proof)).await;
        if accepted {
            assert_eq!(
                answer.status,
                StatusCode::OK,
                "{timestamp}: {}",
                answer.body
            );
        } else {
            assert_refused(&answer, 401, "5 minutes");
        }
    }
}

async fn rule_08_an_application_an_account_does_not_name_is_as_one_that_is_not_there(
    world: &World,
) {
    let account = account(world).await;
    let other = world.application("other").await;
    let seq = world.latest_seq().await;
    let mut told = Vec::new();
    let key = other.caller.key_id;
    for application in [
        other.id.to_string(),
        account.id.to_string(),
        "nonsense".to_owned(),
    ] {
        let base = format!("/v3/admin/applications/{application}/api-keys");
        let asked = [
            get(&base),
            post(&base).text(r#"{"name":"n"}"#),
            get(format!("{base}/{key}")),
            ask(Method::DELETE, format!("{base}/{key}")),
        ];
        for asked in asked {
            world.pass_secs(1);
            let answer = signed(world, &account, asked).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.body);
            told.push(answer.json()["error"].clone());
        }
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // Its key is no key of an application the account does name.
    let foreign = format!("{}/{key}", keys(world));
    assert_refused(
        &signed(world, &account, get(&foreign)).await,
        404,
        "No API key",
    );
    let delete = ask(Method::DELETE, &foreign);
    assert_refused(&signed(world, &account, delete).await, 404, "No API key");
    assert_eq!(world.latest_seq().await, seq);
    assert_eq!(status_of(world, &json!(other.api_key())).await, 200);
}

async fn an_account_does_what_it_is_permitted_and_no_more(world: &World) {
    let one = format!("{}/{}", keys(world), world.app.caller.key_id);
    let seq = world.latest_seq().await;
    for (permission, method, path) in [
        (Permission::CreateKeys, Method::POST, keys(world)),
        (Permission::ReadKeys, Method::GET, keys(world)),
        (Permission::ReadKeys, Method::GET, one.clone()),
        (Permission::DeleteKeys, Method::DELETE, one),
    ] {
        let others: Vec<_> = Permission::ALL
            .into_iter()
            .filter(|p| *p != permission)
            .collect();
        let id = world.app.id;
        let lacking = TestServiceAccount::create(&world.engine, &[id], &others).await;
        let asked = ask(method, path).text(r#"{"name":"n"}"#);
        let answer = signed(world, &lacking, asked).await;
        assert_refused(&answer, 401, permission.as_str());
        assert_eq!(answer.error_type(), "token.unauthorized_access");
    }
    let changed = world.changes_since(seq).await;
    assert!(
        changed
            .iter()
            .all(|c| c.entity.as_str() == "service_account")
    );
}

async fn a_blocked_application_is_said_to_be(world: &World) {
    let account = account(world).await;
    world.set_blocked(&world.app, true).await;
    let answer = signed(world, &account, get(keys(world))).await;
    assert_refused(&answer, 423, "blocked");
}

async fn members_that_cannot_be_worked_with_are_named(world: &World) {
    let account = account(world).await;
    let long = "n".repeat(201);
    for (body, words) in [
        (json!({}), "name: is required"),
        (json!({"name": 1}), "name: must be a string"),
        (json!({"name": " "}), "name: must be 1 to 200"),
        (json!({"name": long}), "name: must be 1 to 200"),
        (
            json!({"name": "n", "expires_in": "90"}),
            "expires_in: must be a number",
        ),
        (
            json!({"name": "n", "expires_in": 0.5}),
            "expires_in: must be a whole number",
        ),
        (
            json!({"name": "n", "expires_in": 0}),
            "expires_in: must be 1 to 36500",
        ),
        (
            json!({"name": "n", "expires_in": -1}),
            "expires_in: must be 1 to 36500",
        ),
        (
            json!({"name": "n", "expires_in": 36501}),
            "expires_in: must be 1 to 36500",
        ),
        (
            json!({"name": "n", "expires_in": 1e300}),
            "expires_in: must be 1 to 36500",
        ),
        (json!(["name"]), "JSON object"),
    ] {
        world.pass_secs(1);
        let answer = signed(world, &account, post(keys(world)).json(&body)).await;
        assert_refused(&answer, 400, words);
    }
    let form = post(keys(world)).form("name=n");
    assert_eq!(signed(world, &account, form).await.status.as_u16(), 415);
}

async fn an_account_that_asks_too_often_is_told_when_to_come_back(world: &World) {
    let (busy, other) = (account(world).await, account(world).await);
    let mut statuses = Vec::new();
    for _ in 0..11 {
        statuses.push(signed(world, &busy, get(keys(world))).await);
    }
    let refused = statuses.pop().unwrap();
    assert!(
        statuses
            .iter()
            .all(|answer| answer.status == StatusCode::OK)
    );
    assert_refused(&refused, 429, "Too many requests");
    assert_eq!(refused.error_type(), "api.rate_limit_error");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(
        signed(world, &other, get(keys(world))).await.status,
        StatusCode::OK
    );
    world.pass_secs(1);
    assert_eq!(
        signed(world, &busy, get(keys(world))).await.status,
        StatusCode::OK
    );
}
