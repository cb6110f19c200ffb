//! `/v3/connect/callback`: the provider sends the browser back.

use super::Returned;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::credential::CredentialType;
use keyway_core::identity::callback_issuer_is_acceptable;
use keyway_core::oauth::clean;
use keyway_core::redirect_uri::with_query;
use keyway_core::sign_in::{SignIn, SignInStatus, Started};
use keyway_store::{Constraint, StoreError};
use secrecy::{ExposeSecret as _, SecretString};

/// The callback's query, as sent.
#[derive(Clone, Default)]
pub struct CallbackParams {
    /// The sign-in's handle.
    pub state: Option<String>,
    /// The provider's code.
    pub code: Option<String>,
    /// The provider's refusal.
    pub error: Option<String>,
    /// Its words.
    pub error_description: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// Of an administrator's consent: that it was given.
    pub admin_consent: Option<String>,
    /// The tenant whose administrator consented.
    pub tenant: Option<String>,
}

impl std::fmt::Debug for CallbackParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallbackParams")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

/// Where the browser goes next.
#[derive(Clone)]
pub enum Finish {
    /// Back to the application, with a code or an error.
    Application {
        /// The redirect URI with its parameters.
        location: String,
        /// The cookie that has done its work.
        spent_cookie: String,
    },
    /// To an error page: nobody is known to send the user back to, or it would be wrong to.
    Page(SignInFault),
}

impl std::fmt::Debug for Finish {
    /// Without the location: a code is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Application { spent_cookie, .. } => {
                f.debug_tuple("Application").field(spent_cookie).finish()
            }
            Self::Page(fault) => f.debug_tuple("Page").field(fault).finish(),
        }
    }
}

/// Why a sign-in ends on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInFault {
    /// The request names no sign-in.
    NoState,
    /// Rule 14: it is not this browser's, or its cookie was blocked.
    OtherBrowser,
    /// It took too long.
    Expired,
    /// The application takes users back no more where it began for.
    Withdrawn,
    /// It is finished already.
    Used,
    /// It cannot be finished now.
    Unavailable,
    /// It cannot be finished: a fault of ours.
    Internal,
}

