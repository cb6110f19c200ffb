//! Reading a stranger's XML: element by element, bounded, whole or not at all. Names are taken without their
//! namespaces' prefixes, which anybody may choose.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Longest text of an element that is looked at, in bytes: addresses of services have about 100.
const TEXT_MAX_BYTES: usize = 1024;
/// Deepest nesting that is followed; answers of Exchange have about 12.
const DEPTH_MAX: usize = 32;

/// Calls `visit` at the end of every element with the names that lead to it, its own last, and the text since the
/// element before it ended or it began. `false` if `xml` is no whole document, is nested too deeply, or declares a type:
/// what was visited before that was found is worth nothing then.
pub(crate) fn walk(xml: &str, mut visit: impl FnMut(&[String], &str)) -> bool {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut text, mut roots) = (Vec::new(), String::new(), 0);
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) if path.len() < DEPTH_MAX => {
                roots += usize::from(path.is_empty());
                path.push(name_of(&tag));
                text.clear();
            }
            Ok(Event::End(_)) => {
                visit(&path, text.trim());
                path.pop();
                text.clear();
            }
            Ok(Event::Text(piece)) => add(&mut text, piece.decode().ok().as_deref()),
            // Those that stand for anything but `&` are in no name, number or address.
            Ok(Event::GeneralRef(_)) => add(&mut text, Some("&")),
            Ok(Event::Eof) => return path.is_empty() && roots == 1,
            Ok(Event::DocType(_) | Event::Start(_)) | Err(_) => return false,
            Ok(_) => {}
        }
    }
}

fn name_of(tag: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(tag.local_name().as_ref()).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(xml: &str) -> Option<Vec<String>> {
        let mut seen = Vec::new();
        let is_whole = walk(xml, |path, text| {
            seen.push(format!("{}={text}", path.join("/")));
        });
        is_whole.then_some(seen)
    }

    #[test]
    fn elements_are_told_with_their_way_and_text() {
        let xml = "<?xml version=\"1.0\"?><x:a><b>one &amp; two</b><c/><d>\n 3 </d></x:a>";
        let seen = leaves(xml).unwrap();
        assert_eq!(seen, ["a/b=one & two", "a/d=3", "a="]);
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
        for xml in [
            "",
            "text",
            "<a>",
            "<a><b></a></b>",
            "<a></a><a></a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<html><br>",
            deep.as_str(),
        ] {
            assert_eq!(leaves(xml), None, "{xml}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_not_cut_to_a_shorter_one() {
        let xml = format!("<a>{}</a>", "x".repeat(TEXT_MAX_BYTES + 1));
        assert_eq!(leaves(&xml).unwrap(), ["a=&"]);
    }
}
