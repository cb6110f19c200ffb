//! Bulk authentication: credentials that act for their users by themselves, without a sign-in.

use keyway_core::application::AdditionalSettings;
use keyway_core::change::Action;
use keyway_core::credential::{Credential, CredentialType, HealthStatus};
use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::ids::CredentialId;
use keyway_core::provider::Provider::{self, Google, Microsoft};
use keyway_core::scope::Scopes;
use keyway_engine::applications::ApplicationPatch;
use keyway_engine::credentials::{CredentialPatch, NewCredential};
use keyway_engine::custom::CustomAuthentication;
use keyway_engine::grants::GrantPatch;
use keyway_engine::sign_in::{AuthorizeParams, Browser, Finish, Start};
use keyway_engine::{Error, ErrorKind};
use keyway_sandbox::{DEFAULT_TENANT_ID, Decision};
use keyway_testkit::{
    ALICE, AtProvider, BOB, CALLBACK_URI, DEV, Ended, STAGING, SignIn, World, callback_params,
    object, on_both_databases, returned,
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ROBOT: &str = "robot@project.iam.gserviceaccount.com";
const MAIL: &str = "mail.read";
/// Asks whose the token is.
const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
/// A tenant of its own at the provider, by its domain.
pub(crate) const OTHER_DOMAIN: &str = "fabrikam.example";
pub(crate) const OTHER_TENANT: &str = "5a9db0c5-0000-4000-8000-000000000002";

fn key_file(world: &World, delegated: &[&str]) -> Value {
    let file = world.provider.create_service_account(ROBOT, delegated);
    serde_json::from_str(&file.unwrap()).unwrap()
}

async fn stored(
    world: &World,
    provider: Provider,
    kind: CredentialType,
    data: Value,
) -> Result<Credential, Error> {
    let new = NewCredential {
        name: "bulk".into(),
        credential_type: kind,
        data: object(data),
    };
    let caller = &world.app.caller;
    world.engine.create_credential(caller, provider, new).await
}

/// A Google connector with a service account to which `delegated` was delegated.
async fn robot(world: &World, delegated: &[&str]) -> Credential {
    world.app.connector(Google, DEV).await;
    let file = key_file(world, delegated);
    let made = stored(world, Google, CredentialType::ServiceAccount, file).await;
    made.unwrap()
}

async fn authenticate(
    world: &World,
    provider: Provider,
    credential: CredentialId,
    settings: Value,
) -> Result<Grant, Error> {
    let request = CustomAuthentication {
        provider: Some(provider),
        settings: object(settings),
        credential_id: Some(credential),
        ..CustomAuthentication::default()
    };
    let caller = &world.app.caller;
    world.engine.custom_authentication(caller, request).await
}

async fn for_user(world: &World, robot: &Credential, email: &str) -> Result<Grant, Error> {
    let settings = json!({"email_address": email, "scopes": [MAIL]});
    authenticate(world, Google, robot.id, settings).await
}

async fn token(world: &World, grant: &Grant) -> Result<String, Error> {
    let grant = world.app.grant(grant.id).await;
    let token = world.engine.fresh_token(&grant).await?;
    Ok(token.access_token.expose_secret().to_owned())
}

fn assertions(world: &World) -> u64 {
    let kind = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    world.provider.counters().token_requests_of(kind)
}

async fn a_service_account_makes_grants_and_renews_them_by_itself(world: &World) {
    let robot = robot(world, &[MAIL]).await;
    let grant = for_user(world, &robot, ALICE).await.unwrap();
    assert_eq!(
        (grant.email.as_str(), grant.credential_id),
        (ALICE, Some(robot.id))
    );
    assert_eq!(grant.scope, Scopes::parse(MAIL).unwrap());
    let first = token(world, &grant).await.unwrap();
    assert!(world.provider.is_alive(&first));
    assert_eq!(assertions(world), 1);
    world.pass_secs(3601);
    let second = token(world, &grant).await.unwrap();
    assert_ne!(second, first);
    world.pass_secs(3601);
    assert_ne!(token(world, &grant).await.unwrap(), second);
    assert_eq!(assertions(world), 3);
    assert_eq!(world.tokens(&grant).await.refresh_token, None);
}

async fn the_grant_exists_only_if_the_provider_gives_a_token(world: &World) {
    let robot = robot(world, &["calendar"]).await;
    let before = world.snapshot().await;
    let refused = for_user(world, &robot, ALICE).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidAuthentication);
    assert!(refused.message().contains("delegate"), "{refused}");
    assert_eq!(
        refused.provider_error().unwrap().error,
        "unauthorized_client"
    );
    assert_eq!(world.snapshot().await, before);
    // A delegation that is missing is no fault of the key.
    assert_eq!(health(world, Google, &robot).await, HealthStatus::Unknown);
}

