//! Recorded replies, spoilt: nothing that servers may answer makes a parser, a finding, a report or a planner panic.

use super::{
    garble::{Change, Which, changed, changes, which},
    garble_nested::{nested_changed, nested_changes},
    reports::{assert_whole, round_trip},
};
use crate::recorded::{self, Recorded, Said};
use proptest::{prelude::*, sample::Index};
use std::{collections::BTreeMap, sync::LazyLock};
use topology::{
    ClusterInfo, ClusterView, NodeEntry, NodeId, NodeView, ObservedNode, ServerInfo, ShardEntry, Silence, SlotSet,
    create::{self, NewNode, Shards},
    findings::{StrayKeys, keys_outside_their_owner},
    membership::{self, Role},
};

static RECORDED: LazyLock<Vec<Recorded>> = LazyLock::new(recorded::all);

fn states() -> impl Strategy<Value = &'static Recorded> {
    any::<Index>().prop_map(|at| at.get(&RECORDED))
}

/// Some server's replies.
fn server() -> impl Strategy<Value = &'static Said> {
    (states(), any::<Index>()).prop_map(|(recorded, at)| {
        let answers: Vec<_> = recorded.answers().collect();
        at.get(&answers).1
    })
}

/// Which replies of which servers are changed, and how.
fn spoilt() -> impl Strategy<Value = Vec<(Index, Which, Vec<Change>)>> {
    proptest::collection::vec((any::<Index>(), which(), changes()), 1..6)
}

/// The recorded cluster as it looks with these changes. A server whose reply cannot be read counts as silent.
fn view(recorded: &Recorded, spoilt: &[(Index, Which, Vec<Change>)]) -> ClusterView {
    let mut servers = recorded.servers.clone();
    for (at, which, changes) in spoilt {
        let ports: Vec<u16> = servers.keys().copied().collect();
        if let Some(Ok(said)) = servers.get_mut(at.get(&ports)) {
            let reply = match which {
                Which::Nodes => &mut said.nodes,
                Which::Cluster => &mut said.cluster,
                Which::Info => &mut said.info,
            };
            *reply = changed(reply, changes);
        }
    }
    let silence = |reason: String| Err(Silence { reason, advice: None, answers: false, progress: None });
    let nodes = recorded.view().nodes.into_iter().zip(servers.values()).map(|(known, said)| {
        let said = match said {
            Ok(said) => NodeView::parse(&said.nodes, &said.cluster, &said.info).or_else(|e| silence(e.to_string())),
            Err(reason) => silence(reason.clone()),
        };
        let id = said.as_ref().map_or(known.id, |view| Some(view.myself.id));
        // As peers are dialled: with the bus port that was told.
        let bus_port = said.as_ref().map_or(None, |view| view.myself.endpoint.bus_port);
        ObservedNode { address: topology::NodeAddr { bus_port, ..known.address }, id, said }
    });
    ClusterView { nodes: nodes.collect() }
}

fn without_keys(nodes: &mut [NewNode]) {
    for node in nodes {
        node.view.server.databases.clear();
    }
}

fn every_id(view: &ClusterView) -> Vec<NodeId> {
    let told = view.answering().flat_map(|(_, said)| said.entries());
    let ids = told.flat_map(|entry| entry.primary.into_iter().chain([entry.id]));
    ids.chain(view.nodes.iter().filter_map(|node| node.id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_parser_takes_or_refuses_any_text(said in server(), changes in changes()) {
        let _ = NodeEntry::parse_all(&changed(&said.nodes, &changes));
        let _ = ClusterInfo::parse(&changed(&said.cluster, &changes));
        let info = ServerInfo::parse(&changed(&said.info, &changes));
        let _ = info.keys();
        let _ = NodeView::parse(&changed(&said.nodes, &changes), &said.cluster, &said.info);
    }

    #[test]
    fn a_line_that_is_refused_is_named(said in server(), changes in changes()) {
        let text = changed(&said.nodes, &changes);
        match NodeEntry::parse_all(&text) {
            Ok(entries) => {
                let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
                prop_assert_eq!(entries.len(), lines, "no line is skipped in silence");
            }
            Err(refusal) => prop_assert!(text.lines().any(|line| line == refusal.line)),
        }
    }

    #[test]
    fn the_shards_parser_takes_or_refuses_any_reply(said in server(), changes in nested_changes()) {
        if let Ok(shards) = ShardEntry::parse_all(&nested_changed(said.shards.clone(), &changes)) {
            prop_assert!(shards.iter().all(|shard| shard.slots.len() <= 16384));
        }
    }

    #[test]
    fn findings_and_reports_are_made_of_anything((recorded, spoilt) in (states(), spoilt())) {
        let view = view(recorded, &spoilt);
        assert_whole(&view);
        round_trip(&view);
        let all = || StrayKeys { slots: SlotSet::all(), elsewhere: u64::MAX };
        let stray: BTreeMap<NodeId, StrayKeys> = every_id(&view).into_iter().map(|id| (id, all())).collect();
        prop_assert_eq!(keys_outside_their_owner(&view, &stray).len(), stray.len());
    }

    #[test]
    fn planners_plan_or_refuse((recorded, spoilt) in (states(), spoilt()), replicas in 0..3_usize, no_keys: bool) {
        let view = view(recorded, &spoilt);
        let node = |(observed, said): (&ObservedNode, &NodeView)| NewNode {
            address: observed.address.clone(),
            zone: said.server.zone.clone(),
            view: said.clone(),
        };
        let mut nodes: Vec<NewNode> = view.answering().map(node).collect();
        if no_keys {
            without_keys(&mut nodes);
        }
        let plans = [create::plan(&nodes, replicas, Shards::EvenFew), create::plan_undo(&nodes)];
        for refusal in plans.into_iter().filter_map(Result::err) {
            prop_assert!(!refusal.to_string().is_empty());
            let _ = (refusal.why(), refusal.advice());
        }
        for id in every_id(&view) {
            let _ = membership::plan_leave(&view, id);
            let _ = membership::plan_delete(&view, id);
            let _ = nodes.first().map(|new| membership::plan_join(&view, new, Role::ReplicaOf(id), None));
        }
    }
}
