use super::*;
use std::io::Write as _;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::of(
        variables
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned())),
    )
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(flags: &SettingFlags, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    Config::load_settings(flags, &environment(variables))
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    let file = file(text);
    let flags = SettingFlags {
        config: Some(file.path().to_owned()),
        ..SettingFlags::default()
    };
    load(&flags, variables)
}

#[test]
fn nothing_said_gives_the_defaults_of_the_design() {
    let config = load(&SettingFlags::default(), &[]).unwrap();
    assert_eq!(config.listen.value.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public_url.value.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(
        config.database.value.to_string(),
        "sqlite://./keyway-data/keyway.db"
    );
    assert_eq!(
        config.callback_uri(),
        "http://127.0.0.1:8080/v3/connect/callback"
    );
    assert!(config.admin_listen.is_none());
    let MasterKeySource::File(path) = config.master_key else {
        panic!("a file");
    };
    assert_eq!(path.value, PathBuf::from("./keyway-data/master.key"));
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'";
    let from_file = load_file(text, &[]).unwrap().listen;
    assert_eq!(
        (from_file.value.port(), from_file.origin),
        (1, Origin::File)
    );
    let from_variable = load_file(text, &[("KEYWAY_LISTEN", "127.0.0.1:2")])
        .unwrap()
        .listen;
    assert_eq!(from_variable.value.port(), 2);
    assert_eq!(from_variable.origin, Origin::Environment("KEYWAY_LISTEN"));
    let file = file(text);
    let flags = SettingFlags {
        config: Some(file.path().to_owned()),
        listen: Some("127.0.0.1:3".to_owned()),
        ..SettingFlags::default()
    };
    let from_flag = load(&flags, &[("KEYWAY_LISTEN", "127.0.0.1:2")])
        .unwrap()
        .listen;
    assert_eq!(
        (from_flag.value.port(), from_flag.origin),
        (3, Origin::Flag("--listen"))
    );
}

#[test]
fn the_data_directory_moves_database_and_key() {
    let config = load(&SettingFlags::default(), &[("KEYWAY_DATA_DIR", "/d")]).unwrap();
    assert_eq!(config.database.value.to_string(), "sqlite:///d/keyway.db");
    assert!(
        matches!(config.master_key, MasterKeySource::File(p) if p.value == Path::new("/d/master.key"))
    );
}

#[test]
fn paths_in_the_file_are_relative_to_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyway.toml");
    std::fs::write(
        &path,
        "[storage]\ndata_dir = 'data'\ndatabase = 'sqlite://x.db'",
    )
    .unwrap();
    let flags = SettingFlags {
        config: Some(path),
        ..SettingFlags::default()
    };
    let config = load(&flags, &[]).unwrap();
    assert_eq!(config.data_dir.value, directory.path().join("data"));
    let database = DatabaseUrl::Sqlite(directory.path().join("x.db"));
    assert_eq!(config.database.value, database);
}

#[test]
fn the_master_key_itself_gives_way_to_a_flag_and_not_to_the_file() {
    let key = [("KEYWAY_MASTER_KEY", "AAAA")];
    let from_file = load_file("[storage]\nmaster_key_file = 'k'", &key).unwrap();
    assert!(matches!(
        from_file.master_key,
        MasterKeySource::Environment { .. }
    ));
    let flags = SettingFlags {
        master_key_file: Some("k".into()),
        ..SettingFlags::default()
    };
    assert!(matches!(
        load(&flags, &key).unwrap().master_key,
        MasterKeySource::File(_)
    ));
    let both = [
        ("KEYWAY_MASTER_KEY", "AAAA"),
        ("KEYWAY_MASTER_KEY_FILE", "k"),
    ];
    assert!(load(&SettingFlags::default(), &both).is_err());
}