pub(crate) async fn health(
    world: &World,
    provider: Provider,
    credential: &Credential,
) -> HealthStatus {
    let (caller, id) = (&world.app.caller, credential.id);
    let found = world.engine.credential(caller, provider, id).await;
    found.unwrap().health.status
}

async fn rule_06_a_key_that_was_replaced_is_the_credentials_fault(world: &World) {
    let robot = robot(world, &[MAIL]).await;
    let grant = for_user(world, &robot, ALICE).await.unwrap();
    assert_eq!(health(world, Google, &robot).await, HealthStatus::Healthy);
    // The same account with another key: what is stored signs no more.
    let newer = key_file(world, &[MAIL]);
    world.pass_secs(3601);
    let refused = token(world, &grant).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CredentialFailing);
    assert_eq!(health(world, Google, &robot).await, HealthStatus::Failing);
    let kept = world.app.grant(grant.id).await;
    assert_eq!(kept.effective_status(), GrantStatus::Valid);
    let patch = CredentialPatch {
        name: None,
        data: Some(object(newer)),
    };
    let caller = &world.app.caller;
    let mended = world
        .engine
        .update_credential(caller, Google, robot.id, patch);
    mended.await.unwrap();
    world.pass_secs(60);
    token(world, &grant).await.unwrap();
}

async fn rule_06_a_delegation_withdrawn_from_all_is_the_credentials_and_comes_back(world: &World) {
    let robot = robot(world, &[MAIL]).await;
    let mut grants = Vec::new();
    for email in [ALICE, BOB, "carol@example.com"] {
        grants.push(for_user(world, &robot, email).await.unwrap());
    }
    world.pass_secs(3601);
    world.provider.delegate(ROBOT, &["calendar"]);
    for grant in &grants {
        token(world, grant).await.unwrap_err();
    }
    let left = world.app.grants().await;
    let valid = left.iter().filter(|g| g.status == GrantStatus::Valid);
    assert_eq!(valid.count(), 3, "an administrator can give it back");
    world.provider.delegate(ROBOT, &[MAIL]);
    world.pass_secs(3700);
    for grant in &grants {
        token(world, grant).await.unwrap();
    }
}

async fn rule_12_a_user_a_service_account_may_ask_about_is_the_one_who_signs_in(world: &World) {
    let robot = robot(world, &[MAIL, EMAIL]).await;
    let signed_in = world.app.connect(&SignIn::of(ALICE)).await;
    let settings = json!({"email_address": ALICE, "scopes": format!("{MAIL} {EMAIL}")});
    let grant = authenticate(world, Google, robot.id, settings)
        .await
        .unwrap();
    assert_eq!(
        (grant.id, grant.credential_id),
        (signed_in.id, Some(robot.id))
    );
    assert_eq!(grant.identity, signed_in.identity);
    // Back to an application of the user's own consent: the grant moves, and keeps its id.
    let back = world.app.connect(&SignIn::of(ALICE)).await;
    assert_eq!(
        (back.id, back.credential_id),
        (signed_in.id, signed_in.credential_id)
    );
}

