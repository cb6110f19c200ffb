//! Migrations: embedded texts, applied in order, each once, and remembered with a checksum.

use crate::arg::args;
use crate::error::StoreError;
use crate::session::Session;
use crate::statement::{Statement, statements};
use crate::store::Backend;

struct Migration {
    version: i64,
    name: &'static str,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "first",
        text: include_str!("../migrations/0001_first.sql"),
    },
    Migration {
        version: 2,
        name: "unheard",
        text: include_str!("../migrations/0002_unheard.sql"),
    },
    Migration {
        version: 3,
        name: "lean_changes",
        text: include_str!("../migrations/0003_lean_changes.sql"),
    },
    Migration {
        version: 4,
        name: "keyring",
        text: include_str!("../migrations/0004_keyring.sql"),
    },
    Migration {
        version: 5,
        name: "service_accounts",
        text: include_str!("../migrations/0005_service_accounts.sql"),
    },
    Migration {
        version: 6,
        name: "account_secrets",
        text: include_str!("../migrations/0006_account_secrets.sql"),
    },
    Migration {
        version: 7,
        name: "password_sign_ins",
        text: include_str!("../migrations/0007_password_sign_ins.sql"),
    },
    Migration {
        version: 8,
        name: "tenant_consents",
        text: include_str!("../migrations/0008_tenant_consents.sql"),
    },
    Migration {
        version: 9,
        name: "ended_keys",
        text: include_str!("../migrations/0009_ended_keys.sql"),
    },
];

/// Any number, as long as every Keyway uses the same: whoever holds it migrates.
const ADVISORY_LOCK: i64 = 0x6b65_7977_6179;

const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at BIGINT NOT NULL
)";

statements! { "schema_migrations";
    APPLIED = "SELECT version, checksum FROM schema_migrations ORDER BY version";
    RECORD = "INSERT INTO schema_migrations (version, name, checksum, applied_at)
        VALUES ($1, $2, $3, $4)";
}

const SQLITE_HAS_TABLE: Statement = Statement {
    name: "sqlite.HAS_TABLE",
    table: "schema_migrations",
    sql: "SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'",
};

const POSTGRES_HAS_TABLE: Statement = Statement {
    name: "postgres.HAS_TABLE",
    table: "schema_migrations",
    sql: "SELECT CAST(count(to_regclass('schema_migrations')) AS BIGINT)",
};

const POSTGRES_LOCK: Statement = Statement {
    name: "postgres.LOCK",
    table: "schema_migrations",
    sql: "SELECT pg_advisory_xact_lock($1)",
};

/// What a migration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version before.
    pub from: i64,
    /// The version now.
    pub to: i64,
    /// The names of the migrations applied, in order.
    pub applied: Vec<&'static str>,
}

impl Migration {
    /// FNV-1a: tells texts apart that differ by accident, which is all that is asked here.
    fn checksum(&self) -> String {
        let hash = self
            .text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| {
                (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{hash:016x}")
    }

    fn text_for(&self, backend: Backend) -> String {
        let mark = match backend {
            Backend::Sqlite => "-- sqlite:",
            Backend::Postgres => "-- postgres:",
        };
        let lines = self.text.lines();
        let lines = lines.map(|line| line.strip_prefix(mark).unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The version this program brings a database to.
#[must_use]
pub fn newest_schema_version() -> i64 {
    newest()
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// The version of the database, if this program can work with it.
pub(crate) async fn version(session: &mut Session<'_>) -> Result<i64, StoreError> {
    let has_table = match session.backend() {
        Backend::Sqlite => &SQLITE_HAS_TABLE,
        Backend::Postgres => &POSTGRES_HAS_TABLE,
    };
    if session.number(has_table, &[]).await? == 0 {
        return Ok(0);
    }
    let applied = session
        .many(&APPLIED, &[], |row| {
            Ok((row.int("version")?, row.text("checksum")?))
        })
        .await?;
    check(&applied)
}

fn check(applied: &[(i64, String)]) -> Result<i64, StoreError> {
    let (found, known) = (applied.last().map_or(0, |(version, _)| *version), newest());
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    for (version, checksum) in applied {
        let ours = MIGRATIONS.iter().find(|m| m.version == *version);
        if ours.is_none_or(|migration| migration.checksum() != *checksum) {
            return Err(StoreError::Altered { version: *version });
        }
    }
    Ok(found)
}

/// Applies what is missing, all in the session's one transaction.
pub(crate) async fn apply(session: &mut Session<'_>) -> Result<MigrationReport, StoreError> {
    session.be_patient();
    // On SQLite the transaction itself keeps others out.
    if session.backend() == Backend::Postgres {
        // Another process may be at a long migration: it is waited for.
        session.batch("SET LOCAL lock_timeout = 0").await?;
        session.fetch(&POSTGRES_LOCK, args![ADVISORY_LOCK]).await?;
    }
    session.batch(MAKE_TABLE).await?;
    let from = version(session).await?;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|m| m.version > from) {
        apply_one(session, migration).await?;
        applied.push(migration.name);
    }
    Ok(MigrationReport {
        from,
        to: newest(),
        applied,
    })
}

async fn apply_one(session: &mut Session<'_>, migration: &Migration) -> Result<(), StoreError> {
    let text = migration.text_for(session.backend());
    session.batch(&text).await?;
    let now = session.db_now().await?;
    let checksum = migration.checksum();
    session
        .insert(
            &RECORD,
            args![migration.version, migration.name, checksum, now],
        )
        .await
}
