//! Which servers a mail account is at: those the application names, else the connector's, else the well-known
//! ones of the address, else what its domain publishes, over https or (`mail_services`) in the name service.

use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::Error;
use futures_util::future;
use keyway_core::autoconfig::{self, Published};
use keyway_core::connector::Connector;
use keyway_core::mail_servers::{
    KnownServers, MailProtocol, MailServer, icloud_servers, known_servers, servers_beside,
    takes_no_passwords,
};
use keyway_core::provider::Provider;
use keyway_outbound::Request;
use serde_json::{Map, Value};
use std::time::Duration;
use url::{Host, Url};

/// How long a domain may take to say where its mail servers are.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);
/// Largest text in which it says so, in bytes.
const PUBLISHED_MAX_BYTES: usize = 64 * 1024;
/// Longest name of a host, in bytes (RFC 1035).
const HOST_MAX_BYTES: usize = 253;

/// Where an account is.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) imap: MailServer,
    /// Where mail is sent, if that is known.
    pub(super) smtp: Option<MailServer>,
    /// Whether the account's own password is known to open nothing there.
    pub(super) needs_app_password: bool,
}

impl From<KnownServers> for Servers {
    fn from(known: KnownServers) -> Self {
        Self {
            imap: known.imap,
            smtp: Some(known.smtp),
            needs_app_password: known.needs_app_password,
        }
    }
}

/// Host and port of one protocol, as far as somebody named them.
#[derive(Default)]
struct Named {
    host: Option<String>,
    port: Option<u16>,
}

impl Named {
    fn read(settings: &Map<String, Value>, protocol: MailProtocol) -> Result<Self, Error> {
        let name = |what: &str| format!("{}_{what}", protocol.as_str());
        let host = text_member(settings, "settings", &name("host"))?;
        let port = match settings.get(&name("port")) {
            None | Some(Value::Null) => None,
            Some(value) => Some(port(value).ok_or_else(|| {
                Error::field(
                    &format!("settings.{}", name("port")),
                    "must be a port number, 1 to 65535",
                )
            })?),
        };
        let host = host.filter(|host| !host.is_empty()).map(|host| {
            checked_host(host).ok_or_else(|| {
                Error::field(
                    &format!("settings.{}", name("host")),
                    "is not the name or address of a host",
                )
            })
        });
        Ok(Self {
            host: host.transpose()?,
            port,
        })
    }

    /// A port goes with the host beside it: another's says nothing of this one.
    fn or(self, other: Self) -> Self {
        match self.host {
            Some(_) => self,
            None => Self {
                host: other.host,
                port: self.port.or(other.port),
            },
        }
    }

    fn server(&self, protocol: MailProtocol) -> Option<MailServer> {
        let host = self.host.clone()?;
        let port = self.port.unwrap_or(protocol.default_port());
        Some(MailServer { host, port })
    }
}

/// A port as a number, or as a text of one.
pub(super) fn port(value: &Value) -> Option<u16> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => u16::try_from(other.as_u64()?).ok()?,
    };
    (number > 0).then_some(number)
}

/// The host in the form in which it is compared and called.
pub(super) fn checked_host(text: &str) -> Option<String> {
    let text = text.trim();
    // The dot that ends a complete name is no part of it.
    let parsed = Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()?;
    let host = parsed.to_string();
    (host.len() <= HOST_MAX_BYTES && !host.contains('_')).then_some(host)
}

impl Engine {
    /// The servers of an account.
    ///
    /// # Errors
    /// If a setting is wrong, none is found, or the host takes no passwords.
    pub(super) async fn mail_servers(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
        email: &str,
    ) -> Result<Servers, Error> {
        if connector.provider == Provider::Icloud {
            return Ok(icloud_servers().into());
        }
        let named = |protocol| {
            let own = Named::read(settings, protocol)?;
            Ok::<_, Error>(own.or(Named::read(&connector.settings, protocol)?))
        };
        let (imap, smtp) = (named(MailProtocol::Imap)?, named(MailProtocol::Smtp)?);
        if takes_no_passwords(email, imap.host.as_deref()) {
            let what = "Microsoft takes no passwords over IMAP; connect this account through the microsoft connector";
            return Err(Error::field("settings.imap_username", what));
        }
        match imap.server(MailProtocol::Imap) {
            Some(server) => beside(server, &smtp, settings),
            None => self.guessed(email, &imap, &smtp).await,
        }
    }

    /// By the address: the well-known hosts, else what the domain publishes.
    async fn guessed(&self, email: &str, imap: &Named, smtp: &Named) -> Result<Servers, Error> {
        let mut servers = match known_servers(email) {
            Some(known) => known.into(),
            None => self.published(email).await?,
        };
        if let Some(port) = imap.port {
            servers.imap.port = port;
        }
        match (smtp.server(MailProtocol::Smtp), smtp.port) {
            (Some(server), _) => servers.smtp = Some(server),
            (None, Some(port)) => servers.smtp.iter_mut().for_each(|smtp| smtp.port = port),
            (None, None) => {}
        }
        Ok(servers)
    }

    async fn published(&self, email: &str) -> Result<Servers, Error> {
        let found = match autoconfig_urls(email) {
            Some((domain, urls)) => {
                let [one, other] = urls.map(|url| self.look_up(url, &domain));
                // In the order in which mail programs ask.
                let (one, other) = future::join(one, other).await;
                one.filter(|found| found.imap.is_some()).or(other)
            }
            None => None,
        };
        let Published { imap, smtp } = found.unwrap_or_default();
        match imap {
            Some(imap) => Ok(Servers {
                imap,
                smtp,
                needs_app_password: false,
            }),
            None => self.of_name_service(email).await,
        }
    }

