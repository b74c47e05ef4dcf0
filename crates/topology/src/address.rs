//! Where a node listens.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    net::IpAddr,
    str::FromStr,
};

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name that the resolver knows.
    Name(String),
}

/// A node's address: host, client port and, where it is not the client port + 10000, cluster bus port.
///
/// Shown as `127.0.0.1:7000`, `[::1]:7000`, `db.example:7000@7100`. Two that are shown alike are equal, so that an address
/// is the same after it was written down.
#[derive(Clone, Debug)]
pub struct NodeAddr {
    /// The host.
    pub host: Host,
    /// The port for clients, 1 to 65535. With TLS, the TLS port.
    pub port: u16,
    /// The cluster bus port, where it is known or was given.
    pub bus_port: Option<u16>,
}

/// Text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not an address: HOST:PORT, such as 127.0.0.1:7000, [::1]:7000 or db.example:7000@17000", self.shown())]
pub struct NotAnAddress(pub String);

impl NotAnAddress {
    /// The text without what may be a password in it: it was perhaps meant as a URI.
    pub fn shown(&self) -> &str {
        behind_userinfo(&self.0).unwrap_or(&self.0)
    }
}

/// What is behind user and password in a text that was perhaps meant as a URI; none when there can be no password in it.
pub fn behind_userinfo(text: &str) -> Option<&str> {
    text.rsplit_once('@').map(|(_, behind)| behind).filter(|_| text.contains("://"))
}

impl PartialEq for NodeAddr {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for NodeAddr {}

impl PartialOrd for NodeAddr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeAddr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for NodeAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Host {
    /// The host as it stands in front of a port: IPv6 addresses in brackets.
    fn before_port(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            other => other.to_string(),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        match bare.unwrap_or(text).parse() {
            Ok(ip) => Some(Self::Ip(ip)),
            Err(_) if bare.is_some() || text.is_empty() => None,
            Err(_) if text.contains(|c: char| c.is_whitespace() || c.is_control() || "/@,[]:".contains(c)) => None,
            Err(_) => Some(Self::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl NodeAddr {
    /// An address without a bus port of its own.
    pub const fn new(host: Host, port: u16) -> Self {
        Self { host, port, bus_port: None }
    }

    /// The address of a host and a port that stand apart, as in `check 127.0.0.1 7000`.
    pub fn from_parts(host: &str, port: &str) -> Result<Self, NotAnAddress> {
        let parse = || Some(Self::new(Host::parse(host)?, parse_port(port)?));
        parse().ok_or_else(|| NotAnAddress(format!("{host} {port}")))
    }

    /// The cluster bus port: the one given, else the client port + 10000; none if that is no port.
    pub const fn bus_port(&self) -> Option<u16> {
        match self.bus_port {
            Some(port) => Some(port),
            None => self.port.checked_add(10000),
        }
    }

    /// The address as redis-cli and valkey-cli print it: IPv6 without brackets, no bus port.
    pub fn bare(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    const fn key(&self) -> (&Host, u16, Option<u16>) {
        (&self.host, self.port, self.bus_port())
    }

    /// Whether both lead to the same place for clients.
    pub fn same_endpoint(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

impl FromStr for NodeAddr {
    type Err = NotAnAddress;

    /// Reads `host:port[@busport]`, split at the last `@` and the last `:`, so that IPv6 works with and without brackets.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let parse = || {
            let (endpoint, bus_port) = match text.rsplit_once('@') {
                Some((endpoint, port)) => (endpoint, Some(parse_port(port)?)),
                None => (text, None),
            };
            let (host, port) = endpoint.rsplit_once(':')?;
            Some(Self { host: Host::parse(host)?, port: parse_port(port)?, bus_port })
        };
        parse().ok_or_else(|| NotAnAddress(text.to_owned()))
    }
}

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.before_port(), self.port)?;
        match self.bus_port {
            Some(bus_port) if Some(bus_port) != self.port.checked_add(10000) => write!(f, "@{bus_port}"),
            _ => Ok(()),
        }
    }
}

impl Serialize for NodeAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeAddr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        // Port 0 stands for a node whose address is not known; nobody can dial or type it.
        let nowhere = text.strip_suffix(":0").and_then(Host::parse).map(|host| Self::new(host, 0));
        nowhere.map_or_else(|| text.parse(), Ok).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for NodeAddr {
    fn schema_name() -> Cow<'static, str> {
        "NodeAddr".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "HOST:PORT, with @BUSPORT where the bus port is not PORT + 10000; IPv6 in brackets."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_that_people_type_is_understood() {
        for (typed, shown, bus) in [
            ("127.0.0.1:7000", "127.0.0.1:7000", Some(17000)),
            ("127.0.0.1:7000@17000", "127.0.0.1:7000", Some(17000)),
            ("127.0.0.1:7000@9000", "127.0.0.1:7000@9000", Some(9000)),
            ("::1:7000", "[::1]:7000", Some(17000)),
            ("[fe80::1]:7000@1", "[fe80::1]:7000@1", Some(1)),
            ("db-0.example:7000", "db-0.example:7000", Some(17000)),
            ("10.0.0.1:60000", "10.0.0.1:60000", None),
        ] {
            let address: NodeAddr = typed.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.bus_port()), (shown, bus), "{typed}");
        }
        assert_eq!("::1:7000".parse::<NodeAddr>().unwrap().bare(), "::1:7000");
        assert_eq!(NodeAddr::from_parts("::1", "7000"), "[::1]:7000".parse());
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_text() {
        for typed in [
            "",
            "7000",
            ":7000",
            "host",
            "host:0",
            "host:70000",
            "host:port",
            "a b:1",
            "[host]:1",
            "h:1@",
            "http://h:1",
        ] {
            assert_eq!(typed.parse::<NodeAddr>(), Err(NotAnAddress(typed.into())), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn ip_addresses_round_trip(ip: IpAddr, port in 1..=u16::MAX, bus_port in proptest::option::of(1..=u16::MAX)) {
            let address = NodeAddr { host: Host::Ip(ip), port, bus_port };
            let read: NodeAddr = address.to_string().parse().unwrap();
            prop_assert_eq!(&read, &address);
            prop_assert_eq!(read.bus_port(), address.bus_port());
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = text.parse::<NodeAddr>();
        }
    }
}
