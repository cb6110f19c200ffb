//! One client with one user: what it has been told, and what it may not have been told.

use super::line::{Line, Returning};
use crate::proxy::world::{CLIENT, OTHER_CLIENT, World};
use crate::site::text;
use crate::wire::Answer;
use serde_json::{Value, json};

/// A grant, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Unknown of a grant whose making nobody heard of.
    id: Option<String>,
    credential: String,
    label: Option<String>,
}

/// What a client asks for.
#[derive(Clone, Debug)]
enum Ask {
    SignIn(usize),
    Bring(usize),
    Label(String),
    Refresh,
    Delete,
}

/// A request that was sent and not answered.
enum Unheard {
    Nothing,
    /// A callback: it gave a code to nobody.
    Callback(Returning),
    /// An exchange through that credential.
    Exchange(String, usize),
    Refresh(String),
    /// What has its effect, or has not.
    Change(Ask),
}

/// A client. Its random numbers are its own.
pub(super) struct Client {
    email: String,
    credentials: [String; 2],
    known: Option<Known>,
    refresh_token: Option<String>,
    unheard: Unheard,
    random: u64,
    pub(super) counts: Counts,
}

/// What came of a client's requests.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Stories that were answered to their end.
    pub(super) acknowledged: u64,
    /// Changes that were asked for and not answered.
    pub(super) unheard: u64,
    /// Of these, those that had taken effect.
    pub(super) happened: u64,
}

/// Small and good enough to choose with (Marsaglia's xorshift).
pub(super) fn draw(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % below
}

