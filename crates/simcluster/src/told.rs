//! What a test may know of a simulation without asking its servers.

use crate::{
    invariants::Violation,
    server::Process,
    simulation::{Number, Simulation},
};
use topology::{NodeView, Slot, SlotSet};

impl Simulation {
    /// What must not have been and was.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.look(|world| {
            world.check_invariants();
            world.violations.clone()
        })
    }

    /// Slots that no server claims, whether it runs or not: none on the way out of every operation.
    pub fn unowned_slots(&self) -> SlotSet {
        self.shared.look(|world| world.unowned())
    }

    /// Slots for which no server takes writes now.
    pub fn unserved_slots(&self) -> SlotSet {
        self.shared.look(|world| world.unserved())
    }

    /// The version that the owner of a key has of it.
    pub fn value(&self, key: &[u8]) -> Option<u64> {
        self.shared.look(|world| Some(world.holder(Slot::of_key(key))?.data.get(key)?.version))
    }

    /// What a server would say now, whether it can be reached or not; none of one that does not run.
    pub fn said(&self, number: Number) -> Option<NodeView> {
        self.shared.look(|world| {
            let replicas = world.count_replicas(number);
            let now = world.bus.now;
            let server = world.servers.get_mut(number).filter(|server| server.process != Process::Down)?;
            let info = server.info_text(now, replicas, None);
            NodeView::parse(&server.nodes_text(), &server.cluster_text(), &info).ok()
        })
    }

    /// How many servers have become primaries in the place of another one, by whatever way.
    pub fn takeovers(&self) -> u64 {
        self.shared.look(|world| world.bus.takeovers)
    }

    /// How many keys a server holds of slots that it does not own itself, nor its primary, by its own word.
    pub fn foreign_keys(&self, number: Number) -> u64 {
        self.shared.look(|world| {
            let Some(server) = world.servers.get(number) else { return 0 };
            let owner = server.primary().unwrap_or(server.me);
            let owned = server.nodes.get(&owner).map(|known| known.slots.clone()).unwrap_or_default();
            server.data.part(&server.data.used_slots().difference(&owned)).len() as u64
        })
    }

    /// The slots that a server owns by its own word, if it is a primary that runs.
    pub fn owned(&self, number: Number) -> SlotSet {
        self.shared.look(|world| {
            let server = world.servers.get(number).filter(|server| server.runs() && server.is_primary());
            server.map(crate::server::Server::slots).unwrap_or_default()
        })
    }

    /// How many keys a server holds.
    pub fn keys(&self, number: Number) -> u64 {
        self.shared.look(|world| world.servers.get(number).map_or(0, |server| server.data.len()))
    }

    /// Keeps so many lines of the trace; none makes it cost nothing.
    pub fn keep_trace(&self, lines: usize) {
        self.shared.look(|world| world.bus.trace.keep(lines));
    }

    /// What has happened, one line an event.
    pub fn trace(&self) -> String {
        self.shared.then(|world| world.bus.trace.text())
    }

    /// Writes a line of the test's own into the trace.
    pub fn note(&self, line: &str) {
        self.shared.look(|world| world.bus.note(format_args!("{line}")));
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.shared.look(|world| world.events)
    }
}
