//! A person enters an account and its password: tried at once, and kept for the exchange (rule 4).
//!
//! The sign-in is used up by what opens the account and not by what does not, so that a mistyped password can be
//! typed again.

use super::callback::{SignInFault, faulty};
use super::complete::decided;
use super::form::{AccountForm, Trouble, TroubleKind, TypedAccount};
use super::guesses::Whose;
use super::{AuthorizeParams, Browser, Returned};
use crate::custom::password_account::{NotOpened, PasswordAccount};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::connector::Connector;
use keyway_core::ids::{ApplicationId, SignInId};
use keyway_core::mail_servers::takes_no_passwords;
use keyway_core::provider::Provider;
use keyway_core::redirect_uri::with_query;
use keyway_core::sign_in::{CODE_LIFETIME_SECS, Outcome, SignIn, SignInStatus, Started};
use keyway_store::{Constraint, StoreError};
use secrecy::ExposeSecret as _;
use serde_json::Value;

/// What is said of a sign-in whose connector is gone.
const CONNECTOR_GONE: &str = "the connector of this sign-in was deleted meanwhile; start it again";

/// What came of an account that somebody entered.
pub enum Entered {
    /// The sign-in is over: back to the application.
    Left {
        /// Whose sign-in it was.
        application_id: ApplicationId,
        /// Where to go, and whether the account is connected.
        way: Way,
        /// The cookie that has done its work.
        spent_cookie: String,
    },
    /// To an error page.
    Page(SignInFault),
    /// The form comes back, with what is wrong.
    Again(Box<AccountForm>),
}

impl std::fmt::Debug for Entered {
    /// Without the location: a code is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Left { spent_cookie, .. } => f.debug_tuple("Left").field(spent_cookie).finish(),
            Self::Page(fault) => f.debug_tuple("Page").field(fault).finish(),
            Self::Again(form) => f.debug_tuple("Again").field(form).finish(),
        }
    }
}

/// The way back to the application.
#[derive(Clone)]
pub struct Way {
    /// The redirect URI with its parameters.
    pub location: String,
    /// Whether it brings a code.
    pub is_connected: bool,
}

/// One form's way.
enum Step {
    /// To the application.
    Left(Way),
    /// Back to the person.
    Again(Box<AccountForm>),
    /// Nowhere: the sign-in was used up before.
    Used,
}

impl Engine {
    /// Opens the account a person entered, and sends the browser back to the application.
    pub async fn enter_account(
        &self,
        typed: TypedAccount,
        cookies: Vec<(String, String)>,
        browser: Browser,
    ) -> Entered {
        let state = typed.state.clone().unwrap_or_default();
        let own = self.own_sign_in(state.expose_secret(), cookies).await;
        let (cookie, started) = match own {
            Ok((_, started)) if started.credential_id.is_some() => {
                return Entered::Page(SignInFault::NoState);
            }
            Ok(own) => own,
            Err(fault) => return Entered::Page(fault),
        };
        let application_id = started.application_id;
        let engine = self.clone();
        // What opens an account must not be lost with the browser's connection.
        let step = self.finishing(async move { engine.enter_once(started, typed, browser).await });
        match step.await.and_then(|inner| inner) {
            Ok(Step::Again(form)) => Entered::Again(form),
            Ok(Step::Used) => Entered::Page(SignInFault::Used),
            Err(error) => Entered::Page(faulty(&error)),
            Ok(Step::Left(way)) => Entered::Left {
                application_id,
                way,
                spent_cookie: cookie,
            },
        }
    }

    /// One form of a sign-in after the other; what comes after the one that worked goes the same way.
    async fn enter_once(
        &self,
        started: Started,
        typed: TypedAccount,
        browser: Browser,
    ) -> Result<Step, Error> {
        let (id, application_id) = (started.id, started.application_id);
        let Some(turn) = self.inner.repeats.turn(id, self.now()) else {
            return self.not_now(started, typed).await;
        };
        let mut went = turn.lock().await;
        if let Some(way) = &*went {
            return self.repeated(application_id, id, way).await;
        }
        let step = self.enter(started, typed, &browser).await?;
        if let Step::Left(way) = &step {
            *went = Some(way.clone());
            self.inner.repeats.finished(id, self.now());
        }
        Ok(step)
    }

    /// The form once more, without a try.
    async fn not_now(&self, started: Started, typed: TypedAccount) -> Result<Step, Error> {
        let Some(connector) = self.connector_of(&started).await? else {
            return self.refuse(&started, &connector_gone()).await;
        };
        let typed = typed.for_connector(&connector);
        let trouble = Trouble::new(TroubleKind::Busy, None);
        let form = AccountForm::again(&typed, &started, &connector, trouble);
        Ok(Step::Again(Box::new(form)))
    }

