//! `[network]`: what may be called beyond public addresses, and whose word on client addresses counts.

use super::file::NetworkTable;
use crate::failure::Failure;
use anyhow::Context as _;
use keyway_outbound::Roots;
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
    /// The certificate authorities providers may have theirs from.
    pub(crate) roots: Roots,
    /// The file with those beyond the public ones.
    pub(crate) extra_certificates_file: Option<String>,
    /// Whether the name servers are asked who takes a domain's mail.
    pub(crate) look_up_mail_exchangers: bool,
}

impl Network {
    /// Checks the table.
    ///
    /// # Errors
    /// If a network is not written as one, or the certificates cannot be read.
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
            roots: roots(table.extra_certificates_file.as_deref())?,
            extra_certificates_file: table.extra_certificates_file,
            look_up_mail_exchangers: table.look_up_mail_exchangers.unwrap_or(true),
        })
    }
}

fn roots(extra: Option<&str>) -> anyhow::Result<Roots> {
    let Some(path) = extra else {
        return Ok(Roots::default());
    };
    let pem = std::fs::read(path).with_context(|| {
        let what = format!("network.extra_certificates_file: {path} cannot be read");
        Failure::bad_input(what)
    })?;
    Roots::default().and(&pem).map_err(|error| {
        Failure::bad_input(format!("network.extra_certificates_file: {path}: {error}")).into()
    })
}
