//! Nothing the sandbox tells about itself has a secret in it.

use crate::peer::{ALICE, Peer};

#[tokio::test]
async fn no_token_or_secret_is_in_the_state_the_index_or_debug_output() {
    let peer = Peer::plain();
    let code = peer.code("dev-app", ALICE);
    let tokens = peer.redeem("dev-app", &code).await;
    let (access, refresh) = (tokens.str("access_token"), tokens.str("refresh_token"));
    peer.refresh("dev-app", &refresh).await;
    peer.form("/token/revocation", &[("token", "sbx-rt-some-other")])
        .await;
    let state = peer.get("/sandbox/state").await;
    assert_eq!(state.json()["tokens_alive"]["dev-app"]["access_tokens"], 2);
    let told = [
        state.text(),
        peer.get("/").await.text(),
        format!(
            "{:?} {:?} {:?}",
            peer.sandbox,
            peer.control,
            peer.sandbox.index_of_clients()
        ),
        format!(
            "{:?} {:?}",
            peer.control.token_requests(),
            peer.control.revocations()
        ),
    ];
    for text in told {
        for secret in [
            &code,
            &access,
            &refresh,
            "dev-app-secret",
            "sbx-rt-some-other",
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn the_command_line_can_show_the_clients_with_their_secrets() {
    use secrecy::ExposeSecret as _;
    let clients = Peer::plain().sandbox.index_of_clients();
    let ids: Vec<_> = clients
        .iter()
        .map(|client| client.client_id.as_str())
        .collect();
    assert_eq!(ids, ["dev-app", "production-app", "staging-app"]);
    let secret = clients[0].client_secret.as_ref().unwrap().expose_secret();
    assert_eq!(secret, "dev-app-secret");
}
