//! A cluster that is there at once, for tests of what comes after its creation.

use crate::{
    replication::Upstream,
    server::Known,
    simulation::{Number, Simulation},
    stream::Stream,
    world::World,
};
use topology::{SlotSet, create::even_slots};

impl Simulation {
    /// Makes these new servers a cluster as `create` leaves it: the first of each shard is its primary, the slots are shared out evenly, and
    /// the replicas are linked. It takes no virtual time; the links of the cluster bus are there after two turns of the servers.
    pub fn form(&self, shards: &[Vec<Number>]) {
        let slots = even_slots(shards.len());
        self.shared.look(|world| {
            let mut nodes = Vec::new();
            for (members, slots) in shards.iter().zip(&slots) {
                nodes.extend(world.planned(members, slots));
            }
            for (number, _) in &nodes {
                let primary =
                    shards.iter().find(|members| members.contains(number)).and_then(|members| members.first());
                world.take_in(*number, primary.copied().filter(|primary| primary != number), &nodes);
            }
            world.bus.changed();
            world.bus.note(format_args!("the servers form {} shards", shards.len()));
        });
    }
}

impl World {
    /// What all servers are to believe of the members of a shard.
    fn planned(&self, members: &[Number], slots: &SlotSet) -> Vec<(Number, Known)> {
        let primary = members.first().and_then(|number| self.servers.get(*number)).map(|server| server.me);
        let planned = members.iter().enumerate().filter_map(|(at, number)| {
            let server = self.servers.get(*number)?;
            let (now, is_replica) = (self.bus.now, at > 0);
            let known = Known {
                address: Some(server.address),
                is_replica,
                primary: primary.filter(|_| is_replica),
                had_replicas: !is_replica && members.len() > 1,
                shard: primary.unwrap_or(server.me),
                epoch: *number as u64 + 1,
                slots: if is_replica { SlotSet::new() } else { slots.clone() },
                pong_received: now,
                data_received: now,
                ..Known::new(server.me, now)
            };
            Some((*number, known))
        });
        planned.collect()
    }

    /// Makes a server believe this, and follow its primary where it has one.
    fn take_in(&mut self, number: Number, primary: Option<Number>, nodes: &[(Number, Known)]) {
        let now = self.bus.now;
        let source = primary.and_then(|primary| self.servers.get(primary));
        let source = source.map(|source| (source.at, source.incarnation, source.stream.id.clone()));
        let Some(server) = self.servers.get_mut(number) else { return };
        for (_, known) in nodes {
            server.nodes.insert(known.clone());
        }
        server.knows_address = true;
        server.current_epoch = nodes.iter().map(|(_, known)| known.epoch).max().unwrap_or_default();
        server.size = nodes.iter().filter(|(_, known)| known.owns_slots()).count();
        // Long enough ago that it serves.
        (server.first_look, server.state_ok) = (Some(now.saturating_sub(60_000)), true);
        if let Some((at, incarnation, id)) = source {
            server.stream = Stream::new(id);
            server.upstream = Some(Upstream::linked((at, incarnation), now));
        }
    }
}
