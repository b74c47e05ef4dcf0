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
            failures: Vec::new(),
            held: None,
            trouble: Some(error.to_string()),
        }
    }
}
