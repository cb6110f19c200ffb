//! What is asked of the name service beside addresses: which hosts take a domain's mail (RFC 5321, 5.1), and where it
//! has its services (RFC 2782). What the first says is compared, and nobody is connected to for its sake; what the
//! second says is believed within the domain alone (`keyway_core::mail_services`).

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData};
use keyway_core::mail_services::ServiceRecord;
use std::fmt;
use std::time::Duration;
use tokio::runtime::Handle;
use url::Host;

/// How long the name service may take; somebody looks at a page meanwhile.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(2);
/// Of a domain's hosts, as many are looked at.
const EXCHANGERS_MAX: usize = 20;
/// Of a service's records, as many are looked at.
const RECORDS_MAX: usize = 20;

/// What a domain publishes about its mail.
pub trait MailExchangers: Send + Sync {
    /// The hosts that take the domain's mail, most preferred first, in lower case and without a dot at the end. None
    /// if there are none, or nobody knows just now.
    fn of(&self, domain: &str) -> BoxFuture<'static, Vec<String>>;

    /// Where the domain says it has `service`, such as `_imaps._tcp`, in no order. None if it says nothing, or nobody
    /// knows just now.
    fn services(
        &self,
        service: &'static str,
        domain: &str,
    ) -> BoxFuture<'static, Vec<ServiceRecord>>;
}

/// Nobody is asked.
#[derive(Clone, Copy, Debug)]
pub struct NotAsked;

impl MailExchangers for NotAsked {
    fn of(&self, _: &str) -> BoxFuture<'static, Vec<String>> {
        std::future::ready(Vec::new()).boxed()
    }

    fn services(&self, _: &'static str, _: &str) -> BoxFuture<'static, Vec<ServiceRecord>> {
        std::future::ready(Vec::new()).boxed()
    }
}

/// The system's name servers. What they say is remembered for as long as they allow.
#[derive(Clone)]
pub struct NameServers {
    resolver: TokioResolver,
    runtime: Handle,
}

impl fmt::Debug for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameServers(..)")
    }
}

/// The system does not say which name servers to ask.
#[derive(Debug, thiserror::Error)]
#[error("the system's name servers are not known: {0}")]
pub struct NoNameServers(String);

impl NameServers {
    /// Those the system is set up with; asked on `runtime`, which must have I/O and time enabled.
    ///
    /// # Errors
    /// If there is no such set-up, or it cannot be read.
    pub fn of_system(runtime: Handle) -> Result<Self, NoNameServers> {
        let guard = runtime.enter();
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        drop(guard);
        Ok(Self {
            resolver: resolver.map_err(|error| NoNameServers(error.to_string()))?,
            runtime,
        })
    }
}

impl MailExchangers for NameServers {
    fn of(&self, domain: &str) -> BoxFuture<'static, Vec<String>> {
        let Some(name) = whole_name(domain) else {
            return NotAsked.of(domain);
        };
        self.within_limit(exchangers(self.resolver.clone(), name))
    }

    fn services(
        &self,
        service: &'static str,
        domain: &str,
    ) -> BoxFuture<'static, Vec<ServiceRecord>> {
        let Some(name) = whole_name(domain) else {
            return NotAsked.services(service, domain);
        };
        let name = format!("{service}.{name}");
        self.within_limit(records(self.resolver.clone(), name))
    }
}

impl NameServers {
    /// What is found in time.
    fn within_limit<T: Send + 'static>(
        &self,
        asking: impl Future<Output = Vec<T>> + Send + 'static,
    ) -> BoxFuture<'static, Vec<T>> {
        let asked = self
            .runtime
            .spawn(tokio::time::timeout(LOOK_UP_LIMIT, asking));
        async move {
            match asked.await {
                Ok(Ok(found)) => found,
                _ => Vec::new(),
            }
        }
        .boxed()
    }
}

/// The name as it is asked for: ASCII, and whole, so that no search list of the system's is tried.
fn whole_name(domain: &str) -> Option<String> {
    match Host::parse(domain).ok()? {
        Host::Domain(name) if name.contains('.') => {
            Some(format!("{}.", name.trim_end_matches('.')))
        }
        _ => None,
    }
}

async fn exchangers(resolver: TokioResolver, name: String) -> Vec<String> {
    let Ok(found) = resolver.mx_lookup(name).await else {
        return Vec::new();
    };
    let records = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::MX(mx) => Some((mx.preference, host_of(&mx.exchange))),
            _ => None,
        });
    let mut records: Vec<_> = records.collect();
    records.sort();
    let hosts = records.into_iter().take(EXCHANGERS_MAX);
    hosts.map(|(_, host)| host).collect()
}

async fn records(resolver: TokioResolver, name: String) -> Vec<ServiceRecord> {
    let Ok(found) = resolver.srv_lookup(name).await else {
        return Vec::new();
    };
    let records = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(ServiceRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: host_of(&srv.target),
            }),
            _ => None,
        });
    records.take(RECORDS_MAX).collect()
}

