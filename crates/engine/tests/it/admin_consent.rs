//! What somebody learns, and costs, who only says that an administrator consented.

use crate::bulk::{OTHER_DOMAIN, OTHER_TENANT, consenting, consents, told};
use keyway_core::change::Action;
use keyway_core::credential::{Credential, TenantConsent};
use keyway_core::time::UnixMillis;
use keyway_engine::sign_in::{AuthorizeParams, Browser, Start};
use keyway_sandbox::DEFAULT_TENANT_ID;
use keyway_testkit::{AtProvider, CALLBACK_URI, DEV, STAGING, World, on_both_databases};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A browser at `ip` begins the sign-in of an administrator.
async fn sent_from(world: &World, ip: &str, credential: &Credential) -> AtProvider {
    let app = &world.app;
    let params = AuthorizeParams {
        client_id: Some(app.id.to_string()),
        redirect_uri: Some(app.redirect_uri.clone()),
        response_type: Some("adminconsent".into()),
        provider: Some("microsoft".into()),
        credential_id: Some(credential.id.to_string()),
        ..AuthorizeParams::default()
    };
    let browser = Browser {
        ip: Some(ip.to_owned()),
        ..Browser::default()
    };
    match app.engine().start_sign_in(params, browser).await {
        Ok(Start::Provider { location, cookie }) => AtProvider { location, cookie },
        other => panic!("{:?}", other.is_ok()),
    }
}

/// Comes back with `query` as if the provider had sent them.
async fn forged(
    world: &World,
    ip: &str,
    credential: &Credential,
    query: &str,
) -> BTreeMap<String, String> {
    let at = sent_from(world, ip, credential).await;
    let back = format!("{CALLBACK_URI}?{query}&state={}", at.asked("state"));
    told(world, &at, &back).await
}

fn asked_for_tokens(world: &World) -> u64 {
    let counters = world.provider.counters();
    counters.token_requests_of("client_credentials")
}

/// The tenants that the sequence of changes says have consented.
async fn noted(world: &World) -> Vec<Value> {
    let changes = world.changes_since(0).await;
    let consents = changes
        .iter()
        .filter(|change| change.action == Action::Consented);
    consents
        .map(|change| change.detail["tenant"].clone())
        .collect()
}

async fn a_consent_that_is_not_said_to_be_given_is_not_looked_for(world: &World) {
    let credential = consenting(world, json!({})).await;
    consents(world, DEFAULT_TENANT_ID);
    let own = format!("tenant={DEFAULT_TENANT_ID}");
    for query in [
        own.as_str(),
        &format!("admin_consent=&{own}"),
        &format!("admin_consent=False&{own}"),
        "admin_consent=True",
        // A tenant has many domains, and one id.
        "admin_consent=True&tenant=example.com",
        "admin_consent=True&tenant=fabrikam.example",
    ] {
        let told = forged(world, "192.0.2.1", &credential, query).await;
        assert_eq!(told["error"], "server_error", "{query}");
        assert!(!told.contains_key("admin_consent"), "{told:?}");
    }
    assert_eq!(asked_for_tokens(world), 0);
    assert_eq!(noted(world).await, Vec::<Value>::new());
}

async fn rule_10_a_consent_is_noted_once_for_each_tenant(world: &World) {
    let credential = consenting(world, json!({})).await;
    for tenant in [DEFAULT_TENANT_ID, OTHER_TENANT] {
        consents(world, tenant);
        for spelled in [tenant.to_owned(), tenant.to_ascii_uppercase()] {
            let query = format!("admin_consent=True&tenant={spelled}");
            let told = forged(world, "192.0.2.1", &credential, &query).await;
            assert_eq!(told["admin_consent"], "true");
        }
    }
    assert_eq!(noted(world).await, [DEFAULT_TENANT_ID, OTHER_TENANT]);
    // Another application at the provider has not been consented to before.
    let job = world
        .store
        .write::<_, keyway_store::StoreError, _>(move |s| {
            Box::pin(async move {
                let consent = |client_id: &str| TenantConsent {
                    application_id: credential.application_id,
                    credential_id: credential.id,
                    client_id: client_id.to_owned(),
                    tenant: DEFAULT_TENANT_ID.to_owned(),
                    noted_at: UnixMillis(1),
                };
                let known = s.note_tenant_consent(&consent(DEV)).await?;
                Ok((known, s.note_tenant_consent(&consent(STAGING)).await?))
            })
        });
    assert_eq!(job.await, Ok((false, true)));
}

async fn forging_consents_ends_for_a_client_and_for_nobody_else(world: &World) {
    let credential = consenting(world, json!({"tenant": "example.com"})).await;
    consents(world, DEFAULT_TENANT_ID);
    let own = format!("admin_consent=True&tenant={DEFAULT_TENANT_ID}");
    let other = format!("admin_consent=True&tenant={OTHER_TENANT}");
    for _ in 0..30 {
        let told = forged(world, "192.0.2.1", &credential, &other).await;
        assert_eq!(told["error"], "access_denied");
    }
    let told = forged(world, "192.0.2.1", &credential, &own).await;
    assert_eq!(told["error"], "temporarily_unavailable");
    assert_eq!(told["error_code"], "429");
    assert!(told["error_description"].contains("too often"), "{told:?}");
    assert_eq!(asked_for_tokens(world), 0);
    let elsewhere = forged(world, "192.0.2.2", &credential, &own).await;
    assert_eq!(elsewhere["admin_consent"], "true");
    world.pass_secs(900);
    let later = forged(world, "192.0.2.1", &credential, &own).await;
    assert_eq!(later["admin_consent"], "true");
}

on_both_databases!(World::options().microsoft().tenant(OTHER_DOMAIN, OTHER_TENANT) =>
    a_consent_that_is_not_said_to_be_given_is_not_looked_for,
    rule_10_a_consent_is_noted_once_for_each_tenant,
    forging_consents_ends_for_a_client_and_for_nobody_else,
);
