//! The form that asks for a mail account's password: what it shows, what a person types, and why it comes back.

use super::Returned;
use crate::custom::ews_failure::{EwsFailure, EwsRefusal};
use crate::custom::mail_failure::ServerRefusal;
use crate::custom::password_account::NotOpened;
use crate::error::{Error, ErrorKind};
use keyway_core::connector::Connector;
use keyway_core::email::{email_key, looks_like_email};
use keyway_core::ids::ApplicationId;
use keyway_core::mail_servers::MailProtocol;
use keyway_core::provider::Provider;
use keyway_core::sign_in::Started;
use keyway_outbound::{CallErrorKind, MailFailure, NoWay};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// What an IMAP account is described by, in the words of `POST /v3/connect/custom`.
const IMAP_FIELDS: [&str; 9] = [
    "email",
    "imap_username",
    "imap_password",
    "imap_host",
    "imap_port",
    "smtp_host",
    "smtp_port",
    "smtp_username",
    "smtp_password",
];
/// What an Exchange mailbox is described by.
const EWS_FIELDS: [&str; 5] = [
    "email",
    "ews_username",
    "ews_password",
    "ews_host",
    "ews_port",
];
/// What an iCloud account is described by.
const ICLOUD_FIELDS: [&str; 2] = ["username", "password"];

/// The fields of a provider's form; none where it has no form.
pub(super) const fn fields(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Imap => &IMAP_FIELDS,
        Provider::Icloud => &ICLOUD_FIELDS,
        Provider::Ews => &EWS_FIELDS,
        _ => &[],
    }
}

/// The ports a person may name, by field.
const OWN_PORTS: [(&str, &[u16]); 3] = [
    ("imap_port", &[143, 993]),
    ("smtp_port", &[465, 587]),
    ("ews_port", &[443]),
];

/// Longest field that is looked at, in bytes: an address has 320 at most, a password of a mail account some 100.
const FIELD_MAX_BYTES: usize = 1024;

fn port_of(value: &Value) -> Option<u16> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => u16::try_from(other.as_u64()?).ok(),
    }
}

/// Whether the connector says where its users' accounts are.
fn names_servers(connector: &Connector) -> bool {
    let is_named = |name: &str| {
        connector
            .settings
            .get(name)
            .is_some_and(|host| !host.is_null())
    };
    ["imap_host", "smtp_host", "ews_host"]
        .into_iter()
        .any(is_named)
}

fn is_of_server(field: &str) -> bool {
    field.ends_with("_host") || field.ends_with("_port")
}

/// The field that takes the address.
pub(super) const fn address_field(provider: Provider) -> &'static str {
    match provider {
        Provider::Icloud => "username",
        _ => "email",
    }
}

/// A form, to be shown.
#[derive(Clone)]
pub struct AccountForm {
    /// Goes with it, and comes back with what is typed.
    pub state: SecretString,
    /// Whose form it is.
    pub application_id: ApplicationId,
    /// The provider of the account.
    pub provider: Provider,
    /// Whether the account must be able to send.
    pub smtp_required: bool,
    /// Whether the connector names the servers, so that the person cannot.
    pub servers_are_given: bool,
    /// What was typed before, but for passwords.
    pub values: Map<String, Value>,
    /// Why the form comes back.
    pub trouble: Option<Trouble>,
    /// Where a person goes who does not want to.
    pub cancel: String,
}

impl std::fmt::Debug for AccountForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountForm")
            .field("provider", &self.provider)
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl AccountForm {
    pub(super) fn new(
        state: SecretString,
        started: &Started,
        connector: &Connector,
        email: Option<String>,
    ) -> Self {
        let mut values = Map::new();
        if let Some(email) = email {
            values.insert(address_field(started.provider).to_owned(), email.into());
        }
        let declined = Returned::new("access_denied", 45002, "the user did not want to");
        Self {
            state,
            application_id: started.application_id,
            provider: started.provider,
            smtp_required: started.smtp_required,
            servers_are_given: names_servers(connector),
            values,
            trouble: None,
            cancel: declined.to_location(&started.redirect_uri, started.state.as_deref()),
        }
    }

    /// The form again, with everything that is no password, and what is wrong.
    pub(super) fn again(
        typed: &TypedAccount,
        started: &Started,
        connector: &Connector,
        trouble: Trouble,
    ) -> Self {
        let state = typed.state.clone().unwrap_or_default();
        let shown = typed.settings.iter();
        Self {
            values: shown
                .filter(|(name, _)| !name.ends_with("password"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            trouble: Some(trouble),
            ..Self::new(state, started, connector, None)
        }
    }
}

/// What a person typed.
#[derive(Clone, Default)]
pub struct TypedAccount {
    /// The form's own state.
    pub state: Option<SecretString>,
    /// The fields.
    pub settings: Map<String, Value>,
}

impl std::fmt::Debug for TypedAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedAccount").finish_non_exhaustive()
    }
}

