//! A client that makes credentials, makes them the default, and deletes them.

use super::line::Line;
use crate::proxy::world::World;
use crate::site::text;
use crate::wire::Answer;
use serde_json::{Value, json};

/// What it asks for.
#[derive(Clone, Debug)]
enum Act {
    Make(String),
    Default(String),
    Delete(String),
}

pub(super) struct Admin {
    /// The connector's first credential, and the one the other clients use beside it.
    others: [String; 2],
    /// Its own, if it has one; by id.
    own: Option<String>,
    default: String,
    unheard: Option<Act>,
    made: u64,
}

impl Admin {
    pub(super) fn new(others: [String; 2]) -> Self {
        Self {
            default: others[0].clone(),
            others,
            own: None,
            unheard: None,
            made: 0,
        }
    }

    /// Asks for one thing after the other until the server does not answer.
    pub(super) fn work(&mut self, line: &Line) {
        while self.act(line).is_some() {}
    }

    fn act(&mut self, line: &Line) -> Option<()> {
        let act = self.next();
        self.unheard = Some(act.clone());
        let told = Self::request(line, &act)?.acknowledged();
        self.unheard = None;
        match act {
            Act::Make(_) => self.own = Some(text(&told.json()["data"], "id")),
            Act::Default(id) => self.default = id,
            Act::Delete(_) => self.own = None,
        }
        Some(())
    }

    /// Made, made the default, and, when it has been that, deleted.
    fn next(&mut self) -> Act {
        self.made += 1;
        match &self.own {
            None => Act::Make(format!("credential {}", self.made)),
            Some(own) if self.default == *own => Act::Default(self.others[0].clone()),
            Some(own) if self.made.is_multiple_of(2) => Act::Delete(own.clone()),
            Some(own) => Act::Default(own.clone()),
        }
    }

    fn request(line: &Line, act: &Act) -> Option<Answer> {
        match act {
            Act::Make(name) => {
                let data = json!({"client_id": name, "client_secret": "secret"});
                let new =
                    json!({"name": name, "credential_type": "connector", "credential_data": data});
                line.api("POST", "/v3/connectors/google/creds", &new)
            }
            Act::Default(id) => {
                let patch = json!({"active_credential_id": id});
                line.api("PATCH", "/v3/connectors/google", &patch)
            }
            Act::Delete(id) => {
                let path = format!("/v3/connectors/google/creds/{id}");
                line.api("DELETE", &path, &Value::Null)
            }
        }
    }

    /// After a crash: what was acknowledged is there, and of what was not answered all or nothing.
    pub(super) fn check(&mut self, world: &World) {
        let default = world
            .texts("SELECT active_credential_id FROM connectors")
            .remove(0);
        let own = self.stored(world);
        let (is_same, perhaps) = (own == self.own, self.unheard.take());
        let is_good = match &perhaps {
            Some(Act::Default(id)) => is_same && (default == self.default || default == *id),
            Some(Act::Make(_)) => default == self.default && (is_same || own.is_some()),
            Some(Act::Delete(_)) => default == self.default && (is_same || own.is_none()),
            None => default == self.default && is_same,
        };
        assert!(
            is_good,
            "acknowledged {:?} and {}, perhaps {perhaps:?}, found {own:?} and {default}",
            self.own, self.default
        );
        (self.default, self.own) = (default, own);
    }

    fn stored(&self, world: &World) -> Option<String> {
        let [first, second] = &self.others;
        let mut own = world.texts(&format!(
            "SELECT id FROM credentials WHERE deleted_at IS NULL AND id NOT IN ('{first}', '{second}')"
        ));
        assert!(own.len() <= 1, "{own:?}");
        own.pop()
    }
}
