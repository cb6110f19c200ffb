//! What handlers are given: a request, read as far as its route requires.

use crate::app::App;
use crate::context::Context;
use crate::envelope::Envelope;
use crate::errors::Failure;
use crate::options::PeerAddr;
use crate::path::Path;
use crate::query::Query;
use axum::extract::{FromRequestParts, RawPathParams};
use http::HeaderMap;
use http::request::Parts;
use keyway_engine::Engine;
use keyway_engine::ServiceCaller;
use keyway_engine::caller::{Caller, Principal};
use std::net::IpAddr;

/// A request to a route that asks for no proof.
pub(crate) struct Call {
    pub(crate) app: App,
    pub(crate) context: Context,
    pub(crate) answer: Envelope,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) caller: Option<Caller>,
    pub(crate) peer: Option<IpAddr>,
}

/// A request proved by an API key.
pub(crate) struct Keyed {
    pub(crate) engine: Engine,
    pub(crate) caller: Caller,
    pub(crate) answer: Envelope,
    pub(crate) path: Path,
    pub(crate) query: Query,
}

/// A request proved by an API key or an access token.
pub(crate) struct Proved {
    pub(crate) engine: Engine,
    pub(crate) principal: Principal,
    pub(crate) answer: Envelope,
    pub(crate) path: Path,
}

/// A request proved by a service account's signature.
pub(crate) struct Signed {
    pub(crate) engine: Engine,
    pub(crate) caller: ServiceCaller,
    pub(crate) answer: Envelope,
    pub(crate) path: Path,
}

/// An extension an outer layer must have inserted.
fn given<T: Clone + Send + Sync + 'static>(parts: &Parts, what: &str) -> Result<T, Failure> {
    parts
        .extensions
        .get::<T>()
        .cloned()
        .ok_or_else(|| Failure::internal(format!("the route has no {what} layer")))
}

fn query(parts: &Parts) -> Result<Query, Failure> {
    Query::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

/// The path's segments. Bytes that are no UTF-8 name nothing.
async fn path(parts: &mut Parts, app: &App) -> Result<Path, Failure> {
    RawPathParams::from_request_parts(parts, app)
        .await
        .map(|params| Path::from(&params))
        .map_err(|_| Failure::not_found("Resource not found."))
}

impl FromRequestParts<App> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let context: Context = given(parts, "context")?;
        let peer = parts.extensions.get::<PeerAddr>();
        Ok(Self {
            app: app.clone(),
            answer: Envelope::from(&context),
            context,
            query: query(parts)?,
            headers: parts.headers.clone(),
            caller: parts.extensions.get::<Caller>().cloned(),
            peer: peer.map(|peer| peer.0.ip()),
        })
    }
}

impl FromRequestParts<App> for Keyed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let context: Context = given(parts, "context")?;
        Ok(Self {
            engine: app.engine.clone(),
            caller: given(parts, "key")?,
            answer: Envelope::from(&context),
            path: path(parts, app).await?,
            query: query(parts)?,
        })
    }
}

impl FromRequestParts<App> for Proved {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let context: Context = given(parts, "context")?;
        Ok(Self {
            engine: app.engine.clone(),
            principal: given(parts, "principal")?,
            answer: Envelope::from(&context),
            path: path(parts, app).await?,
        })
    }
}

impl FromRequestParts<App> for Signed {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let context: Context = given(parts, "context")?;
        Ok(Self {
            engine: app.engine.clone(),
            caller: given(parts, "signature")?,
            answer: Envelope::from(&context),
            path: path(parts, app).await?,
        })
    }
}
