//! Commands as a server carries them out, by groups.

mod ask;
mod keys;
mod membership;
mod migrate;
mod settings;
mod slots;

use crate::{
    bus::{At, Millis},
    server::Process,
    world::World,
};
use operations::port::Command;
use topology::{Engine, Reply};

/// What a server remembers of a connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) asking: bool,
    pub(crate) reads_replica: bool,
    /// Commands of a transaction.
    queued: Option<Vec<Command>>,
}

/// What becomes of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    Reply(Reply),
    /// The answer comes so much later.
    After(Millis, Reply),
    /// It waits: the same command is to be tried again.
    Hold,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

pub(crate) fn ok() -> Reply {
    Reply::text("OK")
}

pub(crate) fn error(line: impl Into<String>) -> Reply {
    Reply::Error(line.into())
}

pub(crate) fn integer(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

impl World {
    /// Carries out a command, or puts it into the transaction that is begun.
    pub(crate) fn carry_out(&mut self, at: At, session: &mut Session, command: &Command) -> Outcome {
        if let Some(server) = self.servers.get_mut(at) {
            server.counts.commands += 1;
        }
        if let Some(refusal) = self.refusal_while_loading(at, command) {
            return refusal.into();
        }
        let asks = session.asking;
        let outcome = match (command, &mut session.queued) {
            (Command::Exec, queued) => match queued.take() {
                Some(commands) => self.transact(at, session, &commands),
                None => error("ERR EXEC without MULTI").into(),
            },
            (Command::Multi, None) => {
                session.queued = Some(Vec::new());
                ok().into()
            }
            (_, Some(queued)) => {
                queued.push(command.clone());
                Reply::text("QUEUED").into()
            }
            (_, None) => self.dispatch(at, session, command),
        };
        // It holds for one command.
        if asks && !matches!(outcome, Outcome::Hold) {
            session.asking = false;
        }
        self.settle(at);
        outcome
    }

    /// What a server has put off until the end of a command.
    fn settle(&mut self, at: At) {
        if let Some(server) = self.servers.get_mut(at).filter(|server| server.runs()) {
            server.finish(&mut self.bus);
        }
        self.check();
    }

    fn refusal_while_loading(&self, at: At, command: &Command) -> Option<Reply> {
        let server = self.servers.get(at).filter(|server| server.process == Process::Loading)?;
        let is_told = match command {
            Command::Info | Command::Standing | Command::Keyspace => true,
            Command::ClusterNodes | Command::ClusterInfo | Command::ClusterShards => {
                server.profile.answers_while_loading
            }
            _ => false,
        };
        let engine = if server.profile.engine == Engine::Valkey { "Valkey" } else { "Redis" };
        (!is_told).then(|| error(format!("LOADING {engine} is loading the dataset in memory")))
    }

    fn transact(&mut self, at: At, session: &mut Session, commands: &[Command]) -> Outcome {
        let (mut replies, mut wait) = (Vec::with_capacity(commands.len()), 0);
        for command in commands {
            match self.dispatch(at, session, command) {
                Outcome::Reply(reply) => replies.push(reply),
                Outcome::After(longer, reply) => {
                    wait += longer;
                    replies.push(reply);
                }
                // A transaction with writes waits as a whole; none of ours has any for slots that are held.
                Outcome::Hold => replies.push(error("TRYAGAIN writers wait")),
            }
        }
        if wait > 0 { Outcome::After(wait, Reply::List(replies)) } else { Reply::List(replies).into() }
    }

    fn dispatch(&mut self, at: At, session: &mut Session, command: &Command) -> Outcome {
        if let Some(reply) = self.ask(at, command) {
            return reply.into();
        }
        if let Some(reply) = self.change_membership(at, command) {
            return reply.into();
        }
        if let Some(outcome) = self.change_slots(at, command) {
            return outcome;
        }
        if let Some(reply) = self.configure(at, session, command) {
            return reply.into();
        }
        if let Some(outcome) = self.migrate(at, session, command) {
            return outcome;
        }
        self.use_keys(at, session, command)
    }
}
