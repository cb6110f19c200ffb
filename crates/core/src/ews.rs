//! Exchange Web Services, as far as it takes to see whether a name and password open a mailbox: one question, and
//! what may come back.

use crate::mail_servers::{MailServer, takes_no_passwords};
use crate::mail_services::is_within;
use crate::scope::Scopes;
use crate::xml::walk;
use url::{Host, Url};

/// The port where nothing else is said.
pub const EWS_PORT: u16 = 443;
/// Where Exchange has its service on every host.
pub const EWS_PATH: &str = "/EWS/Exchange.asmx";
/// Longest code of Exchange's that is taken for one, in bytes; the longest known have about 60.
const CODE_MAX_BYTES: usize = 80;

/// Asks for the inbox of whoever asks, in words that Exchange has understood since 2007.
pub const OPEN_INBOX: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages">
<soap:Header><t:RequestServerVersion Version="Exchange2007_SP1"/></soap:Header>
<soap:Body><m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape><m:FolderIds><t:DistinguishedFolderId Id="inbox"/></m:FolderIds></m:GetFolder></soap:Body>
</soap:Envelope>"#;

/// What the scopes of these accounts are called. `ews.calendar` and `ews.calendars` are one; both are in use.
const SCOPES: [&str; 4] = [
    "ews.messages",
    "ews.calendars",
    "ews.calendar",
    "ews.contacts",
];

/// What Exchange says to [`OPEN_INBOX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EwsAnswer {
    /// The inbox is there and may be opened.
    Opened,
    /// It is not, by Exchange's own code: `ErrorNonExistentMailbox`.
    Failed(String),
}

/// Codes that are about the server's state and not about the mailbox.
const NOT_NOW: [&str; 12] = [
    "ErrorADOperation",
    "ErrorADUnavailable",
    "ErrorConnectionFailed",
    "ErrorExceededConnectionCount",
    "ErrorInsufficientResources",
    "ErrorInternalServerError",
    "ErrorInternalServerTransientError",
    "ErrorMailboxMoveInProgress",
    "ErrorMailboxStoreUnavailable",
    "ErrorServerBusy",
    "ErrorTimeoutExpired",
    "ErrorTooManyObjectsOpened",
];

/// Whether a code says only that the mailbox cannot be opened now.
#[must_use]
pub fn is_passing(code: &str) -> bool {
    NOT_NOW.contains(&code)
}

const MESSAGE: [&str; 5] = [
    "Envelope",
    "Body",
    "GetFolderResponse",
    "ResponseMessages",
    "GetFolderResponseMessage",
];
const FAULT: [&str; 4] = ["Envelope", "Body", "Fault", "detail"];

/// Reads the answer to [`OPEN_INBOX`]; `None` if it is none.
#[must_use]
pub fn read_answer(xml: &str) -> Option<EwsAnswer> {
    let mut codes = Vec::new();
    let is_whole = walk(xml, |path, text| {
        if is_code(path) {
            codes.push(text.to_owned());
        }
    });
    // One folder was asked for, so there is one answer.
    match codes.as_slice() {
        [code] if is_whole => code_of(code),
        _ => None,
    }
}

/// Where a code stands: in the one message, or in a fault, whose own is in its detail.
fn is_code(path: &[String]) -> bool {
    match path {
        [message @ .., last] if last == "ResponseCode" => {
            message.iter().eq(MESSAGE) || message.iter().eq(FAULT)
        }
        _ => false,
    }
}

fn code_of(text: &str) -> Option<EwsAnswer> {
    let is_code = text.len() <= CODE_MAX_BYTES
        && !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric());
    match text {
        "NoError" => Some(EwsAnswer::Opened),
        _ => is_code.then(|| EwsAnswer::Failed(text.to_owned())),
    }
}

/// The host and port of a service's address, if a password may be sent there at all.
#[must_use]
pub fn server_of(url: &Url) -> Option<MailServer> {
    let is_plain = url.username().is_empty() && url.password().is_none();
    if url.scheme() != "https" || !is_plain {
        return None;
    }
    let host = match url.host()? {
        Host::Domain(name) => name.trim_end_matches('.').to_owned(),
        address => address.to_string(),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':');
    let port = url.port_or_known_default().filter(|port| *port > 0)?;
    (!host.is_empty() && host.chars().all(is_host)).then_some(MailServer { host, port })
}

/// Domains of Exchange Online, whose mailboxes no password opens.
const ONLINE: [&str; 8] = [
    "office.com",
    "office365.com",
    "office365.us",
    "outlook.cn",
    "outlook.com",
    "outlook.office.de",
    "office365.cn",
    "microsoftonline.com",
];

/// Whether `host` is one of Exchange Online.
#[must_use]
pub fn is_exchange_online(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    ONLINE.iter().any(|domain| is_within(&host, domain))
}

