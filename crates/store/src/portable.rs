//! Every row of a database as plain values, to be carried to another one. What is sealed stays sealed.

use crate::arg::{Arg, Bind, args};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::Statement;
use crate::store::Backend;
use std::borrow::Cow;
use std::sync::LazyLock;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// `BIGINT`
    Int,
    /// `TEXT`
    Text,
    /// `BYTEA`
    Bytes,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Bind for Cell {
    fn bind(&self) -> Arg<'_> {
        match self {
            Self::Null => Arg::Null,
            Self::Int(number) => Arg::Int(*number),
            Self::Text(text) => Arg::Text(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Arg::Bytes(bytes),
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: CellKind,
}

/// A table whose rows are carried.
#[derive(Debug)]
pub struct PortableTable {
    /// Its name.
    pub name: &'static str,
    /// Its columns, those of the primary key first.
    pub columns: Vec<Column>,
    /// How many columns the primary key has.
    pub key_len: usize,
    page: Statement,
    count: Statement,
    insert: Statement,
    insert_numbered: Statement,
}

/// `name: key columns; other columns`, each column with `:i` or `:b` behind it unless it is a text. The vault's
/// keys come first: without them the rest means nothing. What grows without end comes last.
const TABLES: [&str; 21] = [
    "vault_keys: purpose term:i; wrapped:b state master_fingerprint created_at:i state_since:i",
    "signing_keys: kid; sealed:b public_jwk created_at:i",
    "applications: id; organization_id name region environment profile additional blocked:i created_at:i updated_at:i version:i",
    "api_keys: application_id id; name digest:b hint created_at:i expires_at:i revoked_at:i updated_at:i",
    "service_accounts: id; name public_key:b permissions created_at:i revoked_at:i",
    "service_account_applications: application_id service_account_id;",
    "service_account_nonces: service_account_id nonce; expires_at:i",
    "redirect_uris: application_id id; url platform settings origin created_at:i updated_at:i deleted_at:i",
    "application_origins: application_id origin;",
    "connectors: application_id id; provider name settings scope active_credential_id primary_credential_id created_at:i updated_at:i deleted_at:i version:i",
    "credentials: application_id id; connector_id provider name credential_type state owner client_id provider_project tenant borrows_from labels data_digest:b health_status health_error health_message health_since:i created_at:i updated_at:i deleted_at:i version:i",
    "credential_secrets: application_id id; credential_id sealed:b state not_before:i expires_at:i created_at:i",
    "tenant_consents: application_id credential_id client_id tenant; noted_at:i",
    "grants: application_id id; provider connector_id credential_id email email_key identity provider_user_id name scope status blocked:i settings state ip user_agent workspace_id external_id created_at:i updated_at:i version:i",
    "token_sets: application_id id; grant_id credential_id sign_in_id provider state sealed:b has_refresh_token:i scope access_expires_at:i consent_key created_at:i updated_at:i version:i",
    "account_secrets: application_id id; grant_id provider sealed:b created_at:i updated_at:i version:i",
    "refresh_states: application_id grant_id; lease_owner lease_until:i due_at:i failures:i last_error version:i unheard",
    "sign_ins: application_id id; credential_id status code_digest:b outcome:b family_id code_expires_at:i created_at:i",
    "access_tokens: application_id id; grant_id family_id digest:b audience expires_at:i created_at:i",
    "refresh_tokens: application_id id; grant_id family_id digest:b audience scope public_client:i rotates:i used_at:i last_used_at:i family_created_at:i created_at:i",
    "changes: seq:i; at:i application_id entity entity_id action actor detail",
];

static PORTABLE: LazyLock<Vec<PortableTable>> = LazyLock::new(|| {
    let all = TABLES.iter();
    all.map(|text| PortableTable::parse(text)).collect()
});

/// All tables that are carried, in the order in which they are. Leases and notes of the server, and the list of
/// migrations, belong to the one database.
#[must_use]
pub fn portable_tables() -> &'static [PortableTable] {
    &PORTABLE
}

/// The table of this name, if it is carried.
#[must_use]
pub fn portable_table(name: &str) -> Option<&'static PortableTable> {
    PORTABLE.iter().find(|table| table.name == name)
}

fn column(text: &'static str) -> Column {
    let (name, kind) = match text.split_once(':') {
        Some((name, "i")) => (name, CellKind::Int),
        Some((name, _)) => (name, CellKind::Bytes),
        None => (text, CellKind::Text),
    };
    Column { name, kind }
}

/// Texts are made once and live as long as the program.
fn statement(table: &'static str, name: &str, sql: String) -> Statement {
    Statement {
        name: format!("portable.{table}.{name}").leak(),
        table,
        sql: sql.leak(),
    }
}

fn numbered(from: usize, count: usize) -> String {
    let places: Vec<String> = (from..from + count).map(|n| format!("${n}")).collect();
    places.join(", ")
}

