//! What servers say, with what must differ taken out: ids, addresses, times.

use topology::{NodeAddr, NodeId, NodeView, Reply};

/// Servers by their number, for text without ids and addresses.
pub(crate) struct Names {
    pub(crate) ids: Vec<NodeId>,
    pub(crate) addresses: Vec<NodeAddr>,
}

impl Names {
    fn of(&self, id: NodeId) -> String {
        self.ids.iter().position(|known| *known == id).map_or_else(|| "?".to_owned(), |at| format!("#{at}"))
    }

    /// A text without ids and addresses.
    pub(crate) fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (at, id) in self.ids.iter().enumerate() {
            text = text.replace(&id.to_string(), &format!("#{at}")).replace(&id.short(), &format!("#{at}"));
        }
        for (at, address) in self.addresses.iter().enumerate() {
            text = text.replace(&address.to_string(), &format!("@{at}"));
            text = text.replace(&format!("port: {}", address.port), &format!("port: @{at}"));
        }
        text
    }

    pub(crate) fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Nil => "nil".to_owned(),
            Reply::Integer(number) => number.to_string(),
            Reply::Bytes(bytes) => format!("{:?}", self.plain(&String::from_utf8_lossy(bytes))),
            Reply::Error(line) => format!("-{}", self.plain(line)),
            Reply::List(items) => {
                format!("[{}]", items.iter().map(|item| self.reply(item)).collect::<Vec<_>>().join(", "))
            }
            other => format!("{other:?}"),
        }
    }

    /// What a server says of itself and of the others.
    pub(crate) fn view(&self, view: &NodeView) -> String {
        let mut entries: Vec<String> = view
            .entries()
            .map(|entry| {
                let flags: Vec<String> = entry.flags.iter().map(ToString::to_string).collect();
                let primary = entry.primary.map_or_else(|| "-".to_owned(), |id| self.of(id));
                let open: Vec<String> = entry
                    .migrating
                    .iter()
                    .map(|(slot, id)| format!("[{slot}>{}]", self.of(*id)))
                    .chain(entry.importing.iter().map(|(slot, id)| format!("[{slot}<{}]", self.of(*id))))
                    .collect();
                // Of a node that has failed it depends on the moment: the server tries to connect again and again.
                let connected = entry.connected || entry.flags.has(&topology::Flag::Failing);
                let has_host = entry.endpoint.host.is_some();
                format!(
                    "{} {} {primary} epoch {} connected {connected} host {has_host} {} {}",
                    self.of(entry.id),
                    flags.join(","),
                    entry.config_epoch,
                    entry.slots,
                    open.concat()
                )
            })
            .collect();
        entries.sort();
        let (cluster, server) = (&view.cluster, &view.server);
        format!(
            "ok {} assigned {} known {} size {} epoch {} mine {} {} {} link {:?} syncs {} replicas {} loading {} \
             databases {:?} history {} {}: {}",
            cluster.state_ok,
            cluster.slots_assigned,
            cluster.known_nodes,
            cluster.size,
            cluster.current_epoch,
            cluster.my_epoch,
            server.engine,
            server.version.split('.').take(2).collect::<Vec<_>>().join("."),
            server.primary_link_up,
            server.sync_in_progress,
            server.connected_replicas,
            server.loading,
            server.databases,
            server.earlier_replication_id.as_ref().is_some_and(|id| id.starts_with("0000")),
            server.earlier_replication_end.is_some(),
            entries.join(" | ")
        )
    }
}
