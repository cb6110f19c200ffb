//! Logging in over IMAP: greeting, STARTTLS, CAPABILITY, LOGIN or AUTHENTICATE PLAIN, LOGOUT.

use super::dialog::Dialog;
use super::{MailFailure, MailLogin, NoWay, ServerWords};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_proto::{Capability, Response, Status};
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Words of a server that refuses everybody for the moment, and no password (RFC 5530).
const NOT_NOW: [&str; 6] = [
    "UNAVAILABLE",
    "INUSE",
    "LIMIT",
    "SERVERBUG",
    "CONTACTADMIN",
    "OVERQUOTA",
];

/// Longest code that is taken for one, in bytes; the longest known have 20.
const CODE_MAX_BYTES: usize = 40;

/// One answer, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    No,
    Bad,
    Bye,
    PreAuth,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Abilities {
    login: bool,
    plain: bool,
}

/// One answer at the front of `heard`, and how long it is; `None` if it has not been heard whole.
fn read(heard: &[u8]) -> Result<Option<(Answer, usize)>, ()> {
    match Response::parse(heard) {
        Ok((rest, response)) => {
            let length = heard.len() - rest.len();
            let raw = heard.get(..length).unwrap_or(heard);
            Ok(Some((sorted(response, raw), length)))
        }
        Err(error) if error.is_incomplete() => Ok(None),
        // What a server says without being asked need not be understood.
        Err(_) if heard.starts_with(b"* ") => {
            let end = heard.iter().position(|byte| *byte == b'\n');
            Ok(end.map(|end| (Answer::Other, end + 1)))
        }
        Err(_) => Err(()),
    }
}

fn sorted(response: Response<'_>, raw: &[u8]) -> Answer {
    match response {
        Response::Done { status, .. } => Answer::Done(verdict(&status), words(raw)),
        Response::Data { status, .. } => Answer::Said(verdict(&status), words(raw)),
        Response::Capabilities(list) => Answer::Can(abilities(&list)),
        Response::Continue(_) => Answer::GoOn,
        _ => Answer::Other,
    }
}

const fn verdict(status: &Status) -> Verdict {
    match status {
        Status::Ok => Verdict::Ok,
        Status::No => Verdict::No,
        Status::Bad => Verdict::Bad,
        Status::Bye => Verdict::Bye,
        Status::PreAuth => Verdict::PreAuth,
    }
}

fn abilities(list: &[Capability<'_>]) -> Abilities {
    let has_atom = |word: &str| {
        list.iter()
            .any(|one| matches!(one, Capability::Atom(atom) if atom.eq_ignore_ascii_case(word)))
    };
    let has_plain = |one: &Capability<'_>| matches!(one, Capability::Auth(kind) if kind.eq_ignore_ascii_case("PLAIN"));
    Abilities {
        login: !has_atom("LOGINDISABLED"),
        plain: list.iter().any(has_plain),
    }
}

/// `k1 NO [CODE more] text`: code and text. The library knows few codes, and none of those that matter here.
fn words(raw: &[u8]) -> ServerWords {
    let line = String::from_utf8_lossy(raw);
    let text = line.splitn(3, ' ').nth(2).unwrap_or_default().trim();
    let coded = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    match coded {
        Some((code, text)) => ServerWords {
            code: code.split(' ').next().and_then(clean_code),
            text: text.trim().to_owned(),
        },
        None => ServerWords {
            code: None,
            text: text.to_owned(),
        },
    }
}

/// A code as the standards write them; it goes into logs and the sequence of changes.
fn clean_code(code: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = !code.is_empty() && code.len() <= CODE_MAX_BYTES && code.bytes().all(is_part);
    fits.then(|| code.to_ascii_uppercase())
}

async fn next<S>(dialog: &mut Dialog<S>) -> Result<Answer, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match read(dialog.heard()) {
            Ok(Some((answer, bytes))) => {
                dialog.understood(bytes);
                return Ok(answer);
            }
            Ok(None) => dialog.listen().await?,
            Err(()) => return Err(dialog.nonsense("what it says is not IMAP")),
        }
    }
}

/// What became of a command.
struct Outcome {
    verdict: Verdict,
    words: ServerWords,
    abilities: Option<Abilities>,
}

/// Waits for the end of a command, or for leave to go on with it.
async fn outcome<S>(dialog: &mut Dialog<S>) -> Result<Option<Outcome>, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut abilities = None;
    loop {
        match next(dialog).await? {
            Answer::Done(verdict, words) => {
                return Ok(Some(Outcome {
                    verdict,
                    words,
                    abilities,
                }));
            }
            Answer::Said(Verdict::Bye, words) => return Err(MailFailure::NotNow(words)),
            Answer::Can(list) => abilities = Some(list),
            Answer::GoOn => return Ok(None),
            Answer::Said(..) | Answer::Other => {}
        }
    }
}

async fn command<S>(dialog: &mut Dialog<S>, line: &str) -> Result<Outcome, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    dialog.say(line.as_bytes()).await?;
    match outcome(dialog).await? {
        Some(outcome) => Ok(outcome),
        None => Err(dialog.nonsense("it waits for more than there is to say")),
    }
}

