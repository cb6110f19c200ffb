//! Exchange servers that Autodiscover finds, and who sees a password on the way.

use crate::ews::server;
use crate::mail::{authenticate, connector};
use keyway_core::provider::Provider::Ews;
use keyway_engine::{Error, ErrorKind};
use keyway_testkit::{ExchangeMood, FakeExchange, World, on_both_databases};
use serde_json::{Value, json};
use std::sync::Arc;

const ANN: &str = "ann@corp.test";
const PASSWORD: &str = "correct-horse-2";

fn of_ann() -> Value {
    json!({"ews_username": ANN, "ews_password": PASSWORD})
}

fn at(url: &str) -> String {
    format!("<Protocol><Type>EXPR</Type><EwsUrl>{url}</EwsUrl></Protocol>")
}

fn on_to(url: &str) -> String {
    format!("<Action>redirectUrl</Action><RedirectUrl>{url}</RedirectUrl>")
}

/// A web server of that name, which has nothing to do with mail.
fn website(world: &World, host: &str) -> Arc<FakeExchange> {
    let server = server(world, host);
    server.behave(ExchangeMood::Status(404));
    server
}

/// Whether anybody showed the server a password.
fn heard(server: &FakeExchange) -> bool {
    let seen = server.take_seen();
    seen.iter().any(|seen| seen.username.is_some())
}

