//! The providers by name. What each is like is data: see [`crate::catalogue`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Longest name of a provider, in bytes.
pub const PROVIDER_NAME_MAX_BYTES: usize = 32;

/// The name of a provider that the catalogue describes: a letter, then letters, digits and dashes, all of
/// them small ones of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderName {
    /// Filled up with zeros, which no name holds.
    bytes: [u8; PROVIDER_NAME_MAX_BYTES],
}

impl ProviderName {
    /// The name, if it is well formed and none of a provider that this module names itself.
    fn parse(text: &str) -> Option<Self> {
        let is_inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts_well || !text.as_bytes().iter().all(is_inner) {
            return None;
        }
        let mut bytes = [0; PROVIDER_NAME_MAX_BYTES];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self { bytes })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.bytes.iter().position(|byte| *byte == 0);
        let name = self.bytes.get(..end.unwrap_or(PROVIDER_NAME_MAX_BYTES));
        // Nothing but ASCII is put in.
        name.and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or_default()
    }
}

impl fmt::Debug for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A provider a connector can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Google.
    Google,
    /// Microsoft Entra ID and personal Microsoft accounts.
    Microsoft,
    /// Yahoo.
    Yahoo,
    /// Zoom.
    Zoom,
    /// Any IMAP server, with a password.
    Imap,
    /// iCloud, with an app-specific password.
    Icloud,
    /// An on-premises Exchange server.
    Ews,
    /// A calendar without a provider.
    VirtualCalendar,
    /// One that the catalogue describes, if it does: a name that was stored may be of an entry that is gone.
    Other(ProviderName),
}

/// The text can be no provider's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderParseError {
    /// `nylas`: an account kind that only the hosted original can have.
    #[error(
        "'nylas' accounts (Agent Accounts) exist only at Nylas; use one of: google, microsoft, yahoo, zoom, imap, icloud, ews, virtual-calendar, or another provider of this server's catalogue"
    )]
    Nylas,
    /// No name at all.
    #[error(
        "unknown provider; use one of: google, microsoft, yahoo, zoom, imap, icloud, ews, virtual-calendar, or another provider of this server's catalogue"
    )]
    Unknown,
}

impl Provider {
    /// All providers that have a name of their own here.
    pub const ALL: [Self; 8] = [
        Self::Google,
        Self::Microsoft,
        Self::Yahoo,
        Self::Zoom,
        Self::Imap,
        Self::Icloud,
        Self::Ews,
        Self::VirtualCalendar,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Yahoo => "yahoo",
            Self::Zoom => "zoom",
            Self::Imap => "imap",
            Self::Icloud => "icloud",
            Self::Ews => "ews",
            Self::VirtualCalendar => "virtual-calendar",
            Self::Other(name) => name.as_str(),
        }
    }

    /// The name for people. Of a provider that the catalogue describes it is the bare name;
    /// [`crate::catalogue::Catalogue::title`] knows the entry's.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Google => "Google",
            Self::Microsoft => "Microsoft",
            Self::Yahoo => "Yahoo",
            Self::Zoom => "Zoom",
            Self::Imap => "IMAP",
            Self::Icloud => "iCloud",
            Self::Ews => "Exchange (EWS)",
            Self::VirtualCalendar => "Virtual calendar",
            Self::Other(name) => name.as_str(),
        }
    }

    /// `a` or `an`, for sentences about its connectors.
    #[must_use]
    pub fn article(&self) -> &'static str {
        match self.as_str().as_bytes().first() {
            Some(b'a' | b'e' | b'i' | b'o' | b'u') => "an",
            _ => "a",
        }
    }

    /// Whether users of this provider sign in through OAuth, so that connectors have client settings.
    #[must_use]
    pub const fn is_oauth(self) -> bool {
        matches!(
            self,
            Self::Google | Self::Microsoft | Self::Yahoo | Self::Zoom | Self::Other(_)
        )
    }

    /// Whether its users can sign in on a page: at the provider, or by a form of ours.
    #[must_use]
    pub const fn has_hosted_sign_in(self) -> bool {
        self.is_oauth() || self.is_mail() || matches!(self, Self::Ews)
    }

    /// Whether its accounts are mailboxes that a password opens, over IMAP.
    #[must_use]
    pub const fn is_mail(self) -> bool {
        matches!(self, Self::Imap | Self::Icloud)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = ProviderParseError;

    fn from_str(text: &str) -> Result<Self, ProviderParseError> {
        if text == "nylas" {
            return Err(ProviderParseError::Nylas);
        }
        let named = Self::ALL.into_iter().find(|p| p.as_str() == text);
        named
            .or_else(|| ProviderName::parse(text).map(Self::Other))
            .ok_or(ProviderParseError::Unknown)
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_round_trip_and_nylas_is_refused_in_words() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(provider));
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.as_str());
        }
        assert_eq!("nylas".parse::<Provider>(), Err(ProviderParseError::Nylas));
        assert_eq!(
            "virtual_calendar".parse::<Provider>(),
            Err(ProviderParseError::Unknown)
        );
    }

    #[test]
    fn other_names_are_kept_as_they_are_and_in_their_order() {
        let named = |text: &str| text.parse::<Provider>().unwrap();
        let longest = "a".repeat(PROVIDER_NAME_MAX_BYTES);
        for text in ["slack", "x", "acme-crm-2", &longest] {
            let provider = named(text);
            assert!(matches!(provider, Provider::Other(_)) && provider.is_oauth());
            assert_eq!(provider.to_string(), text);
            let json = serde_json::to_string(&provider).unwrap();
            assert_eq!(serde_json::from_str::<Provider>(&json).unwrap(), provider);
        }
        assert!(named("box") < named("boxer") && named("boxer") < named("github"));
        assert_eq!(
            (named("asana").article(), named("box").article()),
            ("an", "a")
        );
        assert_eq!(format!("{:?}", named("box")), "Other(\"box\")");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let too_long = "a".repeat(PROVIDER_NAME_MAX_BYTES + 1);
        for text in [
            "", "-a", "1a", "Slack", "a_b", "a b", "a.b", "a/b", "é", "a\0", &too_long,
        ] {
            assert_eq!(
                text.parse::<Provider>(),
                Err(ProviderParseError::Unknown),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_text_is_a_name_or_none_and_comes_back_as_it_was(text in "\\PC{0,40}|[a-z0-9-]{0,40}") {
            let is_name = (1..=PROVIDER_NAME_MAX_BYTES).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-'))
                && text != "nylas";
            match text.parse::<Provider>() {
                Ok(provider) => prop_assert!(is_name && provider.as_str() == text),
                Err(_) => prop_assert!(!is_name),
            }
        }

        #[test]
        fn names_are_ordered_as_their_texts(one in "[a-z][a-z0-9-]{0,31}", other in "[a-z][a-z0-9-]{0,31}") {
            let named = |text: &str| ProviderName::parse(text).unwrap();
            prop_assert_eq!(named(&one).cmp(&named(&other)), one.cmp(&other));
        }
    }
}
