//! A PostgreSQL URL, read: where the server is, and how far its certificate must be proven.

use crate::url::DatabaseUrlError;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence before the server is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// How long what was sent may stay unconfirmed.
const UNHEARD_MAX: Duration = Duration::from_secs(20);

/// What is asked of the server's certificate. The modes mean what libpq's documentation says, except
/// that `verify-ca` checks the name too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// `disable`, `prefer`, `require`: if there is TLS, any certificate will do.
    Nothing,
    /// `verify-ca`, `verify-full`: issued for that name, by the public authorities or by those in
    /// the `sslrootcert` file.
    Full(Option<PathBuf>),
}

/// Where to connect, and how.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) config: Config,
    pub(crate) verification: Verification,
}

impl Target {
    /// Reads `postgres://…`. `sslmode` and `sslrootcert` are ours, everything else the driver's.
    pub(crate) fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots, mut rest) = (None, None, Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            match name.as_str() {
                "sslmode" => mode = Some(value),
                "sslrootcert" => roots = Some(PathBuf::from(value)),
                _ => rest.push((name, value)),
            }
        }
        let mut config = driver_config(base, &rest)?;
        let (ssl_mode, verification) = ssl(mode.as_deref(), roots)?;
        config.ssl_mode(ssl_mode);
        Ok(Self {
            config,
            verification,
        })
    }
}

fn driver_config(base: &str, query: &[(String, String)]) -> Result<Config, DatabaseUrlError> {
    let query = query.iter().map(|(name, value)| {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        // The driver reads `+` as itself.
        format!("{}={}", encode(name), encode(value)).replace('+', "%20")
    });
    let url = format!("{base}?{}", query.collect::<Vec<_>>().join("&"));
    let url = url.trim_end_matches('?');
    let mut config: Config = url.parse().map_err(|_| DatabaseUrlError::Postgres)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    // A server that went away without a word is noticed.
    config.keepalives_idle(KEEPALIVE_IDLE);
    config.tcp_user_timeout(UNHEARD_MAX);
    if config.get_application_name().is_none() {
        config.application_name("keyway");
    }
    Ok(config)
}

fn ssl(
    mode: Option<&str>,
    roots: Option<PathBuf>,
) -> Result<(SslMode, Verification), DatabaseUrlError> {
    match mode {
        Some("disable") => Ok((SslMode::Disable, Verification::Nothing)),
        Some("prefer") | None => Ok((SslMode::Prefer, Verification::Nothing)),
        // As in libpq, naming authorities asks for them.
        Some("require") if roots.is_none() => Ok((SslMode::Require, Verification::Nothing)),
        Some("require" | "verify-ca" | "verify-full") => {
            Ok((SslMode::Require, Verification::Full(roots)))
        }
        Some(_) => Err(DatabaseUrlError::SslMode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(query: &str) -> (SslMode, Verification) {
        let target = Target::parse(&format!("postgres://u:p@h/d{query}")).unwrap();
        (target.config.get_ssl_mode(), target.verification)
    }

    #[test]
    fn sslmode_decides_between_no_tls_tls_and_proven_tls() {
        let none = Verification::Nothing;
        assert_eq!(modes(""), (SslMode::Prefer, none.clone()));
        assert_eq!(modes("?sslmode=disable"), (SslMode::Disable, none.clone()));
        assert_eq!(modes("?sslmode=require"), (SslMode::Require, none));
        for mode in ["verify-ca", "verify-full"] {
            assert_eq!(
                modes(&format!("?sslmode={mode}")),
                (SslMode::Require, Verification::Full(None))
            );
        }
        assert_eq!(
            modes("?sslmode=require&sslrootcert=/etc/ca.pem"),
            (
                SslMode::Require,
                Verification::Full(Some("/etc/ca.pem".into()))
            )
        );
    }

    #[test]
    fn other_parameters_reach_the_driver_unchanged() {
        let url = "postgres://u:p@h/d?application_name=a%20b%2Bc&sslmode=disable";
        let target = Target::parse(url).unwrap();
        assert_eq!(target.config.get_application_name(), Some("a b+c"));
        assert_eq!(target.config.get_password(), Some(&b"p"[..]));
    }
}
