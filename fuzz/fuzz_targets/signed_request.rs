//! Whatever headers and body a stranger sends to the API for keys, they are read or refused, only within
//! the window of time, and what a signature covers says exactly what was sent: no two requests share it.
#![no_main]

use keyway_core::service_account::{
    NONCE_MAX_BYTES, RequestProof, SignedRequest, SigningHeaders, TIMESTAMP_WINDOW_SECS,
};
use keyway_core::time::UnixMillis;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn check_proof(headers: &SigningHeaders<'_>) -> Option<RequestProof> {
    let proof = RequestProof::read(headers, NOW).ok()?;
    assert_eq!(
        Some(proof.timestamp.to_string().as_str()),
        headers.timestamp
    );
    assert!(proof.made_at().0.abs_diff(NOW.0) <= TIMESTAMP_WINDOW_SECS.unsigned_abs() * 1000);
    assert_eq!(Some(proof.nonce.as_str()), headers.nonce);
    assert!((1..=NONCE_MAX_BYTES).contains(&proof.nonce.len()));
    Some(proof)
}

fn check_text(text: &str, request: &SignedRequest<'_>, proof: &RequestProof) {
    assert!(!text.bytes().any(|byte| byte < b' '), "{text}");
    let members: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let names: Vec<_> = members.keys().map(String::as_str).collect();
    assert!(names.is_sorted(), "{text}");
    assert_eq!(members["method"], request.method.to_ascii_lowercase());
    assert_eq!(members["path"], request.path);
    assert_eq!(members["nonce"], proof.nonce.as_str());
    assert_eq!(members["timestamp"], proof.timestamp);
    let covers = ["post", "put", "patch"].contains(&request.method.to_ascii_lowercase().as_str());
    let payload = (covers && !request.body.is_empty()).then_some(request.body);
    assert_eq!(members.get("payload").and_then(Value::as_str), payload);
    // Written again, it is the same to the letter: there is one spelling.
    assert_eq!(serde_json::to_string(&members).expect("JSON"), text);
}

fuzz_target!(|data: &str| {
    let mut lines = data.splitn(7, '\n');
    let mut next = || lines.next();
    let headers = SigningHeaders {
        kid: next(),
        timestamp: next(),
        nonce: next(),
        signature: next(),
    };
    let request = SignedRequest {
        method: next().unwrap_or("POST"),
        path: next().unwrap_or("/"),
        body: next().unwrap_or_default(),
    };
    let read = check_proof(&headers);
    let proof = read.unwrap_or_else(|| RequestProof {
        account_id: None,
        timestamp: 1,
        nonce: "n".to_owned(),
        signature: "AAAA".to_owned(),
    });
    check_text(&request.canonical(&proof), &request, &proof);
});
