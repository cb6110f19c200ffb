//! `keyway keyring` on a stopped server and beside a running one, and where the master key may come from.

use crate::on_both;
use crate::site::{Site, stderr, text};
use crate::transit::KeyService;
use serde_json::Value;
use std::path::{Path, PathBuf};

on_both! {
    a_rotation_beside_a_running_server_goes_through_and_an_interrupted_one_is_gone_on_with
    a_value_that_does_not_open_is_named_and_keeps_nobody_from_rotating
    a_master_key_that_others_may_have_read_is_not_deleted
    what_is_wrong_with_the_keys_is_told_apart
    a_master_key_in_a_file_is_replaced_and_the_old_one_kept
    a_replacement_that_was_interrupted_still_starts_and_is_finished
    a_master_key_in_a_variable_is_replaced_by_its_successor
    a_master_key_is_printed_by_a_command
    a_master_key_is_opened_by_a_key_service
    a_key_service_that_refuses_is_told_with_words
}

fn status(site: &Site) -> Value {
    site.json(&["keyring", "status"])
}

fn states(status: &Value) -> Vec<String> {
    let terms = status["terms"].as_array().unwrap();
    terms.iter().map(|term| text(term, "state")).collect()
}

fn succeeds(site: &Site, arguments: &[&str]) -> String {
    let output = site.run(arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn a_rotation_beside_a_running_server_goes_through_and_an_interrupted_one_is_gone_on_with(
    site: &Site,
) {
    let (_, key) = site.app("A");
    let server = site.serve(&[]);
    assert_eq!(server.get("/.well-known/jwks.json", None).0, 200);
    let told = succeeds(site, &["keyring", "rotate"]);
    assert!(
        told.contains("retiring") && told.contains("Term 1 is retired after"),
        "{told}"
    );
    let rotated = status(site);
    assert_eq!(states(&rotated), ["retiring", "active"]);
    assert_eq!(rotated["to_reseal"], 0);
    assert_eq!(server.get("/v3/applications", Some(&key)).0, 200);

    let early = site.run(&["keyring", "rotate"]);
    assert!(
        early.status.success(),
        "a third term may follow: {}",
        stderr(&early)
    );
    let resumed = site.json(&["keyring", "rotate", "--resume"]);
    assert_eq!(states(&resumed), ["retiring", "retiring", "active"]);

    site.execute("UPDATE vault_keys SET state_since = 1 WHERE state = 'retiring'");
    let done = site.json(&["keyring", "rotate", "--resume"]);
    assert_eq!(states(&done), ["retired", "retired", "active"]);
    assert_eq!(server.get("/readyz", None).0, 200);
    assert!(server.terminate().0.success());
    assert_eq!(site.serve(&[]).get("/v3/applications", Some(&key)).0, 200);
}

fn a_value_that_does_not_open_is_named_and_keeps_nobody_from_rotating(site: &Site) {
    site.app("A");
    let server = site.serve(&[]);
    assert_eq!(server.get("/.well-known/jwks.json", None).0, 200);
    assert!(server.terminate().0.success());
    site.execute("UPDATE signing_keys SET sealed = substr(sealed, 1, 40)");
    for _ in 0..2 {
        let rotated = site.run(&["keyring", "rotate"]);
        assert_eq!(rotated.status.code(), Some(1));
        let words = stderr(&rotated);
        assert!(
            words.contains("does not open: signing_keys.sealed/"),
            "{words}"
        );
    }
    assert_eq!(states(&status(site)), ["retiring", "retiring", "active"]);
}

fn a_master_key_that_others_may_have_read_is_not_deleted(site: &Site) {
    site.migrate();
    if site.backend() == keyway_store::Backend::Postgres {
        site.execute("ALTER TABLE vault_keys ADD CONSTRAINT nothing_fits CHECK (term < 0)");
    } else {
        site.execute("CREATE TRIGGER nothing_fits BEFORE INSERT ON vault_keys BEGIN SELECT RAISE(FAIL, 'no'); END");
    }
    let failed = site.run(&["app", "create", "--name", "A"]);
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    // Another process may have founded the keys with it meanwhile.
    assert!(master_file(site).exists(), "{}", stderr(&failed));
}

fn what_is_wrong_with_the_keys_is_told_apart(site: &Site) {
    let words = |site: &Site, variables: &[(&str, &str)]| {
        let mut command = site.command(&["app", "list"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success());
        stderr(&output)
    };
    site.migrate();
    let silent = [("KEYWAY_MASTER_KEY_COMMAND", "true")];
    let told = words(site, &silent);
    assert!(
        told.contains("is empty") && told.contains("`true` prints none"),
        "{told}"
    );
    let told = words(site, &[]);
    assert!(
        told.contains("is empty") && told.contains("keyway app create"),
        "{told}"
    );

    site.app("A");
    let told = words(site, &silent);
    assert!(
        told.contains("was made with a master key, and `true` prints none"),
        "{told}"
    );
    site.execute(
        "UPDATE vault_keys SET wrapped = substr(wrapped, 1, 20) WHERE purpose = 'sealing'",
    );
    let told = words(site, &[]);
    assert!(
        told.contains("are not whole") && told.contains("from a backup"),
        "{told}"
    );
    assert!(!told.contains("does not open the database"), "{told}");
}

fn master_file(site: &Site) -> PathBuf {
    site.data_dir().join("master.key")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn a_master_key_in_a_file_is_replaced_and_the_old_one_kept(site: &Site) {
    let (_, key) = site.app("A");
    let server = site.serve(&[]);
    let (before, old) = (read(&master_file(site)), status(site));
    let replaced = site.json(&["keyring", "replace-master"]);
    assert_eq!(replaced["old_master_key"], old["master_key"]);
    assert_eq!(replaced["new_master_key"], status(site)["master_key"]);
    assert_ne!(read(&master_file(site)), before);
    let kept = text(&replaced, "old_master_key_in");
    assert_eq!(read(Path::new(&kept)), before);

    // The server that ran meanwhile goes on, and so does one that starts now.
    assert_eq!(server.get("/v3/applications", Some(&key)).0, 200);
    assert!(server.terminate().0.success());
    assert_eq!(site.serve(&[]).get("/v3/applications", Some(&key)).0, 200);
    let refused = site.run(&["app", "list", "--master-key-file", &kept]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("does not open the database"),
        "{}",
        stderr(&refused)
    );
}

fn a_replacement_that_was_interrupted_still_starts_and_is_finished(site: &Site) {
    let (_, key) = site.app("A");
    let before = read(&master_file(site));
    let next = site.data_dir().join("master.key.next");
    // What an end between the commit and the move leaves behind.
    let file = next.to_str().unwrap();
    succeeds(
        site,
        &["keyring", "replace-master", "--new-master-key-file", file],
    );
    assert_eq!(read(&master_file(site)), before);
    let new = read(&next);
    assert_eq!(site.serve(&[]).get("/v3/applications", Some(&key)).0, 200);

    let finished = site.json(&["keyring", "replace-master"]);
    assert_eq!(finished["new_master_key"], status(site)["master_key"]);
    assert_eq!(read(&master_file(site)), new);
    assert!(!next.exists());
    assert_eq!(
        read(Path::new(&text(&finished, "old_master_key_in"))),
        before
    );
}

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const NEXT: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn a_master_key_in_a_variable_is_replaced_by_its_successor(site: &Site) {
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = site.command(arguments);
        command.envs(variables.iter().copied()).output().unwrap()
    };
    let (old, new) = (("KEYWAY_MASTER_KEY", KEY), ("KEYWAY_MASTER_KEY_NEXT", NEXT));
    let made = run(&["app", "create", "--name", "A"], &[old]);
    assert!(made.status.success(), "{}", stderr(&made));
    let none = run(&["keyring", "replace-master"], &[old]);
    assert_eq!(none.status.code(), Some(2), "{}", stderr(&none));
    assert!(
        stderr(&none).contains("KEYWAY_MASTER_KEY_NEXT"),
        "{}",
        stderr(&none)
    );
    let replaced = run(&["keyring", "replace-master"], &[old, new]);
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    // Either setting starts a server, until the old one is dropped.
    assert!(run(&["app", "list"], &[old, new]).status.success());
    assert!(
        run(&["app", "list"], &[("KEYWAY_MASTER_KEY", NEXT)])
            .status
            .success()
    );
    assert!(!run(&["app", "list"], &[old]).status.success());
}

fn a_master_key_is_printed_by_a_command(site: &Site) {
    let file = site.data_dir().join("printed");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let command = format!("cat '{}'", file.display());
    let run = |arguments: &[&str]| {
        let mut program = site.command(arguments);
        program.env("KEYWAY_MASTER_KEY_COMMAND", &command);
        program.output().unwrap()
    };
    let made = run(&["app", "create", "--name", "A"]);
    assert!(made.status.success(), "{}", stderr(&made));
    std::fs::write(&file, format!("{KEY}\n{NEXT}\n")).unwrap();
    let replaced = run(&["keyring", "replace-master"]);
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    std::fs::write(&file, format!("{NEXT}\n")).unwrap();
    assert!(run(&["app", "list"]).status.success());
    std::fs::remove_file(&file).unwrap();
    let refused = run(&["app", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("the command for the master key failed"),
        "{}",
        stderr(&refused)
    );
}

/// A configuration that lets the key service open the master key.
fn with_service(site: &Site, service: &KeyService, token: &str) -> PathBuf {
    let (config, token_file) = (
        site.data_dir().join("k.toml"),
        site.data_dir().join("token"),
    );
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    let text = format!(
        "[transit]\naddress = 'http://{}'\nmount = 'keys/transit'\nkey = 'keyway'\ntoken_file = 'token'\n",
        service.address()
    );
    std::fs::write(&config, text).unwrap();
    config
}

fn a_master_key_is_opened_by_a_key_service(site: &Site) {
    let service = KeyService::start("keys/transit", "keyway", "s.right");
    let config = with_service(site, &service, "s.right");
    let config = config.to_str().unwrap();
    let made = site.json(&["app", "create", "--name", "A", "--config", config]);
    let kept = site.data_dir().join("master.key.transit");
    assert!(read(&kept).starts_with("vault:v1:"), "{}", read(&kept));
    assert!(!master_file(site).exists(), "nowhere in the clear");

    let server = site.serve(&["--config", config]);
    let key = text(&made, "api_key");
    assert_eq!(server.get("/v3/applications", Some(&key)).0, 200);
    let before = read(&kept);
    let replaced = site.json(&["keyring", "replace-master", "--config", config]);
    assert_ne!(read(&kept), before);
    assert_eq!(
        read(Path::new(&text(&replaced, "old_master_key_in"))),
        before
    );
    // A rotation has the running server ask the service again.
    succeeds(site, &["keyring", "rotate", "--config", config]);
    assert_eq!(server.get("/readyz", None).0, 200);
    assert!(server.terminate().0.success());
    assert!(
        site.run(&["app", "list", "--config", config])
            .status
            .success()
    );
}

fn with_other_token(site: &Site, service: &KeyService) -> PathBuf {
    std::fs::remove_dir(site.data_dir().join("token")).unwrap();
    with_service(site, service, "s.right")
}

fn a_key_service_that_refuses_is_told_with_words(site: &Site) {
    let service = KeyService::start("keys/transit", "keyway", "s.right");
    let config = with_service(site, &service, "s.wrong");
    let config = config.to_str().unwrap();
    let refused = site.run(&["app", "create", "--name", "A", "--config", config]);
    assert_eq!(refused.status.code(), Some(1));
    let words = stderr(&refused);
    assert!(
        words.contains("403") && words.contains("permission denied"),
        "{words}"
    );
    assert!(!words.contains("s.wrong"), "{words}");
    std::fs::remove_file(site.data_dir().join("token")).unwrap();
    std::fs::create_dir(site.data_dir().join("token")).unwrap();
    let refused = site.run(&["app", "create", "--name", "A", "--config", config]);
    let words = stderr(&refused);
    assert!(
        words.contains("the token for the key service in") && words.contains("cannot be read"),
        "{words}"
    );
    let config = with_other_token(site, &service);
    let config = config.to_str().unwrap();
    let address = service.address();
    drop(service);
    let refused = site.run(&["app", "create", "--name", "A", "--config", config]);
    let words = stderr(&refused);
    assert!(
        words.contains(&address) && words.contains("cannot be reached"),
        "{words}"
    );
}
