//! Calls on behalf of a grant: whose token, and where to. The call itself is made by whoever holds the
//! caller's connection; no body passes through here.

use crate::cache::KnownGrant;
use crate::caller::Principal;
use crate::engine::{Engine, undescribed};
use crate::error::{Error, ErrorKind};
use crate::refresh::{OpenedToken, check_usable};
use http::{HeaderName, HeaderValue};
use keyway_core::catalogue::{Catalogue, ProviderEntry};
use keyway_core::grant::GrantLocator;
use keyway_core::ids::GrantId;
use keyway_core::provider::Provider;
use keyway_core::proxy::{ApiBase, CallRefused};
use keyway_core::time::UnixMillis;
use keyway_outbound::Origin;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One host of a provider's API.
#[derive(Clone, Debug)]
pub struct ApiHost {
    /// What every path begins with, and how targets are written.
    pub base: ApiBase,
    /// Whom to connect to.
    pub origin: Arc<Origin>,
    /// Headers that the provider wants to see, where the caller sends none of the name.
    pub extra_headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiHost {
    fn new(base: ApiBase, entry: &ProviderEntry) -> Option<Arc<Self>> {
        let origin = Arc::new(Origin::new(base.is_tls, &base.authority)?);
        Some(Arc::new(Self {
            base,
            origin,
            extra_headers: extra_headers(&entry.extra_headers),
        }))
    }
}

/// An entry's headers, as a message has them.
pub(crate) fn extra_headers(pairs: &[(String, String)]) -> Vec<(HeaderName, HeaderValue)> {
    let parsed = pairs.iter().map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    parsed.flatten().collect()
}

/// Every host calls may go to: read once from the catalogue, never from a request.
#[derive(Debug)]
pub(crate) struct ApiHosts(BTreeMap<Provider, Vec<Arc<ApiHost>>>);

impl ApiHosts {
    pub(crate) fn of(catalogue: &Catalogue) -> Self {
        let entries = catalogue.entries().map(|entry| {
            let own = ApiBase::parse(&entry.api_base_url);
            let others = entry.api_hosts.iter();
            let others = others.map(|host| ApiBase::parse(&format!("https://{host}")));
            // The provider's own base is the first.
            let hosts = std::iter::once(own).chain(others);
            let hosts = hosts.filter_map(|base| ApiHost::new(base?, entry));
            (entry.provider, hosts.collect())
        });
        Self(entries.collect())
    }

    /// The host a call goes to: the provider's own unless another of its list is named.
    fn choose(&self, provider: Provider, named: Option<&str>) -> Result<&Arc<ApiHost>, Error> {
        let hosts = self.0.get(&provider).map_or(&[][..], Vec::as_slice);
        let chosen = match named {
            None => hosts.first(),
            Some(name) => hosts.iter().find(|host| host.base.authority == name),
        };
        chosen.ok_or_else(|| match named {
            Some(_) => Error::new(ErrorKind::InvalidRequest, CallRefused::Host.to_string()),
            None if matches!(provider, Provider::Other(_)) => undescribed(provider),
            None => Error::new(
                ErrorKind::InvalidRequest,
                format!("{provider} has no API that can be called on behalf of a grant"),
            ),
        })
    }
}

/// Grants whose last refusal is remembered. An entry is about 60 bytes.
const REFUSALS_REMEMBERED: usize = 1024;
/// How long a provider's API may refuse a brand-new token before another is asked for, in milliseconds.
const REFUSED_PAUSE_MS: i64 = 60_000;

/// New tokens that a provider's API refused all the same: asking for newer ones would only hammer it.
pub(crate) struct Refusals(quick_cache::sync::Cache<GrantId, (Arc<OpenedToken>, UnixMillis)>);

impl Default for Refusals {
    fn default() -> Self {
        Self(quick_cache::sync::Cache::new(REFUSALS_REMEMBERED))
    }
}

/// Where a call goes, while its token is yet to be had.
#[derive(Clone, Debug)]
pub struct CallTarget {
    /// The grant it is made for.
    pub grant: Arc<KnownGrant>,
    /// The host it goes to.
    pub host: Arc<ApiHost>,
}

/// What a call takes: the grant, its token, and the host.
#[derive(Clone, Debug)]
pub struct ProxyCall {
    /// The grant it is made for.
    pub grant: Arc<KnownGrant>,
    /// The provider token it is made with.
    pub token: Arc<OpenedToken>,
    /// The host it goes to.
    pub host: Arc<ApiHost>,
}

impl Engine {
    /// What a call for a remembered grant with a remembered token takes: no database, no waiting.
    #[must_use]
    pub fn known_call(
        &self,
        principal: &Principal,
        id: GrantId,
        host: Option<&str>,
    ) -> Option<ProxyCall> {
        let grant = self.known_grant(principal, id)?;
        check_usable(&grant.grant).ok()?;
        let token = self.known_token(&grant.grant)?;
        let host = self
            .inner
            .api_hosts
            .choose(grant.grant.provider, host)
            .ok()?;
        Some(ProxyCall {
            host: Arc::clone(host),
            grant,
            token,
        })
    }

