//! Directories of tenants: which tenant a name stands for, and who has an address there.
//! <https://learn.microsoft.com/graph/api/user-get>

use crate::credential_data::is_tenant;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::provider_calls::ProviderFailure;
use keyway_core::catalogue::ProviderEntry;
use keyway_core::credential::Credential;
use keyway_core::identity::{Claims, issuer_tenant, read_identity};
use keyway_core::oauth::{Client, TokenResponse};
use keyway_core::sign_in::Identity;
use serde_json::Value;
use url::Url;

/// The application permission without which a tenant's users cannot be read.
pub(crate) const READ_USERS: &str = "User.Read.All";
/// What is asked of a user.
const SELECT: &str = "id,displayName,givenName,surname";

impl Engine {
    /// The credential's application in the tenant of `email`: the tenant that the credential (or its
    /// connector) names, else the one the address's domain belongs to. The provider alone knows which that is,
    /// so another tenant's consent is worth nothing here.
    pub(crate) async fn client_in_tenant(
        &self,
        entry: &ProviderEntry,
        credential: &Credential,
        email: &str,
    ) -> Result<Client, ProviderFailure> {
        let client = self.client(credential).await;
        let client = client.map_err(ProviderFailure::Ours)?;
        let domain = || email.rsplit('@').next().unwrap_or_default();
        let name = client.own_tenant().unwrap_or_else(domain).to_owned();
        match self.tenant_id(entry, &name).await? {
            Some(id) => Ok(client.in_tenant(&id)),
            None => Err(ProviderFailure::Ours(no_tenant(&name))),
        }
    }

    /// The id of the tenant that an id or a domain stands for, as the tenant's own metadata has it (OpenID
    /// Connect Discovery, 4). `None` if there is no such tenant. Where an operator's configuration names an issuer
    /// without tenants, the name has to do.
    pub(crate) async fn tenant_id(
        &self,
        entry: &ProviderEntry,
        name: &str,
    ) -> Result<Option<String>, ProviderFailure> {
        if !is_tenant(name) {
            return Ok(None);
        }
        let template = entry.issuer.as_deref();
        let template = template.filter(|issuer| !is_uuid(name) && issuer.contains("{tenant}"));
        let Some(template) = template else {
            return Ok(Some(name.to_ascii_lowercase()));
        };
        let issuer = entry.endpoint(template, Some(name));
        let url = Url::parse(&format!("{issuer}/.well-known/openid-configuration"));
        let url = url.map_err(|error| ProviderFailure::Ours(Error::internal(error)))?;
        let answer = self.get_openly(url).await?;
        if matches!(answer.status.as_u16(), 400 | 404) {
            return Ok(None);
        }
        let metadata: Claims = serde_json::from_slice(&answer.body).unwrap_or_default();
        let issuer = metadata.get("issuer").and_then(Value::as_str);
        let id = issuer.and_then(|issuer| issuer_tenant(entry, issuer));
        match id.filter(|id| is_uuid(id)) {
            Some(id) => Ok(Some(id.to_owned())),
            None => Err(ProviderFailure::Nonsense(
                "a tenant's metadata without its id".to_owned(),
            )),
        }
    }

    /// Who has the address in the tenant, asked with the application's own token.
    pub(crate) async fn tenant_member(
        &self,
        entry: &ProviderEntry,
        client: &Client,
        tokens: &TokenResponse,
        email: &str,
    ) -> Result<Identity, ProviderFailure> {
        let by_name = users_url(entry, Some(email), None)?;
        let found = match self.read_users(by_name, tokens).await? {
            Some(user) => Some(user),
            None => {
                let filter = filter_of(email);
                let by_mail = users_url(entry, None, Some(&filter))?;
                let listed = self.read_users(by_mail, tokens).await?;
                listed.and_then(only_one)
            }
        };
        let user = found.ok_or_else(|| ProviderFailure::Ours(nobody(client)))?;
        let claims = claims_of(&user, client, email);
        read_identity(entry, &claims)
            .filter(|identity| identity.provider_user_id.is_some())
            .ok_or_else(|| ProviderFailure::Nonsense("the user it names has no id".to_owned()))
    }