/// In lower case, without the dot that ends a whole name; empty for the root.
fn host_of(name: &Name) -> String {
    let host = name.to_ascii().to_lowercase();
    host.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::config::{NameServerConfig, ResolverConfig};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;

    #[test]
    fn only_names_of_the_public_kind_are_asked_for() {
        assert_eq!(whole_name("Example.COM").as_deref(), Some("example.com."));
        assert_eq!(
            whole_name("bücher.example").as_deref(),
            Some("xn--bcher-kva.example.")
        );
        for bad in [
            "localhost",
            "127.0.0.1",
            "[::1]",
            "a b.c",
            "",
            "a/b.c",
            "a_b\0.c",
        ] {
            assert_eq!(whole_name(bad), None, "{bad:?}");
        }
    }

    /// A record as it goes over the wire: a name that points to the question's, the type, an hour to live, the data.
    fn record(kind: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        let mut bytes = vec![0xc0, 12];
        bytes.extend_from_slice(&kind.to_be_bytes());
        bytes.extend_from_slice(&[0, 1, 0, 0, 14, 16]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn wire_name(host: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in host.split('.').filter(|label| !label.is_empty()) {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    fn srv(numbers: [u16; 3], target: &str) -> Vec<u8> {
        let mut data: Vec<u8> = numbers.into_iter().flat_map(u16::to_be_bytes).collect();
        data.extend(wire_name(target));
        record(33, &data)
    }

    fn mx(preference: u16, host: &str) -> Vec<u8> {
        let mut data = preference.to_be_bytes().to_vec();
        data.extend(wire_name(host));
        record(15, &data)
    }

    /// The records of the name that `query` asks for, and nothing for any other.
    fn answer(query: &[u8], name: &str, records: &[Vec<u8>]) -> Vec<u8> {
        let asked = wire_name(name);
        let end = 12 + asked.len() + 4;
        let is_known = query[12..].starts_with(&asked);
        let count = if is_known { records.len() } else { 0 };
        let mut bytes = query[..2].to_vec();
        // An answer, with no error or with "no such name".
        bytes.extend_from_slice(&[0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0]);
        bytes.push(u8::try_from(count).unwrap());
        bytes.extend_from_slice(&[0; 4]);
        let rest = query[12..].iter().position(|byte| *byte == 0).unwrap() + 17;
        bytes.extend_from_slice(&query[12..if is_known { end } else { rest }]);
        records[..count].iter().for_each(|one| bytes.extend(one));
        bytes
    }

    /// Name servers that know one name.
    async fn knowing(name: &'static str, records: Vec<Vec<u8>>) -> NameServers {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Handle::current().spawn(async move {
            let mut heard = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut heard).await {
                let said = answer(&heard[..length], name, &records);
                drop(socket.send_to(&said, from).await);
            }
        });
        let mut server = NameServerConfig::udp(address.ip());
        server.connections[0].port = address.port();
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let provider = TokioRuntimeProvider::default();
        let builder = TokioResolver::builder_with_config(config, provider);
        NameServers {
            resolver: builder.build().unwrap(),
            runtime: Handle::current(),
        }
    }

    #[tokio::test]
    async fn records_of_services_are_read_as_a_name_server_says_them() {
        let said = vec![
            srv([10, 60, 993], "Mail.Example.COM"),
            srv([0, 0, 0], ""),
            mx(5, "no-service.example.com"),
        ];
        let servers = knowing("_imaps._tcp.example.com", said).await;
        let mut found = servers.services("_imaps._tcp", "Example.com").await;
        found.sort_by_key(|record| record.priority);
        let record = |priority, weight, port, target: &str| ServiceRecord {
            priority,
            weight,
            port,
            target: target.to_owned(),
        };
        let expected = [record(0, 0, 0, ""), record(10, 60, 993, "mail.example.com")];
        assert_eq!(found, expected);
        assert!(
            servers
                .services("_imap._tcp", "example.com")
                .await
                .is_empty()
        );
        assert!(
            servers
                .services("_imaps._tcp", "localhost")
                .await
                .is_empty()
        );
    }

    #[tokio::test]
    async fn hosts_that_take_mail_are_read_with_the_preferred_one_first() {
        let said = vec![mx(20, "second.example.net"), mx(10, "First.example.net")];
        let servers = knowing("example.com", said).await;
        let hosts = servers.of("example.com").await;
        assert_eq!(hosts, ["first.example.net", "second.example.net"]);
        assert!(servers.of("other.example").await.is_empty());
    }

    #[test]
    fn a_service_that_is_decidedly_not_there_has_no_host() {
        assert_eq!(host_of(&Name::root()), "");
        let name = Name::from_ascii("Mail.Example.COM.").unwrap();
        assert_eq!(host_of(&name), "mail.example.com");
    }
}
