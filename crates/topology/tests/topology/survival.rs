//! Which losses a cluster outlives with all its data.

use crate::hand::{self, id, said, silence};
use std::collections::BTreeSet;
use topology::survival::{NotSurvived, survives_loss};

fn lost<const COUNT: usize>(nodes: [usize; COUNT]) -> BTreeSet<topology::NodeId> {
    nodes.map(id).into()
}

#[test]
fn a_node_of_each_shard_in_which_another_has_all_may_be_lost() {
    let view = hand::six();
    for nodes in [lost([0]), lost([3]), lost([3, 4, 5]), lost([0, 4, 5])] {
        assert_eq!(survives_loss(&view, &nodes), Ok(()), "{nodes:?}");
    }
}

#[test]
fn all_copies_of_a_shard_are_never_lost() {
    let mut view = hand::six();
    assert!(matches!(survives_loss(&view, &lost([0, 3])), Err(NotSurvived::LastCopy { .. })));
    said(&mut view, 3).server.primary_link_up = Some(false);
    assert!(
        matches!(survives_loss(&view, &lost([0])), Err(NotSurvived::LastCopy { .. })),
        "its replica is not in sync"
    );
    assert_eq!(survives_loss(&view, &lost([3])), Ok(()));
    said(&mut view, 3).server.primary_link_up = Some(true);
    said(&mut view, 3).server.sync_in_progress = true;
    assert!(matches!(survives_loss(&view, &lost([0])), Err(NotSurvived::LastCopy { .. })), "it is being filled");
    let mut view = hand::six();
    silence(&mut view, 3);
    assert!(matches!(survives_loss(&view, &lost([0])), Err(NotSurvived::LastCopy { .. })), "its replica is silent");
}

#[test]
fn no_copy_of_a_shard_is_lost_whose_primary_is_silent() {
    let mut view = hand::six();
    silence(&mut view, 0);
    assert!(matches!(survives_loss(&view, &lost([3])), Err(NotSurvived::Undecided { .. })));
    assert_eq!(survives_loss(&view, &lost([4])), Ok(()));
}

#[test]
fn primaries_are_only_lost_where_a_majority_elects_others() {
    let mut view = hand::six();
    assert_eq!(survives_loss(&view, &lost([0, 1])), Err(NotSurvived::NoMajority { left: 1, all: 3 }));
    silence(&mut view, 2);
    assert_eq!(survives_loss(&view, &lost([0])), Err(NotSurvived::NoMajority { left: 1, all: 3 }));
}
