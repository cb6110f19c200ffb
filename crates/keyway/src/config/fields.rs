//! Which fields a configuration file may have, and which one a mistaken one may have meant.

use keyway_core::catalogue::EntryForm;
use toml::{Table, Value};

/// The tables with fixed names, and their fields.
const PLAIN: [(&str, &[&str]); 7] = [
    (
        "server",
        &[
            "listen",
            "admin_listen",
            "public_url",
            "threads",
            "max_connections",
            "max_requests",
            "write_timeout_seconds",
        ],
    ),
    (
        "storage",
        &[
            "data_dir",
            "database",
            "master_key_file",
            "master_key_command",
            "serve_through_outage_seconds",
        ],
    ),
    (
        "transit",
        &[
            "address",
            "mount",
            "key",
            "token_file",
            "namespace",
            "ciphertext_file",
        ],
    ),
    ("log", &["level", "format"]),
    (
        "network",
        &[
            "allow_private_addresses",
            "trusted_proxies",
            "extra_certificates_file",
            "look_up_mail_exchangers",
        ],
    ),
    ("limits", &["requests_per_second"]),
    ("tokens", &["allow_provider_tokens"]),
];

/// The tables with one sub-table for each provider, and the fields of those.
const BY_PROVIDER: [(&str, &[&str]); 2] = [
    ("providers", EntryForm::FIELDS),
    (
        "shared_apps",
        &[
            "client_id",
            "client_secret",
            "client_secret_file",
            "applications",
            "scopes",
        ],
    ),
];

/// Looks for a field nobody knows.
///
/// # Errors
/// What is unknown, and what to do about it.
pub(crate) fn refuse_unknown(file: &Table) -> Result<(), (String, String)> {
    for (name, value) in file {
        if let Some(known) = fields_of(&PLAIN, name) {
            refuse_in(name, value, known)?;
        } else if let Some(known) = fields_of(&BY_PROVIDER, name) {
            let tables = value.as_table().into_iter().flatten();
            for (provider, value) in tables {
                refuse_in(&format!("{name}.{provider}"), value, known)?;
            }
        } else {
            return Err(unknown(name, &nearest_path(name)));
        }
    }
    Ok(())
}

fn fields_of<'a>(
    tables: &'a [(&str, &'static [&'static str])],
    name: &str,
) -> Option<&'a [&'a str]> {
    tables
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, fields)| *fields)
}

fn refuse_in(table: &str, value: &Value, known: &[&str]) -> Result<(), (String, String)> {
    let names = value.as_table().into_iter().flatten().map(|(name, _)| name);
    for name in names {
        if !known.contains(&name.as_str()) {
            let near = nearest(name, known.iter().copied()).unwrap_or_default();
            let path = format!("{table}.{name}");
            let (what, mut next) = unknown(&path, &format!("{table}.{near}"));
            next.push_str(&format!("\nFields of [{table}]: {}.", known.join(", ")));
            return Err((what, next));
        }
    }
    Ok(())
}

fn unknown(path: &str, near: &str) -> (String, String) {
    let what = format!("unknown field `{path}`; the nearest known one is `{near}`");
    (
        what,
        "Correct its name, or remove it: Keyway ignores no field.".to_owned(),
    )
}

/// The nearest table, or field of one, to a name at the top of the file.
fn nearest_path(name: &str) -> String {
    let tables = PLAIN.iter().chain(&BY_PROVIDER);
    let paths = tables.flat_map(|(table, fields)| {
        let of_table = fields
            .iter()
            .map(move |field| (*field, format!("{table}.{field}")));
        std::iter::once((*table, (*table).to_owned())).chain(of_table)
    });
    paths
        .min_by_key(|(last, _)| distance(name, last))
        .map_or_else(String::new, |(_, path)| path)
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.min_by_key(|candidate| distance(name, candidate))
}

/// How many letters must be put in, taken out or changed to make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        let first = std::iter::once(left);
        let rest = to.chars().zip(row.windows(2)).map(|(other, above)| {
            let [corner, up] = above else { return left };
            diagonal = *corner;
            left = (up + 1)
                .min(left + 1)
                .min(diagonal + usize::from(other != letter));
            left
        });
        row = first.chain(rest).collect();
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::FileConfig;

    #[test]
    fn distance_counts_changes() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest_known_one() {
        let refused = |text: &str| FileConfig::parse(text).map(|_| ()).unwrap_err().0;
        assert_eq!(
            refused("[network]\nallow_private_address = true"),
            "unknown field `network.allow_private_address`; the nearest known one is `network.allow_private_addresses`"
        );
        assert_eq!(
            refused("[providers.google]\ntokn_endpoint = 'x'"),
            "unknown field `providers.google.tokn_endpoint`; the nearest known one is `providers.google.token_endpoint`"
        );
        assert_eq!(
            refused("lisen = '127.0.0.1:1'"),
            "unknown field `lisen`; the nearest known one is `server.listen`"
        );
    }

    #[test]
    fn the_list_of_fields_and_the_file_agree() {
        let value = |name: &str| match name {
            "threads"
            | "max_connections"
            | "max_requests"
            | "write_timeout_seconds"
            | "serve_through_outage_seconds"
            | "requests_per_second" => "1",
            "allow_private_addresses" | "allow_provider_tokens" | "look_up_mail_exchangers" => {
                "true"
            }
            "trusted_proxies" | "applications" | "scopes" | "api_hosts" | "identity_scopes"
            | "silent_scopes" | "identity_claims" | "user_id_claims" | "email_claims"
            | "name_claims" => "[]",
            "extra_headers" | "authorize_params" | "consent_param" => "{}",
            "pkce" | "compare_scopes" | "refresh_tokens" => "true",
            "refresh_token_idle_days" => "1",
            "client_auth" => "'post'",
            "userinfo_method" => "'introspect'",
            "revocation_token" => "'access'",
            "format" | "token_request" => "'json'",
            _ => "'x'",
        };
        for (tables, suffix) in [(&PLAIN[..], ""), (&BY_PROVIDER[..], ".google")] {
            for (table, fields) in tables {
                for field in *fields {
                    let text = format!("[{table}{suffix}]\n{field} = {}", value(field));
                    assert_eq!(FileConfig::parse(&text).err(), None, "{text}");
                }
            }
        }
    }
}
