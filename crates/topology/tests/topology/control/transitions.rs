//! From every shape to every other.

use super::model::Model;

const SHARDS: [usize; 5] = [1, 2, 3, 5, 16];
const REPLICAS: [usize; 4] = [0, 1, 2, 3];

fn formed(shards: usize, replicas: usize) -> Model {
    let mut model = Model::new(shards, replicas, 3);
    model.settle(30);
    model.moved = 0;
    model
}

/// How many slots have to move at least.
fn least(from: usize, to: usize) -> usize {
    let more = from.max(to);
    16384 - 16384 * from.min(to) / more
}

#[test]
fn every_shape_is_reached_from_nothing() {
    for shards in SHARDS {
        for replicas in REPLICAS {
            let model = formed(shards, replicas);
            assert_eq!(model.shape(), vec![replicas; shards]);
            assert_eq!(model.nodes.len(), shards * (replicas + 1));
        }
    }
}

#[test]
fn every_shape_is_reached_from_every_other_with_the_fewest_moves() {
    for (shards, replicas) in SHARDS.iter().flat_map(|shards| REPLICAS.map(|replicas| (*shards, replicas))) {
        let begin = formed(shards, replicas);
        for (then, and) in SHARDS.iter().flat_map(|shards| REPLICAS.map(|replicas| (*shards, replicas))) {
            let mut model = begin.clone();
            model.want(then, and);
            model.settle(60);
            let what = format!("{shards} + {replicas} to {then} + {and}");
            assert_eq!(model.shape(), vec![and; then], "{what}");
            assert_eq!(model.nodes.len(), then * (and + 1), "{what}");
            assert_eq!(model.slots().iter().sum::<usize>(), 16384, "{what}");
            let most = least(shards, then) + shards.max(then);
            assert!(model.moved <= most, "{what}: {} slots moved, {most} would do", model.moved);
        }
    }
}

#[test]
fn a_change_that_is_taken_back_half_way_is_taken_back() {
    for passes in 0..12 {
        let mut model = formed(3, 1);
        model.want(5, 2);
        for _ in 0..passes {
            let decision = model.decide();
            model.carry_out(&decision);
        }
        model.want(3, 1);
        model.settle(60);
        assert_eq!(model.shape(), [1, 1, 1], "taken back after {passes} passes");
        assert_eq!(model.nodes.len(), 6, "taken back after {passes} passes");
    }
}

#[test]
fn half_of_the_steps_of_each_pass_lead_there_too() {
    for seed in 0..40_u64 {
        let mut random = fastrand(seed);
        let mut model = formed(3, 1);
        for (shards, replicas) in [(5, 1), (2, 2), (3, 0), (3, 1)] {
            model.want(shards, replicas);
            for _ in 0..400 {
                let mut decision = model.decide();
                if decision.is_settled() {
                    break;
                }
                decision.steps.retain(|_| random().is_multiple_of(2));
                model.carry_out(&decision);
            }
            assert_eq!(model.shape(), vec![replicas; shards], "seed {seed}");
        }
    }
}

/// Numbers that are the same for the same seed (xorshift).
fn fastrand(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    }
}