async fn what_does_not_go_with_the_credential_is_refused_by_name(world: &World) {
    let robot = robot(world, &[MAIL]).await;
    let own = world.app.credential(Google, "own", STAGING).await;
    let before = world.snapshot().await;
    for (credential, settings, word) in [
        (robot.id, json!({"scopes": [MAIL]}), "email_address"),
        (
            robot.id,
            json!({"email_address": "ann", "scopes": [MAIL]}),
            "email_address",
        ),
        (robot.id, json!({"email_address": 7}), "email_address"),
        (
            robot.id,
            json!({"email_address": ALICE, "scopes": []}),
            "settings.scopes",
        ),
        (
            robot.id,
            json!({"email_address": ALICE, "scopes": 7}),
            "settings.scopes",
        ),
        (
            robot.id,
            json!({"email_address": ALICE, "scopes": ["a b\u{7}"]}),
            "settings.scopes",
        ),
        (
            robot.id,
            json!({"email_address": ALICE, "refresh_token": "r"}),
            "settings.refresh_token",
        ),
        (own.id, json!({"email_address": ALICE}), "serviceaccount"),
    ] {
        let refused = authenticate(world, Google, credential, settings.clone()).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{settings}");
        assert!(refused.message().contains(word), "{refused}");
    }
    assert_eq!(world.snapshot().await, before);
}

