//! Request bodies: of a known content type, and read into plain values.

use crate::app::App;
use crate::bodies::Reading;
use crate::context::Context;
use crate::errors::Failure;
use crate::query::{Query, told};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use keyway_engine::error::ErrorKind;
use serde_json::{Map, Value};

/// What a Content-Type header says, as far as anyone here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    Unsaid,
    Json,
    Form,
    Other,
}

impl Media {
    /// Parameters such as `charset` are ignored: JSON is UTF-8 by definition (RFC 8259, 8.1).
    fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(CONTENT_TYPE) else {
            return Self::Unsaid;
        };
        let text = value.to_str().unwrap_or("?");
        let essence = text.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "" => Self::Unsaid,
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            _ => Self::Other,
        }
    }
}

/// A JSON object. An empty body is an empty object: some clients send none where all members are optional.
#[derive(Clone, Debug, Default)]
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

/// Named texts from a JSON object or a form, as the OAuth endpoints take both. A member without a text is of another
/// type: that is wrong only if somebody asks for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// What a test posts.
    #[cfg(test)]
    pub(crate) fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
        Self(pairs.iter().map(owned).collect())
    }

    /// The text under `name`, and none if it is empty (RFC 6749, 3.2).
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(at) = self.0.iter().rposition(|(key, _)| key == name) else {
            return Ok(None);
        };
        let text = self.0.swap_remove(at).1;
        let text =
            text.ok_or_else(|| Failure::oauth_request(format!("{name} must be a string")))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

async fn read(request: Request, reading: &Reading) -> Result<Bytes, Failure> {
    let context = request.extensions().get::<Context>().cloned();
    reading.whole(request.into_body(), context.as_ref()).await
}

fn unsupported(expected: &str) -> Failure {
    Failure::with_status(
        415,
        ErrorKind::InvalidPayload,
        format!("Content-Type must be {expected}."),
    )
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| name.contains('\0') || has_nul(member)),
        _ => false,
    }
}

/// Where JSON stopped making sense; never what it held.
fn unparsable(error: &serde_json::Error) -> Failure {
    Failure::payload(format!(
        "Invalid JSON payload format. (line {}, column {})",
        error.line(),
        error.column()
    ))
}

fn parse_object(body: &[u8]) -> Result<Map<String, Value>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| unparsable(&error))?;
    if has_nul(&value) {
        return Err(Failure::payload("Texts must not contain NUL characters."));
    }
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::payload("The body must be a JSON object.")),
    }
}

/// The members by name. Null counts as absent.
fn texts(members: Map<String, Value>) -> Params {
    let text = |(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some((name, Some(text))),
        _ => Some((name, None)),
    };
    Params(members.into_iter().filter_map(text).collect())
}

/// No parameter may come twice (RFC 6749, 3.2).
fn once(pairs: &[(String, String)]) -> Result<Params, Failure> {
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(*one),
        _ => None,
    });
    match twice {
        None => {
            let some = |(name, text): &(String, String)| (name.clone(), Some(text.clone()));
            Ok(Params(pairs.iter().map(some).collect()))
        }
        Some(name) => Err(Failure::oauth_request(match told(name) {
            Some(name) => format!("{name} must not be given twice"),
            None => "A parameter is given twice".to_owned(),
        })),
    }
}

fn parse_params(media: Media, body: &[u8]) -> Result<Params, Failure> {
    let looks_like_json = body.trim_ascii_start().first() == Some(&b'{');
    match media {
        Media::Json => parse_object(body).map(texts),
        Media::Unsaid if looks_like_json => parse_object(body).map(texts),
        Media::Form | Media::Unsaid => once(Query::parse(body)?.pairs()),
        Media::Other if body.is_empty() => Ok(Params::default()),
        Media::Other => Err(unsupported(
            "application/json or application/x-www-form-urlencoded",
        )),
    }
}

