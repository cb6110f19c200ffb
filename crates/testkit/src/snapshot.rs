//! What is stored, for comparing before and after.

use crate::world::World;
use keyway_core::change::NewChange;
use keyway_core::credential::{Credential, Health};
use keyway_core::ids::ApplicationId;
use keyway_core::page::{LIMIT_MAX, Page};
use keyway_store::{GrantFilter, Session, StoreError};
use std::fmt::Write as _;

const ALL: Page = Page {
    limit: LIMIT_MAX,
    offset: 0,
    sort_by: keyway_core::page::SortBy::CreatedAt,
    order_by: keyway_core::page::OrderBy::Asc,
};

impl World {
    /// All that applications can see of what is stored, and the current token sets, as text. What the
    /// provider last said of a credential is left out.
    ///
    /// # Panics
    /// If the database does not answer.
    pub async fn snapshot(&self) -> String {
        let job = self.store.read(|s| {
            Box::pin(async move {
                let mut text = String::new();
                for application in s.applications(LIMIT_MAX, 0).await? {
                    let _ = writeln!(text, "{application:?}");
                    describe(s, application.id, &mut text).await?;
                }
                Ok(text)
            })
        });
        job.await.unwrap()
    }

    /// Where the sequence of changes stands.
    ///
    /// # Panics
    /// If the database does not answer.
    pub async fn latest_seq(&self) -> i64 {
        let job = self
            .store
            .read(|s| Box::pin(async move { s.latest_seq().await }));
        job.await.unwrap()
    }

    /// What was appended to the sequence of changes after `seq`.
    ///
    /// # Panics
    /// If the database does not answer.
    pub async fn changes_since(&self, seq: i64) -> Vec<NewChange> {
        let job = self
            .store
            .read(move |s| Box::pin(async move { s.changes_since(seq, 1000).await }));
        job.await.unwrap().into_iter().map(|c| c.change).collect()
    }
}

async fn describe(
    s: &mut Session<'_>,
    id: ApplicationId,
    text: &mut String,
) -> Result<(), StoreError> {
    let _ = writeln!(text, "{:?}", s.api_keys(id).await?);
    let _ = writeln!(text, "{:?}", s.redirect_uris(id).await?);
    for connector in s.connectors(id, LIMIT_MAX, 0).await? {
        let _ = writeln!(text, "{connector:?}");
        for credential in s.credentials(id, connector.id, ALL).await? {
            let credential = Credential {
                health: Health::default(),
                ..credential
            };
            let _ = writeln!(text, "{credential:?}");
        }
    }
    for grant in s.grants(id, &GrantFilter::default(), ALL).await? {
        let tokens = s.current_token_set(id, grant.id).await?;
        let _ = writeln!(text, "{grant:?} {tokens:?}");
    }
    Ok(())
}
