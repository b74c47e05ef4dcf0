//! The steps of a plan, stage after stage: which of them may run side by side.

use crate::{
    NodeId,
    plan::{Action, Step},
};
use std::collections::BTreeSet;

/// Steps while a plan is being written.
#[derive(Default)]
pub(crate) struct Stages {
    steps: Vec<Step>,
    last: u32,
}

impl Stages {
    /// Adds a stage, unless it has no steps.
    pub(crate) fn add(&mut self, steps: impl IntoIterator<Item = (Action, String)>) {
        let (stage, before) = (self.last + 1, self.steps.len());
        self.steps.extend(steps.into_iter().map(|(action, reason)| Step { stage, action, reason }));
        if self.steps.len() > before {
            self.last = stage;
        }
    }

    /// Adds steps that bring slots or keys from one node to another, in stages in none of which a node both gives and takes.
    ///
    /// Two things would go wrong otherwise. A server that sends keys answers nobody until they have arrived: were keys sent in a
    /// circle, all would wait for each other. And one that takes a slot gets a config epoch above all others: it could win back, by a
    /// message that is under way, a slot which it is just giving away, and nobody would own that one then.
    pub(crate) fn add_in_rounds(&mut self, steps: impl IntoIterator<Item = (Action, String)>) {
        for round in rounds(steps, |(action, _)| ends(action)) {
            self.add(round);
        }
    }

    /// The number of the last stage.
    pub(crate) const fn last(&self) -> u32 {
        self.last
    }

    /// All steps.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// Which node gives and which one takes.
const fn ends(action: &Action) -> Option<(NodeId, NodeId)> {
    match action {
        Action::MoveSlots { from, to, .. } | Action::GatherKeys { from, to, .. } => Some((from.id, to.id)),
        _ => None,
    }
}

/// The moves of one round, and who gives and takes there.
struct Round<T> {
    moves: Vec<T>,
    givers: BTreeSet<NodeId>,
    takers: BTreeSet<NodeId>,
}

impl<T> Round<T> {
    const fn new() -> Self {
        Self { moves: Vec::new(), givers: BTreeSet::new(), takers: BTreeSet::new() }
    }

    fn fits(&self, ends: Option<(NodeId, NodeId)>) -> bool {
        ends.is_none_or(|(from, to)| !self.takers.contains(&from) && !self.givers.contains(&to))
    }

    fn add(&mut self, one: T, ends: Option<(NodeId, NodeId)>) {
        self.givers.extend(ends.map(|(from, _)| from));
        self.takers.extend(ends.map(|(_, to)| to));
        self.moves.push(one);
    }
}

/// Divides moves into rounds: each goes into the first one that it fits.
fn rounds<T>(
    moves: impl IntoIterator<Item = T>,
    ends: impl Fn(&T) -> Option<(NodeId, NodeId)>,
) -> impl Iterator<Item = Vec<T>> {
    let mut rounds: Vec<Round<T>> = Vec::new();
    for one in moves {
        let ends = ends(&one);
        if let Some(round) = rounds.iter_mut().find(|round| round.fits(ends)) {
            round.add(one, ends);
        } else {
            let mut round = Round::new();
            round.add(one, ends);
            rounds.push(round);
        }
    }
    rounds.into_iter().map(|round| round.moves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(number: u8) -> NodeId {
        format!("{number:040x}").parse().unwrap()
    }

    fn rounds_of(moves: &[(u8, u8)]) -> Vec<Vec<(u8, u8)>> {
        rounds(moves.iter().copied(), |(from, to)| Some((node(*from), node(*to)))).collect()
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
