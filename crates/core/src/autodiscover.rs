//! Autodiscover in its plain XML form (POX): what a domain's Exchange says of where a mailbox is. A stranger's text:
//! hosts and ports come of it, and the way to the next one to ask.

use crate::ews::server_of;
use crate::mail_servers::MailServer;
use crate::xml::walk;
use quick_xml::escape::escape;
use url::Url;

/// Where it is asked, on every host.
pub const AUTODISCOVER_PATH: &str = "/autodiscover/autodiscover.xml";
/// The service in the name service.
pub const AUTODISCOVER_SERVICE: &str = "_autodiscover._tcp";

/// What an Autodiscover server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Where the mailbox's Exchange Web Services are.
    Server(MailServer),
    /// To ask there.
    AskAt(Url),
    /// To ask anew, for this address.
    AskFor(String),
    /// Nothing of use.
    Nothing,
}

/// The question for one address.
#[must_use]
pub fn question(email: &str) -> String {
    let email = escape(email);
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>{email}</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>"#
    )
}

/// The kinds of servers that are told of, those for callers from outside first.
const KINDS: [&str; 4] = ["EXPR", "EXHTTP", "EXCH", "WEB"];

/// An answer as far as it was read.
#[derive(Default)]
struct Answer {
    /// Of the server that is being read.
    kind: Option<usize>,
    service: Option<MailServer>,
    /// The best so far, with its place among the kinds.
    best: Option<(usize, MailServer)>,
    url: Option<Url>,
    address: Option<String>,
}

/// Reads an answer.
#[must_use]
pub fn parse(xml: &str) -> Told {
    let mut answer = Answer::default();
    let is_whole = walk(xml, |path, text| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if let ["Autodiscover", "Response", "Account", below @ ..] = path.as_slice() {
            answer.take(below, text);
        }
    });
    match is_whole {
        true => answer.told(),
        false => Told::Nothing,
    }
}

impl Answer {
    fn take(&mut self, path: &[&str], text: &str) {
        match path {
            ["Protocol", "Type"] => self.kind = KINDS.iter().position(|kind| *kind == text),
            ["Protocol", .., "EwsUrl"] => self.service = https(text).as_ref().and_then(server_of),
            ["Protocol"] => self.keep(),
            ["RedirectUrl"] => self.url = https(text),
            ["RedirectAddr"] => self.address = Some(text.to_owned()),
            _ => {}
        }
    }

    /// At the end of a server.
    fn keep(&mut self) {
        let (kind, service) = (self.kind.take(), self.service.take());
        let (Some(kind), Some(service)) = (kind, service) else {
            return;
        };
        if self.best.as_ref().is_none_or(|(best, _)| kind < *best) {
            self.best = Some((kind, service));
        }
    }

    fn told(self) -> Told {
        match self {
            Self {
                best: Some((_, server)),
                ..
            } => Told::Server(server),
            Self { url: Some(url), .. } => Told::AskAt(url),
            Self {
                address: Some(address),
                ..
            } => Told::AskFor(address),
            _ => Told::Nothing,
        }
    }
}

/// An address that may be called.
fn https(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    server_of(&url).is_some().then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
<Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">
<User><DisplayName>Ann</DisplayName></User>
<Account><AccountType>email</AccountType><Action>settings</Action>
<Protocol><Type>EXCH</Type><Server>mail</Server><EwsUrl>https://inside.example.com/EWS/Exchange.asmx</EwsUrl></Protocol>
<Protocol><Type>EXPR</Type><EwsUrl>https://mail.example.com:8443/EWS/Exchange.asmx?a=1&amp;b</EwsUrl></Protocol>
<Protocol><Type>WEB</Type><External><Protocol><Type>EXPR</Type><EwsUrl>https://web.example.com/</EwsUrl></Protocol></External></Protocol>
</Account></Response></Autodiscover>"#;

    fn server(host: &str, port: u16) -> Told {
        Told::Server(MailServer {
            host: host.to_owned(),
            port,
        })
    }

    fn account(members: &str) -> Told {
        parse(&format!(
            "<Autodiscover><Response><Account>{members}</Account></Response></Autodiscover>"
        ))
    }

    #[test]
    fn the_server_for_callers_from_outside_is_taken() {
        assert_eq!(parse(WHOLE), server("mail.example.com", 8443));
        let inside = WHOLE.replace("<Type>EXPR</Type>", "<Type>MAPI</Type>");
        assert_eq!(parse(&inside), server("inside.example.com", 443));
        let web = inside.replace("<Type>EXCH</Type>", "");
        assert_eq!(parse(&web), server("web.example.com", 443));
    }

    #[test]
    fn servers_that_no_password_should_go_to_are_left_out() {
        for url in [
            "http://mail.example.com/EWS/Exchange.asmx",
            "https://u:p@mail.example.com/",
            "mail.example.com",
            "",
        ] {
            let told = account(&format!(
                "<Protocol><Type>EXPR</Type><EwsUrl>{url}</EwsUrl></Protocol>"
            ));
            assert_eq!(told, Told::Nothing, "{url}");
        }
    }

    #[test]
    fn the_way_to_another_server_or_address_is_told() {
        let url = "https://autodiscover.example.net/autodiscover/autodiscover.xml";
        let told = account(&format!(
            "<Action>redirectUrl</Action><RedirectUrl>{url}</RedirectUrl>"
        ));
        assert_eq!(told, Told::AskAt(Url::parse(url).unwrap()));
        let told = account("<RedirectAddr>ann@sub.example.com</RedirectAddr>");
        assert_eq!(told, Told::AskFor("ann@sub.example.com".into()));
        let told = account("<RedirectUrl>http://example.net/</RedirectUrl>");
        assert_eq!(told, Told::Nothing);
    }

    #[test]
    fn what_is_no_answer_tells_nothing() {
        for xml in [
            "",
            "<html>no such page</html>",
            "<Autodiscover><Response><Error><ErrorCode>600</ErrorCode></Error></Response></Autodiscover>",
            &WHOLE.replace("</Autodiscover>", ""),
            &WHOLE
                .replace("<Account>", "<Other>")
                .replace("</Account>", "</Other>"),
        ] {
            assert_eq!(parse(xml), Told::Nothing, "{xml}");
        }
    }

    #[test]
    fn an_address_cannot_break_out_of_the_question() {
        let asked = question("a<b>&\"c@example.com");
        assert!(
            asked.contains("a&lt;b&gt;&amp;&quot;c@example.com"),
            "{asked}"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_told_only_https_hosts_with_ports_come_of_it(
            at in 0..WHOLE.len(), length in 0..40_usize, put in "[<>/&;:a-zA-Z0-9\"= ]{0,12}",
        ) {
            let mut xml = WHOLE.to_owned();
            xml.replace_range(at..(at + length).min(WHOLE.len()), &put);
            match parse(&xml) {
                Told::Server(MailServer { host, port }) => {
                    proptest::prop_assert!(port > 0 && !host.is_empty());
                    proptest::prop_assert!(!host.contains(['%', ' ', '/', '&', '<', '@']));
                }
                Told::AskAt(url) => proptest::prop_assert_eq!(url.scheme(), "https"),
                Told::AskFor(_) | Told::Nothing => {}
            }
        }
    }
}
