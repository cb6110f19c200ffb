//! `credential_data` and the client members of connector settings: reading, checking, comparing.

use crate::error::Error;
use crate::key_file::is_signing_key;
use keyway_core::credential::CredentialType;
use keyway_core::provider::Provider;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// Longest client id, secret or tenant, in bytes.
const TEXT_MAX_BYTES: usize = 4096;
/// Most that `credential_data` may hold, in bytes of JSON. A Google key file has about 2,400.
const DATA_MAX_BYTES: usize = 32 * 1024;

/// The client members of an object, each absent, or present and checked.
#[derive(Clone, Debug, Default)]
pub struct ClientMembers {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `client_secret`.
    pub client_secret: Option<SecretString>,
    /// `tenant`, Microsoft only.
    pub tenant: Option<String>,
}

/// The text `map[name]`, if it is there.
///
/// # Errors
/// If it is no text, empty or too long; the message names it as `prefix.name`.
pub(crate) fn text_member<'a>(
    map: &'a Map<String, Value>,
    prefix: &str,
    name: &str,
) -> Result<Option<&'a str>, Error> {
    let wrong = |what: &str| Err(Error::field(&format!("{prefix}.{name}"), what));
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => wrong("must not be empty"),
        Some(Value::String(text)) if text.len() > TEXT_MAX_BYTES => wrong("is too long"),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => wrong("must be a string"),
    }
}

/// Whether a text can be a tenant's name in the path of a URL: an id or a domain is made of nothing else.
pub(crate) fn is_tenant(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.len() <= 253
        && text.chars().all(plain)
        && !text.contains("..")
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn check_tenant(prefix: &str, tenant: &str) -> Result<(), Error> {
    if is_tenant(tenant) {
        return Ok(());
    }
    let name = format!("{prefix}.tenant");
    Err(Error::field(
        &name,
        "must be a tenant id, a domain, or common, organizations, consumers",
    ))
}

impl ClientMembers {
    /// Reads the client members of `map`; `prefix` is how messages call the object.
    ///
    /// # Errors
    /// If one is of the wrong type, empty, too long, or no tenant.
    pub fn read(prefix: &str, map: &Map<String, Value>) -> Result<Self, Error> {
        let owned = |name| Ok::<_, Error>(text_member(map, prefix, name)?.map(str::to_owned));
        let members = Self {
            client_id: owned("client_id")?,
            client_secret: owned("client_secret")?.map(SecretString::from),
            tenant: owned("tenant")?,
        };
        match &members.tenant {
            Some(tenant) => check_tenant(prefix, tenant).map(|()| members),
            None => Ok(members),
        }
    }

    /// Whether neither id nor secret is given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.client_id.is_none() && self.client_secret.is_none()
    }

    /// Both or neither: one alone is half a client.
    fn require_whole(&self, prefix: &str) -> Result<(), Error> {
        let missing = match (&self.client_id, &self.client_secret) {
            (Some(_), None) => "client_secret",
            (None, Some(_)) => "client_id",
            _ => return Ok(()),
        };
        let name = format!("{prefix}.{missing}");
        Err(Error::field(
            &name,
            "is required: client_id and client_secret go together",
        ))
    }
}

fn require(map: &Map<String, Value>, name: &str) -> Result<(), Error> {
    match text_member(map, "credential_data", name)? {
        Some(_) => Ok(()),
        None => Err(Error::field(
            &format!("credential_data.{name}"),
            "is required",
        )),
    }
}

/// Members of a Google key file as one client's change of case spells them, and as they are.
const MANGLED: [(&str, &str); 2] = [
    (
        "auth_provider_x_509_cert_url",
        "auth_provider_x509_cert_url",
    ),
    ("client_x_509_cert_url", "client_x509_cert_url"),
];

/// Where one client puts what its own type has no member for, a `tenant` for one.
const EXTRA: [&str; 2] = ["extraProperties", "extra_properties"];

/// The members of an inner object at the top, where they belong. What is there already stays.
fn lift(data: &mut Map<String, Value>, inner: &str) {
    if !data.get(inner).is_some_and(Value::is_object) {
        return;
    }
    let Some(Value::Object(members)) = data.remove(inner) else {
        return;
    };
    for (name, value) in members {
        if data.get(&name).is_none_or(Value::is_null) {
            data.insert(name, value);
        }
    }
}

