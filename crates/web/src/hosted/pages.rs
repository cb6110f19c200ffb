//! Pages, rendered from templates that are part of the binary.

use super::texts::{Languages, Texts};
use super::theme::Theme;
use crate::call::Call;
use crate::envelope::Answer;
use crate::errors::Failure;
use axum::response::IntoResponse as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use keyway_core::ids::{ApplicationId, RequestId};
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Value as JinjaValue, context};
use serde::Serialize;

const TEMPLATES: [(&str, &str); 7] = [
    ("page.html", include_str!("templates/page.html")),
    ("choose.html", include_str!("templates/choose.html")),
    ("account.html", include_str!("templates/account.html")),
    ("leaving.html", include_str!("templates/leaving.html")),
    ("connected.html", include_str!("templates/connected.html")),
    ("fault.html", include_str!("templates/fault.html")),
    ("errors.html", include_str!("templates/errors.html")),
];

/// Renders pages.
pub(crate) struct Pages {
    templates: Environment<'static>,
    languages: Languages,
}

/// What every page has: its language, its request, and the application's look where one is known.
pub(crate) struct Frame {
    texts: JinjaValue,
    language: &'static str,
    request_id: RequestId,
    /// The application's look.
    pub(crate) theme: Option<Theme>,
}

impl Frame {
    /// The words at `path`, else those at `otherwise`.
    pub(crate) fn words(&self, path: &[&str], otherwise: &[&str]) -> JinjaValue {
        let at = |path: &[&str]| {
            path.iter().try_fold(self.texts.clone(), |words, name| {
                words
                    .get_attr(name)
                    .ok()
                    .filter(|inner| !inner.is_undefined())
            })
        };
        at(path).or_else(|| at(otherwise)).unwrap_or_default()
    }
}

/// `text` with its `{name}`s filled in.
#[expect(clippy::needless_pass_by_value, reason = "what a filter takes")]
fn say(text: String, values: Kwargs) -> Result<String, minijinja::Error> {
    let mut said = text;
    for name in values.args() {
        let value: Option<String> = values.get(name)?;
        said = said.replace(&format!("{{{name}}}"), &value.unwrap_or_default());
    }
    values.assert_all_used()?;
    Ok(said)
}

/// A plain value as templates see it.
pub(crate) fn value<T: Serialize>(plain: &T) -> JinjaValue {
    Serde(plain).into()
}

impl Pages {
    /// Reads the templates. They are constants: a test renders each, so none can be faulty here.
    pub(crate) fn new() -> Self {
        let mut templates = Environment::new();
        templates.add_filter("say", say);
        for (name, source) in TEMPLATES {
            if let Err(error) = templates.add_template(name, source) {
                tracing::error!(name, %error, "a page's template is faulty");
            }
        }
        let languages = Languages::new();
        Self {
            templates,
            languages,
        }
    }

    /// The frame of a page for whoever sent `headers`.
    fn frame(&self, headers: &HeaderMap, request_id: RequestId) -> Frame {
        let texts = self.languages.of(headers);
        Frame {
            texts: texts.map(Texts::words).unwrap_or_default(),
            language: texts.map_or("en", |texts| texts.language),
            request_id,
            theme: None,
        }
    }

    /// Renders the template `name` with `own` values.
    pub(crate) fn render(
        &self,
        status: StatusCode,
        name: &str,
        frame: &Frame,
        own: JinjaValue,
    ) -> Answer {
        let common = context! {
            t => frame.texts.clone(),
            lang => frame.language,
            request_id => frame.request_id.to_string(),
            theme => frame.theme.as_ref().map(value),
            ..own
        };
        let template = self.templates.get_template(name);
        let html = template.and_then(|template| template.render(common));
        let html = html.map_err(|error| Failure::internal(format!("cannot render: {error:#}")))?;
        let headers = [(CONTENT_TYPE, "text/html; charset=utf-8")];
        Ok((status, headers, html).into_response())
    }
}

/// The frame of a page in answer to `call`.
pub(crate) fn frame(call: &Call) -> Frame {
    call.app.pages.frame(&call.headers, call.context.request_id)
}

/// The same with the look of the application it is for. One that is not there has none.
pub(crate) async fn frame_of(call: &Call, application: ApplicationId) -> Frame {
    let found = call.app.engine.public_application(application).await;
    Frame {
        theme: found.ok().as_ref().map(Theme::of),
        ..frame(call)
    }
}

