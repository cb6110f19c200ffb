//! The page that asks which account it is to be.

use super::pages::{Frame, value};
use crate::call::Call;
use crate::envelope::Answer;
use crate::query::Query;
use form_urlencoded::Serializer;
use http::StatusCode;
use keyway_core::catalogue::Catalogue;
use keyway_core::provider::Provider;
use keyway_engine::sign_in::{Options, Part};
use minijinja::{Value as JinjaValue, context};
use serde::Serialize;

/// Most providers shown at once, where the application does not name them.
const SHOWN_MAX: usize = 6;

/// One provider to choose.
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
        name: provider.as_str().to_owned(),
        title: catalogue.title(&provider).to_owned(),
        href: format!("/v3/connect/auth?{}", encoded.finish()),
    }
}

/// How many of the providers are shown at once: all that the application names; else those with a page of their
/// own, if there are any.
fn shown(options: &Options) -> usize {
    let of_their_own = options.providers.iter().filter(|p| p.is_oauth()).count();
    match (options.is_named, of_their_own) {
        (true, _) | (_, 0) => options.providers.len(),
        (false, count) => count.min(SHOWN_MAX),
    }
}

fn values(options: &Options, query: &Query, catalogue: &Catalogue) -> JinjaValue {
    let choices: Vec<Choice> = options
        .providers
        .iter()
        .map(|p| choice(query, *p, catalogue))
        .collect();
    let at = shown(options).min(choices.len());
    let (shown, more) = choices.split_at(at);
    let parts: Vec<&str> = options.parts.iter().map(|part| name(*part)).collect();
    let repeated: Vec<&(String, String)> = query
        .pairs()
        .iter()
        .filter(|(name, _)| name != "email")
        .collect();
    context! {
        parts, choices => value(&shown), more => value(&more), repeated => value(&repeated),
        email => options.email.clone(), is_no_address => options.is_no_address,
    }
}

const fn name(part: Part) -> &'static str {
    match part {
        Part::Providers => "providers",
        Part::Address => "address",
    }
}

/// The page itself. `query` is the request, as far as it means anything.
pub(crate) fn choose(call: &Call, frame: &Frame, options: &Options, query: &Query) -> Answer {
    let note = match (options.is_no_address, options.is_unknown) {
        (true, _) => Some("no_address"),
        (false, true) => Some("unknown"),
        (false, false) => None,
    };
    let own = context! { note, ..values(options, query, call.app.engine.catalogue()) };
    call.app
        .pages
        .render(StatusCode::OK, "choose.html", frame, own)
}

#[cfg(test)]
mod tests {
    use super::super::pages::tests::rendered;
    use super::super::theme::Theme;
    use super::*;

    fn options(providers: &[Provider], parts: &[Part]) -> Options {
        Options {
            application_name: "Acme".into(),
            providers: providers.to_vec(),
            is_named: false,
            parts: parts.to_vec(),
            email: None,
            is_no_address: false,
            is_unknown: false,
        }
    }

    fn page(options: &Options, query: &[u8]) -> String {
        let theme = Theme {
            application: "<b>Acme</b>".into(),
            ..Theme::default()
        };
        let query = Query::parse(query).unwrap();
        rendered(
            "choose.html",
            theme,
            values(options, &query, &Catalogue::default()),
        )
    }

    #[test]
    fn each_choice_repeats_the_request_and_everything_is_escaped() {
        let two = options(&[Provider::Google, Provider::Zoom], &[Part::Providers]);
        let page = page(
            &two,
            b"client_id=c&provider=google,zoom&state=%22%3E%3Cscript%3E",
        );
        assert!(page.contains("&lt;b&gt;Acme"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(page.contains("state=%22%3E%3Cscript%3E"));
        assert!(page.contains("provider=google\"") && page.contains("provider=zoom\""));
        assert!(!page.contains("google%2Czoom"));
        assert!(page.contains("Continue with Zoom"));
    }

    #[test]
    fn accounts_with_passwords_are_behind_a_fold_unless_they_are_all_or_named() {
        let mut both = options(&[Provider::Google, Provider::Imap], &[Part::Providers]);
        let folded = |options: &Options| page(options, b"client_id=c").contains("<details");
        assert!(folded(&both));
        both.is_named = true;
        assert!(!folded(&both));
        assert!(!folded(&options(
            &[Provider::Imap, Provider::Icloud],
            &[Part::Providers]
        )));
    }

    #[test]
    fn the_address_comes_first_where_it_is_asked_first_and_keeps_the_request() {
        let parts = [Part::Address, Part::Providers];
        let both = Options {
            email: Some("a\"b@c.d".into()),
            ..options(&[Provider::Google, Provider::Zoom], &parts)
        };
        let page = page(&both, b"client_id=c&state=s&email=old&prompt=detect");
        let at = |what: &str| page.find(what).unwrap_or_else(|| panic!("{what}: {page}"));
        assert!(at("name=\"email\"") < at("class=\"choices\""));
        assert!(
            page.contains("name=\"state\" value=\"s\"") && page.contains("value=\"a&quot;b@c.d\"")
        );
        assert!(!page.contains("value=\"old\""));
    }
}
