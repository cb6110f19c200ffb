//! Logging in over IMAP: greeting, STARTTLS, CAPABILITY, LOGIN or AUTHENTICATE PLAIN, LOGOUT.

use super::dialog::Dialog;
use super::imap_answer::{Abilities, Answer, NotImap, Verdict, read};
use super::{MailFailure, MailLogin, NoWay, ServerWords};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Words of a server that refuses everybody for the moment, and no password (RFC 5530; the last is not in it).
const NOT_NOW: [&str; 7] = [
    "UNAVAILABLE",
    "INUSE",
    "LIMIT",
    "SERVERBUG",
    "CONTACTADMIN",
    "OVERQUOTA",
    "THROTTLED",
];

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
            Err(NotImap) => return Err(dialog.nonsense("what it says is not IMAP")),
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
