//! Which account it is to be: found by its address, or asked of the person.

use super::start::{Accepted, given};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::email::{EMAIL_MAX_BYTES, looks_like_email};
use keyway_core::ids::ApplicationId;
use keyway_core::oauth::clean;
use keyway_core::provider::Provider;

/// What came of looking for the provider of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detected {
    /// There is no address to go by, or the request names a provider itself.
    NotAsked,
    /// This one.
    Provider(Provider),
    /// The person typed something that is no address.
    NoAddress,
    /// Nothing tells where the address is.
    Unknown,
}

/// A part of the page that asks which account it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The providers, to choose from.
    Providers,
    /// A field for the address.
    Address,
}

/// What the page that asks which account it is to be shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Who asks.
    pub application_name: String,
    /// In the order to be shown.
    pub providers: Vec<Provider>,
    /// Whether the application named the providers, so that all are shown at once.
    pub is_named: bool,
    /// From top to bottom.
    pub parts: Vec<Part>,
    /// The address, as far as it is known.
    pub email: Option<String>,
    /// Whether that is no address.
    pub is_no_address: bool,
    /// Whether nothing tells where that address is.
    pub is_unknown: bool,
}

impl Options {
    pub(super) fn new(
        accepted: &Accepted,
        providers: Vec<Provider>,
        is_open: bool,
        detected: &Detected,
    ) -> Self {
        let params = &accepted.params;
        let typed = given(&params.email).is_some();
        let is_unknown = typed && *detected == Detected::Unknown;
        let mut parts = match is_open {
            true => parts(given(&params.prompt)),
            false => vec![Part::Providers],
        };
        if is_unknown && !parts.contains(&Part::Providers) {
            // The address tells nothing, so the person has to.
            parts.push(Part::Providers);
        }
        Self {
            application_name: accepted.known.application.name.clone(),
            providers,
            is_named: !is_open,
            parts,
            email: params.address().map(|text| clean(text, EMAIL_MAX_BYTES)),
            is_no_address: *detected == Detected::NoAddress,
            is_unknown,
        }
    }
}

/// The parts that `prompt` asks for, in its order. What is not understood asks for the providers, as upstream.
fn parts(prompt: Option<&str>) -> Vec<Part> {
    let part = |word: &str| match word.trim() {
        "select_provider" => Some(Part::Providers),
        "detect" => Some(Part::Address),
        _ => None,
    };
    let asked: Option<Vec<Part>> = prompt.unwrap_or_default().split(',').map(part).collect();
    match asked.as_deref() {
        Some([one]) => vec![*one],
        Some([one, other]) if one != other => vec![*one, *other],
        _ => vec![Part::Providers],
    }
}

impl Engine {
    /// The providers whose users can sign in on a page of this application, in the order they are shown in.
    ///
    /// # Errors
    /// If there is no such application, or it is barred.
    pub async fn hosted_providers(&self, id: ApplicationId) -> Result<Vec<Provider>, Error> {
        let unknown = || Error::not_found("Application not found");
        let known = self.known_application(id).await?.ok_or_else(unknown)?;
        if known.application.blocked {
            let message = "Application blocked, contact administrator.";
            return Err(Error::new(ErrorKind::Blocked, message));
        }
        let offered = known.connectors.iter().filter(|c| self.can_sign_in(c));
        let mut providers: Vec<Provider> = offered.map(|c| c.provider).collect();
        providers.sort_by_key(|p| (!p.is_oauth(), *p));
        Ok(providers)
    }

    /// The provider of the address the person typed; or of the application's, unless that asked for the page.
    pub(super) async fn detected(&self, accepted: &Accepted) -> Detected {
        let params = &accepted.params;
        let hinted = given(&params.login_hint).filter(|_| given(&params.prompt).is_none());
        let typed = given(&params.email);
        let Some(email) = typed.or(hinted) else {
            return Detected::NotAsked;
        };
        if !looks_like_email(email.trim()) {
            // What the application says is no fault of the person's, who typed nothing.
            return match typed {
                Some(_) => Detected::NoAddress,
                None => Detected::NotAsked,
            };
        }
        let known = &accepted.known;
        let connectors: Vec<_> = known
            .connectors
            .iter()
            .filter(|c| self.can_sign_in(c))
            .cloned()
            .collect();
        let found = self.detect_among(known.application.id, &connectors, email.trim());
        found.await.map_or(Detected::Unknown, Detected::Provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_decides_what_is_shown_and_in_which_order() {
        use Part::{Address, Providers};
        for (prompt, shown) in [
            (None, vec![Providers]),
            (Some("select_provider"), vec![Providers]),
            (Some("detect"), vec![Address]),
            (Some("detect,select_provider"), vec![Address, Providers]),
            (Some("select_provider,detect"), vec![Providers, Address]),
            (Some("detect,detect"), vec![Providers]),
            (Some("detect,consent"), vec![Providers]),
            (Some("detect,select_provider,detect"), vec![Providers]),
        ] {
            assert_eq!(parts(prompt), shown, "{prompt:?}");
        }
    }
}
