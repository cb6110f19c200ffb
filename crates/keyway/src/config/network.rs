//! `[network]`: what may be called beyond public addresses, and whose word on client addresses counts.

use super::file::NetworkTable;
use crate::failure::Failure;
use keyway_web::Cidr;

/// Resolved `[network]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    /// Whether tenants may name hosts in private networks.
    pub(crate) allow_private_addresses: bool,
    /// The networks of trusted reverse proxies.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// The same as the file writes them.
    pub(crate) trusted_proxies_text: Vec<String>,
}

impl Network {
    /// Checks the table.
    ///
    /// # Errors
    /// If a network is not written as one.
    pub(crate) fn resolve(table: NetworkTable) -> anyhow::Result<Self> {
        let proxies = table.trusted_proxies.iter().map(|text| {
            text.parse().map_err(|error| {
                Failure::bad_input(format!("network.trusted_proxies: '{text}' is {error}"))
            })
        });
        Ok(Self {
            allow_private_addresses: table.allow_private_addresses,
            trusted_proxies: proxies.collect::<Result<_, _>>()?,
            trusted_proxies_text: table.trusted_proxies,
        })
    }
}
