//! Whose fault a refused token request is (rule 6).
//!
//! The tables are data: a provider's word, and what it means. Only what the user, or the user's tenant
//! administrator, must mend makes a grant invalid. Microsoft's numbers refine its `error`, which its
//! documentation calls the only stable part; where a number is unknown the word decides.

use crate::credential::CredentialType;
use crate::oauth::ProviderError;
use crate::provider::Provider;

/// Who has to act before the request can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The user must sign in again.
    User,
    /// The user's tenant administrator must allow it.
    TenantAdmin,
    /// The provider application is misconfigured, deleted, or its secret wrong.
    Credential,
    /// The token belongs to another client than the one that presents it.
    OtherClient,
    /// Nobody: it may work in a while.
    Transient,
    /// We asked for something we should not have.
    Ours,
}

impl Blame {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::User,
        Self::TenantAdmin,
        Self::Credential,
        Self::OtherClient,
        Self::Transient,
        Self::Ours,
    ];

    /// Whether the grant becomes invalid.
    #[must_use]
    pub const fn ends_grant(self) -> bool {
        matches!(self, Self::User | Self::TenantAdmin)
    }

    /// The word it is recorded by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::TenantAdmin => "tenant_admin",
            Self::Credential => "credential",
            Self::OtherClient => "other_client",
            Self::Transient => "transient",
            Self::Ours => "ours",
        }
    }
}

use Blame::{Credential, OtherClient, Ours, TenantAdmin, Transient, User};

/// `error` words of RFC 6749, 5.2, OpenID Connect and the providers' own.
pub const WORDS: [(&str, Blame); 37] = [
    ("invalid_grant", User),
    ("interaction_required", User),
    ("consent_required", User),
    ("login_required", User),
    ("access_denied", TenantAdmin),
    ("admin_policy_enforced", TenantAdmin),
    ("org_internal", TenantAdmin),
    ("invalid_client", Credential),
    ("deleted_client", Credential),
    ("disabled_client", Credential),
    ("invalid_client_secret", Credential),
    ("unauthorized_client", OtherClient),
    ("temporarily_unavailable", Transient),
    ("server_error", Transient),
    ("internal_failure", Transient),
    ("slow_down", Transient),
    ("rate_limit_exceeded", Transient),
    ("rateLimitExceeded", Transient),
    ("ERROR_HANDLING_REQUEST", Transient),
    ("invalid_request", Ours),
    ("invalid_scope", Ours),
    ("invalid_resource", Ours),
    ("unsupported_grant_type", Ours),
    ("INVALID_INPUT", Ours),
    ("invalid_target", Ours),
    // GitHub's.
    ("bad_refresh_token", User),
    ("incorrect_client_credentials", Credential),
    // Salesforce's.
    ("inactive_user", User),
    ("inactive_org", TenantAdmin),
    ("invalid_client_id", Credential),
    // Slack's; the client's id as above.
    ("invalid_refresh_token", User),
    ("token_revoked", User),
    ("account_inactive", User),
    ("bad_client_secret", Credential),
    ("ratelimited", Transient),
    ("internal_error", Transient),
    ("service_unavailable", Transient),
];

/// Microsoft's numbers (`AADSTS…`), which refine the word.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
pub const MICROSOFT_CODES: [(i64, Blame); 63] = [
    (50173, User),
    (700_082, User),
    (70008, User),
    (70000, User),
    (700_084, User),
    (70043, User),
    (50076, User),
    (50079, User),
    (50074, User),
    (50072, User),
    (50078, User),
    (50158, User),
    (50089, User),
    (50132, User),
    (50133, User),
    (50055, User),
    (65001, User),
    (65004, User),
    (50057, User),
    (50034, User),
    (53003, TenantAdmin),
    (53000, TenantAdmin),
    (530_032, TenantAdmin),
    (50085, User),
    (90094, TenantAdmin),
    (90095, TenantAdmin),
    (650_056, TenantAdmin),
    (7_000_215, Credential),
    (7_000_222, Credential),
    (70002, Credential),
    (7_000_218, Credential),
    (700_025, Credential),
    (700_027, Credential),
    (700_016, Credential),
    (700_011, Credential),
    (7_000_112, Credential),
    (7_000_229, Credential),
    (70001, Credential),
    (50011, Credential),
    (50194, Credential),
    (65005, Credential),
    (650_057, Credential),
    (90002, Credential),
    (9_001_023, Credential),
    (54005, User),
    (700_005, User),
    (9_002_313, Ours),
    (50033, Transient),
    (50087, Transient),
    (90006, Transient),
    (90012, Transient),
    (90024, Transient),
    (90033, Transient),
    (90090, Transient),
    (90055, Transient),
    (40010, Transient),
    (70012, Transient),
    (50196, Ours),
    (50049, Transient),
    (50058, User),
    (50126, User),
    (50053, Transient),
    (900_144, Ours),
];

