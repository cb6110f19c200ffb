use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const KID: &str = "01a206e3-65f7-7082-9235-f992dc6893bf";

fn headers(timestamp: &str) -> SigningHeaders<'_> {
    SigningHeaders {
        kid: Some(KID),
        timestamp: Some(timestamp),
        nonce: Some("Abc123"),
        signature: Some("QUJD"),
    }
}

fn proof(timestamp: i64, nonce: &str) -> RequestProof {
    RequestProof {
        account_id: KID.parse().ok(),
        timestamp,
        nonce: nonce.to_owned(),
        signature: "QUJD".to_owned(),
    }
}

fn post<'a>(path: &'a str, body: &'a str) -> SignedRequest<'a> {
    SignedRequest {
        method: "POST",
        path,
        body,
    }
}

#[test]
fn a_timestamp_counts_for_five_minutes_either_way_and_not_a_millisecond_longer() {
    let secs = NOW.as_secs();
    for (text, expected) in [
        (secs, Ok(())),
        (secs - 300, Ok(())),
        (secs + 300, Ok(())),
        (secs - 301, Err(SigningError::Window)),
        (secs + 301, Err(SigningError::Window)),
        (0, Err(SigningError::Window)),
        (NOW.0, Ok(())),
        (NOW.0 - 300_000, Ok(())),
        (NOW.0 - 300_001, Err(SigningError::Window)),
        (NOW.0 + 300_001, Err(SigningError::Window)),
        (i64::MAX, Err(SigningError::Window)),
    ] {
        let text = text.to_string();
        let read = RequestProof::read(&headers(&text), NOW).map(|_| ());
        assert_eq!(read, expected, "{text}");
    }
}

#[test]
fn a_timestamp_is_a_plain_number_and_nothing_else() {
    for bad in [
        "",
        " 1800000000",
        "+1800000000",
        "-1",
        "1800000000.0",
        "1.8e9",
        "01800000000",
        "0x6b49d200",
        "١٨",
        "9223372036854775808",
        "1800000000,1800000000",
    ] {
        let refused = RequestProof::read(&headers(bad), NOW).unwrap_err();
        assert_eq!(refused, SigningError::Timestamp, "{bad}");
    }
}

#[test]
fn each_header_is_asked_for_by_its_name() {
    let good = headers("1800000000");
    let long = "n".repeat(NONCE_MAX_BYTES + 1);
    let refusal = |given: SigningHeaders<'_>| RequestProof::read(&given, NOW).unwrap_err();
    for kid in [None, Some("")] {
        assert_eq!(refusal(SigningHeaders { kid, ..good }), SigningError::Kid);
    }
    let timestamp = None;
    let refused = refusal(SigningHeaders { timestamp, ..good });
    assert_eq!(refused, SigningError::Timestamp);
    for nonce in [None, Some(""), Some("a b"), Some("é"), Some(long.as_str())] {
        let refused = refusal(SigningHeaders { nonce, ..good });
        assert_eq!(refused, SigningError::Nonce, "{nonce:?}");
    }
    for signature in [None, Some(""), Some("-_"), Some("A B")] {
        let refused = refusal(SigningHeaders { signature, ..good });
        assert_eq!(refused, SigningError::Signature, "{signature:?}");
        assert!(refused.to_string().starts_with("X-Nylas-Signature"));
    }
    let read = RequestProof::read(&good, NOW).unwrap();
    assert_eq!(read, proof(1_800_000_000, "Abc123"));
}

#[test]
fn a_kid_that_can_be_no_accounts_is_read_as_one_that_is_unknown() {
    let strange = SigningHeaders {
        kid: Some("my-key"),
        ..headers("1800000000")
    };
    assert_eq!(RequestProof::read(&strange, NOW).unwrap().account_id, None);
}

