//! How replicas get the data of their primaries: a stream of changes, taken up where it stopped or after a full copy.
//!
//! A replica takes what its primary has written; nothing is under way in between. What a process has written before it is killed still
//! arrives, as it does from the buffers of a machine that goes on; what a machine has written that cannot be reached any more does not.

use crate::{
    bus::{At, Bus, Connection, Event, Millis},
    server::{Process, Server},
    stream::{Change, Stream},
    world::World,
};
use std::collections::BTreeMap;
use topology::{NodeId, Slot, SlotSet};

/// `repl-timeout`
const TIMEOUT: Millis = 60_000;
/// Time between two tries to reach the primary.
const RETRY: Millis = 1000;

/// How a replica gets its data.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// The process that it gets it from.
    pub(crate) from: Option<(At, u32)>,
    pub(crate) is_linked: bool,
    pub(crate) is_copying: bool,
    /// Since when the link is down; none where it never was up, or is up.
    pub(crate) down_since: Option<Millis>,
    /// When something came last.
    pub(crate) heard: Millis,
    /// Counts tries: a copy that was begun for an earlier one is of no use.
    attempt: u64,
}

impl Upstream {
    /// A link that is up.
    pub(crate) const fn linked(from: (At, u32), now: Millis) -> Self {
        Self { from: Some(from), is_linked: true, is_copying: false, down_since: None, heard: now, attempt: 1 }
    }
}

impl Server {
    /// Begins to follow its primary, wherever that is now.
    pub(crate) fn connect_upstream(&mut self, bus: &mut Bus) {
        let before = self.upstream.take();
        // Servers forget here since when they had no link, so that a second primary that is lost before the first sync could never be
        // replaced by a replica that has all of its data; the model is kinder there.
        let down_since = match &before {
            Some(upstream) if upstream.is_linked => Some(bus.now),
            Some(upstream) => upstream.down_since,
            None => None,
        };
        let attempt = before.map_or(0, |before| before.attempt) + 1;
        self.upstream =
            Some(Upstream { from: None, is_linked: false, is_copying: false, down_since, heard: bus.now, attempt });
        let delay = bus.delay();
        bus.after(delay, Event::Upstream(self.at, self.incarnation));
    }

    /// Loses its link.
    pub(crate) fn cut_upstream(&mut self, bus: &mut Bus) {
        if let Some(upstream) = &mut self.upstream {
            if upstream.is_linked {
                upstream.down_since = Some(bus.now);
            }
            (upstream.is_linked, upstream.is_copying, upstream.from) = (false, false, None);
            upstream.attempt += 1;
            bus.after(RETRY, Event::Upstream(self.at, self.incarnation));
            self.note(bus, format_args!("has no link to its primary"));
        }
    }

    pub(crate) fn apply(&mut self, bus: &mut Bus, change: &Change) {
        match change {
            Change::Set(key, value) => self.data.set(key, *value),
            Change::Delete(key) => drop(self.data.remove(key)),
            Change::DropSlots(slots) => drop(self.data.drop_slots(slots)),
            Change::Function(library) => self.functions.push(library.clone()),
            Change::Mark(slot, importing, migrating) => {
                set_mark(&mut self.importing, *slot, *importing);
                set_mark(&mut self.migrating, *slot, *migrating);
            }
            Change::Owner(slot, owner) => {
                set_mark(&mut self.importing, *slot, None);
                set_mark(&mut self.migrating, *slot, None);
                if self.nodes.contains_key(owner) {
                    self.assign(bus, &SlotSet::from(*slot..=*slot), Some(*owner));
                }
            }
            Change::Word(_) => {}
        }
    }
}

pub(crate) fn set_mark(marks: &mut BTreeMap<Slot, NodeId>, slot: Slot, other: Option<NodeId>) {
    match other {
        Some(other) => drop(marks.insert(slot, other)),
        None => drop(marks.remove(&slot)),
    }
}

impl World {
    /// Writes something on a primary and lets its replicas know.
    pub(crate) fn write(&mut self, at: At, change: Change) {
        let Some(server) = self.servers.get_mut(at) else { return };
        server.apply(&mut self.bus, &change);
        server.stream.write(change);
        self.let_pull(at);
    }

    /// Lets those who follow a server take what it has written.
    pub(crate) fn let_pull(&mut self, at: At) {
        let followers: Vec<(At, u32)> = self
            .servers
            .iter()
            .filter(|server| server.upstream.as_ref().is_some_and(|up| up.from.is_some_and(|(from, _)| from == at)))
            .map(|server| (server.at, server.incarnation))
            .collect();
        for (follower, incarnation) in followers {
            let delay = self.bus.delay();
            self.bus.after(delay, Event::Pull(follower, incarnation));
        }
    }

    /// How many replicas are connected to a server.
    pub(crate) fn count_replicas(&self, at: At) -> usize {
        self.followers(at).count()
    }

    pub(crate) fn followers(&self, at: At) -> impl Iterator<Item = &Server> {
        let process = self.servers.get(at).map(|server| (at, server.incarnation));
        self.servers.iter().filter(move |server| {
            server.process != Process::Down && server.upstream.as_ref().is_some_and(|up| up.from == process)
        })
    }

