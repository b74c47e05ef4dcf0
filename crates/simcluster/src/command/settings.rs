//! The configuration, functions, and what only this connection or the disk knows.

use super::{Session, error, ok};
use crate::{bus::At, stream::Change, world::World};
use operations::port::Command;
use topology::Reply;

impl World {
    pub(super) fn configure(&mut self, at: At, session: &mut Session, command: &Command) -> Option<Reply> {
        let now = self.bus.now;
        let server = self.servers.get_mut(at)?;
        Some(match command {
            Command::Asking => {
                session.asking = true;
                ok()
            }
            Command::ReadOnly => {
                session.reads_replica = true;
                ok()
            }
            Command::Select(0) | Command::RewriteLog | Command::SaveSnapshot | Command::Watch(_) => ok(),
            Command::Select(_) => error("ERR SELECT is not allowed in cluster mode"),
            Command::ConfigGet(name) => {
                let pair = server.settings.get(name).map(|value| vec![Reply::text(name), Reply::text(value)]);
                Reply::List(pair.unwrap_or_default())
            }
            Command::ConfigSet(name, value) => {
                if server.settings.set(name, value) {
                    server.note(&mut self.bus, format_args!("has {name} {value} now"));
                    ok()
                } else {
                    error(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
                }
            }
            Command::ConfigRewrite => {
                server.settings.rewrite();
                ok()
            }
            Command::HoldWriters(time) => {
                server.holds_writers = now + u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                ok()
            }
            Command::ReleaseWriters => {
                server.holds_writers = 0;
                ok()
            }
            Command::FunctionRestore(payload) => {
                let payload = String::from_utf8_lossy(payload).into_owned();
                let names: Vec<String> = payload.lines().map(str::to_owned).collect();
                if let Some(name) = names.iter().find(|name| server.functions.contains(name)) {
                    error(format!("ERR Library {name} already exists"))
                } else {
                    for name in names {
                        self.write(at, Change::Function(name));
                    }
                    ok()
                }
            }
            Command::AskReplicas => {
                // `REPLCONF GETACK *`
                self.write(at, Change::Word(37));
                Reply::Integer(0)
            }
            _ => return None,
        })
    }
}
