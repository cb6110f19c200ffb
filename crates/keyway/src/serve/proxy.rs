//! Calls on behalf of a grant, made on the thread that serves the caller.
//!
//! Where key, grant and token are remembered nothing is waited for but the provider. Hanging up ends the
//! call and never a refresh: that belongs to the engine.

mod fault;
mod tunnel;

use super::body::Words;
use super::metrics::Metrics;
use super::places::{Crowded, Placed};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use keyway_core::ids::RequestId;
use keyway_core::proxy::ProxyPath;
use keyway_core::time::UnixMillis;
use keyway_engine::{Engine, Error, Principal, ProxyCall};
use keyway_outbound::{AnswerBody, CallBody, Upload, Upstreams};
use keyway_web::bearer_of;
use keyway_web::proxy::{CallRequest, answer_headers, call_headers, refusal, refusal_with_status};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use tunnel::{Ours, Tunnels};

/// One thread's proxy.
pub(super) struct Proxy {
    engine: Engine,
    upstreams: Upstreams,
    metrics: Arc<Metrics>,
    tunnels: Tunnels,
}

/// A call as it goes out, apart from its body: small enough to be kept for a second time.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Outgoing {
    /// The request to send. It takes the headers as they are and a copy stays: the connection keeps the map for
    /// the answer's headers, and one that has room for ours as well need not grow for every answer.
    fn with(&mut self, body: CallBody) -> Request<CallBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        let kept = self.headers.clone();
        *request.headers_mut() = std::mem::replace(&mut self.headers, kept);
        request
    }

    fn prove(&mut self, call: &ProxyCall) -> Result<(), Error> {
        let token = call.token.access_token.expose_secret();
        call_headers(&mut self.headers, token, &call.host.extra_headers)
    }
}