impl SignInFault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NoState,
        Self::OtherBrowser,
        Self::Expired,
        Self::Withdrawn,
        Self::Used,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The name its words are kept under.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoState => "no_state",
            Self::OtherBrowser => "other_browser",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status of its page.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Unavailable => 503,
            Self::Internal => 500,
            _ => 400,
        }
    }

    const fn ours(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

/// The page for what went wrong here. It sends the user to the operator, who finds in the log what it was.
pub(super) fn faulty(error: &Error) -> SignInFault {
    tracing::error!(%error, cause = ?std::error::Error::source(error), "a sign-in could not be finished");
    SignInFault::ours(error)
}

impl Engine {
    /// Ends a sign-in at the provider. Whatever goes wrong after the sign-in is known to be this
    /// browser's is told to the application; nothing before.
    pub async fn finish_sign_in(
        &self,
        params: CallbackParams,
        cookies: Vec<(String, String)>,
    ) -> Finish {
        let state = params.state.clone().unwrap_or_default();
        let (name, started) = match self.own_sign_in(&state, cookies).await {
            Ok(own) => own,
            Err(fault) => return Finish::Page(fault),
        };
        let engine = self.clone();
        let finished = self
            .finishing(async move { engine.use_up(started, params).await })
            .await;
        match finished.and_then(|inner| inner) {
            Ok(Some(location)) => Finish::Application {
                location,
                spent_cookie: name,
            },
            Ok(None) => Finish::Page(SignInFault::Used),
            Err(error) => Finish::Page(faulty(&error)),
        }
    }

    /// The sign-in of `state`, if this browser began it and it can still be finished, and its cookie's name.
    pub(super) async fn own_sign_in(
        &self,
        state: &str,
        cookies: Vec<(String, String)>,
    ) -> Result<(String, Started), SignInFault> {
        if state.is_empty() {
            return Err(SignInFault::NoState);
        }
        let own = self.own_handle(state, cookies);
        let own = own.map_err(|error| faulty(&error))?;
        let (name, started) = own.ok_or(SignInFault::OtherBrowser)?;
        if started.is_expired(self.now()) {
            return Err(SignInFault::Expired);
        }
        match self.still_leads_back(&started).await {
            Ok(true) => Ok((name, started)),
            Ok(false) => Err(SignInFault::Withdrawn),
            Err(error) => Err(faulty(&error)),
        }
    }

    /// The sign-in of `state` among this browser's cookies, and its cookie's name.
    fn own_handle(
        &self,
        state: &str,
        cookies: Vec<(String, String)>,
    ) -> Result<Option<(String, Started)>, Error> {
        let (prefix, suffix) = (self.cookie_prefix(), self.cookie_suffix(state));
        let named = |name: &str| name.starts_with(prefix) && name.ends_with(&suffix);
        let own = cookies.into_iter().filter(|(name, _)| named(name));
        let mut unknown = Ok(None);
        // Two of one name may come, of which somebody else made one.
        for (name, value) in own {
            match self.open_handle(state, &value) {
                Ok(Some(started)) => return Ok(Some((name, started))),
                Ok(None) => {}
                Err(error) => unknown = Err(error),
            }
        }
        unknown
    }

    /// Whether the browser may still be sent where the sign-in began for: an application that withdraws a
    /// redirect URI, perhaps since somebody else holds it now, means sign-ins under way as well.
    pub(crate) async fn still_leads_back(&self, started: &Started) -> Result<bool, Error> {
        let known = self.known_application(started.application_id).await?;
        Ok(known.is_some_and(|known| {
            let mut uris = known.redirect_uris.iter();
            !known.application.blocked && uris.any(|uri| uri.url == started.redirect_uri)
        }))
    }

    /// Takes the state out of the world, then asks the provider. `None` if somebody else took it first
    /// (rule 9).
    async fn use_up(
        &self,
        started: Started,
        params: CallbackParams,
    ) -> Result<Option<String>, Error> {
        let row = self.used_up(&started, SignInStatus::Consumed);
        let inserted = self
            .store()
            .write(move |s| Box::pin(async move { s.insert_sign_in(&row).await }))
            .await;
        match inserted {
            Ok(()) => {}
            Err(StoreError::Conflict(Constraint::SignIn)) => return Ok(None),
            Err(other) => return Err(other.into()),
        }
        let (redirect_uri, app_state) = (started.redirect_uri.clone(), started.state.clone());
        let (application_id, id) = (started.application_id, started.id);
        let back = app_state.as_deref();
        Ok(Some(match self.result_of(started, params).await {
            Ok(result) => {
                let mut query = vec![result.parameter()];
                query.extend(back.map(|state| ("state", state)));
                with_query(&redirect_uri, &query)
            }
            Err(returned) => {
                self.fail(application_id, id).await;
                returned.to_location(&redirect_uri, back)
            }
        }))
    }

    /// The row that takes a sign-in out of the world.
    pub(super) fn used_up(&self, started: &Started, status: SignInStatus) -> SignIn {
        SignIn {
            id: started.id,
            application_id: started.application_id,
            credential_id: started.credential_id,
            status,
            code_digest: None,
            outcome: None,
            family_id: None,
            code_expires_at: None,
            created_at: self.now(),
        }
    }

    async fn fail(
        &self,
        application_id: keyway_core::ids::ApplicationId,
        id: keyway_core::ids::SignInId,
    ) {
        let failed = self
            .store()
            .write(move |s| Box::pin(async move { s.fail_sign_in(application_id, id).await }))
            .await;
        if let Err(error) = failed {
            // It stays `consumed`, which opens nothing either; the sweep removes it.
            tracing::warn!(sign_in = %id, %error, "a failed sign-in could not be marked");
        }
    }

    async fn result_of(&self, started: Started, params: CallbackParams) -> Result<Ended, Returned> {
        let entry = self.entry(started.provider).map_err(|error| ours(&error))?;
        if !callback_issuer_is_acceptable(entry, params.iss.as_deref()) {
            // Mix-up: another provider's answer on this sign-in's way. Its code must go nowhere.
            let description = "the answer came from another issuer than the sign-in went to";
            return Err(Returned::invalid_request(description));
        }
        if let Some(error) = params.error.as_deref().filter(|e| !e.is_empty()) {
            return Err(provider_said_no(error, params.error_description.as_deref()));
        }
        let known = self.credential_of(&started).await?;
        if known.credential.credential_type == CredentialType::AdminConsent {
            let consented = self.consented(&started, &known, &params);
            return consented.await.map(|()| Ended::Consent);
        }
        let Some(code) = params.code.filter(|c| !c.is_empty()) else {
            return Err(Returned::new(
                "server_error",
                45002,
                "the provider sent neither code nor error",
            ));
        };
        let code = self.complete(started, &known, SecretString::from(code));
        code.await.map(Ended::Code)
    }
}

/// What a sign-in brought.
enum Ended {
    /// Keyway's own code, to be exchanged.
    Code(SecretString),
    /// A tenant's consent: nothing to exchange.
    Consent,
}

impl Ended {
    /// How the application is told.
    fn parameter(&self) -> (&'static str, &str) {
        match self {
            Self::Code(code) => ("code", code.expose_secret()),
            Self::Consent => ("admin_consent", "true"),
        }
    }
}

pub(super) fn ours(error: &Error) -> Returned {
    tracing::error!(%error, cause = ?std::error::Error::source(error), "a sign-in failed here");
    match error.kind() {
        ErrorKind::Internal => Returned::new(
            "server_error",
            500,
            "Internal error, contact administrator.",
        ),
        ErrorKind::Unavailable => {
            Returned::new("temporarily_unavailable", 503, error.message().to_owned())
        }
        _ => Returned::new("invalid_request", 400, error.message().to_owned()),
    }
}

/// The provider's refusal at its authorization page (RFC 6749, 4.1.2.1), in a word clients know.
fn provider_said_no(error: &str, description: Option<&str>) -> Returned {
    let words = description
        .map(|text| clean(text, 300))
        .filter(|text| !text.is_empty());
    let told = |otherwise: &str| words.clone().unwrap_or_else(|| otherwise.to_owned());
    match error {
        "access_denied" | "consent_required" | "user_denied" | "permission_denied" => {
            Returned::new(
                "access_denied",
                45002,
                told("the user declined at the provider"),
            )
        }
        "temporarily_unavailable" => Returned::new(
            "temporarily_unavailable",
            45002,
            told("the provider is unavailable"),
        ),
        "invalid_scope" => Returned::new(
            "invalid_scope",
            45002,
            told("the provider knows no such scope"),
        ),
        "unauthorized_client" | "invalid_client" => Returned::new(
            "unauthorized_client",
            45002,
            told("the provider does not accept this provider application"),
        ),
        other => {
            let described = format!("{}: {}", clean(other, 100), told("the provider refused"));
            Returned::new("server_error", 45002, described)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_refusals_become_words_clients_know() {
        assert_eq!(
            provider_said_no("access_denied", None).error,
            "access_denied"
        );
        let odd = provider_said_no("admin_policy_enforced", Some("a\r\nb"));
        assert_eq!(odd.error, "server_error");
        assert_eq!(odd.description, "admin_policy_enforced: a  b");
    }

    #[test]
    fn rule_07_a_callback_prints_neither_code_nor_state() {
        let params = CallbackParams {
            state: Some("the-state".into()),
            code: Some("the-code".into()),
            ..CallbackParams::default()
        };
        let text = format!("{params:?}");
        assert!(
            !text.contains("the-state") && !text.contains("the-code"),
            "{text}"
        );
    }
}
