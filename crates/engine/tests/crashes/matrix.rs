//! One story, told once for each of its steps.

use crate::ground::Ground;
use crate::killer::{Fate, Process};
use crate::rules;
use keyway_testkit::{TestApplication, World};

/// Longer than any story is.
const STEPS_MAX: usize = 200;

/// What a process may be killed in.
pub(crate) trait Story: Sized {
    /// What is there before; made by a process that lives.
    async fn prepare(ground: &Ground<'_>) -> Self;

    /// The story itself, at a process that may die; remembers what was acknowledged.
    ///
    /// # Errors
    /// What refused it, in words.
    async fn act(&self, app: &TestApplication) -> Result<(), String>;

    /// What must be so after that, by the eyes of another process: first what is stored, then what comes of
    /// doing the same again, then of the whole story.
    async fn check(&self, ground: &Ground<'_>, app: &TestApplication);
}

/// Kills a process before its first step, its second, and so on, until it gets to its end.
pub(crate) async fn every_step<S: Story>(world: &World) {
    for step in 0..STEPS_MAX {
        if killed_at::<S>(world, step).await {
            assert!(step > 1, "a story of no steps proves nothing");
            return;
        }
    }
    panic!("the story does not end");
}

/// Whether the story came to its end before that step.
async fn killed_at<S: Story>(world: &World, step: usize) -> bool {
    let ground = Ground::new(world, &format!("app-{step}")).await;
    let story = S::prepare(&ground).await;
    let seq = world.latest_seq().await;
    let before = rules::stored(world).await;
    let fate = Fate {
        dies_at: step,
        waits_at: None,
    };
    let process = Process::start(world, fate).await;
    let app = ground.app.at(&process.engine);
    let done = process.run(Box::pin(story.act(&app)), async {}).await;
    process.bury().await;
    if let Some(Err(refusal)) = &done {
        panic!("undisturbed, the story is refused: {refusal}");
    }
    let what = format!("killed at step {step}");
    rules::hold(world, &what).await;
    rules::each_change_has_its_entry(world, seq, &before, &what).await;
    let engine = world.second_engine().await;
    story.check(&ground, &ground.app.at(&engine)).await;
    rules::hold(world, &format!("{what}, then told again")).await;
    done.is_some()
}
