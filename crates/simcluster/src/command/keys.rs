//! Keys: counted, listed, read and written, with the redirections of the cluster.

use super::{Outcome, Session, error, integer, ok};
use crate::{
    bus::{At, Millis},
    data::Value,
    server::Server,
    stream::Change,
    world::World,
};
use operations::port::{Command, Key};
use topology::{Reply, Slot};

/// What `MEMORY USAGE` says of every key.
const BYTES: i64 = 100;

impl World {
    pub(super) fn use_keys(&mut self, at: At, session: &Session, command: &Command) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        match command {
            Command::CountKeysInSlot(slot) => {
                let keys = if server.tells_of(*slot) { server.data.count(*slot) } else { 0 };
                integer(keys as u64).into()
            }
            Command::KeysInSlot(slot, most) => {
                let keys = server.data.keys(*slot).take(if server.tells_of(*slot) { *most as usize } else { 0 });
                Reply::List(keys.cloned().map(Reply::Bytes).collect()).into()
            }
            Command::DatabaseSize => integer(server.data.len()).into(),
            // All in one page.
            Command::Scan(..) => {
                let keys = server.data.all().map(|(key, _)| Reply::Bytes(key.clone())).collect();
                Reply::List(vec![Reply::text("0"), Reply::List(keys)]).into()
            }
            Command::MemoryUsage(key) => self.read(at, session, key, |_, _| Reply::Integer(BYTES)),
            Command::Exists(key) => match self.read(at, session, key, |_, _| Reply::Integer(1)) {
                Outcome::Reply(Reply::Nil) => Reply::Integer(0).into(),
                outcome => outcome,
            },
            Command::Dump(key) | Command::DumpLarge(key, _) => {
                self.read(at, session, key, |value, _| Reply::Bytes(value.dump()))
            }
            Command::DumpLength(key) => self.read(at, session, key, |value, _| integer(value.dump().len() as u64)),
            Command::TypeOf(key) => self.read(at, session, key, |_, _| Reply::text("string")),
            Command::TimeToLive(key) | Command::ExpiryTime(key) => {
                match self.read(at, session, key, |_, _| Reply::Integer(-1)) {
                    Outcome::Reply(Reply::Nil) => Reply::Integer(-2).into(),
                    outcome => outcome,
                }
            }
            Command::IdleTime(key) => {
                self.read(at, session, key, |value, now| integer(now.saturating_sub(value.used) / 1000))
            }
            Command::DropCopy(proof) => self.delete(at, session, proof.key()),
            Command::Delete(proof) => self.delete(at, session, proof.key()),
            Command::Unlink(arrived) => {
                let keys: Vec<Key> = arrived.iter().map(|arrived| arrived.key().clone()).collect();
                keys.iter().fold(Reply::Integer(0).into(), |_, key| self.delete(at, session, key))
            }
            Command::Restore(restoration) => {
                let held = self.servers.get(at).is_some_and(|server| server.data.get(&restoration.key).is_some());
                if held && !restoration.replace {
                    return error("BUSYKEY Target key name already exists.").into();
                }
                match Value::restore(&restoration.payload, self.bus.now) {
                    Some(value) => self.set(at, session, &restoration.key, value),
                    None => error("ERR DUMP payload version or checksum are wrong").into(),
                }
            }
            // Of a key that nobody has: what may answer is the owner of its slot.
            Command::Rehearse(_) => self.read(at, session, b"\0tribune", |_, _| Reply::Nil),
            Command::Typed(words) => self.typed(at, session, words),
            other => {
                let name = format!("{other:?}");
                error(format!("ERR unknown command '{}'", name.split(['(', ' ']).next().unwrap_or_default())).into()
            }
        }
    }

    /// `SET key version`, `GET key`, `DEL key`.
    fn typed(&mut self, at: At, session: &Session, words: &[Vec<u8>]) -> Outcome {
        let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        match (name.as_slice(), words.get(1), words.get(2)) {
            (b"SET", Some(key), Some(value)) => {
                let version = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                match version {
                    Some(version) => self.set(at, session, key, Value { version, used: self.bus.now }),
                    None => error("ERR the model keeps numbers only").into(),
                }
            }
            (b"GET", Some(key), None) => self.read(at, session, key, |value, _| Reply::text(value.version.to_string())),
            (b"DEL", Some(key), None) => self.delete(at, session, key),
            (b"SMEMBERS" | b"HGETALL" | b"LRANGE" | b"ZRANGE", Some(_), _) => {
                error("WRONGTYPE Operation against a key holding the wrong kind of value").into()
            }
            _ => error(format!("ERR unknown command '{}'", String::from_utf8_lossy(&name))).into(),
        }
    }

    fn read(&self, at: At, session: &Session, key: &[u8], tell: impl Fn(Value, Millis) -> Reply) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        if let Some(elsewhere) = server.redirection(session, key, false) {
            return elsewhere.into();
        }
        server.data.get(key).map_or(Reply::Nil, |value| tell(value, self.bus.now)).into()
    }

    /// Whether whoever writes this key has to wait.
    fn holds(&self, at: At, key: &[u8]) -> bool {
        let server = self.servers.get(at);
        server.is_some_and(|server| server.is_held(self.bus.now) || server.held_slots.contains(Slot::of_key(key)))
    }

    fn set(&mut self, at: At, session: &Session, key: &[u8], value: Value) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        if let Some(elsewhere) = server.redirection(session, key, true) {
            return elsewhere.into();
        }
        if self.holds(at, key) {
            return Outcome::Hold;
        }
        self.write(at, Change::Set(key.to_vec(), value));
        ok().into()
    }

    fn delete(&mut self, at: At, session: &Session, key: &[u8]) -> Outcome {
        let Some(server) = self.servers.get(at) else { return error("ERR").into() };
        if let Some(elsewhere) = server.redirection(session, key, true) {
            return elsewhere.into();
        }
        if self.holds(at, key) {
            return Outcome::Hold;
        }
        let is_there = server.data.get(key).is_some();
        if is_there {
            self.write(at, Change::Delete(key.to_vec()));
        }
        Reply::Integer(is_there.into()).into()
    }
}

