//! Where mail is read and sent for an address: ports and what they mean, and the servers of the well-known
//! hosts, as data.

use crate::detect::mail_host;
use crate::provider::Provider;

/// IMAP over TLS from the first byte (RFC 8314).
pub const IMAPS_PORT: u16 = 993;
/// IMAP that begins in clear and goes over to TLS before anything is said (`STARTTLS`).
pub const IMAP_PORT: u16 = 143;
/// Submission over TLS from the first byte (RFC 8314).
pub const SUBMISSIONS_PORT: u16 = 465;
/// Submission that begins in clear and goes over to TLS before anything is said (`STARTTLS`).
pub const SUBMISSION_PORT: u16 = 587;

/// The two protocols a mail account is opened by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailProtocol {
    /// Reading: RFC 9051 and its forerunners.
    Imap,
    /// Sending: RFC 6409.
    Smtp,
}

impl MailProtocol {
    /// Its name, which its settings begin with.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
        }
    }

    /// The port where nothing else is said: TLS from the first byte.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Imap => IMAPS_PORT,
            Self::Smtp => SUBMISSIONS_PORT,
        }
    }

    /// The port that begins in clear.
    #[must_use]
    pub const fn starttls_port(self) -> u16 {
        match self {
            Self::Imap => IMAP_PORT,
            Self::Smtp => SUBMISSION_PORT,
        }
    }

    /// Whether this is one of the two ports the protocol has.
    #[must_use]
    pub const fn has_port(self, port: u16) -> bool {
        port == self.default_port() || port == self.starttls_port()
    }
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What is known of the mailbox behind an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServers {
    /// Where mail is read.
    pub imap: MailServer,
    /// Where mail is sent.
    pub smtp: MailServer,
    /// Whether the account's own password opens nothing there, and one made for the purpose must be used.
    pub needs_app_password: bool,
}

/// One line of the list: the kind of host, and for which endings of the domain if not for all.
struct Line {
    imap_type: &'static str,
    endings: &'static [&'static str],
    imap: &'static str,
    smtp: &'static str,
    smtp_port: u16,
    needs_app_password: bool,
}

const fn line(
    imap_type: &'static str,
    endings: &'static [&'static str],
    imap: &'static str,
    smtp: &'static str,
) -> Line {
    Line {
        imap_type,
        endings,
        imap,
        smtp,
        smtp_port: SUBMISSIONS_PORT,
        needs_app_password: false,
    }
}

impl Line {
    const fn app_password(self) -> Self {
        Self {
            needs_app_password: true,
            ..self
        }
    }

    const fn starttls(self) -> Self {
        Self {
            smtp_port: SUBMISSION_PORT,
            ..self
        }
    }

    fn servers(&self) -> KnownServers {
        let server = |host: &str, port| MailServer {
            host: host.to_owned(),
            port,
        };
        KnownServers {
            imap: server(self.imap, IMAPS_PORT),
            smtp: server(self.smtp, self.smtp_port),
            needs_app_password: self.needs_app_password,
        }
    }
}

/// The first line that fits counts.
const LIST: &[Line] = &[
    line("gmail", &[], "imap.gmail.com", "smtp.gmail.com").app_password(),
    // Another company than the others.
    line(
        "yahoo",
        &["yahoo.co.jp"],
        "imap.mail.yahoo.co.jp",
        "smtp.mail.yahoo.co.jp",
    ),
    line("yahoo", &[], "imap.mail.yahoo.com", "smtp.mail.yahoo.com").app_password(),
    line("icloud", &[], ICLOUD_IMAP, ICLOUD_SMTP)
        .starttls()
        .app_password(),
    line("aol", &[], "imap.aol.com", "smtp.aol.com").app_password(),
    line(
        "gmx",
        &[".com", ".co.uk", ".us"],
        "imap.gmx.com",
        "mail.gmx.com",
    ),
    line("gmx", &[], "imap.gmx.net", "mail.gmx.net"),
    line("web.de", &[], "imap.web.de", "smtp.web.de").starttls(),
    line("fastmail", &[], "imap.fastmail.com", "smtp.fastmail.com").app_password(),
    line("zoho", &[".eu"], "imap.zoho.eu", "smtp.zoho.eu"),
    line("zoho", &[".in"], "imap.zoho.in", "smtp.zoho.in"),
    line("zoho", &[], "imap.zoho.com", "smtp.zoho.com"),
    line("mail.com", &[], "imap.mail.com", "smtp.mail.com"),
    line("mail.ru", &[], "imap.mail.ru", "smtp.mail.ru").app_password(),
    line("yandex", &[], "imap.yandex.com", "smtp.yandex.com").app_password(),
    line(
        "t-online",
        &[],
        "secureimap.t-online.de",
        "securesmtp.t-online.de",
    ),
    line("freenet", &[], "mx.freenet.de", "mx.freenet.de").starttls(),
    line("mailbox.org", &[], "imap.mailbox.org", "smtp.mailbox.org"),
    line("posteo", &[], "posteo.de", "posteo.de"),
    line("orange", &[], "imap.orange.fr", "smtp.orange.fr"),
    line("free", &[], "imap.free.fr", "smtp.free.fr"),
    line("laposte", &[], "imap.laposte.net", "smtp.laposte.net"),
    line("libero", &[], "imapmail.libero.it", "smtp.libero.it"),
    line("comcast", &[], "imap.comcast.net", "smtp.comcast.net").starttls(),
    line("att", &[], "imap.mail.att.net", "smtp.mail.att.net").app_password(),
    line("qq", &[], "imap.qq.com", "smtp.qq.com").app_password(),
    line("163", &["126.com"], "imap.126.com", "smtp.126.com").app_password(),
    line("163", &["yeah.net"], "imap.yeah.net", "smtp.yeah.net").app_password(),
    line("163", &[], "imap.163.com", "smtp.163.com").app_password(),
    line("naver", &[], "imap.naver.com", "smtp.naver.com")
        .starttls()
        .app_password(),
];

