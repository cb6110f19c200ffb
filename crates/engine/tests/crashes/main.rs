//! A process that dies at any step of any story, on the real store of both databases: what it acknowledged is
//! there, nothing is half there, and what works once has worked once.
//!
//! A step is the moment before a job of the database's, or the moment between its commit and the process's
//! hearing of it: between two such moments a process changes nothing that outlives it. Each story is told
//! once for each of its steps, with the process dead at that step; then a new process looks at what is stored,
//! does what was under way again, and tells the story from the beginning.
//!
//! `KEYWAY_CRASH_PAIRS=5000` plays so many pairs of stories in [`pairs`], of which the tests play a few:
//!
//! ```text
//! KEYWAY_CRASH_PAIRS=5000 cargo test -p keyway-engine --test crashes -- --nocapture on_demand
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that finds something else than it expects fails, and says what"
)]

mod administration;
mod deletions;
mod ground;
mod killer;
mod matrix;
mod own_tokens;
mod pairs;

mod rules;
mod sign_ins;

use matrix::every_step;

/// A test on each database that kills a process at every step of a story.
macro_rules! killed_at_every_step {
    ($($test:ident => $story:ty;)+) => {$(
        async fn $test(world: &keyway_testkit::World) {
            every_step::<$story>(world).await;
        }
    )+
        keyway_testkit::on_both_databases!($($test),+);
    };
}

killed_at_every_step! {
    rules_04_09_10_a_first_sign_in => sign_ins::FirstSignIn;
    rules_01_04_09_10_a_sign_in_that_moves_a_grant => sign_ins::Move;
    rules_04_10_a_first_custom_authentication => sign_ins::FirstCustom;
    rules_01_04_10_a_custom_authentication_that_moves_a_grant => sign_ins::CustomMove;
    rules_04_10_a_patch_of_a_grant_s_token_and_label => sign_ins::Patch;
    rules_02_10_a_change_of_the_default_credential => administration::Default;
    rule_10_a_connector_and_a_credential_made => administration::Made;
    rule_10_a_key_made_and_revoked => administration::Key;
    rules_09_10_a_key_made_by_a_signed_request => administration::Signed;
    rules_10_13_a_grant_deleted => deletions::Grant;
    rules_03_10_a_credential_deleted => deletions::Credential;
    rules_03_10_a_connector_deleted => deletions::Connector;
    rule_09_a_rotation_of_keyway_s_own_refresh_token => own_tokens::Rotation;
}