impl TypedAccount {
    /// What of it belongs to the form of the connector, without what was left empty. Where the connector names the
    /// server, a person does not.
    pub(super) fn for_connector(self, connector: &Connector) -> Self {
        let mut typed = self.for_provider(connector.provider);
        if names_servers(connector) {
            typed.settings.retain(|name, _| !is_of_server(name));
        }
        typed
    }

    /// Whether the person named a server.
    pub(super) fn names_a_host(&self) -> bool {
        self.settings.keys().any(|name| name.ends_with("_host"))
    }

    /// Every name that a server is shown, and the address, as addresses are compared.
    pub(super) fn names(&self) -> Vec<String> {
        let is_name = |name: &str| name == "email" || name.ends_with("username");
        let shown = self.settings.iter().filter(|(name, _)| is_name(name));
        let texts = shown.filter_map(|(_, value)| value.as_str());
        texts
            .map(email_key)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// The field that is longer than a name, an address or a password can be.
    pub(super) fn overlong(&self) -> Option<String> {
        let bytes = |value: &Value| value.as_str().map_or(0, str::len);
        let is_overlong = |(_, value): &(&String, &Value)| bytes(value) > FIELD_MAX_BYTES;
        self.settings
            .iter()
            .find(is_overlong)
            .map(|(name, _)| name.clone())
    }

    /// The field with a port that is none of its protocol's own.
    pub(super) fn odd_port(&self) -> Option<&'static str> {
        let is_odd = |(name, own): &&(&'static str, &[u16])| {
            let port = self.settings.get(*name).and_then(port_of);
            port.is_some_and(|port| !own.contains(&port))
        };
        OWN_PORTS.iter().find(is_odd).map(|(name, _)| *name)
    }

    fn for_provider(mut self, provider: Provider) -> Self {
        let known = fields(provider);
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        let is_empty = |value: &Value| value.is_null() || is_blank(value);
        self.settings
            .retain(|name, value| known.contains(&name.as_str()) && !is_empty(value));
        for (name, value) in &mut self.settings {
            // A password may begin or end with a space.
            if let (false, Some(text)) = (name.ends_with("password"), value.as_str()) {
                *value = text.trim().into();
            }
        }
        self
    }

    /// The address, if one was typed.
    pub(super) fn address(&self, provider: Provider) -> Option<&str> {
        self.settings.get(address_field(provider))?.as_str()
    }

    /// The account as an application would describe it.
    pub(super) fn described(&self, provider: Provider) -> Map<String, Value> {
        let mut settings = self.settings.clone();
        let name = match provider {
            Provider::Imap => "imap_username",
            Provider::Ews => "ews_username",
            _ => return settings,
        };
        // A name that is an address is the account's: the server has let that in.
        let own = settings
            .get(name)
            .filter(|own| own.as_str().is_some_and(looks_like_email));
        if let Some(own) = own.cloned() {
            settings.insert("email".to_owned(), own);
            return settings;
        }
        if let Some(email) = self.address(provider) {
            let email = Value::from(email);
            settings.entry(name).or_insert(email);
        }
        settings
    }
}

/// Why a form comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// The field to look at.
    pub field: Option<String>,
    /// The server that is meant.
    pub host: Option<String>,
    /// After how many seconds it may be tried again.
    pub wait_secs: Option<u32>,
}

/// What can be wrong with what a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// A field was left empty.
    Missing,
    /// A field holds something else.
    Wrong,
    /// The server refused name or password.
    Refused,
    /// The server refused them, and takes app passwords only.
    AppPassword,
    /// The server lets nobody in for the moment.
    NotNow,
    /// The server does not encrypt there.
    NoEncryption,
    /// The server takes no passwords.
    NoPasswords,
    /// The port is none for mail.
    WrongPort,
    /// The host's name has no address, or none that this server calls.
    UnknownHost,
    /// The server's certificate is not trusted.
    Certificate,
    /// Nothing answers there, or not in time.
    Unreachable,
    /// Something answers that is no such server.
    OtherServer,
    /// The server let the person in, and does not let its mailbox be used from here.
    NotAllowed,
    /// The server let the person in, who has no mailbox there.
    NoMailbox,
    /// The server takes passwords in no way that is spoken here.
    NoBasic,
    /// Nothing tells where the account is.
    ServersUnknown,
    /// The server for sending must be named too.
    SmtpNeeded,
    /// Too many tries.
    TooMany,
    /// As many are tried as may be at once.
    Busy,
}