async fn a_key_file_is_checked_when_it_is_stored(world: &World) {
    world.app.connector(Google, DEV).await;
    let file = key_file(world, &[]);
    for (member, value) in [
        (
            "private_key",
            json!("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ),
        ("private_key", Value::Null),
        ("private_key_id", Value::Null),
        ("client_email", json!("")),
    ] {
        let mut bad = file.clone();
        bad[member] = value;
        let refused = stored(world, Google, CredentialType::ServiceAccount, bad).await;
        let refused = refused.unwrap_err();
        assert!(refused.message().contains(member), "{refused}");
    }
}

async fn rule_13_no_consent_of_a_user_ends_with_a_grant_of_a_service_account(world: &World) {
    let robot = robot(world, &[MAIL]).await;
    let grant = for_user(world, &robot, ALICE).await.unwrap();
    let caller = &world.app.caller;
    let gone = world
        .engine
        .delete_grant(caller, GrantLocator::Id(grant.id));
    gone.await.unwrap();
    world.pass_secs(120);
    world.engine.tick().await.unwrap();
    assert_eq!(world.provider.revocations(), []);
}

async fn a_grant_of_a_service_account_can_be_given_other_scopes(world: &World) {
    let robot = robot(world, &[MAIL, "calendar"]).await;
    let grant = for_user(world, &robot, ALICE).await.unwrap();
    let patch = |settings: Value| GrantPatch {
        settings: Some(object(settings)),
        ..GrantPatch::default()
    };
    let caller = &world.app.caller;
    let locator = || GrantLocator::Id(grant.id);
    let changed =
        world
            .engine
            .update_grant(caller, locator(), patch(json!({"scopes": ["calendar"]})));
    let changed = changed.await.unwrap();
    assert_eq!(
        (changed.id, changed.scope),
        (grant.id, Scopes::parse("calendar").unwrap())
    );
    let other = world
        .engine
        .update_grant(caller, locator(), patch(json!({"email_address": BOB})));
    assert_eq!(
        other.await.unwrap_err().kind(),
        ErrorKind::ReauthEmailInvalid
    );
}

/// A Microsoft connector with an application that borrows its client.
pub(crate) async fn consenting(world: &World, data: Value) -> Credential {
    world.app.connector(Microsoft, DEV).await;
    let made = stored(world, Microsoft, CredentialType::AdminConsent, data).await;
    made.unwrap()
}

/// The administrator of a tenant consents, past this server.
pub(crate) fn consents(world: &World, tenant: &str) {
    let url = format!(
        "/adminconsent?client_id={DEV}&redirect_uri={}",
        keyway_testkit::CALLBACK_URI
    );
    let done = world
        .provider
        .consent_in(&url, &Decision::AllowAll, Some(tenant));
    done.unwrap();
}

pub(crate) async fn member(
    world: &World,
    credential: &Credential,
    email: &str,
) -> Result<Grant, Error> {
    let settings = json!({"email_address": email});
    authenticate(world, Microsoft, credential.id, settings).await
}

async fn an_administrators_consent_makes_grants_of_the_tenants_members(world: &World) {
    let credential = consenting(world, json!({"tenant": "example.com"})).await;
    let refused = member(world, &credential, ALICE).await.unwrap_err();
    assert!(refused.message().contains("adminconsent"), "{refused}");
    assert_eq!(
        health(world, Microsoft, &credential).await,
        HealthStatus::Unknown
    );
    consents(world, DEFAULT_TENANT_ID);
    let grant = member(world, &credential, ALICE).await.unwrap();
    let user = world.provider.user(ALICE);
    assert_eq!(grant.provider_user_id.as_deref(), Some(user.oid.as_str()));
    let fresh = world.engine.fresh_token(&grant).await.unwrap();
    assert_eq!(fresh.named_user.as_deref(), Some(user.oid.as_str()));
    world.pass_secs(3601);
    let renewed = world.engine.fresh_token(&grant).await.unwrap();
    assert_eq!(renewed.named_user, fresh.named_user);
    assert!(!renewed.is_same_as(&fresh));
    // Another address of the same person finds the same grant.
    let alias = member(world, &credential, &format!("alias-{ALICE}")).await;
    assert_eq!(alias.unwrap().id, grant.id);
    let nobody = member(world, &credential, "nobody@example.com").await;
    assert!(nobody.unwrap_err().message().contains("no user"));
}

async fn rule_08_a_token_that_opens_a_whole_tenant_is_handed_out_to_nobody(world: &World) {
    let app = &world.app;
    let credential = consenting(world, json!({})).await;
    consents(world, DEFAULT_TENANT_ID);
    let grant = member(world, &credential, ALICE).await.unwrap();
    let patch = ApplicationPatch {
        additional_settings: Some(AdditionalSettings {
            allow_provider_tokens: true,
            ..AdditionalSettings::default()
        }),
        ..ApplicationPatch::default()
    };
    let allowed = world.engine.update_application(&app.caller, patch);
    allowed.await.unwrap();
    let locator = || GrantLocator::Id(grant.id);
    let refused = world.engine.provider_token(&app.caller, locator()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AccessDenied);
    // The same grant by its user's own consent: that token is the user's.
    app.connect(&SignIn::of(ALICE).at(Microsoft)).await;
    let given = world.engine.provider_token(&app.caller, locator()).await;
    given.unwrap();
}

async fn a_strangers_consent_for_their_own_tenant_gives_them_nothing(world: &World) {
    let credential = consenting(world, json!({})).await;
    consents(world, OTHER_TENANT);
    let theirs = format!("mallory@{OTHER_DOMAIN}");
    let grant = member(world, &credential, &theirs).await.unwrap();
    // The victim's tenant never consented.
    let refused = member(world, &credential, ALICE).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidAuthentication);
    assert!(refused.message().contains("tenant"), "{refused}");
    // Where both have, each token is of its own tenant.
    consents(world, DEFAULT_TENANT_ID);
    let alice = member(world, &credential, ALICE).await.unwrap();
    assert_ne!(alice.id, grant.id);
    world.provider.withdraw_consent(DEV, OTHER_TENANT);
    world.pass_secs(3601);
    token(world, &alice).await.unwrap();
    let ended = token(world, &grant).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Unauthorized);
    assert_eq!(
        health(world, Microsoft, &credential).await,
        HealthStatus::Healthy,
        "another tenant goes on"
    );
}

async fn a_credential_that_names_a_tenant_takes_members_of_that_one_only(world: &World) {
    let credential = consenting(world, json!({"tenant": OTHER_TENANT})).await;
    consents(world, OTHER_TENANT);
    consents(world, DEFAULT_TENANT_ID);
    let refused = member(world, &credential, ALICE).await.unwrap_err();
    assert!(refused.message().contains("no user"), "{refused}");
    let own = format!("ann@{OTHER_DOMAIN}");
    member(world, &credential, &own).await.unwrap();
    let lost = member(world, &credential, "x@no.tenant.invalid").await;
    lost.unwrap_err();
}

