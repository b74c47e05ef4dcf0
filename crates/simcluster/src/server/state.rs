//! Whether a server serves: `clusterUpdateState`.

use super::Server;
use crate::bus::{Bus, Millis};

/// How long a primary that has started waits before it takes writes (`CLUSTER_WRITABLE_DELAY`).
const WRITABLE: Millis = 2000;

impl Server {
    pub(crate) fn look_at_state(&mut self, bus: &mut Bus) {
        self.later.state = false;
        let (now, is_primary) = (bus.now, self.is_primary());
        let first = *self.first_look.get_or_insert(now);
        if is_primary && !self.state_ok && now - first < WRITABLE {
            self.later.state = true;
            return;
        }
        let (mut size, mut reachable, mut covered, mut failed) = (0, 0, 0, false);
        for known in self.nodes.values().filter(|known| known.owns_slots()) {
            covered += known.slots.len();
            failed |= known.has_failed;
            if !known.is_replica {
                size += 1;
                reachable += usize::from(!known.is_down());
            }
        }
        self.size = size;
        let mut is_ok = !self.settings.full_coverage || covered == 16384 && !failed;
        if reachable < size / 2 + 1 {
            is_ok = false;
            self.minority = now;
        }
        if is_ok == self.state_ok {
            return;
        }
        let rejoin = self.settings.node_timeout.clamp(500, 5000);
        if is_ok && is_primary && now - self.minority < rejoin {
            return;
        }
        self.state_ok = is_ok;
        self.note(bus, format_args!("{}", if is_ok { "serves" } else { "does not serve" }));
        bus.changed();
    }
}
