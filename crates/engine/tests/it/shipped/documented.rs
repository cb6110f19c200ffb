//! What each provider of the shipped entries documents: what it takes, and what it answers. Written down from
//! their pages and not from the entries.

use super::stand_in::{Person, Tokens};
use serde_json::{Value, json};

/// How a client proves itself.
#[derive(Clone, Copy)]
pub(super) enum Proof {
    Basic,
    Post,
}

/// How a body is written.
#[derive(Clone, Copy)]
pub(super) enum Body {
    Form,
    Json,
}

/// How the provider tells whose a token is.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    Get(&'static str, fn(Person) -> Value),
    Post {
        url: &'static str,
        body: Option<&'static str>,
        answer: fn(Person) -> Value,
    },
    Introspect(&'static str, fn(Person) -> Value),
    /// The token endpoint's answer tells it; this page knows only whether a token is good.
    Token(&'static str),
}

impl Whose {
    pub(super) fn url(&self) -> Option<&'static str> {
        match self {
            Self::Get(url, _) | Self::Introspect(url, _) | Self::Token(url) => Some(url),
            Self::Post { url, .. } => Some(url),
        }
    }

    pub(super) fn answer(&self, person: Person) -> Value {
        match self {
            Self::Get(_, answer) | Self::Introspect(_, answer) => answer(person),
            Self::Post { answer, .. } => answer(person),
            Self::Token(_) => json!({"object": "user", "type": "bot", "id": "the-bot"}),
        }
    }
}

/// How long a grant lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// An access token of so many seconds, and a refresh token that stays.
    Refreshed(i64),
    /// The same, with a refresh token that is replaced at each use.
    Rotated(i64),
    /// An access token that ends when the provider says so.
    Lasting,
}

/// One provider.
#[derive(Clone, Copy)]
pub(super) struct Documented {
    pub(super) name: &'static str,
    pub(super) hosts: &'static [&'static str],
    pub(super) authorize_url: &'static str,
    /// What the authorization request says beside client, redirect URI, state and PKCE.
    pub(super) asks: &'static [(&'static str, &'static str)],
    pub(super) pkce: bool,
    pub(super) token_url: &'static str,
    pub(super) proof: Proof,
    pub(super) body: Body,
    /// Headers that every request needs.
    pub(super) headers: &'static [(&'static str, &'static str)],
    pub(super) code_answer: fn(&Tokens) -> Value,
    pub(super) refresh_answer: Option<fn(&Tokens) -> Value>,
    pub(super) life: Life,
    pub(super) whose: Whose,
    pub(super) emails_url: Option<&'static str>,
    pub(super) revocation_url: Option<&'static str>,
    /// A call of its API: path as sent to Keyway, host and path as they arrive.
    pub(super) call: (&'static str, &'static str, &'static str),
    /// What the grant shows of a person with id 7.
    pub(super) user_id: &'static str,
    pub(super) user_name: &'static str,
}

/// RFC 6749, 5.1, with rotation.
fn rotated(t: &Tokens, secs: i64, scope: Option<&str>) -> Value {
    let mut answer = json!({"access_token": t.access, "token_type": "bearer", "expires_in": secs,
                            "refresh_token": t.refresh});
    if let Some(scope) = scope {
        answer["scope"] = scope.into();
    }
    answer
}

/// What Notion answers to a code and to a refresh token alike; it tells no end.
fn notion_answer(t: &Tokens) -> Value {
    let user = json!({"object": "user", "type": "person", "id": format!("u{}", t.person.id), "name": "Alice",
                      "person": {"email": t.person.email}});
    json!({"access_token": t.access, "refresh_token": t.refresh, "token_type": "bearer", "bot_id": "b",
           "workspace_id": "w", "workspace_name": "Acme", "request_id": "r",
           "owner": {"type": "user", "user": user}})
}

pub(super) const SLACK: Documented = Documented {
    name: "slack",
    hosts: &["slack.com"],
    authorize_url: "https://slack.com/oauth/v2/authorize",
    asks: &[(
        "user_scope",
        "users.profile:read,users:read,users:read.email,mail.read",
    )],
    pkce: false,
    token_url: "https://slack.com/api/oauth.v2.access",
    proof: Proof::Basic,
    body: Body::Form,
    headers: &[],
    code_answer: |t| {
        json!({"ok": true, "app_id": "A0KRD7HC3", "team": {"id": "T9TK3CUKW", "name": "Acme"}, "enterprise": null,
               "authed_user": {"id": format!("U{}", t.person.id), "access_token": t.access, "token_type": "user",
                               "scope": "users.profile:read,users:read,users:read.email,mail.read"}})
    },
    refresh_answer: None,
    life: Life::Lasting,
    whose: Whose::Get(
        "https://slack.com/api/users.profile.get",
        |p| json!({"ok": true, "profile": {"real_name": "Alice", "email": p.email}}),
    ),
    emails_url: None,
    revocation_url: None,
    call: ("conversations.list", "slack.com", "/api/conversations.list"),
    user_id: "U7",
    user_name: "Alice",
};

