//! Which Exchange server a mailbox is at: the one the application names, else the connector's, else what the
//! address's domain says over Autodiscover.
//!
//! Autodiscover wants the password, and may send whoever asks from host to host. One rule says who may see it where
//! no host is named: hosts that are the domain of the address or below it, over TLS. Decision 19 says why.

use super::ews_failure::{EwsFailure, EwsRefusal, HOST, ONLINE, no_basic};
use super::ews_login::EwsLogin;
use super::mail_servers::{checked_host, port as port_number};
use super::mail_services::domain_of;
use super::password_account::NotOpened;
use crate::credential_data::text_member;
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::autodiscover::{AUTODISCOVER_PATH, AUTODISCOVER_SERVICE, Told, parse, question};
use keyway_core::connector::Connector;
use keyway_core::ews::{EWS_PORT, is_exchange_online, is_online_mailbox};
use keyway_core::mail_servers::MailServer;
use keyway_core::mail_services::{Place, is_within, place_of};
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;

/// How long finding a server may take in all.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(40);
/// How often one may be sent on from where one began.
const HOPS_MAX: usize = 5;

/// What an application or its connector says of the server.
#[derive(Default)]
struct Named {
    host: Option<String>,
    port: Option<u16>,
}

/// Checks what a connector says of its users' server.
///
/// # Errors
/// If it names no host, or no port.
pub(crate) fn check_ews_settings(settings: &Map<String, Value>) -> Result<(), Error> {
    Named::read(settings).map(drop)
}

