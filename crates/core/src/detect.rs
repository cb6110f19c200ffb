//! Whose mailbox an address is, as far as its domain alone tells: the well-known mail hosts, as data.
//!
//! A company's own domain says nothing by itself; the hosts that take its mail do ([`exchange_host`]).

use crate::provider::Provider;

/// A host of mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailHost {
    /// The provider its users connect through.
    pub provider: Provider,
    /// What the host is called as a kind of IMAP server; none where passwords do not open IMAP.
    pub imap_type: Option<&'static str>,
}

/// One line of the list: domains in full, and names that the host has under many countries' domains.
struct Line {
    host: MailHost,
    domains: &'static [&'static str],
    families: &'static [&'static str],
}

const fn line(
    provider: Provider,
    imap_type: Option<&'static str>,
    domains: &'static [&'static str],
    families: &'static [&'static str],
) -> Line {
    Line {
        host: MailHost {
            provider,
            imap_type,
        },
        domains,
        families,
    }
}

const fn imap(
    imap_type: &'static str,
    domains: &'static [&'static str],
    families: &'static [&'static str],
) -> Line {
    line(Provider::Imap, Some(imap_type), domains, families)
}

const LIST: &[Line] = &[
    line(
        Provider::Google,
        Some("gmail"),
        &["gmail.com", "googlemail.com"],
        &[],
    ),
    // Microsoft takes no passwords over IMAP any more.
    line(
        Provider::Microsoft,
        None,
        &["msn.com", "passport.com", "windowslive.com"],
        &["outlook", "hotmail", "live"],
    ),
    line(
        Provider::Yahoo,
        Some("yahoo"),
        &["ymail.com", "rocketmail.com", "myyahoo.com"],
        &["yahoo"],
    ),
    line(
        Provider::Icloud,
        Some("icloud"),
        &["icloud.com", "me.com", "mac.com"],
        &[],
    ),
    imap("aol", &["aim.com"], &["aol"]),
    imap("gmx", &["caramail.com"], &["gmx"]),
    imap("web.de", &["web.de"], &[]),
    imap(
        "fastmail",
        &[
            "fastmail.com",
            "fastmail.fm",
            "sent.com",
            "messagingengine.com",
        ],
        &[],
    ),
    imap(
        "zoho",
        &["zohomail.com", "zohomail.eu", "zohomail.in"],
        &["zoho"],
    ),
    imap("mail.com", &["mail.com", "email.com"], &[]),
    imap(
        "mail.ru",
        &["mail.ru", "bk.ru", "inbox.ru", "list.ru", "internet.ru"],
        &[],
    ),
    imap("yandex", &["ya.ru"], &["yandex"]),
    imap("t-online", &["t-online.de", "magenta.de"], &[]),
    imap("freenet", &["freenet.de"], &[]),
    imap("mailbox.org", &["mailbox.org"], &[]),
    imap("posteo", &["posteo.de", "posteo.net"], &[]),
    imap("orange", &["orange.fr", "wanadoo.fr"], &[]),
    imap("free", &["free.fr"], &[]),
    imap("laposte", &["laposte.net"], &[]),
    imap("libero", &["libero.it"], &[]),
    imap("comcast", &["comcast.net", "xfinity.com"], &[]),
    imap("att", &["att.net", "sbcglobal.net", "bellsouth.net"], &[]),
    imap("verizon", &["verizon.net"], &[]),
    imap("cox", &["cox.net"], &[]),
    imap("qq", &["qq.com", "foxmail.com"], &[]),
    imap("163", &["163.com", "126.com", "yeah.net"], &[]),
    imap("naver", &["naver.com"], &[]),
];

/// Whether `rest` is what follows a family's name: `com`, `de`, `com.br`, `co.uk`.
fn is_public_ending(rest: &str) -> bool {
    let letters = |text: &str, range: std::ops::RangeInclusive<usize>| {
        range.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase())
    };
    match rest.split_once('.') {
        None => letters(rest, 2..=3),
        Some(("co" | "com", country)) => letters(country, 2..=2),
        Some(_) => false,
    }
}

impl Line {
    fn holds(&self, domain: &str) -> bool {
        let family = domain.split_once('.');
        self.domains.contains(&domain)
            || family
                .is_some_and(|(name, rest)| self.families.contains(&name) && is_public_ending(rest))
    }
}

/// The host of `email`'s mailbox, if its domain is a well-known one.
#[must_use]
pub fn mail_host(email: &str) -> Option<MailHost> {
    let domain = email.rsplit_once('@')?.1.to_ascii_lowercase();
    let found = LIST.iter().find(|line| line.holds(&domain));
    found.map(|line| line.host)
}

