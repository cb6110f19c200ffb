//! Which connector and credential a sign-in goes through: named, or the default, once (rule 3).

use super::Returned;
use crate::connectors::unknown;
use crate::engine::{Engine, undescribed};
use crate::error::{Error, ErrorKind};
use crate::known::{KnownApplication, KnownCredential};
use keyway_core::catalogue::Catalogue;
use keyway_core::connector::Connector;
use keyway_core::credential::CredentialType;
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider;
use keyway_core::sign_in::CredentialChoice;
use std::sync::Arc;

/// The providers a request names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NamedProviders {
    /// In the caller's order; empty means any.
    pub(crate) known: Vec<Provider>,
    /// Whether several were named: then what cannot be used is passed over, and not refused.
    pub(crate) is_list: bool,
}

/// What the request asks for.
pub(crate) struct Wanted {
    pub(crate) known: Arc<KnownApplication>,
    pub(crate) providers: NamedProviders,
    pub(crate) credential_id: Option<CredentialId>,
}

/// The way a sign-in goes.
pub(crate) struct Route {
    pub(crate) connector: Connector,
    pub(crate) credential: Arc<KnownCredential>,
    pub(crate) choice: CredentialChoice,
}

/// What came of resolving.
pub(crate) enum Resolved {
    Route(Box<Route>),
    /// A form of ours asks for the account's password.
    Form(Box<Connector>),
    Choose(Vec<Provider>),
    Refused(Returned),
}

fn refused(description: impl Into<String>) -> Resolved {
    Resolved::Refused(Returned::invalid_request(description))
}

/// Reads `provider`: one name, or several separated by commas. Names that `catalogue` does not know are
/// dropped from a list.
pub(crate) fn parse_providers(
    text: Option<&str>,
    catalogue: &Catalogue,
) -> Result<NamedProviders, Returned> {
    let Some(text) = text else {
        return Ok(NamedProviders::default());
    };
    let names: Vec<&str> = text
        .split(',')
        .map(str::trim)
        .filter(|n| !n.is_empty())
        .collect();
    let refused = |what: String| Err(Returned::invalid_request(format!("provider: {what}")));
    match names.as_slice() {
        [one] => match one.parse() {
            Ok(provider) if catalogue.knows(provider) => Ok(NamedProviders {
                known: vec![provider],
                is_list: false,
            }),
            Ok(_) => refused(unknown(catalogue)),
            Err(error) => refused(error.to_string()),
        },
        several => {
            let known = several.iter().filter_map(|n| n.parse().ok());
            Ok(NamedProviders {
                known: known.filter(|p| catalogue.knows(*p)).collect(),
                is_list: true,
            })
        }
    }
}

impl Engine {
    pub(crate) async fn resolve(&self, wanted: Wanted) -> Result<Resolved, Error> {
        let resolved = match wanted.credential_id {
            Some(id) => self.named(&wanted, id).await,
            None => {
                self.by_provider(&wanted, wanted.known.connectors.clone())
                    .await
            }
        };
        match resolved {
            // A credential that users cannot sign in through: the application is told, as of any other choice.
            Err(error) if error.kind() == ErrorKind::InvalidRequest => {
                Ok(refused(error.message().to_owned()))
            }
            // Its entry was taken out of the configuration.
            Ok(Resolved::Route(route)) if self.entry(route.connector.provider).is_err() => {
                let what = undescribed(route.connector.provider);
                Ok(refused(what.message().to_owned()))
            }
            other => other,
        }
    }

    async fn named(&self, wanted: &Wanted, id: CredentialId) -> Result<Resolved, Error> {
        let application_id = wanted.known.application.id;
        let Some(known) = self.known_credential(application_id, id).await? else {
            return Ok(refused(
                "credential_id: this application has no credential with this id",
            ));
        };
        let credential = &known.credential;
        let named = &wanted.providers.known;
        if !named.is_empty() && !named.contains(&credential.provider) {
            let provider = credential.provider;
            let description = format!(
                "credential_id: it is {} {provider} credential",
                provider.article()
            );
            return Ok(refused(description));
        }
        if credential.credential_type != CredentialType::Connector {
            return Ok(refused(
                "credential_id: users sign in through credentials of type connector only",
            ));
        }
        let connector = wanted
            .known
            .connectors
            .iter()
            .find(|c| c.id == credential.connector_id)
            .cloned();
        Ok(match connector {
            None => refused("credential_id: its connector was deleted"),
            Some(connector) => {
                let choice = CredentialChoice::Named;
                Resolved::Route(Box::new(Route {
                    connector,
                    credential: known,
                    choice,
                }))
            }
        })
    }

