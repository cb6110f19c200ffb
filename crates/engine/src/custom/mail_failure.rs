//! What it means to an application that a mail account did not open: whose move it is, and which setting to
//! look at.

use crate::error::{Error, ErrorKind};
use keyway_core::mail_servers::MailProtocol;
use keyway_core::oauth::{ProviderError, clean};
use keyway_core::provider::Provider;
use keyway_outbound::{CallErrorKind, MailFailure, NoWay, ServerWords};

/// Told to wait so long where a mail server cannot let anybody in, in seconds.
const RETRY_AFTER_SECS: u32 = 60;
/// Most characters of a server's own words that are passed on.
const WORDS_MAX_CHARS: usize = 300;

/// What a provider calls its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names {
    is_icloud: bool,
}

impl Names {
    pub(super) const fn of(provider: Provider) -> Self {
        Self {
            is_icloud: matches!(provider, Provider::Icloud),
        }
    }

    pub(super) const fn is_icloud(self) -> bool {
        self.is_icloud
    }

    pub(super) const fn username(self) -> &'static str {
        match self.is_icloud {
            true => "username",
            false => "imap_username",
        }
    }

    pub(super) const fn password(self) -> &'static str {
        match self.is_icloud {
            true => "password",
            false => "imap_password",
        }
    }

    /// The setting to look at where the server itself is wrong.
    fn server(self, protocol: MailProtocol, what: &str) -> String {
        match self.is_icloud {
            true => "settings".to_owned(),
            false => format!("settings.{}_{what}", protocol.as_str()),
        }
    }

    /// The password that a server refused.
    const fn refused(self, protocol: MailProtocol) -> &'static str {
        match (self.is_icloud, protocol) {
            (true, _) => "settings.password",
            (false, MailProtocol::Imap) => "settings.imap_password",
            (false, MailProtocol::Smtp) => {
                "settings.smtp_password, which is settings.imap_password where it is left out"
            }
        }
    }
}

/// How a server did not open an account. `host` is the one the application, the person, or the domain of the
/// address has named.
#[derive(Debug)]
pub(crate) struct ServerRefusal {
    /// What the provider calls its settings.
    pub(super) names: Names,
    /// How it was spoken to.
    pub(crate) protocol: MailProtocol,
    /// The server.
    pub(crate) host: String,
    /// Whether the account's own password is known to open nothing there.
    pub(crate) needs_app_password: bool,
    /// Whether the server for sending was shown a password of its own.
    pub(crate) has_own_password: bool,
    /// What happened.
    pub(crate) failure: MailFailure,
}

impl ServerRefusal {
    /// Whether it is an iCloud account.
    pub(crate) const fn is_icloud(&self) -> bool {
        self.names.is_icloud()
    }
}

/// What an application is told.
pub(super) fn mail_error(refusal: ServerRefusal) -> Error {
    let ServerRefusal {
        names,
        protocol,
        host,
        needs_app_password,
        failure,
        ..
    } = refusal;
    match failure {
        MailFailure::Refused(words) => {
            let setting = names.refused(protocol);
            let hint = hint(needs_app_password);
            let message = format!("{host} refused the login ({setting}). {hint}");
            Error::new(ErrorKind::InvalidAuthentication, message)
                .with_provider_error(provider_error(&words))
        }
        MailFailure::NotNow(words) => {
            let message = format!("{host} lets nobody in at the moment; try again later.");
            Error::new(ErrorKind::ProviderUnavailable, message)
                .retry_after(RETRY_AFTER_SECS)
                .with_provider_error(provider_error(&words))
        }
        MailFailure::NoWay(NoWay::Encryption) => Error::field(
            &names.server(protocol, "port"),
            format_args!(
                "{host} does not go over to TLS there, and passwords are not sent in clear; try {}",
                protocol.default_port()
            ),
        ),
        MailFailure::NoWay(NoWay::Password) => Error::field(
            &names.server(protocol, "host"),
            format_args!("{host} takes no passwords"),
        ),
        MailFailure::Port(_) => Error::field(
            &names.server(protocol, "port"),
            format_args!(
                "must be {} (TLS) or {} (STARTTLS)",
                protocol.default_port(),
                protocol.starttls_port()
            ),
        ),
        MailFailure::Unreachable(cause) => unreachable(names, protocol, &host, cause),
    }
}

