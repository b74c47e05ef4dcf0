//! `CLUSTER NODES`: one line for each node that a server knows.

mod read_lately;

use crate::{Host, NodeAddr, NodeId, Slot, SlotSet};
use std::{
    collections::BTreeMap,
    fmt,
    ops::{Deref, DerefMut},
    str::FromStr,
    sync::Arc,
};

/// What one server says of one node: a line of `CLUSTER NODES`. What does not change from one second to the next is in its
/// [`facts`](NodeFacts), which it gives access to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// When the ping that is not answered yet was sent, Unix milliseconds; 0 for none.
    pub ping_sent: u64,
    /// When the last pong came, Unix milliseconds by the server's clock; 0 for never.
    pub pong_received: u64,
    /// All the rest. Each server of a large cluster says the same of most nodes, each time: that is kept once.
    facts: Arc<NodeFacts>,
}

/// A line of `CLUSTER NODES` without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node's id.
    pub id: NodeId,
    /// Where the server believes that it listens.
    pub endpoint: Endpoint,
    /// The flags in the server's order.
    pub flags: Flags,
    /// Of a replica: its primary.
    pub primary: Option<NodeId>,
    /// The node's config epoch, or its primary's.
    pub config_epoch: u64,
    /// Whether the server's bus link to it is up.
    pub connected: bool,
    /// The slots it owns.
    pub slots: SlotSet,
    /// Open slots that move away, with their destination. Servers tell only their own, and Valkey 8 those of its primary.
    pub migrating: BTreeMap<Slot, NodeId>,
    /// Open slots that move here, with their source.
    pub importing: BTreeMap<Slot, NodeId>,
}

impl Deref for NodeEntry {
    type Target = NodeFacts;

    fn deref(&self) -> &NodeFacts {
        &self.facts
    }
}

impl DerefMut for NodeEntry {
    fn deref_mut(&mut self) -> &mut NodeFacts {
        Arc::make_mut(&mut self.facts)
    }
}

/// Where a node listens, as a server announces it: `ip:port@busport,hostname,name=value`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The host; none while the server does not know its own address, or for a node without address.
    pub host: Option<Host>,
    /// The client port; 0 for a node without address.
    pub port: u16,
    /// The bus port; servers before 4.0 do not tell it.
    pub bus_port: Option<u16>,
    /// `cluster-announce-hostname` (7.0).
    pub hostname: Option<String>,
    /// Auxiliary fields such as `shard-id` and `nodename` (7.2).
    pub auxiliary: BTreeMap<String, String>,
}

impl Endpoint {
    /// Where clients find the node; none while nobody knows.
    pub fn address(&self) -> Option<NodeAddr> {
        let host = self.host.clone().filter(|_| self.port != 0)?;
        Some(NodeAddr { host, port: self.port, bus_port: self.bus_port })
    }
}

/// A flag of a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Flag {
    /// `myself`: the server that was asked.
    Myself,
    /// `master`
    Primary,
    /// `slave`
    Replica,
    /// `fail?`: this server has not heard from it within the node timeout.
    PossiblyFailing,
    /// `fail`: a majority of primaries has not heard from it.
    Failing,
    /// `handshake`: met, but not known yet.
    Handshake,
    /// `noaddr`: its address is not known.
    NoAddress,
    /// `nofailover`: it will not try to become primary.
    NoFailover,
    /// A flag of a later version.
    Other(String),
}

/// The flags of a node, in the server's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags(Vec<Flag>);

/// A line that is not one of `CLUSTER NODES`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a line of CLUSTER NODES ({problem}): {line:?}")]
pub struct NotANodeEntry {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl NodeEntry {
    /// Reads the whole reply of `CLUSTER NODES`.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, NotANodeEntry> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        read_lately::with(|lately| lines.map(|line| lately.read(line)).collect())
    }
}

impl NodeFacts {
    /// The slots that the node calls open, in either direction; it tells only its own.
    pub fn open_slots(&self) -> SlotSet {
        self.migrating.keys().chain(self.importing.keys()).copied().collect()
    }

    /// Whether the node is a primary.
    pub fn is_primary(&self) -> bool {
        self.flags.has(&Flag::Primary)
    }

    /// Whether the node is a replica.
    pub fn is_replica(&self) -> bool {
        self.flags.has(&Flag::Replica)
    }
}

