//! The messages of one user.

use crate::config::UserConfig;
use keyway_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// How many messages a mailbox holds; past that the oldest go.
const MAX_MESSAGES: usize = 200;
/// How long a message's parts may be together, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) folder: &'static str,
    /// Seconds since the epoch.
    pub(crate) date: i64,
}

/// The body of `POST /api/messages`.
#[derive(Deserialize)]
pub(crate) struct Draft {
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    body: String,
}

impl Draft {
    pub(crate) fn is_sendable(&self) -> bool {
        let bytes = self.to.iter().map(String::len).sum::<usize>() + self.subject.len();
        let is_addressed = !self.to.is_empty() && self.to.iter().all(|to| to.contains('@'));
        is_addressed && bytes + self.body.len() <= MAX_MESSAGE_BYTES
    }
}

#[derive(Debug)]
pub(crate) struct Mailbox {
    messages: Vec<Message>,
    last_number: u64,
}

impl Mailbox {
    /// A mailbox with two messages to read.
    pub(crate) fn welcoming(user: &UserConfig, now: UnixMillis) -> Self {
        let mut mailbox = Self {
            messages: Vec::new(),
            last_number: 0,
        };
        let texts = [
            (
                "Welcome to the sandbox",
                "Nobody reads this mailbox but you. It is gone at the next start.",
            ),
            ("Lunch on Thursday?", "The usual place, half past twelve."),
        ];
        for (subject, body) in texts {
            mailbox.put(
                "hello@example.net",
                std::slice::from_ref(&user.email),
                subject,
                body,
                "inbox",
                now,
            );
        }
        mailbox
    }

    /// Keeps a sent message and returns it.
    pub(crate) fn send(&mut self, from: &str, draft: &Draft, now: UnixMillis) -> Message {
        self.put(from, &draft.to, &draft.subject, &draft.body, "sent", now)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a message, in its own order"
    )]
    fn put(
        &mut self,
        from: &str,
        to: &[String],
        subject: &str,
        body: &str,
        folder: &'static str,
        now: UnixMillis,
    ) -> Message {
        self.last_number += 1;
        let message = Message {
            id: format!("msg-{}", self.last_number),
            from: from.to_owned(),
            to: to.to_vec(),
            subject: subject.to_owned(),
            body: body.to_owned(),
            folder,
            date: now.as_secs(),
        };
        if self.messages.len() >= MAX_MESSAGES {
            self.messages.remove(0);
        }
        self.messages.push(message.clone());
        message
    }

    /// All messages, the newest first.
    pub(crate) fn newest_first(&self) -> Vec<Message> {
        self.messages.iter().rev().cloned().collect()
    }

    pub(crate) fn message(&self, id: &str) -> Option<Message> {
        self.messages
            .iter()
            .find(|message| message.id == id)
            .cloned()
    }
}
