//! The body of custom authentication.

use super::fields::Fields;
use crate::errors::Failure;
use keyway_engine::custom::CustomAuthentication;
use serde_json::{Map, Value};

/// Settings that are port numbers.
const PORTS: [&str; 3] = ["imap_port", "smtp_port", "ews_port"];

/// The settings with ports as numbers.
fn settings(fields: &Fields<'_>) -> Result<Map<String, Value>, Failure> {
    let given = fields
        .object("settings")?
        .ok_or_else(|| fields.wrong("settings", "is required"))?;
    let inner = Fields::within("settings.", given);
    let mut settings = given.clone();
    for name in PORTS {
        if let Some(port) = inner.port(name)? {
            settings.insert(name.to_owned(), port.into());
        }
    }
    Ok(settings)
}

/// Reads the body. `settings` differ by provider and are the engine's to judge.
pub(crate) fn new(body: &Map<String, Value>) -> Result<CustomAuthentication, Failure> {
    let fields = Fields::of(body);
    Ok(CustomAuthentication {
        provider: fields.provider()?,
        settings: settings(&fields)?,
        scope: fields.scopes()?,
        state: fields.owned("state")?,
        credential_id: fields.id("credential_id")?,
        external_id: fields.owned("external_id")?,
        name: fields.owned("name")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::ids::CredentialId;
    use serde_json::json;

    fn read(body: &Value) -> Result<CustomAuthentication, Failure> {
        new(body.as_object().unwrap())
    }

    #[test]
    fn ports_come_as_numbers_or_texts() {
        let body = json!({"provider": "imap",
            "settings": {"imap_port": "993", "smtp_port": 465, "ews_port": null}});
        let settings = read(&body).unwrap().settings;
        assert_eq!(settings["imap_port"], 993);
        assert_eq!(settings["smtp_port"], 465);
        for port in [json!("x"), json!(0), json!(70000), json!([1])] {
            let body = json!({"provider": "imap", "settings": {"imap_port": port}});
            let failure = read(&body).unwrap_err();
            assert_eq!(
                failure.message(),
                "settings.imap_port: must be a port number, 1 to 65535"
            );
        }
    }

    #[test]
    fn the_credential_is_read_at_the_top_and_kept_in_settings() {
        let id = CredentialId::from_u128(5);
        let body = json!({"provider": "google", "credential_id": id, "state": "s",
            "settings": {"refresh_token": "r", "credential_id": "other"}, "scope": ["a"]});
        let read = read(&body).unwrap();
        assert_eq!(read.credential_id, Some(id));
        assert_eq!(read.settings["credential_id"], "other");
        assert_eq!(read.state.as_deref(), Some("s"));
    }

    #[test]
    fn settings_are_required() {
        let failure = read(&json!({"provider": "google"})).unwrap_err();
        assert_eq!(failure.message(), "settings: is required");
        let failure = read(&json!({"provider": "google", "settings": []})).unwrap_err();
        assert_eq!(failure.message(), "settings: must be an object");
    }
}
