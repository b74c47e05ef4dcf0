//! All members get something else to run with.

use super::model::Model;
use topology::control::Decision;

const SHAPES: [(usize, usize); 8] = [(1, 0), (1, 1), (1, 2), (2, 1), (3, 0), (3, 2), (5, 1), (7, 0)];

fn made(shards: usize, replicas: usize) -> Model {
    let mut model = Model::new(shards, replicas, 5);
    model.settle(60);
    model
}

fn is_updated(model: &Model) -> bool {
    model.nodes.values().all(|node| node.runs == model.wanted && node.is_up)
}

#[test]
fn all_members_are_restarted_once_and_each_primary_hands_over_once() {
    for (shards, replicas) in SHAPES {
        let mut model = made(shards, replicas);
        model.wanted = 1;
        model.settle(200);
        assert!(is_updated(&model));
        assert_eq!(model.shape(), vec![replicas; shards]);
        assert_eq!((model.failovers, model.moved), (shards, 0), "{shards} + {replicas}");
        // Where there are no replicas one member more is started, and another one leaves as it is.
        let expected = if replicas > 0 { shards * (replicas + 1) } else { model.restarts.min(shards - 1) };
        assert_eq!(model.restarts, expected, "{shards} + {replicas}");
    }
}

#[test]
fn an_update_of_half_of_which_every_step_is_lost_comes_to_its_end() {
    for (shards, replicas) in SHAPES {
        for seed in 0..4 {
            let mut model = made(shards, replicas);
            model.wanted = 1;
            let mut rounds = 0;
            loop {
                let Decision { steps, waits, cancel } = model.decide();
                if steps.is_empty() && waits.is_empty() {
                    break;
                }
                rounds += 1;
                assert!(rounds < 1000, "{:#?}", model.decide());
                let kept = steps.into_iter().enumerate();
                let kept = kept.filter(|(at, _)| (rounds * 7 + at * 3 + seed) % 2 == 0).map(|(_, step)| step).collect();
                model.carry_out(&Decision { steps: kept, waits, cancel });
            }
            assert!(is_updated(&model));
            assert_eq!(model.shape(), vec![replicas; shards]);
        }
    }
}

#[test]
fn what_cannot_run_stops_at_the_first_member_and_taking_it_back_recovers() {
    for (shards, replicas) in SHAPES {
        let mut model = made(shards, replicas);
        let before: Vec<usize> = model.nodes.keys().copied().collect();
        (model.wanted, model.bad) = (1, Some(1));
        for _ in 0..80 {
            let decision = model.decide();
            model.carry_out(&decision);
            let down = model.nodes.values().filter(|node| !node.is_up).count();
            // One that stays away is given up, and another one started in its place.
            assert!(down <= 2, "{shards} + {replicas}: {down} are down: {model:#?}");
            assert_eq!(model.slots().iter().sum::<usize>(), 16384);
        }
        assert!(!model.decide().is_settled());
        assert_eq!(model.failovers, 0, "{shards} + {replicas}");
        model.wanted = 0;
        model.settle(200);
        assert!(is_updated(&model));
        assert_eq!(model.shape(), vec![replicas; shards]);
        if replicas == 0 {
            assert_eq!(model.nodes.keys().copied().collect::<Vec<_>>(), before);
            // That of the member that was to serve meanwhile; no primary was touched.
            assert!(model.restarts <= 1);
        }
    }
}

#[test]
fn an_update_that_is_taken_back_half_way_ends_with_what_was_before() {
    for (shards, replicas) in SHAPES {
        for passes in (1..30).step_by(3) {
            let mut model = made(shards, replicas);
            model.wanted = 1;
            for _ in 0..passes {
                let decision = model.decide();
                model.carry_out(&decision);
            }
            model.wanted = 0;
            model.settle(300);
            assert!(is_updated(&model));
            assert_eq!(model.shape(), vec![replicas; shards], "{shards} + {replicas} after {passes}");
        }
    }
}

#[test]
fn a_shape_that_changes_during_an_update_is_reached_with_it() {
    for (shards, replicas) in SHAPES {
        for passes in [1, 5, 13] {
            let mut model = made(shards, replicas);
            model.wanted = 1;
            for _ in 0..passes {
                let decision = model.decide();
                model.carry_out(&decision);
            }
            model.want(3, 1);
            model.settle(300);
            assert!(is_updated(&model));
            assert_eq!(model.shape(), vec![1; 3], "{shards} + {replicas} after {passes}");
        }
    }
}
