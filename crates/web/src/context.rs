//! What is known about a request while it is under way: its id, and whose it is.

use keyway_core::ids::{ApplicationId, RequestId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Travels as a request extension, from the outermost layer to the handler.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Told in `request_id` and `x-request-id`.
    pub(crate) request_id: RequestId,
    application: Arc<OnceLock<ApplicationId>>,
    body_is_read: Arc<AtomicBool>,
}

impl Context {
    pub(crate) fn new(request_id: RequestId) -> Self {
        Self {
            request_id,
            application: Arc::default(),
            body_is_read: Arc::default(),
        }
    }

    /// Notes whose request it is; the first to know wins. Decides which origins may read the answer.
    pub(crate) fn belongs_to(&self, application: ApplicationId) {
        let _already_known = self.application.set(application);
    }

    /// Whose request it is, once known.
    pub(crate) fn application(&self) -> Option<ApplicationId> {
        self.application.get().copied()
    }

    /// Notes that the request's body was read to its end.
    pub(crate) fn read_the_body(&self) {
        self.body_is_read.store(true, Ordering::Relaxed);
    }

    /// Whether the request's body was read to its end.
    pub(crate) fn has_read_the_body(&self) -> bool {
        self.body_is_read.load(Ordering::Relaxed)
    }
}
