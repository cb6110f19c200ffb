//! The providers by name. What each is like is data: see [`crate::catalogue`].

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A provider a connector can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
}

/// The text names no provider Keyway can connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderParseError {
    /// `nylas`: an account kind that only the hosted original can have.
    #[error(
        "'nylas' accounts (Agent Accounts) exist only at Nylas; use one of: google, microsoft, yahoo, zoom, imap, icloud, ews, virtual-calendar"
    )]
    Nylas,
    /// No such provider.
    #[error(
        "unknown provider; use one of: google, microsoft, yahoo, zoom, imap, icloud, ews, virtual-calendar"
    )]
    Unknown,
}

impl Provider {
    /// All providers.
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
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Yahoo => "yahoo",
            Self::Zoom => "zoom",
            Self::Imap => "imap",
            Self::Icloud => "icloud",
            Self::Ews => "ews",
            Self::VirtualCalendar => "virtual-calendar",
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Google => "Google",
            Self::Microsoft => "Microsoft",
            Self::Yahoo => "Yahoo",
            Self::Zoom => "Zoom",
            Self::Imap => "IMAP",
            Self::Icloud => "iCloud",
            Self::Ews => "Exchange (EWS)",
            Self::VirtualCalendar => "Virtual calendar",
        }
    }

    /// `a` or `an`, for sentences about its connectors.
    #[must_use]
    pub const fn article(self) -> &'static str {
        match self {
            Self::Imap | Self::Icloud | Self::Ews => "an",
            _ => "a",
        }
    }

    /// Whether users of this provider sign in through OAuth, so that connectors have client settings.
    #[must_use]
    pub const fn is_oauth(self) -> bool {
        matches!(
            self,
            Self::Google | Self::Microsoft | Self::Yahoo | Self::Zoom
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
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or(ProviderParseError::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