impl Flags {
    /// Whether this flag is set.
    pub fn has(&self, flag: &Flag) -> bool {
        self.0.contains(flag)
    }

    /// The flags in the server's order.
    pub fn iter(&self) -> impl Iterator<Item = &Flag> {
        self.0.iter()
    }
}

impl FromStr for NodeEntry {
    type Err = NotANodeEntry;

    fn from_str(line: &str) -> Result<Self, NotANodeEntry> {
        let not = |problem| NotANodeEntry { line: line.to_owned(), problem };
        let mut words = line.split_ascii_whitespace();
        let mut next = |problem| words.next().ok_or_else(|| not(problem));
        let id = next("no id")?.parse().map_err(|_| not("the id is not 40 hexadecimal digits"))?;
        let endpoint = next("no address")?.parse().map_err(not)?;
        let flags = next("no flags")?.parse().unwrap_or_default();
        let primary = match next("no primary")? {
            "-" => None,
            id => Some(id.parse().map_err(|_| not("the primary's id is not 40 hexadecimal digits"))?),
        };
        let mut number = |problem| next(problem)?.parse::<u64>().map_err(|_| not(problem));
        let ping_sent = number("no time of the last ping")?;
        let pong_received = number("no time of the last pong")?;
        let config_epoch = number("no config epoch")?;
        let connected = next("no link state")? == "connected";
        let mut facts = NodeFacts {
            id,
            endpoint,
            flags,
            primary,
            config_epoch,
            connected,
            slots: SlotSet::new(),
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
        };
        words.try_for_each(|word| facts.add_slots(word)).map_err(not)?;
        Ok(Self { ping_sent, pong_received, facts: Arc::new(facts) })
    }
}

impl NodeFacts {
    /// Takes in a slot word: `5`, `0-5460`, `[93->-id]` (migrating) or `[93-<-id]` (importing).
    fn add_slots(&mut self, word: &str) -> Result<(), &'static str> {
        let Some(open) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) else {
            let slots: SlotSet = word.parse().map_err(|_| "a word is not a slot range")?;
            self.slots = if self.slots.is_empty() { slots } else { self.slots.union(&slots) };
            return Ok(());
        };
        let (slot, other, open_slots) = if let Some((slot, other)) = open.split_once("->-") {
            (slot, other, &mut self.migrating)
        } else if let Some((slot, other)) = open.split_once("-<-") {
            (slot, other, &mut self.importing)
        } else {
            return Err("an open slot is neither migrating nor importing");
        };
        let slot = slot.parse().ok().and_then(|number| Slot::new(number).ok()).ok_or("an open slot is not a slot")?;
        open_slots.insert(slot, other.parse().map_err(|_| "an open slot's other node is not an id")?);
        Ok(())
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let mut fields = text.split(',');
        let address = fields.next().unwrap_or_default();
        let hostname = fields.next().filter(|name| !name.is_empty()).map(str::to_owned);
        let auxiliary = fields.filter_map(|field| field.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let (address, bus_port) = match address.rsplit_once('@') {
            Some((address, port)) => (address, Some(port.parse().map_err(|_| "the bus port is not a port")?)),
            None => (address, None),
        };
        let (host, port) = address.rsplit_once(':').ok_or("the address has no port")?;
        Ok(Self {
            host: if host.is_empty() { None } else { Host::parse(host) },
            port: port.parse().map_err(|_| "the port is not a port")?,
            bus_port: bus_port.filter(|port| *port != 0),
            hostname,
            auxiliary: auxiliary.collect(),
        })
    }
}

impl FromStr for Flags {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let flags = text.split(',').filter(|word| !word.is_empty() && *word != "noflags");
        Ok(Self(flags.map(Flag::from_word).collect()))
    }
}