impl Server {
    /// Whether it tells of keys in this slot: Redis 8.4 only of its own and of those that it imports.
    fn tells_of(&self, slot: Slot) -> bool {
        let own = self.primary().unwrap_or(self.me);
        !self.profile.hides_foreign_keys || self.owner(slot) == Some(own) || self.importing.contains_key(&slot)
    }

    /// Where a client is sent that asks for a key, or why it is refused: `getNodeByQuery`.
    pub(crate) fn redirection(&self, session: &Session, key: &[u8], writes: bool) -> Option<Reply> {
        let slot = Slot::of_key(key);
        let Some(owner) = self.nodes.values().find(|known| known.slots.contains(slot)) else {
            return Some(error("CLUSTERDOWN Hash slot not served"));
        };
        if !self.state_ok {
            return Some(error("CLUSTERDOWN The cluster is down"));
        }
        let is_here = self.data.get(key).is_some();
        let to = |word: &str, id| {
            let address = self.nodes.get(&id).and_then(|known| known.address);
            let (ip, port) = address.map_or((String::new(), 0), |address| (address.ip.to_string(), address.port));
            error(format!("{word} {slot} {ip}:{port}"))
        };
        if owner.id == self.me {
            return match self.migrating.get(&slot) {
                Some(target) if !is_here => Some(to("ASK", *target)),
                _ => None,
            };
        }
        if self.importing.contains_key(&slot) && session.asking && self.is_primary() {
            return None;
        }
        if session.reads_replica && !writes && self.primary() == Some(owner.id) {
            return None;
        }
        Some(to("MOVED", owner.id))
    }
}
