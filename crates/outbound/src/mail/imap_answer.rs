//! What an IMAP server says until it has let somebody in (RFC 9051, section 7): whole lines, of which four kinds matter.
//!
//! Whoever names a server may have made it himself: nothing here calls itself, and whatever is not a line is refused
//! rather than read.

use super::ServerWords;

/// Longest line that is read, in bytes; the longest lists of abilities have some 1,000.
const LINE_MAX_BYTES: usize = 8 * 1024;

/// Longest code that is taken for one, in bytes; the longest known have 20.
const CODE_MAX_BYTES: usize = 40;

/// One answer, as far as it matters for a login.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The end of a command, with the server's words.
    Done(Verdict, ServerWords),
    /// The server says something of itself: greeting or goodbye.
    Said(Verdict, ServerWords),
    /// The server can do this.
    Can(Abilities),
    /// The server waits for more.
    GoOn,
    /// Anything else.
    Other,
}

/// How a server finds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it was asked for.
    Ok,
    /// Refused.
    No,
    /// Not understood.
    Bad,
    /// It hangs up.
    Bye,
    /// It lets in without a password.
    PreAuth,
}

/// Which ways in a server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// The command LOGIN.
    pub login: bool,
    /// AUTHENTICATE PLAIN.
    pub plain: bool,
}

/// What was said is not what an IMAP server says before a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotImap;

/// One answer at the front of `heard`, and its length in bytes; `None` if it has not been heard whole.
///
/// # Errors
/// If it is no answer, or one that goes on behind its line: before a login none has to.
pub fn read(heard: &[u8]) -> Result<Option<(Answer, usize)>, NotImap> {
    let Some(end) = heard.iter().position(|byte| *byte == b'\n') else {
        return match heard.len() {
            ..=LINE_MAX_BYTES => Ok(None),
            _ => Err(NotImap),
        };
    };
    let line = heard.get(..end).unwrap_or_default();
    if line.len() > LINE_MAX_BYTES || announces_literal(line) {
        return Err(NotImap);
    }
    let answer = sorted(String::from_utf8_lossy(line).trim_end()).ok_or(NotImap)?;
    Ok(Some((answer, end + 1)))
}

/// Whether so many bytes as stand at the line's end in braces come behind it.
fn announces_literal(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b"}")
}

fn sorted(line: &str) -> Option<Answer> {
    let (tag, rest) = split(line);
    match tag {
        "+" => Some(Answer::GoOn),
        "*" => Some(untagged(rest)),
        _ if is_ours(tag) => tagged(rest),
        _ => None,
    }
}

/// Commands are numbered `k1`, `k2` and so on.
fn is_ours(tag: &str) -> bool {
    let number = tag.strip_prefix('k').unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn tagged(rest: &str) -> Option<Answer> {
    let (word, text) = split(rest);
    match verdict(word)? {
        Verdict::Bye | Verdict::PreAuth => None,
        verdict => Some(Answer::Done(verdict, words(text))),
    }
}

/// What a server says without being asked need not be understood.
fn untagged(rest: &str) -> Answer {
    let (word, text) = split(rest);
    match verdict(word) {
        Some(verdict) => Answer::Said(verdict, words(text)),
        None if word.eq_ignore_ascii_case("CAPABILITY") => Answer::Can(abilities(text)),
        None => Answer::Other,
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

fn verdict(word: &str) -> Option<Verdict> {
    let named = [
        ("OK", Verdict::Ok),
        ("NO", Verdict::No),
        ("BAD", Verdict::Bad),
        ("BYE", Verdict::Bye),
        ("PREAUTH", Verdict::PreAuth),
    ];
    let found = named
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(word));
    found.map(|(_, verdict)| *verdict)
}

fn abilities(list: &str) -> Abilities {
    let has = |name: &str| {
        list.split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case(name))
    };
    Abilities {
        login: !has("LOGINDISABLED"),
        plain: has("AUTH=PLAIN"),
    }
}

/// `[CODE more] text`: code and text.
fn words(text: &str) -> ServerWords {
    let coded = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match coded {
        Some((code, text)) => ServerWords {
            code: clean_code(split(code).0),
            text: text.trim().to_owned(),
        },
        None => ServerWords {
            code: None,
            text: text.trim().to_owned(),
        },
    }
}

/// A code as the standards write them; it goes into logs and the sequence of changes.
fn clean_code(code: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = !code.is_empty() && code.len() <= CODE_MAX_BYTES && code.bytes().all(is_part);
    fits.then(|| code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Answer, usize) {
        read(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn answers_are_read_one_by_one_and_in_whole() {
        let refused = "k3 NO [AUTHENTICATIONFAILED] Invalid credentials\r\n";
        let (answer, length) = one(&format!("{refused}* BYE\r\n"));
        let words = ServerWords {
            code: Some("AUTHENTICATIONFAILED".into()),
            text: "Invalid credentials".into(),
        };
        assert_eq!(answer, Answer::Done(Verdict::No, words));
        assert_eq!(length, refused.len());
        assert_eq!(read(b"k3 NO [AUTHENTI").unwrap(), None);
        let (answer, _) = one("* CAPABILITY IMAP4rev1 AUTH=PLAIN LOGINDISABLED\r\n");
        let abilities = Abilities {
            login: false,
            plain: true,
        };
        assert_eq!(answer, Answer::Can(abilities));
        assert_eq!(one("+ \r\n").0, Answer::GoOn);
        assert_eq!(one("* WHATEVER 7 (x)\r\n"), (Answer::Other, 18));
        assert!(read(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }

    #[test]
    fn what_is_no_code_is_not_passed_on_as_one() {
        for text in ["[\u{1b}c]", "[]", &format!("[{}]", "X".repeat(41)), "[a;b]"] {
            let said = words(&format!("{text} no"));
            assert_eq!((said.code, said.text.as_str()), (None, "no"), "{text}");
        }
        let said = words("[limit 3] no");
        assert_eq!(said.code.as_deref(), Some("LIMIT"));
    }

    #[test]
    fn depth_and_length_are_nothing_to_it() {
        let deep = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n", "(".repeat(8000));
        assert_eq!(one(&deep), (Answer::Other, deep.len()));
        for (bytes, is_waited_for) in [(LINE_MAX_BYTES, true), (LINE_MAX_BYTES + 1, false)] {
            let heard = vec![b'*'; bytes];
            assert_eq!(read(&heard), is_waited_for.then_some(None).ok_or(NotImap));
        }
        let long = format!("* OK {}\r\n", "x".repeat(LINE_MAX_BYTES));
        assert_eq!(read(long.as_bytes()), Err(NotImap));
    }

    #[test]
    fn what_goes_on_behind_its_line_is_refused() {
        for line in ["* OK {3}", "* 1 FETCH (X {3+}", "k3 NO [ALERT] {12}"] {
            assert_eq!(
                read(format!("{line}\r\nabc").as_bytes()),
                Err(NotImap),
                "{line}"
            );
        }
    }

    #[test]
    fn only_commands_of_ours_can_end() {
        for line in ["a1 OK", "k OK", "kx OK", "k1 BYE", "k1 FINE", "k1", "", " "] {
            assert_eq!(
                read(format!("{line}\r\n").as_bytes()),
                Err(NotImap),
                "{line}"
            );
        }
        assert_eq!(
            one("k12 ok\r\n").0,
            Answer::Done(Verdict::Ok, ServerWords::default())
        );
        assert_eq!(
            one("* bye\n").0,
            Answer::Said(Verdict::Bye, ServerWords::default())
        );
    }
}
