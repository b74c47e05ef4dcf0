//! A node that owns nothing leaves, and nobody loses a copy by it.

use crate::hand::{self, Node, id, own, silence};
use topology::{
    ClusterView, NodeId,
    membership::{MembershipRefusal, plan_delete, plan_leave},
    plan::{Action, Plan},
};

/// The healthy six, a primary without slots (6), and two replicas of it (7, 8).
fn with_a_drained_shard() -> ClusterView {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    nodes.push(Node::replica("10.0.0.8:7000", 6));
    nodes.push(Node::replica("10.0.0.9:7000", 6));
    hand::view(&nodes)
}

fn actions(plan: &Plan) -> Vec<(u32, &Action)> {
    plan.steps.iter().map(|step| (step.stage, &step.action)).collect()
}

fn refusal(view: &ClusterView, id: NodeId) -> MembershipRefusal {
    plan_delete(view, id).unwrap_err()
}

#[test]
fn replicas_follow_others_evenly_before_their_primary_is_forgotten_and_then_it_forgets() {
    let view = with_a_drained_shard();
    let plan = plan_delete(&view, id(6)).unwrap();
    let [
        (1, Action::Replicate { replica: first, primary: one }),
        (1, Action::Replicate { replica: second, primary: other }),
        (2, Action::Forget { node, by }),
        (3, Action::Retire { node: retired, copy_of: None }),
    ] = actions(&plan)[..]
    else {
        panic!("{plan:#?}")
    };
    assert_eq!([first.id, second.id], [id(7), id(8)]);
    assert_ne!(one, other, "each shard gets one, though all had as many");
    assert_eq!([node.id, retired.id], [id(6); 2]);
    assert_eq!(by.iter().map(|node| node.id).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 7, 8].map(id));
    assert_eq!(plan.expected_after.len(), 3);
    assert_eq!(plan.expected_after.iter().map(|shard| shard.replicas.len()).sum::<usize>(), 5);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

#[test]
fn a_replica_drops_its_copy_only_when_its_primary_answers() {
    let mut view = hand::six();
    let plan = plan_delete(&view, id(3)).unwrap();
    let Some((2, Action::Retire { copy_of: Some(primary), .. })) = actions(&plan).last().copied() else {
        panic!("{plan:#?}")
    };
    assert_eq!(primary.id, id(0));
    assert_eq!(plan.reasons, ["10.0.0.1:7000 has no replica then: losing it loses its data"]);
    // Its primary's slots are another's now, and it has not heard of that.
    own(&mut view, 0, "");
    own(&mut view, 1, "0-10922");
    silence(&mut view, 0);
    let plan = plan_delete(&view, id(3)).unwrap();
    assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::Retire { .. })), "{plan:#?}");
    assert!(plan.reasons.iter().any(|reason| reason.contains("10.0.0.4:7000 keeps its data")), "{:?}", plan.reasons);
}

#[test]
fn the_last_copy_of_slots_is_not_forgotten() {
    let mut view = hand::six();
    silence(&mut view, 0);
    let MembershipRefusal::OnlyCopy { slots, address, .. } = refusal(&view, id(3)) else { panic!() };
    assert_eq!((slots, address.bare().as_str()), (5461, "10.0.0.4:7000"));
    // Another replica of the same primary has it, too.
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::replica("10.0.0.7:7000", 0));
    let mut view = hand::view(&nodes);
    silence(&mut view, 0);
    plan_delete(&view, id(3)).unwrap();
    silence(&mut view, 6);
    assert!(matches!(refusal(&view, id(3)), MembershipRefusal::OnlyCopy { .. }));
}

#[test]
fn who_does_not_answer_is_told_of_and_what_that_means() {
    let mut view = with_a_drained_shard();
    silence(&mut view, 6);
    silence(&mut view, 5);
    let plan = plan_delete(&view, id(6)).unwrap();
    assert!(!plan.steps.iter().any(|step| matches!(step.action, Action::Retire { .. })), "{plan:#?}");
    let told = plan.reasons.join("\n");
    for said in [
        "10.0.0.7:7000 does not answer and will still know the cluster",
        "10.0.0.6:7000 does not answer and will still know 10.0.0.7:7000",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_member_with_keys_of_others_or_with_open_slots_does_not_go_with_its_data() {
    let mut nodes = hand::six_nodes().to_vec();
    nodes.push(Node::primary("10.0.0.7:7000", ""));
    let mut view = hand::view(&nodes);
    plan_leave(&view, id(6)).unwrap();
    hand::said(&mut view, 6).server.databases.insert(0, 3);
    let refusal = plan_leave(&view, id(6)).unwrap_err();
    assert!(matches!(refusal, MembershipRefusal::HoldsKeysOfOthers { keys: 3, .. }), "{refusal}");
    assert!(refusal.advice().is_some_and(|advice| advice.contains("tribune fix 10.0.0.7:7000")));
    // The first of its keys may be on their way.
    let said = hand::said(&mut view, 6);
    said.server.databases.clear();
    said.myself.importing.insert(topology::Slot::new(5).unwrap(), id(0));
    let refusal = plan_leave(&view, id(6)).unwrap_err();
    assert_eq!(refusal.to_string(), "1 slot on 10.0.0.7:7000 is on the way to or from it");
}

#[test]
fn owners_strangers_and_the_only_node_stay() {
    let view = hand::six();
    assert!(matches!(refusal(&view, id(1)), MembershipRefusal::OwnsSlots { slots: 5462, .. }));
    assert_eq!(refusal(&view, id(40)), MembershipRefusal::Unknown { id: id(40) });
    let mut few = hand::six();
    silence(&mut few, 1);
    silence(&mut few, 2);
    assert!(matches!(refusal(&few, id(3)), MembershipRefusal::NoMajority { answering: 1, primaries: 3, .. }));
    let alone = hand::view(&[Node::primary("10.0.0.1:7000", "")]);
    assert!(matches!(
        refusal(&alone, id(0)),
        MembershipRefusal::OnlyNode { .. } | MembershipRefusal::NoMajority { .. }
    ));
}
