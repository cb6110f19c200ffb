//! Grants on the wire.

use super::fields::Fields;
use super::page::number;
use crate::errors::Failure;
use crate::query::Query;
use keyway_core::catalogue::Catalogue;
use keyway_core::email::email_key;
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::{ConnectorId, CredentialId, GrantId, WorkspaceId};
use keyway_core::provider::{Provider, ProviderParseError};
use keyway_core::time::UnixMillis;
use keyway_engine::GrantFilter;
use keyway_engine::grants::GrantPatch;
use serde::Serialize;
use serde_json::{Map, Value};
use std::str::FromStr;

/// A grant as answered. Its tokens and passwords are not among its settings.
#[derive(Serialize)]
pub(crate) struct GrantView<'a> {
    id: GrantId,
    provider: Provider,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<CredentialId>,
    grant_status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    scope: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_user_id: Option<&'a str>,
    settings: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    blocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<WorkspaceId>,
    created_at: i64,
    updated_at: i64,
}

impl<'a> From<&'a Grant> for GrantView<'a> {
    fn from(grant: &'a Grant) -> Self {
        Self {
            id: grant.id,
            provider: grant.provider,
            credential_id: grant.credential_id,
            grant_status: grant.effective_status().as_str(),
            email: &grant.email,
            name: grant.name.as_deref(),
            scope: grant.scope.as_slice(),
            provider_user_id: grant.provider_user_id.as_deref(),
            settings: &grant.settings,
            state: grant.state.as_deref(),
            ip: grant.ip.as_deref(),
            user_agent: grant.user_agent.as_deref(),
            blocked: grant.blocked,
            workspace_id: grant.workspace_id,
            created_at: grant.created_at.as_secs(),
            updated_at: grant.updated_at.as_secs(),
        }
    }
}

/// A filter whose value is one of a known set.
fn word<T>(
    query: &Query,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Result<Option<T>, Failure> {
    match query.get(name) {
        None => Ok(None),
        Some(text) => parse(text)
            .map(Some)
            .ok_or_else(|| Failure::query(format!("{name} must be {what}"))),
    }
}

fn id<T: FromStr>(query: &Query, name: &str) -> Result<Option<T>, Failure> {
    word(query, name, |text| text.parse().ok(), "an id (a UUID)")
}

fn status(query: &Query) -> Result<Option<GrantStatus>, Failure> {
    let read = |name| word(query, name, GrantStatus::parse, "valid or invalid");
    Ok(read("grant_status")?.or(read("status")?))
}

/// A provider to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Provider(Provider),
    /// What no grant here can be of.
    Nothing,
}

impl Named {
    fn parse(text: &str, catalogue: &Catalogue) -> Option<Self> {
        match text.parse() {
            // What upstream called its own accounts once.
            Ok(provider) if text == "inbox" && !catalogue.knows(provider) => Some(Self::Nothing),
            Ok(provider) => Some(Self::Provider(provider)),
            Err(ProviderParseError::Nylas) => Some(Self::Nothing),
            Err(ProviderParseError::Unknown) => None,
        }
    }
}

/// Connectors have no id on the wire: what one client sends under `connector_id` is an id of its own store, or the
/// provider's name. A connector of `catalogue` is told by that, and anything else is ignored.
fn connector(query: &Query, catalogue: &Catalogue) -> (Option<ConnectorId>, Option<Named>) {
    let Some(text) = query.get("connector_id") else {
        return (None, None);
    };
    let named = Named::parse(text, catalogue).filter(|named| match named {
        Named::Provider(provider) => catalogue.knows(*provider),
        Named::Nothing => true,
    });
    (text.parse().ok(), named)
}

/// What a list query filters by; filters combine, and what is not known is ignored.
pub(crate) fn filter(query: &Query, catalogue: &Catalogue) -> Result<GrantFilter, Failure> {
    let named = |text: &str| Named::parse(text, catalogue);
    let provider = word(query, "provider", named, "a provider such as google")?;
    let (connector_id, connectors) = connector(query, catalogue);
    let wanted = match (provider, connectors) {
        (Some(one), Some(other)) if one != other => Some(Named::Nothing),
        (one, other) => one.or(other),
    };
    let before = number(query, "before", 0)?.map(UnixMillis::from_secs);
    Ok(GrantFilter {
        email_key: query.get("email").map(email_key),
        provider: match wanted {
            Some(Named::Provider(provider)) => Some(provider),
            _ => None,
        },
        status: status(query)?,
        ip: query.owned("ip"),
        since: number(query, "since", 0)?.map(UnixMillis::from_secs),
        // The wire's second is over only when the next begins.
        before: before.map(|second| second.plus_ms(999)),
        workspace_id: id(query, "workspace_id")?,
        credential_id: id(query, "credential_id")?,
        connector_id,
        external_id: query.owned("external_id"),
        // Only grants migrated from v2 have account ids, and there are none here.
        none: wanted == Some(Named::Nothing)
            || query
                .get("account_id")
                .or(query.get("account_ids"))
                .is_some(),
    })
}

