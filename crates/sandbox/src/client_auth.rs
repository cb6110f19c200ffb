//! Who a client says it is, and whether it is so (RFC 6749, section 2.3).

use crate::config::ClientConfig;
use crate::oauth_error::OAuthError;
use crate::params::Params;
use crate::provider::Provider;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;

/// The credentials of a request, not yet believed.
#[derive(Default)]
pub(crate) struct Presented {
    pub(crate) client_id: Option<String>,
    secret: Option<String>,
    is_basic: bool,
}

impl Presented {
    /// Reads HTTP Basic or, without it, the form. Using both is refused.
    pub(crate) fn read(headers: &HeaderMap, form: &Params) -> Result<Self, OAuthError> {
        let posted = |name| form.get(name).map(str::to_owned);
        let (client_id, secret) = (posted("client_id"), posted("client_secret"));
        let Some(header) = headers.get(AUTHORIZATION) else {
            return Ok(Self {
                client_id,
                secret,
                is_basic: false,
            });
        };
        if secret.is_some() {
            let text = "the client authenticates in the header and in the body";
            return Err(OAuthError::invalid_request(text));
        }
        let basic = header.to_str().ok().and_then(basic_credentials);
        let (id, secret) =
            basic.ok_or_else(|| refused(700_016, "malformed Basic credentials", true))?;
        Ok(Self {
            client_id: Some(id),
            secret: Some(secret),
            is_basic: true,
        })
    }

    pub(crate) fn authenticate(
        &self,
        provider: &Provider,
    ) -> Result<Arc<ClientConfig>, OAuthError> {
        let Some(client_id) = &self.client_id else {
            return Err(OAuthError::invalid_request("client_id is missing"));
        };
        let client = provider.store().clients.get(client_id).cloned();
        let client = client
            .ok_or_else(|| refused(700_016, "The OAuth client was not found.", self.is_basic))?;
        if client.has_secret(self.secret.as_deref()) {
            return Ok(client);
        }
        Err(match self.secret {
            Some(_) => refused(
                7_000_215,
                "Unauthorized: the client secret is wrong",
                self.is_basic,
            ),
            None => refused(7_000_218, "client_secret is missing", self.is_basic),
        })
    }
}

fn refused(aadsts: u32, description: &str, is_basic: bool) -> OAuthError {
    OAuthError {
        basic: is_basic,
        ..OAuthError::invalid_client(aadsts, description)
    }
}

/// Both halves are form-encoded before they are joined (section 2.3.1).
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded_after_base64() {
        let header = format!("basic {}", STANDARD.encode("app%3A1:s+%26cret="));
        let read = basic_credentials(&header).unwrap();
        assert_eq!(read, ("app:1".to_owned(), "s &cret=".to_owned()));
    }
}
