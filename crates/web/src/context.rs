//! What is known about a request while it is under way: its id, and whose it is.

use crate::bodies::Held;
use keyway_core::ids::{ApplicationId, RequestId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Travels as a request extension, from the outermost layer to the handler.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Told in `request_id` and `x-request-id`.
    pub(crate) request_id: RequestId,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    application: OnceLock<ApplicationId>,
    body_is_read: AtomicBool,
    /// The body's room: taken as long as the request is under way.
    body: OnceLock<Held>,
}

impl Context {
    pub(crate) fn new(request_id: RequestId) -> Self {
        Self {
            request_id,
            known: Arc::default(),
        }
    }

    /// Notes whose request it is; the first to know wins. Decides which origins may read the answer.
    pub(crate) fn belongs_to(&self, application: ApplicationId) {
        let _already_known = self.known.application.set(application);
    }

    /// Whose request it is, once known.
    pub(crate) fn application(&self) -> Option<ApplicationId> {
        self.known.application.get().copied()
    }

    /// Notes that the request's body was read to its end, and keeps its room.
    pub(crate) fn read_the_body(&self, held: Held) {
        self.known.body_is_read.store(true, Ordering::Relaxed);
        // A body that was read before and is read again has its room already.
        let _already_held = self.known.body.set(held);
    }

    /// Whether the request's body was read to its end.
    pub(crate) fn has_read_the_body(&self) -> bool {
        self.known.body_is_read.load(Ordering::Relaxed)
    }
}
