//! Whether a sign-in is a new grant, or an existing one again (rule 12).

use crate::grant::Grant;
use crate::ids::GrantId;
use crate::sign_in::Identity;

/// Who vouches that the account is the same person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The provider alone: hosted sign-in. Only a stable identifier counts.
    Provider,
    /// The application, with its API key: custom authentication. It may replace the identity.
    Application,
}

/// The grants a sign-in could mean.
#[derive(Clone, Copy, Debug, Default)]
pub struct Candidates<'a> {
    /// The grant with this identity at this provider.
    pub by_identity: Option<&'a Grant>,
    /// The grant with this address at this provider.
    pub by_email: Option<&'a Grant>,
    /// The grant the caller's `login_hint` named.
    pub expected: Option<GrantId>,
}

/// What a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A first authentication.
    New,
    /// The grant again.
    Same(GrantId),
}

/// Why a sign-in may not touch the grant it seems to mean. All are `grant.reauth_email_invalid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The address is known, the person is another.
    #[error(
        "this address is already connected for another account of the provider; delete that grant first, or sign in with the account it was made with"
    )]
    OtherIdentity,
    /// The provider tells no stable identity, so the address alone is no proof.
    #[error(
        "the provider names no identity that is the same in every app, so this address cannot be re-authenticated here; use custom authentication"
    )]
    NoIdentity,
    /// The account is another than the one asked for.
    #[error(
        "this is another account than the one that was asked for; use the account the grant was made with"
    )]
    OtherAccount,
    /// Identity and address each belong to a grant, and not to the same one.
    #[error(
        "this account now has the address of another grant; delete one of the two grants first"
    )]
    TwoGrants,
}

/// Decides what a sign-in is.
///
/// # Errors
/// If it must not touch the grant it seems to mean; nothing is to be changed then.
pub fn decide(
    voucher: Voucher,
    identity: &Identity,
    candidates: Candidates<'_>,
) -> Result<Decision, Mismatch> {
    let decision = match (candidates.by_identity, candidates.by_email) {
        (Some(one), Some(other)) if one.id != other.id => return Err(Mismatch::TwoGrants),
        (Some(grant), _) => Decision::Same(grant.id),
        (None, Some(grant)) => same_address(voucher, identity, grant)?,
        (None, None) => Decision::New,
    };
    match candidates.expected {
        Some(expected) if decision != Decision::Same(expected) => Err(Mismatch::OtherAccount),
        _ => Ok(decision),
    }
}