/// Domains that the mail exchangers of hosts are under.
const EXCHANGES: &[(&str, MailHost)] = &[
    ("google.com", GOOGLE),
    ("googlemail.com", GOOGLE),
    ("smtp.goog", GOOGLE),
    ("protection.outlook.com", MICROSOFT),
    ("mx.microsoft", MICROSOFT),
    ("yahoodns.net", YAHOO),
    ("mail.icloud.com", ICLOUD),
    ("messagingengine.com", kind("fastmail")),
    ("zoho.com", kind("zoho")),
    ("zoho.eu", kind("zoho")),
    ("zoho.in", kind("zoho")),
    ("zohomail.com", kind("zoho")),
    ("yandex.net", kind("yandex")),
    ("yandex.ru", kind("yandex")),
    ("mail.ru", kind("mail.ru")),
    ("mailbox.org", kind("mailbox.org")),
    ("posteo.de", kind("posteo")),
    ("gmx.net", kind("gmx")),
];

const GOOGLE: MailHost = MailHost {
    provider: Provider::Google,
    imap_type: Some("gmail"),
};
const MICROSOFT: MailHost = MailHost {
    provider: Provider::Microsoft,
    imap_type: None,
};
const YAHOO: MailHost = MailHost {
    provider: Provider::Yahoo,
    imap_type: Some("yahoo"),
};
const ICLOUD: MailHost = MailHost {
    provider: Provider::Icloud,
    imap_type: Some("icloud"),
};

const fn kind(imap_type: &'static str) -> MailHost {
    MailHost {
        provider: Provider::Imap,
        imap_type: Some(imap_type),
    }
}

/// The host behind a domain's mail exchangers, the most preferred of which decides: a filter that stands before
/// somebody's mailboxes says nothing of them.
#[must_use]
pub fn exchange_host(exchangers: &[String]) -> Option<MailHost> {
    let name = exchangers.first()?;
    let is_under = |domain: &str| {
        name.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let found = EXCHANGES.iter().find(|(domain, _)| is_under(domain));
    found.map(|(_, host)| *host)
}

/// The address a query held. Old browser clients write addresses unencoded, so that a `+` in one arrives
/// as a space; no address has a space of its own before its `@`.
#[must_use]
pub fn address_in_query(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{domain}", local.replace(' ', "+")),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn host(email: &str) -> Option<(String, Option<&'static str>)> {
        mail_host(email).map(|host| (host.provider.to_string(), host.imap_type))
    }

    #[test]
    fn well_known_domains_are_known_in_every_country() {
        for (email, provider, imap_type) in [
            ("a@gmail.com", "google", Some("gmail")),
            ("a@GoogleMail.com", "google", Some("gmail")),
            ("a@outlook.com", "microsoft", None),
            ("a@hotmail.co.uk", "microsoft", None),
            ("a@live.fr", "microsoft", None),
            ("a@outlook.com.br", "microsoft", None),
            ("a@yahoo.co.jp", "yahoo", Some("yahoo")),
            ("a@rocketmail.com", "yahoo", Some("yahoo")),
            ("a@me.com", "icloud", Some("icloud")),
            ("a@aol.com", "imap", Some("aol")),
            ("a@gmx.net", "imap", Some("gmx")),
        ] {
            assert_eq!(
                host(email),
                Some((provider.to_owned(), imap_type)),
                "{email}"
            );
        }
    }

    #[test]
    fn a_well_known_name_in_front_of_somebody_elses_domain_says_nothing() {
        for email in [
            "a@example.com",
            "a@outlook.evil.com",
            "a@yahoo.example",
            "a@x.gmail.com",
            "a@live.a.b",
            "a@gmail.com.evil",
            "gmail.com",
        ] {
            assert_eq!(host(email), None, "{email}");
        }
    }

    #[test]
    fn a_companys_mail_exchangers_tell_whose_mailboxes_it_has() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            exchange_host(&names).map(|host| host.provider)
        };
        assert_eq!(
            of(&["aspmx.l.google.com", "alt1.aspmx.l.google.com"]),
            Some(Provider::Google)
        );
        assert_eq!(of(&["smtp.google.com"]), Some(Provider::Google));
        assert_eq!(
            of(&["contoso-com.mail.protection.outlook.com"]),
            Some(Provider::Microsoft)
        );
        assert_eq!(
            of(&["contoso-com.a-v1.mx.microsoft"]),
            Some(Provider::Microsoft)
        );
        assert_eq!(of(&["mx01.mail.icloud.com"]), Some(Provider::Icloud));
        assert_eq!(of(&["in1-smtp.messagingengine.com"]), Some(Provider::Imap));
        for other in [
            &["mx.example.com"][..],
            &["evilgoogle.com"],
            &["google.com.evil.example"],
            &["filter.example.com", "aspmx.l.google.com"],
            &[""],
            &[],
        ] {
            assert_eq!(of(other), None, "{other:?}");
        }
    }

    #[test]
    fn no_domain_is_listed_twice() {
        let all: Vec<_> = LIST.iter().flat_map(|l| [l.domains, l.families]).collect();
        let all = all.concat();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn a_space_before_the_at_was_a_plus() {
        assert_eq!(address_in_query("a b c@d.e"), "a+b+c@d.e");
        assert_eq!(address_in_query("a+b@d.e"), "a+b@d.e");
        assert_eq!(address_in_query("a b"), "a b");
    }
}