    /// The way once more; unless its code was exchanged, since a second exchange would end what the first gave
    /// (rule 9).
    async fn repeated(
        &self,
        application_id: ApplicationId,
        id: SignInId,
        way: &Way,
    ) -> Result<Step, Error> {
        if !way.is_connected {
            return Ok(Step::Left(way.clone()));
        }
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.sign_in(application_id, id).await }));
        let row = job.await?;
        Ok(match row.map(|row| row.status) {
            Some(SignInStatus::Completed) => Step::Left(way.clone()),
            _ => Step::Used,
        })
    }

    async fn enter(
        &self,
        started: Started,
        typed: TypedAccount,
        browser: &Browser,
    ) -> Result<Step, Error> {
        let Some(connector) = self.connector_of(&started).await? else {
            return self.refuse(&started, &connector_gone()).await;
        };
        let typed = typed.for_connector(&connector);
        match self.tried(&started, &connector, &typed, browser).await {
            Ok(account) => {
                self.keep_opened(started, account, typed.names_a_host())
                    .await
            }
            Err(failing) => {
                let trouble = failing.trouble(&typed)?;
                let form = AccountForm::again(&typed, &started, &connector, trouble);
                Ok(Step::Again(Box::new(form)))
            }
        }
    }

    /// The connector a sign-in began with, if it is still there.
    async fn connector_of(&self, started: &Started) -> Result<Option<Connector>, Error> {
        let (application_id, id) = (started.application_id, started.connector_id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.connector_by_id(application_id, id).await }));
        Ok(job.await?)
    }

    /// A sign-in that a page of the application's own begins and ends in one request: it has asked the person
    /// itself. The way leads back with a code, which needs the same proof as any other.
    ///
    /// # Errors
    /// If the account does not open, or is another than it may be; nothing is stored then.
    pub async fn enter_directly(
        &self,
        params: AuthorizeParams,
        typed: TypedAccount,
        browser: Browser,
    ) -> Result<Way, Error> {
        let started = self.start_directly(params, browser.clone()).await?;
        let engine = self.clone();
        let step = self.finishing(async move {
            let connector = engine.connector_of(&started).await?;
            let connector = connector.ok_or_else(|| Error::not_found(CONNECTOR_GONE))?;
            let typed = typed.for_connector(&connector);
            let account = engine.tried(&started, &connector, &typed, &browser).await?;
            engine
                .keep_opened(started, account, typed.names_a_host())
                .await
        });
        match step.await?? {
            Step::Left(way) if way.is_connected => Ok(way),
            Step::Left(_) => Err(other_account()),
            Step::Again(_) | Step::Used => Err(Error::internal("a new sign-in that was used")),
        }
    }

    /// Opens the account, unless it was tried too often.
    async fn tried(
        &self,
        started: &Started,
        connector: &Connector,
        typed: &TypedAccount,
        browser: &Browser,
    ) -> Result<PasswordAccount, Failing> {
        if is_at_microsoft(started, typed) {
            return Err(Failing::AtMicrosoft);
        }
        if let Some(field) = typed.odd_port() {
            return Err(Failing::OddPort(field));
        }
        if let Some(field) = typed.overlong() {
            return Err(Failing::Overlong(field));
        }
        let whose = whose(started, typed, browser);
        let began_at = self.now();
        let guesses = &self.inner.guesses;
        guesses.begin(&whose, began_at).map_err(Failing::TooMany)?;
        let settings = typed.described(connector.provider);
        let opened = self.opened_account(connector, &settings).await;
        if opened.as_ref().err().is_none_or(|no| !no.is_heard_of()) {
            guesses.forgive(&whose, began_at);
        }
        let account = opened.map_err(NotOpened::told_to_strangers)?;
        match account.can_send || !started.smtp_required {
            true => Ok(account),
            false => Err(Failing::SmtpNeeded),
        }
    }

    /// Keeps what opened the account until the exchange, and makes its code.
    async fn keep_opened(
        &self,
        started: Started,
        account: PasswordAccount,
        is_at_named_host: bool,
    ) -> Result<Step, Error> {
        let PasswordAccount {
            mut identity,
            opened,
            ..
        } = account;
        let (found, expected) = self.look_up_person(&started, &identity).await?;
        if let Some(email) = found.known_email() {
            // Nobody has proved another address for the account.
            email.clone_into(&mut identity.email);
        }
        // Whoever named the server decides whom it lets in, and learns nothing here of the grants there are: the
        // exchange decides.
        if let (false, Err(returned)) = (is_at_named_host, decided(&found, &identity, expected)) {
            return self.refuse(&started, &returned).await;
        }
        let (id, application_id) = (started.id, started.application_id);
        let (redirect_uri, state) = (started.redirect_uri.clone(), started.state.clone());
        let (code, digest) = self.new_code(application_id, id);
        let row = SignIn {
            code_digest: Some(digest),
            code_expires_at: Some(self.now().plus_secs(CODE_LIFETIME_SECS)),
            ..self.used_up(&started, SignInStatus::Completed)
        };
        let outcome = Outcome {
            scope: started.scope.clone(),
            started,
            identity,
            token_set_id: None,
            account: Some(opened),
            client_id: None,
            expected_grant_id: expected,
        };
        let row = SignIn {
            outcome: Some(self.seal_outcome(id, &outcome)?),
            ..row
        };
        let mut query = vec![("code", code.expose_secret())];
        query.extend(state.as_deref().map(|state| ("state", state)));
        let way = Way {
            location: with_query(&redirect_uri, &query),
            is_connected: true,
        };
        self.insert_once(row, way).await
    }

    /// It is another account than it may be (rule 12): the application is told, and the sign-in is over.
    async fn refuse(&self, started: &Started, returned: &Returned) -> Result<Step, Error> {
        let way = Way {
            location: returned.to_location(&started.redirect_uri, started.state.as_deref()),
            is_connected: false,
        };
        let row = self.used_up(started, SignInStatus::Failed);
        self.insert_once(row, way).await
    }

    /// Uses the sign-in up (rule 9).
    async fn insert_once(&self, row: SignIn, way: Way) -> Result<Step, Error> {
        let inserted = self
            .store()
            .write(move |s| Box::pin(async move { s.insert_sign_in(&row).await }))
            .await;
        match inserted {
            Ok(()) => Ok(Step::Left(way)),
            Err(StoreError::Conflict(Constraint::SignIn)) => Ok(Step::Used),
            Err(other) => Err(other.into()),
        }
    }
}

