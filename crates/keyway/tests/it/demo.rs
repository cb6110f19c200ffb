//! `keyway demo` from outside.

use crate::site::{program, signal, stderr};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

#[test]
fn the_story_ends_with_status_0_and_without_colours_in_a_pipe() {
    let output = program(&["demo", "--exit"]).output().unwrap();
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}\n{}", stderr(&output));
    assert!(told.contains("9. Everything read back"), "{told}");
    assert!(
        told.contains("the provider was asked by shared-app"),
        "{told}"
    );
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn the_demo_stays_up_with_a_page_to_sign_in_from_until_it_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("demo");
    let mut command = program(&["demo", "--dir"]);
    let mut child = command.arg(&path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut invitation = lines.skip_while(|line| !line.starts_with("Now you: open http://"));
    let line = invitation.next().unwrap();
    let page = line
        .split("http://")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let (status, body) = crate::site::get(&page, "/", None);
    assert_eq!(status, 200);
    assert!(
        body.contains("credential_id=") && body.contains("production"),
        "{body}"
    );
    signal("INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    a_link_names_what_the_application_has(&path);
    let refused = program(&["demo", "--exit", "--dir"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}

fn a_link_names_what_the_application_has(data_dir: &Path) {
    let mut listed = program(&["app", "list", "--json", "--data-dir"]);
    let listed = listed.arg(data_dir).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let of = |name: &str| {
        let all = listed.as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        one["application_id"].as_str().unwrap().to_owned()
    };
    let acme = of("Acme");
    let link = |arguments: &[&str]| {
        let mut command = program(&["link", "--provider", "google", "--app", &acme, "--data-dir"]);
        let output = command.arg(data_dir).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = link(&[]);
    assert!(
        plain.starts_with("http://127.0.0.1:8080/v3/connect/auth?client_id="),
        "{plain}"
    );
    assert!(
        plain.contains("response_type=code&provider=google"),
        "{plain}"
    );
    assert!(!plain.contains("credential_id"), "{plain}");
    let hinted = link(&[
        "--login-hint",
        "a+b@example.com",
        "--public-url",
        "https://auth.test",
    ]);
    assert!(
        hinted.starts_with("https://auth.test/v3/connect/auth?"),
        "{hinted}"
    );
    assert!(
        hinted.contains("login_hint=a%2Bb%40example.com"),
        "{hinted}"
    );
    let mut unknown = program(&["link", "--provider", "google", "--data-dir"]);
    let id = "01a206de-f694-7e1c-a35b-4dff9e15e5a0";
    let refused = unknown
        .arg(data_dir)
        .args(["--credential", id])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
}
