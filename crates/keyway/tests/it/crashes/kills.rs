//! `kill -9` of the real server at any moment, while several clients sign in, move, label, refresh and delete, and
//! one makes and deletes credentials.
//!
//! The tests kill it a few times; `KEYWAY_CRASH_ROUNDS=1000` so many times on each database:
//!
//! ```text
//! KEYWAY_CRASH_ROUNDS=1000 cargo test -p keyway --test it -- --nocapture on_demand
//! ```

use super::admin::Admin;
use super::client::{Client, Counts, draw};
use super::line::Line;
use crate::proxy::world::World;
use crate::site::Site;
use keyway_store::Backend;
use std::time::Duration;

const CLIENTS: u64 = 4;
/// Longest life of a server, in milliseconds: several stories of each client.
const LIFE_MS: u64 = 200;
/// Rounds on one database: looking for what is half there takes time in the square of what is stored.
const ROUNDS_PER_WORLD: u64 = 25;
/// Rounds of an ordinary test.
const ROUNDS: u64 = 20;

struct Siege {
    world: World,
    clients: Vec<Client>,
    admin: Admin,
    random: u64,
}

impl Siege {
    fn on(backend: Backend, seed: u64) -> Option<Self> {
        let world = World::on(Site::on(backend)?);
        let first = world.texts("SELECT id FROM credentials").remove(0);
        let credentials = [first, world.credential()];
        // Every server of this siege has the same address: once is enough.
        world.allow_callback();
        let client = |number| Client::new(number, credentials.clone(), seed);
        Some(Self {
            admin: Admin::new(credentials.clone()),
            clients: (0..CLIENTS).map(client).collect(),
            world,
            random: seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1,
        })
    }

    /// A server's life and death, and what is found afterwards.
    fn round(&mut self) {
        let life = Duration::from_millis(draw(&mut self.random, LIFE_MS));
        let line = Line::to(&self.world);
        let (world, clients, admin) = (&mut self.world, &mut self.clients, &mut self.admin);
        std::thread::scope(|scope| {
            scope.spawn(|| admin.work(&line));
            for client in clients.iter_mut() {
                scope.spawn(|| client.work(&line));
            }
            // Any moment is as good as any other.
            std::thread::sleep(life);
            world.server.kill();
        });
        self.world.start_again();
        assert_eq!(self.world.half_done(), Vec::<String>::new());
        self.admin.check(&self.world);
        for client in &mut self.clients {
            client.check(&self.world, &line);
            client.settle(&self.world);
        }
    }

    /// Adds what its clients count to `all`.
    fn count(&self, all: &mut Counts) {
        for client in &self.clients {
            all.acknowledged += client.counts.acknowledged;
            all.unheard += client.counts.unheard;
            all.happened += client.counts.happened;
        }
    }
}

fn besiege(backend: Backend, rounds: u64, first_seed: u64) {
    let (mut left, mut counts, mut seed) = (rounds, Counts::default(), first_seed);
    while left > 0 {
        let Some(mut siege) = Siege::on(backend, seed) else {
            return;
        };
        for _ in 0..left.min(ROUNDS_PER_WORLD) {
            siege.round();
        }
        if backend == Backend::Sqlite {
            assert_eq!(siege.world.texts("PRAGMA integrity_check"), ["ok"]);
        }
        siege.count(&mut counts);
        left = left.saturating_sub(ROUNDS_PER_WORLD);
        seed += 1;
    }
    let Counts {
        acknowledged,
        unheard,
        happened,
    } = counts;
    println!(
        "{backend:?}: killed {rounds} times; {acknowledged} stories acknowledged; {unheard} changes not answered, of which {happened} are there"
    );
}

fn on_demand() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests have no configuration but the environment"
    )]
    let asked = std::env::var("KEYWAY_CRASH_ROUNDS");
    asked.map_or(0, |rounds| rounds.parse().unwrap())
}

mod rules_01_04_09_10_killed_at_any_moment {
    use super::{Backend, ROUNDS, besiege};

    #[test]
    fn on_sqlite() {
        besiege(Backend::Sqlite, ROUNDS, 1);
    }

    #[test]
    fn on_postgres() {
        besiege(Backend::Postgres, ROUNDS, 1);
    }
}

mod rules_01_04_09_10_killed_at_any_moment_on_demand {
    use super::{Backend, besiege, on_demand};

    #[test]
    fn on_sqlite() {
        besiege(Backend::Sqlite, on_demand(), 1_000);
    }

    #[test]
    fn on_postgres() {
        besiege(Backend::Postgres, on_demand(), 1_000);
    }
}
