//! The form that asks for a mail account's password.

use super::pages::{Frame, value};
use crate::body::Params;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use http::StatusCode;
use keyway_core::provider::Provider;
use keyway_engine::sign_in::{AccountForm, Trouble, TroubleKind, TypedAccount};
use minijinja::{Value as JinjaValue, context};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

/// One field, as the template shows it.
#[derive(Serialize)]
struct Field {
    name: &'static str,
    kind: &'static str,
    mode: Option<&'static str>,
    autocomplete: &'static str,
    value: Option<String>,
    is_required: bool,
    is_first: bool,
    is_wrong: bool,
    wrong: Option<JinjaValue>,
}

/// Fields under one heading.
#[derive(Serialize)]
struct Group {
    name: &'static str,
    fields: Vec<Field>,
}

/// What a person is asked at once.
const fn asked(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Icloud => &["username", "password"],
        Provider::Ews => &["email", "ews_password"],
        _ => &["email", "imap_password"],
    }
}

/// What a person may say besides, under its headings.
const fn besides(provider: Provider) -> &'static [(&'static str, &'static [&'static str])] {
    match provider {
        Provider::Icloud => &[],
        Provider::Ews => &[("exchange", &["ews_username", "ews_host"])],
        _ => &[
            ("reading", &["imap_host", "imap_port", "imap_username"]),
            (
                "sending",
                &["smtp_host", "smtp_port", "smtp_username", "smtp_password"],
            ),
        ],
    }
}

/// Every name a form can have.
fn names() -> impl Iterator<Item = &'static str> {
    [Provider::Imap, Provider::Icloud, Provider::Ews]
        .into_iter()
        .flat_map(|provider| {
            let more = besides(provider).iter().flat_map(|(_, fields)| *fields);
            asked(provider).iter().chain(more).copied()
        })
}

/// What a posted form holds.
pub(crate) fn typed(mut params: Params) -> Result<TypedAccount, Failure> {
    let mut settings = Map::new();
    for name in names() {
        if let Some(text) = params.take(name)? {
            settings.insert(name.to_owned(), Value::String(text));
        }
    }
    Ok(TypedAccount {
        state: params.take("state")?.map(SecretString::from),
        settings,
    })
}

fn field(form: &AccountForm, frame: &Frame, name: &'static str) -> Field {
    let (kind, mode, autocomplete) = match name {
        "email" | "username" => ("email", Some("email"), "username"),
        _ if name.ends_with("password") => ("password", None, "current-password"),
        _ if name.ends_with("port") => ("text", Some("numeric"), "off"),
        _ => ("text", None, "off"),
    };
    let is_wrong = blamed(form) == Some(name);
    let asked = asked(form.provider);
    let is_empty = |name: &&&str| !form.values.contains_key(**name);
    let first = blamed(form).or_else(|| asked.iter().find(is_empty).copied());
    Field {
        name,
        kind,
        mode,
        autocomplete,
        value: form
            .values
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned),
        is_required: asked.contains(&name),
        is_first: first == Some(name),
        is_wrong,
        wrong: is_wrong.then(|| wrong(form, frame, name)),
    }
}

/// What is said beside the field that is to blame; what there is to do is said above all.
fn wrong(form: &AccountForm, frame: &Frame, name: &str) -> JinjaValue {
    let words = match form.trouble.as_ref().map(|trouble| trouble.kind) {
        Some(TroubleKind::Wrong) => name,
        Some(TroubleKind::Missing) => "missing",
        Some(TroubleKind::Refused | TroubleKind::AppPassword) => "refused",
        _ => "other",
    };
    frame.words(&["wrong", words], &["wrong", "other"])
}

fn blamed(form: &AccountForm) -> Option<&str> {
    form.trouble.as_ref()?.field.as_deref()
}

