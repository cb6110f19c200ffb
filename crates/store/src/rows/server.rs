//! What concerns the server as a whole: work one process does at a time, and notes.

use crate::arg::args;
use crate::error::StoreError;
use crate::session::Session;
use crate::statement::statements;

statements! { "server";
    TAKE = "INSERT INTO server_leases (name, owner, lease_until) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, lease_until = excluded.lease_until
        WHERE server_leases.lease_until <= $4 OR server_leases.owner = excluded.owner";
    GIVE_BACK = "DELETE FROM server_leases WHERE name = $1 AND owner = $2";
    NOTE = "SELECT value FROM server_notes WHERE name = $1";
    PUT_NOTE = "INSERT INTO server_notes (name, value, noted_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, noted_at = excluded.noted_at";
    DELETE_NOTE = "DELETE FROM server_notes WHERE name = $1";
}

/// The server as a whole.
impl Session<'_> {
    /// Takes the lease `name` for `owner`, or keeps it, for `lease_ms` from now by the shared clock. `false`
    /// if somebody else holds it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_lease(
        &mut self,
        name: &str,
        owner: &str,
        lease_ms: i64,
    ) -> Result<bool, StoreError> {
        let now = self.db_now().await?;
        let until = now.plus_ms(lease_ms);
        self.wrote(&TAKE, args![name, owner, until, now]).await
    }

    /// Gives the lease back, if `owner` holds it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn give_lease_back(&mut self, name: &str, owner: &str) -> Result<bool, StoreError> {
        self.wrote(&GIVE_BACK, args![name, owner]).await
    }

    /// The note called `name`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn server_note(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.one(&NOTE, args![name], |row| row.text("value")).await
    }

    /// Writes the note called `name`, in place of what it said before.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn put_server_note(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let now = self.db_now().await?;
        self.insert(&PUT_NOTE, args![name, value, now]).await
    }

    /// Removes the note called `name`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_server_note(&mut self, name: &str) -> Result<bool, StoreError> {
        self.wrote(&DELETE_NOTE, args![name]).await
    }
}
