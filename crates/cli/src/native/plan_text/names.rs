//! What nodes are called in a plan: by their ports alone where all are on one host.

use topology::plan::{NodeRef, Plan};

/// How the nodes of a plan are called.
pub(crate) struct Names {
    /// The host that all are on, with the colon behind it.
    host: Option<String>,
    /// How many nodes there are.
    nodes: usize,
    /// Columns of the longest name.
    width: usize,
}

impl Names {
    pub(crate) fn of(plan: &Plan) -> Self {
        let first = plan.based_on.first().map(|node| &node.address.host);
        let same = plan.based_on.iter().all(|node| Some(&node.address.host) == first);
        // Every address ends with its port, and what stands before that is the same for all.
        let host = plan.based_on.first().filter(|_| same).map(|node| {
            let address = node.address.bare();
            address.strip_suffix(&node.address.port.to_string()).unwrap_or_default().to_owned()
        });
        let mut names = Self { host: host.filter(|host| !host.is_empty()), nodes: plan.based_on.len(), width: 0 };
        names.width = plan.based_on.iter().map(|node| names.of_node(node).len()).max().unwrap_or_default();
        names
    }

    /// The name of a node.
    pub(crate) fn of_node(&self, node: &NodeRef) -> String {
        match &self.host {
            Some(host) if node.address.bare().starts_with(host) => node.address.port.to_string(),
            _ => node.address.bare(),
        }
    }

    /// One node and another, the second in a column of its own.
    pub(crate) fn pair(&self, one: &NodeRef, between: &str, other: &NodeRef) -> String {
        format!("{:width$} {between} {}", self.of_node(one), self.of_node(other), width = self.width)
    }

    /// All nodes, or these by name.
    pub(crate) fn all_or(&self, nodes: &[NodeRef]) -> String {
        if nodes.len() >= self.nodes || nodes.len() > 6 {
            return if nodes.len() >= self.nodes { "all nodes".to_owned() } else { format!("{} nodes", nodes.len()) };
        }
        nodes.iter().map(|node| self.of_node(node)).collect::<Vec<_>>().join(", ")
    }

    /// A text with the nodes' names in place of their addresses.
    pub(crate) fn shortened(&self, text: &str) -> String {
        match &self.host {
            Some(host) => text.replace(host, ""),
            None => text.to_owned(),
        }
    }
}
