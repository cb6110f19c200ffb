//! What a domain publishes about its mail in the name service: SRV records (RFC 2782), for mail RFC 6186 and
//! RFC 8314. Without DNSSEC anybody on the way may have written them, so a host is believed only where it belongs
//! to the domain: TLS then proves that it does.

use crate::mail_servers::{MailProtocol, MailServer};

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Of equal priorities, the larger share.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, in lower case and without a dot at the end; empty where the service is decidedly not there.
    pub target: String,
}

/// Where a service is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a host of the domain's own.
    Here(MailServer),
    /// At a host that belongs to somebody else, as far as anybody can tell.
    Elsewhere(String),
    /// Nowhere.
    Nowhere,
}

impl MailProtocol {
    /// The services it is published as, those with TLS from the first byte first, each with the only port that is
    /// believed.
    #[must_use]
    pub const fn services(self) -> [(&'static str, u16); 2] {
        let names = match self {
            Self::Imap => ["_imaps._tcp", "_imap._tcp"],
            Self::Smtp => ["_submissions._tcp", "_submission._tcp"],
        };
        let [encrypted, clear] = names;
        [
            (encrypted, self.default_port()),
            (clear, self.starttls_port()),
        ]
    }
}

/// Whether `host` is `domain` or a name below it, both in lower case.
#[must_use]
pub fn is_within(host: &str, domain: &str) -> bool {
    match host.strip_suffix(domain) {
        Some(before) => !domain.is_empty() && (before.is_empty() || before.ends_with('.')),
        None => false,
    }
}

/// The place that `records` of `domain` name, at `port` where only that one will do.
///
/// Of equal priorities the heaviest counts, and not one by chance: where an account is must come out the same
/// every time.
#[must_use]
pub fn place_of(mut records: Vec<ServiceRecord>, domain: &str, port: Option<u16>) -> Place {
    records.retain(|record| is_host(&record.target) && record.port > 0);
    records.retain(|record| port.is_none_or(|port| port == record.port));
    records.sort_by_key(|record| (record.priority, u16::MAX - record.weight));
    let own = records
        .iter()
        .find(|record| is_within(&record.target, domain));
    match (own, records.first()) {
        (Some(record), _) => Place::Here(MailServer {
            host: record.target.clone(),
            port: record.port,
        }),
        (None, Some(record)) => Place::Elsewhere(record.target.clone()),
        (None, None) => Place::Nowhere,
    }
}

fn is_host(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    !name.is_empty() && name.chars().all(fits)
}

/// The first of two places that is one; a host of the domain's own before any other.
#[must_use]
pub fn better(one: Place, other: Place) -> Place {
    match (one, other) {
        (Place::Here(server), _) | (_, Place::Here(server)) => Place::Here(server),
        (Place::Nowhere, other) => other,
        (one, _) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, weight: u16, port: u16, target: &str) -> ServiceRecord {
        ServiceRecord {
            priority,
            weight,
            port,
            target: target.to_owned(),
        }
    }

    fn here(host: &str, port: u16) -> Place {
        Place::Here(MailServer {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn the_lowest_priority_counts_and_then_the_heaviest() {
        let records = vec![
            record(10, 90, 993, "late.example.com"),
            record(0, 1, 993, "light.example.com"),
            record(0, 60, 993, "heavy.example.com"),
        ];
        let place = place_of(records, "example.com", Some(993));
        assert_eq!(place, here("heavy.example.com", 993));
    }

    #[test]
    fn a_dot_or_another_port_is_no_server() {
        let records = vec![
            record(0, 0, 0, ""),
            record(0, 0, 993, ""),
            record(0, 0, 993, "a\\010b.example.com"),
            record(0, 0, 22, "ssh.example.com"),
        ];
        assert_eq!(
            place_of(records.clone(), "example.com", Some(993)),
            Place::Nowhere
        );
        let any = place_of(records, "example.com", None);
        assert_eq!(any, here("ssh.example.com", 22));
    }

    #[test]
    fn a_host_of_the_domains_own_goes_before_one_that_is_not() {
        let foreign = record(0, 0, 993, "mail.hoster.net");
        let own = record(5, 0, 993, "example.com");
        let both = place_of(vec![foreign.clone(), own], "example.com", Some(993));
        assert_eq!(both, here("example.com", 993));
        let alone = place_of(vec![foreign], "example.com", Some(993));
        assert_eq!(alone, Place::Elsewhere("mail.hoster.net".into()));
        assert_eq!(better(alone.clone(), here("a", 143)), here("a", 143));
        assert_eq!(better(Place::Nowhere, alone.clone()), alone);
        assert_eq!(better(alone.clone(), Place::Nowhere), alone);
    }

    #[test]
    fn a_name_is_within_a_domain_by_whole_labels() {
        for host in ["example.com", "a.example.com", "a.b.example.com"] {
            assert!(is_within(host, "example.com"), "{host}");
        }
        for host in [
            "notexample.com",
            "example.com.evil.net",
            "com",
            "",
            "hoster.net",
        ] {
            assert!(!is_within(host, "example.com"), "{host}");
        }
        assert!(!is_within("anything", ""));
    }
}