const fn hint(needs_app_password: bool) -> &'static str {
    match needs_app_password {
        true => {
            "This host takes no account's own password: the user has to make an app password in the account's security settings, and give that."
        }
        false => {
            "Name or password is wrong; or the host wants an app password, or IMAP to be switched on in the account's settings."
        }
    }
}

fn unreachable(
    names: Names,
    protocol: MailProtocol,
    host: &str,
    cause: keyway_outbound::CallError,
) -> Error {
    let setting = || names.server(protocol, "host");
    let silent = |what: &str| {
        Error::new(
            ErrorKind::ProviderUnavailable,
            format!("The mail server {host} {what}."),
        )
        .retry_after(RETRY_AFTER_SECS)
    };
    let error = match cause.kind {
        CallErrorKind::Dns => Error::field(
            &setting(),
            format_args!("{host} is no host: the name has no address"),
        ),
        CallErrorKind::AddressRefused => Error::field(
            &setting(),
            format_args!("{host} is not a host this server may call"),
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
            "says something that no mail server says; check host and port, which decides between TLS and STARTTLS",
        ),
    };
    error.caused_by(cause)
}

/// A server's words in the form in which refusals of providers are told.
fn provider_error(words: &ServerWords) -> ProviderError {
    let code = words
        .code
        .as_deref()
        .map(|code| clean(code, WORDS_MAX_CHARS));
    ProviderError {
        error: code.unwrap_or_else(|| "login_refused".to_owned()),
        description: Some(clean(&words.text, WORDS_MAX_CHARS)).filter(|text| !text.is_empty()),
        ..ProviderError::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_outbound::CallError;

    const IMAP: Names = Names { is_icloud: false };

    fn refusal(failure: MailFailure) -> ServerRefusal {
        ServerRefusal {
            names: IMAP,
            protocol: MailProtocol::Imap,
            host: "mail.example.com".to_owned(),
            needs_app_password: false,
            has_own_password: false,
            failure,
        }
    }

    fn told(failure: MailFailure) -> Error {
        mail_error(refusal(failure))
    }

    #[test]
    fn a_refusal_names_the_password_and_passes_the_servers_words_on() {
        let words = ServerWords {
            code: Some("AUTHENTICATIONFAILED".into()),
            text: "Invalid\u{1b}[2J credentials".into(),
        };
        let error = mail_error(ServerRefusal {
            names: Names::of(Provider::Icloud),
            needs_app_password: true,
            ..refusal(MailFailure::Refused(words))
        });
        assert_eq!(error.kind(), ErrorKind::InvalidAuthentication);
        assert!(error.message().contains("settings.password"), "{error}");
        assert!(error.message().contains("app password"), "{error}");
        let said = error.provider_error().unwrap();
        assert_eq!(said.error, "AUTHENTICATIONFAILED");
        assert_eq!(said.description.as_deref(), Some("Invalid [2J credentials"));
    }

    #[test]
    fn what_only_the_operator_may_know_is_not_told() {
        let refused = CallError::new(CallErrorKind::AddressRefused, "mail.example.com")
            .with_detail("10.0.0.7 is not an address this server may call");
        let error = told(MailFailure::Unreachable(refused));
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().starts_with("settings.imap_host"), "{error}");
        assert!(!error.message().contains("10.0.0.7"), "{error}");
    }

    #[test]
    fn silence_is_no_fault_of_the_request() {
        for kind in [
            CallErrorKind::Connect,
            CallErrorKind::Timeout,
            CallErrorKind::Tls,
            CallErrorKind::Protocol,
        ] {
            let error = told(MailFailure::Unreachable(CallError::new(kind, "h")));
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable, "{kind:?}");
        }
        let port = told(MailFailure::Port(25));
        assert_eq!(
            port.message(),
            "settings.imap_port: must be 993 (TLS) or 143 (STARTTLS)"
        );
    }
}
