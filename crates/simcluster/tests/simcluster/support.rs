//! What the tests share.

use operations::{
    moving::{Moves, Pace},
    observe::{self, Observation},
    port::Dialer,
    run::{Patience, RunError, Runner},
    weigh,
};
use simcluster::{Number, Profile, Simulation, Timeouts};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use topology::{
    NodeId,
    create::{self, Shards},
    findings,
    plan::{Dialect, Plan},
};

/// Runs a test on several seeds of each profile; a failure names both and what happened. `SIMCLUSTER_SEEDS=10-20` asks for others.
pub(crate) fn on_all<F: Future>(seeds: std::ops::Range<u64>, test: impl Fn(Simulation, &'static Profile) -> F) {
    for profile in Profile::ALL {
        on(profile, seeds.clone(), |simulation| test(simulation, profile));
    }
}

/// The same for one profile.
pub(crate) fn on<F: Future>(profile: &'static Profile, seeds: std::ops::Range<u64>, test: impl Fn(Simulation) -> F) {
    let wanted = std::env::var("SIMCLUSTER_SEEDS").ok().and_then(|words| {
        let (first, end) = words.split_once('-')?;
        Some(first.parse().ok()?..end.parse().ok()?)
    });
    for seed in wanted.unwrap_or(seeds) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            simcluster::run(seed, |simulation| {
                let told = Told { simulation: simulation.clone(), seed, profile };
                let test = test(simulation.clone());
                async move {
                    test.await;
                    assert_eq!(told.simulation.violations(), []);
                    drop(told);
                }
            })
            .unwrap();
        }));
        assert!(outcome.is_ok(), "{} failed with seed {seed}", profile.name);
    }
}

/// Prints what happened when a test panics.
struct Told {
    simulation: Simulation,
    seed: u64,
    profile: &'static Profile,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} with seed {}:\n{}", self.profile.name, self.seed, self.simulation.trace());
        }
    }
}

pub(crate) fn dialer(simulation: &Simulation) -> Arc<dyn Dialer> {
    simulation.dialer("operator", Timeouts::default())
}

pub(crate) async fn look(simulation: &Simulation) -> Observation {
    let addresses = simulation.addresses();
    observe::look(dialer(simulation).as_ref(), &addresses).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A cluster of so many shards with one replica each, made by plan.
pub(crate) async fn cluster(simulation: &Simulation, profile: &'static Profile, shards: usize) -> Vec<Number> {
    let servers = simulation.add_servers(shards * 2, profile);
    sleep(Duration::from_millis(200)).await;
    create_of(simulation, 1).await;
    servers
}

pub(crate) async fn create_of(simulation: &Simulation, replicas: usize) {
    let addresses = simulation.addresses();
    let dialer = dialer(simulation);
    let answers = observe::ask_all(dialer.as_ref(), &addresses).await;
    let answers = addresses.into_iter().zip(answers.into_iter().map(Result::unwrap));
    let (nodes, links) = observe::new_nodes(answers);
    let plan = create::plan(&nodes, replicas, Shards::AsManyAsPossible).unwrap();
    Runner::new(links, patience(), &|_| {}).run(&plan).await.unwrap();
}

pub(crate) const fn patience() -> Patience {
    Patience { agreement: Duration::from_secs(30), service: Duration::from_mins(1) }
}

/// Runs a plan over the links of a look, as fast as it goes.
pub(crate) async fn run_plan(
    simulation: &Simulation,
    seen: Observation,
    mut plan: Plan,
    dialect: Option<Dialect>,
) -> Result<(), RunError> {
    if let Err(error) = weigh::weigh(&seen, &mut plan, dialect).await {
        let operations::weigh::WeighError::Node(error) = error else { panic!("{error}") };
        return Err(error.into());
    }
    let pace = Pace { budget: None, ..Pace::default() };
    let moves = Moves { dialer: dialer(simulation), pace, replace: false };
    Runner::new(seen.links, patience(), &|_| {}).with_moves(moves).run(&plan).await
}

/// Waits until there is nothing to complain of, for so long at most.
pub(crate) async fn until_healthy(simulation: &Simulation, within: Duration) {
    let deadline = Instant::now() + within;
    loop {
        let view = look(simulation).await.view;
        let findings = findings::check(&view);
        if findings.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{findings:#?}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// The primaries by their first slot.
pub(crate) async fn primaries(simulation: &Simulation) -> Vec<NodeId> {
    look(simulation).await.view.shards().iter().map(|shard| shard.primary.account.id).collect()
}
