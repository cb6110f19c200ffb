//! A connection to a mail server, under the policy: the addresses that were checked are the very ones that are
//! connected to.

use super::MailFailure;
use crate::address::{Channel, NetworkPolicy};
use crate::connector::{GuardError, permitted};
use crate::error::{CallError, CallErrorKind};
use crate::lookup::Lookups;
use crate::transport::failure;
use keyway_core::mail_servers::{MailProtocol, MailServer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long resolving, connecting and TLS may take, each.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one of a server's addresses may take, before the next is tried: one that leads nowhere must leave time for
/// the others.
const ADDRESS_LIMIT: Duration = Duration::from_secs(3);

/// The way to mail servers.
pub(super) struct Line {
    policy: NetworkPolicy,
    tls: TlsConnector,
    lookups: Lookups,
}

impl Line {
    pub(super) fn new(policy: NetworkPolicy, config: ClientConfig) -> Self {
        Self {
            policy,
            tls: TlsConnector::from(Arc::new(config)),
            lookups: Lookups::default(),
        }
    }

    /// Tenants choose hosts and ports: on hosts the operator does not answer for, only those of mail servers.
    pub(super) fn check_port(
        &self,
        protocol: MailProtocol,
        server: &MailServer,
    ) -> Result<(), MailFailure> {
        let is_free = self.policy.allows_any_port(&server.host);
        match is_free || protocol.has_port(server.port) {
            true => Ok(()),
            false => Err(MailFailure::Port(server.port)),
        }
    }

    /// Connects to the first permitted address that answers.
    pub(super) async fn connect(&self, server: &MailServer) -> Result<TcpStream, MailFailure> {
        let connecting = tokio::time::timeout(CONNECT_LIMIT, self.connect_any(server));
        let connected = connecting.await;
        connected.unwrap_or_else(|_| Err(CallError::timeout(&server.host, CONNECT_LIMIT).into()))
    }

    async fn connect_any(&self, server: &MailServer) -> Result<TcpStream, MailFailure> {
        let guarded = |error: GuardError| failure::of_connect(&error, &server.host);
        let found = self.resolve(server).await.map_err(guarded)?;
        // What begins in clear is encrypted before anything is said, so it counts as encrypted.
        let addresses = permitted(&self.policy, &server.host, Channel::Tls, found);
        let mut failed = CallError::new(CallErrorKind::Connect, &server.host);
        for address in addresses.map_err(guarded)? {
            match connect_one(address, &server.host).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    async fn resolve(&self, server: &MailServer) -> Result<Vec<SocketAddr>, GuardError> {
        let host = bare(&server.host);
        match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, server.port)]),
            Err(_) => self.lookups.find(host, server.port).await,
        }
    }

    /// Goes over to TLS; the certificate must hold for the host's name.
    pub(super) async fn encrypt(
        &self,
        plain: TcpStream,
        server: &MailServer,
    ) -> Result<TlsStream<TcpStream>, MailFailure> {
        let host = bare(&server.host).to_owned();
        let tls = |error: &dyn std::fmt::Display| {
            CallError::new(CallErrorKind::Tls, &server.host).with_detail(error.to_string())
        };
        let name = ServerName::try_from(host).map_err(|error| tls(&error))?;
        let limit = tokio::time::timeout(CONNECT_LIMIT, self.tls.connect(name, plain));
        let agreed = limit
            .await
            .map_err(|_| CallError::timeout(&server.host, CONNECT_LIMIT))?;
        Ok(agreed.map_err(|error| tls(&error))?)
    }
}

/// An address of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn connect_one(address: SocketAddr, host: &str) -> Result<TcpStream, CallError> {
    let connecting = tokio::time::timeout(ADDRESS_LIMIT, TcpStream::connect(address));
    let connected = connecting.await;
    let connected = connected.map_err(|_| CallError::timeout(host, ADDRESS_LIMIT))?;
    let refused = |error| failure::of_connect(&error, host);
    let stream = connected.map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    Ok(stream)
}
