//! What a domain publishes about its mail servers, in the form that mail programs read
//! (`/mail/config-v1.1.xml`). Anybody's text: nothing in it is believed beyond host and port.

use crate::mail_servers::{MailProtocol, MailServer};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Longest text of a member that is looked at, in bytes: a host name has 253.
const TEXT_MAX_BYTES: usize = 256;

/// The servers of a configuration that this program can use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Where mail is read.
    pub imap: Option<MailServer>,
    /// Where mail is sent.
    pub smtp: Option<MailServer>,
}

/// A `<incomingServer>` or `<outgoingServer>` as far as it was read.
#[derive(Default)]
struct Server {
    protocol: Option<MailProtocol>,
    host: String,
    port: String,
    socket: String,
    authentication: Vec<String>,
}

/// Reads a configuration for addresses of `domain`. What cannot be read, or is not encrypted, is not there.
#[must_use]
pub fn parse(xml: &str, domain: &str) -> Published {
    let mut reader = Reader::from_str(xml);
    let (mut found, mut server, mut text) = (Published::default(), None, String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => {
                text.clear();
                if let Some(protocol) = protocol_of(&tag) {
                    server = Some(Server::of(protocol));
                }
            }
            Ok(Event::Text(piece)) => add(&mut text, piece.decode().ok().as_deref()),
            // No name and no number has one.
            Ok(Event::GeneralRef(_)) => add(&mut text, Some("&")),
            Ok(Event::End(tag)) => {
                let name = tag.local_name();
                if !is_server(name.as_ref()) {
                    server
                        .iter_mut()
                        .for_each(|server: &mut Server| server.take(name.as_ref(), text.trim()));
                } else if let Some(server) = server.take() {
                    found.keep(&server, domain);
                }
                text.clear();
            }
            Ok(Event::Eof) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

fn add(text: &mut String, piece: Option<&str>) {
    let piece = piece.unwrap_or("&");
    if text.len() + piece.len() <= TEXT_MAX_BYTES {
        text.push_str(piece);
    } else {
        // Too long for anything; what is left of it must not be taken for the whole.
        "&".clone_into(text);
    }
}

fn is_server(name: &[u8]) -> bool {
    matches!(name, b"incomingServer" | b"outgoingServer")
}

/// The protocol of a server's tag; of other tags none. A server of another protocol is read to no use.
fn protocol_of(tag: &BytesStart<'_>) -> Option<Option<MailProtocol>> {
    if !is_server(tag.local_name().as_ref()) {
        return None;
    }
    let kind = tag.try_get_attribute("type").ok().flatten();
    Some(match kind.as_ref().map(|kind| kind.value.as_ref()) {
        Some(b"imap") => Some(MailProtocol::Imap),
        Some(b"smtp") => Some(MailProtocol::Smtp),
        _ => None,
    })
}

impl Server {
    fn of(protocol: Option<MailProtocol>) -> Self {
        Self {
            protocol,
            ..Self::default()
        }
    }

    fn take(&mut self, member: &[u8], text: &str) {
        match member {
            b"hostname" => text.clone_into(&mut self.host),
            b"port" => text.clone_into(&mut self.port),
            b"socketType" => self.socket = text.to_ascii_uppercase(),
            b"authentication" => self.authentication.push(text.to_owned()),
            _ => {}
        }
    }

    /// The server, if a password may be sent there: encrypted, on the port that goes with it.
    fn usable(&self, domain: &str) -> Option<(MailProtocol, MailServer)> {
        let protocol = self.protocol?;
        let port: u16 = self.port.parse().ok()?;
        let expected = match self.socket.as_str() {
            "SSL" => protocol.default_port(),
            "STARTTLS" => protocol.starttls_port(),
            _ => return None,
        };
        let by_password = |kind: &String| kind.starts_with("password-") || kind == "plain";
        let takes_passwords =
            self.authentication.is_empty() || self.authentication.iter().any(by_password);
        let host = self.host.replace("%EMAILDOMAIN%", domain);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let fits =
            port == expected && takes_passwords && !host.is_empty() && host.chars().all(is_name);
        fits.then_some((protocol, MailServer { host, port }))
    }
}

impl Published {
    /// The first usable server of each kind counts: they are written in the order of preference.
    fn keep(&mut self, server: &Server, domain: &str) {
        let Some((protocol, server)) = server.usable(domain) else {
            return;
        };
        let place = match protocol {
            MailProtocol::Imap => &mut self.imap,
            MailProtocol::Smtp => &mut self.smtp,
        };
        place.get_or_insert(server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="example.com">
    <domain>example.com</domain>
    <incomingServer type="pop3">
      <hostname>pop.example.com</hostname><port>995</port><socketType>SSL</socketType>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>plain.example.com</hostname><port>143</port><socketType>plain</socketType>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>imap.%EMAILDOMAIN%</hostname><port>993</port><socketType>SSL</socketType>
      <username>%EMAILADDRESS%</username><authentication>password-cleartext</authentication>
    </incomingServer>
    <incomingServer type="imap">
      <hostname>second.example.com</hostname><port>993</port><socketType>SSL</socketType>
    </incomingServer>
    <outgoingServer type="smtp">
      <hostname>smtp.example.com</hostname><port>587</port><socketType>STARTTLS</socketType>
    </outgoingServer>
  </emailProvider>
</clientConfig>"#;

    #[test]
    fn the_first_encrypted_server_of_each_kind_is_taken() {
        let found = parse(WHOLE, "example.com");
        let server = |host: &str, port| {
            Some(MailServer {
                host: host.to_owned(),
                port,
            })
        };
        assert_eq!(found.imap, server("imap.example.com", 993));
        assert_eq!(found.smtp, server("smtp.example.com", 587));
    }

    #[test]
    fn what_a_password_should_not_go_to_is_left_out() {
        let of = |members: &str| {
            let xml = format!(r#"<a><incomingServer type="imap">{members}</incomingServer></a>"#);
            parse(&xml, "example.com").imap
        };
        let host = "<hostname>h.example</hostname>";
        for members in [
            format!("{host}<port>143</port><socketType>plain</socketType>"),
            format!("{host}<port>22</port><socketType>SSL</socketType>"),
            format!("{host}<port>143</port><socketType>SSL</socketType>"),
            format!("{host}<port>x</port><socketType>SSL</socketType>"),
            "<port>993</port><socketType>SSL</socketType>".to_owned(),
            "<hostname>a b/c</hostname><port>993</port><socketType>SSL</socketType>".to_owned(),
            format!(
                "{host}<port>993</port><socketType>SSL</socketType><authentication>OAuth2</authentication>"
            ),
        ] {
            assert_eq!(of(&members), None, "{members}");
        }
        assert!(
            of(&format!(
                "{host}<port>993</port><socketType>SSL</socketType>"
            ))
            .is_some()
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_published_only_hosts_with_their_ports_come_of_it(
            at in 0..WHOLE.len(), length in 0..40_usize, put in "[<>/&;%a-z0-9\"= ]{0,12}",
        ) {
            let mut xml = WHOLE.to_owned();
            xml.replace_range(at..(at + length).min(WHOLE.len()), &put);
            let Published { imap, smtp } = parse(&xml, "example.com");
            let all = [(MailProtocol::Imap, imap), (MailProtocol::Smtp, smtp)];
            for (protocol, server) in all {
                let Some(MailServer { host, port }) = server else { continue };
                proptest::prop_assert!(protocol.has_port(port));
                proptest::prop_assert!(!host.contains(['%', ' ', '/', '&', '<', ':']));
            }
        }
    }

    #[test]
    fn what_is_no_configuration_names_no_server() {
        for xml in [
            "",
            "<html>nothing",
            "<incomingServer type=\"imap\"><hostname>x",
            "&&&",
        ] {
            assert_eq!(parse(xml, "example.com"), Published::default(), "{xml}");
        }
    }
}
