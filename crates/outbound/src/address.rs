//! Which addresses may be connected to.
//!
//! Tenants choose some of the hosts Keyway calls. Without a guard they could make it speak to the
//! network it stands in: databases, metadata services, itself.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Url;

/// What the operator allows beyond public addresses over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    allow_private_addresses: bool,
    allowed_hosts: BTreeSet<String>,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// `https`.
    Tls,
    /// `http`.
    Plain,
}

impl NetworkPolicy {
    /// A policy. `allowed_hosts` are the hosts named in the operator's configuration, names or
    /// addresses without port: they may be anywhere, and be spoken to without TLS.
    #[must_use]
    pub fn new(
        allow_private_addresses: bool,
        allowed_hosts: impl IntoIterator<Item = String>,
    ) -> Self {
        let allowed_hosts = allowed_hosts
            .into_iter()
            .map(|host| normal_host(&host))
            .collect();
        Self {
            allow_private_addresses,
            allowed_hosts,
        }
    }

    /// Whether `host` is named in the configuration.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        self.allowed_hosts.contains(&normal_host(host))
    }

    /// Whether connections to `host` may go to any port, and not to those of its protocol alone.
    pub(crate) fn allows_any_port(&self, host: &str) -> bool {
        self.allow_private_addresses || self.names(host)
    }

    /// Whether a URL that strangers have named may be called as far as scheme and port go.
    pub(crate) fn permits_port(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        url.scheme() == "https" && (url.port().is_none() || self.allows_any_port(host))
    }

    /// Whether the connection to `address`, which is what `host` stands for, may be made.
    pub(crate) fn permits(&self, host: &str, address: IpAddr, channel: Channel) -> bool {
        if self.names(host) {
            return true;
        }
        match channel {
            Channel::Tls => self.allow_private_addresses || is_public(address),
            // Secrets never cross the internet in clear.
            Channel::Plain => self.allow_private_addresses && !is_public(address),
        }
    }
}

/// Lower case, without the brackets of IPv6 and without the dot that ends a complete name.
fn normal_host(host: &str) -> String {
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether `address` is one of the public internet, and not of this machine, a private network or a
/// range with a special meaning (RFC 6890 and the registries it began). Addresses that stand for an
/// IPv4 address are judged by that one.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation();
    let reserved = match address.octets() {
        // "This network", RFC 1122.
        [0, ..] => true,
        // Carrier-grade NAT, RFC 6598.
        [100, second, ..] => second & 0xc0 == 64,
        // Protocol assignments (RFC 6890) and the retired 6to4 relays (RFC 7526).
        [192, 0, 0, _] | [192, 88, 99, _] => true,
        // Benchmarks, RFC 2544.
        [198, 18 | 19, ..] => true,
        // Never assigned, RFC 1112.
        [first, ..] => first >= 240,
    };
    !special && !reserved
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(embedded) = embedded_v4(segments) {
        return is_public_v4(embedded);
    }
    // All of the public internet is in 2000::/3; what else there is (::, ::1, fc00::/7, fe80::/10,
    // fec0::/10, ff00::/8, 100::/64, 5f00::/16) is not, nor are these parts of it.
    let [first, second, ..] = segments;
    let documentation = (first == 0x2001 && second == 0x0db8) || first & 0xfff0 == 0x3ff0;
    // 2001::/23: Teredo, benchmarks, ORCHID.
    let protocol = first == 0x2001 && second < 0x0200;
    first & 0xe000 == 0x2000 && !documentation && !protocol
}

/// The IPv4 address that packets to an IPv6 address of a translation range end up at.
fn embedded_v4(segments: [u16; 8]) -> Option<Ipv4Addr> {
    match segments {
        // Mapped (::ffff:0:0/96), compatible (::/96; holds :: and ::1 too), translated
        // (::ffff:0:0:0/96, RFC 2765) and NAT64 (64:ff9b::/96, RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // Local NAT64 (RFC 8215) leads into a network of the operator's own choice.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::UNSPECIFIED),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => Some(v4(high, low)),
        // Teredo (RFC 4380) hides the client's address by inversion.
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001:82a::200e",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn special_v4_ranges_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn special_v6_ranges_and_embedded_private_addresses_are_not_public() {
        for text in [
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::f5ff:fffe",
            "2001:0:0:0:0:0:80ff:fffe",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn by_default_only_tls_to_public_addresses_is_permitted() {
        let policy = NetworkPolicy::default();
        assert!(policy.permits("a.example", ip("8.8.8.8"), Channel::Tls));
        assert!(!policy.permits("a.example", ip("8.8.8.8"), Channel::Plain));
        assert!(!policy.permits("a.example", ip("10.0.0.1"), Channel::Tls));
        assert!(!policy.permits("a.example", ip("10.0.0.1"), Channel::Plain));
    }

    #[test]
    fn private_addresses_when_allowed_may_be_plain_but_public_ones_may_not() {
        let policy = NetworkPolicy::new(true, []);
        assert!(policy.permits("a.example", ip("10.0.0.1"), Channel::Plain));
        assert!(policy.permits("a.example", ip("10.0.0.1"), Channel::Tls));
        assert!(!policy.permits("a.example", ip("8.8.8.8"), Channel::Plain));
    }

    #[test]
    fn urls_of_strangers_are_called_on_the_port_of_https_alone() {
        let permits =
            |policy: &NetworkPolicy, url: &str| policy.permits_port(&Url::parse(url).unwrap());
        let strict = NetworkPolicy::new(false, ["mail.internal".to_owned()]);
        for url in ["https://a.example/", "https://a.example:443/"] {
            assert!(permits(&strict, url), "{url}");
        }
        let free = NetworkPolicy::new(true, []);
        for url in ["https://a.example:8443/", "https://a.example:22/"] {
            assert!(!permits(&strict, url), "{url}");
            assert!(permits(&free, url), "{url}");
        }
        assert!(permits(&strict, "https://mail.internal:8443/"));
        for url in ["http://a.example/", "http://a.example:443/"] {
            assert!(!permits(&strict, url) && !permits(&free, url), "{url}");
        }
    }

    #[test]
    fn named_hosts_are_permitted_however_they_are_written() {
        let hosts = ["Login.Internal", "127.0.0.1", "[::1]"].map(str::to_owned);
        let policy = NetworkPolicy::new(false, hosts);
        for host in [
            "login.internal",
            "LOGIN.internal.",
            "127.0.0.1",
            "[::1]",
            "::1",
        ] {
            assert!(
                policy.permits(host, ip("127.0.0.1"), Channel::Plain),
                "{host}"
            );
        }
        assert!(!policy.permits("evil.login.internal", ip("127.0.0.1"), Channel::Plain));
    }
}