impl Client {
    pub(super) fn new(number: u64, credentials: [String; 2], seed: u64) -> Self {
        Self {
            email: format!("user-{number}@example.com"),
            credentials,
            known: None,
            refresh_token: None,
            unheard: Unheard::Nothing,
            random: (seed + 1)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15)
                .wrapping_add(number)
                | 1,
            counts: Counts::default(),
        }
    }

    fn choose(&mut self) -> Ask {
        let credential = usize::from(draw(&mut self.random, 2) == 1);
        let choice = draw(&mut self.random, 10);
        match (choice, &self.known, &self.refresh_token) {
            (0..=3, _, _) | (_, None, _) => Ask::SignIn(credential),
            (4 | 5, _, _) => Ask::Bring(credential),
            (6, _, Some(_)) => Ask::Refresh,
            (7, _, _) => Ask::Delete,
            _ => Ask::Label(format!(
                "{}-{}",
                self.email,
                draw(&mut self.random, u64::MAX)
            )),
        }
    }

    /// Asks for one thing after the other until the server does not answer.
    pub(super) fn work(&mut self, line: &Line) {
        loop {
            let ask = self.choose();
            if self.ask(line, ask).is_none() {
                return;
            }
            self.counts.acknowledged += 1;
        }
    }

    fn ask(&mut self, line: &Line, ask: Ask) -> Option<()> {
        match ask {
            Ask::SignIn(credential) => self.sign_in(line, credential),
            Ask::Refresh => self.refresh(line),
            ask => {
                self.unheard = Unheard::Change(ask.clone());
                let told = self.request(line, &ask)?.acknowledged();
                self.unheard = Unheard::Nothing;
                self.note(&ask);
                if let Ask::Bring(_) = ask {
                    self.name(text(&told.json()["data"], "id"));
                }
                Some(())
            }
        }
    }

    fn request(&self, line: &Line, ask: &Ask) -> Option<Answer> {
        let id = self.known.as_ref().and_then(|known| known.id.as_deref());
        let path = format!("/v3/grants/{}", id.unwrap_or(&self.email));
        match ask {
            Ask::Label(label) => line.api("PATCH", &path, &json!({"external_id": label})),
            Ask::Delete => line.api("DELETE", &path, &Value::Null),
            Ask::Bring(credential) => {
                let client = [CLIENT, OTHER_CLIENT][*credential];
                let scopes = ["openid", "email", "mail.read"];
                let token = line
                    .sandbox
                    .mint_refresh_token(client, &self.email, &scopes);
                let settings =
                    json!({"refresh_token": token, "credential_id": self.credentials[*credential]});
                let body = json!({"provider": "google", "settings": settings});
                line.api("POST", "/v3/connect/custom", &body)
            }
            Ask::SignIn(_) | Ask::Refresh => panic!("no single request"),
        }
    }

    fn sign_in(&mut self, line: &Line, credential: usize) -> Option<()> {
        let returning = line.to_provider(&self.email, &self.credentials[credential])?;
        self.unheard = Unheard::Callback(returning.clone());
        let code = line
            .come_back(&returning)?
            .expect("a first callback gives a code");
        self.unheard = Unheard::Exchange(code.clone(), credential);
        let told = line.exchange(&code)?.acknowledged();
        self.unheard = Unheard::Nothing;
        self.note(&Ask::SignIn(credential));
        self.name(text(&told.json(), "grant_id"));
        self.refresh_token = Some(text(&told.json(), "refresh_token"));
        Some(())
    }

    fn refresh(&mut self, line: &Line) -> Option<()> {
        let token = self
            .refresh_token
            .take()
            .expect("chosen only if there is one");
        self.unheard = Unheard::Refresh(token.clone());
        let told = line.refresh(&token)?.acknowledged();
        self.unheard = Unheard::Nothing;
        self.refresh_token = Some(text(&told.json(), "refresh_token"));
        Some(())
    }

    /// What becomes of what is known, by `ask`.
    fn after(&self, ask: &Ask) -> Option<Known> {
        let before = self.known.clone();
        match ask {
            Ask::SignIn(credential) | Ask::Bring(credential) => Some(Known {
                credential: self.credentials[*credential].clone(),
                id: before.as_ref().and_then(|known| known.id.clone()),
                label: before.and_then(|known| known.label),
            }),
            Ask::Label(label) => before.map(|known| Known {
                label: Some(label.clone()),
                ..known
            }),
            Ask::Delete => None,
            Ask::Refresh => before,
        }
    }

    fn note(&mut self, ask: &Ask) {
        self.known = self.after(ask);
        if self.known.is_none() {
            self.refresh_token = None;
        }
    }

    /// A grant keeps its id as long as it lives.
    fn name(&mut self, id: String) {
        let known = self.known.as_mut().unwrap();
        assert!(known.id.as_ref().is_none_or(|before| *before == id));
        known.id = Some(id);
    }

    fn stored(&self, world: &World) -> Option<Known> {
        let email = &self.email;
        let mut rows = world.texts(&format!(
            "SELECT id || ' ' || credential_id || ' ' || COALESCE(external_id, '') FROM grants
             WHERE email = '{email}'"
        ));
        assert!(rows.len() <= 1, "{rows:?}");
        let row = rows.pop()?;
        let mut parts = row.split(' ').map(str::to_owned);
        Some(Known {
            id: parts.next(),
            credential: parts.next().unwrap(),
            label: parts.next().filter(|label| !label.is_empty()),
        })
    }

    /// The change nobody heard of, if there was one.
    fn perhaps(&self) -> Option<Ask> {
        match &self.unheard {
            Unheard::Exchange(_, credential) => Some(Ask::SignIn(*credential)),
            Unheard::Change(ask) => Some(ask.clone()),
            Unheard::Nothing | Unheard::Callback(_) | Unheard::Refresh(_) => None,
        }
    }

    /// After a crash: what was acknowledged is there, what was not is there whole or not at all, and what
    /// works once works once.
    pub(super) fn check(&mut self, world: &World, line: &Line) {
        let found = self.stored(world);
        let happened = self.perhaps().filter(|ask| is(&self.after(ask), &found));
        assert!(
            happened.is_some() || is(&self.known, &found),
            "acknowledged {:?}, perhaps {:?}, found {found:?}",
            self.known,
            self.perhaps().map(|ask| self.after(&ask)),
        );
        self.counts.unheard += u64::from(self.perhaps().is_some());
        self.counts.happened += u64::from(happened.is_some());
        let was_known = self.known.clone();
        self.known = found;
        if self.known.is_none() {
            self.refresh_token = None;
        }
        self.try_again(line, was_known != self.known);
        self.unheard = Unheard::Nothing;
        self.assert_works(line);
    }

    /// Sends again what was not answered; `is_done` if it has had its effect.
    fn try_again(&mut self, line: &Line, is_done: bool) {
        match std::mem::replace(&mut self.unheard, Unheard::Nothing) {
            Unheard::Exchange(code, credential) => {
                self.exchange_again(line, &code, credential, is_done);
            }
            Unheard::Callback(returning) => {
                if let Some(code) = line.come_back(&returning).unwrap() {
                    self.unheard = Unheard::Nothing;
                    let told = line.exchange(&code).unwrap();
                    assert_eq!(told.status, 200);
                    self.relearn(&told);
                }
                assert_eq!(line.come_back(&returning).unwrap(), None, "rule 9");
            }
            Unheard::Refresh(token) => {
                let told = line.refresh(&token).unwrap();
                if told.status == 200 {
                    self.refresh_token = Some(text(&told.json(), "refresh_token"));
                }
            }
            Unheard::Change(_) | Unheard::Nothing => {}
        }
    }

    /// Rule 9: a code works unless it has worked. (Through the credential the grant has already, nothing shows
    /// whether it has.)
    fn exchange_again(&mut self, line: &Line, code: &str, credential: usize, is_done: bool) {
        let told = line.exchange(code).unwrap();
        assert!(!(is_done && told.status == 200), "a code worked twice");
        if told.status == 200 {
            self.note(&Ask::SignIn(credential));
            self.name(text(&told.json(), "grant_id"));
            self.refresh_token = Some(text(&told.json(), "refresh_token"));
            return;
        }
        assert_eq!(told.json()["error"], "invalid_grant");
    }

    /// A sign-in whose credential is not remembered has ended well: what is stored is what is known.
    fn relearn(&mut self, told: &Answer) {
        let told = told.json();
        self.refresh_token = Some(text(&told, "refresh_token"));
        let id = text(&told, "grant_id");
        let label = self.known.take().and_then(|known| known.label);
        self.known = Some(Known {
            id: Some(id),
            credential: String::new(),
            label,
        });
    }

    /// The grant's tokens open, and the provider takes them; Keyway's own refresh token works.
    fn assert_works(&mut self, line: &Line) {
        let Some(known) = &mut self.known else {
            return;
        };
        let path = format!("/v3/grants/{}/proxy/echo", known.id.as_ref().unwrap());
        let told = line.call("GET", &path, "").unwrap();
        assert_eq!(told.status, 200, "{known:?}");
        if self.refresh_token.is_some() {
            self.refresh(line).unwrap();
        }
    }

    /// What is stored counts from here.
    pub(super) fn settle(&mut self, world: &World) {
        self.known = self.stored(world);
    }
}

/// Whether that is what was found; an id nobody heard of is any.
fn is(expected: &Option<Known>, found: &Option<Known>) -> bool {
    match (expected, found) {
        (Some(expected), Some(found)) => {
            let id = expected.id.as_ref();
            id.is_none_or(|id| Some(id) == found.id.as_ref())
                && (&expected.credential, &expected.label) == (&found.credential, &found.label)
        }
        (expected, found) => expected.is_none() && found.is_none(),
    }
}
