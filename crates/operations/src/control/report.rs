//! What the loop tells of itself.

use crate::port::FleetError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use topology::{
    control::{Desired, Loss, Wait},
    plan::Action,
};

/// What the loop is at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// What the cluster is to be.
    pub desired: Desired,
    /// Whether the cluster is that, and nothing is waited for.
    pub settled: bool,
    /// What is being done.
    pub doing: Vec<Doing>,
    /// What it would do now, while it changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposed: Vec<Proposed>,
    /// What is waited for.
    pub waits: Vec<Wait>,
    /// Shards that were lost with all copies of their data, and were made anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// In how many seconds all members run with what they are to run with, at the speed so far, while some do and some do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_seconds_left: Option<f64>,
    /// For how many seconds nothing of this has come further; none where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged_seconds: Option<u64>,
    /// What was tried, failed, and will be tried again.
    pub failures: Vec<Failure>,
    /// Why the loop changes nothing now, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why the loop cannot see, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A step that is being done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Doing {
    /// The step.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub reason: String,
    /// For how long, seconds.
    pub for_seconds: f64,
    /// How far it has come, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// How long the rest takes, seconds, as far as somebody can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
}

/// A step that would be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proposed {
    /// The step.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// A step that has failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The step.
    #[serde(flatten)]
    pub action: Action,
    /// What went wrong.
    pub error: String,
    /// How many times in a row.
    pub times: u32,
    /// In how many seconds it is tried again, if it is still wanted then.
    pub again_in_seconds: f64,
}

impl Report {
    /// Whether this tells of the same as another one, and nothing has come further in between. That time passes is no progress, nor that
    /// a step is tried again that fails again.
    pub fn is_no_further_than(&self, before: &Self) -> bool {
        let wait = |wait: &Wait, other: &Wait| wait.what == other.what && wait.progress == other.progress;
        self.desired == before.desired
            && self.held == before.held
            && self.same_steps(before)
            && before.same_steps(self)
            && self.waits.len() == before.waits.len()
            && self.waits.iter().zip(&before.waits).all(|(now, then)| wait(now, then))
    }

    /// Whether all that is done here, or has failed, is so there, and as far.
    fn same_steps(&self, there: &Self) -> bool {
        let has_failed = |action: &Action| there.failures.iter().any(|failed| failed.action == *action);
        let is_there = |doing: &Doing| {
            let mut same = there.doing.iter().filter(|other| other.action == doing.action);
            same.any(|other| other.moved() == doing.moved()) || doing.moved().is_none() && has_failed(&doing.action)
        };
        let is_tried = |action: &Action| has_failed(action) || there.doing.iter().any(|other| other.action == *action);
        self.doing.iter().all(is_there) && self.failures.iter().all(|failed| is_tried(&failed.action))
    }

    /// What is told when the platform does not say which members there are.
    pub(super) fn blind(desired: Desired, error: &FleetError) -> Self {
        Self {
            desired,
            settled: false,
            doing: Vec::new(),
            proposed: Vec::new(),
            waits: Vec::new(),
            losses: Vec::new(),
            update_seconds_left: None,
            unchanged_seconds: None,
            failures: Vec::new(),
            held: None,
            trouble: Some(error.to_string()),
        }
    }
}

impl Doing {
    /// How far a move has come. Other steps say what they wait for, which begins anew with each attempt.
    fn moved(&self) -> Option<&str> {
        self.progress.as_deref().filter(|_| matches!(self.action, Action::MoveSlots { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::{
        NodeId, SlotSet,
        plan::{Dialect, NodeRef},
    };

    fn update(member: &str) -> Action {
        Action::UpdateMember { member: member.to_owned(), node: None }
    }

    fn doing(member: &str, progress: Option<&str>) -> Doing {
        Doing {
            action: update(member),
            reason: String::new(),
            for_seconds: 0.0,
            progress: progress.map(str::to_owned),
            seconds_left: None,
        }
    }

    fn failure(member: &str, times: u32) -> Failure {
        Failure { action: update(member), error: format!("for the time {times}"), times, again_in_seconds: 1.0 }
    }

    fn report(doing: Vec<Doing>, failures: Vec<Failure>) -> Report {
        let blind = Report::blind(Desired::default(), &FleetError("silent".to_owned()));
        Report { doing, failures, ..blind }
    }

    #[test]
    fn a_step_that_fails_again_and_again_is_no_progress_and_that_time_passes_neither() {
        let failed = report(vec![], vec![failure("7001", 1)]);
        let again = report(vec![Doing { for_seconds: 2.5, ..doing("7001", None) }], vec![failure("7001", 1)]);
        let once_more = report(vec![], vec![failure("7001", 2)]);
        for (now, before) in [(&again, &failed), (&once_more, &again), (&once_more, &failed)] {
            assert!(now.is_no_further_than(before), "{now:#?} {before:#?}");
        }
        assert!(!report(vec![], vec![]).is_no_further_than(&failed), "that it does not fail any more is something new");
        assert!(!report(vec![], vec![failure("7002", 1)]).is_no_further_than(&failed));
    }

    #[test]
    fn what_comes_further_is_progress() {
        let node = |at: u8| NodeRef {
            id: NodeId::from_bytes([at; 20]),
            address: format!("10.0.0.{at}:7000").parse().unwrap(),
        };
        let action = Action::MoveSlots {
            slots: SlotSet::new().complement(),
            from: node(1),
            to: node(2),
            dialect: Dialect::default(),
            keys: 0,
            bytes: 0,
        };
        let moves =
            |progress: &str| report(vec![Doing { action: action.clone(), ..doing("", Some(progress)) }], vec![]);
        assert!(moves("12 slots").is_no_further_than(&moves("12 slots")));
        assert!(!moves("13 slots").is_no_further_than(&moves("12 slots")));
        // What a step waits for is told anew by each attempt.
        let waiting = report(vec![doing("7001", Some("7001 to serve"))], vec![]);
        let failed = report(vec![], vec![failure("7001", 1)]);
        assert!(report(vec![doing("7001", None)], vec![]).is_no_further_than(&waiting));
        assert!(failed.is_no_further_than(&waiting));
        assert!(Report { failures: failed.failures.clone(), ..waiting }.is_no_further_than(&failed));
        let waits = |progress: &str| {
            let (what, why) = ("member 7001".to_owned(), "it does not answer".to_owned());
            let wait = Wait { what, why, progress: Some(progress.to_owned()), advice: None };
            Report { waits: vec![wait], ..report(vec![], vec![]) }
        };
        assert!(!waits("43 % loaded").is_no_further_than(&waits("42 % loaded")));
        assert!(waits("42 % loaded").is_no_further_than(&waits("42 % loaded")));
    }
}
