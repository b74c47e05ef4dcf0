//! What can happen to a cluster.

use std::{collections::BTreeSet, time::Duration};

/// A kind of event. Another kind is a variant here, how it is drawn in `draw.rs`, and what is done in `act.rs`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A server is killed.
    KillServer,
    /// An agent is killed, and its server with it.
    KillAgent,
    /// The supervisor with its loop is killed, and another one started.
    KillSupervisor,
    /// An agent is stopped in order, which hands over first.
    StopAgent,
    /// A server stands still for a while.
    Pause,
    /// Members are cut off together for a while.
    Partition,
    /// A replica loses its data.
    Wipe,
    /// The cluster gets another number of shards, or its own again.
    ScaleShards,
    /// The cluster gets another number of replicas, or its own again.
    ScaleReplicas,
    /// All members are started anew, one after the other.
    Roll,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::KillServer,
        Self::KillAgent,
        Self::KillSupervisor,
        Self::StopAgent,
        Self::Pause,
        Self::Partition,
        Self::Wipe,
        Self::ScaleShards,
        Self::ScaleReplicas,
        Self::Roll,
    ];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::KillServer => "kill-server",
            Self::KillAgent => "kill-agent",
            Self::KillSupervisor => "kill-supervisor",
            Self::StopAgent => "stop-agent",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Wipe => "wipe",
            Self::ScaleShards => "scale-shards",
            Self::ScaleReplicas => "scale-replicas",
            Self::Roll => "roll",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == text)
            .ok_or_else(|| format!("the events are {}", Self::ALL.map(Self::word).join(", ")))
    }
}

/// An event that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// To members, by port; `lasts` for those that end.
    Members { kind: Kind, ports: BTreeSet<u16>, lasts: Duration },
    /// To the supervisor: how long there is none.
    Supervisor { absent: Duration },
    /// To the cluster's shape.
    Shape { kind: Kind, shards: usize, replicas: usize },
    /// To all members, one after the other.
    Roll,
}

impl Event {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Members { kind, .. } | Self::Shape { kind, .. } => *kind,
            Self::Supervisor { .. } => Kind::KillSupervisor,
            Self::Roll => Kind::Roll,
        }
    }

    /// What happens, in words.
    pub(super) fn words(&self) -> String {
        let seconds = |lasts: &Duration| format!("{:.1} s", lasts.as_secs_f64());
        match self {
            Self::Members { kind, ports, lasts } => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                let ports = ports.join(" ");
                match kind {
                    Kind::Pause => format!("{ports} stands still for {}", seconds(lasts)),
                    Kind::Partition => format!("{ports} cut off for {}", seconds(lasts)),
                    Kind::Wipe => format!("replica {ports} loses its data"),
                    Kind::KillAgent => format!("the agent of {ports} is killed"),
                    Kind::StopAgent => format!("the agent of {ports} is stopped in order"),
                    _ => format!("the server of {ports} is killed"),
                }
            }
            Self::Supervisor { absent } => {
                format!("the supervisor is killed, and another one started after {}", seconds(absent))
            }
            Self::Shape { shards, replicas, .. } => format!("to {shards} shards with {replicas} replicas each"),
            Self::Roll => "all members are started anew".to_owned(),
        }
    }
}
