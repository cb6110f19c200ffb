//! Master keys kept in memory, where a test may replace them.

use keyway_engine::unlock::{MasterKeys, MasterKeysError};
use keyway_store::BoxFuture;
use keyway_vault::MasterKey;
use std::sync::{Arc, Mutex, PoisonError};

/// The operator's file, so to speak. Clones share what is in it.
#[derive(Clone, Default)]
pub struct KeptMasterKeys(Arc<Mutex<Vec<String>>>);

impl KeptMasterKeys {
    /// A file with these keys.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let kept = Self::default();
        kept.replace(keys);
        kept
    }

    /// Puts other keys in place of what there is.
    pub fn replace(&self, keys: impl IntoIterator<Item = String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = keys.into_iter().collect();
    }
}

impl MasterKeys for KeptMasterKeys {
    fn read(&self) -> BoxFuture<'_, Result<Vec<MasterKey>, MasterKeysError>> {
        let texts = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let keys = texts.iter().map(|text| MasterKey::parse_base64(text));
        let keys = keys.collect::<Result<_, _>>();
        Box::pin(async move { keys.map_err(|error| MasterKeysError(error.to_string())) })
    }
}
