//! A transport that remembers what was said to providers and what they answered.

use crate::exchange::FakeExchange;
use futures_util::future::BoxFuture;
use keyway_outbound::{CallError, CallErrorKind, Request, Response, Transport};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Form members nobody else may see.
const SECRET_FIELDS: [&str; 5] = [
    "client_secret",
    "code",
    "code_verifier",
    "refresh_token",
    "token",
];
/// Members of an answer nobody else may see.
const SECRET_MEMBERS: [&str; 3] = ["access_token", "refresh_token", "id_token"];

/// One call that was answered.
#[derive(Clone, Debug)]
pub struct Call {
    /// The path called.
    pub path: String,
    /// The form sent.
    pub form: BTreeMap<String, String>,
    /// The answer's JSON object, or null.
    pub answer: Value,
}

impl Call {
    /// A text member of the answer.
    #[must_use]
    pub fn answered(&self, member: &str) -> Option<&str> {
        self.answer.get(member).and_then(Value::as_str)
    }

    fn client_id(&self) -> Option<&str> {
        self.form.get("client_id").map(String::as_str)
    }
}

/// Passes every call on and remembers it.
pub struct Recorder {
    inner: Box<dyn Transport>,
    calls: Mutex<Vec<Call>>,
    deadline_max: Mutex<Option<Duration>>,
    /// What hosts answer that are not there.
    pages: Mutex<BTreeMap<String, String>>,
    /// Exchange servers that are not there either, by host and, if it is another than 443, port.
    exchanges: Mutex<BTreeMap<String, Arc<FakeExchange>>>,
    /// Who answers for hosts that are not there.
    stand_ins: Mutex<BTreeMap<String, StandIn>>,
}

/// Answers every request to a host.
pub type StandIn = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

impl Recorder {
    pub(crate) fn new(inner: impl Transport + 'static) -> Self {
        Self {
            inner: Box::new(inner),
            calls: Mutex::default(),
            deadline_max: Mutex::default(),
            pages: Mutex::default(),
            exchanges: Mutex::default(),
            stand_ins: Mutex::default(),
        }
    }

    /// From now on no call may take longer, whatever deadline it came with.
    pub fn limit_deadlines(&self, deadline: Duration) {
        *self
            .deadline_max
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(deadline);
    }

    /// From now on `host`, which need not be there, answers every call with `page`.
    pub fn publish(&self, host: &str, page: &str) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(host.to_owned(), page.to_owned());
    }

    /// From now on `host`, with its port unless that is 443, is `server`.
    pub fn serve(&self, host: &str, server: &Arc<FakeExchange>) {
        let mut known = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(host.to_owned(), Arc::clone(server));
    }

    fn exchange_of(&self, request: &Request) -> Option<Result<Response, CallError>> {
        let host = request.host();
        let known = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let server = known
            .get(&host)
            // Tenants and strangers name these hosts, and must not choose among all ports.
            .filter(|_| request.url.scheme() == "https" && request.is_port_guarded)?;
        let (path, headers) = (request.url.path(), &request.headers);
        let answer = server.answer(&request.method, path, headers, &request.body);
        Some(answer.ok_or_else(|| CallError::new(CallErrorKind::Protocol, host)))
    }

    /// From now on `stand_in` answers for `host`, which is never called.
    pub fn stand_in(&self, host: &str, stand_in: StandIn) {
        let stand_ins = self.stand_ins.lock();
        let mut stand_ins = stand_ins.unwrap_or_else(PoisonError::into_inner);
        stand_ins.insert(host.to_owned(), stand_in);
    }

    fn stood_in(&self, request: &Request) -> Option<Response> {
        let stand_ins = self.stand_ins.lock();
        let stand_ins = stand_ins.unwrap_or_else(PoisonError::into_inner);
        let stand_in = Arc::clone(stand_ins.get(request.url.host_str()?)?);
        drop(stand_ins);
        Some(stand_in(request))
    }

    fn page_of(&self, request: &Request) -> Option<Response> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.get(request.url.host_str()?)?;
        Some(Response {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: page.clone().into(),
        })
    }

    fn limited(&self, request: Request) -> Request {
        let max = *self
            .deadline_max
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let deadline = max.map_or(request.deadline, |max| request.deadline.min(max));
        request.with_deadline(deadline)
    }

    /// All calls answered so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Every secret that went to a provider or came from one.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = Vec::new();
        for call in self.calls() {
            let sent = SECRET_FIELDS
                .iter()
                .filter_map(|name| call.form.get(*name).cloned());
            let came = SECRET_MEMBERS
                .iter()
                .filter_map(|name| call.answered(name).map(str::to_owned));
            secrets.extend(sent.chain(came));
        }
        secrets.sort();
        secrets.dedup();
        secrets
    }

    /// The client an access token was issued to.
    #[must_use]
    pub fn client_of(&self, access_token: &str) -> Option<String> {
        let calls = self.calls();
        let issued = calls
            .iter()
            .find(|call| call.answered("access_token") == Some(access_token));
        issued.and_then(Call::client_id).map(str::to_owned)
    }

    fn remember(&self, path: String, body: &[u8], answer: &Response) {
        let call = Call {
            path,
            form: form_urlencoded::parse(body).into_owned().collect(),
            answer: serde_json::from_slice(&answer.body).unwrap_or_default(),
        };
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
    }
}

impl Transport for Recorder {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, CallError>> {
        Box::pin(async move {
            let (path, body) = (request.url.path().to_owned(), request.body.clone());
            if let Some(answer) = self.exchange_of(&request) {
                return answer;
            }
            if let Some(page) = self.page_of(&request) {
                return Ok(page);
            }
            if let Some(answer) = self.stood_in(&request) {
                return Ok(answer);
            }
            let answer = self.inner.send(self.limited(request)).await?;
            self.remember(path, &body, &answer);
            Ok(answer)
        })
    }
}