    /// A replica tries to reach its primary.
    pub(crate) fn reach_upstream(&mut self, at: At) {
        let Some(server) = self.servers.get(at) else { return };
        let Some(upstream) = server.upstream.as_ref().filter(|up| !up.is_linked && !up.is_copying) else { return };
        let (attempt, incarnation) = (upstream.attempt, server.incarnation);
        let address = server.primary().and_then(|id| server.nodes.get(&id)).and_then(|known| known.address);
        let host = self.bus.doors.get(at).map_or(0, |door| door.host);
        let connection = address.map(|address| self.bus.connect(host, address.ip, address.port));
        let Some(Connection::To(to, process)) = connection else { return self.try_later(at) };
        let Some(primary) = self.servers.get(to).filter(|primary| primary.runs() && to != at) else {
            return self.try_later(at);
        };
        if primary.upstream.as_ref().is_some_and(|up| !up.is_linked) {
            return self.try_later(at);
        }
        let continues = primary.stream.continues(&server.stream);
        let delay = primary.settings.copy_delay + self.bus.random.u64(5..60);
        let Some(server) = self.servers.get_mut(at) else { return };
        let Some(upstream) = &mut server.upstream else { return };
        upstream.from = Some((to, process));
        if continues {
            self.link(at, to);
        } else {
            upstream.is_copying = true;
            server.note(&mut self.bus, format_args!("gets a full copy"));
            self.bus.after(delay, Event::Copied(at, incarnation, attempt));
        }
    }

    fn try_later(&mut self, at: At) {
        let incarnation = self.servers.get(at).map_or(0, |server| server.incarnation);
        self.bus.after(RETRY, Event::Upstream(at, incarnation));
    }

    /// The link of a replica is up.
    fn link(&mut self, at: At, to: At) {
        let Some(id) = self.servers.get(to).map(|primary| primary.stream.id.clone()) else { return };
        let Some(server) = self.servers.get_mut(at) else { return };
        if server.stream.id != id {
            server.stream.begin_anew(id);
        }
        if let Some(upstream) = &mut server.upstream {
            (upstream.is_linked, upstream.is_copying, upstream.down_since) = (true, false, None);
            upstream.heard = self.bus.now;
        }
        server.note(&mut self.bus, format_args!("is linked to its primary"));
        let incarnation = server.incarnation;
        self.bus.after(0, Event::Pull(at, incarnation));
    }

    /// A full copy has arrived.
    pub(crate) fn copied(&mut self, at: At, attempt: u64) {
        let Some(server) = self.servers.get(at) else { return };
        let Some(upstream) = server.upstream.as_ref().filter(|up| up.is_copying && up.attempt == attempt) else {
            return;
        };
        let Some((to, process)) = upstream.from else { return };
        let lives = |primary: &&Server| primary.runs() && primary.incarnation == process;
        let primary = self.servers.get(to).filter(lives).filter(|_| self.bus.reaches(at, to));
        let Some(primary) = primary else {
            if let Some(server) = self.servers.get_mut(at) {
                server.cut_upstream(&mut self.bus);
            }
            return;
        };
        let (data, functions) = (primary.data.clone(), primary.functions.clone());
        let mut stream = Stream::new(primary.stream.id.clone());
        stream.offset = primary.stream.offset;
        stream.first = stream.offset;
        if let Some(server) = self.servers.get_mut(at) {
            (server.data, server.functions, server.stream) = (data, functions, stream);
        }
        self.link(at, to);
    }

    /// A replica takes what has been written, if its primary can be reached or has just ended.
    pub(crate) fn pull(&mut self, at: At) {
        let Some(server) = self.servers.get(at).filter(|server| server.runs()) else { return };
        let Some(upstream) = server.upstream.as_ref().filter(|up| up.is_linked) else { return };
        let Some((from, process)) = upstream.from.filter(|(from, _)| self.bus.reaches(at, *from)) else { return };
        let Some(primary) = self.servers.get(from) else { return };
        // A stopped process sends nothing; what a killed one has sent arrives.
        if matches!(primary.process, Process::Paused | Process::Loading) {
            return;
        }
        let is_gone = primary.incarnation != process && primary.process != Process::Down;
        let news: Vec<(u64, Change)> = if is_gone || primary.stream.id != server.stream.id {
            Vec::new()
        } else {
            primary.stream.after(server.stream.offset).cloned().collect()
        };
        let is_other = primary.stream.id != server.stream.id;
        let is_down = primary.process == Process::Down;
        let now = self.bus.now;
        let Some(server) = self.servers.get_mut(at) else { return };
        if let Some(upstream) = &mut server.upstream {
            upstream.heard = now;
        }
        if is_gone || is_other || is_down && news.is_empty() {
            return server.cut_upstream(&mut self.bus);
        }
        if news.is_empty() {
            return;
        }
        for (end, change) in news {
            server.apply(&mut self.bus, &change);
            server.stream.write(change);
            server.stream.offset = end;
        }
        let is_asked = server.asked.until > 0;
        if is_down {
            server.cut_upstream(&mut self.bus);
        }
        if is_asked {
            self.soon(at);
        }
        self.let_pull(at);
    }

    /// What replication does in each turn of a server.
    pub(crate) fn tend_replication(&mut self, at: At) {
        let Some(server) = self.servers.get(at) else { return };
        let Some(upstream) = server.upstream.as_ref() else {
            // `repl-ping-replica-period`
            if server.turns.is_multiple_of(100) && self.count_replicas(at) > 0 {
                self.write(at, Change::Word(14));
            }
            return;
        };
        if !upstream.is_linked {
            return;
        }
        if self.bus.now - upstream.heard > TIMEOUT {
            if let Some(server) = self.servers.get_mut(at) {
                server.cut_upstream(&mut self.bus);
            }
            return;
        }
        self.pull(at);
    }
}
