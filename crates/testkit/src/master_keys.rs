//! Master keys kept in memory, where a test may replace them.

use keyway_engine::unlock::{MasterKeys, MasterKeysError};
use keyway_store::BoxFuture;
use keyway_vault::MasterKey;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The operator's file, so to speak. Clones share what is in it.
#[derive(Clone, Default)]
pub struct KeptMasterKeys(Arc<Mutex<Vec<String>>>, Arc<Door>);

/// Keeps readers waiting while a test holds it.
#[derive(Default)]
struct Door {
    shut: tokio::sync::Mutex<()>,
    waiting: AtomicUsize,
}

impl KeptMasterKeys {
    /// A file with these keys.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let kept = Self::default();
        kept.replace(keys);
        kept
    }

    /// What `meanwhile` comes to, done while somebody waits for the keys.
    pub async fn while_one_waits<T>(&self, meanwhile: impl Future<Output = T>) -> T {
        let shut = self.1.shut.lock().await;
        crate::eventually("somebody asks for the master key", async || {
            self.1.waiting.load(Ordering::SeqCst) > 0
        })
        .await;
        let done = meanwhile.await;
        drop(shut);
        done
    }

    /// Puts other keys in place of what there is.
    pub fn replace(&self, keys: impl IntoIterator<Item = String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keys.into_iter().collect();
    }
}

impl MasterKeys for KeptMasterKeys {
    fn read(&self) -> BoxFuture<'_, Result<Vec<MasterKey>, MasterKeysError>> {
        Box::pin(async move {
            self.1.waiting.fetch_add(1, Ordering::SeqCst);
            drop(self.1.shut.lock().await);
            self.1.waiting.fetch_sub(1, Ordering::SeqCst);
            let texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let keys = texts.iter().map(|text| MasterKey::parse_base64(text));
            let keys = keys.collect::<Result<_, _>>();
            keys.map_err(|error| MasterKeysError(error.to_string()))
        })
    }
}
