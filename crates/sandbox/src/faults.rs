//! Faults: the ways in which the sandbox can be told to misbehave.

use serde::{Deserialize, Serialize};

/// The faults switched on, at most one for each endpoint. Also the body of
/// `PUT /sandbox/faults`, where an endpoint left out is healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// `/auth`, at the moment the user is sent back: [`Fault::error`] and the lies
    /// [`Lie::WrongState`] and [`Lie::WrongIssuer`] have a meaning here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Fault>,
    /// `/token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Fault>,
    /// `/me`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<Fault>,
    /// `/token/revocation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Fault>,
    /// `/jwks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Fault>,
    /// `/.well-known/openid-configuration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<Fault>,
    /// Everything under `/api`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Fault>,
}

/// What a fault can be switched on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Authorization,
    Token,
    Userinfo,
    Revocation,
    Jwks,
    Discovery,
    Api,
}

/// One way of misbehaving. All members may be left out; what is set is combined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Wait so long, in milliseconds; before or after the request is acted upon, as `when` says.
    pub delay_ms: u64,
    /// Answer with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The `Retry-After` header of that answer, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// Answer with this kind of body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyKind>,
    /// Close the connection without an answer.
    pub drop_connection: bool,
    /// Whether the request is still acted upon when its answer is withheld, replaced or late.
    pub when: When,
    /// Answer with an OAuth error (RFC 6749, sections 4.1.2.1 and 5.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorAnswer>,
    /// Act as usual, but say something untrue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lies: Vec<Lie>,
    /// Only for requests of this client (at `/token`, `/token/revocation`, `/auth`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only for requests of this grant type (at `/token`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// Only for so many requests that the fault applies to; then it switches itself off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_n: Option<u32>,
}

/// Whether a request is acted upon when its answer is withheld, replaced or late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The fault strikes first: nothing happens.
    #[default]
    Before,
    /// The request is acted upon, then the fault strikes: rotated, say, but never answered.
    After,
}

/// An OAuth error of the tester's choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorAnswer {
    /// The `error` code. `invalid_client` is answered with 401, `temporarily_unavailable` and
    /// `server_error` with 503 and 500, everything else with 400, unless a status is set.
    pub error: String,
    /// The `error_description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// Google's `error_subtype`, such as `invalid_rapt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_subtype: Option<String>,
}

/// A body that no client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// Bytes that are neither text nor JSON, called JSON.
    Garbage,
    /// An HTML error page.
    Html,
    /// Nothing, called JSON.
    Empty,
    /// `{}`.
    EmptyObject,
    /// JSON that breaks off in the middle.
    BrokenJson,
    /// The true answer, under the content type `text/plain`.
    WrongContentType,
    /// 64 MiB of one JSON string.
    Huge,
    /// Half of an answer, then the connection closes.
    CutOff,
}

/// An untrue detail in an answer that is otherwise in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lie {
    /// No `expires_in`.
    MissingExpiresIn,
    /// An `expires_in` beyond the range of 32 bits.
    AbsurdExpiresIn,
    /// A negative `expires_in`.
    NegativeExpiresIn,
    /// `expires_in` as a string of digits.
    ExpiresInAsText,
    /// No `access_token`.
    MissingAccessToken,
    /// No `refresh_token`.
    MissingRefreshToken,
    /// No `id_token`.
    MissingIdToken,
    /// No `scope`.
    MissingScope,
    /// A `scope` that was never asked for.
    OtherScope,
    /// `token_type` is `mac`.
    WrongTokenType,
    /// An id_token for another sign-in's `nonce`.
    WrongNonce,
    /// An id_token, or the `iss` of the redirect, of another issuer.
    WrongIssuer,
    /// An id_token for another client.
    WrongAudience,
    /// An id_token or userinfo of another user.
    OtherUser,
    /// An id_token that has expired.
    ExpiredIdToken,
    /// An id_token with `alg` none.
    UnsignedIdToken,
    /// An id_token whose signature does not fit.
    BadSignature,
    /// Userinfo without `email`, or an id_token without it.
    MissingEmail,
    /// A key set without the key that signs.
    OtherKeys,
    /// A redirect with another `state`.
    WrongState,
}