impl FromRequest<App> for JsonObject {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let media = Media::of(request.headers());
        // A signed body was read before, to see who signed it; others come with a key.
        let body = read(request, &app.bodies.applications).await?;
        match media {
            Media::Json | Media::Unsaid => parse_object(&body).map(Self),
            Media::Form | Media::Other if body.is_empty() => Ok(Self::default()),
            Media::Form | Media::Other => Err(unsupported("application/json")),
        }
    }
}

/// A JSON object from somebody who has proved nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicObject(pub(crate) Map<String, Value>);

impl FromRequest<App> for PublicObject {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let media = Media::of(request.headers());
        let body = read(request, &app.bodies.strangers).await?;
        match media {
            Media::Json => parse_object(&body).map(Self),
            // A page of another origin must ask before it sends JSON, and needs not for anything else.
            _ => Err(unsupported("application/json")),
        }
    }
}

impl FromRequest<App> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let media = Media::of(request.headers());
        let body = read(request, &app.bodies.strangers).await?;
        parse_params(media, &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn media(value: &'static str) -> Media {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
        Media::of(&headers)
    }

    #[test]
    fn content_types_are_read_without_case_and_parameters() {
        assert_eq!(media("Application/JSON; charset=utf-8"), Media::Json);
        assert_eq!(media("application/x-www-form-urlencoded"), Media::Form);
        assert_eq!(media("text/plain"), Media::Other);
        assert_eq!(Media::of(&HeaderMap::new()), Media::Unsaid);
    }

    #[test]
    fn an_empty_body_is_an_empty_object_and_anything_else_must_be_one() {
        assert!(parse_object(b" \n").unwrap().is_empty());
        assert_eq!(parse_object(b"{\"a\":1,\"a\":2}").unwrap()["a"], 2);
        for (bad, words) in [
            (&b"[1]"[..], "must be a JSON object"),
            (b"{\"a\":", "line 1, column 5"),
            (b"{\"a\":\"\\u0000\"}", "NUL"),
            (b"\xff", "Invalid JSON"),
        ] {
            let failure = parse_object(bad).unwrap_err();
            assert_eq!(failure.wire_type(), "api.invalid_request_payload");
            assert!(failure.message().contains(words), "{}", failure.message());
        }
    }

    #[test]
    fn parse_failures_never_repeat_the_body() {
        let failure = parse_object(b"{\"client_secret\": s3cret}").unwrap_err();
        assert!(!failure.message().contains("s3cret"));
    }

    #[test]
    fn a_member_must_be_a_text_only_where_it_is_asked_for() {
        let body = br#"{"code":1,"client_id":"c","metadata":{"a":[1]},"n":2,"b":true}"#;
        let mut params = parse_params(Media::Json, body).unwrap();
        assert_eq!(params.take("client_id").unwrap().as_deref(), Some("c"));
        let failure = params.take("code").unwrap_err();
        assert_eq!(failure.message(), "code must be a string");
    }

    #[test]
    fn token_parameters_come_as_json_or_as_a_form() {
        for (media, body) in [
            (Media::Json, &b"{\"code\":\"x y\",\"scope\":null}"[..]),
            (Media::Unsaid, b" {\"code\":\"x y\"}"),
            (Media::Form, b"code=x+y&scope="),
            (Media::Unsaid, b"code=x%20y"),
        ] {
            let mut params = parse_params(media, body).unwrap();
            let code = params.take("code").unwrap();
            assert_eq!(code.as_deref(), Some("x y"), "{body:?}");
            assert_eq!(params.take("scope").unwrap(), None);
        }
        let failure = parse_params(Media::Form, b"code=x&a=1&code=").unwrap_err();
        assert_eq!(failure.message(), "code must not be given twice");
        let failure = parse_params(Media::Form, b"S3cret=&S3cret=").unwrap_err();
        assert_eq!(failure.message(), "A parameter is given twice");
        let failure = parse_params(Media::Other, b"x").unwrap_err();
        assert_eq!(failure.status().as_u16(), 415);
    }
}
