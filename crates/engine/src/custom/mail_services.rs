//! Where a domain's SRV records say its mail servers are.

use super::mail_servers::Servers;
use crate::engine::Engine;
use crate::error::Error;
use futures_util::future;
use keyway_core::mail_servers::MailProtocol;
use keyway_core::mail_services::{Place, better, place_of};
use url::Host;

impl Engine {
    /// The servers of an address by its domain's SRV records.
    ///
    /// # Errors
    /// If there are none, or they name a host outside the domain: anybody on the way may have written that.
    pub(super) async fn of_name_service(&self, email: &str) -> Result<Servers, Error> {
        let Some(domain) = domain_of(email) else {
            return Err(required(
                "nothing tells which mail server this address is at",
            ));
        };
        let (imap, smtp) = future::join(
            self.published_place(MailProtocol::Imap, &domain),
            self.published_place(MailProtocol::Smtp, &domain),
        )
        .await;
        match imap {
            Place::Here(imap) => Ok(Servers {
                imap,
                smtp: match smtp {
                    Place::Here(smtp) => Some(smtp),
                    Place::Elsewhere(_) | Place::Nowhere => None,
                },
                needs_app_password: false,
            }),
            Place::Elsewhere(host) => Err(required(format_args!(
                "{domain} names {host} in the name service, which is not a host of that domain, and what is said there proves nothing; if it is right, give it here"
            ))),
            Place::Nowhere => Err(required(
                "nothing tells which mail server this address is at",
            )),
        }
    }

    /// Both services of a protocol are asked for at once.
    async fn published_place(&self, protocol: MailProtocol, domain: &str) -> Place {
        let names = &self.inner.parts.mail_exchangers;
        let [encrypted, clear] = protocol.services().map(|(service, port)| {
            let asked = names.services(service, domain);
            async move { place_of(asked.await, domain, Some(port)) }
        });
        let (encrypted, clear) = future::join(encrypted, clear).await;
        better(encrypted, clear)
    }
}

fn required(why: impl std::fmt::Display) -> Error {
    Error::field("settings.imap_host", format_args!("is required: {why}"))
}

/// The domain of an address, in lower case and ASCII; none where it has a single label or is an address itself.
pub(super) fn domain_of(email: &str) -> Option<String> {
    let (_, domain) = email.rsplit_once('@')?;
    match Host::parse(domain).ok()? {
        Host::Domain(domain) if domain.contains('.') => {
            Some(domain.trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}
