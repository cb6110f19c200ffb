//! Logging in over SMTP: greeting, EHLO, STARTTLS, AUTH PLAIN or LOGIN, QUIT. Nothing is sent.

use super::dialog::Dialog;
use super::imap::plain_response;
use super::smtp_answer::{Answer, NotSmtp, read};
use super::{MailFailure, MailLogin, NoWay};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// How this client calls itself: the server knows its address, and its name is nobody's business.
const EHLO: &[u8] = b"EHLO [127.0.0.1]\r\n";

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
            Err(NotSmtp) => return Err(dialog.nonsense("what it says is not SMTP")),
        }
    }
}

async fn command<S>(dialog: &mut Dialog<S>, line: &[u8]) -> Result<Answer, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    dialog.say(line).await?;
    next(dialog).await
}

/// An answer that must be the `expected` one before anything can go on.
fn required(answer: Answer, expected: u16) -> Result<Answer, MailFailure> {
    match answer.code {
        code if code == expected => Ok(answer),
        _ => Err(MailFailure::NotNow(answer.words())),
    }
}

async fn greeting<S>(dialog: &mut Dialog<S>) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = next(dialog).await?;
    required(answer, 220).map(drop)
}

async fn hello<S>(dialog: &mut Dialog<S>) -> Result<Answer, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    required(command(dialog, EHLO).await?, 250)
}

/// Everything that is said in clear.
pub(super) async fn ask_for_tls<S>(dialog: &mut Dialog<S>) -> Result<(), MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    greeting(dialog).await?;
    hello(dialog).await?;
    match command(dialog, b"STARTTLS\r\n").await?.code {
        220 => Ok(()),
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
    let offers = hello(dialog).await?;
    let answer = if offers.has_mechanism("PLAIN") {
        plain(dialog, login).await?
    } else if offers.has_mechanism("LOGIN") {
        by_questions(dialog, login).await?
    } else {
        return Err(MailFailure::NoWay(NoWay::Password));
    };
    judged(answer)?;
    // The account has opened; whether the goodbye arrives matters to nobody.
    let _ = dialog.say(b"QUIT\r\n").await;
    Ok(())
}

async fn plain<S>(dialog: &mut Dialog<S>, login: &MailLogin) -> Result<Answer, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let line = Zeroizing::new(format!("AUTH PLAIN {}\r\n", &*plain_response(login)));
    command(dialog, line.as_bytes()).await
}

/// `AUTH LOGIN`: the server asks for the name, then for the password.
async fn by_questions<S>(dialog: &mut Dialog<S>, login: &MailLogin) -> Result<Answer, MailFailure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut answer = command(dialog, b"AUTH LOGIN\r\n").await?;
    for told in [login.username.as_str(), login.password.expose_secret()] {
        if answer.code != 334 {
            return Ok(answer);
        }
        let line = Zeroizing::new(format!("{}\r\n", STANDARD.encode(told)));
        answer = command(dialog, line.as_bytes()).await?;
    }
    Ok(answer)
}

/// RFC 4954: 235 lets in, 4xx may do so later, and whatever else is a refusal.
fn judged(answer: Answer) -> Result<(), MailFailure> {
    match answer.code {
        235 => Ok(()),
        400..=499 => Err(MailFailure::NotNow(answer.words())),
        _ => Err(MailFailure::Refused(answer.words())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Answer, usize) {
        read(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_refusal_keeps_its_codes() {
        let (answer, _) = one("535 5.7.8 Error: authentication failed\r\n");
        let Err(MailFailure::Refused(words)) = judged(answer) else {
            panic!("refused")
        };
        assert_eq!(words.code.as_deref(), Some("535 5.7.8"));
        assert_eq!(words.text, "Error: authentication failed");
        let later = judged(one("454 4.7.0 Temporary authentication failure\r\n").0);
        assert!(matches!(later, Err(MailFailure::NotNow(_))));
        assert!(judged(one("235 2.7.0 Authentication successful\r\n").0).is_ok());
    }
}
