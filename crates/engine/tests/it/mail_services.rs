//! Mail servers that a domain names in the name service.

use crate::mail::{PASSWORD, authenticate, connector};
use keyway_core::provider::Provider::Imap;
use keyway_engine::ErrorKind;
use keyway_testkit::{LoginSeen, World, on_both_databases};
use serde_json::{Value, json};

/// A user whose domain publishes nothing over https.
fn user_at(world: &World, domain: &str) -> (String, Value) {
    for host in [format!("autoconfig.{domain}"), domain.to_owned()] {
        world.recorder.publish(&host, "<html>no such page</html>");
    }
    let user = format!("ann@{domain}");
    let settings = json!({"imap_username": user, "imap_password": PASSWORD});
    (user, settings)
}

fn servers(seen: Vec<LoginSeen>) -> Vec<String> {
    seen.into_iter().map(|login| login.server).collect()
}

async fn the_preferred_records_name_the_servers(world: &World) {
    connector(world, Imap, json!({})).await;
    let (user, settings) = user_at(world, "served.test");
    for host in ["imap.served.test", "smtp.served.test"] {
        world.mailboxes.open(host, &user, PASSWORD);
    }
    let grant = authenticate(world, Imap, settings).await.unwrap();
    assert_eq!(
        Value::Object(grant.settings),
        json!({"imap_username": user, "imap_host": "imap.served.test", "imap_port": 993,
            "smtp_host": "smtp.served.test", "smtp_port": 587})
    );
    let (user, settings) = user_at(world, "starttls.test");
    world.mailboxes.open("mail.starttls.test", &user, PASSWORD);
    let _ = world.mailboxes.take_seen();
    authenticate(world, Imap, settings).await.unwrap();
    let seen = servers(world.mailboxes.take_seen());
    assert_eq!(seen, ["mail.starttls.test:143"]);
}

async fn what_the_domain_publishes_over_https_goes_first(world: &World) {
    const PUBLISHED: &str = r#"<clientConfig><incomingServer type="imap">
        <hostname>published.served.test</hostname><port>993</port><socketType>SSL</socketType>
        </incomingServer></clientConfig>"#;
    connector(world, Imap, json!({})).await;
    let (user, settings) = user_at(world, "served.test");
    world.recorder.publish("served.test", PUBLISHED);
    world
        .mailboxes
        .open("published.served.test", &user, PASSWORD);
    let grant = authenticate(world, Imap, settings).await.unwrap();
    assert_eq!(grant.settings["imap_host"], "published.served.test");
}

async fn a_host_outside_the_domain_hears_no_password(world: &World) {
    connector(world, Imap, json!({})).await;
    world
        .mailboxes
        .open("imap.hoster.invalid", "ann@hosted.test", PASSWORD);
    for (domain, named) in [("hosted.test", true), ("odd.test", false)] {
        let (_, settings) = user_at(world, domain);
        let refused = authenticate(world, Imap, settings).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
        let message = refused.message();
        assert!(message.starts_with("settings.imap_host"), "{message}");
        assert_eq!(message.contains("imap.hoster.invalid"), named, "{message}");
    }
    assert!(world.mailboxes.take_seen().is_empty());
    let (_, mut settings) = user_at(world, "hosted.test");
    settings["imap_host"] = "imap.hoster.invalid".into();
    authenticate(world, Imap, settings).await.unwrap();
}

on_both_databases!(
    the_preferred_records_name_the_servers,
    what_the_domain_publishes_over_https_goes_first,
    a_host_outside_the_domain_hears_no_password,
);
