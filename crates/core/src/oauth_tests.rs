use super::*;
use crate::catalogue::Catalogue;
use crate::provider::Provider;

fn entry(provider: Provider) -> ProviderEntry {
    Catalogue::default().entry(provider).unwrap().clone()
}

fn client() -> Client {
    Client {
        client_id: "id 1".into(),
        client_secret: secret("s:e/c"),
        tenant: None,
    }
}

fn form_of(request: &TokenRequest) -> Vec<(&'static str, String)> {
    request
        .form
        .iter()
        .map(|(name, value)| (*name, value.expose_secret().to_owned()))
        .collect()
}

#[test]
fn an_authorization_request_carries_pkce_state_nonce_and_the_providers_habits() {
    let scope = Scopes::parse("openid a").unwrap();
    let request = AuthorizeRequest {
        client_id: "c",
        tenant: None,
        redirect_uri: "https://k/cb",
        scope: &scope,
        state: "st",
        nonce: "no",
        code_challenge: "ch",
        login_hint: Some("a+b@c.d"),
        exclude_granted_scopes: false,
        force_consent: false,
    };
    let url = authorize_url(&entry(Provider::Google), &request).unwrap();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("state", "st"),
        ("nonce", "no"),
        ("code_challenge", "ch"),
        ("code_challenge_method", "S256"),
        ("login_hint", "a+b@c.d"),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("include_granted_scopes", "true"),
        ("scope", "openid a"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    let excluded = AuthorizeRequest {
        exclude_granted_scopes: true,
        ..request
    };
    let url = authorize_url(&entry(Provider::Google), &excluded).unwrap();
    assert!(!url.as_str().contains("include_granted_scopes"));
}

#[test]
fn rule_08_consent_can_be_forced_where_a_provider_application_can_be_lent() {
    let scope = Scopes::parse("openid").unwrap();
    let request = AuthorizeRequest {
        client_id: "c",
        tenant: None,
        redirect_uri: "https://k/cb",
        scope: &scope,
        state: "st",
        nonce: "no",
        code_challenge: "ch",
        login_hint: None,
        exclude_granted_scopes: true,
        force_consent: true,
    };
    for (provider, expected) in [
        (Provider::Google, vec!["consent"]),
        (Provider::Microsoft, vec!["consent"]),
        (Provider::Yahoo, vec!["consent"]),
        (Provider::Zoom, vec![]),
        ("linear".parse().unwrap(), vec!["consent"]),
        ("atlassian".parse().unwrap(), vec!["consent"]),
        ("github".parse().unwrap(), vec![]),
    ] {
        let url = authorize_url(&entry(provider), &request).unwrap();
        let asked = url.query_pairs().filter(|(name, _)| name == "prompt");
        let asked: Vec<_> = asked.map(|(_, value)| value.into_owned()).collect();
        assert_eq!(asked, expected, "{provider}");
        let lent = entry(provider).consent_param.is_some();
        assert_eq!(lent, !expected.is_empty(), "{provider}");
    }
}

#[test]
fn clients_prove_themselves_as_the_provider_wants() {
    let token = secret("r");
    let grant = TokenGrant::RefreshToken {
        refresh_token: &token,
        redirect_uri: "https://k/cb",
    };
    let google = token_request(&entry(Provider::Google), &client(), grant).unwrap();
    assert!(google.authorization.is_none());
    assert!(form_of(&google).contains(&("client_secret", "s:e/c".into())));
    let yahoo = token_request(&entry(Provider::Yahoo), &client(), grant).unwrap();
    // base64("id+1:s%3Ae%2Fc")
    assert_eq!(
        yahoo.authorization.unwrap().expose_secret(),
        "Basic aWQrMTpzJTNBZSUyRmM="
    );
    assert!(yahoo.form.iter().any(|(name, _)| *name == "redirect_uri"));
    assert!(!yahoo.form.iter().any(|(name, _)| *name == "client_secret"));
}

#[test]
fn rule_07_a_token_request_shows_no_value_when_printed() {
    let code = secret("the-code");
    let grant = TokenGrant::AuthorizationCode {
        code: &code,
        redirect_uri: "https://k/cb",
        code_verifier: Some("the-verifier"),
    };
    let request = token_request(&entry(Provider::Google), &client(), grant).unwrap();
    let text = format!("{request:?}");
    for hidden in ["the-code", "the-verifier", "s:e/c"] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[test]
fn tokens_are_read_with_every_spelling_of_scope_and_lifetime() {
    let read = |body: &str| match read_token_answer(200, body.as_bytes()) {
        TokenAnswer::Tokens(tokens) => tokens,
        other => panic!("{other:?}"),
    };
    let tokens = read(r#"{"access_token":"a","expires_in":"60","scope":["x","y"],"new":1}"#);
    assert_eq!(
        (
            tokens.expires_in_secs.unwrap(),
            tokens.scope.unwrap().to_string().as_str()
        ),
        (60, "x y")
    );
    assert!(tokens.refresh_token.is_none());
    for (expires_in, expected) in [
        ("", DEFAULT_LIFETIME_SECS),
        (r#","expires_in":-5"#, DEFAULT_LIFETIME_SECS),
        (r#","expires_in":"soon""#, DEFAULT_LIFETIME_SECS),
        (
            r#","expires_in":99999999999999999999"#,
            DEFAULT_LIFETIME_SECS,
        ),
        (r#","expires_in":18446744073709551615"#, LIFETIME_MAX_SECS),
        (r#","expires_in":0"#, DEFAULT_LIFETIME_SECS),
    ] {
        let body = format!(r#"{{"access_token":"a"{expires_in}}}"#);
        assert_eq!(read(&body).expires_in_secs, Some(expected), "{body}");
    }
}

#[test]
fn refusals_keep_the_providers_words_and_lose_control_characters() {
    let body = br#"{"error":"invalid_grant","error_description":"AADSTS50173: a\r\nb","error_codes":[50173],"suberror":"x"}"#;
    let TokenAnswer::Refused(error) = read_token_answer(400, body) else {
        panic!()
    };
    assert_eq!(error.error, "invalid_grant");
    assert_eq!(error.description.as_deref(), Some("AADSTS50173: a  b"));
    assert_eq!((error.codes, error.status), (vec![50173], 400));
    let zoom = br#"{"reason":"Invalid Token!","error":"invalid_grant"}"#;
    let TokenAnswer::Refused(error) = read_token_answer(400, zoom) else {
        panic!()
    };
    assert_eq!(error.description.as_deref(), Some("Invalid Token!"));
}

#[test]
fn what_is_neither_tokens_nor_an_oauth_error_is_called_unintelligible() {
    for (status, body) in [
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"access_token":""}"#),
        (200, "[]"),
        (400, ""),
        (503, "busy"),
        (400, r#"{"error":{"code":1}}"#),
    ] {
        let answer = read_token_answer(status, body.as_bytes());
        assert!(
            matches!(answer, TokenAnswer::Unintelligible { .. }),
            "{status} {body} {answer:?}"
        );
    }
}

#[test]
fn revocation_is_none_where_the_provider_has_no_endpoint() {
    let token = secret("t");
    assert!(
        revocation_request(&entry(Provider::Microsoft), &client(), &token)
            .unwrap()
            .is_none()
    );
    let zoom = revocation_request(&entry(Provider::Zoom), &client(), &token)
        .unwrap()
        .unwrap();
    assert!(zoom.authorization.is_some());
}

#[test]
fn log_injection_a_providers_words_come_clean() {
    let hostile = "\u{202e}no\r\nWARN made up\u{2028}\u{1b}[2J\u{2066}x\u{85}";
    assert_eq!(clean(hostile, 500), "no  WARN made up  [2J x");
    assert_eq!(clean("Zugriff verweigert: Müller", 12), "Zugriff verw");
}

fn shipped(name: &str) -> ProviderEntry {
    entry(name.parse().unwrap())
}

#[test]
fn tokens_are_found_where_the_provider_puts_them() {
    let slack = shipped("slack");
    let read = |body: &str| match read_answer_of(&slack, 200, body.as_bytes()) {
        TokenAnswer::Tokens(tokens) => tokens,
        other => panic!("{other:?}"),
    };
    let body = r#"{"ok":true,"access_token":"xoxb","scope":"commands","team":{"id":"T1","name":"x"},
        "authed_user":{"id":"U1","scope":"a,b","access_token":"xoxp"}}"#;
    let tokens = read(body);
    assert_eq!(tokens.access_token.expose_secret(), "xoxp");
    assert_eq!(tokens.scope.unwrap().to_string(), "a b");
    assert_eq!(tokens.expires_in_secs, None, "it lasts");
    assert_eq!(tokens.told.len(), 2);
    assert_eq!(tokens.told["team.id"], "T1");
    let rotating =
        read(r#"{"authed_user":{"access_token":"x","refresh_token":"r","expires_in":60}}"#);
    assert_eq!(rotating.expires_in_secs, Some(60));
    let refreshed = read(r#"{"ok":true,"access_token":"y","refresh_token":"s","expires_in":60}"#);
    assert_eq!(refreshed.access_token.expose_secret(), "y");
}

#[test]
fn rule_07_nothing_of_an_answer_is_kept_that_no_claim_leads_to() {
    let body = br#"{"access_token":"the-token","workspace_id":"w","owner":{"user":{"id":"u","note":"n"}}}"#;
    let TokenAnswer::Tokens(tokens) = read_answer_of(&shipped("notion"), 200, body) else {
        panic!("no tokens");
    };
    let kept: Vec<_> = tokens.told.keys().map(String::as_str).collect();
    assert_eq!(kept, ["owner.user.id", "workspace_id"]);
    assert!(!format!("{tokens:?}").contains("the-token"));
}

#[test]
fn a_refusal_is_one_whatever_its_status() {
    let body = br#"{"error":"bad_verification_code","error_description":"expired"}"#;
    for status in [200, 400] {
        let TokenAnswer::Refused(error) = read_token_answer(status, body) else {
            panic!("status {status}");
        };
        assert_eq!(
            (error.error.as_str(), error.status),
            ("bad_verification_code", status)
        );
    }
    let empty = read_token_answer(200, br#"{"error":{"code":1}}"#);
    assert!(matches!(empty, TokenAnswer::Unintelligible { .. }));
}

#[test]
fn a_request_has_the_form_that_the_entry_names() {
    let scope = Scopes::parse("a b").unwrap();
    let request = AuthorizeRequest {
        client_id: "c",
        tenant: None,
        redirect_uri: "https://k/cb",
        scope: &scope,
        state: "st",
        nonce: "no",
        code_challenge: "ch",
        login_hint: None,
        exclude_granted_scopes: true,
        force_consent: false,
    };
    let url = authorize_url(&shipped("slack"), &request).unwrap();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(query["user_scope"], "a,b");
    for absent in ["scope", "nonce", "code_challenge", "code_challenge_method"] {
        assert!(!query.contains_key(absent), "{absent}");
    }
    let code = secret("code");
    let grant = TokenGrant::AuthorizationCode {
        code: &code,
        redirect_uri: "https://k/cb",
        code_verifier: Some("v"),
    };
    let notion = token_request(&shipped("notion"), &client(), grant).unwrap();
    assert_eq!(notion.format, BodyFormat::Json);
    assert!(notion.authorization.is_some());
    assert_eq!(
        notion.extra_headers,
        [("notion-version".into(), "2025-09-03".into())]
    );
    let names: Vec<_> = notion.form.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["grant_type", "code", "redirect_uri"]);
}
