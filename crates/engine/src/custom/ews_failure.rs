//! What it means to an application that an Exchange mailbox did not open: whose move it is, and which setting to look
//! at.

use super::password_account::NotOpened;
use crate::error::{Error, ErrorKind};
use keyway_core::ews::is_exchange_online;
use keyway_core::mail_servers::MailServer;
use keyway_core::oauth::ProviderError;
use keyway_outbound::{CallError, CallErrorKind};
use url::Url;

/// Told to wait so long where a server cannot let anybody in, in seconds.
const RETRY_AFTER_SECS: u32 = 60;

/// Why a mailbox did not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EwsFailure {
    /// The server refused name or password.
    #[error("the server refused the login")]
    Refused,
    /// It let the user in, and not to this service.
    #[error("the server does not let the user use this service")]
    Forbidden,
    /// It let the user in, who has no mailbox that opens, by Exchange's code.
    #[error("the server let the user in and opened no mailbox: {0}")]
    NoMailbox(String),
    /// It takes no password by Basic authentication, but these.
    #[error("the server offers no Basic authentication")]
    NoBasic(Vec<&'static str>),
    /// It cannot say now whether the password is good.
    #[error("the server cannot open anything now: {0}")]
    NotNow(String),
    /// It sends whoever asks elsewhere.
    #[error("the server redirects")]
    Redirected(Option<Url>),
    /// What is there is no Exchange, or asks for no password.
    #[error("there is no Exchange that asks for a password")]
    NotThere,
    /// It was not reached, or what it said was no HTTP.
    #[error(transparent)]
    Unreachable(CallError),
}

/// How a server did not open a mailbox: the one the application or the person has named, or one of the address's
/// domain.
#[derive(Debug)]
pub(crate) struct EwsRefusal {
    /// The server.
    pub(crate) server: MailServer,
    /// What happened.
    pub(crate) failure: EwsFailure,
}

impl EwsRefusal {
    pub(super) fn not_opened(server: MailServer, failure: EwsFailure) -> NotOpened {
        NotOpened::Exchange(Box::new(Self { server, failure }))
    }
}

/// The one sentence on Exchange Online.
pub(super) const ONLINE: &str =
    "Exchange Online takes no passwords; connect this account through the microsoft connector";

pub(super) const HOST: &str = "settings.ews_host";

/// What an application is told.
pub(super) fn ews_error(refusal: EwsRefusal) -> Error {
    let EwsRefusal { server, failure } = refusal;
    let host = server.host.as_str();
    match failure {
        EwsFailure::Refused => refused(
            format!(
                "{host} refused the login (settings.ews_username, settings.ews_password). Name or password is wrong: a name may have to be DOMAIN\\user, or the user's address; or the account is locked."
            ),
            "login_refused",
        ),
        EwsFailure::Forbidden => refused(
            format!(
                "{host} let the user in and does not allow Exchange Web Services to this account, or to Keyway; its administrator has to."
            ),
            "forbidden",
        ),
        EwsFailure::NoMailbox(code) => refused(
            format!(
                "{host} let the user in and opened no mailbox. The account has none there, or it must be named otherwise."
            ),
            &code,
        ),
        EwsFailure::NoBasic(offered) => Error::field(HOST, no_basic(host, &offered)),
        EwsFailure::NotNow(code) => {
            unavailable(host, "opens no mailbox at the moment; try again later")
                .with_provider_error(provider_error(&code))
        }
        EwsFailure::Redirected(to) => Error::field(HOST, redirected(host, to.as_ref())),
        EwsFailure::NotThere => Error::field(
            HOST,
            format_args!(
                "{host} has no Exchange Web Services that ask for a password at /EWS/Exchange.asmx on port {}",
                server.port
            ),
        ),
        EwsFailure::Unreachable(cause) => unreachable(&server, cause),
    }
}

fn refused(message: String, code: &str) -> Error {
    Error::new(ErrorKind::InvalidAuthentication, message).with_provider_error(provider_error(code))
}

fn provider_error(code: &str) -> ProviderError {
    ProviderError {
        error: code.to_owned(),
        ..ProviderError::default()
    }
}

/// Told where the one way in which passwords are given is not there.
pub(super) fn no_basic(host: &str, offered: &[&str]) -> String {
    let what = match offered {
        [] => "nothing this server knows".to_owned(),
        some => format!("only {}", some.join("/")),
    };
    format!(
        "{host} takes no password by Basic authentication: it offers {what}, which this server does not speak. Its administrator has to switch Basic authentication on for Exchange Web Services"
    )
}