impl Flag {
    fn from_word(word: &str) -> Self {
        match word {
            "myself" => Self::Myself,
            "master" => Self::Primary,
            "slave" => Self::Replica,
            "fail?" => Self::PossiblyFailing,
            "fail" => Self::Failing,
            "handshake" => Self::Handshake,
            "noaddr" => Self::NoAddress,
            "nofailover" => Self::NoFailover,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Flag {
    /// The servers' own word, which is `master` and `slave` in every version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Myself => "myself",
            Self::Primary => "master",
            Self::Replica => "slave",
            Self::PossiblyFailing => "fail?",
            Self::Failing => "fail",
            Self::Handshake => "handshake",
            Self::NoAddress => "noaddr",
            Self::NoFailover => "nofailover",
            Self::Other(word) => word,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "07c37dfeb235213a872192d90877d0cd55635b91";
    const OTHER: &str = "e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca";

    fn entry(line: &str) -> NodeEntry {
        line.replace("ID", ID).replace("OTHER", OTHER).parse().unwrap()
    }

    #[test]
    fn a_primary_with_ranges_and_open_slots() {
        let entry = entry(
            "ID 127.0.0.1:7000@17000 myself,master - 0 1426238317239 4 connected 0-5460 9000 [93-<-OTHER] [77->-OTHER]",
        );
        assert_eq!(entry.slots.to_string(), "0-5460 9000");
        assert!(entry.is_primary() && entry.connected && entry.flags.has(&Flag::Myself));
        assert_eq!(entry.importing.keys().map(|slot| slot.number()).collect::<Vec<_>>(), [93]);
        assert_eq!(entry.migrating.values().map(ToString::to_string).collect::<Vec<_>>(), [OTHER]);
    }

    #[test]
    fn a_failed_replica_with_name_and_auxiliary_fields() {
        let entry = entry(
            "ID ::1:7004@17004,db-4.example,shard-id=69bc080733d1355567173199cff4a6a039a2f024,nodename=four slave,fail,nofailover,later OTHER 1 2 3 disconnected",
        );
        assert_eq!(entry.endpoint.host, Some(Host::Ip("::1".parse().unwrap())));
        assert_eq!(entry.endpoint.hostname.as_deref(), Some("db-4.example"));
        assert_eq!(entry.endpoint.auxiliary["nodename"], "four");
        assert_eq!(entry.primary, OTHER.parse().ok());
        assert!(entry.is_replica() && !entry.connected && entry.flags.has(&Flag::Failing));
        let words: Vec<_> = entry.flags.iter().map(ToString::to_string).collect();
        assert_eq!(words, ["slave", "fail", "nofailover", "later"]);
    }

    #[test]
    fn nodes_that_do_not_know_their_address_have_none() {
        assert_eq!(entry("ID :7000@17000 myself,master - 0 0 0 connected").endpoint.host, None);
        let lost = entry("ID :0@0 noflags,noaddr - 0 0 0 disconnected").endpoint.clone();
        assert_eq!((lost.host, lost.port, lost.bus_port), (None, 0, None));
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = NodeEntry::parse_all("hello world").unwrap_err();
        assert_eq!(error.problem, "the id is not 40 hexadecimal digits");
        let line = format!("{ID} 127.0.0.1:7000@17000 master - 0 0 0 connected 0-99999");
        assert_eq!(NodeEntry::parse_all(&line).unwrap_err().problem, "a word is not a slot range");
    }

    #[test]
    fn lines_that_differ_in_their_times_alone_keep_these() {
        let at = |times: &str| format!("{ID} 127.0.0.1:7000@17000 master - {times} 4 connected 0-5460");
        let text = [at("0 5"), at("7 6"), at("7 6").replace("0-5460", "0-5461")].join("\n");
        let read = NodeEntry::parse_all(&text).unwrap();
        assert_eq!(read, text.lines().map(|line| line.parse().unwrap()).collect::<Vec<NodeEntry>>());
        let times: Vec<_> = read.iter().map(|entry| (entry.ping_sent, entry.pong_received)).collect();
        assert_eq!(times, [(0, 5), (7, 6), (7, 6)]);
    }

    proptest! {
        #[test]
        fn no_reply_makes_the_parser_panic(text in ".*") {
            let _ = NodeEntry::parse_all(&text);
        }

        #[test]
        fn no_line_that_looks_right_makes_the_parser_panic(
            line in "[0-9a-f]{38,41} [0-9a-f:.@,=-]{0,30} [a-z,?]{0,20} (-|[0-9a-f]{40}) [0-9]{0,22} [0-9]{1,3} [0-9]{1,3} connected( \\[?[0-9]{1,6}[-<>]{0,3}[0-9a-f]{0,40}\\]?){0,4}"
        ) {
            let _ = NodeEntry::parse_all(&line);
        }
    }
}
