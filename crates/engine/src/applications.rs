//! Applications: made on the command line, read and adjusted through the API.

use crate::caller::Caller;
use crate::engine::{ChangeOf, Engine};
use crate::error::Error;
use crate::keys::key_change;
use crate::redirect_uris::{self, NewRedirectUri, RedirectUriPatch, uri_change};
use crate::tenant_json::check_member;
use keyway_core::application::{AdditionalSettings, ApiKey, Application, RedirectUri};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::ids::{ApplicationId, OrganizationId, RedirectUriId};
use keyway_core::oauth::is_printable;
use keyway_core::redirect_uri::parse_origin;
use keyway_core::time::UnixMillis;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

/// An application to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewApplication {
    /// Its name for people.
    pub name: String,
    /// Its region; the strict SDKs know `us` and `eu`.
    pub region: String,
    /// Its environment.
    pub environment: String,
    /// Where its users may be sent back to.
    pub redirect_uris: Vec<NewRedirectUri>,
}

/// One member of `callback_uris` in a PATCH.
#[derive(Clone, Debug, PartialEq)]
pub enum CallbackUriPatch {
    /// One more.
    New(NewRedirectUri),
    /// One that stays, and what to change of it.
    Kept(RedirectUriId, RedirectUriPatch),
}

/// What to change of an application. Nested objects are replaced whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApplicationPatch {
    /// Members to replace; `null` removes one.
    pub profile: Map<String, Value>,
    /// The write-only switches, replaced whole.
    pub additional_settings: Option<AdditionalSettings>,
    /// All redirect URIs there shall be; those not named are removed.
    pub callback_uris: Option<Vec<CallbackUriPatch>>,
}

fn check_word(name: &str, text: &str) -> Result<(), Error> {
    let fine = !text.trim().is_empty() && text.len() <= 200 && text.chars().all(is_printable);
    if fine {
        Ok(())
    } else {
        Err(Error::field(name, "must be 1 to 200 printable bytes"))
    }
}

/// Where the sign-in box of the hosted page may stand.
const ALIGNMENTS: [&str; 3] = ["left", "center", "right"];

pub(crate) fn no_application() -> Error {
    Error::not_found("No application with this id.")
}

/// The profile is public, and the switches are read at every sign-in.
fn check_sizes(patch: &ApplicationPatch) -> Result<(), Error> {
    for (name, value) in &patch.profile {
        check_member(name, value)?;
    }
    check_member("additional_settings", &patch.additional_settings)
}

/// Members of the profile that mean something to browsers.
fn check_profile(profile: &Map<String, Value>) -> Result<(), Error> {
    let member = |object: &str, name: &str| {
        let found = profile.get(object)?.get(name)?.as_str()?;
        Some(found.trim()).filter(|text| !text.is_empty())
    };
    if let Some(origins) = member("idp_settings", "origins")
        && origins.split(',').any(|o| parse_origin(o.trim()).is_none())
    {
        return Err(Error::field(
            "idp_settings.origins",
            "must be origins separated by commas, each https://host[:port] without path, query or fragment (http on localhost alone)",
        ));
    }
    match member("hosted_authentication", "alignment") {
        Some(alignment) if !ALIGNMENTS.contains(&alignment) => Err(Error::field(
            "hosted_authentication.alignment",
            "must be left, center or right",
        )),
        _ => Ok(()),
    }
}

impl Engine {
    /// Makes an application with its first API key, which is shown now and never again.
    ///
    /// # Errors
    /// If a name is empty or a redirect URI not acceptable; then nothing is made.
    pub async fn create_application(
        &self,
        new: NewApplication,
    ) -> Result<(Application, SecretString, ApiKey), Error> {
        for (name, text) in [
            ("name", &new.name),
            ("region", &new.region),
            ("environment", &new.environment),
        ] {
            check_word(name, text)?;
        }
        let application = self.application_row(&new);
        let uris = new
            .redirect_uris
            .into_iter()
            .map(|uri| self.check_new_redirect_uri(&application, uri))
            .collect::<Result<Vec<_>, _>>()?;
        let (key, secret) = self.new_key(application.id, "first key", None);
        let mut changes = vec![
            application_change(&application, Action::Created, "cli", application.created_at),
            key_change(&key, Action::Created, "cli", key.created_at),
        ];
        changes.extend(
            uris.iter()
                .map(|u| uri_change(u, Action::Created, "cli", u.created_at)),
        );
        let (row, key_row) = (application.clone(), key.clone());
        self.commit(move |s| {
            Box::pin(async move {
                s.insert_application(&row).await?;
                s.insert_api_key(&key_row).await?;
                for uri in &uris {
                    redirect_uris::insert(s, uri).await?;
                }
                Ok(((), changes))
            })
        })
        .await?;
        Ok((application, secret, key))
    }