async fn rule_12_a_member_is_the_one_who_signs_in(world: &World) {
    let credential = consenting(world, json!({})).await;
    consents(world, DEFAULT_TENANT_ID);
    let signed_in = world.app.connect(&SignIn::of(ALICE).at(Microsoft)).await;
    let grant = member(world, &credential, ALICE).await.unwrap();
    assert_eq!(grant.id, signed_in.id);
    assert_eq!(grant.identity, signed_in.identity);
    let back = world.app.connect(&SignIn::of(ALICE).at(Microsoft)).await;
    assert_eq!(back.id, signed_in.id);
}

/// The administrator is sent to the provider for an application's consent.
async fn sent(world: &World, credential: Option<&Credential>) -> Result<AtProvider, Ended> {
    let app = &world.app;
    let params = AuthorizeParams {
        client_id: Some(app.id.to_string()),
        redirect_uri: Some(app.redirect_uri.clone()),
        response_type: Some("adminconsent".into()),
        provider: Some("microsoft".into()),
        state: Some("s-1".into()),
        access_type: Some("online".into()),
        credential_id: credential.map(|credential| credential.id.to_string()),
        ..AuthorizeParams::default()
    };
    match app.engine().start_sign_in(params, Browser::default()).await {
        Ok(Start::Provider { location, cookie }) => Ok(AtProvider { location, cookie }),
        Ok(Start::Application { location }) => Err(Ended::Returned(returned(&location))),
        Ok(Start::Choose(options)) => Err(Ended::Choose(options.providers)),
        Ok(Start::Form { form, cookie }) => Err(Ended::Form(form, cookie)),
        Err(error) => Err(Ended::Here(error)),
    }
}

/// What the application is told in the end.
pub(crate) async fn told(world: &World, at: &AtProvider, back: &str) -> BTreeMap<String, String> {
    match world.app.finish(at, callback_params(back)).await {
        Finish::Application { location, .. } => returned(&location),
        page @ Finish::Page(_) => panic!("{page:?}"),
    }
}

async fn an_administrator_consents_on_a_page(world: &World) {
    let credential = consenting(world, json!({"tenant": "example.com"})).await;
    let at = sent(world, Some(&credential)).await.unwrap();
    assert!(
        at.location.contains("/example.com/v2.0/adminconsent?"),
        "{}",
        at.location
    );
    assert_eq!(at.asked("client_id"), DEV);
    assert_eq!(at.asked("scope"), "https://graph.microsoft.com/.default");
    let back = world
        .provider
        .admin_consent(&at.location, &Decision::AllowAll);
    let told = told(world, &at, &back.unwrap()).await;
    assert_eq!(told["admin_consent"], "true");
    assert_eq!(told["state"], "s-1");
    assert!(!told.contains_key("code"));
    member(world, &credential, ALICE).await.unwrap();
    let noted = world.changes_since(0).await;
    let consented = noted
        .iter()
        .find(|c| c.action == Action::Consented)
        .unwrap();
    assert_eq!(consented.entity_id, credential.id.to_string());
    assert_eq!(consented.detail["tenant"], DEFAULT_TENANT_ID);
}

async fn a_credential_without_a_tenant_is_consented_to_for_the_administrators_own(world: &World) {
    let credential = consenting(world, json!({})).await;
    // The only one of its type need not be named.
    let at = sent(world, None).await.unwrap();
    assert!(
        at.location.contains("/common/adminconsent?"),
        "{}",
        at.location
    );
    let accept = Decision::AllowAll;
    let back = world
        .provider
        .consent_in(&at.location, &accept, Some(OTHER_TENANT));
    assert_eq!(
        told(world, &at, &back.unwrap()).await["admin_consent"],
        "true"
    );
    let own = format!("ann@{OTHER_DOMAIN}");
    member(world, &credential, &own).await.unwrap();
    member(world, &credential, ALICE).await.unwrap_err();
}

