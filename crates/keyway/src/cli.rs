//! The command line: names, flags and the help that teaches them.

mod copies;
mod keyring;

pub(crate) use copies::{DoctorArgs, FileArgs, RestoreArgs};
pub(crate) use keyring::{KeyringCommand, ReplaceMasterArgs, RotateArgs};

use crate::key::rotate::KeyRotateArgs;
use crate::service_account::ServiceAccountCommand;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const ROOT_HELP: &str = "\
First steps:
  keyway demo                                        see the whole story on this machine
  keyway serve                                       run the server on http://127.0.0.1:8080
  keyway app create --name Acme \\
    --redirect-uri http://localhost:3000/callback    make an application and its first API key
  keyway link --app ID --provider google             print a link to sign in with

Settings come from a configuration file, then the environment, then flags; the later ones win.
`keyway config check` shows what counts and where it comes from.

Exit status: 0 done, 1 failed, 2 the input cannot be worked with.";

const SERVE_HELP: &str = "\
Examples:
  keyway serve
  keyway serve --listen 0.0.0.0:8080 --public-url https://auth.example.com
  KEYWAY_DATABASE=postgres://keyway@db/keyway keyway serve --admin-listen 127.0.0.1:9090

Prints one line with its address when it accepts connections; logs go to standard error. SIGTERM or
Ctrl-C stops it: requests under way are finished first, within 30 seconds.";

const DEMO_HELP: &str = "\
Examples:
  keyway demo           the story, then a link to try a sign-in in your browser
  keyway demo --exit    the story alone; the status is 0 if every step worked

Nothing outside this machine is called, and nothing is kept unless --dir names a directory.";

const SANDBOX_HELP: &str = "\
Examples:
  keyway sandbox
  keyway sandbox --listen 127.0.0.1:9100 --redirect-uri https://auth.example.com/v3/connect/callback

A provider to play and test with: anybody can sign in as anybody. Never let it face the internet.";

const APP_CREATE_HELP: &str = "\
Examples:
  keyway app create --name Acme --redirect-uri http://localhost:3000/callback
  keyway app create --name 'Acme in the browser' --platform js \\
    --redirect-uri https://app.example.com/callback --origin https://app.example.com --json

The API key is shown this once. Keyway keeps no copy it could show again; `keyway key create` makes another.";

const LINK_HELP: &str = "\
Examples:
  keyway link --app ID --provider google
  keyway link --app ID --provider google --credential ID --login-hint alice@example.com

Open the link in a browser. After the sign-in the browser is sent to the redirect URI, with a code
that `POST /v3/connect/token` exchanges for a grant.";

const KEY_HELP: &str = "\
Examples:
  keyway key create --app ID --name 'CI'
  keyway key list --app ID
  keyway key rotate --app ID --key KEY_ID --overlap 48
  keyway key revoke --app ID KEY_ID

--app may be left out while there is only one application.";

const CONFIG_CHECK_HELP: &str = "\
Examples:
  keyway config check
  keyway config check --config keyway.toml --json

Nothing is opened or changed. Secrets are not shown. An unknown field ends it with status 2.";

/// Keyway: a self-hosted authentication server. One connector per provider, many provider applications behind it.
#[derive(Debug, Parser)]
#[command(name = "keyway", version, after_help = ROOT_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Tell the whole story on this machine: server, sandbox provider, sign-ins, a migration
    #[command(after_help = DEMO_HELP)]
    Demo(DemoArgs),
    /// Run the sandbox provider alone, for demonstrations and for your own tests
    #[command(after_help = SANDBOX_HELP)]
    Sandbox(SandboxArgs),
    /// Make and show applications, the tenants of this server
    #[command(subcommand)]
    App(AppCommand),
    /// Make, list, rotate and revoke the API keys of an application
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look at the keys that seal the database's secrets, rotate them, replace the master key
    #[command(subcommand)]
    Keyring(KeyringCommand),
    /// Look at configuration, database, keys, clocks and providers, and say what to do
    #[command(after_help = copies::DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Copy the SQLite database, beside a running server or not
    #[command(after_help = copies::BACKUP_HELP)]
    Backup(FileArgs),
    /// Put a backup in place of the SQLite database
    #[command(after_help = copies::RESTORE_HELP)]
    Restore(RestoreArgs),
    /// Write the whole database, sealed as it is, into a file that `import` reads
    #[command(after_help = copies::EXPORT_HELP)]
    Export(FileArgs),
    /// Read an exported database into an empty one, of either kind
    #[command(after_help = copies::IMPORT_HELP)]
    Import(FileArgs),
    /// Make, list and revoke service accounts, which manage API keys over HTTP
    #[command(subcommand)]
    ServiceAccount(ServiceAccountCommand),
    /// Print a link that signs a user in
    #[command(after_help = LINK_HELP)]
    Link(LinkArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// The settings every command that opens the database has.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingFlags {
    /// Configuration file [env: KEYWAY_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of the public listener [env: KEYWAY_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Where browsers and providers reach the server [env: KEYWAY_PUBLIC_URL] [default: http://<listen>]
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Directory of the embedded database and the master key [env: KEYWAY_DATA_DIR] [default: ./keyway-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// sqlite://FILE or postgres://… [env: KEYWAY_DATABASE] [default: sqlite://<data-dir>/keyway.db]
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// File with the master key [env: KEYWAY_MASTER_KEY_FILE, KEYWAY_MASTER_KEY] [default: <data-dir>/master.key]
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
}

impl SettingFlags {
    /// The flags that were given, as a shell reads them, each with a blank before it: for another command
    /// that is to work on the same server. A password in a database's URL is not repeated.
    pub(crate) fn repeated(&self) -> String {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| quoted(&p.to_string_lossy()));
        let text = |text: &Option<String>| text.as_deref().map(quoted);
        let flags = [
            ("--config", path(&self.config)),
            ("--listen", text(&self.listen)),
            ("--public-url", text(&self.public_url)),
            ("--data-dir", path(&self.data_dir)),
            ("--database", self.database.as_deref().map(database_word)),
            ("--master-key-file", path(&self.master_key_file)),
        ];
        let given = flags
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        given
            .map(|(name, value)| format!(" {name} {value}"))
            .collect()
    }
}

