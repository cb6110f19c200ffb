//! The variables that Keyway knows, read once.

use std::collections::BTreeMap;

/// Every variable that means something.
pub(crate) const KNOWN: [&str; 11] = [
    "KEYWAY_CONFIG",
    "KEYWAY_LISTEN",
    "KEYWAY_ADMIN_LISTEN",
    "KEYWAY_PUBLIC_URL",
    "KEYWAY_DATA_DIR",
    "KEYWAY_DATABASE",
    "KEYWAY_MASTER_KEY_FILE",
    "KEYWAY_MASTER_KEY",
    "KEYWAY_MASTER_KEY_NEXT",
    "KEYWAY_MASTER_KEY_COMMAND",
    "KEYWAY_LOG",
];

/// The process's variables that begin with `KEYWAY_`. Not printable: one of them is a key.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Reads the environment. What is not UTF-8 is no setting of ours.
    pub(crate) fn read() -> Self {
        let all = std::env::vars_os();
        Self::of(all.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// An environment of these variables.
    pub(crate) fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables
            .into_iter()
            .filter(|(name, _)| name.starts_with("KEYWAY_"));
        Self(ours.collect())
    }

    /// The value of a variable; an empty one counts as unset, since that is how most tools unset one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The variables that begin like ours and mean nothing. Not an error: container platforms set
    /// such names of their own for a service called keyway.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let names = self.0.keys().filter(|name| !KNOWN.contains(&name.as_str()));
        names.cloned().collect()
    }
}
