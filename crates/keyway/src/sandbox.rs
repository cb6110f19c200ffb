//! `keyway sandbox`: the sandbox provider alone, on its own port.

use crate::cli::{DialectFlag, RotationFlag, SandboxArgs};
use crate::config::parse_address;
use crate::config::setting::{Origin, Setting};
use crate::failure::Failure;
use crate::serve::stop_signal;
use crate::{output, session};
use anyhow::Context as _;
use keyway_core::time::SystemClock;
use keyway_sandbox::{ClientSummary, Dialect, Rotation, Sandbox, SandboxConfig};
use keyway_vault::SystemEntropy;
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use tokio::net::TcpListener;
use url::Url;

/// Runs the sandbox until it is asked to stop.
///
/// # Errors
/// If its address cannot be listened on.
pub(crate) fn run(args: &SandboxArgs) -> anyhow::Result<()> {
    let address = parse_address(&Setting::new(args.listen.clone(), Origin::Flag("--listen")))?;
    session::on_runtime(async |_| {
        let stop = stop_signal().context("the system lets nobody ask this process to stop")?;
        let listener = TcpListener::bind(address.value).await.with_context(|| {
            let what = format!("cannot listen on {}", address.value);
            Failure::new(what).next("Choose another address with --listen.")
        })?;
        let issuer = issuer(args, &listener)?;
        let config = config(args, issuer.clone());
        let dialect = config.dialect;
        let sandbox = build(config)?;
        let clients = sandbox.index_of_clients();
        output::line(&introduction(&issuer, dialect, &clients))?;
        Ok(sandbox.serve(listener, stop).await?)
    })
}

/// A sandbox with the machine's clock and randomness.
///
/// # Errors
/// If its signing key cannot be made.
pub(crate) fn build(config: SandboxConfig) -> anyhow::Result<Sandbox> {
    Ok(Sandbox::new(
        config,
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
    )?)
}

fn issuer(args: &SandboxArgs, listener: &TcpListener) -> anyhow::Result<Url> {
    let text = match &args.issuer {
        Some(text) => text.clone(),
        None => format!("http://{}", listener.local_addr()?),
    };
    let url = Url::parse(&text)
        .ok()
        .filter(|url| url.path() == "/" && url.query().is_none());
    url.with_context(|| {
        Failure::bad_input(format!(
            "--issuer '{text}' is not a URL of scheme, host and port"
        ))
        .next("Write one like http://sandbox.test:9000.")
    })
}

fn config(args: &SandboxArgs, issuer: Url) -> SandboxConfig {
    let config = SandboxConfig {
        rotation: match args.rotation {
            RotationFlag::Off => Rotation::Off,
            RotationFlag::On => Rotation::On,
            RotationFlag::OldStillWorks => Rotation::OnOldStillWorks,
            RotationFlag::ReuseDetection => Rotation::OnWithReuseDetection,
        },
        dialect: match args.dialect {
            DialectFlag::Plain => Dialect::Plain,
            DialectFlag::Google => Dialect::Google,
            DialectFlag::Microsoft => Dialect::Microsoft,
        },
        ..SandboxConfig::demo(issuer)
    };
    args.redirect_uri
        .iter()
        .fold(config, |config, uri| config.with_redirect_uri(uri))
}

/// What to paste where.
fn introduction(issuer: &Url, dialect: Dialect, clients: &[ClientSummary]) -> String {
    let base = issuer.as_str().trim_end_matches('/');
    let rows: Vec<_> = clients
        .iter()
        .map(|client| {
            let secret = client
                .client_secret
                .as_ref()
                .map_or("", |s| s.expose_secret());
            [
                client.client_id.clone(),
                secret.to_owned(),
                client.project.clone(),
            ]
        })
        .collect();
    let table = output::table(["CLIENT_ID", "CLIENT_SECRET", "PROJECT"], &rows);
    let configuration = configuration(base, dialect);
    let title = match dialect {
        Dialect::Plain | Dialect::Google => "Google",
        Dialect::Microsoft => "Microsoft",
    };
    let callbacks = clients
        .first()
        .map(|c| c.redirect_uris.join("\n  "))
        .unwrap_or_default();
    format!(
        "keyway sandbox listening on {base}
This is no real provider: anybody can sign in as anybody. Its controls are at {base}/

{table}

They accept these callbacks (add others with --redirect-uri):
  {callbacks}

To let it stand in for {title}, save this as keyway.toml and start `keyway serve --config keyway.toml`:

{configuration}"
    )
}

/// The part of a configuration file that puts the sandbox in a provider's place.
pub(crate) fn configuration(base: &str, dialect: Dialect) -> String {
    let rest = format!(
        "userinfo_endpoint = \"{base}/me\"\n\
         jwks_uri = \"{base}/jwks\"\n\
         api_base_url = \"{base}/api\"\n"
    );
    match dialect {
        Dialect::Plain | Dialect::Google => format!(
            "[providers.google]\n\
             issuer = \"{base}\"\n\
             authorization_endpoint = \"{base}/auth\"\n\
             token_endpoint = \"{base}/token\"\n\
             revocation_endpoint = \"{base}/token/revocation\"\n\
             {rest}"
        ),
        Dialect::Microsoft => format!(
            "[providers.microsoft]\n\
             issuer = \"{base}/{{tenant}}/v2.0\"\n\
             authorization_endpoint = \"{base}/{{tenant}}/oauth2/v2.0/authorize\"\n\
             token_endpoint = \"{base}/{{tenant}}/oauth2/v2.0/token\"\n\
             admin_consent_endpoint = \"{base}/{{tenant}}/v2.0/adminconsent\"\n\
             admin_consent_v1_endpoint = \"{base}/{{tenant}}/adminconsent\"\n\
             {rest}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::FileConfig;

    #[test]
    fn what_is_to_be_pasted_is_a_configuration_file() {
        for dialect in [Dialect::Plain, Dialect::Google, Dialect::Microsoft] {
            let text = configuration("http://127.0.0.1:9000", dialect);
            assert_eq!(FileConfig::parse(&text).err(), None, "{text}");
        }
    }
}