    /// What a domain publishes; a domain that does not answer publishes nothing.
    async fn look_up(&self, url: Url, domain: &str) -> Option<Published> {
        let call = Request::get(url)
            .with_deadline(LOOK_UP_LIMIT)
            .with_max_response_bytes(PUBLISHED_MAX_BYTES);
        let answer = self.inner.parts.transport.send(call).await.ok()?;
        let text = std::str::from_utf8(&answer.body).ok()?;
        let is_there = answer.status.is_success();
        is_there.then(|| autoconfig::parse(text, domain))
    }
}

/// The two places where a domain tells mail programs of its servers. The address itself is not sent.
fn autoconfig_urls(email: &str) -> Option<(String, [Url; 2])> {
    let (_, domain) = email.rsplit_once('@')?;
    let Ok(Host::Domain(domain)) = Host::parse(domain) else {
        return None;
    };
    if !domain.contains('.') || domain.len() > HOST_MAX_BYTES {
        return None;
    }
    let first = format!("https://autoconfig.{domain}/mail/config-v1.1.xml");
    let second = format!("https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml");
    let urls = [Url::parse(&first).ok()?, Url::parse(&second).ok()?];
    Some((domain, urls))
}

/// Settings that need a server for sending.
const OF_SMTP: [&str; 3] = ["smtp_port", "smtp_username", "smtp_password"];

/// The servers of an account whose server for reading is named.
fn beside(imap: MailServer, smtp: &Named, settings: &Map<String, Value>) -> Result<Servers, Error> {
    let known = servers_beside(&imap.host);
    let derived = known.as_ref().map(|known| MailServer {
        port: smtp.port.unwrap_or(known.smtp.port),
        host: known.smtp.host.clone(),
    });
    let found = smtp.server(MailProtocol::Smtp).or(derived);
    let asks_for = |name: &&str| settings.get(*name).is_some_and(|value| !value.is_null());
    if found.is_none()
        && let Some(name) = OF_SMTP.iter().find(|name| asks_for(name))
    {
        let what = format_args!("is required beside {name}");
        return Err(Error::field("settings.smtp_host", what));
    }
    Ok(Servers {
        imap,
        smtp: found,
        needs_app_password: known.is_some_and(|known| known.needs_app_password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_domain_is_asked_in_two_places_and_told_no_address() {
        let (domain, [one, other]) = autoconfig_urls("ann@Example.COM").unwrap();
        assert_eq!(domain, "example.com");
        assert_eq!(
            one.as_str(),
            "https://autoconfig.example.com/mail/config-v1.1.xml"
        );
        assert_eq!(other.host_str(), Some("example.com"));
        for email in [
            "a@localhost",
            "a@127.0.0.1",
            "a@[::1]",
            "a@x.y/z",
            "a@x.y:25",
            "a",
        ] {
            assert!(autoconfig_urls(email).is_none(), "{email}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_and_nothing_around_them() {
        assert_eq!(
            checked_host(" Mail.Example.com ").as_deref(),
            Some("mail.example.com")
        );
        assert_eq!(
            checked_host("outlook.office365.com.").as_deref(),
            Some("outlook.office365.com")
        );
        assert_eq!(checked_host("0x7f.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(checked_host("[::1]").as_deref(), Some("[::1]"));
        for text in [
            "",
            "imaps://h",
            "h:993",
            "u@h",
            "h/x",
            "a b",
            &"x".repeat(300),
        ] {
            assert_eq!(checked_host(text), None, "{text}");
        }
    }

    #[test]
    fn ports_are_numbers_however_they_are_written() {
        for value in [json!(993), json!("993"), json!(" 993 ")] {
            assert_eq!(port(&value), Some(993));
        }
        for value in [json!(0), json!(70_000), json!(-1), json!("x"), json!(true)] {
            assert_eq!(port(&value), None, "{value}");
        }
    }

    #[test]
    fn a_connectors_port_goes_with_its_host() {
        let of = |settings: Value| {
            let settings = settings.as_object().unwrap();
            Named::read(settings, MailProtocol::Imap).unwrap()
        };
        let connector = || of(json!({"imap_host": "a.test", "imap_port": 143}));
        let other = of(json!({"imap_host": "b.test"})).or(connector());
        assert_eq!((other.host.as_deref(), other.port), (Some("b.test"), None));
        let own_port = of(json!({"imap_port": 993})).or(connector());
        assert_eq!(own_port.host.as_deref(), Some("a.test"));
        assert_eq!(own_port.port, Some(993));
        assert_eq!(Named::default().or(connector()).port, Some(143));
    }

    #[test]
    fn what_is_for_sending_needs_a_server_for_sending() {
        let of = |host: &str, settings: Value| {
            let settings = settings.as_object().unwrap().clone();
            let imap = MailServer {
                host: host.to_owned(),
                port: 993,
            };
            let smtp = Named::read(&settings, MailProtocol::Smtp).unwrap();
            beside(imap, &smtp, &settings)
        };
        let refused = of("mail.example.com", json!({"smtp_password": "x"})).unwrap_err();
        assert!(refused.message().starts_with("settings.smtp_host"));
        let alone = of("mail.example.com", json!({})).unwrap();
        assert_eq!(alone.smtp, None);
        let known = of("imap.gmx.net", json!({"smtp_port": 587})).unwrap();
        let smtp = known.smtp.unwrap();
        assert_eq!((smtp.host.as_str(), smtp.port), ("mail.gmx.net", 587));
    }
}
