//! Detected providers on the wire.

use keyway_core::provider::Provider;
use keyway_engine::detect::Detection;
use serde::Serialize;

/// What is told of an address: these members and no others.
#[derive(Serialize)]
pub(crate) struct DetectionView<'a> {
    email_address: &'a str,
    detected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Provider>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
}

impl<'a> From<&'a Detection> for DetectionView<'a> {
    fn from(found: &'a Detection) -> Self {
        Self {
            email_address: &found.email_address,
            detected: found.provider.is_some(),
            provider: found.provider,
            r#type: found.imap_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(provider: Option<Provider>, imap_type: Option<&'static str>) -> String {
        let found = Detection {
            email_address: "a@b.c".into(),
            provider,
            imap_type,
        };
        serde_json::to_string(&DetectionView::from(&found)).unwrap()
    }

    #[test]
    fn members_that_say_nothing_are_left_out() {
        assert_eq!(
            shown(None, None),
            r#"{"email_address":"a@b.c","detected":false}"#
        );
        assert_eq!(
            shown(Some(Provider::Imap), Some("yahoo")),
            r#"{"email_address":"a@b.c","detected":true,"provider":"imap","type":"yahoo"}"#
        );
    }
}