async fn greeting<S>(dialog: &mut Dialog<S>) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match next(dialog).await? {
        Answer::Said(Verdict::Ok, _) => Ok(()),
        Answer::Said(Verdict::Bye, words) => Err(MailFailure::NotNow(words)),
        // It takes anybody for somebody, so it cannot tell whether a password is good.
        Answer::Said(Verdict::PreAuth, _) => Err(MailFailure::NoWay(NoWay::Password)),
        _ => Err(dialog.nonsense("it does not greet as IMAP servers do")),
    }
}

/// Everything that is said in clear.
pub(super) async fn ask_for_tls<S>(dialog: &mut Dialog<S>) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    greeting(dialog).await?;
    match command(dialog, "k1 STARTTLS\r\n").await?.verdict {
        Verdict::Ok => Ok(()),
        _ => Err(MailFailure::NoWay(NoWay::Encryption)),
    }
}

/// Opens the account. After STARTTLS there is no second greeting.
pub(super) async fn log_in<S>(
    dialog: &mut Dialog<S>,
    login: &MailLogin,
    is_greeted: bool,
) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !is_greeted {
        greeting(dialog).await?;
    }
    let listed = command(dialog, "k2 CAPABILITY\r\n").await?;
    let Some(abilities) = listed.abilities else {
        return Err(dialog.nonsense("it does not say what it can do"));
    };
    let outcome = match way_in(login, abilities)? {
        Way::Login => command(dialog, &login_line(login)).await?,
        Way::Plain => plain(dialog, login).await?,
    };
    judged(dialog, outcome)?;
    // The account has opened; whether the goodbye arrives matters to nobody.
    let _ = dialog.say(b"k5 LOGOUT\r\n").await;
    Ok(())
}

enum Way {
    Login,
    Plain,
}

/// LOGIN where it can be said: every server knows it, and it carries ASCII alone.
fn way_in(login: &MailLogin, abilities: Abilities) -> Result<Way, MailFailure> {
    let is_ascii = login.username.is_ascii() && login.password.expose_secret().is_ascii();
    match abilities {
        Abilities { login: true, .. } if is_ascii => Ok(Way::Login),
        Abilities { plain: true, .. } => Ok(Way::Plain),
        _ => Err(MailFailure::NoWay(NoWay::Password)),
    }
}

fn login_line(login: &MailLogin) -> Zeroizing<String> {
    let quoted = |text: &str| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        Zeroizing::new(format!("\"{escaped}\""))
    };
    let (name, password) = (&login.username, login.password.expose_secret());
    let (name, password) = (quoted(name), quoted(password));
    Zeroizing::new(format!("k3 LOGIN {} {}\r\n", &*name, &*password))
}

async fn plain<S>(dialog: &mut Dialog<S>, login: &MailLogin) -> Result<Outcome, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    dialog.say(b"k4 AUTHENTICATE PLAIN\r\n").await?;
    if let Some(outcome) = outcome(dialog).await? {
        return Ok(outcome);
    }
    let answer = Zeroizing::new(format!("{}\r\n", &*plain_response(login)));
    command(dialog, &answer).await
}

/// RFC 4616: nobody else's name, the name, the password.
pub(super) fn plain_response(login: &MailLogin) -> Zeroizing<String> {
    let (name, password) = (&login.username, login.password.expose_secret());
    let message = Zeroizing::new(format!("\0{name}\0{password}"));
    Zeroizing::new(STANDARD.encode(message.as_bytes()))
}

fn judged<S>(dialog: &Dialog<S>, outcome: Outcome) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let code = outcome.words.code.as_deref();
    match outcome.verdict {
        Verdict::Ok => Ok(()),
        Verdict::No if code.is_some_and(|code| NOT_NOW.contains(&code)) => {
            Err(MailFailure::NotNow(outcome.words))
        }
        Verdict::No => Err(MailFailure::Refused(outcome.words)),
        Verdict::Bad | Verdict::Bye | Verdict::PreAuth => {
            Err(dialog.nonsense("it does not understand a login"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::mail_servers::{MailProtocol, MailServer};
    use secrecy::SecretString;

    fn login(username: &str, password: &str) -> MailLogin {
        MailLogin {
            protocol: MailProtocol::Imap,
            server: MailServer {
                host: "h".into(),
                port: 993,
            },
            username: username.into(),
            password: SecretString::from(password.to_owned()),
        }
    }

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
            let said = words(format!("k3 NO {text} no\r\n").as_bytes());
            assert_eq!((said.code, said.text.as_str()), (None, "no"), "{text}");
        }
        let said = words(b"k3 NO [limit 3] no\r\n");
        assert_eq!(said.code.as_deref(), Some("LIMIT"));
    }

    #[test]
    fn a_login_cannot_be_broken_out_of() {
        let line = login_line(&login("a\"b\\c", "p\" LOGOUT"));
        assert_eq!(&*line, "k3 LOGIN \"a\\\"b\\\\c\" \"p\\\" LOGOUT\"\r\n");
    }

    #[test]
    fn passwords_beyond_ascii_need_a_way_that_carries_them() {
        let both = Abilities {
            login: true,
            plain: true,
        };
        let only = |login, plain| Abilities { login, plain };
        assert!(matches!(way_in(&login("a", "b"), both), Ok(Way::Login)));
        assert!(matches!(way_in(&login("a", "ü"), both), Ok(Way::Plain)));
        assert!(way_in(&login("a", "ü"), only(true, false)).is_err());
        assert!(way_in(&login("a", "b"), only(false, false)).is_err());
    }
}
