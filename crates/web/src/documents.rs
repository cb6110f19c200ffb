//! What this server publishes about itself: signing keys, the API description, the meaning of errors.

use crate::call::Call;
use crate::envelope::{Answer, JSON};
use crate::errors::{KINDS, OAUTH_ERRORS, advice, wire};
use crate::hosted;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;

/// The API description, hand-written: `docs/openapi.yaml`.
pub(crate) const OPENAPI: &str = include_str!("../../../docs/openapi.yaml");
const HOSTED_CSS: &str = include_str!("hosted/hosted.css");
/// Public documents may be kept this long, in seconds.
const KEEP: &str = "public, max-age=300";

#[derive(Serialize)]
struct ErrorEntry {
    word: &'static str,
    status: u16,
    advice: &'static str,
}

fn document(content_type: &'static str, body: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, KEEP)];
    (headers, body).into_response()
}

/// `GET /openapi.yaml`.
pub(crate) async fn openapi() -> Response {
    document("application/yaml", OPENAPI)
}

/// `GET /hosted.css`: the style sheet of the pages.
pub(crate) async fn hosted_css() -> Response {
    document("text/css; charset=utf-8", HOSTED_CSS)
}

/// `GET /.well-known/jwks.json`: the keys that id_tokens are signed with (RFC 7517, 5).
pub(crate) async fn jwks(call: Call) -> Answer {
    let keys = call.app.engine.jwks().await?;
    let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, KEEP)];
    Ok((headers, keys.to_string()).into_response())
}

/// `GET /errors`: every error type, what it means and what to do. `error_uri` points here.
pub(crate) async fn errors(call: Call) -> Answer {
    let api = KINDS.map(|kind| {
        let (status, word) = wire(kind);
        ErrorEntry {
            word,
            status,
            advice: advice(kind),
        }
    });
    let oauth = OAUTH_ERRORS.map(|(word, advice)| ErrorEntry {
        word,
        status: 400,
        advice,
    });
    hosted::errors(&call, &api, &oauth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;
    use std::collections::BTreeSet;

    /// Methods and paths of the document: its `paths` are two-space keys, its methods four-space ones.
    fn documented() -> BTreeSet<(String, String)> {
        let paths = OPENAPI.split_once("\npaths:\n").unwrap().1;
        let mut path = String::new();
        let mut found = BTreeSet::new();
        for line in paths
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with([' ', '#']))
        {
            let key = line.trim().trim_end_matches(':');
            if line.starts_with("  /") {
                path = key.to_owned();
            } else if line.starts_with("    ")
                && !line.starts_with("     ")
                && ["get", "post", "put", "patch", "delete"].contains(&key)
            {
                found.insert((key.to_uppercase(), path.clone()));
            }
        }
        found
    }

    /// The items of a list that stands under `key` and is indented by `columns`.
    fn listed(key: &str, columns: usize) -> BTreeSet<&'static str> {
        let marker = format!("{}- ", " ".repeat(columns));
        let rest = OPENAPI.split_once(key).unwrap().1;
        let lines = rest
            .lines()
            .skip(1)
            .skip_while(|line| !line.starts_with(&marker));
        lines.map_while(|line| line.strip_prefix(&marker)).collect()
    }

    #[test]
    fn the_api_description_knows_every_error_and_no_other() {
        let api: BTreeSet<_> = KINDS.iter().map(|kind| wire(*kind).1).collect();
        assert_eq!(listed("\n    ErrorType:", 8), api);
        let oauth: BTreeSet<_> = OAUTH_ERRORS.iter().map(|(word, _)| *word).collect();
        assert_eq!(listed("\n    OAuthError:", 12), oauth);
    }

    #[test]
    fn the_api_description_and_the_route_table_list_the_same() {
        let routed: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_string(), route.path.to_owned()))
            .collect();
        let documented = documented();
        let missing: Vec<_> = routed.difference(&documented).collect();
        let invented: Vec<_> = documented.difference(&routed).collect();
        assert!(missing.is_empty(), "not documented: {missing:?}");
        assert!(invented.is_empty(), "not routed: {invented:?}");
    }
}
