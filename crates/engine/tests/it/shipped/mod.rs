//! The shipped entries, each against a provider that takes what its documentation says and nothing else.

mod documented;
mod stand_in;

use documented::{Documented, Life};
use keyway_core::grant::{Grant, GrantLocator, GrantStatus};
use keyway_core::provider::Provider;
use keyway_engine::{ErrorKind, ProxyCall};
use keyway_sandbox::Rotation;
use keyway_testkit::{
    ALICE, AtProvider, BOB, CALLBACK_URI, DEV, Ended, SignIn, World, callback_params, eventually,
    on_both_databases, returned,
};
use secrecy::ExposeSecret as _;
use stand_in::{CODE, Person, StandIn};
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_SECS: i64 = 24 * 3600;
const SEVEN: Person = Person {
    id: 7,
    email: ALICE,
};

fn named(name: &str) -> Provider {
    name.parse().unwrap()
}

/// The provider, standing in for all of its hosts, with somebody at the browser; and a connector for it.
async fn standing_in(world: &World, documented: Documented) -> Arc<StandIn> {
    let stand_in = Arc::new(StandIn::new(documented, SEVEN));
    for host in documented.hosts {
        let stand_in = Arc::clone(&stand_in);
        let answers = Arc::new(move |request: &_| stand_in.handle(request));
        world.recorder.stand_in(host, answers);
    }
    world.app.connector(named(documented.name), DEV).await;
    stand_in
}

/// What the authorization request has to say, to the letter.
fn check_asked(documented: &Documented, at: &AtProvider) -> Option<String> {
    let (url, _) = at.location.split_once('?').unwrap();
    assert_eq!(url, documented.authorize_url);
    let mut asked = returned(&at.location);
    assert!(asked.remove("state").is_some_and(|state| state.len() >= 32));
    let challenge = asked.remove("code_challenge");
    let method = asked.remove("code_challenge_method");
    assert_eq!(challenge.is_some(), documented.pkce);
    assert_eq!(method.as_deref(), documented.pkce.then_some("S256"));
    let own = [
        ("client_id", DEV),
        ("redirect_uri", CALLBACK_URI),
        ("response_type", "code"),
    ];
    let expected = own.iter().chain(documented.asks);
    let expected: BTreeMap<String, String> = expected
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(asked, expected);
    challenge
}

/// Signs in whoever sits at the browser.
async fn try_sign_in(
    world: &World,
    stand_in: &StandIn,
    documented: &Documented,
) -> Result<Grant, Ended> {
    let sign_in = SignIn::of(ALICE).at(named(documented.name));
    let at = world.app.start(&sign_in).await?;
    stand_in.challenge(check_asked(documented, &at));
    let mut params = callback_params(&at.location);
    params.code = Some(CODE.to_owned());
    let code = world.app.code_from(&at, params).await?;
    let answer = world.app.exchange(&sign_in, &code).await;
    let answer = answer.map_err(Ended::Token)?;
    Ok(world.app.grant(answer.grant_id).await)
}

async fn access_token(world: &World, grant: &Grant) -> String {
    let grant = world.app.grant(grant.id).await;
    let token = world.engine.fresh_token(&grant).await.unwrap();
    token.access_token.expose_secret().to_owned()
}

async fn call(world: &World, grant: &Grant) -> ProxyCall {
    let locator = GrantLocator::Id(grant.id);
    let principal = world.app.principal();
    let target = world.engine.call_target(&principal, locator, None);
    world.engine.call_to(target.await.unwrap()).await.unwrap()
}

/// As long as the provider keeps its tokens good, the grant is.
async fn lives(world: &World, stand_in: &StandIn, grant: &Grant, documented: &Documented) {
    let life = documented.life;
    let first = access_token(world, grant).await;
    let given = stand_in.issued();
    let secs = match life {
        Life::Refreshed(secs) | Life::Rotated(secs) => secs,
        Life::Lasting => 400 * DAY_SECS,
    };
    let mut tokens = vec![first];
    for _ in 0..2 {
        world.pass_secs(secs + 1);
        tokens.push(access_token(world, grant).await);
    }
    tokens.dedup();
    let refreshes = if life == Life::Lasting { 0 } else { 2 };
    assert_eq!(tokens.len(), refreshes + 1);
    assert_eq!(stand_in.issued(), given + refreshes);
    let kept = world.tokens(grant).await.refresh_token;
    let expected = match life {
        Life::Refreshed(_) => Some(format!("refresh-{given}")),
        Life::Rotated(_) => Some(format!("refresh-{}", given + 2)),
        Life::Lasting => documented
            .refresh_answer
            .map(|_| format!("refresh-{given}")),
    };
    assert_eq!(kept, expected);
}

