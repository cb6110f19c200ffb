use super::*;
use keyway_core::entropy::SeededEntropy;
use std::os::unix::fs::PermissionsExt as _;

/// Nobody is called: the keys of these tests are in files.
struct NoTransport;

impl Transport for NoTransport {
    fn send(
        &self,
        _: keyway_outbound::Request,
    ) -> BoxFuture<'_, Result<keyway_outbound::Response, keyway_outbound::CallError>> {
        unreachable!("these keys need no service")
    }
}

fn store(source: MasterKeySource) -> MasterKeyStore {
    MasterKeyStore::new(source, Arc::new(NoTransport))
}

fn file(path: PathBuf) -> MasterKeyStore {
    store(MasterKeySource::File(Setting::default_value(path)))
}

async fn fingerprints(store: &MasterKeyStore) -> Vec<String> {
    let found = store.read_all().await.unwrap();
    found.iter().map(|found| found.key.fingerprint()).collect()
}

#[tokio::test]
async fn a_new_key_is_readable_by_its_owner_only_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/master.key");
    crate::files::make_private_directory(path.parent().unwrap()).unwrap();
    let keys = file(path.clone());
    assert!(keys.read_all().await.unwrap().is_empty());
    assert!(keys.make(&path, &SeededEntropy::new(1)).await.unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let made = MasterKey::generate(&SeededEntropy::new(1)).fingerprint();
    assert_eq!(fingerprints(&keys).await, [made]);
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(entries, 1, "no draft is left behind");
}

#[tokio::test]
async fn of_two_that_make_a_key_at_once_both_end_with_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let keys = file(path.clone());
    assert!(keys.make(&path, &SeededEntropy::new(1)).await.unwrap());
    assert!(!keys.make(&path, &SeededEntropy::new(2)).await.unwrap());
    let first = MasterKey::generate(&SeededEntropy::new(1)).fingerprint();
    assert_eq!(fingerprints(&keys).await, [first]);
}

#[tokio::test]
async fn a_successor_is_found_beside_its_predecessor_and_takes_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    let keys = file(path.clone());
    keys.make(&path, &SeededEntropy::new(1)).await.unwrap();
    keys.make(&next_of(&path), &SeededEntropy::new(2))
        .await
        .unwrap();
    let (first, second) = (
        MasterKey::generate(&SeededEntropy::new(1)).fingerprint(),
        MasterKey::generate(&SeededEntropy::new(2)).fingerprint(),
    );
    assert_eq!(fingerprints(&keys).await, [first.clone(), second.clone()]);
    let aside = directory.path().join("master.key.old");
    file::promote(&next_of(&path), &path, &aside).unwrap();
    assert_eq!(fingerprints(&keys).await, [second]);
    assert_eq!(fingerprints(&file(aside)).await, [first]);
}

#[tokio::test]
async fn a_command_prints_the_key_and_its_successor() {
    let key = |seed| MasterKey::generate(&SeededEntropy::new(seed));
    let command = format!("echo {}; echo {}", *key(1).to_base64(), *key(2).to_base64());
    let source = MasterKeySource::Command(Setting::from_file(command));
    let expected = [key(1).fingerprint(), key(2).fingerprint()];
    assert_eq!(fingerprints(&store(source)).await, expected);
}

#[tokio::test]
async fn a_command_that_fails_or_prints_no_key_is_refused_without_telling_what_it_printed() {
    for command in ["echo hunter2; exit 3", "printf 'hunter%s' 2", "exit 1"] {
        let source = MasterKeySource::Command(Setting::from_file(command.to_owned()));
        let error = store(source).read_all().await.unwrap_err();
        let told = format!("{error:?}").replace(command, "");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn what_is_no_key_is_refused_without_being_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("master.key");
    std::fs::write(&path, "hunter2!").unwrap();
    let error = file(path).read_all().await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_missing_key_is_explained() {
    let failure = file("/d/master.key".into())
        .missing("sqlite:///d/keyway.db")
        .to_string();
    assert!(
        failure.contains("/d/master.key (the default place) does not exist"),
        "{failure}"
    );
}

#[test]
fn a_term_is_announced_for_as_long_as_a_command_may_take() {
    let command = MasterKeySource::Command(Setting::from_file("true".to_owned()));
    assert_eq!(store(command).takes_up_to(), Duration::from_secs(30));
    assert_eq!(file("/d/master.key".into()).takes_up_to(), Duration::ZERO);
}
