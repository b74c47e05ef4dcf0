//! `CLUSTER INFO`: what a server says of its cluster as a whole.

/// What `CLUSTER INFO` tells, as far as it is needed here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// `cluster_state` is `ok`: the node serves its slots.
    pub state_ok: bool,
    /// `cluster_slots_assigned`, 0 to 16384.
    pub slots_assigned: u16,
    /// `cluster_slots_pfail`: of owners that this node alone has not heard within the node timeout.
    pub slots_suspected: u16,
    /// `cluster_slots_fail`: of owners that a majority has not heard.
    pub slots_failed: u16,
    /// `cluster_known_nodes`, itself included.
    pub known_nodes: usize,
    /// `cluster_size`: primaries that own slots.
    pub size: usize,
    /// `cluster_current_epoch`.
    pub current_epoch: u64,
    /// `cluster_my_epoch`.
    pub my_epoch: u64,
    /// `cluster_stats_messages_publish_received`: since the server started, from all others.
    pub published_received: u64,
    /// `cluster_stats_messages_meet_received`: likewise.
    pub meets_received: u64,
}

impl ClusterInfo {
    /// All of it that does not count on while nothing happens.
    pub(crate) fn essence(&self) -> Self {
        Self { published_received: 0, meets_received: 0, ..self.clone() }
    }

    /// Reads the reply of `CLUSTER INFO`; missing fields are zero.
    pub fn parse(text: &str) -> Self {
        let mut info = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.trim_end().split_once(':') else { continue };
            let number = || value.parse().unwrap_or_default();
            match name {
                "cluster_state" => info.state_ok = value == "ok",
                "cluster_slots_assigned" => info.slots_assigned = value.parse().unwrap_or_default(),
                "cluster_slots_pfail" => info.slots_suspected = value.parse().unwrap_or_default(),
                "cluster_slots_fail" => info.slots_failed = value.parse().unwrap_or_default(),
                "cluster_known_nodes" => info.known_nodes = value.parse().unwrap_or_default(),
                "cluster_size" => info.size = value.parse().unwrap_or_default(),
                "cluster_current_epoch" => info.current_epoch = number(),
                "cluster_my_epoch" => info.my_epoch = number(),
                "cluster_stats_messages_publish_received" => info.published_received = number(),
                "cluster_stats_messages_meet_received" => info.meets_received = number(),
                _ => {}
            }
        }
        info
    }
}
