//! The provider itself: configuration, keys, clock, and the state behind one lock each.

use crate::config::{Dialect, SandboxConfig, UserConfig};
use crate::faults::{Asked, Endpoint, Fault, Faults};
use crate::pages::Pages;
use crate::records::Records;
use crate::signer::Signer;
use crate::store::Store;
use crate::{SandboxError, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyway_core::entropy::{Entropy, random_bytes};
use keyway_core::time::{Clock, UnixMillis};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Provider {
    pub(crate) config: SandboxConfig,
    pub(crate) signer: Signer,
    pub(crate) pages: Pages,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    records: Mutex<Records>,
}

impl Provider {
    pub(crate) fn new(
        config: SandboxConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, SandboxError> {
        Ok(Self {
            signer: Signer::generate(config.signing)?,
            pages: Pages::new()?,
            store: Mutex::new(Store::new(&config)),
            faults: Mutex::default(),
            records: Mutex::default(),
            config,
            clock,
            entropy,
        })
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// 256 random bits behind a prefix that tells what they are for.
    pub(crate) fn random(&self, prefix: &str) -> String {
        format!(
            "{prefix}{}",
            URL_SAFE_NO_PAD.encode(random_bytes::<32>(&*self.entropy))
        )
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn strike(&self, endpoint: Endpoint, asked: Asked<'_>) -> Option<Fault> {
        self.faults().strike(endpoint, asked)
    }

    /// The origin that everything is under, without a slash at its end.
    pub(crate) fn origin(&self) -> &str {
        self.config.issuer.as_str().trim_end_matches('/')
    }

    /// The `iss` of id_tokens and redirects.
    pub(crate) fn issuer(&self) -> String {
        match self.config.dialect {
            Dialect::Microsoft => format!("{}/{}/v2.0", self.origin(), self.config.tenant_id),
            Dialect::Plain | Dialect::Google => self.origin().to_owned(),
        }
    }

    /// The `sub` that `client_id` sees for `user`: pairwise under Microsoft's dialect.
    pub(crate) fn subject(&self, user: &UserConfig, client_id: &str) -> String {
        match self.config.dialect {
            Dialect::Microsoft => {
                digest::Digest::of(&format!("{client_id} {}", user.sub)).base64url()
            }
            Dialect::Plain | Dialect::Google => user.sub.clone(),
        }
    }
}