pub(super) const GITHUB: Documented = Documented {
    name: "github",
    hosts: &["github.com", "api.github.com"],
    authorize_url: "https://github.com/login/oauth/authorize",
    asks: &[("scope", "read:user user:email mail.read")],
    pkce: true,
    token_url: "https://github.com/login/oauth/access_token",
    proof: Proof::Post,
    body: Body::Form,
    headers: &[("accept", "application/json"), ("user-agent", "keyway")],
    // Scopes come back with commas, and without those that others imply.
    code_answer: |t| json!({"access_token": t.access, "scope": "mail.read,user", "token_type": "bearer"}),
    refresh_answer: None,
    life: Life::Lasting,
    whose: Whose::Get(
        "https://api.github.com/user",
        |p| json!({"login": "alice", "id": p.id, "name": null, "email": null, "type": "User"}),
    ),
    emails_url: Some("https://api.github.com/user/emails"),
    revocation_url: None,
    call: ("user/repos", "api.github.com", "/user/repos"),
    user_id: "7",
    user_name: "alice",
};

pub(super) const HUBSPOT: Documented = Documented {
    name: "hubspot",
    hosts: &["api.hubapi.com"],
    authorize_url: "https://app.hubspot.com/oauth/authorize",
    asks: &[("scope", "oauth mail.read")],
    pkce: false,
    token_url: "https://api.hubapi.com/oauth/v3/token",
    proof: Proof::Post,
    body: Body::Form,
    headers: &[],
    code_answer: |t| rotated(t, 1800, None),
    refresh_answer: Some(
        |t| json!({"access_token": t.access, "token_type": "bearer", "expires_in": 1800}),
    ),
    life: Life::Refreshed(1800),
    whose: Whose::Introspect("https://api.hubapi.com/oauth/v3/token/introspect", |p| {
        json!({"active": true, "token_type": "access", "hub_id": 62515, "user_id": p.id, "user": p.email,
               "token": "the token once more", "scopes": ["oauth"]})
    }),
    emails_url: None,
    revocation_url: None,
    call: (
        "crm/v3/objects/contacts",
        "api.hubapi.com",
        "/crm/v3/objects/contacts",
    ),
    user_id: "7",
    user_name: "",
};

pub(super) const SALESFORCE: Documented = Documented {
    name: "salesforce",
    hosts: &["login.salesforce.com"],
    authorize_url: "https://login.salesforce.com/services/oauth2/authorize",
    asks: &[("scope", "openid refresh_token mail.read")],
    pkce: true,
    token_url: "https://login.salesforce.com/services/oauth2/token",
    proof: Proof::Post,
    body: Body::Form,
    headers: &[],
    // No life is told, and an id_token comes that nobody asked to be checked.
    code_answer: |t| {
        json!({"access_token": t.access, "refresh_token": t.refresh, "token_type": "Bearer", "id_token": "a.b.c",
               "scope": "mail.read", "instance_url": "https://acme.my.salesforce.com", "issued_at": "1708058728442",
               "id": "https://login.salesforce.com/id/00Dx/005x", "signature": "x"})
    },
    refresh_answer: Some(|t| {
        json!({"access_token": t.access, "token_type": "Bearer", "scope": "mail.read", "signature": "x",
               "instance_url": "https://acme.my.salesforce.com"})
    }),
    life: Life::Refreshed(3600),
    whose: Whose::Get(
        "https://login.salesforce.com/services/oauth2/userinfo",
        |p| {
            json!({"sub": "https://login.salesforce.com/id/00Dx/005x", "user_id": format!("005x{}", p.id),
               "organization_id": "00Dx", "email": p.email, "email_verified": true, "name": "Alice"})
        },
    ),
    emails_url: None,
    revocation_url: Some("https://login.salesforce.com/services/oauth2/revoke"),
    call: ("services/data", "login.salesforce.com", "/services/data"),
    user_id: "005x7",
    user_name: "Alice",
};

pub(super) const NOTION: Documented = Documented {
    name: "notion",
    hosts: &["api.notion.com"],
    authorize_url: "https://api.notion.com/v1/oauth/authorize",
    asks: &[("owner", "user"), ("scope", "mail.read")],
    pkce: false,
    token_url: "https://api.notion.com/v1/oauth/token",
    proof: Proof::Basic,
    body: Body::Json,
    headers: &[("notion-version", "2025-09-03")],
    code_answer: notion_answer,
    refresh_answer: Some(notion_answer),
    life: Life::Lasting,
    whose: Whose::Token("https://api.notion.com/v1/users/me"),
    emails_url: None,
    revocation_url: Some("https://api.notion.com/v1/oauth/revoke"),
    call: ("search", "api.notion.com", "/v1/search"),
    user_id: "u7",
    user_name: "Alice",
};

