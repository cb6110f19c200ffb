//! Backups, and the way from one kind of database to the other.

use crate::on_both;
use crate::site::{Site, stderr, text};
use keyway_store::{Backend, newest_schema_version};
use std::path::{Path, PathBuf};
use std::process::Output;

on_both! {
    an_exported_database_is_imported_into_the_other_kind_with_everything_in_it
    an_import_that_stopped_goes_on_and_no_server_starts_before_it_is_done
    a_file_that_was_changed_cut_off_or_sealed_otherwise_is_not_imported
    a_file_that_changes_after_it_was_checked_is_noticed
    a_copy_of_an_older_database_is_made_before_anything_migrates_it
}

fn refused(output: &Output, words: &str) {
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{}",
        stderr(output)
    );
    assert!(
        stderr(output).contains(words),
        "{words}: {}",
        stderr(output)
    );
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", stderr(output));
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sqlite() -> Site {
    Site::on(Backend::Sqlite).unwrap()
}

#[test]
fn a_backup_beside_a_running_server_is_restored_to_another_place() {
    let site = sqlite();
    let (_, key) = site.app("A");
    let server = site.serve(&[]);
    let file = site.data_dir().join("backup.db");
    let made = site.json(&["backup", path_text(&file)]);
    assert_eq!(
        made["master_key"],
        site.json(&["keyring", "status"])["master_key"]
    );
    refused(&site.run(&["backup", path_text(&file)]), "is there already");
    // What came after the backup is not in it.
    let (later, _) = site.app("Later");
    assert!(server.terminate().0.success());

    let other = sqlite();
    let master = site.data_dir().join("master.key");
    let keyed = ["--master-key-file", path_text(&master)];
    done(&other.run(&["restore", path_text(&file), keyed[0], keyed[1]]));
    let listed = other.run(&["app", "list", keyed[0], keyed[1]]);
    assert!(!String::from_utf8(listed.stdout).unwrap().contains(&later));
    assert_eq!(
        other.serve(&keyed).get("/v3/applications", Some(&key)).0,
        200
    );
}