async fn a_consent_that_was_not_given_is_not_believed(world: &World) {
    let credential = consenting(world, json!({})).await;
    let forged = |at: &AtProvider, tenant: &str| {
        let state = at.asked("state");
        format!("{CALLBACK_URI}?admin_consent=True&tenant={tenant}&state={state}")
    };
    for tenant in [
        DEFAULT_TENANT_ID,
        "5a9db0c5-0000-4000-8000-00000000beef",
        "common",
        "",
        "../x",
    ] {
        let at = sent(world, None).await.unwrap();
        let told = told(world, &at, &forged(&at, tenant)).await;
        assert!(told.contains_key("error"), "{tenant}: {told:?}");
        assert!(!told.contains_key("admin_consent"), "{told:?}");
    }
    let at = sent(world, None).await.unwrap();
    let back = world
        .provider
        .admin_consent(&at.location, &Decision::Decline);
    let declined = told(world, &at, &back.unwrap()).await;
    assert_eq!(declined["error"], "access_denied");
    let noted = world.changes_since(0).await;
    assert!(noted.iter().all(|c| c.action != Action::Consented));
    assert_eq!(
        health(world, Microsoft, &credential).await,
        HealthStatus::Unknown
    );
}

async fn a_consent_of_another_tenant_than_the_credential_names_is_refused(world: &World) {
    let credential = consenting(world, json!({"tenant": "example.com"})).await;
    consents(world, DEFAULT_TENANT_ID);
    let at = sent(world, Some(&credential)).await.unwrap();
    let accept = Decision::AllowAll;
    let back = world
        .provider
        .consent_in(&at.location, &accept, Some(OTHER_TENANT));
    let told = told(world, &at, &back.unwrap()).await;
    assert_eq!(told["error"], "access_denied", "{told:?}");
    assert!(told["error_description"].contains("another tenant"));
}

async fn who_can_be_consented_to_is_said_by_name(world: &World) {
    let app = &world.app;
    let none = sent(world, None).await.unwrap_err();
    assert!(none.returned("error_description").contains("microsoft"));
    app.connector(Microsoft, DEV).await;
    let nobody = sent(world, None).await.unwrap_err();
    assert!(
        nobody
            .returned("error_description")
            .contains("adminconsent")
    );
    let own = app.credential(Microsoft, "own", STAGING).await;
    let wrong = sent(world, Some(&own)).await.unwrap_err();
    assert_eq!(wrong.returned("error"), "invalid_request");
    assert!(wrong.returned("error_description").contains("adminconsent"));
    for (name, tenant) in [("one", "example.com"), ("two", OTHER_DOMAIN)] {
        let new = NewCredential {
            name: name.into(),
            credential_type: CredentialType::AdminConsent,
            data: object(json!({"tenant": tenant})),
        };
        let made = world.engine.create_credential(&app.caller, Microsoft, new);
        made.await.unwrap();
    }
    let several = sent(world, None).await.unwrap_err();
    assert_eq!(several.returned("state"), "s-1");
    assert!(
        several
            .returned("error_description")
            .contains("exactly one")
    );
}

on_both_databases!(
    a_service_account_makes_grants_and_renews_them_by_itself,
    the_grant_exists_only_if_the_provider_gives_a_token,
    rule_06_a_key_that_was_replaced_is_the_credentials_fault,
    rule_06_a_delegation_withdrawn_from_all_is_the_credentials_and_comes_back,
    rule_12_a_user_a_service_account_may_ask_about_is_the_one_who_signs_in,
    what_does_not_go_with_the_credential_is_refused_by_name,
    a_key_file_is_checked_when_it_is_stored,
    rule_13_no_consent_of_a_user_ends_with_a_grant_of_a_service_account,
    a_grant_of_a_service_account_can_be_given_other_scopes,
);
on_both_databases!(World::options().microsoft().tenant(OTHER_DOMAIN, OTHER_TENANT) =>
    an_administrators_consent_makes_grants_of_the_tenants_members,
    rule_08_a_token_that_opens_a_whole_tenant_is_handed_out_to_nobody,
    a_strangers_consent_for_their_own_tenant_gives_them_nothing,
    a_credential_that_names_a_tenant_takes_members_of_that_one_only,
    rule_12_a_member_is_the_one_who_signs_in,
    an_administrator_consents_on_a_page,
    a_credential_without_a_tenant_is_consented_to_for_the_administrators_own,
    a_consent_that_was_not_given_is_not_believed,
    a_consent_of_another_tenant_than_the_credential_names_is_refused,
    who_can_be_consented_to_is_said_by_name,
);