    fn application_row(&self, new: &NewApplication) -> Application {
        let now = self.now();
        let mut profile = Map::new();
        profile.insert("branding".into(), json!({"name": new.name}));
        Application {
            id: ApplicationId::generate(now, self.entropy()),
            organization_id: OrganizationId::generate(now, self.entropy()),
            name: new.name.clone(),
            region: new.region.clone(),
            environment: new.environment.clone(),
            profile,
            additional: AdditionalSettings::default(),
            blocked: false,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// Applications, oldest first.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn applications(&self, limit: i64, offset: i64) -> Result<Vec<Application>, Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.applications(limit, offset).await }));
        Ok(job.await?)
    }

    /// An application and its redirect URIs.
    ///
    /// # Errors
    /// If there is none with this id.
    pub async fn application(
        &self,
        id: ApplicationId,
    ) -> Result<(Application, Vec<RedirectUri>), Error> {
        let job = self.store().read(move |s| {
            Box::pin(async move { Ok((s.application(id).await?, s.redirect_uris(id).await?)) })
        });
        let (application, uris) = job.await?;
        Ok((application.ok_or_else(no_application)?, uris))
    }

    /// What anyone may know of an application: its branding. For pages that know only the client id.
    ///
    /// # Errors
    /// If there is none with this id.
    pub async fn public_application(&self, id: ApplicationId) -> Result<Application, Error> {
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.application(id).await }));
        job.await?.ok_or_else(no_application)
    }

    /// Changes an application.
    ///
    /// # Errors
    /// If a redirect URI is not acceptable or unknown; then nothing is changed.
    pub async fn update_application(
        &self,
        caller: &Caller,
        patch: ApplicationPatch,
    ) -> Result<(Application, Vec<RedirectUri>), Error> {
        check_profile(&patch.profile)?;
        check_sizes(&patch)?;
        let (current, uris) = self.application(caller.application_id).await?;
        let updated = self.patched(&current, &patch);
        let plan = match patch.callback_uris {
            Some(wanted) => Some(self.plan_uris(&updated, &uris, wanted)?),
            None => None,
        };
        let actor = caller.actor();
        let mut changes = vec![application_change(
            &updated,
            Action::Updated,
            &actor,
            updated.updated_at,
        )];
        changes.extend(
            plan.iter()
                .flat_map(|plan| plan.changes(&actor, updated.updated_at)),
        );
        let row = updated.clone();
        self.commit(move |s| {
            Box::pin(async move {
                if !s.update_application(&row, row.version - 1).await? {
                    return Err(changed_meanwhile());
                }
                if let Some(plan) = plan {
                    plan.apply(s, row.updated_at).await?;
                }
                Ok(((), changes))
            })
        })
        .await?;
        self.application(caller.application_id).await
    }

    fn patched(&self, current: &Application, patch: &ApplicationPatch) -> Application {
        let mut updated = current.clone();
        for (name, value) in &patch.profile {
            match value {
                Value::Null => drop(updated.profile.remove(name)),
                value => drop(updated.profile.insert(name.clone(), value.clone())),
            }
        }
        if let Some(additional) = &patch.additional_settings {
            updated.additional = additional.clone();
        }
        updated.updated_at = self.now();
        updated.version += 1;
        updated
    }

    fn plan_uris(
        &self,
        application: &Application,
        existing: &[RedirectUri],
        wanted: Vec<CallbackUriPatch>,
    ) -> Result<UriPlan, Error> {
        if wanted.len() > redirect_uris::REDIRECT_URIS_MAX {
            return Err(Error::field(
                "callback_uris",
                "holds more than 200 redirect URIs",
            ));
        }
        let mut plan = UriPlan::default();
        for item in wanted {
            match item {
                CallbackUriPatch::New(new) => {
                    let row = self.check_new_redirect_uri(application, new)?;
                    plan.insert.push(row);
                }
                CallbackUriPatch::Kept(id, patch) => {
                    let old = existing.iter().find(|uri| uri.id == id).ok_or_else(|| {
                        Error::field(
                            "callback_uris",
                            format_args!("no redirect URI has the id {id}"),
                        )
                    })?;
                    let row = self.patched_redirect_uri(application, old, patch)?;
                    plan.update.push(row);
                }
            }
        }
        let kept = |uri: &&RedirectUri| !plan.update.iter().any(|kept| kept.id == uri.id);
        plan.delete = existing.iter().filter(kept).cloned().collect();
        Ok(plan)
    }
}

/// What a PATCH with `callback_uris` does to them.
#[derive(Default)]
struct UriPlan {
    insert: Vec<RedirectUri>,
    update: Vec<RedirectUri>,
    delete: Vec<RedirectUri>,
}

impl UriPlan {
    fn changes(&self, actor: &str, at: UnixMillis) -> Vec<NewChange> {
        let of = |list: &[RedirectUri], action| {
            list.iter()
                .map(|uri| uri_change(uri, action, actor, at))
                .collect::<Vec<_>>()
        };
        [
            of(&self.delete, Action::Deleted),
            of(&self.update, Action::Updated),
            of(&self.insert, Action::Created),
        ]
        .concat()
    }

    async fn apply(self, s: &mut keyway_store::Session<'_>, at: UnixMillis) -> Result<(), Error> {
        for uri in &self.delete {
            s.delete_redirect_uri(uri.application_id, uri.id, at)
                .await?;
        }
        for uri in &self.update {
            redirect_uris::update(s, uri).await?;
        }
        for uri in &self.insert {
            redirect_uris::insert(s, uri).await?;
        }
        Ok(())
    }
}

/// Somebody else changed the same row between our read and our write.
pub(crate) fn changed_meanwhile() -> Error {
    Error::new(
        crate::ErrorKind::Unavailable,
        "Somebody else changed this at the same moment; nothing was changed here. Try again.",
    )
    .retry_after(1)
}

fn application_change(row: &Application, action: Action, actor: &str, at: UnixMillis) -> NewChange {
    let change = ChangeOf {
        application_id: row.id,
        entity: Entity::Application,
        id: &row.id,
        action,
        actor,
    };
    change.with(at, json!({"name": row.name}))
}