/// The address is known and the identity was not. It may be the grant's all the same: of two first sign-ins at
/// once, one can make the grant between the other's two looks.
fn same_address(
    voucher: Voucher,
    identity: &Identity,
    grant: &Grant,
) -> Result<Decision, Mismatch> {
    match (voucher, &identity.key) {
        (Voucher::Application, _) => Ok(Decision::Same(grant.id)),
        (Voucher::Provider, Some(_)) if grant.identity == identity.key => {
            Ok(Decision::Same(grant.id))
        }
        (Voucher::Provider, Some(_)) => Err(Mismatch::OtherIdentity),
        (Voucher::Provider, None) => Err(Mismatch::NoIdentity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::GrantStatus;
    use crate::ids::{ApplicationId, ConnectorId};
    use crate::provider::Provider;
    use crate::scope::Scopes;
    use crate::time::UnixMillis;

    fn grant(id: u128) -> Grant {
        Grant {
            id: GrantId::from_u128(id),
            application_id: ApplicationId::from_u128(1),
            provider: Provider::Google,
            connector_id: ConnectorId::from_u128(1),
            credential_id: None,
            email: "a@b.c".into(),
            identity: Some("u1".into()),
            provider_user_id: None,
            name: None,
            scope: Scopes::none(),
            status: GrantStatus::Valid,
            is_anchored: true,
            blocked: false,
            settings: serde_json::Map::new(),
            state: None,
            ip: None,
            user_agent: None,
            workspace_id: None,
            external_id: None,
            created_at: UnixMillis(0),
            updated_at: UnixMillis(0),
            version: 1,
        }
    }

    fn identity(key: Option<&str>) -> Identity {
        Identity {
            key: key.map(str::to_owned),
            provider_user_id: None,
            email: "a@b.c".into(),
            email_verified: None,
            name: None,
            given_name: None,
            family_name: None,
            picture: None,
        }
    }

    fn found<'a>(by_identity: Option<&'a Grant>, by_email: Option<&'a Grant>) -> Candidates<'a> {
        Candidates {
            by_identity,
            by_email,
            expected: None,
        }
    }

    const SAME: Result<Decision, Mismatch> = Ok(Decision::Same(GrantId::from_u128(1)));

    #[test]
    fn rule_12_a_grant_made_between_two_looks_is_the_same_persons() {
        let made_meanwhile = grant(1);
        let candidates = Candidates {
            by_identity: None,
            by_email: Some(&made_meanwhile),
            expected: None,
        };
        let decide = |key| decide(Voucher::Provider, &identity(Some(key)), candidates);
        assert_eq!(decide("u1"), Ok(Decision::Same(GrantId::from_u128(1))));
        assert_eq!(decide("u2"), Err(Mismatch::OtherIdentity));
    }

    #[test]
    fn rule_12_an_unknown_person_with_an_unknown_address_is_a_new_grant() {
        assert_eq!(
            decide(Voucher::Provider, &identity(Some("u")), found(None, None)),
            Ok(Decision::New)
        );
    }

    #[test]
    fn rule_12_the_same_identity_is_the_same_grant_whatever_its_address() {
        let one = grant(1);
        let id = identity(Some("u1"));
        assert_eq!(
            decide(Voucher::Provider, &id, found(Some(&one), Some(&one))),
            SAME
        );
        assert_eq!(
            decide(Voucher::Provider, &id, found(Some(&one), None)),
            SAME
        );
    }

    #[test]
    fn rule_12_the_same_address_with_another_identity_is_refused_unless_the_application_vouches() {
        let one = grant(1);
        let id = identity(Some("u2"));
        let candidates = found(None, Some(&one));
        assert_eq!(
            decide(Voucher::Provider, &id, candidates),
            Err(Mismatch::OtherIdentity)
        );
        assert_eq!(decide(Voucher::Application, &id, candidates), SAME);
    }

    #[test]
    fn rule_12_an_address_alone_is_no_proof() {
        let one = grant(1);
        let candidates = found(None, Some(&one));
        assert_eq!(
            decide(Voucher::Provider, &identity(None), candidates),
            Err(Mismatch::NoIdentity)
        );
        assert_eq!(
            decide(Voucher::Application, &identity(None), candidates),
            SAME
        );
    }

    #[test]
    fn rule_12_a_hint_that_names_a_grant_must_be_answered_by_that_grant() {
        let (one, two) = (grant(1), grant(2));
        let id = identity(Some("u1"));
        let hinted = |by_identity, expected: &Grant| Candidates {
            by_identity,
            by_email: None,
            expected: Some(expected.id),
        };
        assert_eq!(
            decide(Voucher::Provider, &id, hinted(Some(&one), &one)),
            SAME
        );
        assert_eq!(
            decide(Voucher::Provider, &id, hinted(Some(&one), &two)),
            Err(Mismatch::OtherAccount)
        );
        assert_eq!(
            decide(Voucher::Provider, &id, hinted(None, &two)),
            Err(Mismatch::OtherAccount)
        );
    }

    #[test]
    fn rule_12_an_identity_and_an_address_of_two_grants_are_refused() {
        let (one, two) = (grant(1), grant(2));
        for voucher in [Voucher::Provider, Voucher::Application] {
            assert_eq!(
                decide(
                    voucher,
                    &identity(Some("u1")),
                    found(Some(&one), Some(&two))
                ),
                Err(Mismatch::TwoGrants)
            );
        }
    }
}
