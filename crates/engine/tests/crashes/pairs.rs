//! Two processes on one grant: one waits at a step of its story while the other does something from beginning
//! to end, goes on, and dies at a later step. A seed decides which, what and where.

use crate::ground::Ground;
use crate::killer::{Fate, Process};
use crate::matrix::Story;
use crate::{deletions, own_tokens, rules, sign_ins};
use futures_util::FutureExt as _;
use keyway_core::entropy::{SeededEntropy, random_bytes};
use keyway_core::grant::GrantLocator;
use keyway_core::provider::Provider::Google;
use keyway_engine::ErrorKind;
use keyway_engine::grants::GrantPatch;
use keyway_testkit::{Backend, STAGING, TestApplication, World, eventually, tell};
use std::cell::Cell;

/// About as many steps as the longest story has.
const STEPS: u64 = 17;
/// Pairs in one world: it grows with each.
const PAIRS_PER_WORLD: u64 = 40;

/// What the process that lives does meanwhile.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    SignIn,
    Bring,
    Label,
    Delete,
    Default,
    DeleteCredential,
}

const ALL: [Meanwhile; 6] = [
    Meanwhile::SignIn,
    Meanwhile::Bring,
    Meanwhile::Label,
    Meanwhile::Delete,
    Meanwhile::Default,
    Meanwhile::DeleteCredential,
];

impl Meanwhile {
    /// Whether it was acknowledged. It may be refused where the other process came first.
    async fn do_it(self, ground: &Ground<'_>, app: &TestApplication) -> bool {
        let engine = app.engine();
        let locator = ground.only_grant(app).await.map(|g| GrantLocator::Id(g.id));
        match (self, locator) {
            (Self::SignIn, _) => app.try_sign_in(&ground.sign_in()).await.is_ok(),
            (Self::Bring, _) => {
                let token = app.minted(STAGING, &ground.email);
                let brought = app.bring(Google, Some(ground.staging.id), &token).await;
                brought.is_ok()
            }
            (Self::Label, Some(locator)) => {
                let patch = GrantPatch {
                    external_id: Some(Some("label".to_owned())),
                    ..GrantPatch::default()
                };
                let patched = engine.update_grant(&app.caller, locator, patch).await;
                patched.is_ok()
            }
            (Self::Delete, Some(locator)) => {
                engine.delete_grant(&app.caller, locator).await.is_ok()
            }
            (Self::Label | Self::Delete, None) => false,
            (Self::Default, _) => {
                app.make_default(Google, ground.staging.id).await;
                true
            }
            (Self::DeleteCredential, _) => {
                let deleted = engine.delete_credential(&app.caller, Google, ground.staging.id);
                deleted.await.is_ok()
            }
        }
    }

    /// What was acknowledged to the process that lives is there, whatever the other did after that.
    async fn check(self, ground: &Ground<'_>, app: &TestApplication) {
        let engine = app.engine();
        match self {
            Self::Label => {
                for grant in app.grants().await {
                    assert_eq!(grant.external_id.as_deref(), Some("label"));
                }
            }
            Self::Default => {
                let connector = engine.connector(&app.caller, Google).await.unwrap();
                assert_eq!(connector.active_credential_id, Some(ground.staging.id));
            }
            Self::DeleteCredential => {
                let found = engine.credential(&app.caller, Google, ground.staging.id);
                assert_eq!(found.await.unwrap_err().kind(), ErrorKind::NotFound);
            }
            Self::SignIn | Self::Bring | Self::Delete => {}
        }
    }
}

/// One pair of `S` and `meanwhile`.
async fn play<S: Story>(world: &World, fate: Fate, meanwhile: Meanwhile, what: &str) {
    let ground = Ground::new(world, what).await;
    let story = S::prepare(&ground).await;
    let other = ground.app.at(&world.second_engine().await);
    let process = Process::start(world, fate).await;
    let app = ground.app.at(&process.engine);
    let was_done = Cell::new(false);
    let interlude = async { was_done.set(meanwhile.do_it(&ground, &other).await) };
    process
        .run(Box::pin(story.act(&app)), Box::pin(interlude))
        .await;
    process.bury().await;
    rules::hold(world, what).await;
    if was_done.get() {
        meanwhile.check(&ground, &other).await;
    }
    providers_are_told(world, &other).await;
    other.connect(&ground.sign_in()).await;
    let grant = ground.only_grant(&other).await.unwrap();
    ground.assert_works(&grant).await;
    rules::hold(world, what).await;
}

/// A revocation ends a user's consent, and with it a sign-in of that moment: none is left to be told of.
async fn providers_are_told(world: &World, app: &TestApplication) {
    world.pass_secs(deletions::NEXT_TRY_SECS);
    app.engine().tick().await.unwrap();
    let waiting = "SELECT id FROM token_sets WHERE state = 'revoking'";
    eventually("all revocations are told", async || {
        world.database().texts(waiting).await.is_empty()
    })
    .await;
}

async fn play_seed(world: &World, seed: u64) {
    let entropy = SeededEntropy::new(seed);
    let draw = |below: u64| u64::from_le_bytes(random_bytes(&entropy)) % below;
    let steps = |n: u64| usize::try_from(n).unwrap();
    let waits_at = draw(STEPS);
    let fate = Fate {
        waits_at: Some(steps(waits_at)),
        dies_at: steps(waits_at + draw(STEPS - waits_at)),
    };
    let meanwhile = *ALL.get(steps(draw(6))).unwrap();
    let what = format!("seed-{seed}");
    // Each is a long story, and one of six is told.
    let told = match draw(6) {
        0 => play::<sign_ins::FirstSignIn>(world, fate, meanwhile, &what).boxed_local(),
        1 => play::<sign_ins::Move>(world, fate, meanwhile, &what).boxed_local(),
        2 => play::<sign_ins::CustomMove>(world, fate, meanwhile, &what).boxed_local(),
        3 => play::<sign_ins::Patch>(world, fate, meanwhile, &what).boxed_local(),
        4 => play::<own_tokens::Rotation>(world, fate, meanwhile, &what).boxed_local(),
        _ => play::<deletions::Grant>(world, fate, meanwhile, &what).boxed_local(),
    };
    told.await;
}

async fn play_all(backend: Backend, seeds: std::ops::Range<u64>) {
    for first in seeds
        .clone()
        .step_by(usize::try_from(PAIRS_PER_WORLD).unwrap())
    {
        tell(backend, World::options(), async |world| {
            for seed in first..seeds.end.min(first + PAIRS_PER_WORLD) {
                Box::pin(play_seed(world, seed)).await;
            }
        })
        .await;
    }
}

/// How many pairs are asked for; 0 if nobody asks.
fn on_demand() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration but the environment"
    )]
    let asked = std::env::var("KEYWAY_CRASH_PAIRS");
    asked.map_or(0, |count| count.parse().unwrap())
}

mod rules_01_04_09_10_one_process_dies_beside_another {
    use super::{Backend, play_all};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        play_all(Backend::Sqlite, 0..40).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        play_all(Backend::Postgres, 0..20).await;
    }
}

mod rules_01_04_09_10_one_process_dies_beside_another_on_demand {
    use super::{Backend, on_demand, play_all};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite() {
        play_all(Backend::Sqlite, 1_000..1_000 + on_demand()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn postgres() {
        play_all(Backend::Postgres, 1_000..1_000 + on_demand()).await;
    }
}
