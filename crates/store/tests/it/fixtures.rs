//! Rows to store: of tenant `t`, the `n`-th of their kind, every member filled differently.

use keyway_core::account_secret::AccountSecret;
use keyway_core::application::{AdditionalSettings, ApiKey, Application, Platform, RedirectUri};
use keyway_core::change::{Action, Entity, NewChange};
use keyway_core::connector::Connector;
use keyway_core::credential::{
    Credential, CredentialSecret, CredentialType, Health, HealthStatus, Owner, SlotState,
    TenantConsent,
};
use keyway_core::grant::{Grant, GrantStatus};
use keyway_core::ids::*;
use keyway_core::issued::{AccessToken, RefreshToken};
use keyway_core::provider::Provider;
use keyway_core::scope::Scopes;
use keyway_core::sealed::{Digest, Sealed};
use keyway_core::sign_in::{SignIn, SignInStatus};
use keyway_core::time::UnixMillis;
use keyway_core::token_set::{TokenSet, TokenSetState};
use serde_json::{Map, Value, json};

pub(crate) fn bits(t: u128, n: u128) -> u128 {
    t * 1_000_000 + n
}

pub(crate) fn tenant(t: u128) -> ApplicationId {
    ApplicationId::from_u128(bits(t, 0))
}

pub(crate) fn at(n: u128) -> UnixMillis {
    UnixMillis(i64::try_from(1000 + n).unwrap())
}

pub(crate) fn digest(kind: u8, t: u128, n: u128) -> Digest {
    let mut bytes = [kind; 32];
    bytes[..16].copy_from_slice(&bits(t, n).to_be_bytes());
    Digest(bytes)
}

pub(crate) fn sealed(t: u128, n: u128) -> Sealed {
    Sealed([&[0, 255, 128][..], &bits(t, n).to_be_bytes()].concat())
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

pub(crate) fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

pub(crate) fn application(t: u128) -> Application {
    Application {
        id: tenant(t),
        organization_id: OrganizationId::from_u128(bits(t, 1)),
        name: format!("Café \"{t}\" ' ; --"),
        region: "eu".into(),
        environment: "production".into(),
        profile: map(json!({"branding": {"name": "N\u{0}\u{1f511}"}})),
        additional: AdditionalSettings {
            login_url: Some("https://l".into()),
            rotate_refresh_token: true,
            ..AdditionalSettings::default()
        },
        blocked: false,
        created_at: at(t),
        updated_at: at(t + 1),
        version: 1,
    }
}

/// Of the `n`-th credential.
pub(crate) fn tenant_consent(t: u128, n: u128) -> TenantConsent {
    TenantConsent {
        application_id: tenant(t),
        credential_id: credential(t, n).id,
        client_id: format!("client {n}"),
        tenant: format!("tenant-{n}"),
        noted_at: at(n),
    }
}

pub(crate) fn api_key(t: u128, n: u128) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_u128(bits(t, n)),
        application_id: tenant(t),
        name: format!("key {n}"),
        digest: digest(1, t, n),
        hint: "kw_…abcd".into(),
        created_at: at(n),
        updated_at: at(n + 1),
        expires_at: n.is_multiple_of(2).then(|| at(n + 100)),
        revoked_at: None,
    }
}

pub(crate) fn redirect_uri(t: u128, n: u128) -> RedirectUri {
    RedirectUri {
        id: RedirectUriId::from_u128(bits(t, n)),
        application_id: tenant(t),
        url: format!("https://app.example/{n}"),
        platform: Platform::Js,
        settings: map(json!({"origin": "https://app.example"})),
        origin: Some("https://app.example".into()),
        created_at: at(n),
        updated_at: at(n),
    }
}

pub(crate) fn connector(t: u128, provider: Provider) -> Connector {
    let place = Provider::ALL.iter().position(|known| *known == provider);
    let n = place.unwrap() as u128 + 1;
    Connector {
        id: ConnectorId::from_u128(bits(t, n)),
        application_id: tenant(t),
        provider,
        name: provider.title().into(),
        settings: map(json!({"tenant": "common"})),
        scope: scopes("openid https://a.b/c.d"),
        active_credential_id: Some(CredentialId::from_u128(bits(t, 1))),
        primary_credential_id: None,
        created_at: at(n),
        updated_at: at(n),
        version: 1,
    }
}

pub(crate) fn google(t: u128) -> Connector {
    connector(t, Provider::Google)
}

