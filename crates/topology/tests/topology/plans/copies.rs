//! Who takes the place of a primary that does not answer.

use crate::hand::{self, Node, said, silence};
use topology::{
    ClusterView, ServerInfo,
    plan::Action,
    repair::{Held, Wanted, decide, plan},
};

/// Three shards, the first with two replicas, whose primary does not answer: node 0, with nodes 3 and 4.
fn without_a_primary() -> ClusterView {
    let mut nodes = hand::six_nodes().to_vec();
    nodes[4] = Node::replica("10.0.0.5:7000", 0);
    let mut view = hand::view(&nodes);
    silence(&mut view, 0);
    for (at, offset) in [(3, 100), (4, 900)] {
        let info = &mut said(&mut view, at).server;
        (info.primary_link_up, info.replication_offset) = (Some(false), Some(offset));
    }
    view
}

fn server(view: &mut ClusterView, at: usize) -> &mut ServerInfo {
    &mut said(view, at).server
}

/// The places of those that take over.
fn heirs(view: &ClusterView) -> Vec<usize> {
    let wanted = Wanted { with_unreachable: true };
    let plan = plan(view, &decide(view, &Held::new(), wanted).unwrap());
    let heir =
        |action: &Action| if let Action::Failover { replica, .. } = action { Some(replica.clone()) } else { None };
    let heirs = plan.steps.iter().filter_map(|step| heir(&step.action));
    heirs.map(|heir| view.nodes.iter().position(|node| node.address == heir.address).unwrap()).collect()
}

#[test]
fn a_replica_that_never_had_a_copy_takes_nobodys_place_however_far_it_says_it_is() {
    let mut view = without_a_primary();
    assert_eq!(heirs(&view), [0; 0], "neither ever had its link");
    let refused = decide(&view, &Held::new(), Wanted::default()).unwrap_err();
    assert!(refused.advice().starts_with("start 10.0.0.1:7000 again"), "{}", refused.advice());
    server(&mut view, 3).primary_link_down_seconds = Some(4000);
    assert_eq!(heirs(&view), [3]);
    server(&mut view, 4).primary_link_down_seconds = Some(4000);
    assert_eq!(heirs(&view), [4], "of two that had one the one that is further");
    server(&mut view, 4).sync_in_progress = true;
    assert_eq!(heirs(&view), [3]);
}

#[test]
fn a_replica_that_was_started_again_has_what_was_on_its_disk_unless_that_is_of_another_shard() {
    let mut view = without_a_primary();
    server(&mut view, 4).databases.insert(0, 12);
    server(&mut view, 4).replication_id = Some("a history".to_owned());
    assert_eq!(heirs(&view), [4]);
    server(&mut view, 1).replication_id = Some("a history".to_owned());
    assert_eq!(heirs(&view), [0; 0], "it came from the second shard and has nothing of this one");
}
