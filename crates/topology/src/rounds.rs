//! Which moves may run side by side.

use crate::NodeId;
use std::collections::BTreeSet;

/// The moves of one round, and who gives and takes there.
struct Round<T> {
    moves: Vec<T>,
    givers: BTreeSet<NodeId>,
    takers: BTreeSet<NodeId>,
}

/// Divides moves into as few rounds as their order allows, in none of which a node both gives and takes.
///
/// Two things would go wrong otherwise. A server that sends keys answers nobody until they have arrived: were keys sent in a
/// circle, all would wait for each other. And one that takes a slot gets a config epoch above all others: it could win back, by a
/// message that is under way, a slot which it is just giving away, and nobody would own that one then.
pub(crate) fn rounds<T>(moves: impl IntoIterator<Item = T>, ends: impl Fn(&T) -> (NodeId, NodeId)) -> Vec<Vec<T>> {
    let mut rounds: Vec<Round<T>> = Vec::new();
    for one in moves {
        let (from, to) = ends(&one);
        let fits = |round: &Round<T>| !round.takers.contains(&from) && !round.givers.contains(&to);
        let at = rounds.iter().position(fits).unwrap_or(rounds.len());
        if at == rounds.len() {
            rounds.push(Round { moves: Vec::new(), givers: BTreeSet::new(), takers: BTreeSet::new() });
        }
        let Some(round) = rounds.get_mut(at) else { continue };
        round.givers.insert(from);
        round.takers.insert(to);
        round.moves.push(one);
    }
    rounds.into_iter().map(|round| round.moves).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(number: u8) -> NodeId {
        format!("{number:040x}").parse().unwrap()
    }

    fn rounds_of(moves: &[(u8, u8)]) -> Vec<Vec<(u8, u8)>> {
        rounds(moves.iter().copied(), |(from, to)| (node(*from), node(*to)))
    }

    #[test]
    fn a_rebalance_is_one_round_and_a_ring_two_or_three() {
        assert_eq!(rounds_of(&[(1, 4), (2, 4), (3, 4), (3, 5)]).len(), 1);
        assert_eq!(rounds_of(&[(1, 2), (2, 3), (3, 4), (4, 1)]), [[(1, 2), (3, 4)], [(2, 3), (4, 1)]]);
        assert_eq!(rounds_of(&[(1, 2), (2, 3), (3, 1)]).len(), 3);
        assert_eq!(rounds_of(&[(1, 2), (2, 1)]).len(), 2);
        assert!(rounds_of(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_move_is_made_once_and_nobody_gives_and_takes_at_the_same_time(
            moves in prop::collection::vec((0_u8..8, 0_u8..8), 0..30)
        ) {
            let moves: Vec<_> = moves.into_iter().filter(|(from, to)| from != to).collect();
            let rounds = rounds_of(&moves);
            for round in &rounds {
                prop_assert!(!round.is_empty());
                prop_assert!(round.iter().all(|(from, _)| round.iter().all(|(_, to)| from != to)));
            }
            let (mut made, mut wanted) = (rounds.concat(), moves);
            made.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(made, wanted);
        }
    }
}
