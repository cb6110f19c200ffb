//! Key files of Google service accounts: checked when they are stored, opened to sign an assertion.

use crate::engine::Engine;
use crate::error::Error;
use keyway_core::credential::Credential;
use keyway_core::delegation::Assertion;
use keyway_core::oauth::Client;
use keyway_core::scope::Scopes;
use keyway_vault::assertion::signed_assertion;
use keyway_vault::request_key::RequestKey;
use secrecy::SecretString;
use serde::Deserialize;

/// What of a key file counts. Its `token_uri` does not: the provider's own token endpoint is asked.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key_id: String,
    private_key: String,
}

/// Whether a text is a private key that can sign assertions.
pub(crate) fn is_signing_key(pem: &str) -> bool {
    RequestKey::from_pem(&SecretString::from(pem.to_owned())).is_ok()
}

impl Engine {
    /// An assertion of the service account for `subject`, or for itself; with whom it is presented as.
    pub(crate) async fn signed_assertion(
        &self,
        credential: &Credential,
        subject: Option<&str>,
        scope: &Scopes,
    ) -> Result<(Client, SecretString), Error> {
        let data = self
            .open_data(credential.application_id, credential.id)
            .await?;
        let file: KeyFile = serde_json::from_slice(&data).map_err(Error::internal)?;
        let entry = self.entry(credential.provider)?;
        let claims = Assertion {
            issuer: &file.client_email,
            subject,
            scope,
            audience: &entry.endpoint(&entry.token_endpoint, None),
            now: self.now(),
        }
        .claims();
        let key =
            RequestKey::from_pem(&SecretString::from(file.private_key)).map_err(Error::internal)?;
        let assertion =
            signed_assertion(&key, &file.private_key_id, &claims).map_err(Error::internal)?;
        Ok((self_proving(file.client_email), assertion))
    }
}

/// An assertion proves itself: no secret goes with it.
fn self_proving(client_email: String) -> Client {
    Client {
        client_id: client_email,
        client_secret: SecretString::default(),
        tenant: None,
    }
}