/// Whether the mailbox of this address, or on this host, opens to OAuth alone.
#[must_use]
pub fn is_online_mailbox(email: &str, host: Option<&str>) -> bool {
    match host {
        Some(host) => is_exchange_online(host),
        None => takes_no_passwords(email, None),
    }
}

/// The first scope that these accounts do not have.
#[must_use]
pub fn unknown_scope(scopes: &Scopes) -> Option<&str> {
    scopes.iter().find(|scope| !SCOPES.contains(scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>
<h:ServerVersionInfo MajorVersion="15" xmlns:h="http://schemas.microsoft.com/exchange/services/2006/types"/></s:Header>
<s:Body><m:GetFolderResponse xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages">
<m:ResponseMessages><m:GetFolderResponseMessage ResponseClass="Success">
<m:ResponseCode>NoError</m:ResponseCode><m:Folders><t:Folder xmlns:t="x"><t:FolderId Id="A" ChangeKey="B"/></t:Folder>
</m:Folders></m:GetFolderResponseMessage></m:ResponseMessages></m:GetFolderResponse></s:Body></s:Envelope>"#;

    #[test]
    fn one_answer_without_error_opens_and_nothing_else_does() {
        assert_eq!(read_answer(OPENED), Some(EwsAnswer::Opened));
        let other = OPENED.replace("NoError", "ErrorNonExistentMailbox");
        let failed = EwsAnswer::Failed("ErrorNonExistentMailbox".into());
        assert_eq!(read_answer(&other), Some(failed));
        for xml in [
            "".to_owned(),
            "<html><body>NoError</body></html>".to_owned(),
            OPENED.replace("NoError", ""),
            OPENED.replace("NoError", "not a code"),
            OPENED.replace("NoError", &"E".repeat(CODE_MAX_BYTES + 1)),
            OPENED.replace("</s:Envelope>", ""),
            OPENED.replace("GetFolderResponse", "GetItemResponse"),
            OPENED.replace(
                "<m:Folders>",
                "<m:ResponseCode>NoError</m:ResponseCode><m:Folders>",
            ),
        ] {
            assert_eq!(read_answer(&xml), None, "{xml}");
        }
    }

    #[test]
    fn a_fault_is_told_by_the_code_in_its_detail() {
        let fault = r#"<s:Envelope xmlns:s="x"><s:Body><s:Fault><faultcode>a:ErrorServerBusy</faultcode>
<faultstring>The server cannot service this request right now.</faultstring><detail>
<e:ResponseCode xmlns:e="y">ErrorServerBusy</e:ResponseCode></detail></s:Fault></s:Body></s:Envelope>"#;
        let Some(EwsAnswer::Failed(code)) = read_answer(fault) else {
            panic!("a fault")
        };
        assert!(is_passing(&code));
        assert!(!is_passing("ErrorNonExistentMailbox"));
    }

    #[test]
    fn the_question_is_xml_that_asks_for_one_folder() {
        let mut asked = Vec::new();
        assert!(walk(OPEN_INBOX, |path, _| asked.push(path.join("/"))));
        assert!(asked.contains(&"Envelope/Body/GetFolder".to_owned()));
    }

    #[test]
    fn of_an_address_only_host_and_port_are_taken_and_only_of_https() {
        let of = |url: &str| server_of(&Url::parse(url).unwrap());
        let server = of("https://Mail.Example.com./EWS/Exchange.asmx?x").unwrap();
        assert_eq!(
            (server.host.as_str(), server.port),
            ("mail.example.com", 443)
        );
        assert_eq!(of("https://[::1]:8443/").unwrap().port, 8443);
        for url in [
            "http://mail.example.com/",
            "https://u:p@mail.example.com/",
            "https://u@mail.example.com/",
            "ftp://mail.example.com/",
            "https://a_b.example.com/",
            "https://mail.example.com:0/",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn microsofts_own_service_is_told_by_address_or_host() {
        assert!(is_online_mailbox("a@hotmail.com", None));
        assert!(is_online_mailbox("a@b.c", Some("Outlook.Office365.com.")));
        assert!(is_online_mailbox(
            "a@b.c",
            Some("autodiscover-s.outlook.com")
        ));
        assert!(!is_online_mailbox("a@hotmail.com", Some("mail.b.c")));
        assert!(!is_online_mailbox("a@b.c", Some("notoutlook.com")));
    }

    #[test]
    fn both_spellings_of_the_calendars_are_scopes() {
        let scopes = |text: &str| Scopes::parse(text).unwrap();
        assert_eq!(
            unknown_scope(&scopes("ews.messages ews.calendar ews.calendars")),
            None
        );
        assert_eq!(
            unknown_scope(&scopes("ews.contacts ews.tasks")),
            Some("ews.tasks")
        );
    }
}
