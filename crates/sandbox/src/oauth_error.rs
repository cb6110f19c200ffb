//! The errors of RFC 6749, section 5.2, in the dialect of the provider.

use crate::config::Dialect;
use crate::faults::ErrorAnswer;
use crate::provider::Provider;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use keyway_core::time::UnixMillis;
use serde_json::{Value, json};

/// An error answer of the token endpoint and its relatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OAuthError {
    pub(crate) status: StatusCode,
    pub(crate) error: String,
    pub(crate) description: String,
    pub(crate) subtype: Option<String>,
    /// The AADSTS code under [`Dialect::Microsoft`].
    pub(crate) aadsts: u32,
    /// Whether the client tried HTTP Basic authentication, which 401 must then ask for again.
    pub(crate) basic: bool,
}

impl OAuthError {
    fn new(status: StatusCode, error: &str, aadsts: u32, description: &str) -> Self {
        let (error, description) = (error.to_owned(), description.to_owned());
        Self {
            status,
            error,
            description,
            subtype: None,
            aadsts,
            basic: false,
        }
    }

    pub(crate) fn invalid_request(description: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            900_144,
            description,
        )
    }

    pub(crate) fn invalid_client(aadsts: u32, description: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            aadsts,
            description,
        )
    }

    pub(crate) fn invalid_grant(aadsts: u32, description: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            aadsts,
            description,
        )
    }

    pub(crate) fn invalid_scope(description: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            70_011,
            description,
        )
    }

    pub(crate) fn unauthorized_client(aadsts: u32, description: &str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized_client",
            aadsts,
            description,
        )
    }

    pub(crate) fn access_denied(description: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", 65_004, description)
    }

    pub(crate) fn unsupported_grant_type() -> Self {
        let text = "the grant type is not one of those in the discovery document";
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70_003,
            text,
        )
    }

    /// The answer to a refresh token that was issued to another client: Google's own, and the
    /// RFC's from Microsoft.
    pub(crate) fn issued_to_another_client(dialect: Dialect) -> Self {
        if dialect == Dialect::Microsoft {
            return Self::invalid_grant(70_000, "the grant was issued to another client");
        }
        Self::unauthorized_client(700_016, "Unauthorized")
    }

    /// The error a tester chose for a fault.
    pub(crate) fn chosen(answer: &ErrorAnswer) -> Self {
        let status = match answer.error.as_str() {
            "invalid_client" | "unauthorized_client" | "deleted_client" | "disabled_client" => {
                StatusCode::UNAUTHORIZED
            }
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let description = answer
            .error_description
            .as_deref()
            .unwrap_or("a fault was switched on");
        let aadsts = aadsts_in(description).unwrap_or(90_033);
        let error = Self::new(status, &answer.error, aadsts, description);
        Self {
            subtype: answer.error_subtype.clone(),
            ..error
        }
    }

    /// The description as it goes on the wire.
    pub(crate) fn described(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Microsoft if aadsts_in(&self.description).is_none() => {
                format!("AADSTS{}: {}", self.aadsts, self.description)
            }
            _ => self.description.clone(),
        }
    }

    fn body(&self, dialect: Dialect, now: UnixMillis) -> Value {
        let description = self.described(dialect);
        let mut body = json!({"error": self.error, "error_description": description});
        if let (Some(subtype), Some(members)) = (&self.subtype, body.as_object_mut()) {
            members.insert("error_subtype".to_owned(), json!(subtype));
        }
        if let (Dialect::Microsoft, Some(members)) = (dialect, body.as_object_mut()) {
            members.extend([
                ("error_codes".to_owned(), json!([self.aadsts])),
                ("timestamp".to_owned(), json!(utc_text(now))),
                (
                    "trace_id".to_owned(),
                    json!(crate::digest::uuid(&format!("trace {}", now.0))),
                ),
                (
                    "correlation_id".to_owned(),
                    json!(crate::digest::uuid(&description)),
                ),
            ]);
        }
        body
    }

    pub(crate) fn response(&self, provider: &Provider) -> Response {
        let body = Json(self.body(provider.config.dialect, provider.now()));
        let mut response = (self.status, body).into_response();
        if self.basic && self.status == StatusCode::UNAUTHORIZED {
            let ask = HeaderValue::from_static("Basic realm=\"sandbox\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, ask);
        }
        response
    }
}

/// The code in a text that begins with `AADSTS` and digits.
fn aadsts_in(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    digits
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// `2026-11-23 04:41:00Z`, the form of Microsoft's `timestamp`.
fn utc_text(now: UnixMillis) -> String {
    let (days, second) = (
        now.as_secs().div_euclid(86_400),
        now.as_secs().rem_euclid(86_400),
    );
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01. Years are taken to begin in March, which
/// puts the leap day last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_microsoft_writes_it() {
        assert_eq!(utc_text(UnixMillis(0)), "1970-01-01 00:00:00Z");
        assert_eq!(
            utc_text(UnixMillis::from_secs(1_709_210_096)),
            "2024-02-29 12:34:56Z"
        );
    }

    #[test]
    fn microsoft_errors_carry_the_code_in_text_and_list() {
        let error = OAuthError::invalid_grant(70_008, "expired");
        let body = error.body(Dialect::Microsoft, UnixMillis(0));
        assert_eq!(body["error_description"], "AADSTS70008: expired");
        assert_eq!(body["error_codes"], json!([70_008]));
        assert!(
            error
                .body(Dialect::Plain, UnixMillis(0))
                .get("error_codes")
                .is_none()
        );
    }
}
