//! Connections to permitted addresses only.
//!
//! The guard stands between name resolution and connecting: the addresses that were checked are the
//! very ones that are connected to, so a name that answers differently the second time gains nothing.

use crate::address::{Channel, NetworkPolicy};
use crate::lookup::Lookups;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower::{BoxError, Service};

/// How long one attempt to connect may take; the call's deadline holds beside it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

type BoxedFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Why a name or address was not connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GuardError {
    /// The policy forbids every address there is.
    #[error("{address} is not an address this server may call{}", in_clear(*.channel))]
    Refused { address: IpAddr, channel: Channel },
    /// The name resolves to nothing.
    #[error("the name does not resolve")]
    Unresolved,
}

const fn in_clear(channel: Channel) -> &'static str {
    match channel {
        Channel::Tls => "",
        Channel::Plain => " without TLS",
    }
}

/// Resolves names and leaves out the addresses the policy forbids.
#[derive(Clone)]
struct GuardedResolver {
    policy: Arc<NetworkPolicy>,
    channel: Channel,
    lookups: Arc<Lookups>,
}

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = GuardError;
    type Future = BoxedFuture<Self::Response, GuardError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GuardError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self {
            policy,
            channel,
            lookups,
        } = self.clone();
        Box::pin(async move {
            let found = lookups.find(name.as_str(), 0).await?;
            permitted(&policy, name.as_str(), channel, found)
        })
    }
}

pub(crate) fn permitted(
    policy: &NetworkPolicy,
    host: &str,
    channel: Channel,
    found: Vec<SocketAddr>,
) -> Result<std::vec::IntoIter<SocketAddr>, GuardError> {
    let first = found.first().ok_or(GuardError::Unresolved)?.ip();
    let allowed: Vec<_> = found
        .into_iter()
        .filter(|address| policy.permits(host, address.ip(), channel))
        .collect();
    if allowed.is_empty() {
        return Err(GuardError::Refused {
            address: first,
            channel,
        });
    }
    Ok(allowed.into_iter())
}

/// Opens TCP connections under a policy; TLS is laid over them by the caller.
#[derive(Clone)]
pub(crate) struct GuardedConnector {
    policy: Arc<NetworkPolicy>,
    tls: HttpConnector<GuardedResolver>,
    plain: HttpConnector<GuardedResolver>,
}

impl GuardedConnector {
    pub(crate) fn new(policy: NetworkPolicy) -> Self {
        let policy = Arc::new(policy);
        let lookups = Arc::new(Lookups::default());
        let [tls, plain] = [Channel::Tls, Channel::Plain].map(|channel| {
            tcp_connector(GuardedResolver {
                policy: Arc::clone(&policy),
                channel,
                lookups: Arc::clone(&lookups),
            })
        });
        Self { policy, tls, plain }
    }

    /// Addresses written in the URL are never resolved, so they are checked here.
    fn check_literal(&self, uri: &http::Uri, channel: Channel) -> Result<(), GuardError> {
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.policy.permits(host, address, channel) => {
                Err(GuardError::Refused { address, channel })
            }
            _ => Ok(()),
        }
    }
}

fn tcp_connector(resolver: GuardedResolver) -> HttpConnector<GuardedResolver> {
    let mut connector = HttpConnector::new_with_resolver(resolver);
    // The scheme is looked at one layer above, where TLS is added.
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(TCP_KEEPALIVE));
    connector
}

impl Service<http::Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxedFuture<Self::Response, BoxError>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Both inner connectors are always ready, as their resolver is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        let (channel, connector) = if uri.scheme() == Some(&http::uri::Scheme::HTTPS) {
            (Channel::Tls, &mut self.tls)
        } else {
            (Channel::Plain, &mut self.plain)
        };
        let connecting = connector.call(uri.clone());
        let checked = self.check_literal(&uri, channel);
        Box::pin(async move {
            checked?;
            connecting.await.map_err(BoxError::from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| SocketAddr::new(text.parse().unwrap(), 0))
            .collect()
    }

    #[test]
    fn of_mixed_answers_only_the_public_addresses_are_left() {
        let found = addresses(&["10.0.0.1", "8.8.8.8", "::ffff:127.0.0.1"]);
        let policy = NetworkPolicy::default();
        let left = permitted(&policy, "a.example", Channel::Tls, found).unwrap();
        assert_eq!(left.collect::<Vec<_>>(), addresses(&["8.8.8.8"]));
    }

    #[test]
    fn a_name_with_forbidden_addresses_only_is_refused_by_the_first() {
        let found = addresses(&["169.254.169.254", "10.0.0.1"]);
        let refused = permitted(
            &NetworkPolicy::default(),
            "a.example",
            Channel::Plain,
            found,
        );
        assert_eq!(
            refused.unwrap_err().to_string(),
            "169.254.169.254 is not an address this server may call without TLS"
        );
        let nothing = permitted(&NetworkPolicy::default(), "a", Channel::Tls, vec![]);
        assert_eq!(nothing.unwrap_err(), GuardError::Unresolved);
    }
}
