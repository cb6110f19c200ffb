//! The keys that sign id_tokens: made when first needed, renewed by age, published while tokens live.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::issued::SigningKeyRow;
use keyway_core::sealed::SealContext;
use keyway_core::time::UnixMillis;
use keyway_store::SealedColumn;
use keyway_vault::jwt::{PublicJwk, SigningKey};
use std::sync::{Arc, Mutex, PoisonError};

/// A key signs for this long, in seconds.
const SIGNS_FOR_SECS: i64 = 90 * 24 * 3600;
/// A new key is published this long before it signs, in seconds, so that verifiers that keep our keys
/// for a while know it. The very first key signs at once.
const PUBLISHED_AHEAD_SECS: i64 = 24 * 3600;
/// A key that has stopped signing stays published this long, in seconds: longer than any token lives.
const PUBLISHED_AFTER_SECS: i64 = 24 * 3600;
/// How long keys are remembered before they are read again, in seconds.
const REMEMBERED_SECS: i64 = 30;

#[derive(Default)]
pub(crate) struct Signing(Mutex<Option<Arc<KeySet>>>);

struct KeySet {
    signing: Arc<SigningKey>,
    public: Arc<Vec<PublicJwk>>,
    read_at: UnixMillis,
}

/// The row that signs at `now`: the newest that has been published long enough, else the oldest.
fn signer(rows: &[SigningKeyRow], now: UnixMillis) -> Option<&SigningKeyRow> {
    let ripe = |row: &&SigningKeyRow| now >= row.created_at.plus_secs(PUBLISHED_AHEAD_SECS);
    rows.iter().find(ripe).or_else(|| rows.last())
}

/// Whether a successor must be made at `now`, so that it is published in time.
fn is_due(rows: &[SigningKeyRow], now: UnixMillis) -> bool {
    rows.first()
        .is_none_or(|newest| now >= newest.created_at.plus_secs(SIGNS_FOR_SECS))
}

/// Whether no token signed by the row at `index` (newest first) can be live at `now`.
fn is_over(rows: &[SigningKeyRow], index: usize, now: UnixMillis) -> bool {
    let successor = index.checked_sub(1).and_then(|newer| rows.get(newer));
    successor.is_some_and(|newer| {
        now >= newer
            .created_at
            .plus_secs(PUBLISHED_AHEAD_SECS + PUBLISHED_AFTER_SECS)
    })
}

impl Engine {
    pub(crate) async fn signing_key(&self) -> Result<Arc<SigningKey>, Error> {
        Ok(Arc::clone(&self.key_set().await?.signing))
    }

    pub(crate) async fn public_keys(&self) -> Result<Arc<Vec<PublicJwk>>, Error> {
        Ok(Arc::clone(&self.key_set().await?.public))
    }

    async fn key_set(&self) -> Result<Arc<KeySet>, Error> {
        let now = self.now();
        let remembered = self
            .inner
            .signing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(set) = remembered.filter(|set| now < set.read_at.plus_secs(REMEMBERED_SECS)) {
            return Ok(set);
        }
        let set = Arc::new(self.read_key_set(now).await?);
        *self
            .inner
            .signing
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&set));
        Ok(set)
    }

    async fn read_key_set(&self, now: UnixMillis) -> Result<KeySet, Error> {
        let mut rows = self.read_signing_keys().await?;
        if is_due(&rows, now) {
            self.make_signing_key(now).await?;
            rows = self.read_signing_keys().await?;
        }
        let row = signer(&rows, now).ok_or_else(|| Error::internal("no signing key"))?;
        let context = SealContext {
            purpose: SealedColumn::SigningKeys.as_str(),
            row: &row.kid,
        };
        let pkcs8 = self.open_sealed(&context, &row.sealed)?;
        let signing = SigningKey::from_pkcs8(&row.kid, &pkcs8).map_err(Error::internal)?;
        let public = rows
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_over(&rows, *index, now))
            .map(|(_, row)| serde_json::from_str(&row.public_jwk).map_err(Error::internal))
            .collect::<Result<Vec<PublicJwk>, Error>>()?;
        Ok(KeySet {
            signing: Arc::new(signing),
            public: Arc::new(public),
            read_at: now,
        })
    }

    async fn read_signing_keys(&self) -> Result<Vec<SigningKeyRow>, Error> {
        Ok(self
            .store()
            .read(|s| Box::pin(async move { s.signing_keys().await }))
            .await?)
    }

    async fn make_signing_key(&self, now: UnixMillis) -> Result<(), Error> {
        let (pkcs8, public) = SigningKey::generate_es256().map_err(Error::internal)?;
        let context = SealContext {
            purpose: SealedColumn::SigningKeys.as_str(),
            row: &public.kid,
        };
        let row = SigningKeyRow {
            kid: public.kid.clone(),
            sealed: self.vault().seal(&context, &pkcs8),
            public_jwk: serde_json::to_string(&public).map_err(Error::internal)?,
            created_at: now,
        };
        self.store()
            .write(move |s| {
                Box::pin(async move {
                    // Another process may have made one since we looked: one is enough.
                    match is_due(&s.signing_keys().await?, now) {
                        true => s.insert_signing_key(&row).await,
                        false => Ok(()),
                    }
                })
            })
            .await?;
        Ok(())
    }

    /// Removes keys whose last token has ended.
    pub(crate) async fn sweep_signing_keys(&self) -> Result<(), Error> {
        let (now, rows) = (self.now(), self.read_signing_keys().await?);
        for (index, row) in rows.iter().enumerate() {
            if is_over(&rows, index, now) {
                let kid = row.kid.clone();
                self.store()
                    .write(move |s| Box::pin(async move { s.delete_signing_key(&kid).await }))
                    .await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::sealed::Sealed;

    fn row(kid: &str, created_secs: i64) -> SigningKeyRow {
        SigningKeyRow {
            kid: kid.into(),
            sealed: Sealed(vec![]),
            public_jwk: String::new(),
            created_at: UnixMillis::from_secs(created_secs),
        }
    }

    fn at(secs: i64) -> UnixMillis {
        UnixMillis::from_secs(secs)
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_its_predecessor_after_it_signed() {
        let rows = [row("new", SIGNS_FOR_SECS), row("old", 0)];
        let signs = |secs| signer(&rows, at(secs)).unwrap().kid.clone();
        assert_eq!(signs(SIGNS_FOR_SECS + 1), "old");
        assert_eq!(signs(SIGNS_FOR_SECS + PUBLISHED_AHEAD_SECS), "new");
        let end = SIGNS_FOR_SECS + PUBLISHED_AHEAD_SECS + PUBLISHED_AFTER_SECS;
        assert!(!is_over(&rows, 1, at(end - 1)));
        assert!(is_over(&rows, 1, at(end)));
        assert!(!is_over(&rows, 0, at(i64::MAX / 2000)));
    }

    #[test]
    fn a_first_key_signs_at_once_and_a_key_is_due_after_ninety_days() {
        assert!(is_due(&[], at(0)));
        let rows = [row("first", 100)];
        assert_eq!(signer(&rows, at(100)).unwrap().kid, "first");
        assert!(!is_due(&rows, at(100 + SIGNS_FOR_SECS - 1)));
        assert!(is_due(&rows, at(100 + SIGNS_FOR_SECS)));
    }
}
