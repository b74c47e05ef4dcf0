//! Slots that move by plan while a client writes: nothing is lost, in all three ways.

use crate::support::{cluster, create_of, look, on_all, patience, primaries, run_plan, until_healthy};
use operations::{observe, run::Runner};
use simcluster::{Profile, ServerOptions, Simulation, Writer, WriterOptions};
use std::time::Duration;
use tokio::time::sleep;
use topology::{
    membership::{self, Role},
    plan::Dialect,
    rebalance::{self, Rebalance},
    reshard::{self, Sources},
};

const SECOND: Duration = Duration::from_secs(1);

/// The ways that servers of a version offer.
fn ways(profile: &Profile) -> Vec<Dialect> {
    let mut ways = vec![Dialect::Migrate];
    ways.extend(profile.migrates_slots.then_some(Dialect::MigrateSlots));
    ways.extend(profile.imports_slots.then_some(Dialect::MigrationImport));
    ways
}

#[test]
fn a_reshard_under_load_loses_nothing() {
    on_all(0..2, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        for way in ways(profile) {
            let writer = Writer::start(&simulation, &WriterOptions { keys: 2000, ..WriterOptions::default() });
            sleep(3 * SECOND).await;
            let seen = look(&simulation).await;
            let destination = primaries(&simulation).await[1];
            let plan = reshard::plan(&seen.view, &Sources::All, destination, 300).unwrap();
            run_plan(&simulation, seen, plan, Some(way)).await.unwrap();
            let owned =
                |view: &topology::ClusterView| view.account(view.node(destination).unwrap()).unwrap().slots.len();
            let (ledger, lost) = writer.stop().await;
            assert_eq!(lost, [], "{way:?}");
            assert!(ledger.failed == 0 && ledger.done > 100, "{way:?}: {ledger:?}");
            assert!(owned(&look(&simulation).await.view) > 5461, "{way:?}");
            until_healthy(&simulation, 10 * SECOND).await;
        }
    });
}

#[test]
fn an_empty_primary_joins_and_gets_its_share() {
    on_all(0..2, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        let writer = Writer::start(&simulation, &WriterOptions::default());
        let new = simulation.add_server(&ServerOptions::new(profile));
        sleep(SECOND).await;
        let seen = observe::look(crate::support::dialer(&simulation).as_ref(), &[simulation.address(0)]).await.unwrap();
        join(&simulation, seen, new, Role::Primary).await;
        let seen = look(&simulation).await;
        let wanted = Rebalance { use_empty: true, ..Rebalance::default() };
        let plan = rebalance::plan(&seen.view, &wanted).unwrap().plan;
        run_plan(&simulation, seen, plan, None).await.unwrap();
        let (ledger, lost) = writer.stop().await;
        assert_eq!(lost, []);
        assert_eq!(ledger.failed, 0);
        assert!(simulation.unserved_slots().is_empty());
        let view = look(&simulation).await.view;
        assert!(view.shards().iter().all(|shard| shard.slots().len() == 4096));
    });
}

async fn join(simulation: &Simulation, seen: observe::Observation, new: usize, role: Role) {
    let dialer = crate::support::dialer(simulation);
    let address = simulation.address(new);
    let answer = observe::dial_and_ask(dialer.as_ref(), &address).await.unwrap();
    let (nodes, links) = observe::new_nodes([(address, answer)]);
    let plan = membership::plan_join(&seen.view, &nodes[0], role, None).unwrap();
    let mut all = seen.links;
    all.extend(links);
    Runner::new(all, patience(), &|_| {}).run(&plan).await.unwrap();
}

#[test]
fn a_replica_joins_and_leaves() {
    on_all(0..2, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        let new = simulation.add_server(&ServerOptions::new(profile));
        sleep(SECOND).await;
        let seen = observe::look(crate::support::dialer(&simulation).as_ref(), &[simulation.address(0)]).await.unwrap();
        join(&simulation, seen, new, Role::ReplicaWhereFewest).await;
        until_healthy(&simulation, 10 * SECOND).await;
        let view = look(&simulation).await.view;
        assert_eq!(view.shards().iter().map(|shard| shard.replicas.len()).sum::<usize>(), 4);
        let seen = look(&simulation).await;
        let plan = membership::plan_delete(&seen.view, simulation.id(new)).unwrap();
        run_plan(&simulation, seen, plan, None).await.unwrap();
        // It is not taken back, however long others talk of it.
        sleep(90 * SECOND).await;
        let view =
            observe::look(crate::support::dialer(&simulation).as_ref(), &[simulation.address(0)]).await.unwrap().view;
        assert_eq!(view.nodes.len(), 6);
    });
}