/// A call goes where the documentation says, with the token and what else the provider wants to see.
async fn calls(world: &World, documented: &Documented, grant: &Grant) {
    let (path, host, target) = documented.call;
    let call = call(world, grant).await;
    assert_eq!(call.host.base.authority, host);
    assert!(call.host.base.is_tls);
    assert_eq!(call.host.base.target(path, None).unwrap(), target);
    let held = access_token(world, grant).await;
    assert_eq!(call.token.access_token.expose_secret(), held);
    for (name, value) in documented
        .headers
        .iter()
        .filter(|(name, _)| *name != "accept")
    {
        let mut extra = call.host.extra_headers.iter();
        assert!(extra.any(|(n, v)| n == name && v == value), "{name}");
    }
}

/// The whole story of a grant.
async fn story(world: &World, documented: Documented) {
    let stand_in = standing_in(world, documented).await;
    let grant = try_sign_in(world, &stand_in, &documented).await;
    assert_eq!(stand_in.complaints(), Vec::<String>::new());
    let grant = grant.unwrap();
    assert_eq!(grant.email, ALICE);
    assert_eq!(grant.provider_user_id.as_deref(), Some(documented.user_id));
    assert_eq!(
        grant.name.as_deref().unwrap_or_default(),
        documented.user_name
    );
    lives(world, &stand_in, &grant, &documented).await;
    calls(world, &documented, &grant).await;
    let again = try_sign_in(world, &stand_in, &documented).await.unwrap();
    assert_eq!((again.id, again.created_at), (grant.id, grant.created_at));
    other_person(world, &stand_in, &documented).await;
    ends(world, &stand_in, &documented, &grant).await;
    assert_eq!(stand_in.complaints(), Vec::<String>::new());
}

/// Rule 12: the address of a grant, shown by an account that is not its.
async fn other_person(world: &World, stand_in: &StandIn, documented: &Documented) {
    stand_in.seat(Person {
        id: 8,
        email: ALICE,
    });
    let refused = try_sign_in(world, stand_in, documented).await.unwrap_err();
    let description = refused.returned("error_description");
    assert!(
        description.starts_with("grant.reauth_email_invalid"),
        "{description}"
    );
    stand_in.seat(Person { id: 8, email: BOB });
    let other = try_sign_in(world, stand_in, documented).await.unwrap();
    assert_eq!(other.email, BOB);
    stand_in.seat(SEVEN);
}

/// The provider is told of the end where it has a place for that, with the token it takes there.
async fn ends(world: &World, stand_in: &StandIn, documented: &Documented, grant: &Grant) {
    let tokens = world.tokens(grant).await;
    let locator = GrantLocator::Id(grant.id);
    world
        .engine
        .delete_grant(&world.app.caller, locator)
        .await
        .unwrap();
    world.engine.shutdown().await;
    let told = match (documented.revocation_url, documented.name) {
        (None, _) => vec![],
        (Some(_), "notion") => vec![tokens.access_token],
        (Some(_), _) => vec![tokens.refresh_token.unwrap()],
    };
    assert_eq!(stand_in.revoked(), told);
}

async fn rule_12_slack_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::SLACK).await;
}

async fn rule_12_github_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::GITHUB).await;
}

async fn rule_12_hubspot_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::HUBSPOT).await;
}

async fn rule_12_salesforce_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::SALESFORCE).await;
}

async fn rule_12_notion_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::NOTION).await;
}

async fn rule_12_dropbox_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::DROPBOX).await;
}

async fn rule_12_box_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::BOX).await;
}

async fn rule_12_atlassian_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::ATLASSIAN).await;
}

async fn rule_12_linear_is_spoken_to_as_it_documents(world: &World) {
    story(world, documented::LINEAR).await;
}