/// Words of a description that say more than Google's `invalid_grant` or `invalid_request`: the credential's
/// or our own fault with service accounts and clocks, or a user an account may not act for.
pub const GOOGLE_TEXTS: [(&str, Blame); 5] = [
    ("invalid impersonation", User),
    ("robot is disabled", Credential),
    ("invalid jwt signature", Credential),
    ("short-lived", Ours),
    ("invalid jwt", Ours),
];

fn look_up<'a, T: PartialEq + 'a>(
    table: impl IntoIterator<Item = &'a (T, Blame)>,
    key: &T,
) -> Option<Blame> {
    table
        .into_iter()
        .find(|(known, _)| known == key)
        .map(|(_, blame)| *blame)
}

/// The number in `AADSTS50173: …`, where the answer lists none.
fn number_in(description: Option<&str>) -> Option<i64> {
    let rest = description?.split_once("AADSTS")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn by_microsoft(error: &ProviderError) -> Option<Blame> {
    let listed = error
        .codes
        .iter()
        .find_map(|code| look_up(&MICROSOFT_CODES, code));
    listed.or_else(|| {
        number_in(error.description.as_deref()).and_then(|n| look_up(&MICROSOFT_CODES, &n))
    })
}

fn by_google(error: &ProviderError) -> Option<Blame> {
    let text = error.description.as_deref()?.to_lowercase();
    GOOGLE_TEXTS
        .iter()
        .find(|(words, _)| text.contains(words))
        .map(|(_, blame)| *blame)
}

/// Whose fault a refusal is.
#[must_use]
pub fn blame(provider: Provider, error: &ProviderError) -> Blame {
    if error.status == 429 || error.status >= 500 {
        return Transient;
    }
    let refined = match provider {
        Provider::Microsoft => by_microsoft(error),
        Provider::Google
            if ["invalid_grant", "invalid_request"].contains(&error.error.as_str()) =>
        {
            by_google(error)
        }
        _ => None,
    };
    let word = error.error.as_str();
    // A word nobody documented must not cost a user the grant: it is recorded, and tried again slowly.
    refined.or_else(|| look_up(&WORDS, &word)).unwrap_or(Ours)
}

/// Numbers that, of an application's own tokens, speak of one tenant: it does not know the application, has
/// withdrawn its consent, or has switched it off. Its administrator has to act, and other tenants go on.
pub const MICROSOFT_TENANT_CODES: [i64; 6] = [700_016, 700_011, 65001, 7_000_112, 7_000_229, 90002];

/// Whose fault a refusal is of what a credential of that type asked for.
#[must_use]
pub fn blame_of(
    provider: Provider,
    credential_type: CredentialType,
    error: &ProviderError,
) -> Blame {
    let sorted = blame(provider, error);
    let speaks_of_tenant = || {
        let number = number_in(error.description.as_deref());
        let mut numbers = error.codes.iter().copied().chain(number);
        numbers.any(|code| MICROSOFT_TENANT_CODES.contains(&code))
    };
    match (credential_type, sorted) {
        (CredentialType::AdminConsent, User | Credential) if speaks_of_tenant() => TenantAdmin,
        _ => sorted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(word: &str, status: u16) -> ProviderError {
        ProviderError {
            error: word.into(),
            status,
            ..ProviderError::default()
        }
    }

    #[test]
    fn rule_06_every_word_is_sorted_as_its_row_says() {
        for (word, expected) in WORDS {
            for provider in [Provider::Google, Provider::Yahoo, Provider::Zoom] {
                assert_eq!(blame(provider, &error(word, 400)), expected, "{word}");
            }
        }
    }

    /// What providers have been seen to answer, whole, and what it means. Written down from their
    /// documentation and from reports, not from the tables above.
    const ANSWERS: [(Provider, u16, &str, Blame); 26] = [
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            User,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#,
            User,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_description":"Robot is disabled."}"#,
            Credential,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#,
            Credential,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token (60 minutes)"}"#,
            Ours,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_grant","error_description":"Invalid email or User ID"}"#,
            User,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"invalid_request","error_description":"Invalid impersonation \"sub\" field."}"#,
            User,
        ),
        (
            Provider::Google,
            401,
            r#"{"error":"invalid_client","error_description":"Unauthorized"}"#,
            Credential,
        ),
        (
            Provider::Google,
            401,
            r#"{"error":"deleted_client","error_description":"The OAuth client was deleted."}"#,
            Credential,
        ),
        (
            Provider::Google,
            401,
            r#"{"error":"disabled_client"}"#,
            Credential,
        ),
        (
            Provider::Google,
            401,
            r#"{"error":"unauthorized_client","error_description":"Unauthorized"}"#,
            OtherClient,
        ),
        (
            Provider::Google,
            400,
            r#"{"error":"admin_policy_enforced"}"#,
            TenantAdmin,
        ),
        (
            Provider::Google,
            500,
            r#"{"error":"internal_failure"}"#,
            Transient,
        ),
        (
            Provider::Google,
            429,
            r#"{"error":"rate_limit_exceeded"}"#,
            Transient,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired due to inactivity.","error_codes":[700082]}"#,
            User,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"interaction_required","error_codes":[50076],"suberror":"basic_action"}"#,
            User,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"interaction_required","error_codes":[53003]}"#,
            TenantAdmin,
        ),
        (
            Provider::Microsoft,
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys are expired."}"#,
            Credential,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"unauthorized_client","error_codes":[700016]}"#,
            Credential,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"invalid_grant","error_codes":[50196]}"#,
            Ours,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"invalid_grant","error_codes":[50053]}"#,
            Transient,
        ),
        (
            Provider::Microsoft,
            400,
            r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#,
            Transient,
        ),
        (
            Provider::Yahoo,
            400,
            r#"{"error":"INVALID_INPUT","error_description":"client request error"}"#,
            Ours,
        ),
        (
            Provider::Yahoo,
            400,
            r#"{"error":"ERROR_HANDLING_REQUEST"}"#,
            Transient,
        ),
        (
            Provider::Zoom,
            400,
            r#"{"reason":"Invalid Token!","error":"invalid_grant"}"#,
            User,
        ),
        (
            Provider::Zoom,
            400,
            r#"{"reason":"Something new","error":"never_seen_before"}"#,
            Ours,
        ),
    ];

    #[test]
    fn rule_06_what_providers_have_been_seen_to_answer_is_sorted_right() {
        use crate::oauth::{TokenAnswer, read_token_answer};
        for (provider, status, body, expected) in ANSWERS {
            let TokenAnswer::Refused(error) = read_token_answer(status, body.as_bytes()) else {
                panic!("{body} is a refusal");
            };
            assert_eq!(blame(provider, &error), expected, "{provider} {body}");
        }
    }

    #[test]
    fn rule_06_every_number_of_microsofts_refines_its_word() {
        for (code, expected) in MICROSOFT_CODES {
            let listed = ProviderError {
                codes: vec![code],
                ..error("invalid_grant", 400)
            };
            assert_eq!(blame(Provider::Microsoft, &listed), expected, "{code}");
            let described = ProviderError {
                description: Some(format!("AADSTS{code}: words")),
                ..error("invalid_client", 401)
            };
            assert_eq!(blame(Provider::Microsoft, &described), expected, "{code}");
        }
    }

    #[test]
    fn rule_06_googles_service_account_texts_are_not_the_users_fault() {
        for (text, expected) in [
            ("Robot is disabled.", Credential),
            ("Invalid JWT Signature.", Credential),
            ("Invalid JWT: Token must be a short-lived token", Ours),
            ("Token has been expired or revoked.", User),
        ] {
            let given = ProviderError {
                description: Some(text.into()),
                ..error("invalid_grant", 400)
            };
            assert_eq!(blame(Provider::Google, &given), expected, "{text}");
        }
    }

    #[test]
    fn rule_06_overload_and_unknown_words_never_end_a_grant() {
        for (word, status) in [
            ("invalid_grant", 503),
            ("invalid_grant", 429),
            ("novel_word", 400),
        ] {
            let sorted = blame(Provider::Google, &error(word, status));
            assert!(!sorted.ends_grant(), "{word} {status} {sorted:?}");
        }
        assert!(User.ends_grant() && TenantAdmin.ends_grant() && !Credential.ends_grant());
    }

    #[test]
    fn rule_06_a_tenant_that_withdraws_its_consent_is_no_fault_of_the_credential() {
        let of = |kind, number: i64| {
            let error = ProviderError {
                codes: vec![number],
                ..error("unauthorized_client", 400)
            };
            blame_of(Provider::Microsoft, kind, &error)
        };
        for number in MICROSOFT_TENANT_CODES {
            assert_eq!(
                of(CredentialType::AdminConsent, number),
                TenantAdmin,
                "{number}"
            );
        }
        assert_eq!(of(CredentialType::Connector, 700_016), Credential);
        assert_eq!(of(CredentialType::AdminConsent, 7_000_215), Credential);
    }

    #[test]
    fn tables_hold_nothing_twice() {
        let words: std::collections::BTreeSet<_> = WORDS.iter().map(|(w, _)| w).collect();
        assert_eq!(words.len(), WORDS.len());
        let codes: std::collections::BTreeSet<_> = MICROSOFT_CODES.iter().map(|(c, _)| c).collect();
        assert_eq!(codes.len(), MICROSOFT_CODES.len());
    }
}
