//! From weights and what is, to a plan.

use super::{Holding, moves_around, shares};
use crate::{
    ClusterView, NodeId, Slot,
    basis::{Basis, NotAPrimary, NotYet, after},
    draft::Draft,
    findings::{count, primaries},
    plan::{NodeRef, Plan},
};
use std::collections::BTreeMap;

/// How the slots are to be shared out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebalance {
    /// The weights of primaries, 0 or more and finite; 1 for those that are not here. One with weight 0 gives all its slots.
    pub weights: BTreeMap<NodeId, f64>,
    /// Whether primaries without slots get some; else their weight is 0.
    pub use_empty: bool,
    /// By how many percent of what it has a primary's share must differ from it, for slots to move at all: 0 or more.
    pub threshold_percent: f64,
}

impl Default for Rebalance {
    /// All primaries that own slots the same, unless they are within 2 percent of it, as the reference tools have it.
    fn default() -> Self {
        Self { weights: BTreeMap::new(), use_empty: false, threshold_percent: 2.0 }
    }
}

/// A plan and what it was reckoned from.
#[derive(Clone, Debug, PartialEq)]
pub struct RebalanceOutcome {
    /// The plan; it moves nothing if all primaries are within the threshold.
    pub plan: Plan,
    /// The primaries, by their first slot, those without slots last.
    pub balances: Vec<Balance>,
}

/// What a primary has and what it should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Balance {
    /// The primary.
    pub node: NodeRef,
    /// Its weight, with what holds for empty primaries.
    pub weight: f64,
    /// How many slots it has, once interrupted moves are finished.
    pub slots: usize,
    /// How many it should have.
    pub share: usize,
}

/// Why the slots cannot be shared out as asked; nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RebalanceRefusal {
    /// No slot may be moved yet.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// A weight is given for a node that is no primary.
    #[error(transparent)]
    NotAPrimary(#[from] NotAPrimary),
    /// A weight that is negative or not a number.
    #[error("{weight} is not a weight for {node}: weights are 0 or more")]
    NotAWeight {
        /// The weight.
        weight: f64,
        /// The node, by address or else by id.
        node: String,
    },
    /// A threshold that is negative or not a number.
    #[error("{threshold} is not a threshold: thresholds are 0 percent or more")]
    NotAThreshold {
        /// The threshold.
        threshold: f64,
    },
    /// No primary may have slots.
    #[error("all {} have weight 0: one must own the slots", primaries(*.0))]
    NothingWeighs(usize),
}

impl RebalanceRefusal {
    /// What the user can do about it, where it does not speak for itself.
    pub fn advice(&self) -> Option<String> {
        if let Self::NotYet(not_yet) = self { Some(not_yet.advice()) } else { None }
    }
}

/// Plans the moves after which each primary has its share of the slots: exactly, and with the fewest slots moved.
///
/// Nothing moves while every primary is within the threshold. A move that was interrupted is finished first.
///
/// # Errors
/// When the cluster does not allow it yet, or the weights make no sense.
pub fn plan(view: &ClusterView, wanted: &Rebalance) -> Result<RebalanceOutcome, RebalanceRefusal> {
    refuse_numbers(view, wanted)?;
    let basis = Basis::of(view)?;
    for id in wanted.weights.keys() {
        basis.shard_of(view, *id)?;
    }
    let holdings = basis.holdings();
    let weights = weights(&holdings, wanted);
    if weights.values().all(|weight| *weight <= 0.0) {
        return Err(RebalanceRefusal::NothingWeighs(weights.len()));
    }
    let shares = shares(&holdings, &weights);
    let balances: Vec<Balance> = holdings
        .iter()
        .zip(&shares)
        .map(|(holding, share)| Balance {
            node: holding.node.clone(),
            weight: weights.get(&holding.node.id).copied().unwrap_or_default(),
            slots: holding.slots.len(),
            share: *share,
        })
        .collect();
    let needed = beyond(&balances, wanted.threshold_percent);
    let moves = if needed { moves_around(&holdings, &shares, &basis.settled()) } else { Vec::new() };
    let expected = after(basis.shards.clone(), &moves);
    let mut draft = Draft::after(&basis);
    let share_of: BTreeMap<NodeId, usize> = balances.iter().map(|balance| (balance.node.id, balance.share)).collect();
    draft.moves(&moves, |slot_move| {
        let share = |node: &NodeRef| share_of.get(&node.id).copied().unwrap_or_default();
        match share(&slot_move.from) {
            0 => format!("{} is to own none", slot_move.from.address),
            _ => format!("{} is to own {}", slot_move.to.address, count(share(&slot_move.to), "slot")),
        }
    });
    draft.moves_the_fewest();
    if draft.last_stage() > 0 {
        draft.await_agreement();
    }
    if moves.is_empty() {
        draft.reason(if needed {
            "every primary has its share".to_owned()
        } else {
            format!("every primary is within {} % of its share: nothing needs to move", wanted.threshold_percent)
        });
    }
    basis.drained(&expected).into_iter().for_each(|reason| draft.reason(reason));
    let sharing = balances.iter().filter(|balance| balance.share > 0).count();
    let goal = format!("16384 slots shared out to {}", primaries(sharing));
    Ok(RebalanceOutcome { plan: draft.finish(goal, expected), balances })
}

fn refuse_numbers(view: &ClusterView, wanted: &Rebalance) -> Result<(), RebalanceRefusal> {
    let sensible = |number: f64| number.is_finite() && number >= 0.0;
    if !sensible(wanted.threshold_percent) {
        return Err(RebalanceRefusal::NotAThreshold { threshold: wanted.threshold_percent });
    }
    match wanted.weights.iter().find(|(_, weight)| !sensible(**weight)) {
        Some((id, weight)) => Err(RebalanceRefusal::NotAWeight { weight: *weight, node: view.name(*id) }),
        None => Ok(()),
    }
}

/// The weights of all primaries.
fn weights(holdings: &[Holding], wanted: &Rebalance) -> BTreeMap<NodeId, f64> {
    let weight = |holding: &Holding| {
        let left_out = holding.slots.is_empty() && !wanted.use_empty;
        if left_out { 0.0 } else { wanted.weights.get(&holding.node.id).copied().unwrap_or(1.0) }
    };
    holdings.iter().map(|holding| (holding.node.id, weight(holding))).collect()
}

/// Whether any primary is beyond the threshold, by the measure of the reference tools: its share, rounded down, in percent of
/// what it has.
fn beyond(balances: &[Balance], threshold: f64) -> bool {
    let total: f64 = balances.iter().map(|balance| balance.weight).sum();
    balances.iter().any(|balance| {
        let expected = (f64::from(Slot::COUNT) / total * balance.weight).floor();
        let slots = f64::from(u16::try_from(balance.slots).unwrap_or(Slot::COUNT));
        if balance.slots == 0 { expected > 1.0 } else { (100.0 - 100.0 * expected / slots).abs() > threshold }
    })
}
