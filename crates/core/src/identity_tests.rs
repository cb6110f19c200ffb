use super::*;
use crate::catalogue::Catalogue;
use crate::provider::Provider;
use serde_json::json;

const TID: &str = "11111111-2222-3333-4444-555555555555";

fn entry(provider: Provider) -> ProviderEntry {
    Catalogue::default().entry(provider).unwrap().clone()
}

fn claims(value: impl std::borrow::Borrow<Value>) -> Claims {
    value.borrow().as_object().unwrap().clone()
}

fn expected(tenant: Option<&'static str>) -> Expected<'static> {
    Expected {
        client_id: "app",
        tenant,
        nonce: Some("n"),
        now: UnixMillis::from_secs(1_000),
    }
}

fn google_claims() -> Value {
    json!({"iss": "https://accounts.google.com", "aud": "app", "exp": 2_000, "nonce": "n",
           "sub": "u1", "email": "a@b.c", "email_verified": true, "name": "A"})
}

#[test]
fn good_claims_pass_and_each_wrong_one_is_named() {
    let google = entry(Provider::Google);
    let check = |value: Value| check_claims(&google, &claims(value), expected(None));
    assert_eq!(check(google_claims()), Ok(()));
    for (name, wrong, error) in [
        ("iss", json!("https://evil.example"), ClaimError::Issuer),
        ("iss", Value::Null, ClaimError::Issuer),
        ("aud", json!("other"), ClaimError::Audience),
        ("aud", json!(["x", "y"]), ClaimError::Audience),
        ("azp", json!("other"), ClaimError::Audience),
        ("exp", json!(800), ClaimError::Expired),
        ("exp", Value::Null, ClaimError::Expired),
        ("nonce", json!("m"), ClaimError::Nonce),
        ("nonce", Value::Null, ClaimError::Nonce),
    ] {
        let mut value = google_claims();
        value[name] = wrong;
        assert_eq!(check(value), Err(error), "{name}");
    }
}

#[test]
fn microsoft_issuers_are_checked_against_the_tokens_own_tenant() {
    let microsoft = entry(Provider::Microsoft);
    let value = json!({"iss": format!("https://login.microsoftonline.com/{TID}/v2.0"), "tid": TID,
                       "aud": "app", "exp": 2_000, "nonce": "n"});
    let check =
        |value: &Value, tenant| check_claims(&microsoft, &claims(value.clone()), expected(tenant));
    assert_eq!(check(&value, None), Ok(()));
    assert_eq!(check(&value, Some(TID)), Ok(()));
    assert_eq!(check(&value, Some("contoso.com")), Ok(()));
    assert_eq!(
        check(&value, Some("99999999-2222-3333-4444-555555555555")),
        Err(ClaimError::Issuer)
    );
    let mut lying = value;
    lying["tid"] = json!("99999999-2222-3333-4444-555555555555");
    assert_eq!(check(&lying, None), Err(ClaimError::Issuer));
}

#[test]
fn the_callbacks_issuer_is_checked_when_it_comes() {
    let google = entry(Provider::Google);
    let microsoft = entry(Provider::Microsoft);
    assert!(callback_issuer_is_acceptable(&google, None));
    assert!(callback_issuer_is_acceptable(
        &google,
        Some("https://accounts.google.com")
    ));
    assert!(!callback_issuer_is_acceptable(
        &google,
        Some("https://login.microsoftonline.com/x/v2.0")
    ));
    let tenant = "https://login.microsoftonline.com/x/v2.0";
    assert!(callback_issuer_is_acceptable(&microsoft, Some(tenant)));
    for bad in [
        "https://login.microsoftonline.com//v2.0",
        "https://login.microsoftonline.com/a/b/v2.0",
    ] {
        assert!(
            !callback_issuer_is_acceptable(&microsoft, Some(bad)),
            "{bad}"
        );
    }
}

#[test]
fn rule_12_google_is_known_by_sub_and_microsoft_by_tenant_and_object_id() {
    let google = read_identity(&entry(Provider::Google), &claims(google_claims())).unwrap();
    assert_eq!(google.key.as_deref(), Some("u1"));
    assert_eq!(google.email_verified, Some(true));
    let value = json!({"sub": "pairwise", "oid": "o1", "tid": "t1", "preferred_username": "a@b.c"});
    let microsoft = read_identity(&entry(Provider::Microsoft), &claims(value)).unwrap();
    assert_eq!(microsoft.key.as_deref(), Some("t1|o1"));
    assert_eq!(microsoft.provider_user_id.as_deref(), Some("o1"));
    let without_oid = json!({"sub": "pairwise", "tid": "t1", "email": "a@b.c"});
    let unknown = read_identity(&entry(Provider::Microsoft), &claims(without_oid)).unwrap();
    assert_eq!(unknown.key, None);
}

#[test]
fn zoom_users_are_read_from_its_own_words() {
    let value = json!({"id": "z1", "email": "a@b.c", "first_name": "A", "last_name": "B"});
    let zoom = read_identity(&entry(Provider::Zoom), &claims(value)).unwrap();
    assert_eq!(
        (zoom.key.as_deref(), zoom.name.as_deref()),
        (Some("z1"), Some("A B"))
    );
}

#[test]
fn claims_without_an_address_are_no_identity() {
    for value in [
        json!({"sub": "u"}),
        json!({"sub": "u", "email": "nonsense"}),
    ] {
        assert_eq!(
            read_identity(&entry(Provider::Google), &claims(value)),
            None
        );
    }
}

#[test]
fn claims_are_found_by_their_name_and_by_their_path() {
    let claims = claims(json!({
        "a": {"b": {"c": "deep"}, "n": 7}, "a.b": "named", "https://x.test/id": "u", "empty": "", "list": ["x"],
    }));
    for (path, expected) in [
        ("a.b.c", Some("deep")),
        ("a.b", Some("named")),
        ("a.n", Some("7")),
        ("https://x.test/id", Some("u")),
        ("a", None),
        ("a.b.c.d", None),
        ("a.", None),
        (".", None),
        ("empty", None),
        ("list", None),
        ("list.0", None),
    ] {
        assert_eq!(told(&claims, path).as_deref(), expected, "{path}");
    }
}

#[test]
fn rule_12_an_identity_of_several_claims_needs_them_all() {
    let hubspot = entry("hubspot".parse().unwrap());
    let whole = json!({"user": "a@b.c", "hub_id": 62515, "user_id": 123});
    let identity = read_identity(&hubspot, &claims(&whole)).unwrap();
    assert_eq!(identity.key.as_deref(), Some("62515|123"));
    assert_eq!(identity.provider_user_id.as_deref(), Some("123"));
    let half = json!({"user": "a@b.c", "user_id": 123});
    assert_eq!(read_identity(&hubspot, &claims(&half)).unwrap().key, None);
}

#[test]
fn the_primary_address_of_a_list_counts() {
    let list = json!([
        {"email": "old@b.c", "primary": false, "verified": true},
        {"email": "a@b.c", "primary": true, "verified": false, "visibility": null},
    ]);
    assert_eq!(primary_email(&list), Some(("a@b.c".into(), Some(false))));
    for other in [
        json!([]),
        json!({}),
        json!([{"email": "a@b.c"}]),
        Value::Null,
    ] {
        assert_eq!(primary_email(&other), None, "{other}");
    }
}

#[test]
fn rule_12_a_members_name_is_no_way_into_the_token_endpoints_answer() {
    let mut slack = entry(Provider::Google);
    slack.identity = IdentityRule::Stable(vec!["token.team.id".into(), "id".into()]);
    let told =
        json!({"id": "u", "email": "a@b.c", "token.team.id": "evil", "token": {"team.id": "T1"}});
    let key = |value: &Value| read_identity(&slack, &claims(value)).unwrap().key;
    assert_eq!(key(&told).as_deref(), Some("T1|u"));
    let untold = json!({"id": "u", "email": "a@b.c", "token.team.id": "evil", "token": {}});
    assert_eq!(key(&untold), None);
}

#[test]
fn rule_12_two_parts_are_not_taken_for_another_two() {
    let mut own = entry(Provider::Google);
    own.identity = IdentityRule::Stable(vec!["a".into(), "b".into()]);
    let key = |a: &str, b: &str| {
        let told = json!({"a": a, "b": b, "email": "a@b.c"});
        read_identity(&own, &claims(told)).unwrap().key
    };
    assert_eq!(key("1", "2").as_deref(), Some("1|2"));
    assert_eq!((key("1|2", "3"), key("1", "2|3")), (None, None));
}
