//! All servers with the bus between them, and what happens to them one event after the other.

use crate::{
    bus::{At, Bus, Event, Millis, START},
    faults::Faults,
    invariants::{Overlaps, Violation},
    message::Message,
    migration::Move,
    schedule::{Happened, Place, Schedule},
    server::{Process, Server},
};
use fastrand::Rng;
use std::{collections::BTreeMap, sync::Mutex};
use tokio::time::Instant;

/// Everything that there is.
pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    pub(crate) bus: Bus,
    pub(crate) faults: Faults,
    pub(crate) schedule: Schedule,
    /// What tests draw from.
    pub(crate) drawn: Rng,
    pub(crate) moves: BTreeMap<u64, Move>,
    pub(crate) moves_begun: u64,
    /// How long reading its data takes a server that starts.
    pub(crate) loading: Millis,
    pub(crate) violations: Vec<Violation>,
    pub(crate) overlaps: Overlaps,
    /// The revision that the invariants were checked of.
    checked: u64,
    /// Events that were handled.
    pub(crate) events: u64,
}

/// The world, and when it began by the runtime's clock.
///
/// Nobody drives it: whoever looks at it first lets everything happen that was due until then, in its order and at its time. So a world at
/// which nobody looks costs nothing, and needs no timer for each message.
pub(crate) struct Shared {
    world: Mutex<World>,
    begin: Instant,
}

impl Shared {
    pub(crate) fn new(seed: u64, given: Option<&[Happened]>) -> Self {
        let world = World {
            servers: Vec::new(),
            bus: Bus::new(seed),
            faults: Faults::default(),
            schedule: Schedule::new(seed, given),
            drawn: Rng::with_seed(seed.rotate_left(32) ^ 1),
            moves: BTreeMap::new(),
            moves_begun: 0,
            loading: 0,
            violations: Vec::new(),
            overlaps: Overlaps::default(),
            checked: 0,
            events: 0,
        };
        Self { world: Mutex::new(world), begin: Instant::now() }
    }

    /// The world as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let passed = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        world.advance(START.saturating_add(passed));
        look(&mut world)
    }

    /// The world as it was when somebody looked last, also where its time is over.
    pub(crate) fn then<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl World {
    /// Lets everything happen that is due until then.
    fn advance(&mut self, until: Millis) {
        while let Some(event) = self.bus.next(until) {
            self.events += 1;
            self.handle(event);
            self.check();
        }
    }

    /// Looks at the invariants where something has changed since the last look.
    pub(crate) fn check(&mut self) {
        if self.bus.revision != self.checked || self.overlaps.are_due(self.bus.now) {
            self.checked = self.bus.revision;
            self.check_invariants();
        }
    }

    /// What happens at a place, as it is drawn or as a list has it; 0 for nothing. It is written down with these words.
    pub(crate) fn happens(
        &mut self,
        place: Place,
        of: At,
        draw: impl FnOnce(&mut Rng) -> u64,
        words: impl FnOnce(u64) -> String,
    ) -> u64 {
        let Some((key, what)) = self.schedule.ask(place, of, draw) else { return 0 };
        let words = words(what);
        self.bus.note(format_args!("{words}"));
        let since = self.bus.now.saturating_sub(START);
        self.schedule.note((key, what), format!("{:>4}.{:03} {words}", since / 1000, since % 1000));
        what
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Turn(at, incarnation) => self.turn(at, incarnation),
            Event::Soon(at, incarnation) => {
                if let Some(server) = of(&mut self.servers, at, incarnation).filter(|server| server.runs()) {
                    server.later.failover = true;
                    server.finish(&mut self.bus);
                }
            }
            Event::Deliver { to, incarnation, message } => self.deliver(to, incarnation, message),
            Event::Upstream(at, incarnation) => match of(&mut self.servers, at, incarnation) {
                Some(server) if server.runs() => self.reach_upstream(at),
                Some(_) => self.bus.after(1000, Event::Upstream(at, incarnation)),
                None => {}
            },
            // Of a primary that has ended it takes what that has sent, and sees that there is nobody any more.
            Event::Pull(at, incarnation) | Event::Cut(at, incarnation) => {
                if of(&mut self.servers, at, incarnation).is_some() {
                    self.pull(at);
                }
            }
            Event::Copied(at, incarnation, attempt) => match of(&mut self.servers, at, incarnation) {
                Some(server) if server.runs() => self.copied(at, attempt),
                Some(_) => self.bus.after(100, Event::Copied(at, incarnation, attempt)),
                None => {}
            },
            Event::Loaded(at, incarnation) => {
                let Some(server) = of(&mut self.servers, at, incarnation) else { return };
                server.loaded(&mut self.bus);
                self.deliver_waiting(at);
            }
            Event::Migration(number) => self.step_move(number),
        }
    }

    fn turn(&mut self, at: At, incarnation: u32) {
        let Some(server) = of(&mut self.servers, at, incarnation) else { return };
        match server.process {
            Process::Up => {
                server.turn(&mut self.bus);
                self.tend_replication(at);
            }
            Process::Paused | Process::Loading => self.bus.after(100, Event::Turn(at, incarnation)),
            Process::Down => {}
        }
    }

    fn deliver(&mut self, to: At, incarnation: u32, message: Box<Message>) {
        if !self.bus.reaches(message.from, to) {
            return;
        }
        let Some(server) = of(&mut self.servers, to, incarnation) else { return };
        match server.process {
            Process::Up => server.receive(&mut self.bus, &message),
            Process::Paused | Process::Loading => server.waiting.push(*message),
            Process::Down => {}
        }
    }

    /// What came while a server was paused or loading.
    pub(crate) fn deliver_waiting(&mut self, at: At) {
        let Some(server) = self.servers.get_mut(at) else { return };
        for message in std::mem::take(&mut server.waiting) {
            server.receive(&mut self.bus, &message);
        }
    }

    /// Lets a server look at its failover as soon as it has done what it does.
    pub(crate) fn soon(&mut self, at: At) {
        if let Some(server) = self.servers.get(at) {
            self.bus.after(0, Event::Soon(at, server.incarnation));
        }
    }

    pub(crate) fn kill(&mut self, at: At) {
        let Some(server) = self.servers.get_mut(at).filter(|server| server.process != Process::Down) else { return };
        let process = (at, server.incarnation);
        server.stop(&mut self.bus);
        // The machine goes on and closes what the process had open.
        for other in 0..self.servers.len() {
            if !self.bus.reaches(at, other) {
                continue;
            }
            let Some(server) = self.servers.get_mut(other) else { continue };
            for known in server.nodes.values_mut() {
                if known.link.is_some_and(|link| link.to == Some(process)) {
                    known.link = None;
                }
            }
            if server.upstream.as_ref().is_some_and(|up| up.from == Some(process)) {
                let delay = self.bus.delay() + 1;
                self.bus.after(delay, Event::Cut(other, server.incarnation));
            }
        }
    }
}

/// The server, if it is still the same process.
fn of(servers: &mut [Server], at: At, incarnation: u32) -> Option<&mut Server> {
    servers.get_mut(at).filter(|server| server.incarnation == incarnation)
}
