//! What servers answer to keys that are sent to them.

/// What a refusal of `MIGRATE` or `RESTORE` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// One of the keys is there already.
    Busy,
    /// The slot has moved or moves, its owner is being replaced, or the servers lost each other: look again and try again.
    Passing,
    /// The server did not reach the node.
    NoWay,
    /// The server itself does not do it.
    NotByServer,
    /// The node does not take one of the keys.
    Refused,
}

/// What a server puts in front of what another one answered it.
const FROM_TARGET: &str = "Target instance replied with error: ";

/// What the node said, without what the server puts in front.
pub(super) fn words(line: &str) -> &str {
    line.split_once(FROM_TARGET).map_or(line, |(_, words)| words)
}

impl Refusal {
    /// What a refusal of `MIGRATE` means.
    pub(super) fn of_migrate(line: &str) -> Self {
        if line.contains(FROM_TARGET) {
            return Self::of_restore(words(line));
        }
        if line.starts_with("IOERR") {
            return if line.contains("connecting") { Self::NoWay } else { Self::Passing };
        }
        // "Can't connect to target node" of older servers.
        if line.contains("connect to target") {
            return Self::NoWay;
        }
        if ["LOADING", "BUSY ", "MISCONF"].iter().any(|word| line.starts_with(word)) {
            return Self::Passing;
        }
        Self::NotByServer
    }

    /// What a refusal of `RESTORE` means.
    pub(super) fn of_restore(line: &str) -> Self {
        match line.split_whitespace().next().unwrap_or_default() {
            "BUSYKEY" => Self::Busy,
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "READONLY" | "MASTERDOWN" | "NOREPLICAS"
            | "BUSY" => Self::Passing,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_a_migration_is_told_apart() {
        for (line, refusal) in [
            ("ERR Target instance replied with error: BUSYKEY Target key name already exists.", Refusal::Busy),
            ("ERR Target instance replied with error: MOVED 1 127.0.0.1:7001", Refusal::Passing),
            ("ERR Target instance replied with error: READONLY You can't write against", Refusal::Passing),
            ("ERR Target instance replied with error: OOM command not allowed", Refusal::Refused),
            ("ERR Target instance replied with error: ERR DUMP payload version or checksum", Refusal::Refused),
            ("ERR Target instance replied with error: NOAUTH Authentication required.", Refusal::Refused),
            ("IOERR error or timeout connecting to the client", Refusal::NoWay),
            ("IOERR error or timeout reading to target instance", Refusal::Passing),
            ("READONLY You can't write against a read only replica.", Refusal::NotByServer),
            ("NOPERM this user has no permissions to run the 'migrate' command", Refusal::NotByServer),
            ("ERR unknown command 'MIGRATE'", Refusal::NotByServer),
        ] {
            assert_eq!(Refusal::of_migrate(line), refusal, "{line}");
        }
        assert_eq!(words("ERR Target instance replied with error: OOM no"), "OOM no");
    }
}