impl TroubleKind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Missing,
        Self::Wrong,
        Self::Refused,
        Self::AppPassword,
        Self::NotNow,
        Self::NoEncryption,
        Self::NoPasswords,
        Self::WrongPort,
        Self::UnknownHost,
        Self::Certificate,
        Self::Unreachable,
        Self::OtherServer,
        Self::NotAllowed,
        Self::NoMailbox,
        Self::NoBasic,
        Self::ServersUnknown,
        Self::SmtpNeeded,
        Self::TooMany,
        Self::Busy,
    ];

    /// The name its words are kept under.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Wrong => "wrong",
            Self::Refused => "refused",
            Self::AppPassword => "app_password",
            Self::NotNow => "not_now",
            Self::NoEncryption => "no_encryption",
            Self::NoPasswords => "no_passwords",
            Self::WrongPort => "wrong_port",
            Self::UnknownHost => "unknown_host",
            Self::Certificate => "certificate",
            Self::Unreachable => "unreachable",
            Self::OtherServer => "other_server",
            Self::NotAllowed => "not_allowed",
            Self::NoMailbox => "no_mailbox",
            Self::NoBasic => "no_basic",
            Self::ServersUnknown => "servers_unknown",
            Self::SmtpNeeded => "smtp_needed",
            Self::TooMany => "too_many",
            Self::Busy => "busy",
        }
    }
}

impl Trouble {
    pub(super) fn new(kind: TroubleKind, field: Option<&str>) -> Self {
        Self {
            kind,
            field: field.map(str::to_owned),
            host: None,
            wait_secs: None,
        }
    }

    pub(super) fn too_many(wait_secs: u32) -> Self {
        Self {
            wait_secs: Some(wait_secs),
            ..Self::new(TroubleKind::TooMany, None)
        }
    }

    /// What a person can do about an account that did not open.
    ///
    /// # Errors
    /// With the failure itself if it is none that typing something else could mend.
    pub(super) fn of(not_opened: NotOpened, typed: &TypedAccount) -> Result<Self, Error> {
        match not_opened {
            NotOpened::Mail(refusal) => Ok(Self::of_server(&refusal)),
            NotOpened::Exchange(refusal) => Ok(Self::of_exchange(&refusal)),
            NotOpened::Described(error) => Self::described(error, typed),
        }
    }

    fn described(error: Error, typed: &TypedAccount) -> Result<Self, Error> {
        match error.kind() {
            ErrorKind::RateLimited => Ok(Self::new(TroubleKind::Busy, None)),
            ErrorKind::InvalidRequest => Self::of_field(error.wrong_field(), typed).ok_or(error),
            _ => Err(error),
        }
    }

    fn of_exchange(refusal: &EwsRefusal) -> Self {
        let (kind, field) = match &refusal.failure {
            EwsFailure::Refused => (TroubleKind::Refused, Some("ews_password")),
            EwsFailure::Forbidden => (TroubleKind::NotAllowed, None),
            EwsFailure::NoMailbox(_) => (TroubleKind::NoMailbox, Some("ews_username")),
            EwsFailure::NoBasic(_) => (TroubleKind::NoBasic, None),
            EwsFailure::NotNow(_) => (TroubleKind::NotNow, None),
            EwsFailure::Redirected(_) | EwsFailure::NotThere => {
                (TroubleKind::OtherServer, Some("ews_host"))
            }
            EwsFailure::Unreachable(cause) => (of_call(cause.kind).0, Some("ews_host")),
        };
        Self {
            host: Some(refusal.server.host.clone()),
            ..Self::new(kind, field)
        }
    }

    fn of_field(path: Option<&str>, typed: &TypedAccount) -> Option<Self> {
        let name = path?.strip_prefix("settings.")?;
        let kind = match (typed.settings.contains_key(name), name) {
            (true, _) => TroubleKind::Wrong,
            (false, "imap_host" | "ews_host") => TroubleKind::ServersUnknown,
            (false, "smtp_host") => TroubleKind::SmtpNeeded,
            (false, _) => TroubleKind::Missing,
        };
        // The name at the server stands for the address, which is what was asked for.
        let name = match (name, typed.settings.contains_key(name)) {
            ("imap_username" | "ews_username", false) => "email",
            _ => name,
        };
        Some(Self::new(kind, Some(name)))
    }

