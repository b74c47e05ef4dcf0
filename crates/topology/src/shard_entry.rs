//! `CLUSTER SHARDS` (7.0): the shards as one server sees them.

use crate::{NodeId, Reply, Slot, SlotSet};

/// A shard in the reply of `CLUSTER SHARDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// The shard's slots.
    pub slots: SlotSet,
    /// Its nodes.
    pub nodes: Vec<ShardNode>,
}

/// A node in the reply of `CLUSTER SHARDS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardNode {
    /// The node's id.
    pub id: NodeId,
    /// The plain port, where it has one.
    pub port: Option<u16>,
    /// The TLS port, where it has one.
    pub tls_port: Option<u16>,
    /// Its IP address; empty while the server does not know its own.
    pub ip: String,
    /// Whether it is a primary.
    pub primary: bool,
    /// How much of the replication stream it has.
    pub replication_offset: u64,
    /// Its health.
    pub health: Health,
    /// `availability-zone` (Valkey 9.1).
    pub zone: Option<String>,
}

/// A node's health by `CLUSTER SHARDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// `online`
    Online,
    /// `failed`
    Failed,
    /// `loading`
    Loading,
    /// A word of a later version.
    Unknown,
}

/// A reply that is not one of `CLUSTER SHARDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a reply of CLUSTER SHARDS: {0}")]
pub struct NotShards(&'static str);

impl ShardEntry {
    /// Reads the reply of `CLUSTER SHARDS`.
    pub fn parse_all(reply: &Reply) -> Result<Vec<Self>, NotShards> {
        reply.as_list().ok_or(NotShards("it is no list"))?.iter().map(Self::parse).collect()
    }

    fn parse(reply: &Reply) -> Result<Self, NotShards> {
        let list = |name, problem| reply.field(name).and_then(Reply::as_list).ok_or(NotShards(problem));
        let mut slots = SlotSet::new();
        for pair in list("slots", "a shard has no slots")?.chunks(2) {
            let [first, last] = pair else { return Err(NotShards("a slot range has no end")) };
            let slot = |reply: &Reply| Slot::new(reply.as_integer()?.try_into().ok()?).ok();
            let (Some(first), Some(last)) = (slot(first), slot(last)) else {
                return Err(NotShards("a slot range is not made of slots"));
            };
            slots.insert_range(first..=last);
        }
        let nodes = list("nodes", "a shard has no nodes")?.iter().map(ShardNode::parse).collect::<Result<_, _>>()?;
        Ok(Self { slots, nodes })
    }
}

impl ShardNode {
    fn parse(reply: &Reply) -> Result<Self, NotShards> {
        let text = |name| reply.field(name).and_then(Reply::as_text);
        let number = |name| reply.field(name).and_then(Reply::as_integer);
        let port = |name| number(name).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let id = text("id").and_then(|id| id.parse().ok()).ok_or(NotShards("a node has no id"))?;
        Ok(Self {
            id,
            port: port("port"),
            tls_port: port("tls-port"),
            ip: text("ip").unwrap_or_default().into_owned(),
            primary: text("role").is_some_and(|role| role == "master"),
            replication_offset: number("replication-offset").and_then(|o| o.try_into().ok()).unwrap_or_default(),
            health: match text("health").as_deref() {
                Some("online") => Health::Online,
                Some("fail" | "failed") => Health::Failed,
                Some("loading") => Health::Loading,
                _ => Health::Unknown,
            },
            zone: text("availability-zone").filter(|zone| !zone.is_empty()).map(std::borrow::Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(items: impl IntoIterator<Item = Reply>) -> Reply {
        Reply::List(items.into_iter().collect())
    }

    #[test]
    fn slots_and_nodes_are_read() {
        let node = list(
            ["id", "07c37dfeb235213a872192d90877d0cd55635b91", "ip", "127.0.0.1", "role", "master", "health", "online"]
                .map(Reply::text)
                .into_iter()
                .chain([
                    Reply::text("port"),
                    Reply::Integer(7000),
                    Reply::text("replication-offset"),
                    Reply::Integer(9),
                ]),
        );
        let slots = list([0, 10, 12, 12].map(Reply::Integer));
        let reply = list([list([Reply::text("slots"), slots, Reply::text("nodes"), list([node])])]);
        let [shard] = &ShardEntry::parse_all(&reply).unwrap()[..] else { panic!("not one shard") };
        assert_eq!(shard.slots.to_string(), "0-10 12");
        let [node] = &shard.nodes[..] else { panic!("not one node") };
        assert_eq!((node.port, node.tls_port, node.primary, node.health), (Some(7000), None, true, Health::Online));
        assert_eq!(node.replication_offset, 9);
    }

    fn replies() -> impl Strategy<Value = Reply> {
        let word = prop_oneof!["slots", "nodes", "id", "port", "[0-9a-f]{40}"].prop_map(Reply::text);
        let leaf = prop_oneof![Just(Reply::Nil), any::<i64>().prop_map(Reply::Integer), word];
        leaf.prop_recursive(4, 40, 6, |inner| proptest::collection::vec(inner, 0..6).prop_map(Reply::List))
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_parser_panic(reply in replies()) {
            let _ = ShardEntry::parse_all(&reply);
        }
    }
}