/// Why a call is not made.
#[derive(Debug)]
enum Refused {
    /// For want of room.
    Crowded(Crowded),
    /// For any other reason.
    For(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

impl From<Crowded> for Refused {
    fn from(crowded: Crowded) -> Self {
        Self::Crowded(crowded)
    }
}

/// Whether a request is for a call.
pub(super) fn is_call(uri: &Uri) -> bool {
    ProxyPath::read(uri.path()).is_some()
}

impl Proxy {
    pub(super) fn new(engine: Engine, upstreams: Upstreams, metrics: Arc<Metrics>) -> Self {
        Self {
            engine,
            upstreams,
            metrics,
            tunnels: Tunnels::default(),
        }
    }

    /// The same with connections of its own, for another thread.
    pub(super) fn for_another_thread(&self) -> Self {
        Self::new(
            self.engine.clone(),
            self.upstreams.for_another_thread(),
            self.metrics.clone(),
        )
    }

    /// Makes the call and passes its answer on; whatever happens, there is an answer.
    /// `known` is the caller, if it is remembered.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        known: Option<Principal>,
        placed: Placed<'_>,
    ) -> Response<Words> {
        let request_id = self.engine.request_id();
        // It would have the provider repeat our headers to the caller (RFC 9110, 9.3.8).
        if request.method() == Method::TRACE {
            let message = "TRACE is not passed on: it would show the provider's token.";
            return refusal_with_status(405, message, request_id).map(Words::from);
        }
        let lane = &placed.peer.lane;
        match self.pass(request, known, placed, request_id).await {
            Ok(answer) => answer,
            Err(Refused::Crowded(crowded)) => lane.crowded_out(crowded),
            Err(Refused::For(error)) => {
                self.metrics.proxy.refused();
                refusal(error, request_id).map(Words::from)
            }
        }
    }

    async fn pass(
        &self,
        mut request: Request<Incoming>,
        known: Option<Principal>,
        placed: Placed<'_>,
        request_id: RequestId,
    ) -> Result<Response<Words>, Refused> {
        let call = self.prepare(&request, known, placed).await?;
        let target = asked(&request)?.target(&call)?;
        let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target));
        let uri = Uri::from(target.map_err(Error::internal)?);
        let began = self.engine.now();
        if tunnel::is_wanted(&request) {
            let turned = hyper::upgrade::on(&mut request);
            let (head, _) = request.into_parts();
            let caller = bearer_of(&head.headers).unwrap_or_default();
            let ours = Ours::new(turned, caller, &call);
            let outgoing = outgoing(head, uri, &call)?;
            let answer = Box::pin(self.tunnel(call, outgoing, ours)).await?;
            return Ok(self.passed_on(answer, request_id, began)?);
        }
        let (head, body) = request.into_parts();
        let upload = (!body.is_end_stream()).then(|| Upload::new(body));
        let mut outgoing = outgoing(head, uri, &call)?;
        let answer = match self.send(&call, &mut outgoing, upload.as_ref()).await {
            Ok(answer) => answer,
            Err(_) if upload.as_ref().is_some_and(Upload::is_too_large) => {
                return Ok(too_large(request_id));
            }
            Err(_) if upload.as_ref().is_some_and(Upload::is_stalled) => {
                let message = "The request's body did not come to its end in time.";
                return Ok(refusal_with_status(408, message, request_id).map(Words::from));
            }
            Err(error) => return Err(error.into()),
        };
        let answer = match answer.status() {
            StatusCode::UNAUTHORIZED => {
                Box::pin(self.again(call, outgoing, upload, answer)).await?
            }
            _ => answer,
        };
        Ok(self.passed_on(answer, request_id, began)?)
    }

    /// What the call takes. It has its share of the places before a provider is asked for anything: a token
    /// endpoint may hang as well as an API.
    async fn prepare(
        &self,
        request: &Request<Incoming>,
        known: Option<Principal>,
        mut placed: Placed<'_>,
    ) -> Result<ProxyCall, Refused> {
        let asked = asked(request)?;
        let known = known.and_then(|principal| asked.known(&self.engine, &principal));
        if let Some(call) = known {
            placed.share(call.grant.grant.application_id, &call.host.origin)?;
            return Ok(call);
        }
        let looked_up = async {
            let target = asked.look_up(&self.engine).await?;
            placed.share(target.grant.grant.application_id, &target.host.origin)?;
            Ok(self.engine.call_to(target).await?)
        };
        Box::pin(looked_up).await
    }

    /// Sends the call, with the caller's body if there is one.
    async fn send(
        &self,
        call: &ProxyCall,
        outgoing: &mut Outgoing,
        upload: Option<&Upload>,
    ) -> Result<Response<AnswerBody>, Error> {
        let body = upload.map_or_else(|| Some(CallBody::none()), Upload::body);
        let request = outgoing.with(body.unwrap_or_else(CallBody::none));
        let sent = self.upstreams.call(&call.host.origin, request).await;
        sent.map_err(|failure| {
            self.metrics.proxy.failed();
            fault::of(&failure)
        })
    }

    /// The provider refused the token: once more with another, if the body can be sent again. Else the
    /// provider's refusal is passed on, and the next call has the new token.
    async fn again(
        &self,
        call: ProxyCall,
        mut outgoing: Outgoing,
        upload: Option<Upload>,
        refused: Response<AnswerBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        let Some(call) = self.engine.call_again(&call).await? else {
            return Ok(refused);
        };
        if upload.as_ref().is_some_and(|upload| !upload.is_kept()) {
            // Whether the new token fares better is not known: it is not replaced for a while either.
            self.engine.note_refused_again(&call);
            return Ok(refused);
        }
        drop(refused);
        outgoing.prove(&call)?;
        self.metrics.proxy.replayed();
        let answer = self.send(&call, &mut outgoing, upload.as_ref()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.engine.note_refused_again(&call);
        }
        Ok(answer)
    }

    /// A provider's answer as the caller gets it.
    fn passed_on(
        &self,
        mut answer: Response<AnswerBody>,
        request_id: RequestId,
        began: UnixMillis,
    ) -> Result<Response<Words>, Error> {
        if let Some(error) = fault::of_scopes(answer.status(), answer.headers()) {
            return Err(error);
        }
        let took_ms = u64::try_from(self.engine.now().0.saturating_sub(began.0)).unwrap_or(0);
        self.metrics.proxy.answered(answer.status(), took_ms);
        // The caller's connection has a version of its own.
        *answer.version_mut() = Version::HTTP_11;
        answer_headers(answer.headers_mut(), request_id, took_ms);
        Ok(answer.map(Words::Provider))
    }
}

fn asked(request: &Request<Incoming>) -> Result<CallRequest<'_>, Error> {
    let read = CallRequest::read(request.uri(), request.version(), request.headers());
    read.ok_or_else(|| Error::not_found("Resource not found."))
}

fn outgoing(head: Parts, uri: Uri, call: &ProxyCall) -> Result<Outgoing, Error> {
    let mut outgoing = Outgoing {
        method: head.method,
        uri,
        headers: head.headers,
    };
    outgoing.prove(call)?;
    Ok(outgoing)
}

fn too_large(request_id: RequestId) -> Response<Words> {
    let message = "The request is larger than is passed on; docs/limits.md has the limit.";
    refusal_with_status(413, message, request_id).map(Words::from)
}