/// What is known of a request when faults are looked up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) client_id: Option<&'a str>,
    pub(crate) grant_type: Option<&'a str>,
}

impl Faults {
    /// The fault that strikes this request, counted down.
    pub(crate) fn strike(&mut self, endpoint: Endpoint, asked: Asked<'_>) -> Option<Fault> {
        let slot = self.slot(endpoint);
        let struck = slot
            .as_ref()
            .filter(|fault| fault.applies_to(asked))?
            .clone();
        match struck.next_n {
            Some(0 | 1) => *slot = None,
            Some(n) => {
                *slot = Some(Fault {
                    next_n: Some(n - 1),
                    ..struck.clone()
                });
            }
            None => {}
        }
        (struck.next_n != Some(0)).then_some(struck)
    }

    fn slot(&mut self, endpoint: Endpoint) -> &mut Option<Fault> {
        match endpoint {
            Endpoint::Authorization => &mut self.authorization,
            Endpoint::Token => &mut self.token,
            Endpoint::Userinfo => &mut self.userinfo,
            Endpoint::Revocation => &mut self.revocation,
            Endpoint::Jwks => &mut self.jwks,
            Endpoint::Discovery => &mut self.discovery,
            Endpoint::Api => &mut self.api,
        }
    }
}

impl Fault {
    fn applies_to(&self, asked: Asked<'_>) -> bool {
        let fits = |wanted: &Option<String>, got: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| got == Some(wanted))
        };
        fits(&self.client_id, asked.client_id) && fits(&self.grant_type, asked.grant_type)
    }

    /// A fault that answers `error` with `description`.
    #[must_use]
    pub fn error(error: &str, description: &str) -> Self {
        let error = ErrorAnswer {
            error: error.to_owned(),
            error_description: Some(description.to_owned()),
            error_subtype: None,
        };
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    /// A fault that answers `status` with an HTML page.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            body: Some(BodyKind::Html),
            ..Self::default()
        }
    }

    /// A fault that acts as usual but tells `lie`.
    #[must_use]
    pub fn lie(lie: Lie) -> Self {
        Self {
            lies: vec![lie],
            ..Self::default()
        }
    }

    /// A fault that waits `delay_ms` milliseconds first.
    #[must_use]
    pub fn delay(delay_ms: u64) -> Self {
        Self {
            delay_ms,
            ..Self::default()
        }
    }

    /// A fault that closes the connection, before or after having acted.
    #[must_use]
    pub fn drop_connection(when: When) -> Self {
        Self {
            drop_connection: true,
            when,
            ..Self::default()
        }
    }

    /// The same for the next `n` requests only.
    #[must_use]
    pub fn next(mut self, n: u32) -> Self {
        self.next_n = Some(n);
        self
    }

    /// The same for requests of one client only.
    #[must_use]
    pub fn for_client(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    /// The same for one grant type only.
    #[must_use]
    pub fn for_grant_type(mut self, grant_type: &str) -> Self {
        self.grant_type = Some(grant_type.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(fault: Fault) -> Faults {
        Faults {
            token: Some(fault),
            ..Faults::default()
        }
    }

    #[test]
    fn a_counted_fault_switches_itself_off() {
        let mut faults = token(Fault::status(503).next(2));
        assert!(faults.strike(Endpoint::Token, Asked::default()).is_some());
        assert!(faults.strike(Endpoint::Token, Asked::default()).is_some());
        assert!(faults.strike(Endpoint::Token, Asked::default()).is_none());
    }

    #[test]
    fn a_fault_for_one_client_leaves_the_others_alone() {
        let mut faults = token(Fault::error("invalid_client", "gone").for_client("a"));
        let other = Asked {
            client_id: Some("b"),
            ..Asked::default()
        };
        assert!(faults.strike(Endpoint::Token, other).is_none());
        let own = Asked {
            client_id: Some("a"),
            ..Asked::default()
        };
        assert!(faults.strike(Endpoint::Token, own).is_some());
    }

    #[test]
    fn a_misspelt_member_is_refused() {
        assert!(serde_json::from_str::<Faults>(r#"{"tokne": {}}"#).is_err());
        assert!(serde_json::from_str::<Faults>(r#"{"token": {"delay": 1}}"#).is_err());
    }
}
