//! Whether providers can be reached from here, and whether their clocks agree with ours.

use super::Finding;
use crate::config::Config;
use keyway_core::catalogue::Catalogue;
use keyway_core::provider::Provider;
use keyway_core::time::{Clock as _, SystemClock};
use keyway_outbound::{Request, Transport};
use std::collections::BTreeSet;
use url::Url;

/// How far a provider's clock may be from ours, in seconds: id_tokens are judged by ours.
const CLOCKS_APART_MAX_SECS: i64 = 10;

/// Calls each provider that is in use, or named in the configuration.
pub(super) async fn examine(
    config: &Config,
    transport: &dyn Transport,
    used: &[Provider],
) -> Vec<Finding> {
    let named = config
        .providers
        .tables
        .keys()
        .chain(config.shared_apps.keys());
    let all: BTreeSet<Provider> = named.chain(used).copied().collect();
    let catalogue = config.catalogue();
    let mut findings = Vec::new();
    for provider in all {
        findings.extend(reach(&catalogue, transport, provider).await);
    }
    findings
}

/// Any answer of the token endpoint will do: it is there.
async fn reach(
    catalogue: &Catalogue,
    transport: &dyn Transport,
    provider: Provider,
) -> Option<Finding> {
    if !catalogue.knows(provider) {
        return Some(undescribed(provider));
    }
    let endpoint = &catalogue.entry(provider)?.token_endpoint;
    let url = Url::parse(&endpoint.replace("{tenant}", "common")).ok()?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let called = transport.send(Request::get(url)).await;
    let finding = match called {
        Err(error) => Finding::warn(
            "provider",
            format!("{provider}: {host} cannot be reached: {error}"),
            "Check names, routes and firewalls from this machine. Private addresses need network.allow_private_addresses, or the provider's endpoints in the configuration.",
        ),
        Ok(answer) => {
            let date = answer.headers.get(http::header::DATE);
            let date = date.and_then(|value| value.to_str().ok());
            clock(provider, &host, date)
        }
    };
    Some(finding)
}

/// Connectors are kept whatever becomes of the configuration.
fn undescribed(provider: Provider) -> Finding {
    let found = format!("{provider}: there are connectors for it, and nothing describes it");
    let next = format!(
        "Nobody signs in through them and no token of theirs is refreshed. Bring [providers.{provider}] back into the configuration, or have the connectors deleted."
    );
    Finding::warn("provider", found, next)
}

fn clock(provider: Provider, host: &str, date: Option<&str>) -> Finding {
    let theirs = date.and_then(|text| httpdate::parse_http_date(text).ok());
    let theirs = theirs.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let theirs = theirs.and_then(|since| i64::try_from(since.as_secs()).ok());
    let Some(theirs) = theirs else {
        return Finding::ok("provider", format!("{provider}: {host} answers"));
    };
    let apart = SystemClock.now().as_secs() - theirs;
    if apart.abs() <= CLOCKS_APART_MAX_SECS {
        return Finding::ok(
            "provider",
            format!("{provider}: {host} answers, clocks agree"),
        );
    }
    Finding::warn(
        "clock",
        format!("{apart} s ahead of {host}'s"),
        "Set this machine's clock: id_tokens would be refused as too old or not valid yet.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_from_a_providers_is_noticed() {
        let at = |date| clock(Provider::Google, "g", date);
        assert_eq!(at(None).level, super::super::Level::Ok);
        let old = at(Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!((old.level, old.what), (super::super::Level::Warn, "clock"));
    }
}
