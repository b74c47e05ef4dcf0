//! Data that is lost, and the agents that mind it: none starts a server whose data is gone while a replica has a copy.

use crate::{
    data::Data,
    server::{Process, Server},
    simulation::{Number, Simulation},
};

impl Simulation {
    /// Empties the data of a server that does not run; what it knows of its cluster stays.
    pub fn lose_keys(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = world.servers.get_mut(number).filter(|server| server.process == Process::Down) {
                (server.data, server.functions) = (Data::default(), Vec::new());
                server.note(&mut world.bus, format_args!("loses its data"));
            }
        });
    }

    /// Whether a server has no data, and would cost a replica its copy if it were started now: that one follows it, or whoever is at its
    /// address.
    pub fn would_empty_a_replica(&self, number: Number) -> bool {
        self.shared.look(|world| {
            let Some(server) = world.servers.get(number).filter(|server| server.is_primary()) else { return false };
            let follows = |other: &Server| {
                let primary = other.primary().filter(|_| other.data.len() > 0);
                let known = primary.and_then(|primary| other.nodes.get(&primary));
                primary == Some(server.me) || known.is_some_and(|known| known.address == Some(server.address))
            };
            server.data.len() == 0 && world.servers.iter().any(follows)
        })
    }
}
