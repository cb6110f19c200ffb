//! A service account in a [`crate::World`], and the requests it signs as the official clients do.

use keyway_core::ids::{ApplicationId, ServiceAccountId};
use keyway_core::service_account::{Permission, RequestProof, SignedRequest};
use keyway_core::time::UnixMillis;
use keyway_engine::service_accounts::NewServiceAccount;
use keyway_engine::{Engine, ServiceCaller};
use keyway_vault::request_key::RequestKey;
use std::sync::atomic::{AtomicU64, Ordering};

/// A program that manages API keys.
pub struct TestServiceAccount {
    /// Its id, and its key's.
    pub id: ServiceAccountId,
    key: RequestKey,
    requests: AtomicU64,
}

impl TestServiceAccount {
    /// Makes one that may do `permissions` to `applications`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn create(
        engine: &Engine,
        applications: &[ApplicationId],
        permissions: &[Permission],
    ) -> Self {
        let new = NewServiceAccount {
            name: "key rotator".to_owned(),
            applications: applications.to_vec(),
            permissions: permissions.to_vec(),
        };
        let made = engine.create_service_account(new).await.unwrap();
        Self {
            id: made.account.id,
            key: RequestKey::from_pem(&made.private_key).unwrap(),
            requests: AtomicU64::new(0),
        }
    }

    /// Proof of a request, as the use cases ask for it.
    ///
    /// # Panics
    /// If the request is refused.
    pub async fn proves(&self, engine: &Engine) -> ServiceCaller {
        let request = SignedRequest {
            method: "GET",
            path: "/v3/admin/applications",
            body: "",
        };
        let proof = self.proof(request, engine.now());
        engine.service_caller(proof, request).await.unwrap()
    }

    /// A signature over `request` as of `now`, with a nonce of its own.
    #[must_use]
    pub fn proof(&self, request: SignedRequest<'_>, now: UnixMillis) -> RequestProof {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.proof_with(request, now.as_secs(), &format!("nonce{number:015}"))
    }

    /// A signature with that timestamp and nonce.
    ///
    /// # Panics
    /// If the cryptographic library fails.
    #[must_use]
    pub fn proof_with(
        &self,
        request: SignedRequest<'_>,
        timestamp: i64,
        nonce: &str,
    ) -> RequestProof {
        let mut proof = RequestProof {
            account_id: Some(self.id),
            timestamp,
            nonce: nonce.to_owned(),
            signature: String::new(),
        };
        proof.signature = self.key.sign(&request.canonical(&proof)).unwrap();
        proof
    }
}