fn values(form: &AccountForm, frame: &Frame) -> JinjaValue {
    let fields_of = |names: &[&'static str]| -> Vec<Field> {
        names.iter().map(|name| field(form, frame, name)).collect()
    };
    let may_say = |name: &&&str| {
        let is_of_server = name.ends_with("_host") || name.ends_with("_port");
        !(form.servers_are_given && is_of_server)
    };
    let groups: Vec<Group> = besides(form.provider)
        .iter()
        .map(|(name, names)| Group {
            name,
            fields: fields_of(&names.iter().filter(may_say).copied().collect::<Vec<_>>()),
        })
        .collect();
    let is_touched = |field: &Field| field.is_wrong || field.value.is_some();
    let is_open = groups
        .iter()
        .flat_map(|group| &group.fields)
        .any(is_touched);
    context! {
        provider => form.provider.as_str(), state => form.state.expose_secret(),
        fields => value(&fields_of(asked(form.provider))), groups => value(&groups),
        is_open, smtp_required => form.smtp_required, cancel => super::redirect::ascii(&form.cancel),
        trouble => form.trouble.as_ref().map(|trouble| told(trouble, frame)),
    }
}

/// A trouble in words.
fn told(trouble: &Trouble, frame: &Frame) -> JinjaValue {
    let words = frame.words(&["trouble", trouble.kind.as_str()], &["wrong", "other"]);
    let minutes = trouble.wait_secs.unwrap_or_default().div_ceil(60);
    let message = words
        .to_string()
        .replace("{host}", trouble.host.as_deref().unwrap_or_default())
        .replace("{minutes}", &minutes.to_string());
    context! { message }
}

/// The page itself. One that comes back says so by its status.
pub(crate) fn account(call: &Call, frame: &Frame, form: &AccountForm) -> Answer {
    let status = match form.trouble {
        None => StatusCode::OK,
        Some(_) => StatusCode::BAD_REQUEST,
    };
    call.app
        .pages
        .render(status, "account.html", frame, values(form, frame))
}

#[cfg(test)]
mod tests {
    use super::super::pages::tests::rendered_with;
    use super::super::theme::Theme;
    use super::*;
    use keyway_core::ids::ApplicationId;
    use serde_json::json;

    fn form(
        provider: Provider,
        values: &Value,
        trouble: Option<(TroubleKind, &str)>,
    ) -> AccountForm {
        AccountForm {
            state: SecretString::from("the-state".to_owned()),
            application_id: ApplicationId::from_u128(1),
            provider,
            smtp_required: false,
            servers_are_given: false,
            values: values.as_object().unwrap().clone(),
            trouble: trouble.map(|(kind, field)| Trouble {
                kind,
                field: Some(field.to_owned()),
                host: Some("<mail>".into()),
                wait_secs: Some(61),
            }),
            cancel: "https://a.example/cb?error=access_denied".into(),
        }
    }

    fn page(form: &AccountForm) -> String {
        let theme = Theme {
            application: "Acme".into(),
            ..Theme::default()
        };
        rendered_with("account.html", theme, |frame| values(form, frame))
    }

    #[test]
    fn an_empty_form_asks_for_two_things_and_hides_the_servers() {
        let page = page(&form(Provider::Imap, &json!({"email": "a@b.c"}), None));
        assert!(
            page.contains("name=\"state\" value=\"the-state\""),
            "{page}"
        );
        assert!(page.contains("value=\"a@b.c\"") && page.contains("<details>"));
        // The first thing that is missing.
        let at = page.find("autofocus").unwrap();
        assert!(page[..at].ends_with("required ") || page[..at].contains("id=\"imap_password\""));
        assert!(!page.contains("role=\"alert\""));
    }

    #[test]
    fn what_is_wrong_is_said_beside_its_field_and_opens_the_fold() {
        let trouble = Some((TroubleKind::UnknownHost, "imap_host"));
        let page = page(&form(Provider::Imap, &json!({"imap_host": "x"}), trouble));
        assert!(
            page.contains("<details open>") && page.contains("id=\"imap_host-wrong\""),
            "{page}"
        );
        assert!(page.contains("No server called &lt;mail&gt; can be reached"));
        let waiting = Some((TroubleKind::TooMany, "email"));
        let page = super::tests::page(&form(Provider::Icloud, &json!({}), waiting));
        assert!(page.contains("Wait 2 minutes") && !page.contains("<details"));
    }

    #[test]
    fn a_posted_form_keeps_what_is_a_field() {
        let params = Params::from_pairs(&[
            ("state", "s"),
            ("email", "e"),
            ("imap_password", "p"),
            ("x", "y"),
        ]);
        let typed = typed(params).unwrap();
        assert_eq!(
            Value::from(typed.settings),
            json!({"email": "e", "imap_password": "p"})
        );
        assert_eq!(typed.state.unwrap().expose_secret(), "s");
    }
}