/// The data with the members a client misplaces or misspells under their own names, so that one key file is the
/// same data whichever client sends it.
#[must_use]
pub(crate) fn unmangled(mut data: Map<String, Value>) -> Map<String, Value> {
    for inner in EXTRA {
        lift(&mut data, inner);
    }
    for (wrong, right) in MANGLED {
        if let Some(value) = data.remove(wrong) {
            data.entry(right).or_insert(value);
        }
    }
    data
}

/// A key file's key is RSA in PEM (RFC 7468). Whether it is the account's only the provider can tell.
fn require_pem(data: &Map<String, Value>) -> Result<(), Error> {
    require(data, "private_key")?;
    let text = text_member(data, "credential_data", "private_key")?.unwrap_or_default();
    if is_signing_key(text) {
        return Ok(());
    }
    let what = "must be an RSA private key in PEM: -----BEGIN PRIVATE KEY----- and so on, as in the key file";
    Err(Error::field("credential_data.private_key", what))
}

/// Checks `credential_data` of a type for a provider.
///
/// # Errors
/// If the type does not go with the provider, or a member is missing or wrong.
pub fn check(
    provider: Provider,
    credential_type: CredentialType,
    data: &Map<String, Value>,
) -> Result<ClientMembers, Error> {
    if serde_json::to_string(data).map_or(usize::MAX, |text| text.len()) > DATA_MAX_BYTES {
        return Err(Error::field("credential_data", "is larger than 32 KiB"));
    }
    let members = ClientMembers::read("credential_data", data)?;
    let only = |wanted: Provider| {
        if provider == wanted {
            return Ok(());
        }
        let what = format!(
            "{} credentials are for {wanted} connectors only",
            credential_type.as_str()
        );
        Err(Error::field("credential_type", what))
    };
    match credential_type {
        CredentialType::Connector if !provider.is_oauth() => {
            let what = format!("{provider} connectors have no client settings, so no credentials");
            return Err(Error::field("credential_type", what));
        }
        CredentialType::Connector => {
            require(data, "client_id")?;
            require(data, "client_secret")?;
        }
        CredentialType::ServiceAccount => {
            only(Provider::Google)?;
            require(data, "private_key_id")?;
            require_pem(data)?;
            require(data, "client_email")?;
        }
        CredentialType::AdminConsent => {
            only(Provider::Microsoft)?;
            members.require_whole("credential_data")?;
        }
    }
    Ok(members)
}

/// Checks the client members of a new connector's settings.
///
/// # Errors
/// If only half a client is given, or a provider without OAuth is given one.
pub fn check_settings(
    provider: Provider,
    settings: &Map<String, Value>,
) -> Result<ClientMembers, Error> {
    let members = ClientMembers::read("settings", settings)?;
    members.require_whole("settings")?;
    if !members.is_empty() && !provider.is_oauth() {
        let what = format!("{provider} connectors take no client settings");
        return Err(Error::field("settings.client_id", what));
    }
    text_member(settings, "settings", "topic_name")?;
    if provider == Provider::Ews {
        crate::custom::check_ews_settings(settings)?;
    }
    Ok(members)
}

/// Settings members that may be shown. Anything else stays out of the answer: it may be a secret.
const PUBLIC_SETTINGS: [&str; 10] = [
    "topic_name",
    "tenant",
    "project_id",
    "imap_host",
    "imap_port",
    "smtp_host",
    "smtp_port",
    "imap_security",
    "ews_host",
    "ews_port",
];