impl Named {
    fn read(settings: &Map<String, Value>) -> Result<Self, Error> {
        let host = text_member(settings, "settings", "ews_host")?.filter(|host| !host.is_empty());
        let wrong = || Error::field(HOST, "is not the name or address of a host");
        let host = host.map(|host| checked_host(host).ok_or_else(wrong));
        let port = settings.get("ews_port").filter(|value| !value.is_null());
        let wrong = || Error::field("settings.ews_port", "must be a port number, 1 to 65535");
        let port = port.map(|value| port_number(value).ok_or_else(wrong));
        Ok(Self {
            host: host.transpose()?,
            port: port.transpose()?,
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
}

/// A search for the server of one address.
struct Search<'a> {
    domain: String,
    email: &'a str,
    login: &'a EwsLogin,
}

/// What came of asking one host and those it sent on to.
enum Trail {
    Found(MailServer),
    /// Outside the domain.
    Outside(String),
    /// The host takes no password by Basic authentication, but these.
    NoBasic(String, Vec<&'static str>),
    Nothing,
}

impl Engine {
    /// The server of a mailbox.
    ///
    /// # Errors
    /// If a setting is wrong, none is found, a password is refused on the way, or the host takes none.
    pub(super) async fn ews_server(
        &self,
        connector: &Connector,
        settings: &Map<String, Value>,
        email: &str,
        login: &EwsLogin,
    ) -> Result<MailServer, NotOpened> {
        let named = Named::read(settings)?.or(Named::read(&connector.settings)?);
        if is_online_mailbox(email, named.host.as_deref()) {
            return Err(Error::field(HOST, ONLINE).into());
        }
        let Some(host) = named.host else {
            let found = self.discovered(email, login).await?;
            let port = named.port.unwrap_or(found.port);
            return Ok(MailServer { port, ..found });
        };
        let port = named.port.unwrap_or(EWS_PORT);
        Ok(MailServer { host, port })
    }

    async fn discovered(&self, email: &str, login: &EwsLogin) -> Result<MailServer, NotOpened> {
        let domain = domain_of(email).ok_or_else(unknown)?;
        let search = Search {
            domain,
            email,
            login,
        };
        let searching = tokio::time::timeout(DISCOVERY_LIMIT, self.search(&search));
        searching.await.unwrap_or_else(|_| Err(unknown().into()))
    }

    /// In the order of MS-OXDSCLI, save that nobody is asked over plain HTTP.
    async fn search(&self, search: &Search<'_>) -> Result<MailServer, NotOpened> {
        let domain = &search.domain;
        let mut best = Trail::Nothing;
        for host in [format!("autodiscover.{domain}"), domain.clone()] {
            match self.follow(search, &host, None).await? {
                Trail::Found(server) => return Ok(server),
                other => best = best.or(other),
            }
        }
        let records = &self.inner.parts.mail_exchangers;
        let records = records.services(AUTODISCOVER_SERVICE, domain).await;
        let last = match place_of(records, domain, None) {
            Place::Here(server) => {
                let port = Some(server.port);
                self.follow(search, &server.host, port).await?
            }
            Place::Elsewhere(host) => Trail::Outside(host),
            Place::Nowhere => Trail::Nothing,
        };
        Ok(best.or(last).server()?)
    }

    /// Asks a host, and whomever it sends on to.
    async fn follow(
        &self,
        search: &Search<'_>,
        host: &str,
        port: Option<u16>,
    ) -> Result<Trail, NotOpened> {
        let mut email = search.email.to_owned();
        let mut next = autodiscover_url(host, port);
        for _ in 0..=HOPS_MAX {
            let Some(url) = next else { break };
            let Some(host) = search.own_host(&url) else {
                let host = url.host_str().unwrap_or_default();
                return Ok(Trail::Outside(host.to_owned()));
            };
            next = match self.ask_where(search, &url, &host, &email).await? {
                Step::Told(Told::Server(server)) => return Ok(search.judged(server)),
                Step::Told(Told::AskAt(url)) => Some(url),
                Step::Told(Told::AskFor(other)) => {
                    let domain = domain_of(&other);
                    email = other;
                    domain.and_then(|domain| {
                        autodiscover_url(&format!("autodiscover.{domain}"), None)
                    })
                }
                Step::Told(Told::Nothing) => None,
                Step::NoBasic(offered) => return Ok(Trail::NoBasic(host, offered)),
            };
        }
        Ok(Trail::Nothing)
    }

    /// One question. A refused password ends the search: it would be wrong everywhere, and too many wrong ones lock
    /// the account.
    async fn ask_where(
        &self,
        search: &Search<'_>,
        url: &Url,
        host: &str,
        email: &str,
    ) -> Result<Step, NotOpened> {
        let question = question(email);
        let asked = self.ask_with_password(url, &question, search.login);
        let failure = match asked.await {
            Ok(answer) => {
                let text = std::str::from_utf8(&answer.body).unwrap_or_default();
                return Ok(Step::Told(parse(text)));
            }
            Err(failure) => failure,
        };
        tracing::debug!(host, cause = %failure, "Autodiscover told nothing");
        match failure {
            EwsFailure::Refused => {
                let server = MailServer {
                    host: host.to_owned(),
                    port: url.port().unwrap_or(EWS_PORT),
                };
                Err(EwsRefusal::not_opened(server, EwsFailure::Refused))
            }
            EwsFailure::NoBasic(offered) => Ok(Step::NoBasic(offered)),
            EwsFailure::Redirected(Some(to)) => Ok(Step::Told(Told::AskAt(to))),
            _ => Ok(Step::Told(Told::Nothing)),
        }
    }
}

enum Step {
    Told(Told),
    NoBasic(Vec<&'static str>),
}

impl Search<'_> {
    /// The host of `url`, if it may see the password.
    fn own_host(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?.trim_end_matches('.');
        (url.scheme() == "https" && is_within(host, &self.domain)).then(|| host.to_owned())
    }

    fn judged(&self, server: MailServer) -> Trail {
        match is_within(&server.host, &self.domain) {
            true => Trail::Found(server),
            false => Trail::Outside(server.host),
        }
    }
}

impl Trail {
    /// A server before everything, else what is worth telling, the first of two.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, other) | (_, other @ Self::Found(_)) => other,
            (known, _) => known,
        }
    }

    fn server(self) -> Result<MailServer, Error> {
        let required = |why: String| Error::field(HOST, format_args!("is required: {why}"));
        match self {
            Self::Found(server) => Ok(server),
            Self::Outside(host) if is_exchange_online(&host) => Err(Error::field(HOST, ONLINE)),
            Self::Outside(host) => Err(required(format!(
                "looking for it leads to {host}, which is not a host of the address's domain, and passwords are not sent there unasked; if its Exchange is there, give it here"
            ))),
            Self::NoBasic(host, offered) => Err(required(no_basic(&host, &offered))),
            Self::Nothing => Err(unknown()),
        }
    }
}

fn unknown() -> Error {
    Error::field(
        HOST,
        "is required: nothing tells which Exchange server this address is at. A mailbox at Microsoft 365 is connected through the microsoft connector",
    )
}

fn autodiscover_url(host: &str, port: Option<u16>) -> Option<Url> {
    let mut url = Url::parse(&format!("https://{host}{AUTODISCOVER_PATH}")).ok()?;
    if let Some(port) = port.filter(|port| *port != EWS_PORT) {
        url.set_port(Some(port)).ok()?;
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    #[test]
    fn only_hosts_of_the_addresss_domain_may_see_its_password() {
        let login = EwsLogin {
            username: "ann".into(),
            password: SecretString::from("x".to_owned()),
        };
        let search = Search {
            domain: "example.com".into(),
            email: "ann@example.com",
            login: &login,
        };
        let of = |url: &str| search.own_host(&Url::parse(url).unwrap());
        for url in [
            "https://example.com/",
            "https://Mail.example.com:8443/x",
            "https://mail.example.com./",
        ] {
            assert!(of(url).is_some(), "{url}");
        }
        for url in [
            "http://mail.example.com/",
            "https://example.com.evil.net/",
            "https://notexample.com/",
            "https://mail.hoster.net/",
            "https://127.0.0.1/",
            "https://com/",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn a_connectors_port_goes_with_its_host() {
        let of = |settings: Value| Named::read(settings.as_object().unwrap()).unwrap();
        let connector = || of(serde_json::json!({"ews_host": "a.test", "ews_port": 8443}));
        let merged = of(serde_json::json!({"ews_host": "b.test"})).or(connector());
        assert_eq!(
            (merged.host.as_deref(), merged.port),
            (Some("b.test"), None)
        );
        let merged = of(serde_json::json!({"ews_port": 444})).or(connector());
        assert_eq!(
            (merged.host.as_deref(), merged.port),
            (Some("a.test"), Some(444))
        );
        let merged = Named::default().or(connector());
        assert_eq!(merged.port, Some(8443));
    }

    #[test]
    fn ports_and_hosts_are_read_as_those_of_mail_servers() {
        let of = |settings: Value| Named::read(settings.as_object().unwrap());
        let named = of(serde_json::json!({"ews_host": " Mail.Example.com. ", "ews_port": "8443"}));
        let named = named.unwrap();
        assert_eq!(named.host.as_deref(), Some("mail.example.com"));
        assert_eq!(named.port, Some(8443));
        for (settings, field) in [
            (
                serde_json::json!({"ews_host": "https://h/"}),
                "settings.ews_host",
            ),
            (serde_json::json!({"ews_host": 7}), "settings.ews_host"),
            (serde_json::json!({"ews_port": 0}), "settings.ews_port"),
            (serde_json::json!({"ews_port": "x"}), "settings.ews_port"),
        ] {
            let error = of(settings).err().unwrap();
            assert!(error.message().starts_with(field), "{error}");
        }
    }
}
