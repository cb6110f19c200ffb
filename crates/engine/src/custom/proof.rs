//! What shows that a user's account may be used: a refresh token of the user's, or a credential that may act
//! for its users by itself (bulk authentication).

use super::CustomAuthentication;
use crate::credential_data::text_member;
use crate::error::Error;
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::email::looks_like_email;
use keyway_core::scope::Scopes;
use secrecy::SecretString;
use serde_json::{Map, Value};

/// What an application brings.
pub(super) enum Proof {
    /// A refresh token it obtained itself.
    RefreshToken(SecretString),
    /// The address of a user for whom the credential acts by itself.
    Address(Member),
}

/// A user for whom a credential is to act.
pub(super) struct Member {
    /// The address, as it was given.
    pub(super) email: String,
    /// What is asked for.
    pub(super) scope: Scopes,
}

const EMAIL: &str = "settings.email_address";

/// What of `request` goes with the type of the credential.
///
/// # Errors
/// If something is missing, or is for another type.
pub(super) fn read(
    request: &CustomAuthentication,
    connector: &Connector,
    credential: &Credential,
) -> Result<Proof, Error> {
    let settings = &request.settings;
    let refresh_token = text_member(settings, "settings", "refresh_token")?;
    let email = text_member(settings, "settings", "email_address")?;
    match (credential.credential_type, refresh_token) {
        (CredentialType::Connector, Some(token)) => {
            Ok(Proof::RefreshToken(SecretString::from(token.to_owned())))
        }
        (CredentialType::Connector, None) => Err(Error::field(
            "settings.refresh_token",
            match email {
                None => "is required",
                Some(_) => {
                    "is required: to authenticate by address alone, name in settings.credential_id a credential of type serviceaccount (Google) or adminconsent (Microsoft)"
                }
            },
        )),
        (other, Some(_)) => Err(Error::field(
            "settings.refresh_token",
            format_args!(
                "does not go with a credential of type {}, which acts for its users by itself; give settings.email_address",
                other.as_str()
            ),
        )),
        (kind, None) => {
            let email = checked_address(email)?;
            let scope = asked_scope(request, connector)?;
            if kind == CredentialType::ServiceAccount && scope.is_empty() {
                let what = "is required: a service account asks for scopes that the administrator has delegated to it";
                return Err(Error::field("settings.scopes", what));
            }
            Ok(Proof::Address(Member { email, scope }))
        }
    }
}

fn checked_address(email: Option<&str>) -> Result<String, Error> {
    let email = email.ok_or_else(|| Error::field(EMAIL, "is required"))?;
    if looks_like_email(email) {
        Ok(email.to_owned())
    } else {
        Err(Error::field(EMAIL, "is not an e-mail address"))
    }
}

/// `settings.scopes`, a list or a space-separated text as everywhere; else the request's own, else the connector's.
fn asked_scope(request: &CustomAuthentication, connector: &Connector) -> Result<Scopes, Error> {
    if let Some(scopes) = scopes_of(&request.settings)? {
        return Ok(scopes);
    }
    let scope = request.scope.as_ref().unwrap_or(&connector.scope);
    Ok(scope.clone())
}

fn scopes_of(settings: &Map<String, Value>) -> Result<Option<Scopes>, Error> {
    let wrong = || Error::field("settings.scopes", "must be an array of strings");
    let scopes = match settings.get("scopes") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => Scopes::parse(text),
        Some(Value::Array(items)) => {
            let items: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            Scopes::from_items(items.ok_or_else(wrong)?)
        }
        Some(_) => return Err(wrong()),
    };
    scopes
        .map(Some)
        .map_err(|error| Error::field("settings.scopes", error))
}