/// One word of a shell command.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn database_word(url: &str) -> String {
    let has_password = url::Url::parse(url).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
    });
    if has_password {
        "\"$KEYWAY_DATABASE\"".to_owned()
    } else {
        quoted(url)
    }
}

/// The settings of a running server.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
    /// Address of the operator's listener, for /metrics; off unless set [env: KEYWAY_ADMIN_LISTEN]
    #[arg(long, value_name = "ADDR", help_heading = "Settings")]
    pub(crate) admin_listen: Option<String>,
}

/// `keyway demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// End after the story, with status 0 only if every step worked
    #[arg(long)]
    pub(crate) exit: bool,
    /// Keep the database in this directory, which must be empty or not exist yet
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// `keyway sandbox`.
#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub(crate) listen: String,
    /// Where it is reached, if that is another address [default: http://<listen>]
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// A callback the client apps accept besides those of a Keyway on its default address; may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<String>,
    /// What happens to a refresh token that is used
    #[arg(long, value_enum, default_value_t = RotationFlag::Off)]
    pub(crate) rotation: RotationFlag,
    /// Whose habits the answers copy
    #[arg(long, value_enum, default_value_t = DialectFlag::Plain)]
    pub(crate) dialect: DialectFlag,
}

/// `--rotation`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RotationFlag {
    /// It stays
    Off,
    /// It is replaced and dies
    On,
    /// It is replaced and goes on working
    OldStillWorks,
    /// It is replaced and dies; seen again, everything from the same sign-in dies
    ReuseDetection,
}

/// `--dialect`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DialectFlag {
    /// The RFCs to the letter
    Plain,
    /// Google's
    Google,
    /// Microsoft's
    Microsoft,
}

/// `keyway app …`.
#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Make an application and its first API key, which is shown this once
    #[command(after_help = APP_CREATE_HELP)]
    Create(AppCreateArgs),
    /// List the applications
    List(ListArgs),
    /// Show one application: its redirect URIs, connectors and what to register at providers
    Show(AppShowArgs),
}

