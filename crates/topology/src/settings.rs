//! The planner for settings that all nodes have in common.

use crate::{
    ClusterView,
    plan::{Action, Cost, FORMAT, NodeRef, Plan, Step},
};

/// A plan by which every node that answers has this `cluster-node-timeout`, milliseconds.
pub fn plan_timeout(view: &ClusterView, milliseconds: u32) -> Plan {
    let reference = |(node, said): (&crate::ObservedNode, &crate::NodeView)| NodeRef {
        id: said.myself.id,
        address: node.address.clone(),
    };
    let nodes: Vec<NodeRef> = view.answering().map(reference).collect();
    let (setting, value) = ("cluster-node-timeout".to_owned(), milliseconds.to_string());
    let steps = vec![Step {
        stage: 1,
        action: Action::Configure { nodes: nodes.clone(), setting, value },
        reason: "all nodes judge silence alike".to_owned(),
    }];
    let silent = view.silent().map(|(node, _)| format!("{} does not answer and keeps what it has", node.address));
    Plan {
        format: FORMAT,
        goal: format!("a node is taken for failed after {milliseconds} ms of silence"),
        based_on: nodes,
        steps,
        reasons: silent.collect(),
        expected_after: Vec::new(),
        placement: None,
        cost: Cost::default(),
    }
}
