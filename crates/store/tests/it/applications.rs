//! Applications, API keys, redirect URIs.

use crate::fixtures::*;
use crate::{Db, get, on_both, put};
use keyway_core::application::Platform;

on_both! {
    an_application_is_read_as_it_was_written,
    an_application_is_updated_only_from_the_expected_version,
    an_api_key_is_found_by_its_digest_and_revoked_once,
    an_api_key_tells_whether_its_application_is_blocked,
    redirect_uris_are_read_oldest_first_and_by_exact_url,
    a_redirect_uri_is_updated_in_every_member,
    a_deleted_redirect_uri_never_comes_back_and_its_url_is_free,
    an_origin_names_each_application_once_and_only_for_pages,
    origins_in_an_application_s_settings_count_until_they_are_taken_out,
}

async fn an_application_is_read_as_it_was_written(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    put!(db, |s| s.insert_application(&application(2)));
    assert_eq!(get!(db, |s| s.application(tenant(1))), Some(application(1)));
    assert_eq!(get!(db, |s| s.application(tenant(3))), None);
    assert_eq!(
        get!(db, |s| s.applications(10, 0)),
        [application(1), application(2)]
    );
    assert_eq!(get!(db, |s| s.applications(1, 1)), [application(2)]);
}

async fn an_application_is_updated_only_from_the_expected_version(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    let mut changed = application(1);
    changed.name = "other".into();
    changed.region = "us".into();
    changed.environment = "staging".into();
    changed.profile = map(serde_json::json!({}));
    changed.additional.login_url = None;
    changed.blocked = true;
    changed.organization_id = keyway_core::ids::OrganizationId::from_u128(99);
    changed.updated_at = at(50);
    let written = changed.clone();
    assert!(put!(db, |s| s.update_application(&written, 1)));
    let again = changed.clone();
    assert!(!put!(db, |s| s.update_application(&again, 1)));
    changed.version = 2;
    assert_eq!(get!(db, |s| s.application(tenant(1))), Some(changed));
}

async fn an_api_key_is_found_by_its_digest_and_revoked_once(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    put!(db, |s| s.insert_api_key(&api_key(1, 1)));
    put!(db, |s| s.insert_api_key(&api_key(1, 2)));
    let found = get!(db, |s| s.api_key_by_digest(&digest(1, 1, 2)));
    assert_eq!(found, Some((api_key(1, 2), false)));
    assert_eq!(get!(db, |s| s.api_key_by_digest(&digest(1, 1, 3))), None);
    assert!(put!(db, |s| s.revoke_api_key(
        tenant(1),
        api_key(1, 1).id,
        at(7)
    )));
    assert!(!put!(db, |s| s.revoke_api_key(
        tenant(1),
        api_key(1, 1).id,
        at(8)
    )));
    let mut revoked = api_key(1, 1);
    revoked.revoked_at = Some(at(7));
    revoked.updated_at = at(7);
    assert_eq!(
        get!(db, |s| s.api_keys(tenant(1))),
        [revoked, api_key(1, 2)]
    );
}

async fn an_api_key_tells_whether_its_application_is_blocked(db: &Db) {
    put!(db, |s| s.insert_application(&application(1)));
    put!(db, |s| s.insert_api_key(&api_key(1, 1)));
    let mut blocked = application(1);
    blocked.blocked = true;
    put!(db, |s| s.update_application(&blocked, 1));
    let found = get!(db, |s| s.api_key_by_digest(&digest(1, 1, 1)));
    assert_eq!(found, Some((api_key(1, 1), true)));
}

async fn redirect_uris_are_read_oldest_first_and_by_exact_url(db: &Db) {
    for n in [2, 1] {
        put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, n)));
    }
    let both = [redirect_uri(1, 1), redirect_uri(1, 2)];
    assert_eq!(get!(db, |s| s.redirect_uris(tenant(1))), both);
    assert_eq!(
        get!(db, |s| s.redirect_uri(tenant(1), redirect_uri(1, 2).id)),
        Some(redirect_uri(1, 2))
    );
}

async fn a_redirect_uri_is_updated_in_every_member(db: &Db) {
    put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, 1)));
    let mut changed = redirect_uri(1, 1);
    changed.url = "myapp://x".into();
    changed.platform = Platform::Ios;
    changed.settings = map(serde_json::json!({"bundle_id": "b"}));
    changed.origin = None;
    changed.updated_at = at(9);
    let written = changed.clone();
    assert!(put!(db, |s| s.update_redirect_uri(&written)));
    assert_eq!(
        get!(db, |s| s.redirect_uri(tenant(1), redirect_uri(1, 1).id)),
        Some(changed)
    );
    assert!(!put!(db, |s| s.update_redirect_uri(&redirect_uri(1, 2))));
}

async fn a_deleted_redirect_uri_never_comes_back_and_its_url_is_free(db: &Db) {
    put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, 1)));
    let id = redirect_uri(1, 1).id;
    assert!(put!(db, |s| s.delete_redirect_uri(tenant(1), id, at(5))));
    assert!(!put!(db, |s| s.delete_redirect_uri(tenant(1), id, at(6))));
    assert_eq!(get!(db, |s| s.redirect_uri(tenant(1), id)), None);
    assert_eq!(get!(db, |s| s.redirect_uris(tenant(1))), []);
    assert_eq!(
        get!(db, |s| s.origin_applications("https://app.example")),
        []
    );
    assert!(!put!(db, |s| s.update_redirect_uri(&redirect_uri(1, 1))));
    let mut again = redirect_uri(1, 2);
    again.url = redirect_uri(1, 1).url;
    put!(db, |s| s.insert_redirect_uri(&again));
}

async fn an_origin_names_each_application_once_and_only_for_pages(db: &Db) {
    for (t, n) in [(2, 1), (1, 1), (1, 2)] {
        put!(db, |s| s.insert_redirect_uri(&redirect_uri(t, n)));
    }
    let mut server_side = redirect_uri(3, 1);
    server_side.platform = Platform::Web;
    put!(db, |s| s.insert_redirect_uri(&server_side));
    let found = get!(db, |s| s.origin_applications("https://app.example"));
    assert_eq!(found, [tenant(1), tenant(2)]);
    assert_eq!(
        get!(db, |s| s.origin_applications("https://other.example")),
        []
    );
}

async fn origins_in_an_application_s_settings_count_until_they_are_taken_out(db: &Db) {
    put!(db, |s| s.insert_redirect_uri(&redirect_uri(1, 1)));
    for t in [1, 2] {
        let mut listing = application(t);
        let origins = "https://app.example, https://b.example,https://b.example,nonsense";
        let settings = serde_json::json!({"idp_settings": {"origins": origins}});
        listing.profile = map(settings);
        put!(db, |s| s.insert_application(&listing));
    }
    let both = [tenant(1), tenant(2)];
    for origin in ["https://app.example", "https://b.example"] {
        assert_eq!(get!(db, |s| s.origin_applications(origin)), both);
    }
    assert!(put!(db, |s| s.update_application(&application(1), 1)));
    assert!(put!(db, |s| s.update_application(&application(2), 1)));
    let left = get!(db, |s| s.origin_applications("https://app.example"));
    assert_eq!(left, [tenant(1)]);
    assert_eq!(get!(db, |s| s.origin_applications("https://b.example")), []);
    let mut listing = application(2);
    listing.profile = map(serde_json::json!({"idp_settings": {"origins": "https://c.example"}}));
    assert!(!put!(db, |s| s.update_application(&listing, 1)));
    assert_eq!(get!(db, |s| s.origin_applications("https://c.example")), []);
}