#[test]
fn a_restore_touches_nothing_until_everything_about_it_is_known_to_be_good() {
    let site = sqlite();
    let (app, key) = site.app("A");
    let file = site.data_dir().join("backup.db");
    done(&site.run(&["backup", path_text(&file)]));
    let restore = ["restore", path_text(&file), "--replace"];
    refused(&site.run(&restore[..2]), "there is a database in");

    let server = site.serve(&[]);
    refused(&site.run(&restore), "is in use");
    assert_eq!(server.get("/v3/applications", Some(&key)).0, 200);
    assert!(server.terminate().0.success());

    let wrong = site.data_dir().join("wrong.key");
    std::fs::write(&wrong, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    let other_key = ["--master-key-file", path_text(&wrong)];
    let command = [
        restore[0],
        restore[1],
        restore[2],
        other_key[0],
        other_key[1],
    ];
    refused(&site.run(&command), "does not open the database");

    let broken = site.data_dir().join("broken.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&broken, bytes).unwrap();
    let words = "cannot be used as a backup";
    refused(
        &site.run(&["restore", path_text(&broken), "--replace"]),
        words,
    );
    refused(
        &site.run(&["restore", "/nowhere/at.all", "--replace"]),
        "there is no",
    );

    let (later, _) = site.app("Later");
    assert!(
        site.run(&["app", "show", &later]).status.success(),
        "untouched so far"
    );
    let restored = site.json(&restore);
    assert_eq!(restored["logs_put_aside"].as_array().unwrap().len(), 0);
    let aside = PathBuf::from(text(&restored, "put_aside"));
    assert!(aside.exists());
    assert!(!site.run(&["app", "show", &later]).status.success());
    assert!(site.run(&["app", "show", &app]).status.success());
    let leftovers = std::fs::read_dir(site.data_dir()).unwrap();
    let names = leftovers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.collect();
    let is_left = |name: &String| name.contains("restoring") || name.contains("draft");
    assert!(!names.iter().any(is_left), "{names:?}");
}

/// The database's file.
fn database_file(site: &Site) -> PathBuf {
    site.texts("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .remove(0)
        .into()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

#[test]
fn a_log_that_was_left_behind_does_not_get_into_the_restored_database() {
    let site = sqlite();
    let (app, _) = site.app("A");
    let (file, database) = (site.data_dir().join("backup.db"), database_file(&site));
    done(&site.run(&["backup", path_text(&file)]));
    // A server that is killed leaves its log behind.
    let mut server = site.serve(&[]);
    let (later, _) = site.app("Later");
    let log = beside(&database, "-wal");
    let bytes = std::fs::read(&log).unwrap();
    server.kill();
    drop(server);
    assert!(!bytes.is_empty());
    std::fs::remove_file(&database).unwrap();
    drop(std::fs::remove_file(beside(&database, "-shm")));
    for log in [&log, &beside(&database, ".restoring-wal")] {
        std::fs::write(log, &bytes).unwrap();
    }

    let restored = site.json(&["restore", path_text(&file)]);
    assert!(!site.run(&["app", "show", &later]).status.success());
    assert!(site.run(&["app", "show", &app]).status.success());
    let kept = restored["logs_put_aside"][0].as_str().unwrap();
    assert_eq!(std::fs::read(kept).unwrap(), bytes);
}

#[test]
fn a_damaged_database_is_put_aside_as_it_is_and_replaced() {
    let site = sqlite();
    let (app, _) = site.app("A");
    let (file, database) = (site.data_dir().join("backup.db"), database_file(&site));
    done(&site.run(&["backup", path_text(&file)]));
    let mut damaged = std::fs::read(&database).unwrap();
    damaged[..16].copy_from_slice(b"not SQLite at al");
    std::fs::write(&database, &damaged).unwrap();
    std::fs::write(beside(&database, "-wal"), b"a log").unwrap();

    let restored = site.json(&["restore", path_text(&file), "--replace"]);
    let aside = text(&restored, "put_aside");
    assert_eq!(std::fs::read(&aside).unwrap(), damaged);
    let log = beside(Path::new(&aside), "-wal");
    assert_eq!(std::fs::read(log).unwrap(), b"a log");
    assert!(site.run(&["app", "show", &app]).status.success());
}

fn a_copy_of_an_older_database_is_made_before_anything_migrates_it(site: &Site) {
    site.app("A");
    let newest = newest_schema_version();
    site.execute(&format!(
        "DELETE FROM schema_migrations WHERE version = {newest}"
    ));
    let versions = || site.texts("SELECT CAST(max(version) AS TEXT) FROM schema_migrations");
    let export = site.data_dir().join("keyway.export");
    let words = format!("this program reads schema {newest}");
    refused(&site.run(&["export", path_text(&export)]), &words);
    if site.backend() == Backend::Sqlite {
        // A backup needs no master key either.
        std::fs::remove_file(site.data_dir().join("master.key")).unwrap();
        let copy = site.data_dir().join("backup.db");
        let made = site.json(&["backup", path_text(&copy)]);
        assert_eq!(text(&made, "master_key").len(), 16);
    }
    assert_eq!(versions(), [(newest - 1).to_string()]);
}

/// A site of the other kind, that has the same master key; `None` if there is no such database to test on.
fn other_kind(site: &Site) -> Option<Site> {
    let other = Site::on(match site.backend() {
        Backend::Sqlite => Backend::Postgres,
        Backend::Postgres => Backend::Sqlite,
    })?;
    let key = site.data_dir().join("master.key");
    std::fs::copy(key, other.data_dir().join("master.key")).unwrap();
    Some(other)
}

fn exported(site: &Site) -> PathBuf {
    let file = site.data_dir().join("keyway.export");
    done(&site.run(&["export", path_text(&file)]));
    file
}

fn an_exported_database_is_imported_into_the_other_kind_with_everything_in_it(site: &Site) {
    let (app, key) = site.app("A");
    let server = site.serve(&[]);
    assert_eq!(server.get("/.well-known/jwks.json", None).0, 200);
    let keys = server.get("/.well-known/jwks.json", None);
    assert!(server.terminate().0.success());
    let Some(other) = other_kind(site) else {
        return;
    };
    let file = exported(site);
    done(&other.run(&["import", path_text(&file)]));
    let status = |site: &Site| site.json(&["keyring", "status"]);
    assert_eq!(status(&other), status(site));
    assert_eq!(other.json(&["app", "list"]), site.json(&["app", "list"]));

    let server = other.serve(&[]);
    assert_eq!(server.get("/v3/applications", Some(&key)).0, 200);
    assert_eq!(server.get("/.well-known/jwks.json", None), keys);
    // The database goes on as if it had always been there.
    let made = other.json(&["key", "create", "--app", &app]);
    let new = text(&made, "api_key");
    assert_eq!(server.get("/v3/applications", Some(&new)).0, 200);
    refused(&other.run(&["import", path_text(&file)]), "is not empty");
}

fn an_import_that_stopped_goes_on_and_no_server_starts_before_it_is_done(site: &Site) {
    let (app, key) = site.app("A");
    let Some(other) = other_kind(site) else {
        return;
    };
    let file = exported(site);
    // Something is in the way of the first API key.
    let made = site.json(&["key", "list", "--app", &app]);
    let id = made.as_array().unwrap()[0]["key_id"]
        .as_str()
        .unwrap()
        .to_owned();
    other.migrate();
    other.execute(&format!(
        "INSERT INTO api_keys (application_id, id, name, digest, hint, created_at) VALUES ('{app}', '{id}', 'x', '', 'x', 1)"
    ));
    let stopped = other.run(&["import", path_text(&file)]);
    refused(&stopped, "the import stopped in api_keys");
    refused(
        &other.run(&["serve", "--listen", "127.0.0.1:0"]),
        "is not finished",
    );
    refused(&other.run(&["app", "list"]), "is not finished");

    other.execute("DELETE FROM api_keys");
    done(&other.run(&["import", path_text(&file)]));
    assert_eq!(other.json(&["app", "list"]), site.json(&["app", "list"]));
    assert_eq!(other.serve(&[]).get("/v3/applications", Some(&key)).0, 200);
}

fn a_file_that_was_changed_cut_off_or_sealed_otherwise_is_not_imported(site: &Site) {
    site.app("Acme");
    let Some(other) = other_kind(site) else {
        return;
    };
    let text = std::fs::read_to_string(exported(site)).unwrap();
    let try_import = |text: &str| {
        let file = other.data_dir().join("other.export");
        std::fs::write(&file, text).unwrap();
        other.run(&["import", path_text(&file)])
    };
    refused(&try_import(&text.replace("Acme", "Evil")), "it was changed");
    let lines: Vec<&str> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    refused(&try_import(&without_end), "not a whole export");
    refused(&try_import("{}"), "not a whole export");
    std::fs::write(
        other.data_dir().join("master.key"),
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    )
    .unwrap();
    refused(&try_import(&text), "the master key does not open");
    std::fs::remove_file(other.data_dir().join("master.key")).unwrap();
    refused(&try_import(&text), "does not exist");
    // Nothing was written: the database is as empty as before.
    let made = other.run(&["app", "create", "--name", "First"]);
    done(&made);
}

fn a_file_that_changes_after_it_was_checked_is_noticed(site: &Site) {
    site.app("Acme");
    let Some(other) = other_kind(site) else {
        return;
    };
    let file = exported(site);
    let text = std::fs::read_to_string(&file).unwrap();
    let pipe = other.data_dir().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || {
            // Whoever reads it first gets what was exported, whoever reads it again something else.
            for read in [text.clone(), text.replace("Acme", "Evil")] {
                // The reader may go before the last byte.
                drop(std::fs::write(&pipe, read));
                std::thread::sleep(std::time::Duration::from_millis(300));
            }
        }
    });
    let output = other.run(&["import", path_text(&pipe)]);
    writer.join().unwrap();
    refused(&output, "is not what it was");
    // What is half there stays unusable, and is not completed by the genuine file.
    refused(&other.run(&["app", "list"]), "is not finished");
    refused(
        &other.run(&["import", path_text(&file)]),
        "is not what it was",
    );
}
