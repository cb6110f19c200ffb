use super::*;
use crate::catalogue::{Catalogue, IdentityRule};

/// All that an entry must have.
const LEAST: &str = "authorization_endpoint = 'https://acme.test/authorize'
token_endpoint = 'https://acme.test/token'
userinfo_endpoint = 'https://acme.test/me'
api_base_url = 'https://api.acme.test/v1'
email_claims = ['email']";

fn named(name: &str) -> Provider {
    name.parse().unwrap()
}

fn form(text: &str) -> EntryForm {
    toml::from_str(text).unwrap()
}

/// The least form with `line` in place of the field it sets, or beside it.
fn with(line: &str) -> EntryForm {
    form(line).over(&form(LEAST))
}

fn refused(form: &EntryForm) -> String {
    form.entry(named("acme")).unwrap_err().to_string()
}

#[test]
fn every_shipped_form_is_one_of_an_entry() {
    let forms: BTreeMap<String, EntryForm> = toml::from_str(SHIPPED).unwrap();
    let names: Vec<&str> = forms.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "atlassian",
            "box",
            "dropbox",
            "github",
            "gitlab",
            "hubspot",
            "linear",
            "notion",
            "salesforce",
            "slack"
        ]
    );
    for (name, form) in &forms {
        let entry = form.entry(named(name)).unwrap();
        assert_ne!(entry.identity, IdentityRule::None, "{name}");
        assert!(entry.title.starts_with(char::is_uppercase), "{name}");
        let catalogue = Catalogue::default();
        assert_eq!(catalogue.entry(named(name)), Some(&entry));
        for (field, url) in form.endpoints() {
            assert!(url.starts_with("https://"), "{name}.{field}");
        }
    }
}

#[test]
fn the_least_entry_has_the_standards_habits() {
    let entry = form(LEAST).entry(named("acme")).unwrap();
    assert_eq!(entry.title, "acme");
    assert_eq!(
        (entry.client_auth, entry.token_request, entry.pkce),
        (ClientAuth::Basic, BodyFormat::Form, true)
    );
    assert_eq!(
        (entry.scope_param.as_str(), entry.scope_separator),
        ("scope", ' ')
    );
    assert_eq!(entry.identity, IdentityRule::None);
    assert!(entry.refresh_tokens && entry.compares_scopes && entry.probe.is_none());
    assert!(!entry.expects_id_token());
}

#[test]
fn every_field_of_an_entry_has_its_effect() {
    let entry = with(
        "title = 'Acme'
issuer = 'https://acme.test'
jwks_uri = 'https://acme.test/keys'
revocation_endpoint = 'https://acme.test/revoke'
revocation_token = 'access'
userinfo_method = 'post'
userinfo_body = '{}'
email_endpoint = 'https://acme.test/emails'
api_hosts = ['uploads.acme.test']
extra_headers = { Acme-Version = '1' }
client_auth = 'post'
token_request = 'json'
token_member = 'user'
pkce = false
authorize_params = { offline = 'yes' }
consent_param = { prompt = 'consent' }
identity_scopes = ['openid', 'me']
scope_param = 'user_scope'
scope_separator = ','
silent_scopes = ['me']
identity_claims = ['team.id', 'id']
name_claims = ['full_name']
refresh_tokens = false
refresh_token_idle_days = 30",
    );
    assert_eq!(
        set_fields(&entry),
        EntryForm::FIELDS.len() - 4,
        "but for what stands for itself"
    );
    let entry = entry.entry(named("acme")).unwrap();
    assert!(entry.expects_id_token() && !entry.pkce && !entry.refresh_tokens);
    assert_eq!(entry.extra_headers, [("acme-version".into(), "1".into())]);
    assert_eq!(
        entry.consent_param,
        Some(("prompt".into(), "consent".into()))
    );
    assert_eq!(entry.authorize_params, [("offline".into(), "yes".into())]);
    assert_eq!(
        entry.identity,
        IdentityRule::Stable(vec!["team.id".into(), "id".into()])
    );
    assert_eq!(entry.user_id_claims, ["id"], "the last of what identifies");
    assert_eq!(
        (entry.revocation_token, entry.userinfo_method),
        (RevokedToken::Access, UserinfoMethod::Post)
    );
    assert_eq!(entry.refresh_token_idle_days, Some(30));
}

/// `admin_consent_…` are Microsoft's, `user_id_claims` has a default that is looked at, and `compare_scopes`
/// does not go with `silent_scopes`.
fn set_fields(form: &EntryForm) -> usize {
    serde_json::to_value(form)
        .unwrap()
        .as_object()
        .unwrap()
        .len()
}

#[test]
fn what_is_missing_is_named() {
    for field in [
        "authorization_endpoint",
        "token_endpoint",
        "api_base_url",
        "email_claims",
    ] {
        let lines = LEAST.lines().filter(|line| !line.starts_with(field));
        let text: Vec<&str> = lines.collect();
        let told = refused(&form(&text.join("\n")));
        assert!(told.starts_with(&format!("{field}: is required")), "{told}");
    }
    let told = refused(&form(
        &LEAST.replace("userinfo_endpoint", "revocation_endpoint"),
    ));
    assert!(
        told.starts_with("userinfo_endpoint: is required, or an issuer"),
        "{told}"
    );
    // Where the token endpoint's own answer tells all, nobody has to be asked.
    let text = LEAST.replace("userinfo_endpoint", "revocation_endpoint");
    let told = form("email_claims = ['token.email']").over(&form(&text));
    assert!(told.entry(named("acme")).is_ok());
}

