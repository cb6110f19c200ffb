//! `keyway doctor`: what it finds, what it says to do, and that it changes nothing.

use crate::on_both;
use crate::proxy::world::World;
use crate::site::{Site, stderr};
use keyway_store::newest_schema_version;
use serde_json::Value;
use std::process::Output;

on_both! {
    a_healthy_server_has_nothing_to_warn_of
    what_keeps_a_server_from_working_is_a_failure_with_the_next_step
    a_damaged_value_and_a_database_to_migrate_are_warnings_and_nothing_is_changed
}

fn told(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

/// What was found by a check, and how bad it is.
fn of<'v>(findings: &'v [Value], check: &str) -> Vec<(&'v str, &'v str)> {
    let of_check = findings.iter().filter(|finding| finding["check"] == check);
    let words = |finding: &'v Value, name| finding[name].as_str().unwrap();
    of_check
        .map(|f| (words(f, "status"), words(f, "found")))
        .collect()
}

fn a_healthy_server_has_nothing_to_warn_of(site: &Site) {
    site.app("A");
    let server = site.serve(&[]);
    assert_eq!(server.get("/.well-known/jwks.json", None).0, 200);
    let output = site.run(&["doctor", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let findings = told(&output);
    assert!(
        findings.iter().all(|f| f["status"] == "ok"),
        "{findings:#?}"
    );
    assert!(
        of(&findings, "keys")[0]
            .1
            .contains("1 sealed values opened"),
        "{findings:#?}"
    );
    assert_eq!(server.get("/readyz", None).0, 200);
}

fn what_keeps_a_server_from_working_is_a_failure_with_the_next_step(site: &Site) {
    site.app("A");
    let key = site.data_dir().join("master.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    let wrong = site.run(&["doctor", "--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    let findings = told(&wrong);
    let (status, found) = of(&findings, "keys")[0];
    assert!(
        status == "fail" && found.contains("not the master key"),
        "{found}"
    );

    std::fs::write(&key, right).unwrap();
    site.execute("INSERT INTO server_notes VALUES ('import', '{\"export_id\":\"x\",\"lines\":1,\"rows\":1}', 1)");
    let half = site.run(&["doctor", "--json"]);
    assert_eq!(half.status.code(), Some(1));
    let findings = told(&half);
    assert!(
        of(&findings, "database")[0].1.contains("is not finished"),
        "{findings:#?}"
    );
    assert!(
        findings
            .iter()
            .any(|f| f["next"] == "Run the same `keyway import` again.")
    );
}

fn a_damaged_value_and_a_database_to_migrate_are_warnings_and_nothing_is_changed(site: &Site) {
    site.app("A");
    let server = site.serve(&[]);
    assert_eq!(server.get("/.well-known/jwks.json", None).0, 200);
    assert!(server.terminate().0.success());
    site.execute("UPDATE signing_keys SET sealed = substr(sealed, 1, 40)");
    let damaged = site.run(&["doctor", "--json"]);
    assert!(damaged.status.success(), "{}", stderr(&damaged));
    let findings = told(&damaged);
    let (status, found) = of(&findings, "keys")[0];
    assert!(
        status == "warn" && found.contains("signing_keys.sealed/"),
        "{found}"
    );

    let newest = newest_schema_version();
    site.execute(&format!(
        "DELETE FROM schema_migrations WHERE version = {newest}"
    ));
    let older_than = format!("is of schema {}", newest - 1);
    for _ in 0..2 {
        let older = site.run(&["doctor", "--json"]);
        assert!(older.status.success(), "{}", stderr(&older));
        let findings = told(&older);
        let (status, found) = of(&findings, "database")[0];
        assert!(status == "warn" && found.contains(&older_than), "{found}");
    }
}

#[test]
fn providers_are_called_and_failing_credentials_named() {
    let world = World::new();
    let findings = told(&world.run(&["doctor", "--json"]));
    let google = of(&findings, "provider")[0];
    assert_eq!(google, ("ok", "google: 127.0.0.1 answers, clocks agree"));
    world.execute(
        "UPDATE credentials SET health_status = 'failing', health_error = 'invalid_client'",
    );
    let text = std::fs::read_to_string(&world.file).unwrap();
    let unreachable = "http://127.0.0.1:1/token";
    let line = text
        .lines()
        .find(|line| line.starts_with("token_endpoint"))
        .unwrap();
    std::fs::write(
        &world.file,
        text.replace(line, &format!("token_endpoint = \"{unreachable}\"")),
    )
    .unwrap();
    let output = world.run(&["doctor", "--json"]);
    assert!(
        output.status.success(),
        "warnings only: {}",
        stderr(&output)
    );
    let findings = told(&output);
    let (status, found) = of(&findings, "credentials")[0];
    assert!(
        status == "warn" && found.contains("invalid_client"),
        "{found}"
    );
    let (status, found) = of(&findings, "provider")[0];
    assert!(
        status == "warn" && found.contains("cannot be reached"),
        "{found}"
    );

    // What was deleted is nobody's trouble any more, and its provider is asked no longer.
    world.execute("UPDATE credentials SET deleted_at = 1");
    world.execute("UPDATE connectors SET deleted_at = 1");
    let findings = told(&world.run(&["doctor", "--json"]));
    assert_eq!(of(&findings, "credentials")[0].0, "ok", "{findings:#?}");
}
