//! What an Exchange server is asked, read with its namespaces.

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const MESSAGES: &str = "http://schemas.microsoft.com/exchange/services/2006/messages";
const TYPES: &str = "http://schemas.microsoft.com/exchange/services/2006/types";
const REQUEST: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006";
const ANSWERS: &str =
    "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";

/// A question that is asked as it has to be.
pub(super) enum Asked {
    /// For the inbox of whoever asks.
    Inbox,
    /// Where the mailbox of an address is.
    Where(String),
}

/// An element: its namespace, name, way and text.
struct Element {
    namespace: String,
    path: String,
    id: String,
    text: String,
}

/// The question in `body`; `None` if it is none, or asked in another way.
pub(super) fn read(body: &[u8]) -> Option<Asked> {
    let elements = elements(std::str::from_utf8(body).ok()?)?;
    let is = |namespace: &str, path: &str| {
        elements
            .iter()
            .find(|one| one.namespace == namespace && one.path == path)
    };
    let folder = "/Envelope/Body/GetFolder/FolderIds/DistinguishedFolderId";
    let is_inbox = is(SOAP, "/Envelope/Body").is_some()
        && is(TYPES, "/Envelope/Header/RequestServerVersion").is_some()
        && is(MESSAGES, "/Envelope/Body/GetFolder").is_some()
        && is(MESSAGES, "/Envelope/Body/GetFolder/FolderShape").is_some()
        && is(TYPES, folder).is_some_and(|folder| folder.id == "inbox");
    if is_inbox {
        return Some(Asked::Inbox);
    }
    let schema = is(REQUEST, "/Autodiscover/Request/AcceptableResponseSchema")?;
    let address = is(REQUEST, "/Autodiscover/Request/EMailAddress")?;
    (schema.text == ANSWERS && address.text.contains('@'))
        .then(|| Asked::Where(address.text.clone()))
}

/// All elements of a whole document.
fn elements(xml: &str) -> Option<Vec<Element>> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut done) = (Vec::<Element>::new(), Vec::new());
    loop {
        match reader.read_resolved_event().ok()? {
            (ResolveResult::Bound(namespace), Event::Start(tag)) => {
                let way = open.last().map_or("", |parent| parent.path.as_str());
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                let id = tag.try_get_attribute("Id").ok()?;
                open.push(Element {
                    namespace: String::from_utf8_lossy(namespace.as_ref()).into_owned(),
                    path: format!("{way}/{name}"),
                    id: id.map_or_else(String::new, |id| {
                        String::from_utf8_lossy(&id.value).into_owned()
                    }),
                    text: String::new(),
                });
            }
            // Everything of these questions is in a namespace.
            (_, Event::Start(_)) => return None,
            (_, Event::Text(text)) => {
                let text = text.decode().ok()?;
                open.iter_mut().for_each(|one| one.text.push_str(&text));
            }
            (_, Event::End(_)) => done.extend(open.pop()),
            (_, Event::Eof) => return open.is_empty().then_some(done),
            _ => {}
        }
    }
}
