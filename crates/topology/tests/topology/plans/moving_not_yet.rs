//! Clusters in which no slot may be moved yet, whatever is asked for.

use super::shapes::six;
use crate::{
    hand::{self, id},
    model::open,
    recorded,
};
use topology::{
    ClusterView, NotYet,
    rebalance::{self, Rebalance, RebalanceRefusal},
    repurpose::{self, RepurposeRefusal},
    reshard::{self, ReshardRefusal, Sources},
    scale::{self, ScaleRefusal},
};

/// Why no planner plans anything; all give the same reason.
fn not_yet(view: &ClusterView) -> NotYet {
    let Err(RebalanceRefusal::NotYet(reason)) = rebalance::plan(view, &Rebalance::default()) else { panic!("a plan") };
    let others = [
        reshard::plan(view, &Sources::All, id(0), 5).map_err(|refusal| match refusal {
            ReshardRefusal::NotYet(reason) => reason,
            other => panic!("{other}"),
        }),
        scale::plan(view, 2, None).map_err(|refusal| match refusal {
            ScaleRefusal::NotYet(reason) => reason,
            other => panic!("{other}"),
        }),
        repurpose::plan(view, id(3), false).map_err(|refusal| match refusal {
            RepurposeRefusal::NotYet(reason) => reason,
            other => panic!("{other}"),
        }),
    ];
    for other in others {
        assert_eq!(other, Err(reason.clone()));
    }
    reason
}

#[test]
fn recorded_clusters_that_are_not_whole_are_left_alone() {
    for (state, words) in [
        ("uncovered", "3 slots of 16384 not served: slots 100-102"),
        ("killed", "127.0.0.1:7001 owns 5461 slots and is "),
        ("suspected", "127.0.0.1:7001 owns 5461 slots and is "),
        ("disagreement", "3 slots of 16384 not served: slots 100-102"),
    ] {
        for recorded in recorded::each_engine(state) {
            let reason = not_yet(&recorded.view()).to_string();
            assert!(reason.starts_with(words), "{}: {reason}", recorded.name);
        }
    }
}

#[test]
fn recorded_clusters_that_are_whole_are_not() {
    for state in ["healthy", "named", "failed-over", "open-slots"] {
        for recorded in recorded::each_engine(state) {
            let plan = rebalance::plan(&recorded.view(), &Rebalance::default());
            assert!(plan.is_ok(), "{}: {plan:?}", recorded.name);
        }
    }
}

#[test]
fn slots_with_two_owners_must_have_one_first() {
    let mut view = six().view();
    hand::entry(&mut view, 1, 1).slots = "5400-10922".parse().unwrap();
    let reason = not_yet(&view);
    assert_eq!(reason.to_string(), "slots 5400-5460 claimed by 10.0.0.1:7000 and by 10.0.0.2:7000");
    assert!(reason.advice().ends_with("tribune fix 10.0.0.1:7000"));
}

#[test]
fn nodes_that_disagree_must_agree_first() {
    let mut view = six().view();
    hand::entry(&mut view, 5, 0).slots = "0-5000".parse().unwrap();
    let reason = not_yet(&view);
    assert_eq!(reason.to_string(), "10.0.0.6:7000 disagrees with 5 nodes about slots 5001-5460");
    assert!(reason.advice().ends_with("tribune fix 10.0.0.6:7000"));
}

#[test]
fn slots_that_are_open_without_a_move_must_be_mended_first() {
    let mut view = six().view();
    open(&mut view, "7", 0, 1, (true, false));
    open(&mut view, "7", 0, 2, (false, true));
    let reason = not_yet(&view);
    assert!(reason.to_string().starts_with("slot 7 is open on 10.0.0.1:7000: it is to go from "), "{reason}");
    assert_eq!(reason.advice(), "tribune fix 10.0.0.1:7000");
}

#[test]
fn without_any_answer_nothing_is_planned() {
    let mut view = six().view();
    (0..6).for_each(|at| hand::silence(&mut view, at));
    let reason = not_yet(&view);
    assert_eq!(reason.to_string(), "16384 slots of 16384 not served: slots 0-16383");
}
