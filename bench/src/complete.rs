//! Whether servers have become the cluster that was asked for, by their own words. Pure.

use std::collections::BTreeMap;

/// Whether a server says by `CLUSTER INFO` that it serves in a cluster of so many nodes with all slots.
pub(crate) fn serves(cluster_info: &str, nodes: usize) -> bool {
    let says = |line: &str| cluster_info.lines().any(|said| said.trim_end() == line);
    says("cluster_state:ok") && says("cluster_slots_assigned:16384") && says(&format!("cluster_known_nodes:{nodes}"))
}

/// Whether all say the same by `CLUSTER NODES`: who there is, who replicates whom, who owns what; and so many replicate.
pub(crate) fn agree(cluster_nodes: &[String], replicas: usize) -> bool {
    let mut said = cluster_nodes.iter().map(|text| text.lines().map(entry).collect::<Option<BTreeMap<_, _>>>());
    let Some(Some(first)) = said.next() else { return false };
    let replicating = first.values().filter(|entry| entry.primary != "-").count();
    replicating == replicas && said.all(|other| other.as_ref() == Some(&first))
}

/// Whether all say the same of slots, and none is on its way.
pub(crate) fn agree_on_slots(cluster_nodes: &[String]) -> bool {
    let replicas = cluster_nodes.first().map_or(0, |text| text.matches(" slave ").count());
    let myself = cluster_nodes.first().map_or(0, |text| text.matches("myself,slave ").count());
    agree(cluster_nodes, replicas + myself)
        && !cluster_nodes.iter().any(|text| ["->-", "-<-"].iter().any(|open| text.contains(open)))
}

/// What a server says of a node.
#[derive(PartialEq, Eq)]
struct Entry<'a> {
    /// The id of its primary, or `-`.
    primary: &'a str,
    slots: Vec<&'a str>,
}

/// A line of `CLUSTER NODES`; none for a node that is not known yet.
fn entry(line: &str) -> Option<(&str, Entry<'_>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, _address, flags, primary, _ping, _pong, _epoch, _link, ref slots @ ..] = words[..] else { return None };
    let known = !flags.split(',').any(|flag| flag == "handshake");
    known.then(|| (id, Entry { primary, slots: slots.to_vec() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_known_nodes:6\r\n";

    #[test]
    fn a_server_serves_when_it_knows_all_nodes_and_all_slots() {
        assert!(serves(INFO, 6));
        assert!(!serves(INFO, 60));
        assert!(!serves(&INFO.replace(":ok", ":fail"), 6));
        assert!(!serves(&INFO.replace("16384", "16383"), 6));
    }

    const SEEN_BY_A: &str =
        "a 127.0.0.1:1@2 myself,master - 0 0 1 connected 0-16383\nb 127.0.0.1:3@4 slave a 0 5 1 connected\n";
    const SEEN_BY_B: &str =
        "b 127.0.0.1:3@4 myself,slave a 0 0 1 connected\na 127.0.0.1:1@2 master - 0 7 1 connected 0-16383\n";

    #[test]
    fn views_agree_whatever_their_order_and_times() {
        assert!(agree(&[SEEN_BY_A.into(), SEEN_BY_B.into()], 1));
    }

    #[test]
    fn views_differ_by_role_slots_or_a_node_in_handshake() {
        for different in [
            SEEN_BY_B.replace("myself,slave a", "myself,master -"),
            SEEN_BY_B.replace("0-16383", "0-16382"),
            SEEN_BY_B.replace("master -", "handshake -"),
            SEEN_BY_B.lines().take(1).collect(),
            "nonsense".into(),
        ] {
            assert!(!agree(&[SEEN_BY_A.into(), different.clone()], 1), "{different}");
        }
    }

    #[test]
    fn a_cluster_without_its_replicas_is_not_complete() {
        assert!(!agree(&[SEEN_BY_A.into(), SEEN_BY_B.into()], 0));
        assert!(!agree(&[], 0));
    }
}
