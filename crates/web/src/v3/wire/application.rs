//! Applications on the wire.

use super::fields::Fields;
use super::redirect_uri::{self, RedirectUriView};
use crate::errors::Failure;
use keyway_core::application::{AdditionalSettings, Application, RedirectUri};
use keyway_core::ids::{ApplicationId, OrganizationId};
use keyway_engine::applications::{ApplicationPatch, CallbackUriPatch};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// An application as its own API key sees it.
#[derive(Serialize)]
pub(crate) struct ApplicationView<'a> {
    application_id: ApplicationId,
    organization_id: OrganizationId,
    region: &'a str,
    environment: &'a str,
    branding: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted_authentication: Option<&'a Value>,
    callback_uris: Vec<RedirectUriView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idp_settings: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a Value>,
    created_at: i64,
    updated_at: i64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
}

/// An application as anyone who knows its client id may see it.
#[derive(Serialize)]
pub(crate) struct BrandingView<'a> {
    application_id: ApplicationId,
    branding: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosted_authentication: Option<&'a Value>,
}

/// The stored branding; two clients cannot read an application without a name in it.
fn branding(application: &Application) -> Map<String, Value> {
    let stored = application.profile.get("branding");
    let mut branding = stored
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    branding
        .entry("name")
        .or_insert_with(|| json!(application.name));
    branding
}

impl<'a> ApplicationView<'a> {
    /// The view of an application and its redirect URIs.
    pub(crate) fn new(application: &'a Application, redirect_uris: &'a [RedirectUri]) -> Self {
        let profile = |name: &str| application.profile.get(name);
        Self {
            application_id: application.id,
            organization_id: application.organization_id,
            region: &application.region,
            environment: &application.environment,
            branding: branding(application),
            hosted_authentication: profile("hosted_authentication"),
            callback_uris: redirect_uris.iter().map(RedirectUriView::from).collect(),
            idp_settings: profile("idp_settings"),
            domain: profile("domain"),
            created_at: application.created_at.as_secs(),
            updated_at: application.updated_at.as_secs(),
            blocked: application.blocked,
        }
    }
}

impl<'a> From<&'a Application> for BrandingView<'a> {
    fn from(application: &'a Application) -> Self {
        Self {
            application_id: application.id,
            branding: branding(application),
            hosted_authentication: application.profile.get("hosted_authentication"),
        }
    }
}

/// Members of the nested objects that are texts.
const BRANDING: [&str; 6] = [
    "name",
    "icon_url",
    "website_url",
    "description",
    "privacy_policy_url",
    "terms_of_service_url",
];
const HOSTED_AUTHENTICATION: [&str; 9] = [
    "background_image_url",
    "alignment",
    "color_primary",
    "color_secondary",
    "title",
    "subtitle",
    "background_color",
    "terms_of_service_url",
    "privacy_policy_url",
];
const IDP_SETTINGS: [&str; 2] = ["origins", "issuers"];