/// Why an account that was typed does not do.
enum Failing {
    TooMany(u32),
    /// Its servers take no passwords, whichever they are.
    AtMicrosoft,
    SmtpNeeded,
    /// Strangers name no other ports than those of mail.
    OddPort(&'static str),
    /// Nothing of its kind has that many characters.
    Overlong(String),
    NotOpened(NotOpened),
}

impl From<NotOpened> for Failing {
    fn from(not_opened: NotOpened) -> Self {
        Self::NotOpened(not_opened)
    }
}

impl Failing {
    /// As it is told to a person.
    fn trouble(self, typed: &TypedAccount) -> Result<Trouble, Error> {
        match self {
            Self::TooMany(secs) => Ok(Trouble::too_many(secs)),
            Self::AtMicrosoft => Ok(Trouble {
                host: Some("Microsoft".to_owned()),
                ..Trouble::new(TroubleKind::NoPasswords, Some("email"))
            }),
            Self::OddPort(field) => Ok(Trouble::new(TroubleKind::WrongPort, Some(field))),
            Self::Overlong(field) => Ok(Trouble::new(TroubleKind::Wrong, Some(&field))),
            Self::SmtpNeeded => Ok(Trouble::new(TroubleKind::SmtpNeeded, Some("smtp_host"))),
            Self::NotOpened(not_opened) => Trouble::of(not_opened, typed),
        }
    }
}

impl From<Failing> for Error {
    /// As it is told to an application.
    fn from(failing: Failing) -> Self {
        match failing {
            Failing::TooMany(secs) => {
                let message = "Too many failed tries for this address or from this client.";
                Self::new(ErrorKind::RateLimited, message).retry_after(secs)
            }
            Failing::AtMicrosoft => Self::field(
                "imap_username",
                "Microsoft takes no passwords over IMAP; connect this account through the microsoft connector",
            ),
            Failing::OddPort(field) => Self::field(
                field,
                "must be one of its protocol's own: 143, 993, 465, 587, or 443 for Exchange; another one belongs into the connector's settings",
            ),
            Failing::Overlong(field) => Self::field(&field, "is longer than anything of its kind"),
            Failing::SmtpNeeded => Self::field("smtp_host", "is required"),
            Failing::NotOpened(not_opened) => not_opened.into(),
        }
    }
}

fn connector_gone() -> Returned {
    Returned::new("access_denied", 45001, CONNECTOR_GONE)
}

fn other_account() -> Error {
    Error::new(
        ErrorKind::ReauthEmailInvalid,
        "This address is connected already with another server or name; nothing was changed.",
    )
}

fn is_at_microsoft(started: &Started, typed: &TypedAccount) -> bool {
    let address = typed.address(started.provider).unwrap_or_default();
    let named = typed.settings.get("imap_host").and_then(Value::as_str);
    started.provider == Provider::Imap && takes_no_passwords(address, named)
}

/// What a try counts against: every name that is shown to a server, and the client.
fn whose(started: &Started, typed: &TypedAccount, browser: &Browser) -> Vec<Whose> {
    let ip = browser.ip.as_deref().and_then(|ip| ip.parse().ok());
    Whose::of(started.application_id, &typed.names(), ip)
}