const ICLOUD_IMAP: &str = "imap.mail.me.com";
const ICLOUD_SMTP: &str = "smtp.mail.me.com";

/// Servers of a host that takes no passwords over IMAP.
const OAUTH_ONLY: [&str; 4] = [
    "outlook.office365.com",
    "imap-mail.outlook.com",
    "smtp-mail.outlook.com",
    "smtp.office365.com",
];

/// The servers of an address at a well-known host.
#[must_use]
pub fn known_servers(email: &str) -> Option<KnownServers> {
    let imap_type = mail_host(email)?.imap_type?;
    let domain = email.rsplit_once('@')?.1.to_ascii_lowercase();
    let fits = |line: &&Line| {
        let ends = |ending: &&str| domain.ends_with(ending);
        line.imap_type == imap_type && (line.endings.is_empty() || line.endings.iter().any(ends))
    };
    LIST.iter().find(fits).map(Line::servers)
}

/// What is known of the host whose server for reading is `host`.
#[must_use]
pub fn servers_beside(host: &str) -> Option<KnownServers> {
    let found = LIST
        .iter()
        .find(|line| line.imap.eq_ignore_ascii_case(host));
    found.map(Line::servers)
}

/// The servers of every iCloud account.
#[must_use]
pub fn icloud_servers() -> KnownServers {
    line("icloud", &[], ICLOUD_IMAP, ICLOUD_SMTP)
        .starttls()
        .app_password()
        .servers()
}

/// Whether mail of this address, or on this server, opens to OAuth alone.
#[must_use]
pub fn takes_no_passwords(email: &str, host: Option<&str>) -> bool {
    match host {
        Some(host) => OAUTH_ONLY
            .iter()
            .any(|name| host.eq_ignore_ascii_case(name)),
        None => mail_host(email).is_some_and(|found| {
            found.imap_type.is_none() && found.provider == Provider::Microsoft
        }),
    }
}

/// The identity of a mail account (rule 12): the server with the user's name there.
#[must_use]
pub fn account_key(host: &str, username: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    format!("{host}|{}", username.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imap_of(email: &str) -> Option<String> {
        known_servers(email).map(|known| known.imap.host)
    }

    #[test]
    fn well_known_addresses_lead_to_their_servers() {
        for (email, host) in [
            ("a@gmail.com", "imap.gmail.com"),
            ("a@yahoo.de", "imap.mail.yahoo.com"),
            ("a@yahoo.co.jp", "imap.mail.yahoo.co.jp"),
            ("a@ME.com", "imap.mail.me.com"),
            ("a@gmx.de", "imap.gmx.net"),
            ("a@gmx.co.uk", "imap.gmx.com"),
            ("a@zoho.eu", "imap.zoho.eu"),
            ("a@126.com", "imap.126.com"),
            ("a@163.com", "imap.163.com"),
            ("a@posteo.de", "posteo.de"),
        ] {
            assert_eq!(imap_of(email).as_deref(), Some(host), "{email}");
        }
        assert_eq!(imap_of("a@example.com"), None);
        assert_eq!(imap_of("a@outlook.com"), None);
    }

    #[test]
    fn every_server_is_spoken_to_over_tls_and_named_once_for_each_ending() {
        for line in LIST {
            let known = line.servers();
            assert!(MailProtocol::Imap.has_port(known.imap.port));
            assert!(MailProtocol::Smtp.has_port(known.smtp.port));
        }
        let icloud = known_servers("a@icloud.com").unwrap();
        assert_eq!(icloud, icloud_servers());
        assert_eq!(icloud.smtp.port, SUBMISSION_PORT);
        assert!(icloud.needs_app_password);
    }

    #[test]
    fn microsofts_servers_take_no_passwords_under_any_name() {
        assert!(takes_no_passwords("a@hotmail.com", None));
        assert!(takes_no_passwords(
            "a@example.com",
            Some("Outlook.office365.com")
        ));
        assert!(!takes_no_passwords("a@gmail.com", None));
        // A mailbox that has moved elsewhere under the same address.
        assert!(!takes_no_passwords(
            "a@outlook.com",
            Some("mail.example.com")
        ));
    }

    #[test]
    fn the_server_for_sending_is_known_beside_the_one_for_reading() {
        let known = servers_beside("IMAP.gmx.net").unwrap();
        assert_eq!(known.smtp.host, "mail.gmx.net");
        assert_eq!(servers_beside("mail.example.com"), None);
    }

    #[test]
    fn rule_12_a_mail_account_is_its_server_with_its_name_without_case() {
        assert_eq!(
            account_key("Mail.Example.com.", " Alice "),
            "mail.example.com|alice"
        );
        assert_ne!(account_key("a", "x"), account_key("b", "x"));
    }
}