/// The external id of a body: absent, removed by null, or set.
fn external_id(fields: &Fields<'_>) -> Result<Option<Option<String>>, Failure> {
    if fields.has("external_id") {
        fields.owned("external_id").map(Some)
    } else {
        Ok(None)
    }
}

/// The body of a change.
pub(crate) fn patch(body: &Map<String, Value>) -> Result<GrantPatch, Failure> {
    let fields = Fields::of(body);
    Ok(GrantPatch {
        credential_id: fields.id("credential_id")?,
        settings: fields.object("settings")?.cloned(),
        scope: fields.scopes()?,
        external_id: external_id(&fields)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::{ApplicationId, ConnectorId};
    use keyway_core::scope::Scopes;
    use serde_json::json;

    fn grant() -> Grant {
        Grant {
            id: GrantId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            provider: Provider::Google,
            connector_id: ConnectorId::from_u128(3),
            credential_id: Some(CredentialId::from_u128(4)),
            email: "a@b.c".into(),
            identity: Some("google:never-shown".into()),
            provider_user_id: Some("sub".into()),
            name: None,
            scope: Scopes::parse("openid").unwrap(),
            status: GrantStatus::Valid,
            is_anchored: false,
            blocked: false,
            settings: Map::new(),
            state: None,
            ip: None,
            user_agent: None,
            workspace_id: None,
            external_id: Some("ext".into()),
            created_at: UnixMillis(1_999),
            updated_at: UnixMillis(2_000),
            version: 1,
        }
    }

    #[test]
    fn a_grant_shows_what_it_has_and_leaves_out_what_it_has_not() {
        assert_eq!(
            serde_json::to_value(GrantView::from(&grant())).unwrap(),
            json!({"id": "00000000-0000-0000-0000-000000000001", "provider": "google",
                   "credential_id": "00000000-0000-0000-0000-000000000004",
                   "grant_status": "invalid", "email": "a@b.c", "scope": ["openid"],
                   "provider_user_id": "sub", "settings": {}, "blocked": false,
                   "created_at": 1, "updated_at": 2})
        );
    }

    fn filtered(query: &str) -> Result<GrantFilter, Failure> {
        let query = Query::parse(query.as_bytes()).unwrap();
        filter(&query, &Catalogue::default())
    }

    #[test]
    fn filters_are_read_and_empty_ones_are_not() {
        let read =
            filtered("email=A%40b&provider=google&status=valid&ip=1.1.1.1&since=1&before=2&x=y")
                .unwrap();
        assert_eq!(read.email_key.as_deref(), Some("a@b"));
        assert_eq!(read.status, Some(GrantStatus::Valid));
        assert_eq!(read.since, Some(UnixMillis(1_000)));
        assert_eq!(read.before, Some(UnixMillis(2_999)));
        assert_eq!(
            filtered("email=&provider=&since=").unwrap(),
            GrantFilter::default()
        );
        assert!(filtered("account_ids=a,b").unwrap().none);
    }

    #[test]
    fn a_connector_is_told_by_its_provider_and_what_is_neither_is_ignored() {
        let google = filtered("provider=google").unwrap();
        for query in ["connector_id=google", "connector_id=google&provider=google"] {
            assert_eq!(filtered(query).unwrap(), google, "{query}");
        }
        for unknown in ["conn-123", "in_box", "17", "acme"] {
            let read = filtered(&format!("connector_id={unknown}")).unwrap();
            assert_eq!(read, GrantFilter::default(), "{unknown}");
        }
        assert!(filtered("connector_id=google&provider=zoom").unwrap().none);
        let id = ConnectorId::from_u128(7);
        let read = filtered(&format!("connector_id={id}")).unwrap();
        assert_eq!((read.connector_id, read.provider), (Some(id), None));
    }

    #[test]
    fn providers_that_have_no_grants_here_match_none() {
        for query in [
            "provider=nylas",
            "provider=inbox",
            "connector_id=nylas",
            "provider=nylas&connector_id=google",
        ] {
            assert!(filtered(query).unwrap().none, "{query}");
        }
    }

    #[test]
    fn filters_that_cannot_be_read_are_refused_by_name() {
        for (query, words) in [
            ("provider=in_box", "provider must be"),
            ("grant_status=ok", "grant_status must be"),
            ("since=soon", "since must be"),
            ("credential_id=1", "credential_id must be"),
        ] {
            let failure = filtered(query).unwrap_err();
            assert_eq!(failure.wire_type(), "api.invalid_query_params");
            assert!(failure.message().starts_with(words), "{query}");
        }
    }

    #[test]
    fn a_patch_tells_an_absent_external_id_from_a_removed_one() {
        let read = |body: Value| patch(body.as_object().unwrap());
        assert_eq!(read(json!({})).unwrap().external_id, None);
        let removed = read(json!({"external_id": null})).unwrap();
        assert_eq!(removed.external_id, Some(None));
        let set = read(json!({"external_id": "e"})).unwrap();
        assert_eq!(set.external_id, Some(Some("e".into())));
        let null = read(json!({"credential_id": null})).unwrap();
        assert_eq!(null.credential_id, None);
        let odd = read(json!({"credential_id": "c"})).unwrap_err();
        assert!(odd.message().starts_with("credential_id: "));
    }
}
