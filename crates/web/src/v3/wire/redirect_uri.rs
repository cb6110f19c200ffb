//! Redirect URIs on the wire.

use super::fields::Fields;
use crate::errors::Failure;
use keyway_core::application::{Platform, RedirectUri};
use keyway_core::ids::RedirectUriId;
use keyway_engine::redirect_uris::{NewRedirectUri, RedirectUriPatch};
use serde::Serialize;
use serde_json::{Map, Value};

/// A redirect URI as answered.
#[derive(Serialize)]
pub(crate) struct RedirectUriView<'a> {
    id: RedirectUriId,
    url: &'a str,
    platform: &'static str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    settings: &'a Map<String, Value>,
}

impl<'a> From<&'a RedirectUri> for RedirectUriView<'a> {
    fn from(uri: &'a RedirectUri) -> Self {
        Self {
            id: uri.id,
            url: &uri.url,
            platform: uri.platform.as_str(),
            settings: &uri.settings,
        }
    }
}

fn platform(fields: &Fields<'_>) -> Result<Option<Platform>, Failure> {
    match fields.text("platform")? {
        None => Ok(None),
        Some(text) => Platform::parse(text).map(Some).ok_or_else(|| {
            fields.wrong("platform", "must be one of web, desktop, js, ios, android")
        }),
    }
}

/// The settings, each a text. One client spells the fingerprint's name with one underscore more.
fn settings(fields: &Fields<'_>) -> Result<Option<Map<String, Value>>, Failure> {
    let Some(given) = fields.object("settings")? else {
        return Ok(None);
    };
    let inner = Fields::within("settings.", given);
    let mut settings = Map::new();
    for name in given.keys() {
        let name_here = match name.as_str() {
            "sha_1_certificate_fingerprint" => "sha1_certificate_fingerprint",
            other => other,
        };
        if let Some(text) = inner.text(name)? {
            settings.insert(name_here.to_owned(), text.into());
        }
    }
    Ok(Some(settings))
}

/// The body of a registration.
pub(crate) fn new(fields: &Fields<'_>) -> Result<NewRedirectUri, Failure> {
    Ok(NewRedirectUri {
        url: fields.required("url")?.to_owned(),
        platform: platform(fields)?.unwrap_or_default(),
        settings: settings(fields)?.unwrap_or_default(),
    })
}

/// The body of a change.
pub(crate) fn patch(fields: &Fields<'_>) -> Result<RedirectUriPatch, Failure> {
    Ok(RedirectUriPatch {
        url: fields.owned("url")?,
        platform: platform(fields)?,
        settings: settings(fields)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(body: &Value) -> Result<NewRedirectUri, Failure> {
        new(&Fields::of(body.as_object().unwrap()))
    }

    #[test]
    fn the_other_spelling_of_the_fingerprint_is_understood() {
        let body = json!({"url": "app://x", "platform": "android",
            "settings": {"package_name": "p", "sha_1_certificate_fingerprint": "f", "team_id": null}});
        let read = read(&body).unwrap();
        assert_eq!(read.settings["sha1_certificate_fingerprint"], "f");
        assert_eq!(read.settings.len(), 2);
    }

    #[test]
    fn the_platform_is_web_unless_said_and_mobile_means_js() {
        let plain = read(&json!({"url": "https://a.b"})).unwrap();
        assert_eq!(plain.platform, Platform::Web);
        let java = read(&json!({"url": "https://a.b", "platform": "mobile"})).unwrap();
        assert_eq!(java.platform, Platform::Js);
        let failure = read(&json!({"url": "https://a.b", "platform": "tv"})).unwrap_err();
        assert!(failure.message().starts_with("platform: "));
        let failure = read(&json!({})).unwrap_err();
        assert_eq!(failure.message(), "url: is required");
    }
}
