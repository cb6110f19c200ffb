//! API keys on the wire.

use super::fields::Fields;
use crate::errors::Failure;
use keyway_core::application::ApiKey;
use keyway_core::ids::{ApiKeyId, ApplicationId};
use keyway_core::time::UnixMillis;
use keyway_engine::admin_keys::NewApiKey;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

/// What every key may do: Keyway's keys open all of their application.
const PERMISSIONS: [&str; 1] = ["all"];

/// What is told of a key whenever it is told of.
#[derive(Serialize)]
struct Described<'a> {
    id: ApiKeyId,
    application_id: ApplicationId,
    name: &'a str,
    status: &'static str,
    permissions: [&'static str; 1],
    created_at: i64,
    updated_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl<'a> Described<'a> {
    fn of(key: &'a ApiKey, now: UnixMillis) -> Self {
        Self {
            id: key.id,
            application_id: key.application_id,
            name: &key.name,
            status: if key.is_live(now) {
                "active"
            } else {
                "expired"
            },
            permissions: PERMISSIONS,
            created_at: key.created_at.as_secs(),
            updated_at: key.updated_at.as_secs(),
            expires_at: key.expires_at.map(UnixMillis::as_secs),
        }
    }
}

/// A key as read: without the key itself, and with the seconds it has left.
#[derive(Serialize)]
pub(crate) struct KeyView<'a> {
    #[serde(flatten)]
    described: Described<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
}

impl<'a> KeyView<'a> {
    pub(crate) fn of(key: &'a ApiKey, now: UnixMillis) -> Self {
        let left = |end: UnixMillis| UnixMillis(end.0.saturating_sub(now.0).max(0)).as_secs();
        Self {
            described: Described::of(key, now),
            expires_in: key.expires_at.map(left),
        }
    }
}

/// A key just made, with the key itself.
#[derive(Serialize)]
pub(crate) struct CreatedKeyView<'a> {
    #[serde(flatten)]
    described: Described<'a>,
    api_key: &'a str,
}

impl<'a> CreatedKeyView<'a> {
    pub(crate) fn of(key: &'a ApiKey, secret: &'a SecretString, now: UnixMillis) -> Self {
        Self {
            described: Described::of(key, now),
            api_key: secret.expose_secret(),
        }
    }
}

/// The body that asks for a key; `expires_in` is in days.
pub(crate) fn new(fields: &Fields<'_>) -> Result<NewApiKey, Failure> {
    Ok(NewApiKey {
        name: fields.required("name")?.to_owned(),
        expires_in_days: days(fields)?,
    })
}

/// A whole number, also as some languages write one: `90.0`. The engine knows the bounds.
fn days(fields: &Fields<'_>) -> Result<Option<i64>, Failure> {
    match fields.number("expires_in")? {
        None => Ok(None),
        Some(days) if days.fract() != 0.0 => {
            Err(fields.wrong("expires_in", "must be a whole number of days"))
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole, and saturates")]
        Some(days) => Ok(Some(days as i64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::sealed::Digest;
    use serde_json::{Value, json};

    fn read(body: &Value) -> Result<NewApiKey, Failure> {
        new(&Fields::of(body.as_object().unwrap()))
    }

    #[test]
    fn days_are_whole_numbers_however_they_are_written() {
        for (given, days) in [
            (json!({"name": "n"}), None),
            (json!({"name": "n", "expires_in": null}), None),
            (json!({"name": "n", "expires_in": 1}), Some(1)),
            (json!({"name": "n", "expires_in": 90.0}), Some(90)),
            (json!({"name": "n", "expires_in": -3}), Some(-3)),
            (json!({"name": "n", "expires_in": 1e300}), Some(i64::MAX)),
        ] {
            assert_eq!(read(&given).unwrap().expires_in_days, days, "{given}");
        }
        for bad in [json!(0.5), json!("90"), json!([1]), json!(true)] {
            let failure = read(&json!({"name": "n", "expires_in": bad})).unwrap_err();
            assert_eq!(failure.status().as_u16(), 400);
            assert!(
                failure.message().starts_with("expires_in: must be"),
                "{bad}"
            );
        }
        assert_eq!(read(&json!({})).unwrap_err().message(), "name: is required");
    }

    #[test]
    fn a_key_is_told_of_in_the_words_of_the_api() {
        let key = ApiKey {
            id: ApiKeyId::from_u128(1),
            application_id: ApplicationId::from_u128(2),
            name: "CI".to_owned(),
            digest: Digest([7; 32]),
            hint: "kwk_…abcd".to_owned(),
            created_at: UnixMillis(1_000_900),
            updated_at: UnixMillis(2_000_000),
            expires_at: Some(UnixMillis(9_000_000)),
            revoked_at: None,
        };
        let view = serde_json::to_value(KeyView::of(&key, UnixMillis(5_000_000))).unwrap();
        assert_eq!(
            view,
            json!({"id": "00000000-0000-0000-0000-000000000001",
                "application_id": "00000000-0000-0000-0000-000000000002", "name": "CI",
                "status": "active", "permissions": ["all"], "created_at": 1000,
                "updated_at": 2000, "expires_at": 9000, "expires_in": 4000})
        );
        let over = serde_json::to_value(KeyView::of(&key, UnixMillis(9_000_000))).unwrap();
        assert_eq!(
            (&over["status"], &over["expires_in"]),
            (&json!("expired"), &json!(0))
        );
        let secret = SecretString::from("kwk_x");
        let made = CreatedKeyView::of(&key, &secret, UnixMillis(5_000_000));
        let made = serde_json::to_value(made).unwrap();
        assert_eq!(made["api_key"], "kwk_x");
        assert_eq!(made.get("expires_in"), None);
    }
}