    /// Where a call for a grant goes. No provider is asked for anything yet.
    ///
    /// # Errors
    /// If there is no such grant, or the host is not the provider's.
    pub async fn call_target(
        &self,
        principal: &Principal,
        locator: GrantLocator,
        host: Option<&str>,
    ) -> Result<CallTarget, Error> {
        let grant = self.shared_grant(principal, locator).await?;
        let host = self.inner.api_hosts.choose(grant.grant.provider, host)?;
        Ok(CallTarget {
            host: Arc::clone(host),
            grant,
        })
    }

    /// What a call takes, refreshing its grant's token if it must be.
    ///
    /// # Errors
    /// If the grant cannot be used, or no token can be had; whose fault that is decides the kind.
    pub async fn call_to(&self, target: CallTarget) -> Result<ProxyCall, Error> {
        let CallTarget { grant, host } = target;
        let token = self.fresh_token(&grant.grant).await?;
        Ok(ProxyCall { grant, token, host })
    }

    /// The same call with another token, the provider's API having refused the first. `None` where the
    /// refused token is itself brand-new, so that another would fare no better.
    ///
    /// # Errors
    /// If no other token can be had.
    pub async fn call_again(&self, call: &ProxyCall) -> Result<Option<ProxyCall>, Error> {
        let grant = &call.grant.grant;
        if let Some((token, at)) = self.inner.refusals.0.get(&grant.id)
            && token.is_same_as(&call.token)
            && self.now() < at.plus_ms(REFUSED_PAUSE_MS)
        {
            return Ok(None);
        }
        let refused = Arc::clone(&call.token);
        let token = self.replace_refused(grant, refused).await?;
        Ok(Some(ProxyCall {
            token,
            ..call.clone()
        }))
    }

    /// Notes that the provider's API refused a token that had just been replaced.
    pub fn note_refused_again(&self, call: &ProxyCall) {
        let noted = (Arc::clone(&call.token), self.now());
        self.inner.refusals.0.insert(call.grant.grant.id, noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::catalogue::EndpointOverrides;

    #[test]
    fn hosts_come_from_the_catalogue_alone() {
        let hosts = ApiHosts::of(&Catalogue::default());
        let chosen = |name| {
            let host = hosts.choose(Provider::Google, name).ok()?;
            Some(host.base.authority.clone())
        };
        assert_eq!(chosen(None).as_deref(), Some("www.googleapis.com"));
        assert_eq!(
            chosen(Some("gmail.googleapis.com")).as_deref(),
            Some("gmail.googleapis.com")
        );
        for other in [
            "evil.example",
            "GMAIL.googleapis.com",
            "gmail.googleapis.com:443",
            "gmail.googleapis.com.evil.example",
            "graph.microsoft.com",
            "",
        ] {
            assert_eq!(chosen(Some(other)), None, "{other}");
        }
        assert!(hosts.choose(Provider::Imap, None).is_err());
    }

    #[test]
    fn what_stands_in_for_a_provider_stands_in_for_all_its_hosts() {
        let mut catalogue = Catalogue::default();
        let overrides = EndpointOverrides {
            api_base_url: Some("http://127.0.0.1:9000/api".into()),
            ..EndpointOverrides::default()
        };
        catalogue.apply(Provider::Google, overrides);
        let hosts = ApiHosts::of(&catalogue);
        let own = hosts.choose(Provider::Google, None).unwrap();
        assert_eq!(own.base.target("me", None).unwrap(), "/api/me");
        assert!(
            hosts
                .choose(Provider::Google, Some("gmail.googleapis.com"))
                .is_err()
        );
    }
}
