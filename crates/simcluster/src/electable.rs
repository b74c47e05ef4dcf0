//! Agents keep replicas from being elected that have nothing of their primary's data.

use crate::{fleet::SimulatedFleet, server::Server, simulation::Number, world::World};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;
use topology::NodeId;

/// Agents look at their servers this often.
const LOOK: Duration = Duration::from_secs(1);
const SETTING: &str = "cluster-replica-no-failover";

/// With which primary each process had its link last.
type Linked = BTreeMap<(Number, u32), NodeId>;

impl SimulatedFleet {
    /// Looks at all servers, for ever.
    pub(crate) async fn keep_electable(self) {
        let mut linked = Linked::new();
        loop {
            sleep(LOOK).await;
            let members = self.numbers();
            self.simulation.shared.look(|world| members.iter().for_each(|member| look_at(world, *member, &mut linked)));
        }
    }
}

fn look_at(world: &mut World, member: Number, linked: &mut Linked) {
    let Some(server) = world.servers.get(member).filter(|server| server.runs()) else { return };
    let run = (member, server.incarnation);
    let lacks = match (server.primary(), &server.upstream) {
        (Some(primary), Some(upstream)) if upstream.is_linked => {
            linked.insert(run, primary);
            false
        }
        (Some(primary), _) => {
            linked.get(&run).is_some_and(|linked| *linked != primary && !continues(world, server, primary))
        }
        (None, _) => false,
    };
    if server.settings.no_failover == lacks {
        return;
    }
    if let Some(server) = world.servers.get_mut(member) {
        server.settings.set(SETTING, if lacks { "yes" } else { "no" });
        server.note(&mut world.bus, format_args!("{} be elected", if lacks { "is not to" } else { "may" }));
    }
}

/// Whether a server has what this primary has, up to some time.
pub(crate) fn continues(world: &World, replica: &Server, primary: NodeId) -> bool {
    let primary = world.servers.iter().find(|server| server.me == primary);
    primary.is_some_and(|primary| primary.stream.continues(&replica.stream))
}