    async fn by_provider(
        &self,
        wanted: &Wanted,
        mut connectors: Vec<Connector>,
    ) -> Result<Resolved, Error> {
        connectors.retain(|c| c.provider.has_hosted_sign_in());
        if connectors.len() == 1 {
            // One connector: straight there, whatever `provider` says.
            return match connectors.pop() {
                Some(only) => self.by_default(only).await,
                None => Ok(no_connector()),
            };
        }
        if let ([one], false) = (&*wanted.providers.known, wanted.providers.is_list)
            && !one.has_hosted_sign_in()
        {
            return Ok(no_hosted(*one));
        }
        let mut offered: Vec<Connector> = wanted
            .providers
            .known
            .iter()
            .filter_map(|p| take(&mut connectors, *p))
            .collect();
        if offered.is_empty() {
            if let ([one], false) = (&*wanted.providers.known, wanted.providers.is_list) {
                return Ok(refused(format!(
                    "provider: this application has no {one} connector"
                )));
            }
            offered = connectors;
            offered.sort_by_key(|c| (!c.provider.is_oauth(), c.provider));
        }
        if let [_] = offered.as_slice()
            && let Some(only) = offered.pop()
        {
            return self.by_default(only).await;
        }
        offered.retain(|connector| self.can_sign_in(connector));
        let providers: Vec<Provider> = offered.iter().map(|c| c.provider).collect();
        Ok(if providers.is_empty() {
            no_connector()
        } else {
            Resolved::Choose(providers)
        })
    }

    /// Whether a person who chooses this connector gets anywhere: one whose provider nothing describes, or that has
    /// no default credential, is offered to nobody.
    pub(super) fn can_sign_in(&self, connector: &Connector) -> bool {
        let provider = connector.provider;
        match provider.is_oauth() {
            true => connector.active_credential_id.is_some() && self.entry(provider).is_ok(),
            false => provider.has_hosted_sign_in(),
        }
    }

    async fn by_default(&self, connector: Connector) -> Result<Resolved, Error> {
        let provider = connector.provider;
        if !provider.is_oauth() {
            return Ok(Resolved::Form(Box::new(connector)));
        }
        let Some(id) = connector.active_credential_id else {
            return Ok(refused(format!(
                "the {provider} connector has no default credential; give it client settings or add a credential"
            )));
        };
        let application_id = connector.application_id;
        Ok(match self.known_credential(application_id, id).await? {
            None => refused("the connector's default credential was deleted"),
            Some(known) => {
                let choice = CredentialChoice::Default;
                Resolved::Route(Box::new(Route {
                    connector,
                    credential: known,
                    choice,
                }))
            }
        })
    }
}

fn no_hosted(provider: Provider) -> Resolved {
    refused(format!(
        "provider: {provider} accounts have no hosted sign-in; use custom authentication"
    ))
}

fn take(connectors: &mut Vec<Connector>, provider: Provider) -> Option<Connector> {
    let at = connectors.iter().position(|c| c.provider == provider)?;
    Some(connectors.remove(at))
}

fn no_connector() -> Resolved {
    refused("this application has no connector that users can sign in through")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_lists_keep_their_order_and_drop_unknown_names() {
        let catalogue = Catalogue::default();
        let read = |text| parse_providers(Some(text), &catalogue);
        let parse = |text| read(text).unwrap().known;
        assert_eq!(
            parse("zoom,inbox,google"),
            [Provider::Zoom, Provider::Google]
        );
        assert_eq!(parse("google"), [Provider::Google]);
        assert!(read("inbox").is_err());
        assert_eq!(parse("slack,inbox,google").len(), 2);
        assert!(read("nylas").unwrap_err().description.contains("nylas"));
        assert_eq!(
            parse_providers(None, &catalogue).unwrap(),
            NamedProviders::default()
        );
        let one_known = read("imap,facebook").unwrap();
        assert!(one_known.is_list && one_known.known == [Provider::Imap]);
    }
}