async fn refused(world: &World) -> Error {
    let refused = authenticate(world, Ews, of_ann()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{refused}");
    let is_host = refused.message().starts_with("settings.ews_host");
    assert!(is_host, "{refused}");
    refused
}

async fn the_domains_own_autodiscover_names_the_server(world: &World) {
    connector(world, Ews, json!({})).await;
    let asked = server(world, "autodiscover.corp.test");
    asked.tell(&at("https://mail.corp.test/EWS/Exchange.asmx"));
    let apex = website(world, "corp.test");
    server(world, "mail.corp.test");
    let grant = authenticate(world, Ews, of_ann()).await.unwrap();
    assert_eq!(grant.settings["ews_host"], "mail.corp.test");
    assert_eq!(grant.settings["ews_port"], 443);
    let addresses: Vec<_> = asked
        .take_seen()
        .into_iter()
        .map(|seen| seen.address)
        .collect();
    assert_eq!(addresses, [None, Some(ANN.to_owned())]);
    assert!(apex.take_seen().is_empty());
    // A name that is no address, with the address beside it.
    asked.open("CORP\\ann", PASSWORD);
    server(world, "mail.corp.test").open("CORP\\ann", PASSWORD);
    let given = json!({"email": ANN, "ews_username": "CORP\\ann", "ews_password": PASSWORD});
    let again = authenticate(world, Ews, given).await.unwrap();
    assert_eq!(again.id, grant.id);
}

async fn the_domain_itself_may_have_autodiscover(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = website(world, "autodiscover.corp.test");
    let apex = server(world, "corp.test");
    apex.tell(&at("https://corp.test/EWS/Exchange.asmx"));
    let grant = authenticate(world, Ews, of_ann()).await.unwrap();
    assert_eq!(grant.settings["ews_host"], "corp.test");
    assert!(!heard(&first));
}

async fn a_web_server_that_only_has_the_domains_name_hears_no_password(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = website(world, "autodiscover.corp.test");
    let apex = server(world, "corp.test");
    for mood in [
        ExchangeMood::Open,
        ExchangeMood::Status(200),
        ExchangeMood::Status(404),
        ExchangeMood::Redirects("http://corp.test/autodiscover/autodiscover.xml".into()),
        ExchangeMood::Redirects("https://www.corp.test/".into()),
    ] {
        apex.behave(mood);
        website(world, "www.corp.test");
        refused(world).await;
        assert!(!heard(&first) && !heard(&apex));
    }
}

async fn within_the_domain_one_is_sent_on_and_not_for_ever(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = server(world, "autodiscover.corp.test");
    let second = server(world, "exchange.corp.test");
    website(world, "corp.test");
    let mail = server(world, "mail.corp.test");
    second.tell(&at("https://mail.corp.test/EWS/Exchange.asmx"));
    let there = "https://exchange.corp.test/autodiscover/autodiscover.xml";
    first.tell(&on_to(there));
    assert!(authenticate(world, Ews, of_ann()).await.is_ok());
    first.behave(ExchangeMood::Redirects(there.to_owned()));
    assert!(authenticate(world, Ews, of_ann()).await.is_ok());
    // Another address in the domain below.
    let below = server(world, "autodiscover.eu.corp.test");
    below.tell(&at("https://mail.corp.test/EWS/Exchange.asmx"));
    first.behave(ExchangeMood::Serves);
    first.tell("<Action>redirectAddr</Action><RedirectAddr>ann@eu.corp.test</RedirectAddr>");
    assert!(authenticate(world, Ews, of_ann()).await.is_ok());
    let last = below.take_seen().pop().unwrap();
    assert_eq!(last.address.as_deref(), Some("ann@eu.corp.test"));
    // In a circle.
    let back = on_to("https://autodiscover.corp.test/autodiscover/autodiscover.xml");
    first.tell(&on_to(there));
    second.tell(&back);
    let _ = (first.take_seen(), second.take_seen(), mail.take_seen());
    refused(world).await;
    let asked = first.take_seen().len() + second.take_seen().len();
    assert_eq!(asked, 12, "six hosts, each twice");
    assert!(!heard(&mail));
}

async fn outside_the_domain_nobody_hears_the_password_unasked(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = server(world, "autodiscover.corp.test");
    website(world, "corp.test");
    let hoster = server(world, "mail.hoster.test");
    let trap = server(world, "autodiscover.hoster.test");
    let there = "https://autodiscover.hoster.test/autodiscover/autodiscover.xml";
    for told in [
        at("https://mail.hoster.test/EWS/Exchange.asmx"),
        on_to(there),
        "<RedirectAddr>ann@hoster.test</RedirectAddr>".to_owned(),
    ] {
        first.tell(&told);
        let words = refused(world).await;
        assert!(words.message().contains("hoster.test"), "{words}");
    }
    first.behave(ExchangeMood::Redirects(there.to_owned()));
    assert!(refused(world).await.message().contains("hoster.test"));
    assert!(!heard(&hoster) && !heard(&trap));
    // The application may ask for it.
    let mut given = of_ann();
    given["ews_host"] = "mail.hoster.test".into();
    let grant = authenticate(world, Ews, given).await.unwrap();
    assert_eq!(grant.settings["ews_host"], "mail.hoster.test");
}

async fn a_domain_at_microsoft_is_sent_to_the_other_connector(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = server(world, "autodiscover.corp.test");
    website(world, "corp.test");
    let online = server(world, "autodiscover-s.outlook.com");
    let there = "https://autodiscover-s.outlook.com/autodiscover/autodiscover.xml";
    first.behave(ExchangeMood::Redirects(there.to_owned()));
    let words = refused(world).await;
    assert!(words.message().contains("microsoft connector"), "{words}");
    assert!(online.take_seen().is_empty());
}

async fn the_name_service_is_asked_last_and_believed_within_the_domain(world: &World) {
    connector(world, Ews, json!({})).await;
    for domain in ["served.test", "ported.test", "hosted.test"] {
        website(world, &format!("autodiscover.{domain}"));
        website(world, domain);
    }
    let own = server(world, "mail.served.test");
    own.open("ann@served.test", PASSWORD);
    own.tell(&at("https://mail.served.test/EWS/Exchange.asmx"));
    let given = |user: &str| json!({"ews_username": user, "ews_password": PASSWORD});
    let made = authenticate(world, Ews, given("ann@served.test")).await;
    assert_eq!(made.unwrap().settings["ews_host"], "mail.served.test");
    // A web site that has moved says nothing against it.
    let moved = ExchangeMood::Redirects("https://www.hoster.test/".into());
    website(world, "ported.test").behave(moved);
    let ported = server(world, "mail.ported.test:8443");
    ported.open("ann@ported.test", PASSWORD);
    ported.tell(&at("https://mail.ported.test:8443/EWS/Exchange.asmx"));
    let made = authenticate(world, Ews, given("ann@ported.test")).await;
    assert_eq!(made.unwrap().settings["ews_port"], 8443);
    let foreign = server(world, "mail.hoster.invalid");
    let refused = authenticate(world, Ews, given("ann@hosted.test")).await;
    let words = refused.unwrap_err();
    assert!(words.message().contains("mail.hoster.invalid"), "{words}");
    assert!(foreign.take_seen().is_empty());
}

async fn a_wrong_password_is_tried_once(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = server(world, "autodiscover.corp.test");
    first.tell(&at("https://mail.corp.test/EWS/Exchange.asmx"));
    let apex = server(world, "corp.test");
    let mail = server(world, "mail.corp.test");
    let given = json!({"ews_username": ANN, "ews_password": "wrong-pass"});
    let refused = authenticate(world, Ews, given).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidAuthentication);
    let shown = first.take_seen();
    assert_eq!(
        shown.iter().filter(|seen| seen.username.is_some()).count(),
        1
    );
    assert!(apex.take_seen().is_empty() && mail.take_seen().is_empty());
}

async fn where_only_windows_logins_are_taken_the_words_say_so(world: &World) {
    connector(world, Ews, json!({})).await;
    let first = server(world, "autodiscover.corp.test");
    first.behave(ExchangeMood::WindowsOnly);
    website(world, "corp.test");
    let words = refused(world).await;
    assert!(words.message().contains("only NTLM/Negotiate"), "{words}");
    first.behave(ExchangeMood::Silent);
    let words = refused(world).await;
    assert!(words.message().contains("nothing tells"), "{words}");
}

on_both_databases!(
    the_domains_own_autodiscover_names_the_server,
    the_domain_itself_may_have_autodiscover,
    a_web_server_that_only_has_the_domains_name_hears_no_password,
    within_the_domain_one_is_sent_on_and_not_for_ever,
    outside_the_domain_nobody_hears_the_password_unasked,
    a_domain_at_microsoft_is_sent_to_the_other_connector,
    the_name_service_is_asked_last_and_believed_within_the_domain,
    a_wrong_password_is_tried_once,
    where_only_windows_logins_are_taken_the_words_say_so,
);