    /// One object of the directory; `None` if there is none.
    async fn read_users(
        &self,
        url: Url,
        tokens: &TokenResponse,
    ) -> Result<Option<Claims>, ProviderFailure> {
        let answer = self.get_as(url, &tokens.access_token).await?;
        match answer.status.as_u16() {
            404 => Ok(None),
            200 => serde_json::from_slice(&answer.body).map(Some).map_err(|_| {
                ProviderFailure::Nonsense("the directory's answer is not a JSON object".into())
            }),
            401 | 403 => Err(ProviderFailure::Ours(may_not_read())),
            status => {
                let why = format!("its directory of users answered status {status}");
                Err(ProviderFailure::Nonsense(why))
            }
        }
    }
}

fn may_not_read() -> Error {
    Error::new(
        ErrorKind::InvalidAuthentication,
        format!(
            "The credential's application may not read the tenant's users: give it the application permission {READ_USERS} and have the administrator consent again."
        ),
    )
}

fn no_tenant(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidAuthentication,
        format!(
            "settings.email_address: the provider knows no tenant {name}; the credential may name the tenant of these users."
        ),
    )
}

fn nobody(client: &Client) -> Error {
    let tenant = client.tenant.as_deref().unwrap_or_default();
    Error::new(
        ErrorKind::InvalidAuthentication,
        format!("settings.email_address: the tenant {tenant} has no user with this address."),
    )
}

/// Users by name or address, or those a filter finds.
fn users_url(
    entry: &ProviderEntry,
    name: Option<&str>,
    filter: Option<&str>,
) -> Result<Url, ProviderFailure> {
    let ours = |error: url::ParseError| ProviderFailure::Ours(Error::internal(error));
    let mut url = Url::parse(&entry.api_base_url).map_err(ours)?;
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1.0", "users"]).extend(name);
    }
    let mut query = url.query_pairs_mut();
    query.append_pair("$select", SELECT);
    query.extend_pairs(filter.map(|filter| ("$filter", filter)));
    drop(query);
    Ok(url)
}

/// Users whose mail address it is, be it one of several. A quote is doubled (OData, 5.1.1.6.1).
fn filter_of(email: &str) -> String {
    let quoted = email.replace('\'', "''");
    format!("mail eq '{quoted}' or proxyAddresses/any(a:a eq 'smtp:{quoted}')")
}

/// The user a filter found, if it found one and no other.
fn only_one(mut listed: Claims) -> Option<Claims> {
    match listed.get_mut("value")?.as_array_mut()?.as_mut_slice() {
        [Value::Object(user)] => Some(std::mem::take(user)),
        _ => None,
    }
}

/// What an id_token of this user would say: so that a sign-in finds the grant again (rule 12).
fn claims_of(user: &Claims, client: &Client, email: &str) -> Claims {
    let tenant_id = client.own_tenant().filter(|name| is_uuid(name));
    let members = [
        ("tid", tenant_id.map(Value::from)),
        ("oid", user.get("id").cloned()),
        ("email", Some(email.into())),
        ("name", user.get("displayName").cloned()),
        ("given_name", user.get("givenName").cloned()),
        ("family_name", user.get("surname").cloned()),
    ];
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

pub(crate) fn is_uuid(text: &str) -> bool {
    text.parse::<keyway_core::ids::RequestId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::catalogue::Catalogue;
    use keyway_core::provider::Provider;
    use serde_json::json;

    #[test]
    fn an_address_cannot_leave_its_place_in_path_or_filter() {
        let catalogue = Catalogue::default();
        let entry = catalogue.entry(Provider::Microsoft).unwrap();
        let url = users_url(entry, Some("a/../b?c#d@example.com"), None).unwrap();
        assert_eq!(
            url.as_str(),
            "https://graph.microsoft.com/v1.0/users/a%2F..%2Fb%3Fc%23d@example.com?%24select=id%2CdisplayName%2CgivenName%2Csurname"
        );
        assert_eq!(
            filter_of("o'neil@example.com"),
            "mail eq 'o''neil@example.com' or proxyAddresses/any(a:a eq 'smtp:o''neil@example.com')"
        );
    }

    #[test]
    fn only_a_single_user_is_found_by_a_filter() {
        let listed = |value: Value| json!({"value": value}).as_object().unwrap().clone();
        assert!(only_one(listed(json!([]))).is_none());
        assert!(only_one(listed(json!([{"id": "1"}, {"id": "2"}]))).is_none());
        assert_eq!(only_one(listed(json!([{"id": "1"}]))).unwrap()["id"], "1");
    }
}
