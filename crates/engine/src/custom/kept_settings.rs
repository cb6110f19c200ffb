//! What stands of a grant's settings when a change names others.

use super::mail_servers::checked_host;
use crate::engine::Engine;
use crate::error::Error;
use keyway_core::grant::Grant;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

/// What begins the settings of one server.
const SERVERS: [&str; 3] = ["imap", "smtp", "ews"];
/// Where and as whom mail is sent.
const SENDING: [&str; 3] = ["smtp_host", "smtp_port", "smtp_username"];

/// The settings of an account after `change`. A port goes with its host, and the server for sending with the one
/// for reading: the password that comes along must not be shown to the provider the account was at before.
fn changed(kept: &Map<String, Value>, change: Map<String, Value>) -> Map<String, Value> {
    let mut all = kept.clone();
    let moves = |server: &str| names_another(kept, &change, &format!("{server}_host"));
    for server in SERVERS.into_iter().filter(|server| moves(server)) {
        all.remove(&format!("{server}_port"));
    }
    if moves("imap") {
        for name in SENDING {
            all.remove(name);
        }
    }
    all.extend(change);
    all
}

/// Whether a change names another host than the grant has.
fn names_another(kept: &Map<String, Value>, change: &Map<String, Value>, name: &str) -> bool {
    change.contains_key(name) && host(change, name) != host(kept, name)
}

fn host(settings: &Map<String, Value>, name: &str) -> Option<String> {
    settings.get(name)?.as_str().and_then(checked_host)
}

/// Where and as whom mail is sent, as far as the settings name it.
fn sender(settings: &Map<String, Value>) -> Option<(String, &str)> {
    let text = |name: &str| settings.get(name).and_then(Value::as_str);
    let username = text("smtp_username").or_else(|| text("imap_username"))?;
    Some((host(settings, "smtp_host")?, username))
}

impl Engine {
    /// What describes the account of `grant` after `change`, with the password it has for sending alone, as long as
    /// that is shown to whom it was given for.
    ///
    /// # Errors
    /// If there is such a password, and mail would be sent elsewhere or as somebody else.
    pub(super) async fn described_anew(
        &self,
        grant: &Grant,
        change: Map<String, Value>,
    ) -> Result<Map<String, Value>, Error> {
        let mut kept = grant.settings.clone();
        kept.insert("email".to_owned(), grant.email.as_str().into());
        let mut all = changed(&kept, change);
        let Some(sender_now) = sender(&all).filter(|_| !all.contains_key("smtp_password")) else {
            return Ok(all);
        };
        let Some(own) = self.smtp_password(grant).await? else {
            return Ok(all);
        };
        if sender(&kept) != Some(sender_now) {
            let what = "is required: the account has a password of its own for sending; null to send with the account's password";
            return Err(Error::field("settings.smtp_password", what));
        }
        all.insert("smtp_password".to_owned(), own.expose_secret().into());
        Ok(all)
    }

    async fn smtp_password(&self, grant: &Grant) -> Result<Option<SecretString>, Error> {
        let (application_id, id) = (grant.application_id, grant.id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.account_secret(application_id, id).await }));
        let Some(secret) = job.await? else {
            return Ok(None);
        };
        Ok(self.open_passwords(&secret)?.smtp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(kept: &Value, change: &Value) -> Value {
        let map = |value: &Value| value.as_object().unwrap().clone();
        Value::Object(changed(&map(kept), map(change)))
    }

    #[test]
    fn a_port_goes_with_its_host() {
        let ews = json!({"ews_host": "a.test", "ews_port": 8443});
        assert_eq!(
            after(&ews, &json!({"ews_host": "b.test"})),
            json!({"ews_host": "b.test"})
        );
        assert_eq!(
            after(&ews, &json!({"ews_host": null})),
            json!({"ews_host": null})
        );
        // It is the same host, however it is written.
        assert_eq!(
            after(&ews, &json!({"ews_host": "A.test."})),
            json!({"ews_host": "A.test.", "ews_port": 8443})
        );
        let mail = json!({"imap_host": "i.test", "imap_port": 143, "smtp_host": "s.test",
            "smtp_port": 587, "smtp_username": "out"});
        assert_eq!(
            after(&mail, &json!({"smtp_host": "t.test"})),
            json!({"imap_host": "i.test", "imap_port": 143, "smtp_host": "t.test",
                "smtp_username": "out"})
        );
    }

    #[test]
    fn nothing_of_sending_stands_beside_another_server_for_reading() {
        let kept = json!({"imap_username": "ann", "imap_host": "i.test", "imap_port": 143,
            "smtp_host": "s.test", "smtp_port": 587, "smtp_username": "out"});
        assert_eq!(
            after(&kept, &json!({"imap_host": "j.test"})),
            json!({"imap_username": "ann", "imap_host": "j.test"})
        );
        assert_eq!(
            after(
                &kept,
                &json!({"imap_host": "j.test", "smtp_host": "s.test"})
            ),
            json!({"imap_username": "ann", "imap_host": "j.test", "smtp_host": "s.test"})
        );
        let same = json!({"imap_port": 993});
        assert_eq!(after(&kept, &same)["smtp_username"], "out");
    }
}
