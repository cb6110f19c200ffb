//! Which database: `sqlite:///absolute/path`, `sqlite://relative/path`, `postgres://…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use tokio_postgres::config::Host;

/// Where the database is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A PostgreSQL server, by its whole connection URL. The password in it is never shown.
    Postgres(String),
}

/// The text names no database Keyway can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Neither of the two schemes.
    #[error("a database URL begins with sqlite:// or postgres://")]
    Scheme,
    /// `sqlite://` and nothing after it.
    #[error("sqlite:// must be followed by the path of a file")]
    NoPath,
    /// PostgreSQL's own rules are broken.
    #[error(
        "not a PostgreSQL URL; expected postgres://user:password@host:port/database?sslmode=MODE"
    )]
    Postgres,
    /// No such `sslmode`.
    #[error("sslmode must be one of disable, prefer, require, verify-ca, verify-full")]
    SslMode,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(path) = text.strip_prefix("sqlite://") {
            return if path.is_empty() {
                Err(DatabaseUrlError::NoPath)
            } else {
                Ok(Self::Sqlite(PathBuf::from(path)))
            };
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            crate::postgres::target::Target::parse(text)?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(DatabaseUrlError::Scheme)
    }
}

/// Without password and options.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => match crate::postgres::target::Target::parse(url) {
                Ok(target) => show_postgres(&target.config, f),
                Err(_) => f.write_str("postgres://"),
            },
        }
    }
}

fn show_postgres(config: &tokio_postgres::Config, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("postgres://")?;
    if let Some(user) = config.get_user() {
        write!(f, "{user}@")?;
    }
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(path) => path.display().to_string(),
    });
    f.write_str(&hosts.collect::<Vec<_>>().join(","))?;
    if let Some(port) = config.get_ports().first() {
        write!(f, ":{port}")?;
    }
    write!(f, "/{}", config.get_dbname().unwrap_or_default())
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_are_told_by_their_scheme() {
        let parse = str::parse::<DatabaseUrl>;
        assert_eq!(
            parse("sqlite:///var/k.db"),
            Ok(DatabaseUrl::Sqlite("/var/k.db".into()))
        );
        assert_eq!(
            parse("sqlite://data/k.db"),
            Ok(DatabaseUrl::Sqlite("data/k.db".into()))
        );
        for url in ["postgres://u@h/d", "postgresql://h/d?sslmode=verify-full"] {
            assert_eq!(parse(url), Ok(DatabaseUrl::Postgres(url.into())));
        }
        assert_eq!(parse("mysql://h"), Err(DatabaseUrlError::Scheme));
        assert_eq!(parse("sqlite://"), Err(DatabaseUrlError::NoPath));
        assert_eq!(
            parse("postgres://h/d?sslmode=maybe"),
            Err(DatabaseUrlError::SslMode)
        );
        assert_eq!(
            parse("postgres://h:notaport/d"),
            Err(DatabaseUrlError::Postgres)
        );
    }

    #[test]
    fn rule_07_a_database_url_never_shows_its_password() {
        for url in [
            "postgres://alice:hunter2@db.example:5433/keyway",
            "postgres://alice@db.example:5433/keyway?password=hunter2",
        ] {
            let url: DatabaseUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), "postgres://alice@db.example:5433/keyway");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }
}
