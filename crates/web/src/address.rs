//! Whose browser it is: the peer's address, or what a trusted proxy says of it.

use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// The text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network: write an address, or address/bits such as 10.0.0.0/8")]
pub struct CidrParseError;

impl FromStr for Cidr {
    type Err = CidrParseError;

    fn from_str(text: &str) -> Result<Self, CidrParseError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| CidrParseError)?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            Some(bits) => bits.parse().map_err(|_| CidrParseError)?,
            None => width,
        };
        if prefix_bits > width {
            return Err(CidrParseError);
        }
        Ok(Self {
            network,
            prefix_bits,
        })
    }
}

/// Address bits, left-aligned, so that prefixes of both families compare alike.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Cidr {
    /// Whether `address` lies in this network. An IPv4 address in IPv6's clothes is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (mine, theirs) = (self.network.to_canonical(), address.to_canonical());
        let difference = bits(mine) ^ bits(theirs);
        mine.is_ipv4() == theirs.is_ipv4()
            && difference
                .checked_shr(128 - u32::from(self.prefix_bits))
                .unwrap_or(0)
                == 0
    }
}

/// One entry of `X-Forwarded-For`: an address, perhaps with a port.
fn forwarded_address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .map(|address| address.to_canonical())
}

/// The browser's address: the peer's own, unless the peer is a trusted proxy; then the rightmost address
/// of `X-Forwarded-For` that is no trusted proxy. Entries further left are whatever the browser claimed.
pub(crate) fn client_ip(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address| trusted.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(client) {
            break;
        }
        match forwarded_address(entry) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn seen_as(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        client_ip(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let net: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(net.contains("10.255.0.1".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("11.0.0.1".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("2001:db8::1".parse().unwrap()));
        let one: Cidr = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()));
        assert!(!one.contains("::2".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0.0/", "10.0.0.0/-1"] {
            assert_eq!(bad.parse::<Cidr>(), Err(CidrParseError), "{bad}");
        }
    }

    #[test]
    fn a_stranger_cannot_forge_its_address() {
        assert_eq!(seen_as("203.0.113.9", &["1.1.1.1"]), "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_other_address_counts() {
        assert_eq!(
            seen_as("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(
            seen_as("10.0.0.1", &["6.6.6.6", "198.51.100.7:4711"]),
            "198.51.100.7"
        );
        assert_eq!(seen_as("fd00::1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(seen_as("::ffff:10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    }

    #[test]
    fn what_is_no_address_ends_the_search_at_the_last_known_hop() {
        assert_eq!(seen_as("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
        assert_eq!(seen_as("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(seen_as("10.0.0.1", &["10.0.0.3"]), "10.0.0.3");
    }
}
