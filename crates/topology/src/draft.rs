//! A plan that moves slots, while it is being written: stage after stage.

use crate::{
    SlotSet,
    basis::Basis,
    findings::slot_list,
    plan::{Action, Cost, FORMAT, NodeRef, Plan, PlannedShard},
    rebalance::SlotMove,
    stages::Stages,
};
use std::collections::BTreeSet;

/// The stages so far.
pub(crate) struct Draft<'a> {
    basis: &'a Basis,
    stages: Stages,
    reasons: Vec<String>,
    fewest: bool,
}

impl<'a> Draft<'a> {
    /// Begins with what an interrupted run has left to do.
    pub(crate) fn after(basis: &'a Basis) -> Self {
        let mut draft = Self { basis, stages: Stages::default(), reasons: Vec::new(), fewest: false };
        if let Some(alone) = basis.alone.first() {
            let reason = format!("{} knows no other node: it is met again first", alone.address);
            draft.stage([(Action::Meet { nodes: basis.nodes.clone() }, reason)]);
        }
        draft.stage_of_moves(&basis.interrupted, |_| "an interrupted move is finished first".to_owned());
        for SlotMove { slots, from, to } in &basis.interrupted {
            let way = format!("from {} to {}", from.address, to.address);
            draft.reason(format!("the move of {} {way} was interrupted: it is finished first", slot_list(slots)));
        }
        draft
    }

    /// Adds a stage, unless it has no steps.
    pub(crate) fn stage(&mut self, steps: impl IntoIterator<Item = (Action, String)>) {
        self.stages.add(steps);
    }

    /// Adds moves, side by side as far as they can be.
    pub(crate) fn moves(&mut self, moves: &[SlotMove], reason: impl Fn(&SlotMove) -> String) {
        let moved = moves.iter().fold(SlotSet::new(), |all, slot_move| all.union(&slot_move.slots));
        let twice = moved.intersection(&self.basis.settled());
        if !twice.is_empty() {
            self.reason(format!("{} cannot stay where the interrupted move brings them", slot_list(&twice)));
        }
        self.stage_of_moves(moves, reason);
    }

    /// Adds moves, after a stage that waits for those of its nodes that do not serve yet: they would refuse keys.
    fn stage_of_moves(&mut self, moves: &[SlotMove], reason: impl Fn(&SlotMove) -> String) {
        let ends: BTreeSet<&NodeRef> = moves.iter().flat_map(|slot_move| [&slot_move.from, &slot_move.to]).collect();
        let idle: Vec<NodeRef> =
            ends.into_iter().filter(|node| self.basis.not_serving.contains(&node.id)).cloned().collect();
        if !idle.is_empty() {
            self.stage([(Action::AwaitService { nodes: idle }, "a node that does not serve takes no keys".to_owned())]);
        }
        let step = |slot_move: &SlotMove| {
            let SlotMove { slots, from, to } = slot_move.clone();
            let action =
                Action::MoveSlots { slots, from, to, dialect: crate::plan::Dialect::default(), keys: 0, bytes: 0 };
            (action, reason(slot_move))
        };
        self.stages.add_in_rounds(moves.iter().map(step));
    }

    /// Adds a stage that waits until all nodes agree.
    pub(crate) fn await_agreement(&mut self) {
        self.await_agreement_because("clients may ask any node");
    }

    /// Adds a stage that waits until all nodes agree, for another reason.
    pub(crate) fn await_agreement_because(&mut self, reason: &str) {
        let action = Action::AwaitAgreement { nodes: self.basis.nodes.clone() };
        self.stage([(action, reason.to_owned())]);
    }

    /// Notes that no fewer slots reach the same; with an interrupted move to finish first, that is not sure.
    pub(crate) fn moves_the_fewest(&mut self) {
        self.fewest = self.basis.interrupted.is_empty();
    }

    /// Adds a reason of the plan as a whole.
    pub(crate) fn reason(&mut self, reason: String) {
        self.reasons.push(reason);
    }

    /// The number of the last stage.
    pub(crate) const fn last_stage(&self) -> u32 {
        self.stages.last()
    }

    /// The plan.
    pub(crate) fn finish(self, goal: String, expected_after: Vec<PlannedShard>) -> Plan {
        let steps = self.stages.into_steps();
        let moved = steps.iter().map(|step| match &step.action {
            Action::MoveSlots { slots, .. } => slots.len(),
            _ => 0,
        });
        let slots_moved = moved.sum();
        let cost = Cost { slots_moved, fewest: self.fewest && slots_moved > 0, ..Cost::default() };
        Plan {
            format: FORMAT,
            goal,
            based_on: self.basis.nodes.clone(),
            steps,
            reasons: self.reasons,
            expected_after,
            placement: None,
            cost,
        }
    }
}