/// GitLab is an OpenID provider by the book, and the sandbox is one.
async fn gitlab_is_spoken_to_as_an_openid_provider(world: &World) {
    let gitlab = named("gitlab");
    world.app.connector(gitlab, DEV).await;
    let sign_in = SignIn::of(ALICE).at(gitlab);
    let at = world.app.start(&sign_in).await.unwrap();
    assert_eq!(at.asked("scope"), "openid profile email mail.read");
    assert_eq!(at.asked("code_challenge_method"), "S256");
    assert!(!at.asked("nonce").is_empty());
    let grant = world.app.connect(&sign_in).await;
    assert_eq!(
        grant.provider_user_id,
        Some(world.provider.subject(ALICE, DEV))
    );
    let mut tokens = vec![access_token(world, &grant).await];
    for _ in 0..2 {
        world.pass_secs(7201);
        tokens.push(access_token(world, &grant).await);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 3);
    assert_eq!(world.app.connect(&sign_in).await.id, grant.id);
    let last = access_token(world, &grant).await;
    let locator = GrantLocator::Id(grant.id);
    world
        .engine
        .delete_grant(&world.app.caller, locator)
        .await
        .unwrap();
    eventually("the provider is told", async || {
        !world.provider.is_alive(&last)
    })
    .await;
    for call in world
        .recorder
        .calls()
        .iter()
        .filter(|call| call.path == "/token")
    {
        assert_eq!(call.form["client_secret"], format!("{DEV}-secret"));
    }
}

async fn rule_06_a_token_that_lasts_ends_with_the_providers_word_alone(world: &World) {
    let stand_in = standing_in(world, documented::GITHUB).await;
    let grant = try_sign_in(world, &stand_in, &documented::GITHUB)
        .await
        .unwrap();
    let (given, asked) = (stand_in.issued(), stand_in.asked_whose());
    // The API refuses the call; asked, the provider honours the token.
    let refused = call(world, &grant).await;
    let again = world.engine.call_again(&refused).await.unwrap().unwrap();
    let shown = |call: &ProxyCall| call.token.access_token.expose_secret().to_owned();
    assert_eq!(shown(&again), shown(&refused));
    assert_eq!(
        (stand_in.issued(), stand_in.asked_whose()),
        (given, asked + 1)
    );
    // It is not asked again and again.
    world.engine.note_refused_again(&again);
    assert!(world.engine.call_again(&again).await.unwrap().is_none());
    assert_eq!(stand_in.asked_whose(), asked + 1);
    stand_in.forget_tokens();
    world.pass_secs(61);
    let error = world.engine.call_again(&again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let ended = world.app.grant(grant.id).await;
    assert_eq!(ended.effective_status(), GrantStatus::Invalid);
    let mended = try_sign_in(world, &stand_in, &documented::GITHUB)
        .await
        .unwrap();
    assert_eq!(
        (mended.id, mended.effective_status()),
        (grant.id, GrantStatus::Valid)
    );
}

async fn a_token_that_lasts_is_replaced_once_it_is_refused(world: &World) {
    let stand_in = standing_in(world, documented::NOTION).await;
    let grant = try_sign_in(world, &stand_in, &documented::NOTION)
        .await
        .unwrap();
    stand_in.forget_tokens();
    let refused = call(world, &grant).await;
    let again = world.engine.call_again(&refused).await.unwrap().unwrap();
    assert_eq!(again.token.access_token.expose_secret(), "access-2");
    let kept = world.tokens(&grant).await.refresh_token;
    assert_eq!(kept.as_deref(), Some("refresh-2"));
    assert_eq!(stand_in.complaints(), Vec::<String>::new());
}

async fn a_grant_that_nobody_uses_is_kept_within_the_providers_limit(world: &World) {
    let stand_in = standing_in(world, documented::BOX).await;
    let grant = try_sign_in(world, &stand_in, &documented::BOX)
        .await
        .unwrap();
    let state = world.store.read(move |s| {
        Box::pin(async move { s.refresh_state(grant.application_id, grant.id).await })
    });
    let due_at = state.await.unwrap().unwrap().due_at.unwrap();
    let days = (due_at.0 - world.engine.now().0) / 1000 / DAY_SECS;
    assert!((15..=20).contains(&days), "{days}");
}

on_both_databases!(
    rule_12_slack_is_spoken_to_as_it_documents,
    rule_12_github_is_spoken_to_as_it_documents,
    rule_12_hubspot_is_spoken_to_as_it_documents,
    rule_12_salesforce_is_spoken_to_as_it_documents,
    rule_12_notion_is_spoken_to_as_it_documents,
    rule_12_dropbox_is_spoken_to_as_it_documents,
    rule_12_box_is_spoken_to_as_it_documents,
    rule_12_atlassian_is_spoken_to_as_it_documents,
    rule_12_linear_is_spoken_to_as_it_documents,
    rule_06_a_token_that_lasts_ends_with_the_providers_word_alone,
    a_token_that_lasts_is_replaced_once_it_is_refused,
    a_grant_that_nobody_uses_is_kept_within_the_providers_limit,
);
on_both_databases!(World::options().rotation(Rotation::OnWithReuseDetection) =>
    gitlab_is_spoken_to_as_an_openid_provider,
);
