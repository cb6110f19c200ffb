//! Sorting of what the HTTP library reports.

use crate::connector::GuardError;
use crate::error::{CallError, CallErrorKind, Sent};
use hyper_util::client::legacy;
use std::error::Error;
use std::io;

/// Why no answer began.
pub(super) fn of_client(error: &legacy::Error, host: &str) -> CallError {
    let (kind, detail) = sort(error, error.is_connect());
    let sorted = CallError::new(kind, host).with_detail(detail);
    if error.is_connect() {
        CallError {
            sent: Sent::No,
            ..sorted
        }
    } else {
        sorted
    }
}

/// Why there is no connection.
pub(crate) fn of_connect(error: &(dyn Error + 'static), host: &str) -> CallError {
    let (kind, detail) = sort(error, true);
    CallError {
        sent: Sent::No,
        ..CallError::new(kind, host).with_detail(detail)
    }
}

/// Why no answer began on a connection.
pub(crate) fn of_exchange(error: &hyper::Error, host: &str) -> CallError {
    let (kind, detail) = sort(error, false);
    CallError::new(kind, host).with_detail(detail)
}

/// Why an answer that had begun did not end.
pub(super) fn of_body(error: &(dyn Error + 'static), host: &str) -> CallError {
    CallError::new(CallErrorKind::Protocol, host).with_detail(root_cause(error))
}

fn sort(error: &(dyn Error + 'static), is_connect: bool) -> (CallErrorKind, String) {
    for cause in causes(error) {
        if let Some(guard) = cause.downcast_ref::<GuardError>() {
            let kind = match guard {
                GuardError::Refused { .. } => CallErrorKind::AddressRefused,
                GuardError::Unresolved => CallErrorKind::Dns,
            };
            return (kind, guard.to_string());
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return (CallErrorKind::Tls, tls.to_string());
        }
    }
    let kind = if is_connect {
        CallErrorKind::Connect
    } else {
        CallErrorKind::Protocol
    };
    (kind, root_cause(error))
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map_or_else(String::new, ToString::to_string)
}

/// `error` and everything beneath it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| beneath(*error))
}

/// An I/O error names as its source what is beneath the error it carries, and skips that one.
fn beneath<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let carried = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn Error + 'static));
    carried.or_else(|| error.source())
}