/// One nested object of the profile, with its texts checked. What is null is left out: it counts as absent.
fn nested(fields: &Fields<'_>, name: &str, texts: &[&str]) -> Result<Value, Failure> {
    let Some(members) = fields.object(name)? else {
        return Ok(Value::Null);
    };
    let prefix = format!("{name}.");
    let inner = Fields::within(&prefix, members);
    for text in texts {
        inner.text(text)?;
    }
    inner.whole("spacing")?;
    let said = members.iter().filter(|(_, value)| !value.is_null());
    Ok(said
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// Members to replace; null removes one.
fn profile(fields: &Fields<'_>) -> Result<Map<String, Value>, Failure> {
    let nested_objects: [(&str, &[&str]); 3] = [
        ("branding", &BRANDING),
        ("hosted_authentication", &HOSTED_AUTHENTICATION),
        ("idp_settings", &IDP_SETTINGS),
    ];
    let mut profile = Map::new();
    for (name, texts) in nested_objects {
        if fields.has(name) {
            profile.insert(name.to_owned(), nested(fields, name, texts)?);
        }
    }
    if fields.has("domain") {
        profile.insert("domain".to_owned(), json!(fields.text("domain")?));
    }
    Ok(profile)
}

fn additional_settings(fields: &Fields<'_>) -> Result<Option<AdditionalSettings>, Failure> {
    let Some(members) = fields.object("additional_settings")? else {
        return Ok(None);
    };
    let inner = Fields::within("additional_settings.", members);
    Ok(Some(AdditionalSettings {
        login_url: inner.owned("login_url")?,
        logout_url: inner.owned("logout_url")?,
        refresh_token_expiration_absolute: inner.whole("refresh_token_expiration_absolute")?,
        refresh_token_expiration_idle: inner.whole("refresh_token_expiration_idle")?,
        rotate_refresh_token: inner.boolean("rotate_refresh_token")?.unwrap_or(false),
        allow_query_param_in_redirect_uri: inner
            .boolean("allow_query_param_in_redirect_uri")?
            .unwrap_or(false),
        allow_provider_tokens: inner.boolean("allow_provider_tokens")?.unwrap_or(false),
    }))
}

fn callback_uri(item: &Value, index: usize) -> Result<CallbackUriPatch, Failure> {
    let prefix = format!("callback_uris[{index}].");
    let members = item
        .as_object()
        .ok_or_else(|| Failure::field("callback_uris", "must be an array of objects"))?;
    let fields = Fields::within(&prefix, members);
    Ok(match fields.id("id")? {
        None => CallbackUriPatch::New(redirect_uri::new(&fields)?),
        Some(id) => CallbackUriPatch::Kept(id, redirect_uri::patch(&fields)?),
    })
}

/// One redirect URI cannot become two.
fn each_id_once(uris: &[CallbackUriPatch]) -> Result<(), Failure> {
    let mut ids = HashSet::new();
    for (at, uri) in uris.iter().enumerate() {
        if let CallbackUriPatch::Kept(id, _) = uri
            && !ids.insert(id)
        {
            let name = format!("callback_uris[{at}].id");
            return Err(Failure::field(&name, "is named twice"));
        }
    }
    Ok(())
}

fn callback_uris(body: &Map<String, Value>) -> Result<Option<Vec<CallbackUriPatch>>, Failure> {
    match body.get("callback_uris") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => {
            let read = items
                .iter()
                .enumerate()
                .map(|(at, item)| callback_uri(item, at));
            let uris: Vec<_> = read.collect::<Result<_, _>>()?;
            each_id_once(&uris).map(|()| Some(uris))
        }
        Some(_) => Err(Failure::field(
            "callback_uris",
            "must be an array of objects",
        )),
    }
}

/// The body of a change.
pub(crate) fn patch(body: &Map<String, Value>) -> Result<ApplicationPatch, Failure> {
    let fields = Fields::of(body);
    Ok(ApplicationPatch {
        profile: profile(&fields)?,
        additional_settings: additional_settings(&fields)?,
        callback_uris: callback_uris(body)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::time::UnixMillis;

    fn application(profile: &Value) -> Application {
        Application {
            id: ApplicationId::from_u128(1),
            organization_id: OrganizationId::from_u128(2),
            name: "Acme".into(),
            region: "us".into(),
            environment: "production".into(),
            profile: profile.as_object().unwrap().clone(),
            additional: AdditionalSettings {
                login_url: Some("https://never.shown".into()),
                ..AdditionalSettings::default()
            },
            blocked: false,
            created_at: UnixMillis(1_700_000_000_999),
            updated_at: UnixMillis(1_700_000_001_000),
            version: 1,
        }
    }

    #[test]
    fn an_application_shows_what_strict_clients_need_and_no_write_only_member() {
        let application = application(&json!({"branding": {"icon_url": "https://i"}}));
        let text = serde_json::to_string(&ApplicationView::new(&application, &[])).unwrap();
        assert_eq!(
            text,
            "{\"application_id\":\"00000000-0000-0000-0000-000000000001\",\
             \"organization_id\":\"00000000-0000-0000-0000-000000000002\",\
             \"region\":\"us\",\"environment\":\"production\",\
             \"branding\":{\"icon_url\":\"https://i\",\"name\":\"Acme\"},\"callback_uris\":[],\
             \"created_at\":1700000000,\"updated_at\":1700000001}"
        );
    }

    #[test]
    fn strangers_see_branding_only() {
        let profile = json!({"idp_settings": {"origins": "https://o"}, "domain": "d",
                             "hosted_authentication": {"title": "T"}});
        let application = application(&profile);
        let view = serde_json::to_value(BrandingView::from(&application)).unwrap();
        assert_eq!(
            view,
            json!({"application_id": "00000000-0000-0000-0000-000000000001",
                   "branding": {"name": "Acme"}, "hosted_authentication": {"title": "T"}})
        );
    }

    #[test]
    fn a_patch_replaces_given_members_and_null_removes_one() {
        let body = json!({"branding": {"name": "B", "icon_url": null}, "domain": null, "region": "eu",
            "additional_settings": {"rotate_refresh_token": true},
            "callback_uris": [{"id": "00000000-0000-0000-0000-000000000009", "url": "https://a.b"}]});
        let patch = patch(body.as_object().unwrap()).unwrap();
        assert_eq!(
            Value::Object(patch.profile),
            json!({"branding": {"name": "B"}, "domain": null})
        );
        assert!(patch.additional_settings.unwrap().rotate_refresh_token);
        let kept = &patch.callback_uris.unwrap()[0];
        let CallbackUriPatch::Kept(_, kept) = kept else {
            panic!("{kept:?}");
        };
        assert_eq!(kept.url.as_deref(), Some("https://a.b"));
        assert_eq!((kept.platform, &kept.settings), (None, &None));
    }

    #[test]
    fn wrong_members_are_named_in_full() {
        for (body, words) in [
            (json!({"branding": []}), "branding: must be an object"),
            (
                json!({"branding": {"name": 1}}),
                "branding.name: must be a string",
            ),
            (json!({"domain": 1}), "domain: must be a string"),
            (
                json!({"additional_settings": {"rotate_refresh_token": "x"}}),
                "additional_settings.rotate_refresh_token: must be true or false",
            ),
            (
                json!({"callback_uris": {}}),
                "callback_uris: must be an array of objects",
            ),
            (
                json!({"callback_uris": [{}]}),
                "callback_uris[0].url: is required",
            ),
            (
                json!({"callback_uris": [
                    {"id": "00000000-0000-0000-0000-000000000009", "url": "https://a.b/1"},
                    {"id": "00000000-0000-0000-0000-000000000009", "url": "https://a.b/2"}]}),
                "callback_uris[1].id: is named twice",
            ),
        ] {
            let failure = patch(body.as_object().unwrap()).unwrap_err();
            assert_eq!(failure.message(), words);
        }
    }
}
