//! The append-only sequence of changes (rule 10).

use crate::arg::{args, json};
use crate::error::StoreError;
use crate::row::Row;
use crate::session::Session;
use crate::statement::{Statement, statements};
use crate::store::Backend;
use keyway_core::change::{Action, Change, Entity, NewChange};

statements! { "changes";
    APPEND = "INSERT INTO changes (at, application_id, entity, entity_id, action, actor, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING seq";
    SINCE = "SELECT seq, at, application_id, entity, entity_id, action, actor, detail FROM changes
        WHERE seq > $1 ORDER BY seq LIMIT $2";
    LATEST = "SELECT coalesce(max(seq), 0) FROM changes";
}

/// Any number, as long as every Keyway uses the same: whoever holds it appends.
const ADVISORY_LOCK: i64 = 0x6b65_7977_6c6f;

/// Held until the commit, so that entries become visible in the order of their numbers: a reader that
/// has seen number n has nothing below it still to come.
const POSTGRES_LOCK: Statement = Statement {
    name: "postgres.CHANGES_LOCK",
    table: "changes",
    sql: "SELECT pg_advisory_xact_lock($1)",
};

/// A newer version may run beside this one and know more: its words must not keep the rest from being read.
#[expect(clippy::unnecessary_wraps, reason = "the form in which words are read")]
fn known_entity(word: &str) -> Option<Entity> {
    Some(Entity::parse(word).unwrap_or(Entity::Unknown))
}

/// The same for what happened.
#[expect(clippy::unnecessary_wraps, reason = "the form in which words are read")]
fn known_action(word: &str) -> Option<Action> {
    Some(Action::parse(word).unwrap_or(Action::Unknown))
}

fn change(row: &mut Row) -> Result<Change, StoreError> {
    Ok(Change {
        seq: row.int("seq")?,
        change: NewChange {
            at: row.time("at")?,
            application_id: row.parsed("application_id")?,
            entity: row.word("entity", known_entity)?,
            entity_id: row.text("entity_id")?,
            action: row.word("action", known_action)?,
            actor: row.text("actor")?,
            detail: row.json("detail")?,
        },
    })
}

/// Changes.
impl Session<'_> {
    /// Appends an entry, and says which place it has. On PostgreSQL all other appending transactions
    /// wait until this one ends: append last.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn append_change(&mut self, new: &NewChange) -> Result<i64, StoreError> {
        if self.backend() == Backend::Postgres {
            self.fetch(&POSTGRES_LOCK, args![ADVISORY_LOCK]).await?;
        }
        let detail = json(&new.detail)?;
        let values = args![
            new.at,
            new.application_id,
            new.entity,
            new.entity_id,
            new.action,
            new.actor,
            detail,
        ];
        self.number(&APPEND, values).await
    }

    /// The entries after place `seq`, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn changes_since(&mut self, seq: i64, limit: i64) -> Result<Vec<Change>, StoreError> {
        self.many(&SINCE, args![seq, limit], change).await
    }

    /// The place of the latest entry; 0 before the first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn latest_seq(&mut self) -> Result<i64, StoreError> {
        self.number(&LATEST, &[]).await
    }
}