/// `keyway app create`.
#[derive(Args, Debug)]
pub(crate) struct AppCreateArgs {
    /// A name for people
    #[arg(long, value_name = "N")]
    pub(crate) name: String,
    /// Where users are sent back to after a sign-in; may be repeated
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Vec<String>,
    /// What kind of program the redirect URIs belong to: web, desktop, js, ios or android
    #[arg(long, value_name = "P", default_value = "web")]
    pub(crate) platform: String,
    /// An origin browsers may call from (platform js); may be repeated
    #[arg(long, value_name = "O")]
    pub(crate) origin: Vec<String>,
    /// production, staging, sandbox or a word of your own
    #[arg(long, value_name = "E", default_value = "production")]
    pub(crate) environment: String,
    /// The region the official clients are told
    #[arg(long, value_name = "R", default_value = "us")]
    pub(crate) region: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// A list without parameters.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway app show`.
#[derive(Args, Debug)]
pub(crate) struct AppShowArgs {
    /// The application's id; may be left out while there is only one
    #[arg(value_name = "ID", conflicts_with = "app")]
    pub(crate) id: Option<String>,
    /// The same as a flag
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway key …`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key, which is shown this once
    #[command(after_help = KEY_HELP)]
    Create(KeyCreateArgs),
    /// List the API keys of an application, without the keys themselves
    #[command(after_help = KEY_HELP)]
    List(KeyListArgs),
    /// Replace an API key by a new one; both work for a while
    #[command(after_help = KEY_HELP)]
    Rotate(KeyRotateArgs),
    /// End an API key; a running server honours it within 100 ms
    #[command(after_help = KEY_HELP)]
    Revoke(KeyRevokeArgs),
}

/// `keyway key create`.
#[derive(Args, Debug)]
pub(crate) struct KeyCreateArgs {
    /// The application; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// A name for people
    #[arg(long, value_name = "N", default_value = "key")]
    pub(crate) name: String,
    /// Let it end by itself after so many days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) expires_in_days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway key list`.
#[derive(Args, Debug)]
pub(crate) struct KeyListArgs {
    /// The application; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway key revoke`.
#[derive(Args, Debug)]
pub(crate) struct KeyRevokeArgs {
    /// The key's id, as `keyway key list` shows it; never the key itself
    #[arg(value_name = "KEY_ID")]
    pub(crate) key: String,
    /// The application; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway link`.
#[derive(Args, Debug)]
pub(crate) struct LinkArgs {
    /// The application; may be left out while there is only one
    #[arg(long, value_name = "ID")]
    pub(crate) app: Option<String>,
    /// google, microsoft, yahoo, zoom, imap, icloud or ews
    #[arg(long, value_name = "P")]
    pub(crate) provider: String,
    /// Sign in through this credential instead of the connector's default
    #[arg(long, value_name = "ID")]
    pub(crate) credential: Option<String>,
    /// The address to suggest at the provider
    #[arg(long, value_name = "A")]
    pub(crate) login_hint: Option<String>,
    /// Which of the application's redirect URIs to be sent back to [default: the first registered]
    #[arg(long, value_name = "URI")]
    pub(crate) redirect_uri: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings shared with other commands.
    #[command(flatten)]
    pub(crate) settings: SettingFlags,
}

/// `keyway config …`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the settings that count, where each comes from, and the redirect URI to register
    #[command(after_help = CONFIG_CHECK_HELP)]
    Check(ConfigCheckArgs),
}

/// `keyway config check`.
#[derive(Args, Debug)]
pub(crate) struct ConfigCheckArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The settings of a server.
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_repeated_as_a_shell_reads_them_and_passwords_are_not() {
        assert_eq!(SettingFlags::default().repeated(), "");
        let flags = SettingFlags {
            config: Some("it's/k.toml".into()),
            listen: Some("127.0.0.1:1".into()),
            database: Some("sqlite://a b.db".into()),
            ..SettingFlags::default()
        };
        assert_eq!(
            flags.repeated(),
            r" --config 'it'\''s/k.toml' --listen 127.0.0.1:1 --database 'sqlite://a b.db'"
        );
        let with_password = SettingFlags {
            database: Some("postgres://u:hunter2@h/d".into()),
            ..SettingFlags::default()
        };
        assert_eq!(with_password.repeated(), " --database \"$KEYWAY_DATABASE\"");
    }

    #[test]
    fn the_commands_of_the_design_are_understood() {
        for line in [
            "keyway serve",
            "keyway serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
            "keyway demo --exit",
            "keyway sandbox --listen 127.0.0.1:9001",
            "keyway app create --name N --redirect-uri http://a --redirect-uri http://b --platform js --origin o --environment e --region r --json",
            "keyway app list --json",
            "keyway app show ID",
            "keyway key create --app ID --json",
            "keyway key list --app ID",
            "keyway key revoke --app ID KEY",
            "keyway key rotate --app ID --key KEY --overlap 48 --expires-in-days 90",
            "keyway service-account create --name N --app ID --app ID --permission apikey.get --json",
            "keyway service-account list --json",
            "keyway service-account revoke ID",
            "keyway link --app ID --provider google --credential ID --login-hint a@b.c",
            "keyway config check --config f --json",
            "keyway backup f",
            "keyway doctor --json",
            "keyway restore f --replace",
            "keyway export f",
            "keyway import f --json",
            "keyway keyring status --json",
            "keyway keyring rotate --resume",
            "keyway keyring replace-master --new-master-key-file f",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }

    #[test]
    fn every_help_text_renders() {
        fn visit(command: &mut clap::Command) {
            assert!(!command.render_long_help().to_string().is_empty());
            command.get_subcommands_mut().for_each(visit);
        }
        visit(&mut Cli::command());
    }
}
