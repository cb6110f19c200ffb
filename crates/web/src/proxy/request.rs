//! What a request for a call says.

use crate::auth::bearer;
use http::{HeaderMap, HeaderName, Uri, Version};
use keyway_core::grant::GrantLocator;
use keyway_core::ids::GrantId;
use keyway_core::proxy::{CallRefused, ProxyPath, path_of_user};
use keyway_engine::{CallTarget, Engine, Error, ErrorKind, Principal, ProxyCall};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Names another host of the provider's than its own, from the provider's list.
pub const UPSTREAM_HOST_HEADER: HeaderName = HeaderName::from_static("x-keyway-upstream-host");

/// A request for a call, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct CallRequest<'a> {
    path: ProxyPath<'a>,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    names_a_host: bool,
}

impl<'a> CallRequest<'a> {
    /// Reads a request; `None` if it is for something else.
    #[must_use]
    pub fn read(uri: &'a Uri, version: Version, headers: &'a HeaderMap) -> Option<Self> {
        Some(Self {
            path: ProxyPath::read(uri.path())?,
            query: uri.query(),
            headers,
            // HTTP/2 has the host in every request's target, HTTP/1.1 only in requests to proxies.
            names_a_host: version < Version::HTTP_2 && uri.authority().is_some(),
        })
    }

    /// What the call of a caller who is remembered takes, if all of it is.
    #[must_use]
    pub fn known(&self, engine: &Engine, principal: &Principal) -> Option<ProxyCall> {
        let id: GrantId = match (self.path.grant, principal) {
            ("me", Principal::Token(bearer)) => bearer.grant_id,
            (id, _) => id.parse().ok()?,
        };
        engine.known_call(principal, id, self.host().ok()?)
    }

    /// Where the call goes, from the database if it must be.
    ///
    /// # Errors
    /// If the caller is nobody, or there is no such grant or host.
    pub async fn look_up(&self, engine: &Engine) -> Result<CallTarget, Error> {
        let refused = || Error::new(ErrorKind::Unauthorized, "Bearer token invalid");
        let principal = engine
            .principal(bearer(self.headers).ok_or_else(refused)?)
            .await?;
        let missing = || Error::new(ErrorKind::GrantNotFound, "No Grant found for this Grant ID");
        let named = percent_decode_str(self.path.grant)
            .decode_utf8()
            .map_err(|_| missing())?;
        let locator = GrantLocator::parse(&named).ok_or_else(missing)?;
        engine.call_target(&principal, locator, self.host()?).await
    }

    fn host(&self) -> Result<Option<&'a str>, Error> {
        let wrong = || {
            let what = "name one host, once";
            Error::field(UPSTREAM_HOST_HEADER.as_str(), what)
        };
        let mut named = self.headers.get_all(UPSTREAM_HOST_HEADER).iter();
        match (named.next(), named.next()) {
            (None, _) => Ok(None),
            (Some(host), None) => host.to_str().map(Some).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }

    /// Path and query as they stand in the request to the provider.
    ///
    /// # Errors
    /// If they could lead anywhere else.
    pub fn target(&self, call: &ProxyCall) -> Result<String, Error> {
        if self.names_a_host {
            let message = "send the path alone in the request line, without scheme and host";
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        let refused = |why: CallRefused| Error::new(ErrorKind::InvalidRequest, why.to_string());
        let rest = match &call.token.named_user {
            None => Cow::Borrowed(self.path.rest),
            Some(id) => path_of_user(self.path.rest, id).map_err(refused)?,
        };
        let target = call.host.base.target(&rest, self.query);
        target.map_err(refused)
    }
}
