//! Connectors on the wire.

use super::fields::Fields;
use crate::errors::Failure;
use keyway_core::connector::Connector;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider;
use keyway_engine::connectors::{ConnectorPatch, NewConnector};
use serde::Serialize;
use serde_json::{Map, Value};

/// A connector as answered: these members and no others.
#[derive(Serialize)]
pub(crate) struct ConnectorView<'a> {
    name: &'a str,
    provider: Provider,
    settings: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_credential_id: Option<CredentialId>,
}

/// Whether connectors of a provider have default scopes.
const fn has_scope(provider: Provider) -> bool {
    matches!(
        provider,
        Provider::Google
            | Provider::Microsoft
            | Provider::Yahoo
            | Provider::Ews
            | Provider::Other(_)
    )
}

impl<'a> From<&'a Connector> for ConnectorView<'a> {
    fn from(connector: &'a Connector) -> Self {
        Self {
            name: &connector.name,
            provider: connector.provider,
            settings: &connector.settings,
            scope: has_scope(connector.provider).then(|| connector.scope.as_slice()),
            active_credential_id: connector.active_credential_id,
        }
    }
}

/// Settings that are shown and are texts, and those that are port numbers. The engine checks the others.
const TEXTS: [&str; 6] = [
    "topic_name",
    "project_id",
    "imap_host",
    "imap_security",
    "smtp_host",
    "ews_host",
];
const PORTS: [&str; 3] = ["imap_port", "smtp_port", "ews_port"];

/// The settings with ports as numbers.
fn settings(fields: &Fields<'_>) -> Result<Option<Map<String, Value>>, Failure> {
    let Some(given) = fields.object("settings")? else {
        return Ok(None);
    };
    let inner = Fields::within("settings.", given);
    for name in TEXTS {
        inner.text(name)?;
    }
    let mut settings = given.clone();
    for name in PORTS {
        if let Some(port) = inner.port(name)? {
            settings.insert(name.to_owned(), port.into());
        }
    }
    Ok(Some(settings))
}

/// The body of a creation.
pub(crate) fn new(body: &Map<String, Value>) -> Result<NewConnector, Failure> {
    let fields = Fields::of(body);
    Ok(NewConnector {
        provider: fields
            .provider()?
            .ok_or_else(|| fields.wrong("provider", "is required"))?,
        name: fields.owned("name")?,
        settings: settings(&fields)?.unwrap_or_default(),
        scope: fields.scopes()?.unwrap_or_default(),
    })
}

/// The body of a change.
pub(crate) fn patch(body: &Map<String, Value>) -> Result<ConnectorPatch, Failure> {
    let fields = Fields::of(body);
    Ok(ConnectorPatch {
        name: fields.owned("name")?,
        settings: settings(&fields)?,
        scope: fields.scopes()?,
        active_credential_id: fields.id("active_credential_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::{ApplicationId, ConnectorId};
    use keyway_core::scope::Scopes;
    use keyway_core::time::UnixMillis;
    use serde_json::json;

    fn connector(provider: Provider) -> Connector {
        Connector {
            id: ConnectorId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            provider,
            name: "Main".into(),
            settings: Map::new(),
            scope: Scopes::parse("openid").unwrap(),
            active_credential_id: None,
            primary_credential_id: Some(CredentialId::from_u128(4)),
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            version: 1,
        }
    }

    #[test]
    fn a_connector_shows_its_five_members_in_order() {
        let mut google = connector(Provider::Google);
        google.active_credential_id = Some(CredentialId::from_u128(3));
        assert_eq!(
            serde_json::to_string(&ConnectorView::from(&google)).unwrap(),
            r#"{"name":"Main","provider":"google","settings":{},"scope":["openid"],"active_credential_id":"00000000-0000-0000-0000-000000000003"}"#
        );
    }

    #[test]
    fn providers_without_scopes_show_none() {
        for provider in [Provider::Zoom, Provider::Imap, Provider::VirtualCalendar] {
            let view = serde_json::to_value(ConnectorView::from(&connector(provider))).unwrap();
            let members: Vec<_> = view.as_object().unwrap().keys().cloned().collect();
            assert_eq!(members, ["name", "provider", "settings"]);
        }
    }

    #[test]
    fn settings_that_are_shown_are_what_the_description_says() {
        let body = json!({"provider": "imap",
            "settings": {"imap_host": "mail.example.com", "imap_port": "993", "client_secret": 1}});
        let read = new(body.as_object().unwrap()).unwrap();
        assert_eq!(read.settings["imap_port"], 993);
        for (setting, words) in [
            (
                "imap_port",
                "settings.imap_port: must be a port number, 1 to 65535",
            ),
            ("smtp_host", "settings.smtp_host: must be a string"),
            ("project_id", "settings.project_id: must be a string"),
        ] {
            let body = json!({"provider": "imap", "settings": {setting: [1]}});
            let failure = new(body.as_object().unwrap()).unwrap_err();
            assert_eq!(failure.message(), words);
            let failure = patch(body.as_object().unwrap()).unwrap_err();
            assert_eq!(failure.message(), words);
        }
    }

    #[test]
    fn bodies_are_read_member_by_member() {
        let body =
            json!({"provider": "google", "settings": {"client_id": "c"}, "scopes": ["a"], "x": 1});
        let new = new(body.as_object().unwrap()).unwrap();
        assert_eq!(new.scope.to_string(), "a");
        let body = json!({"active_credential_id": "x"});
        let failure = patch(body.as_object().unwrap()).unwrap_err();
        assert_eq!(
            failure.message(),
            "active_credential_id: must be an id (a UUID)"
        );
        assert_eq!(patch(&Map::new()).unwrap(), ConnectorPatch::default());
    }
}