fn redirected(host: &str, to: Option<&Url>) -> String {
    match to.and_then(Url::host_str) {
        Some(target) if is_exchange_online(target) => ONLINE.to_owned(),
        Some(target) => format!(
            "{host} sends everybody on to {target}; passwords are not sent on: name the host that has Exchange Web Services itself"
        ),
        None => format!(
            "{host} sends everybody elsewhere; name the host that has Exchange Web Services itself"
        ),
    }
}

fn unavailable(host: &str, what: &str) -> Error {
    let message = format!("The Exchange server {host} {what}.");
    Error::new(ErrorKind::ProviderUnavailable, message).retry_after(RETRY_AFTER_SECS)
}

fn unreachable(server: &MailServer, cause: CallError) -> Error {
    let MailServer { host, port } = server;
    let silent = |what: &str| unavailable(host, what);
    let error = match cause.kind {
        CallErrorKind::Dns => Error::field(
            HOST,
            format_args!("{host} is no host: the name has no address"),
        ),
        CallErrorKind::AddressRefused => Error::field(
            HOST,
            format_args!(
                "{host} is not a host this server may call on port {port}; on hosts its operator does not name, only port 443 is called"
            ),
        ),
        CallErrorKind::Tls => silent(
            "did not prove who it is: its certificate is not trusted here, or is not for this name. Its operator has to mend that, or the operator of this server to trust its authority (network.extra_certificates_file)",
        ),
        CallErrorKind::Connect => {
            silent("cannot be reached on that port; check host and port, or try again later")
        }
        CallErrorKind::Timeout => {
            silent("does not answer in time; check host and port, or try again later")
        }
        CallErrorKind::Stopped => silent("was not asked to the end; try again"),
        CallErrorKind::TooLarge | CallErrorKind::Protocol => silent(
            "says something that no Exchange server says, or broke off; check host and port, or try again later",
        ),
    };
    error.caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(failure: EwsFailure) -> Error {
        let server = MailServer {
            host: "mail.example.com".into(),
            port: 443,
        };
        ews_error(EwsRefusal { server, failure })
    }

    #[test]
    fn every_failure_says_whose_move_it_is() {
        for (failure, kind, word) in [
            (
                EwsFailure::Refused,
                ErrorKind::InvalidAuthentication,
                "settings.ews_password",
            ),
            (
                EwsFailure::Forbidden,
                ErrorKind::InvalidAuthentication,
                "administrator",
            ),
            (
                EwsFailure::NoMailbox("ErrorX".into()),
                ErrorKind::InvalidAuthentication,
                "no mailbox",
            ),
            (
                EwsFailure::NoBasic(vec!["NTLM", "Negotiate"]),
                ErrorKind::InvalidRequest,
                "only NTLM/Negotiate",
            ),
            (
                EwsFailure::NoBasic(vec![]),
                ErrorKind::InvalidRequest,
                "settings.ews_host",
            ),
            (
                EwsFailure::NotNow("http_503".into()),
                ErrorKind::ProviderUnavailable,
                "later",
            ),
            (
                EwsFailure::Redirected(None),
                ErrorKind::InvalidRequest,
                "settings.ews_host",
            ),
            (EwsFailure::NotThere, ErrorKind::InvalidRequest, "port 443"),
        ] {
            let shown = format!("{failure:?}");
            let error = told(failure);
            assert_eq!(error.kind(), kind, "{shown}");
            assert!(error.message().contains(word), "{shown}: {error}");
        }
    }

    #[test]
    fn whoever_is_sent_to_microsoft_is_told_of_the_other_connector() {
        let to = Url::parse("https://outlook.office365.com/EWS/Exchange.asmx").unwrap();
        let error = told(EwsFailure::Redirected(Some(to)));
        assert!(error.message().contains("microsoft connector"), "{error}");
        let to = Url::parse("https://other.example.net/").unwrap();
        let error = told(EwsFailure::Redirected(Some(to)));
        assert!(error.message().contains("other.example.net"), "{error}");
    }

    #[test]
    fn what_only_the_operator_may_know_is_not_told() {
        let refused = CallError::new(CallErrorKind::AddressRefused, "mail.example.com")
            .with_detail("10.0.0.7 is not an address this server may call");
        let error = told(EwsFailure::Unreachable(refused));
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(!error.message().contains("10.0.0.7"), "{error}");
        for kind in [
            CallErrorKind::Connect,
            CallErrorKind::Timeout,
            CallErrorKind::Tls,
            CallErrorKind::Protocol,
        ] {
            let error = told(EwsFailure::Unreachable(CallError::new(kind, "h")));
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable, "{kind:?}");
        }
    }
}
