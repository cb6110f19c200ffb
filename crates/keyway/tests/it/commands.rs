//! Commands on a stopped server and beside a running one, and what they say when they cannot work.

use crate::on_both;
use crate::site::{Site, program, stderr, text};
use std::os::unix::fs::PermissionsExt as _;

on_both! {
    an_application_is_made_on_a_stopped_server_and_beside_a_running_one
    a_database_without_its_master_key_is_refused_with_words
    another_master_key_is_refused_with_words
    a_database_of_a_newer_version_is_refused
    keys_are_made_listed_and_revoked
    a_link_is_printed_only_if_it_can_work
    two_first_commands_at_once_found_one_keyring
    a_command_that_only_looks_makes_nothing
}

fn an_application_is_made_on_a_stopped_server_and_beside_a_running_one(site: &Site) {
    let (first, _) = site.app("First");
    let mode = std::fs::metadata(site.data_dir().join("master.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let server = site.serve(&[]);
    let (second, key) = site.app("Second");
    let (status, body) = server.get("/v3/applications", Some(&key));
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(&second), "{body}");
    let listed = site.json(&["app", "list"]).to_string();
    assert!(
        listed.contains(&first) && listed.contains(&second),
        "{listed}"
    );
    let shown = site.json(&["app", "show", &first]);
    assert_eq!(text(&shown, "client_id"), first);
    assert!(text(&shown, "redirect_uri").ends_with("/v3/connect/callback"));
}

fn a_database_without_its_master_key_is_refused_with_words(site: &Site) {
    site.app("A");
    let path = site.data_dir().join("master.key");
    std::fs::remove_file(&path).unwrap();
    for command in [&["app", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let refused = site.run(command);
        assert_eq!(refused.status.code(), Some(1));
        let words = stderr(&refused);
        assert!(
            words.contains("master.key") && words.contains("does not exist"),
            "{words}"
        );
        assert!(words.contains("--master-key-file"), "{words}");
    }
    assert!(!path.exists(), "no new key is made for an old database");
}

fn another_master_key_is_refused_with_words(site: &Site) {
    site.app("A");
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let refused = site
        .command(&["app", "list"])
        .env("KEYWAY_MASTER_KEY", other)
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let words = stderr(&refused);
    assert!(
        words.contains("KEYWAY_MASTER_KEY does not open the database"),
        "{words}"
    );
    assert!(!words.contains(other), "{words}");
}

fn a_database_of_a_newer_version_is_refused(site: &Site) {
    site.app("A");
    site.execute(
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (9999, 'later', 'x', 0)",
    );
    let refused = site.run(&["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    let words = stderr(&refused);
    assert!(words.contains("9999") && words.contains("newer"), "{words}");
}

fn keys_are_made_listed_and_revoked(site: &Site) {
    let (app, first) = site.app("A");
    let made = site.json(&[
        "key",
        "create",
        "--app",
        &app,
        "--name",
        "CI",
        "--expires-in-days",
        "7",
    ]);
    let (id, secret) = (text(&made, "key_id"), text(&made, "api_key"));
    assert_ne!(secret, first);
    let listed = site.json(&["key", "list"]).to_string();
    assert!(
        listed.contains(&id) && !listed.contains(&secret),
        "{listed}"
    );
    assert!(site.run(&["key", "revoke", &id]).status.success());
    let listed = String::from_utf8(site.run(&["key", "list"]).stdout).unwrap();
    assert!(listed.contains("revoked"), "{listed}");
    for wrong in [&secret, "01a206de-f694-7e1c-a35b-4dff9e15e5a0"] {
        let refused = site.run(&["key", "revoke", "--app", &app, wrong]);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(
            !stderr(&refused).contains(&secret),
            "a key is never repeated"
        );
    }
}

fn a_link_is_printed_only_if_it_can_work(site: &Site) {
    let (app, _) = site.app("A");
    for (arguments, word) in [
        (&["--provider", "google"][..], "no connector"),
        (&["--provider", "imap"], "no connector"),
        (&["--provider", "virtual-calendar"], "/v3/connect/custom"),
        (&["--provider", "gogle"], "unknown provider"),
        (
            &[
                "--provider",
                "google",
                "--redirect-uri",
                "http://localhost:1/x",
            ],
            "redirect URI",
        ),
    ] {
        let refused = site.run(&[&["link", "--app", &app], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).contains(word), "{}", stderr(&refused));
    }
}

fn a_command_that_only_looks_makes_nothing(site: &Site) {
    let elsewhere = site.data_dir().join("elsewhere");
    let directory = elsewhere.to_str().unwrap();
    for command in [
        &["app", "list"][..],
        &["app", "show"],
        &["key", "list"],
        &["link", "--provider", "google"],
    ] {
        let refused = site.run(command);
        assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
        assert!(stderr(&refused).contains("there is no database"));
        assert!(!site.data_dir().join("master.key").exists());
        let refused = program(command)
            .args(["--data-dir", directory])
            .output()
            .unwrap();
        let words = stderr(&refused);
        assert!(words.contains(&format!("{directory}/keyway.db")), "{words}");
        assert!(!elsewhere.exists());
    }
}

fn two_first_commands_at_once_found_one_keyring(site: &Site) {
    let commands = ["A", "B", "C"].map(|name| {
        site.command(&["app", "create", "--name", name])
            .spawn()
            .unwrap()
    });
    for mut command in commands {
        assert!(command.wait().unwrap().success());
    }
    assert_eq!(site.json(&["app", "list"]).as_array().unwrap().len(), 3);
}

#[test]
fn an_unknown_field_is_refused_with_the_nearest_known_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keyway.toml");
    std::fs::write(&file, "[network]\nalow_private_addresses = true\n").unwrap();
    for command in [&["serve"][..], &["config", "check"], &["app", "list"]] {
        let refused = program(command)
            .arg("--config")
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(2));
        let words = stderr(&refused);
        assert!(words.contains("network.alow_private_addresses"), "{words}");
        assert!(words.contains("network.allow_private_addresses"), "{words}");
    }
}

#[test]
fn config_check_shows_where_settings_come_from_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keyway.toml");
    let text = "[server]\nlisten = '127.0.0.1:8123'\n[shared_apps.google]\nclient_id = 'shared'\n\
                client_secret = 'hunter2'\napplications = ['*']\n";
    std::fs::write(&file, text).unwrap();
    let mut command = program(&["config", "check", "--config"]);
    command.arg(&file).env("KEYWAY_MASTER_KEY", "hunter3");
    command.env(
        "KEYWAY_DATABASE",
        "postgres://keyway:hunter4@localhost/keyway",
    );
    let output = command.output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(
        shown.contains("127.0.0.1:8123") && shown.contains("configuration file"),
        "{shown}"
    );
    assert!(
        shown.contains("KEYWAY_DATABASE") && shown.contains("postgres://keyway@localhost"),
        "{shown}"
    );
    assert!(
        shown.contains("http://127.0.0.1:8123/v3/connect/callback"),
        "{shown}"
    );
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn bad_arguments_end_with_status_2() {
    for arguments in [
        &["app", "create"][..],
        &["frobnicate"],
        &["link", "--provider"],
    ] {
        assert_eq!(program(arguments).output().unwrap().status.code(), Some(2));
    }
}