#[test]
fn overridden_endpoints_reach_the_catalogue_and_their_hosts_may_be_called() {
    let text = "[providers.google]\ntoken_endpoint = 'http://127.0.0.1:9000/token'\n\
                [providers.microsoft]\nauthorization_endpoint = 'https://login.cloud.test/{tenant}/auth'";
    let config = load_file(text, &[]).unwrap();
    let catalogue = config.catalogue();
    let google = catalogue.entry(Provider::Google).unwrap();
    assert_eq!(google.token_endpoint, "http://127.0.0.1:9000/token");
    assert_eq!(
        google.issuer.as_deref(),
        Some("https://accounts.google.com")
    );
    let hosts: Vec<_> = providers::hosts(&config.providers.tables)
        .into_iter()
        .collect();
    assert_eq!(hosts, ["127.0.0.1", "login.cloud.test"]);
}

#[test]
fn shared_apps_take_their_secret_from_the_file_or_from_one_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("secret"), "s3cret\n").unwrap();
    let path = directory.path().join("keyway.toml");
    let text = "[shared_apps.google]\nclient_id = 'c'\nclient_secret_file = 'secret'\n\
                applications = ['*']\nscopes = ['openid']";
    std::fs::write(&path, text).unwrap();
    let flags = SettingFlags {
        config: Some(path),
        ..SettingFlags::default()
    };
    let config = load(&flags, &[]).unwrap();
    let app = config.shared_apps.get(&Provider::Google).unwrap();
    assert_eq!(
        secrecy::ExposeSecret::expose_secret(&app.client_secret),
        "s3cret"
    );
    assert_eq!(app.scopes.to_string(), "openid");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn an_application_can_be_lent_at_any_provider_that_asks_for_consent_again() {
    let app = "client_id = 'c'\nclient_secret = 's'\napplications = ['*']";
    let own = "[providers.acme]\nauthorization_endpoint = 'https://acme.test/a'\n\
               token_endpoint = 'https://acme.test/t'\napi_base_url = 'https://acme.test'\n\
               email_claims = ['token.email']";
    let lent = |text: &str| load_file(text, &[]).map(|config| config.shared_apps.len());
    assert_eq!(lent(&format!("[shared_apps.linear]\n{app}")).unwrap(), 1);
    let asking = format!("{own}\nconsent_param = {{ prompt = 'consent' }}");
    assert_eq!(
        lent(&format!("{asking}\n[shared_apps.acme]\n{app}")).unwrap(),
        1
    );
    let error = lent(&format!("{own}\n[shared_apps.acme]\n{app}")).unwrap_err();
    assert!(error.to_string().contains("cannot be shared"), "{error}");
}

#[test]
fn what_cannot_be_understood_is_refused_by_name() {
    for (text, word) in [
        ("[providers.gogle]", "unknown provider"),
        ("[providers.gogle]\ntoken_endpoint = 'http://x/t'", "gogle"),
        ("[providers.Acme]", "no provider's name"),
        ("[providers.nylas]", "Agent Accounts"),
        ("[providers.google]\npkce = false", "providers.google.pkce"),
        (
            "[providers.slack]\ntoken_endpoint = 'https://slack.acme.test/t'",
            "providers.slack.authorization_endpoint: is required beside",
        ),
        (
            "[providers.acme]\nauthorization_endpoint = 'https://acme.test/a'",
            "providers.acme.api_base_url: is required",
        ),
        (
            "[providers.acme]\nauthorization_endpoint = 'acme.test/a'",
            "providers.acme.authorization_endpoint: 'acme.test/a' is not",
        ),
        (
            "[providers.acme]\nclient_auth = 'jwt'",
            "providers.acme.client_auth: expected `post` or `basic`",
        ),
        (
            "[providers.acme]\nclient_secret = 's'",
            "unknown field `providers.acme.client_secret`",
        ),
        (
            "[shared_apps.acme]\nclient_id = 'c'\nclient_secret = 's'",
            "no such provider",
        ),
        (
            "[shared_apps.github]\nclient_id = 'c'\nclient_secret = 's'",
            "cannot be shared",
        ),
        ("[providers.imap]\nissuer = 'http://x'", "OAuth"),
        (
            "[providers.google]\ntoken_endpoint = 'x'",
            "providers.google.token_endpoint",
        ),
        ("[shared_apps.google]\nclient_id = 'c'", "client_secret"),
        ("[shared_apps.google]\nclient_secret = 'c'", "client_id"),
        (
            "[shared_apps.zoom]\nclient_id = 'c'\nclient_secret = 's'",
            "cannot be shared",
        ),
        (
            "[network]\ntrusted_proxies = ['ten']",
            "network.trusted_proxies",
        ),
        ("[limits]\nrequests_per_second = 0", "line 2"),
        ("[server]\nthreads = 0", "line 2"),
        ("[server]\nlisten = 'here'", "'here'"),
        ("[server]\npublic_url = 'https://a.b/path'", "path"),
        ("[log]\nlevel = 'loud'", "'loud'"),
        ("[server\n", "line 1"),
    ] {
        let error = load_file(text, &[]).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
        assert_eq!(crate::failure::status(&error), 2, "{text}");
    }
}