/// The page for a sign-in that ended without its application. `fault` is the name of its words.
pub(crate) fn fault(call: &Call, status: StatusCode, fault: &str, reason: &str) -> Answer {
    let own = context! { fault, reason };
    call.app
        .pages
        .render(status, "fault.html", &frame(call), own)
}

/// The page for a sign-in that ended here without a grant. What the address says of it is not shown: anybody can
/// write an address.
pub(crate) fn not_connected(call: &Call, error: &str) -> Answer {
    let frame = frame(call);
    let reason = match error {
        "access_denied" | "invalid_scope" | "temporarily_unavailable" => error,
        _ => "other",
    };
    let reason = frame.words(&["not_connected", reason], &["not_connected", "other"]);
    let own = context! { fault => "not_connected", reason };
    call.app
        .pages
        .render(StatusCode::OK, "fault.html", &frame, own)
}

/// The page for a sign-in that ended here with a grant.
pub(crate) fn connected(call: &Call, frame: &Frame, email: &str) -> Answer {
    let own = context! { is_consent => false, email };
    call.app
        .pages
        .render(StatusCode::OK, "connected.html", frame, own)
}

/// The page for an administrator who has consented.
pub(crate) fn consented(call: &Call) -> Answer {
    let own = context! { is_consent => true };
    call.app
        .pages
        .render(StatusCode::OK, "connected.html", &frame(call), own)
}

/// A page that leads on to `location`: a form's answer may redirect to no other host under the pages' policy,
/// which browsers hold every redirect after it to. `why` is the name of its words.
pub(crate) fn leaving(call: &Call, frame: &Frame, location: &str, why: &str) -> Answer {
    let location = super::redirect::ascii(location);
    let own = context! { location, why };
    call.app
        .pages
        .render(StatusCode::OK, "leaving.html", frame, own)
}

/// The page that explains error types.
pub(crate) fn errors<T: Serialize>(call: &Call, api: &[T], oauth: &[T]) -> Answer {
    let own = context! { api => value(&api), oauth => value(&oauth) };
    call.app
        .pages
        .render(StatusCode::OK, "errors.html", &frame(call), own)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    pub(crate) fn html(answer: Answer) -> String {
        let body = axum::body::to_bytes(answer.unwrap().into_body(), 1 << 20);
        match pin!(body).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(bytes) => String::from_utf8(bytes.unwrap().to_vec()).unwrap(),
            Poll::Pending => panic!("the body is at hand"),
        }
    }

    pub(crate) fn rendered(name: &str, theme: Theme, own: JinjaValue) -> String {
        rendered_with(name, theme, |_| own)
    }

    pub(crate) fn rendered_with(
        name: &str,
        theme: Theme,
        own: impl FnOnce(&Frame) -> JinjaValue,
    ) -> String {
        let pages = Pages::new();
        let frame = Frame {
            theme: Some(theme),
            ..pages.frame(&HeaderMap::new(), RequestId::from_u128(7))
        };
        let own = own(&frame);
        html(pages.render(StatusCode::OK, name, &frame, own))
    }

    #[test]
    fn the_fault_page_escapes_and_carries_the_request() {
        let own = context! { fault => "bad_link", reason => "x & <i>" };
        let page = rendered("fault.html", Theme::default(), own);
        assert!(page.contains("mend it: x &amp; &lt;i&gt;"), "{page}");
        assert!(page.contains("00000000-0000-0000-0000-000000000007"));
    }

    #[test]
    fn the_errors_page_has_an_anchor_for_every_word() {
        let entries = [serde_json::json!({"word": "invalid_grant", "status": 400, "advice": "a"})];
        let own = context! { api => value(&entries), oauth => value(&entries) };
        let page = rendered("errors.html", Theme::default(), own);
        assert!(page.contains("id=\"invalid_grant\""));
    }

    #[test]
    fn a_page_that_leads_on_escapes_where_to() {
        let theme = Theme {
            application: "<b>Acme</b>".into(),
            ..Theme::default()
        };
        let location = "https://a.example/cb?code=1&state=\"><script>";
        let own = context! { location, why => "to_application" };
        let page = rendered("leaving.html", theme, own);
        assert!(
            page.contains("content=\"0;url=https:&#x2f;&#x2f;a.example"),
            "{page}"
        );
        assert!(!page.contains("<script") && page.contains("&lt;b&gt;Acme"));
    }
}
