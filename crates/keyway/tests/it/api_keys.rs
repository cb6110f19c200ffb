//! `keyway key rotate` and `keyway service-account`, from outside.

use crate::on_both;
use crate::site::{Site, stderr, text};
use serde_json::{Value, json};
use std::time::Duration;

on_both! {
    a_key_is_rotated_beside_a_running_server
    a_service_account_is_made_listed_and_revoked
}

fn a_key_is_rotated_beside_a_running_server(site: &Site) {
    let (app, first) = site.app("A");
    let listed = site.json(&["key", "list"]);
    let id = text(&listed[0], "key_id");
    let server = site.serve(&[]);
    let answers = |key: &str| server.get("/v3/applications", Some(key)).0;
    let rotate = ["key", "rotate", "--app", &app, "--key", &id];
    let made = site.json(&[&rotate[..], &["--overlap", "1"]].concat());
    let second = text(&made, "api_key");
    assert_eq!([answers(&first), answers(&second)], [200, 200]);
    let end = made["replaces"]["expires_at"].as_i64().unwrap();
    assert!(end - made["created_at"].as_i64().unwrap() <= 3600);
    assert!(made["expires_at"].is_null());
    let shown = String::from_utf8(site.run(&["key", "list"]).stdout).unwrap();
    assert!(shown.contains("live until "), "{shown}");
    let again = site.run(&rotate);
    assert_eq!(again.status.code(), Some(2), "{}", stderr(&again));
    assert!(stderr(&again).contains("rotated before"));
    let done = site.run(&[&rotate[..], &["--overlap", "0", "--expires-in-days", "90"]].concat());
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(
        shown.contains("old_expires") && !shown.contains("never"),
        "{shown}"
    );
    let ended = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        answers(&first) == 401
    });
    assert!(ended, "the running server goes on taking the old key");
    assert_eq!(answers(&second), 200);
    for wrong in [first.as_str(), "01a206de-f694-7e1c-a35b-4dff9e15e5a0", &id] {
        let refused = site.run(&["key", "rotate", "--app", &app, "--key", wrong]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(
            !stderr(&refused).contains(&first),
            "a key is never repeated"
        );
    }
}

fn a_service_account_is_made_listed_and_revoked(site: &Site) {
    let (app, _) = site.app("A");
    let file = site.json(&["service-account", "create", "--name", "rotator"]);
    assert_eq!(text(&file, "type"), "service_account");
    assert_eq!(text(&file, "region"), "us");
    assert!(text(&file, "private_key").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(
        file["permissions"],
        json!(["apikey.create", "apikey.get", "apikey.delete"])
    );
    let id = text(&file, "private_key_id");
    let (other, _) = site.app("B");
    let both = [
        "service-account",
        "create",
        "--name",
        "auditor",
        "--app",
        &app,
        "--app",
        &other,
        "--permission",
        "apikey.get",
    ];
    let made = site.run(&both);
    let printed: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(printed["permissions"], json!(["apikey.get"]));
    assert!(stderr(&made).contains("shown this once"));
    let listed = site.json(&["service-account", "list"]);
    assert_eq!(listed[0]["applications"], json!([app]));
    assert_eq!(listed[1]["applications"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("PRIVATE"));
    assert!(
        site.run(&["service-account", "revoke", &id])
            .status
            .success()
    );
    let shown = String::from_utf8(site.run(&["service-account", "list"]).stdout).unwrap();
    assert!(
        shown.contains("revoked ") && shown.contains("auditor"),
        "{shown}"
    );
    for wrong in [
        &["revoke", id.as_str()][..],
        &["revoke", "nonsense"],
        &["create", "--name", "which application?"],
        &[
            "create",
            "--name",
            "x",
            "--app",
            &app,
            "--permission",
            "apikey.all",
        ],
        &["create", "--name", " ", "--app", &app],
    ] {
        let refused = site.run(&[&["service-account"][..], wrong].concat());
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{wrong:?}: {}",
            stderr(&refused)
        );
    }
}