/// Of the google connector.
pub(crate) fn credential(t: u128, n: u128) -> Credential {
    Credential {
        id: CredentialId::from_u128(bits(t, n)),
        application_id: tenant(t),
        connector_id: google(t).id,
        provider: Provider::Google,
        name: format!("credential {n}"),
        credential_type: CredentialType::ServiceAccount,
        owner: Owner::Operator,
        client_id: Some(format!("client-{n}")),
        provider_project: Some("project".into()),
        tenant: None,
        borrows_from: None,
        labels: map(json!({"team": ["a", 1]})),
        data_digest: digest(2, t, n),
        health: Health {
            status: HealthStatus::Failing,
            error: Some("invalid_client".into()),
            message: Some("m".into()),
            since: Some(at(5)),
        },
        created_at: at(n),
        updated_at: at(100 - n),
        deleted_at: None,
        version: 1,
    }
}

pub(crate) fn secret(t: u128, n: u128) -> CredentialSecret {
    CredentialSecret {
        id: SecretId::from_u128(bits(t, n)),
        application_id: tenant(t),
        credential_id: credential(t, 1).id,
        sealed: sealed(t, n),
        state: SlotState::Active,
        not_before: at(n),
        expires_at: None,
        created_at: at(n),
    }
}

/// Of the google connector's first credential.
pub(crate) fn grant(t: u128, n: u128) -> Grant {
    Grant {
        id: GrantId::from_u128(bits(t, n)),
        application_id: tenant(t),
        provider: Provider::Google,
        connector_id: google(t).id,
        credential_id: Some(credential(t, 1).id),
        email: format!("User{n}@Example.com"),
        identity: Some(format!("sub-{n}")),
        provider_user_id: Some(format!("{n}")),
        name: Some("A. User".into()),
        scope: scopes("openid email"),
        status: GrantStatus::Valid,
        is_anchored: true,
        blocked: false,
        settings: map(json!({"imap": {"port": 993}})),
        state: Some("s".into()),
        ip: Some("203.0.113.9".into()),
        user_agent: Some("UA/1".into()),
        workspace_id: Some(WorkspaceId::from_u128(bits(t, 7))),
        external_id: Some(format!("ext-{n}")),
        created_at: at(n),
        updated_at: at(100 - n),
        version: 1,
    }
}

/// The current one of the `n`-th grant.
pub(crate) fn token_set(t: u128, n: u128) -> TokenSet {
    TokenSet {
        id: TokenSetId::from_u128(bits(t, n)),
        application_id: tenant(t),
        grant_id: Some(grant(t, n).id),
        credential_id: credential(t, 1).id,
        sign_in_id: Some(sign_in(t, n).id),
        provider: Provider::Google,
        state: TokenSetState::Current,
        sealed: sealed(t, n),
        has_refresh_token: true,
        scope: scopes("openid email"),
        access_expires_at: Some(at(3600)),
        consent_key: Some("google|project:p|sub-1".into()),
        created_at: at(n),
        updated_at: at(n),
        version: 1,
    }
}

pub(crate) fn account_secret(t: u128, n: u128) -> AccountSecret {
    AccountSecret {
        id: AccountSecretId::from_u128(bits(t, n)),
        application_id: tenant(t),
        grant_id: grant(t, n).id,
        provider: Provider::Imap,
        sealed: sealed(t, n),
        created_at: at(n),
        updated_at: at(n + 1),
        version: 1,
    }
}

pub(crate) fn sign_in(t: u128, n: u128) -> SignIn {
    SignIn {
        id: SignInId::from_u128(bits(t, n)),
        application_id: tenant(t),
        credential_id: Some(credential(t, 1).id),
        status: SignInStatus::Consumed,
        code_digest: None,
        outcome: None,
        family_id: None,
        code_expires_at: None,
        created_at: at(n),
    }
}

pub(crate) fn family(t: u128) -> FamilyId {
    FamilyId::from_u128(bits(t, 50))
}

pub(crate) fn access_token(t: u128, n: u128) -> AccessToken {
    AccessToken {
        id: AccessTokenId::from_u128(bits(t, n)),
        application_id: tenant(t),
        grant_id: grant(t, 1).id,
        family_id: family(t),
        digest: digest(4, t, n),
        audience: "https://app.example".into(),
        expires_at: at(n + 10),
        created_at: at(n),
    }
}

pub(crate) fn refresh_token(t: u128, n: u128) -> RefreshToken {
    RefreshToken {
        id: RefreshTokenId::from_u128(bits(t, n)),
        application_id: tenant(t),
        grant_id: grant(t, 1).id,
        family_id: family(t),
        digest: digest(5, t, n),
        audience: "https://app.example".into(),
        scope: scopes("openid"),
        public_client: true,
        rotates: true,
        used_at: None,
        last_used_at: at(n),
        family_created_at: at(1),
        created_at: at(n),
    }
}

pub(crate) fn change(t: u128, n: u128) -> NewChange {
    NewChange {
        at: at(n),
        application_id: tenant(t),
        entity: Entity::Grant,
        entity_id: grant(t, n).id.to_string(),
        action: Action::Reauthenticated,
        actor: "api_key:1".into(),
        detail: map(json!({"credential_id": "x"})),
    }
}
