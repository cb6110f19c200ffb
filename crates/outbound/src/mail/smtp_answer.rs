//! What an SMTP server says (RFC 5321, section 4.2): a code of three digits, and lines of text.

use super::ServerWords;
use smtp_proto::Error;
use smtp_proto::response::parser::ResponseReceiver;

/// One whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The three digits.
    pub code: u16,
    /// Class, subject and detail (RFC 3463); nothing but zeros where there are none.
    enhanced: [u8; 3],
    text: String,
}

impl Answer {
    /// What it says, with its codes as one.
    #[must_use]
    pub fn words(self) -> ServerWords {
        let [class, subject, detail] = self.enhanced;
        let code = match class {
            0 => self.code.to_string(),
            _ => format!("{} {class}.{subject}.{detail}", self.code),
        };
        ServerWords {
            code: Some(code),
            text: self.text.trim().to_owned(),
        }
    }

    /// What a line of the answer to EHLO that begins with `keyword` says beside it.
    #[must_use]
    pub fn offers(&self, keyword: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    }

    /// Whether a password can be told in this way.
    #[must_use]
    pub fn has_mechanism(&self, name: &str) -> bool {
        let offered = self.offers("AUTH").unwrap_or_default();
        offered
            .split_whitespace()
            .any(|one| one.eq_ignore_ascii_case(name))
    }
}

/// What was said is not SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSmtp;

/// One answer at the front of `heard`, and its length in bytes; `None` if it has not been heard whole.
///
/// # Errors
/// If it is no answer.
pub fn read(heard: &[u8]) -> Result<Option<(Answer, usize)>, NotSmtp> {
    let mut bytes = heard.iter();
    match ResponseReceiver::default().parse(&mut bytes) {
        Ok(response) => {
            let answer = Answer {
                code: response.code,
                enhanced: response.esc,
                text: response.message,
            };
            Ok(Some((answer, heard.len() - bytes.as_slice().len())))
        }
        Err(Error::NeedsMoreData { .. }) => Ok(None),
        Err(_) => Err(NotSmtp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_several_lines_are_one() {
        let text = "250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n";
        let (answer, length) = read(format!("{text}220 next\r\n").as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!((answer.code, length), (250, text.len()));
        assert!(answer.has_mechanism("plain") && answer.has_mechanism("LOGIN"));
        assert!(!answer.has_mechanism("XOAUTH2"));
        assert_eq!(answer.offers("STARTTLS"), Some(""));
        assert_eq!(read(b"250-mail.test\r\n").unwrap(), None);
        assert!(read(b"HTTP/1.1 400 Bad Request\r\n").is_err());
    }
}
