//! Giving every primary its share: with a new one, and with replicas that become primaries.

use super::{
    figures,
    reshard::{MEMORY, row},
};
use crate::{
    figures::{Requirement, turns},
    loaded::{Loaded, Shape},
    measured::{Rounds, measured},
    note,
    problem::Problem,
    row::{Reading, Row},
    setting::{Setting, Tool},
    stopwatch::run,
    unit::Unit,
};
use std::time::{Duration, Instant};
use testservers::{Cluster, Share};
use topology::{
    ClusterView, NodeView, ObservedNode,
    rebalance::{self, Rebalance},
};

/// For putting things back.
const LIMIT: Duration = Duration::from_mins(5);
/// A primary joins so many.
const PRIMARIES: usize = 1000;
/// Seconds that its plan may take.
const PLAN: f64 = 0.2;

/// An empty primary has joined three.
pub(crate) fn rebalance(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let loaded = Loaded::start(setting, Shape { owners: 3, empty: 1, replicas: 0 });
    let (entry, new) = (loaded.entry(), loaded.id(3));
    let reference_words = ["--cluster", "rebalance", &entry, "--cluster-use-empty-masters", "--cluster-yes"];
    let our_words = ["rebalance", &entry, "--use-empty-masters", "--yes", "--dialect", "migrate"];
    let (mut reference, mut ours) = (Rounds::default(), Rounds::default());
    for round in 0..rounds {
        for tool in turns(&[Tool::Reference, Tool::Tribune], round) {
            match tool {
                Tool::Reference => reference.push(measured(setting, tool, &reference_words, &loaded, 0)?),
                Tool::Tribune => ours.push(measured(setting, tool, &our_words, &loaded, 0)?),
            }
            loaded.settle();
            let weight = format!("{new}=0");
            run(setting, Tool::Tribune, &["rebalance", &entry, "--weight", &weight, "--yes", "--max-speed"], LIMIT)?
                .done()?;
        }
    }
    let required = Requirement::TimesFaster(if setting.engine.name == "redis-7.0" { 5.0 } else { 3.0 });
    let name = |what: &str| format!("rebalance 3 to 4 primaries, {what}");
    let below = Requirement::Below(MEMORY);
    Ok(vec![
        row(name("MIGRATE"), Unit::Seconds, reference.took(), ours.took(), required)?,
        row(name("memory"), Unit::Megabytes, reference.memory(), ours.memory(), below)?,
    ])
}

/// One primary with five replicas becomes three with one each. What that is held against is the transfer of the same keys
/// alone, to two primaries at once on servers like these: by MIGRATE, pipelined, all of them listed and all slots open before.
pub(crate) fn scale(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut bare, mut ours) = (Vec::new(), Rounds::default());
    for _ in 0..rounds {
        let loaded = Loaded::start(setting, Shape { owners: 1, empty: 2, replicas: 0 });
        let share = |node| {
            let slots =
                (node * 16384 / 3..(node + 1) * 16384 / 3).filter_map(|slot| u16::try_from(slot).ok()).collect();
            Share { to: loaded.address(node), slots }
        };
        let took = Cluster::of(&loaded.servers).transfer(&loaded.address(0), &[share(1), share(2)]);
        note(&format!("  the keys alone: {:.3} s", took.as_secs_f64()));
        bare.push(took.as_secs_f64());
        drop(loaded);

        let loaded = Loaded::start(setting, Shape { owners: 1, empty: 0, replicas: 5 });
        let words = ["scale", &loaded.entry(), "--shards", "3", "--replicas", "1", "--yes", "--dialect", "migrate"];
        ours.push(measured(setting, Tool::Tribune, &words, &loaded, 0)?);
    }
    let below = Requirement::Below(MEMORY);
    let memory = Row {
        reference: Reading::Nothing,
        ..row("scale 1+5 to 3+3, memory".to_owned(), Unit::Megabytes, ours.memory(), ours.memory(), below)?
    };
    let name = "scale 1+5 to 3+3 : the keys alone".to_owned();
    Ok(vec![row(name, Unit::Seconds, bare, ours.took(), Requirement::Within(2.0))?, memory])
}

/// The plan only, without any server.
pub(crate) fn plan(_setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let view = large(PRIMARIES);
    let wanted = Rebalance { use_empty: true, ..Rebalance::default() };
    let mut ours = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        let outcome = rebalance::plan(&view, &wanted);
        ours.push(begin.elapsed().as_secs_f64());
        assert!(outcome.is_ok_and(|outcome| !outcome.plan.steps.is_empty()), "the new primary gets slots");
    }
    Ok(vec![Row {
        name: format!("plan of a rebalance of {PRIMARIES} primaries"),
        unit: Unit::Seconds,
        reference: Reading::Nothing,
        ours: figures(ours)?,
        until_complete: None,
        required: Requirement::Below(PLAN),
    }])
}

/// What so many primaries say, of which the last has no slots yet.
fn large(primaries: usize) -> ClusterView {
    let owners = primaries - 1;
    let line = |node: usize, myself: bool| {
        let slots = format!("{}-{}", node * 16384 / owners, (node + 1) * 16384 / owners - 1);
        let slots = if node < owners { slots } else { String::new() };
        let (flags, host) = (if myself { "myself,master" } else { "master" }, node + 1);
        format!("{node:040x} 10.0.{}.{}:7000@17000 {flags} - 0 0 {host} connected {slots}\n", host / 250, host % 250)
    };
    let others: Vec<String> = (0..primaries).map(|node| line(node, false)).collect();
    let cluster = format!("cluster_state:ok\ncluster_slots_assigned:16384\ncluster_known_nodes:{primaries}\n");
    let said = |node: usize| {
        let lines = others.iter().enumerate().map(|(at, text)| if at == node { line(at, true) } else { text.clone() });
        NodeView::parse(&lines.collect::<String>(), &cluster, "redis_version:7.0.15\ncluster_enabled:1\n").ok()
    };
    let nodes = (0..primaries).filter_map(said).filter_map(|view| {
        let host = view.myself.endpoint.host.clone()?;
        let address = topology::NodeAddr::new(host, view.myself.endpoint.port);
        Some(ObservedNode { address, id: Some(view.myself.id), said: Ok(view) })
    });
    ClusterView { nodes: nodes.collect() }
}