impl PortableTable {
    fn parse(text: &'static str) -> Self {
        let (name, columns) = text.split_once(": ").unwrap_or((text, ""));
        let (key, rest) = columns.split_once(';').unwrap_or((columns, ""));
        let key: Vec<Column> = key.split_whitespace().map(column).collect();
        let key_len = key.len();
        let rest = rest.split_whitespace().map(column);
        let columns: Vec<Column> = key.into_iter().chain(rest).collect();
        let first = |count: usize| {
            let names = columns.iter().take(count).map(|column| column.name);
            names.collect::<Vec<_>>().join(", ")
        };
        let (all, keys) = (first(columns.len()), first(key_len));
        let page = format!(
            "SELECT {all} FROM {name} WHERE ({keys}) > ({}) ORDER BY {keys} LIMIT ${}",
            numbered(1, key_len),
            key_len + 1
        );
        let values = numbered(1, columns.len());
        let insert = |words: &str| format!("INSERT INTO {name} ({all}) {words}VALUES ({values})");
        Self {
            name,
            key_len,
            page: statement(name, "PAGE", page),
            count: statement(name, "COUNT", format!("SELECT count(*) FROM {name}")),
            insert: statement(name, "INSERT", insert("")),
            insert_numbered: statement(name, "INSERT_NUMBERED", insert("OVERRIDING SYSTEM VALUE ")),
            columns,
        }
    }

    /// The value of a row in the column `name`; `None` if there is no such column, or nothing in it.
    #[must_use]
    pub fn cell<'r>(&self, row: &'r [Cell], name: &str) -> Option<&'r Cell> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        row.get(at).filter(|cell| **cell != Cell::Null)
    }

    /// The same, if it is a text.
    #[must_use]
    pub fn text<'r>(&self, row: &'r [Cell], name: &str) -> Option<&'r str> {
        match self.cell(row, name)? {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same, if it is a number.
    #[must_use]
    pub fn int(&self, row: &[Cell], name: &str) -> Option<i64> {
        match self.cell(row, name)? {
            Cell::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// A key that is less than every row's.
    fn before_all(&self) -> Vec<Cell> {
        let least = |column: &Column| match column.kind {
            CellKind::Int => Cell::Int(i64::MIN),
            CellKind::Text => Cell::Text(String::new()),
            CellKind::Bytes => Cell::Bytes(Vec::new()),
        };
        self.columns.iter().take(self.key_len).map(least).collect()
    }

    fn read(&self, row: &mut Row) -> Result<Vec<Cell>, StoreError> {
        let cell = |column: &Column| {
            Ok(match column.kind {
                CellKind::Int => row.opt_int(column.name)?.map_or(Cell::Null, Cell::Int),
                CellKind::Text => row.opt_text(column.name)?.map_or(Cell::Null, Cell::Text),
                CellKind::Bytes => row.opt_bytes(column.name)?.map_or(Cell::Null, Cell::Bytes),
            })
        };
        self.columns.iter().map(cell).collect()
    }
}

const POSTGRES_GO_ON_COUNTING: Statement = Statement {
    name: "postgres.CHANGES_GO_ON",
    table: "changes",
    sql: "SELECT setval(pg_get_serial_sequence('changes', 'seq'),
        (SELECT greatest(coalesce(max(seq), 0), 1) FROM changes))",
};

/// Carrying rows.
impl Session<'_> {
    /// The rows after the one with the key of `after`, in the order of the key.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn portable_rows(
        &mut self,
        table: &'static PortableTable,
        after: Option<&Vec<Cell>>,
        limit: i64,
    ) -> Result<Vec<Vec<Cell>>, StoreError> {
        let least = table.before_all();
        let key = after.unwrap_or(&least).iter().take(table.key_len);
        let limit = Cell::Int(limit);
        let args: Vec<Arg<'_>> = key.chain([&limit]).map(Bind::bind).collect();
        let rows = self.fetch(&table.page, &args).await?;
        rows.into_iter()
            .map(|mut row| table.read(&mut row))
            .collect()
    }

    /// How many rows the table has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_portable(
        &mut self,
        table: &'static PortableTable,
    ) -> Result<i64, StoreError> {
        self.be_patient();
        self.number(&table.count, &[]).await
    }

    /// Stores a row as it was in another database.
    ///
    /// # Errors
    /// If there is one with its key, or the database fails.
    pub async fn insert_portable(
        &mut self,
        table: &'static PortableTable,
        row: &[Cell],
    ) -> Result<(), StoreError> {
        let args: Vec<Arg<'_>> = row.iter().map(Bind::bind).collect();
        // PostgreSQL numbers the entries of the sequence itself unless it is told not to.
        let insert = match self.backend() {
            Backend::Postgres if table.name == "changes" => &table.insert_numbered,
            _ => &table.insert,
        };
        self.insert(insert, &args).await
    }

    /// Lets the sequence of changes go on after the last entry that was carried.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn go_on_counting(&mut self) -> Result<(), StoreError> {
        if self.backend() == Backend::Postgres {
            self.fetch(&POSTGRES_GO_ON_COUNTING, args![]).await?;
        }
        Ok(())
    }
}
