//! Commands as they go over the wire.

use operations::port::Command;
use redis::{Cmd, cmd};

/// The command as the client library sends it.
pub(crate) fn render(command: &Command) -> Option<Cmd> {
    let words = |words: &[&str]| {
        let mut rendered = Cmd::new();
        for word in words {
            rendered.arg(*word);
        }
        rendered
    };
    Some(match command {
        Command::Ping => cmd("PING"),
        Command::Info => cmd("INFO"),
        Command::ClusterInfo => words(&["CLUSTER", "INFO"]),
        Command::ClusterNodes => words(&["CLUSTER", "NODES"]),
        Command::CountKeysInSlot(slot) => with(words(&["CLUSTER", "COUNTKEYSINSLOT"]), slot.number()),
        Command::DatabaseSize => cmd("DBSIZE"),
        Command::Select(database) => with(cmd("SELECT"), *database),
        Command::Multi => cmd("MULTI"),
        Command::Exec => cmd("EXEC"),
        Command::SetConfigEpoch(epoch) => with(words(&["CLUSTER", "SET-CONFIG-EPOCH"]), *epoch),
        Command::AddSlots(slots) => {
            let mut rendered = words(&["CLUSTER", "ADDSLOTSRANGE"]);
            for range in slots.ranges() {
                rendered.arg(range.start().number()).arg(range.end().number());
            }
            rendered
        }
        Command::Meet { ip, port, bus_port } => {
            let mut rendered = words(&["CLUSTER", "MEET"]);
            rendered.arg(ip.to_string()).arg(*port).arg(*bus_port);
            rendered
        }
        Command::Replicate(primary) => with(words(&["CLUSTER", "REPLICATE"]), primary.to_string()),
        Command::GiveUpSlots(_) => words(&["CLUSTER", "FLUSHSLOTS"]),
        Command::Forget(proof) => with(words(&["CLUSTER", "FORGET"]), proof.id().to_string()),
        Command::ResetHard(_) => words(&["CLUSTER", "RESET", "HARD"]),
        _ => return None,
    })
}

fn with(mut command: Cmd, argument: impl redis::ToRedisArgs) -> Cmd {
    command.arg(argument);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_rendered_word_by_word() {
        let text = |command| String::from_utf8(render(&command).unwrap().get_packed_command()).unwrap();
        assert_eq!(
            text(Command::Meet { ip: [127, 0, 0, 1].into(), port: 7000, bus_port: 17000 }),
            "*5\r\n$7\r\nCLUSTER\r\n$4\r\nMEET\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n$5\r\n17000\r\n"
        );
        let slots = text(Command::AddSlots("0-5 9".parse().unwrap()));
        assert!(slots.ends_with("$1\r\n0\r\n$1\r\n5\r\n$1\r\n9\r\n$1\r\n9\r\n"), "{slots}");
    }
}