pub(super) const DROPBOX: Documented = Documented {
    name: "dropbox",
    hosts: &["api.dropboxapi.com"],
    authorize_url: "https://www.dropbox.com/oauth2/authorize",
    asks: &[
        ("scope", "account_info.read mail.read"),
        ("token_access_type", "offline"),
    ],
    pkce: true,
    token_url: "https://api.dropboxapi.com/oauth2/token",
    proof: Proof::Basic,
    body: Body::Form,
    headers: &[],
    code_answer: |t| {
        json!({"access_token": t.access, "expires_in": 14400, "token_type": "bearer", "refresh_token": t.refresh,
               "scope": "account_info.read mail.read", "account_id": format!("dbid:{}", t.person.id), "uid": "12345"})
    },
    refresh_answer: Some(
        |t| json!({"access_token": t.access, "expires_in": 14400, "token_type": "bearer"}),
    ),
    life: Life::Refreshed(14400),
    whose: Whose::Post {
        url: "https://api.dropboxapi.com/2/users/get_current_account",
        body: None,
        answer: |p| {
            json!({"account_id": format!("dbid:{}", p.id), "email": p.email, "email_verified": true,
                   "name": {"given_name": "Alice", "display_name": "Alice"}, "disabled": false})
        },
    },
    emails_url: None,
    revocation_url: None,
    call: (
        "files/list_folder",
        "api.dropboxapi.com",
        "/2/files/list_folder",
    ),
    user_id: "dbid:7",
    user_name: "Alice",
};

pub(super) const BOX: Documented = Documented {
    name: "box",
    hosts: &["api.box.com"],
    authorize_url: "https://account.box.com/api/oauth2/authorize",
    asks: &[("scope", "mail.read")],
    pkce: false,
    token_url: "https://api.box.com/oauth2/token",
    proof: Proof::Post,
    body: Body::Form,
    headers: &[],
    code_answer: |t| rotated(t, 3600, None),
    refresh_answer: Some(|t| rotated(t, 3600, None)),
    life: Life::Rotated(3600),
    whose: Whose::Get(
        "https://api.box.com/2.0/users/me",
        |p| json!({"type": "user", "id": p.id.to_string(), "name": "Alice", "login": p.email}),
    ),
    emails_url: None,
    revocation_url: Some("https://api.box.com/oauth2/revoke"),
    call: ("folders/0", "api.box.com", "/2.0/folders/0"),
    user_id: "7",
    user_name: "Alice",
};

pub(super) const ATLASSIAN: Documented = Documented {
    name: "atlassian",
    hosts: &["auth.atlassian.com", "api.atlassian.com"],
    authorize_url: "https://auth.atlassian.com/authorize",
    asks: &[
        ("audience", "api.atlassian.com"),
        ("prompt", "consent"),
        ("scope", "offline_access read:me mail.read"),
    ],
    pkce: false,
    token_url: "https://auth.atlassian.com/oauth/token",
    proof: Proof::Post,
    body: Body::Json,
    headers: &[],
    code_answer: |t| rotated(t, 3600, Some("read:me mail.read")),
    refresh_answer: Some(|t| rotated(t, 3600, Some("read:me mail.read"))),
    life: Life::Rotated(3600),
    whose: Whose::Get("https://api.atlassian.com/me", |p| {
        json!({"account_type": "atlassian", "account_id": format!("557057:{}", p.id), "email": p.email,
               "name": "Alice", "nickname": "al", "account_status": "active"})
    }),
    emails_url: None,
    revocation_url: None,
    call: (
        "oauth/token/accessible-resources",
        "api.atlassian.com",
        "/oauth/token/accessible-resources",
    ),
    user_id: "557057:7",
    user_name: "Alice",
};

pub(super) const LINEAR: Documented = Documented {
    name: "linear",
    hosts: &["api.linear.app"],
    authorize_url: "https://linear.app/oauth/authorize",
    asks: &[("scope", "read,mail.read")],
    pkce: true,
    token_url: "https://api.linear.app/oauth/token",
    proof: Proof::Post,
    body: Body::Form,
    headers: &[],
    code_answer: |t| rotated(t, 86399, Some("read mail.read")),
    refresh_answer: Some(|t| rotated(t, 86399, Some("read mail.read"))),
    life: Life::Rotated(86399),
    whose: Whose::Post {
        url: "https://api.linear.app/graphql",
        body: Some(r#"{"query":"{ viewer { id name email } }"}"#),
        answer: |p| json!({"data": {"viewer": {"id": format!("v{}", p.id), "name": "Alice", "email": p.email}}}),
    },
    emails_url: None,
    revocation_url: None,
    call: ("graphql", "api.linear.app", "/graphql"),
    user_id: "v7",
    user_name: "Alice",
};
