//! Credentials on the wire.

use super::fields::Fields;
use crate::errors::Failure;
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::ids::CredentialId;
use keyway_engine::credentials::{CredentialPatch, NewCredential};
use keyway_engine::health::HealthReport;
use serde::Serialize;
use serde_json::{Map, Value};

/// A credential as answered: exactly these four members, none of them its data.
#[derive(Serialize)]
pub(crate) struct CredentialView<'a> {
    id: CredentialId,
    name: &'a str,
    created_at: i64,
    updated_at: i64,
}

impl<'a> From<&'a Credential> for CredentialView<'a> {
    fn from(credential: &'a Credential) -> Self {
        Self {
            id: credential.id,
            name: &credential.name,
            created_at: credential.created_at.as_secs(),
            updated_at: credential.updated_at.as_secs(),
        }
    }
}

#[derive(Serialize)]
struct CountsView {
    valid: i64,
    invalid: i64,
}

/// How a credential is doing.
#[derive(Serialize)]
pub(crate) struct HealthView<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    grants: CountsView,
    redirect_uri: &'a str,
    scope: &'a [String],
}

impl<'a> From<&'a HealthReport> for HealthView<'a> {
    fn from(report: &'a HealthReport) -> Self {
        Self {
            status: report.health.status.as_str(),
            error: report.health.error.as_deref(),
            message: report.health.message.as_deref(),
            since: report.health.since.map(|at| at.as_secs()),
            grants: CountsView {
                valid: report.grants.valid,
                invalid: report.grants.invalid,
            },
            redirect_uri: &report.redirect_uri,
            scope: report.scope.as_slice(),
        }
    }
}

/// The body of a creation.
pub(crate) fn new(body: &Map<String, Value>) -> Result<NewCredential, Failure> {
    let fields = Fields::of(body);
    let name = fields.required("name")?.to_owned();
    let credential_type =
        CredentialType::parse(fields.required("credential_type")?).ok_or_else(|| {
            let what = "must be one of connector, serviceaccount, adminconsent";
            fields.wrong("credential_type", what)
        })?;
    let data = fields
        .object("credential_data")?
        .ok_or_else(|| fields.wrong("credential_data", "is required"))?;
    Ok(NewCredential {
        name,
        credential_type,
        data: data.clone(),
    })
}

/// The body of a change. The type is fixed: a client that repeats it is not told off.
pub(crate) fn patch(body: &Map<String, Value>) -> Result<CredentialPatch, Failure> {
    let fields = Fields::of(body);
    Ok(CredentialPatch {
        name: fields.owned("name")?,
        data: fields.object("credential_data")?.cloned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyway_core::credential::{GrantCounts, Health, HealthStatus};
    use keyway_core::scope::Scopes;
    use serde_json::json;

    #[test]
    fn a_creation_needs_name_type_and_data() {
        let whole = json!({"name": "n", "credential_type": "connector",
                           "credential_data": {"client_id": "c", "extra": 1}});
        let read = new(whole.as_object().unwrap()).unwrap();
        assert_eq!(read.data["extra"], 1);
        for (body, words) in [
            (json!({}), "name: is required"),
            (json!({"name": "n"}), "credential_type: is required"),
            (
                json!({"name": "n", "credential_type": "oauth"}),
                "credential_type: must be one of connector, serviceaccount, adminconsent",
            ),
            (
                json!({"name": "n", "credential_type": "connector"}),
                "credential_data: is required",
            ),
            (
                json!({"name": "n", "credential_type": "connector", "credential_data": "x"}),
                "credential_data: must be an object",
            ),
        ] {
            let failure = new(body.as_object().unwrap()).unwrap_err();
            assert_eq!(failure.message(), words);
        }
    }

    #[test]
    fn health_shows_the_providers_word_and_what_to_register() {
        let report = HealthReport {
            health: Health {
                status: HealthStatus::Failing,
                error: Some("invalid_client".into()),
                ..Health::default()
            },
            grants: GrantCounts {
                valid: 2,
                invalid: 1,
            },
            redirect_uri: "https://kw/v3/connect/callback".into(),
            scope: Scopes::parse("openid").unwrap(),
        };
        assert_eq!(
            serde_json::to_value(HealthView::from(&report)).unwrap(),
            json!({"status": "failing", "error": "invalid_client",
                   "grants": {"valid": 2, "invalid": 1},
                   "redirect_uri": "https://kw/v3/connect/callback", "scope": ["openid"]})
        );
    }
}