    fn of_server(refusal: &ServerRefusal) -> Self {
        let (kind, what) = match &refusal.failure {
            MailFailure::Refused(_) if refusal.needs_app_password => {
                (TroubleKind::AppPassword, "password")
            }
            MailFailure::Refused(_) => (TroubleKind::Refused, "password"),
            MailFailure::NotNow(_) => (TroubleKind::NotNow, ""),
            MailFailure::NoWay(NoWay::Encryption) => (TroubleKind::NoEncryption, "port"),
            MailFailure::NoWay(NoWay::Password) => (TroubleKind::NoPasswords, "host"),
            MailFailure::Port(_) => (TroubleKind::WrongPort, "port"),
            MailFailure::Unreachable(cause) => of_call(cause.kind),
        };
        Self {
            host: Some(refusal.host.clone()),
            ..Self::new(kind, field_of(refusal, what).as_deref())
        }
    }
}

const fn of_call(kind: CallErrorKind) -> (TroubleKind, &'static str) {
    match kind {
        // Strangers are not told which names lead to hosts that they may not have called.
        CallErrorKind::Dns | CallErrorKind::AddressRefused => (TroubleKind::UnknownHost, "host"),
        CallErrorKind::Tls => (TroubleKind::Certificate, "host"),
        CallErrorKind::Connect | CallErrorKind::Timeout => (TroubleKind::Unreachable, "host"),
        CallErrorKind::Stopped => (TroubleKind::NotNow, ""),
        CallErrorKind::TooLarge | CallErrorKind::Protocol => (TroubleKind::OtherServer, "port"),
    }
}

/// The field that says `what` of a server, in the form it came from.
fn field_of(refusal: &ServerRefusal, what: &str) -> Option<String> {
    let protocol = match (refusal.is_icloud(), refusal.protocol, what) {
        (_, _, "") => return None,
        (true, _, "password") => return Some("password".to_owned()),
        // Its servers are not the person's to name.
        (true, _, _) => return None,
        (false, MailProtocol::Smtp, "password") if !refusal.has_own_password => MailProtocol::Imap,
        (false, protocol, _) => protocol,
    };
    Some(format!("{}_{what}", protocol.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn typed(settings: &Value) -> TypedAccount {
        TypedAccount {
            state: Some(SecretString::from("s".to_owned())),
            settings: settings.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn a_form_keeps_its_own_fields_and_the_address_is_the_name_unless_one_is_typed() {
        let typed = typed(&json!({
            "email": " a@b.c ", "imap_password": " p ", "imap_host": "  ", "state": "x", "username": "u",
        }));
        let typed = typed.for_provider(Provider::Imap);
        let described = Value::from(typed.described(Provider::Imap));
        assert_eq!(
            described,
            json!({"email": "a@b.c", "imap_password": " p ", "imap_username": "a@b.c"})
        );
    }

    #[test]
    fn rule_07_a_form_prints_nothing_of_what_was_typed() {
        let typed = typed(&json!({"email": "a@b.c", "imap_password": "secret"}));
        assert!(!format!("{typed:?}").contains("secret"));
    }

    #[test]
    fn what_is_wrong_is_told_by_its_field() {
        let of = |path: &str, settings: Value| {
            let trouble = Trouble::of_field(Some(path), &typed(&settings)).unwrap();
            (trouble.kind, trouble.field.unwrap())
        };
        for (path, settings, kind, field) in [
            (
                "settings.imap_password",
                json!({}),
                TroubleKind::Missing,
                "imap_password",
            ),
            (
                "settings.imap_username",
                json!({}),
                TroubleKind::Missing,
                "email",
            ),
            (
                "settings.imap_host",
                json!({}),
                TroubleKind::ServersUnknown,
                "imap_host",
            ),
            (
                "settings.imap_host",
                json!({"imap_host": "-"}),
                TroubleKind::Wrong,
                "imap_host",
            ),
            (
                "settings.smtp_host",
                json!({}),
                TroubleKind::SmtpNeeded,
                "smtp_host",
            ),
        ] {
            assert_eq!(of(path, settings), (kind, field.to_owned()), "{path}");
        }
        assert_eq!(
            Trouble::of_field(Some("provider"), &typed(&json!({}))),
            None
        );
    }
}
