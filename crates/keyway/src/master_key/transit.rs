//! The transit engine of HashiCorp Vault and OpenBao, which encrypts and decrypts the master key with a key
//! that never leaves it: <https://openbao.org/api-docs/secret/transit/>.

use super::file;
use crate::config::Transit;
use crate::failure::Failure;
use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use keyway_outbound::{Request, Transport};
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;
use zeroize::{Zeroize as _, Zeroizing};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");

#[derive(Serialize)]
struct Encrypt<'a> {
    plaintext: &'a str,
}

#[derive(Serialize)]
struct Decrypt<'a> {
    ciphertext: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    ciphertext: Option<String>,
    #[serde(default, deserialize_with = "to_zeroizing")]
    plaintext: Option<Zeroizing<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    errors: Vec<String>,
}

/// `key`, base64 of 32 bytes as the service wants it, encrypted.
///
/// # Errors
/// If the service cannot be reached or refuses.
pub(super) async fn encrypt(
    transport: &dyn Transport,
    service: &Transit,
    key: &str,
) -> anyhow::Result<String> {
    let answer = call(transport, service, "encrypt", &Encrypt { plaintext: key }).await?;
    answer
        .ciphertext
        .with_context(|| failed(service, "answered without a ciphertext"))
}

/// What `ciphertext` was made of.
///
/// # Errors
/// If the service cannot be reached or refuses.
pub(super) async fn decrypt(
    transport: &dyn Transport,
    service: &Transit,
    ciphertext: &str,
) -> anyhow::Result<Zeroizing<String>> {
    let answer = call(transport, service, "decrypt", &Decrypt { ciphertext }).await?;
    answer
        .plaintext
        .with_context(|| failed(service, "answered without a plaintext"))
}

async fn call(
    transport: &dyn Transport,
    service: &Transit,
    operation: &str,
    body: &impl Serialize,
) -> anyhow::Result<Data> {
    let body = to_wiped(body)?;
    let mut request = Request::new(http::Method::POST, url(service, operation)?)
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .with_header(TOKEN, token(service)?);
    if let Some(namespace) = &service.namespace {
        request = request.with_header(NAMESPACE, HeaderValue::from_str(namespace)?);
    }
    request.body = body;
    let answer = transport.send(request).await;
    let answer = answer.with_context(|| failed(service, "cannot be reached"))?;
    if !answer.status.is_success() {
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let how = format!("answered {}: {}", answer.status, refusal.errors.join("; "));
        return Err(failed(service, &how).into());
    }
    let parsed = serde_json::from_slice::<Answer>(&answer.body);
    wipe(answer.body);
    let parsed =
        parsed.with_context(|| failed(service, "answered in a form that is not its own"))?;
    Ok(parsed.data)
}

/// More than a request with a master key in it has, so that its buffer never grows and leaves a copy behind.
const BODY_MAX: usize = 512;

/// A body that is wiped from memory when it has been sent.
fn to_wiped(body: &impl Serialize) -> anyhow::Result<Bytes> {
    let mut text = Zeroizing::new(Vec::with_capacity(BODY_MAX));
    serde_json::to_writer(&mut *text, body)?;
    Ok(Bytes::from_owner(text))
}

/// Wipes an answer that nobody else holds.
fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
}

fn to_zeroizing<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.map(Zeroizing::new))
}

fn url(service: &Transit, operation: &str) -> anyhow::Result<Url> {
    let mut url = service.address.clone();
    let mut path = url
        .path_segments_mut()
        .map_err(|()| failed(service, "has no usable address"))?;
    path.pop_if_empty().push("v1");
    path.extend(service.mount.split('/'));
    path.push(operation).push(&service.key);
    drop(path);
    Ok(url)
}

fn token(service: &Transit) -> anyhow::Result<HeaderValue> {
    let path = &service.token_file;
    let text = file::read_secret(path, "the token for the key service")?.ok_or_else(|| {
        Failure::new(format!("there is no token for the key service in {}", path.display()))
            .next("transit.token_file names a file with a token that may encrypt and decrypt with the key.")
    })?;
    let mut value = HeaderValue::from_str(text.trim())
        .with_context(|| format!("what is in {} is no token", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn failed(service: &Transit, how: &str) -> Failure {
    let what = format!("the key service {} {how}", service.address);
    Failure::new(what).next(
        "Check transit.address, transit.key and the token: it needs `update` on encrypt/ and decrypt/ of the key.",
    )
}