/// What the official Node client signs for this request.
#[test]
fn the_canonical_form_is_the_official_clients() {
    let body = "{\"expires_in\":3,\"name\":\"Zoë \\\"x\\\" \\\\ 🔑 \u{2028}\u{7f}\"}";
    let path = "/v3/admin/applications/a/api-keys";
    assert_eq!(
        post(path, body).canonical(&proof(7, "N0nce")),
        "{\"method\":\"post\",\"nonce\":\"N0nce\",\"path\":\"/v3/admin/applications/a/api-keys\",\
         \"payload\":\"{\\\"expires_in\\\":3,\\\"name\\\":\\\"Zoë \\\\\\\"x\\\\\\\" \\\\\\\\ 🔑 \u{2028}\u{7f}\\\"}\",\
         \"timestamp\":7}"
    );
}

#[test]
fn methods_without_a_body_cover_none() {
    for method in ["GET", "DELETE", "delete"] {
        let request = SignedRequest {
            method,
            path: "/p",
            body: "{}",
        };
        let value: Value = serde_json::from_str(&request.canonical(&proof(1, "n"))).unwrap();
        assert_eq!(value["method"], method.to_lowercase());
        assert_eq!(value.get("payload"), None, "{method}");
    }
    let value: Value = serde_json::from_str(&post("/p", "").canonical(&proof(1, "n"))).unwrap();
    assert_eq!(value.get("payload"), None);
    let value: Value = serde_json::from_str(&post("/p", "{}").canonical(&proof(1, "n"))).unwrap();
    assert_eq!(value["payload"], "{}");
}

/// A JSON text as ECMA-262, 25.5.2.3 (`QuoteJSONString`) writes it, and Python's `json` without ASCII alone.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Canonical JSON as the official clients define it, for any value they can write alike.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.keys().collect();
            names.sort();
            let written = names.iter().map(|name| {
                let member = members.get(*name).map_or_else(String::new, canonical);
                format!("{}:{member}", quoted(name))
            });
            format!("{{{}}}", written.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let written: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", written.join(","))
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\x00-\\x1f\"\\\\/\\x7f\u{2028}\u{2029}\u{e000}\u{10000}é]*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_body_is_sent_the_signed_text_is_the_clients(
        body in any_json(), timestamp in 0..i64::MAX, nonce in "[!-~]{1,128}", path in "/[ -~é]{0,40}",
    ) {
        let sent = canonical(&body);
        let signed = json!({"method": "post", "nonce": nonce, "path": path, "payload": sent,
            "timestamp": timestamp});
        prop_assert_eq!(post(&path, &sent).canonical(&proof(timestamp, &nonce)), canonical(&signed));
    }

    #[test]
    fn a_body_is_signed_as_it_is_sent_canonical_or_not(body in any::<String>()) {
        let text = post("/p", &body).canonical(&proof(1, "n"));
        let value: Value = serde_json::from_str(&text).unwrap();
        let payload = value.get("payload").and_then(Value::as_str).unwrap_or_default();
        prop_assert_eq!(payload, body);
    }

    #[test]
    fn two_requests_never_share_what_is_signed(
        a in any::<(String, String)>(), b in any::<(String, String)>(),
    ) {
        let text = |(path, body): &(String, String)| post(path, body).canonical(&proof(1, "n"));
        prop_assert_eq!(text(&a) == text(&b), a == b);
    }

    #[test]
    fn headers_of_any_text_are_read_or_refused(
        kid in any::<Option<String>>(), timestamp in any::<Option<String>>(),
        nonce in any::<Option<String>>(), signature in any::<Option<String>>(),
    ) {
        let given = SigningHeaders {
            kid: kid.as_deref(),
            timestamp: timestamp.as_deref(),
            nonce: nonce.as_deref(),
            signature: signature.as_deref(),
        };
        if let Ok(read) = RequestProof::read(&given, NOW) {
            prop_assert_eq!(Some(read.timestamp.to_string()), timestamp);
            prop_assert_eq!(Some(read.nonce), nonce);
        }
    }
}
