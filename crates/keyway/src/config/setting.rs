//! A value and where it comes from.

use std::fmt;

/// Where a setting was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: it is what counts when nothing is said.
    Default,
    /// In the configuration file.
    File,
    /// In this variable.
    Environment(&'static str),
    /// By this flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("configuration file"),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

impl<T> Setting<T> {
    /// A value from there.
    pub(crate) const fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// A value nobody set.
    pub(crate) const fn default_value(value: T) -> Self {
        Self::new(value, Origin::Default)
    }

    /// A value of the configuration file.
    pub(crate) const fn from_file(value: T) -> Self {
        Self::new(value, Origin::File)
    }
}
