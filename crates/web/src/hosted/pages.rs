//! Pages, rendered from templates that are part of the binary.

use crate::envelope::Answer;
use crate::errors::Failure;
use crate::query::Query;
use axum::response::IntoResponse as _;
use form_urlencoded::Serializer;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use keyway_core::application::Application;
use keyway_core::catalogue::Catalogue;
use keyway_core::provider::Provider;
use minijinja::value::Serde;
use minijinja::{Environment, Value as JinjaValue, context};
use serde::Serialize;
use serde_json::Value;

const TEMPLATES: [(&str, &str); 4] = [
    ("page.html", include_str!("templates/page.html")),
    ("picker.html", include_str!("templates/picker.html")),
    ("fault.html", include_str!("templates/fault.html")),
    ("errors.html", include_str!("templates/errors.html")),
];

/// What the page to choose a provider says; an application can give words of its own.
#[derive(Serialize)]
pub(crate) struct Words {
    application: String,
    title: Option<String>,
    subtitle: Option<String>,
}

impl Words {
    /// The application's name, and title and subtitle of its `hosted_authentication`.
    pub(crate) fn of(name: &str, application: Option<&Application>) -> Self {
        let hosted = application.and_then(|a| a.profile.get("hosted_authentication"));
        let word = |member: &str| {
            let text = hosted?.get(member).and_then(Value::as_str)?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self {
            application: name.to_owned(),
            title: word("title"),
            subtitle: word("subtitle"),
        }
    }
}

#[derive(Serialize)]
struct Choice {
    name: String,
    title: String,
    href: String,
}

/// The same request with one provider named: what was asked stays, whoever asked.
fn choice(query: &Query, provider: Provider, catalogue: &Catalogue) -> Choice {
    let mut encoded = Serializer::new(String::new());
    let asked = query.pairs().iter().filter(|(name, _)| name != "provider");
    encoded.extend_pairs(asked);
    encoded.append_pair("provider", provider.as_str());
    Choice {
        name: provider.to_string(),
        title: catalogue.title(&provider).to_owned(),
        href: format!("/v3/connect/auth?{}", encoded.finish()),
    }
}

/// Renders pages.
pub(crate) struct Pages {
    environment: Environment<'static>,
    catalogue: Catalogue,
}

impl Pages {
    /// Reads the templates. They are constants: a test renders each, so none can be faulty here.
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            if let Err(error) = environment.add_template(name, source) {
                tracing::error!(name, %error, "a page's template is faulty");
            }
        }
        Self {
            environment,
            catalogue: catalogue.clone(),
        }
    }

    fn render(&self, status: StatusCode, name: &str, context: JinjaValue) -> Answer {
        let template = self.environment.get_template(name);
        let html = template.and_then(|template| template.render(context));
        let html = html.map_err(|error| Failure::internal(format!("cannot render: {error}")))?;
        let headers = [(CONTENT_TYPE, "text/html; charset=utf-8")];
        Ok((status, headers, html).into_response())
    }

    /// The page that offers `providers`.
    pub(crate) fn picker(&self, words: &Words, query: &Query, providers: &[Provider]) -> Answer {
        let choices = providers.iter();
        let choices: Vec<Choice> = choices
            .map(|p| choice(query, *p, &self.catalogue))
            .collect();
        let (words, choices): (JinjaValue, JinjaValue) =
            (Serde(words).into(), Serde(&choices).into());
        let context = context! { words, choices };
        self.render(StatusCode::OK, "picker.html", context)
    }

    /// The page for a sign-in that ended without its application.
    pub(crate) fn fault(&self, status: StatusCode, title: &str, message: &str) -> Answer {
        self.render(status, "fault.html", context! { title, message })
    }

    /// The page that explains error types.
    pub(crate) fn errors<T: Serialize>(&self, api: &[T], oauth: &[T]) -> Answer {
        let (api, oauth): (JinjaValue, JinjaValue) = (Serde(api).into(), Serde(oauth).into());
        self.render(StatusCode::OK, "errors.html", context! { api, oauth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn html(answer: Answer) -> String {
        let body = axum::body::to_bytes(answer.unwrap().into_body(), 1 << 20);
        match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => String::from_utf8(bytes.unwrap().to_vec()).unwrap(),
            Poll::Pending => panic!("the body is at hand"),
        }
    }

    #[test]
    fn the_picker_repeats_the_request_with_each_provider_and_escapes_what_it_shows() {
        let query =
            Query::parse(b"client_id=c&provider=google,zoom&state=%22%3E%3Cscript%3E").unwrap();
        let words = Words::of("<b>Acme</b>", None);
        let page = html(Pages::new(&Catalogue::default()).picker(
            &words,
            &query,
            &[Provider::Google, Provider::Zoom],
        ));
        assert!(page.contains("&lt;b&gt;Acme"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(page.contains("state=%22%3E%3Cscript%3E"));
        assert!(page.contains("provider=google\"") && page.contains("provider=zoom\""));
        assert!(!page.contains("google%2Czoom"));
        assert!(page.contains("Continue with Zoom"));
    }

    #[test]
    fn an_application_gives_the_page_its_own_words() {
        let words = Words {
            application: "Acme".into(),
            title: Some("Connect your calendar".into()),
            subtitle: None,
        };
        let query = Query::default();
        let page =
            html(Pages::new(&Catalogue::default()).picker(&words, &query, &[Provider::Google]));
        assert!(page.contains("Connect your calendar"));
    }

    #[test]
    fn the_fault_page_escapes_and_keeps_its_status() {
        let answer =
            Pages::new(&Catalogue::default()).fault(StatusCode::BAD_REQUEST, "Oh <i>", "x & y");
        assert_eq!(answer.as_ref().unwrap().status(), 400);
        let page = html(answer);
        assert!(page.contains("Oh &lt;i&gt;") && page.contains("x &amp; y"));
    }

    #[test]
    fn the_errors_page_has_an_anchor_for_every_word() {
        let entries = [serde_json::json!({"word": "invalid_grant", "status": 400, "advice": "a"})];
        let page = html(Pages::new(&Catalogue::default()).errors(&entries, &entries));
        assert!(page.contains("id=\"invalid_grant\""));
    }
}
