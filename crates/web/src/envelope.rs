//! The envelopes of successful answers.

use crate::context::Context;
use crate::errors::Failure;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use keyway_core::ids::RequestId;
use keyway_core::page::Page;
use serde::Serialize;

/// The content type of every JSON answer, without a charset: one client compares it byte for byte.
pub(crate) const JSON: &str = "application/json";

/// What a handler answers with.
pub(crate) type Answer = Result<Response, Failure>;

#[derive(Serialize)]
struct Single<'a, T> {
    request_id: RequestId,
    data: &'a T,
}

/// Clients disagree whether these two carry `success` or `request_id`; so they carry both.
#[derive(Serialize)]
struct Succeeded<'a, T> {
    request_id: RequestId,
    success: bool,
    data: &'a T,
}

#[derive(Serialize)]
struct List<'a, T> {
    request_id: RequestId,
    data: &'a [T],
    limit: i64,
    offset: i64,
}

#[derive(Serialize)]
struct Gone {
    request_id: RequestId,
}

#[derive(Serialize)]
struct Flat<'a, T> {
    #[serde(flatten)]
    members: &'a T,
    request_id: RequestId,
}

/// `value` as a JSON response.
fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => Ok((status, [(CONTENT_TYPE, JSON)], body).into_response()),
        Err(error) => Err(Failure::internal(format!("cannot write JSON: {error}"))),
    }
}

/// Writes answers for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope(RequestId);

impl From<&Context> for Envelope {
    fn from(context: &Context) -> Self {
        Self(context.request_id)
    }
}

impl Envelope {
    /// 200 `{"request_id", "data"}`.
    pub(crate) fn single<T: Serialize>(self, data: &T) -> Answer {
        let request_id = self.0;
        json(StatusCode::OK, &Single { request_id, data })
    }

    /// 201 `{"request_id", "data"}`.
    pub(crate) fn created<T: Serialize>(self, data: &T) -> Answer {
        let request_id = self.0;
        json(StatusCode::CREATED, &Single { request_id, data })
    }

    /// 200 `{"request_id", "success", "data"}`.
    pub(crate) fn succeeded<T: Serialize>(self, data: &T) -> Answer {
        let (request_id, success) = (self.0, true);
        let body = Succeeded {
            request_id,
            success,
            data,
        };
        json(StatusCode::OK, &body)
    }

    /// 200 `{"request_id", "data", "limit", "offset"}`, with the limit that was applied.
    pub(crate) fn list<T: Serialize>(self, data: &[T], page: Page) -> Answer {
        let list = List {
            request_id: self.0,
            data,
            limit: page.limit,
            offset: page.offset,
        };
        json(StatusCode::OK, &list)
    }

    /// 200 `{"request_id"}`: clients need a body even where there is nothing to say.
    pub(crate) fn gone(self) -> Answer {
        json(StatusCode::OK, &Gone { request_id: self.0 })
    }

    /// 200 with the members at the top level, as OAuth wants them.
    pub(crate) fn flat<T: Serialize>(self, members: &T) -> Answer {
        let request_id = self.0;
        json(
            StatusCode::OK,
            &Flat {
                members,
                request_id,
            },
        )
    }

    /// `{"request_id", "data"}` under any status.
    pub(crate) fn with_status<T: Serialize>(self, status: StatusCode, data: &T) -> Answer {
        let request_id = self.0;
        json(status, &Single { request_id, data })
    }
}