/// Fields that are wrong, or could have no effect, and how the refusal begins.
const REFUSED: &[(&str, &str)] = &[
    ("title = ''", "title: must be"),
    (
        "token_endpoint = 'acme.test/token'",
        "token_endpoint: 'acme.test/token' is not",
    ),
    ("token_endpoint = 'ftp://acme.test/t'", "token_endpoint"),
    (
        "token_endpoint = 'https://acme.test/{tenant}/t'",
        "token_endpoint: holds a brace",
    ),
    (
        "api_base_url = 'https://u:p@acme.test'",
        "api_base_url: must be a URL without user",
    ),
    ("api_hosts = ['a.test/path']", "api_hosts"),
    ("api_hosts = ['https://a.test']", "api_hosts"),
    (
        "extra_headers = { Authorization = 'x' }",
        "extra_headers: 'Authorization' cannot",
    ),
    ("extra_headers = { 'a b' = 'x' }", "extra_headers"),
    ("extra_headers = { a = \"x\\r\\ny: z\" }", "extra_headers"),
    (
        "authorize_params = { state = 'x' }",
        "authorize_params: 'state'",
    ),
    (
        "authorize_params = { scope = 'x' }",
        "authorize_params: 'scope'",
    ),
    ("consent_param = { redirect_uri = 'x' }", "consent_param"),
    (
        "consent_param = { a = '1', b = '2' }",
        "consent_param: must be one",
    ),
    ("consent_param = {}", "consent_param"),
    ("scope_param = 'client_id'", "scope_param"),
    ("scope_separator = ';'", "scope_separator"),
    ("identity_scopes = ['a\"b']", "identity_scopes"),
    ("identity_claims = ['']", "identity_claims"),
    ("identity_claims = ['a|b']", "identity_claims"),
    ("userinfo_body = '{}'", "userinfo_body: goes with"),
    (
        "userinfo_method = 'post'\nuserinfo_body = '{'",
        "userinfo_body: must be JSON",
    ),
    ("jwks_uri = 'https://acme.test/keys'", "jwks_uri"),
    (
        "issuer = 'https://acme.test'",
        "issuer: id_tokens come only where openid",
    ),
    ("revocation_token = 'access'", "revocation_token"),
    (
        "compare_scopes = false\nsilent_scopes = ['a']",
        "silent_scopes",
    ),
    ("refresh_token_idle_days = 0", "refresh_token_idle_days"),
    (
        "admin_consent_endpoint = 'https://acme.test/c'",
        "admin_consent_endpoint: is for microsoft",
    ),
    (
        "userinfo_endpoint = ''\nuserinfo_method = 'post'",
        "userinfo_method",
    ),
    (
        "userinfo_endpoint = ''\nemail_endpoint = 'https://acme.test/e'",
        "email_endpoint",
    ),
];

#[test]
fn what_is_wrong_or_could_have_no_effect_is_refused() {
    for (line, expected) in REFUSED {
        let told = refused(&with(line));
        assert!(told.starts_with(expected), "{line}: {told}");
    }
    assert!(toml::from_str::<EntryForm>("tokn_endpoint = 'x'").is_err());
}

#[test]
fn an_operator_replaces_any_field_of_a_shipped_entry() {
    let mut catalogue = Catalogue::default();
    let own = form("title = 'Our Slack'\nidentity_scopes = ['users:read']");
    catalogue.configure(named("slack"), &own).unwrap();
    let entry = catalogue.entry(named("slack")).unwrap();
    assert_eq!(
        (entry.title.as_str(), entry.scope_param.as_str()),
        ("Our Slack", "user_scope")
    );
    assert_eq!(entry.identity_scopes, ["users:read"]);
}

#[test]
fn tokens_of_another_server_go_to_none_of_the_shipped_hosts() {
    let mut catalogue = Catalogue::default();
    let own = "token_endpoint = 'https://git.acme.test/login/oauth/access_token'
userinfo_endpoint = 'https://git.acme.test/api/v3/user'
api_base_url = 'https://git.acme.test/api/v3'";
    let told = catalogue
        .configure(named("github"), &form(own))
        .unwrap_err();
    // Users would go on signing in there, and their codes come here.
    assert_eq!(told.field, "authorization_endpoint");
    let own =
        format!("{own}\nauthorization_endpoint = 'https://git.acme.test/login/oauth/authorize'");
    let told = catalogue
        .configure(named("github"), &form(&own))
        .unwrap_err();
    assert_eq!(told.field, "email_endpoint");
    assert!(told.what.contains("api.github.com"), "{told}");
    let whole = format!("{own}\nemail_endpoint = ''");
    catalogue.configure(named("github"), &form(&whole)).unwrap();
    let entry = catalogue.entry(named("github")).unwrap();
    assert_eq!(entry.email_endpoint, None);
    assert!(entry.api_hosts.is_empty());
}

#[test]
fn a_public_clouds_habits_are_built_in() {
    let mut catalogue = Catalogue::default();
    let told = catalogue
        .configure(Provider::Google, &form("client_auth = 'basic'"))
        .unwrap_err();
    assert_eq!(told.field, "client_auth");
    let endpoint = form("token_endpoint = 'http://127.0.0.1:9/t'");
    catalogue.configure(Provider::Google, &endpoint).unwrap();
    let google = catalogue.entry(Provider::Google).unwrap();
    assert_eq!(google.token_endpoint, "http://127.0.0.1:9/t");
}