/// The members of connector settings that are stored openly and shown.
#[must_use]
pub fn public_settings(settings: &Map<String, Value>) -> Map<String, Value> {
    settings
        .iter()
        .filter(|(name, value)| PUBLIC_SETTINGS.contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The provider's project of a client, where it can be told: Google writes the project's number before
/// the first dash of a client id. Consent, and so revocation, is per project.
#[must_use]
pub fn provider_project(
    provider: Provider,
    client_id: Option<&str>,
    data: &Map<String, Value>,
) -> Option<String> {
    if provider != Provider::Google {
        return None;
    }
    let number = client_id
        .filter(|id| id.ends_with(".apps.googleusercontent.com"))
        .and_then(|id| id.split('-').next())
        .filter(|head| !head.is_empty() && head.chars().all(|c| c.is_ascii_digit()));
    let named = data.get("project_id").and_then(Value::as_str);
    number.or(named).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_vault::request_key::RequestKey;
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn message(result: Result<ClientMembers, Error>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn each_type_goes_with_its_providers_and_names_what_it_misses() {
        let client = map(&json!({"client_id": "a", "client_secret": "b", "extraProperties": {}}));
        assert!(check(Provider::Google, CredentialType::Connector, &client).is_ok());
        for (provider, kind, data, word) in [
            (
                Provider::Imap,
                CredentialType::Connector,
                &client,
                "credential_type",
            ),
            (
                Provider::Microsoft,
                CredentialType::ServiceAccount,
                &client,
                "credential_type",
            ),
            (
                Provider::Google,
                CredentialType::AdminConsent,
                &client,
                "credential_type",
            ),
            (
                Provider::Google,
                CredentialType::ServiceAccount,
                &client,
                "private_key_id",
            ),
            (
                Provider::Google,
                CredentialType::Connector,
                &map(&json!({"client_id": "a"})),
                "client_secret",
            ),
            (
                Provider::Google,
                CredentialType::Connector,
                &map(&json!({"client_id": 1})),
                "client_id: must be a string",
            ),
            (
                Provider::Microsoft,
                CredentialType::AdminConsent,
                &map(&json!({"client_id": "a"})),
                "client_secret",
            ),
        ] {
            let text = message(check(provider, kind, data));
            assert!(text.contains(word), "{text}");
        }
        let tenant_only = map(&json!({"tenant": "contoso.com"}));
        assert!(
            check(
                Provider::Microsoft,
                CredentialType::AdminConsent,
                &tenant_only
            )
            .is_ok()
        );
    }

    #[test]
    fn a_private_key_that_is_none_is_refused_by_name() {
        let check = |key: &str| {
            let data = json!({"private_key_id": "1", "private_key": key, "client_email": "a@b.c"});
            check(
                Provider::Google,
                CredentialType::ServiceAccount,
                &map(&data),
            )
        };
        let key = RequestKey::generate().unwrap().to_pem().unwrap();
        assert!(check(key.expose_secret()).is_ok());
        for bad in [
            "x",
            "PRIVATE KEY",
            "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n",
            &key.expose_secret().replace("PRIVATE KEY", "CERTIFICATE"),
        ] {
            let text = message(check(bad));
            assert!(text.starts_with("credential_data.private_key: "), "{text}");
        }
    }

    #[test]
    fn members_that_a_client_misspells_get_their_names_back() {
        let given = json!({"auth_provider_x_509_cert_url": "a", "client_x_509_cert_url": "b",
                           "client_x509_cert_url": "c", "other_x_509": "d"});
        assert_eq!(
            Value::Object(unmangled(map(&given))),
            json!({"auth_provider_x509_cert_url": "a", "client_x509_cert_url": "c",
                   "other_x_509": "d"})
        );
    }

    #[test]
    fn members_that_a_client_puts_inside_come_to_the_top() {
        for inner in EXTRA {
            let given = json!({"client_id": "a", "name": null,
                inner: {"tenant": "t", "client_id": "b", "name": "n", "client_x_509_cert_url": "c"}});
            assert_eq!(
                Value::Object(unmangled(map(&given))),
                json!({"client_id": "a", "tenant": "t", "name": "n", "client_x509_cert_url": "c"})
            );
        }
        let kept = json!({"extraProperties": "text", "tenant": "t"});
        assert_eq!(Value::Object(unmangled(map(&kept))), kept);
    }

    #[test]
    fn a_tenant_cannot_leave_its_place_in_the_path() {
        for bad in ["../x", "a/b", "a?b", "a#b", "..", "-a", "a b", "%2e"] {
            let data = map(&json!({"tenant": bad}));
            let text = message(check(
                Provider::Microsoft,
                CredentialType::AdminConsent,
                &data,
            ));
            assert!(text.starts_with("credential_data.tenant"), "{bad}: {text}");
        }
    }

    #[test]
    fn rule_07_only_known_public_settings_are_shown() {
        let given = map(
            &json!({"client_id": "a", "client_secret": "b", "topic_name": "t", "api_secret": "c"}),
        );
        assert_eq!(
            Value::Object(public_settings(&given)),
            json!({"topic_name": "t"})
        );
    }

    #[test]
    fn googles_project_is_read_from_the_client_id() {
        let project = |id| provider_project(Provider::Google, Some(id), &Map::new());
        assert_eq!(
            project("123-abc.apps.googleusercontent.com").as_deref(),
            Some("123")
        );
        assert_eq!(project("abc"), None);
        let named = map(&json!({"project_id": "p"}));
        assert_eq!(
            provider_project(Provider::Google, None, &named).as_deref(),
            Some("p")
        );
        assert_eq!(provider_project(Provider::Zoom, Some("1-a"), &named), None);
    }
}