#[test]
fn half_open_slots_are_repaired() {
    on_all(0..2, |simulation, profile| async move {
        cluster(&simulation, profile, 3).await;
        let writer = Writer::start(&simulation, &WriterOptions { keys: 2000, ..WriterOptions::default() });
        sleep(20 * SECOND).await;
        let (ledger, _) = writer.stop().await;
        let ids = primaries(&simulation).await;
        // Some opened on both sides, some on one.
        let seen = look(&simulation).await;
        for number in 0..40_u16 {
            use operations::port::{Command::SetSlot, SlotState};
            let slot = topology::Slot::new(number).unwrap();
            if number % 3 != 0 {
                seen.links[&ids[1]].send(vec![SetSlot(slot, SlotState::Importing(ids[0]))]).await.unwrap();
            }
            if number % 3 != 1 {
                seen.links[&ids[0]].send(vec![SetSlot(slot, SlotState::Migrating(ids[1]))]).await.unwrap();
            }
        }
        let seen = look(&simulation).await;
        let held = operations::repair::held(&seen, false).await.unwrap();
        let repairs = topology::repair::decide(&seen.view, &held, topology::repair::Wanted::default()).unwrap();
        assert_eq!(repairs.len(), 40);
        let plan = topology::repair::plan(&seen.view, &repairs);
        run_plan(&simulation, seen, plan, None).await.unwrap();
        until_healthy(&simulation, 10 * SECOND).await;
        assert_eq!(simcluster::lost(&simulation, &ledger), []);
    });
}

#[test]
fn a_cluster_grows_from_three_servers_without_replicas() {
    on_all(0..2, |simulation, profile| async move {
        simulation.add_servers(3, profile);
        sleep(Duration::from_millis(100)).await;
        create_of(&simulation, 0).await;
        assert!(simulation.unserved_slots().is_empty());
    });
}

#[test]
fn a_cluster_gets_fewer_shards_and_more_again_under_load() {
    on_all(0..2, |simulation, profile| async move {
        simulation.add_servers(6, profile);
        sleep(Duration::from_millis(100)).await;
        simulation.form(&[vec![0, 3], vec![1, 4], vec![2, 5]]);
        let writer = Writer::start(&simulation, &WriterOptions::default());
        sleep(SECOND).await;
        for shards in [2, 3, 6, 3, 1, 3] {
            let seen = look(&simulation).await;
            let plan = topology::scale::plan(&seen.view, shards, None).unwrap();
            run_plan(&simulation, seen, plan, None).await.unwrap();
            sleep(10 * SECOND).await;
            assert_eq!(primaries(&simulation).await.len(), shards);
        }
        until_healthy(&simulation, 10 * SECOND).await;
        let (ledger, lost) = writer.stop().await;
        assert_eq!(lost, []);
        assert_eq!(ledger.failed, 0);
    });
}

#[test]
fn moves_by_the_servers_that_fail_again_and_again_go_on_by_migrate() {
    on_all(0..3, |simulation, profile| async move {
        simulation.add_servers(6, profile);
        sleep(Duration::from_millis(100)).await;
        simulation.form(&[vec![0, 3], vec![1, 4], vec![2, 5]]);
        simulation.set_faults(simcluster::Faults { migration_fails: 0.7, ..simcluster::Faults::default() });
        let writer = Writer::start(&simulation, &WriterOptions::default());
        sleep(3 * SECOND).await;
        let seen = look(&simulation).await;
        let plan = reshard::plan(&seen.view, &Sources::All, simulation.id(1), 200).unwrap();
        run_plan(&simulation, seen, plan, None).await.unwrap();
        let (ledger, lost) = writer.stop().await;
        assert_eq!(lost, []);
        assert_eq!(ledger.failed, 0);
        until_healthy(&simulation, 10 * SECOND).await;
    });
}