#[test]
fn rule_07_errors_on_the_file_and_the_database_show_no_secret() {
    let broken = "[shared_apps.google]\nclient_secret = 'hunter2' oops";
    let error = load_file(broken, &[]).map(|_| ()).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    for (value, field) in [
        (
            "client_secret = 8812345",
            "client_secret: expected a string",
        ),
        (
            "client_secret = ['8812345']",
            "client_secret: expected a string",
        ),
        (
            "client_secret = { a = '8812345' }",
            "client_secret: expected a string",
        ),
        ("client_secret = 881234588123458812345", "client_secret"),
        (
            "client_id = 'x'\nscopes = '8812345'",
            "scopes: expected a sequence",
        ),
    ] {
        let text = format!("[shared_apps.google]\n{value}");
        let error = load_file(&text, &[]).map(|_| ()).unwrap_err();
        let words = format!("{error:?}");
        assert!(!words.contains("8812345"), "{words}");
        assert!(
            words.contains(&format!("shared_apps.google.{field}")),
            "{words}"
        );
        assert!(
            words.contains(&format!("line {}", text.lines().count())),
            "{words}"
        );
    }
    let url = [("KEYWAY_DATABASE", "postgres://u:hunter2@h:port/d")];
    let error = load(&SettingFlags::default(), &url)
        .map(|_| ())
        .unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn unknown_variables_are_noticed_and_harmless() {
    let config = load(
        &SettingFlags::default(),
        &[("KEYWAY_PORT", "tcp://10.0.0.1:80")],
    )
    .unwrap();
    assert_eq!(config.ignored_variables, ["KEYWAY_PORT"]);
}

#[test]
fn rule_07_the_address_of_a_key_service_holds_no_secret_and_is_not_asked_in_the_clear() {
    let at = |address: &str| {
        let text = format!("[transit]\naddress = '{address}'\nkey = 'k'\ntoken_file = 't'\n");
        load_file(&text, &[])
            .map(|_| ())
            .map_err(|error| format!("{error:?}"))
    };
    for address in [
        "https://vault.example.com:8200",
        "http://127.0.0.1:8200",
        "http://[::1]:8200",
        "http://localhost:8200",
    ] {
        assert_eq!(at(address), Ok(()), "{address}");
    }
    for address in [
        "https://hunter2@vault.example",
        "https://u:hunter2@vault.example",
    ] {
        let told = at(address).unwrap_err();
        assert!(told.contains("a user name or a password"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    for address in [
        "http://vault.example",
        "http://10.0.0.1:8200",
        "http://localhost.example",
    ] {
        let told = at(address).unwrap_err();
        assert!(told.contains("in the clear"), "{told}");
    }
}
