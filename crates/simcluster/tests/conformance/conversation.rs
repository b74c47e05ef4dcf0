//! What is said to the servers.

use crate::told::Names;
use operations::{
    observe,
    port::{Command, Dialer, Failover, Migration, NodeLink, Rehearsal, SlotState},
    run::{Patience, Runner},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use topology::{
    NodeAddr, NodeId, Slot, SlotSet,
    create::{self, Shards},
    findings, membership,
};

/// Servers that were started and do not know each other.
pub(crate) struct Stage<'a> {
    pub(crate) dialer: Arc<dyn Dialer>,
    pub(crate) addresses: Vec<NodeAddr>,
    pub(crate) kill: &'a dyn Fn(usize),
    pub(crate) restart: &'a dyn Fn(usize),
}

const PATIENCE: Duration = Duration::from_secs(40);

/// The conversation, one line for each answer.
pub(crate) async fn converse(stage: &Stage<'_>) -> Vec<String> {
    let mut told = Vec::new();
    let names = stage.names().await;
    stage.look(&names, "new", &mut told).await;
    stage.refused_alone(&names, &mut told).await;
    // The last one has another id now.
    let names = stage.names().await;
    stage.create().await;
    stage.until(|view| findings::check(view).is_empty()).await;
    stage.look(&names, "created", &mut told).await;
    stage.refused(&names, &mut told).await;
    stage.keys(&names, &mut told).await;
    stage.open_slots(&names, &mut told).await;
    stage.moves(&names, &mut told).await;
    stage.there_and_back(&names, &mut told).await;
    stage.failovers(&names, &mut told).await;
    stage.members(&names, &mut told).await;
    told
}

impl Stage<'_> {
    async fn names(&self) -> Names {
        let answers = observe::ask_all(self.dialer.as_ref(), &self.addresses).await;
        let ids = answers.into_iter().map(|answer| answer.unwrap().view.myself.id).collect();
        Names { ids, addresses: self.addresses.clone() }
    }

    async fn look(&self, names: &Names, when: &str, told: &mut Vec<String>) {
        let answers = observe::ask_all(self.dialer.as_ref(), &self.addresses).await;
        for (at, answer) in answers.into_iter().enumerate() {
            told.push(format!(
                "{when} #{at} {}",
                answer.map_or_else(|_| "silent".to_owned(), |answer| names.view(&answer.view))
            ));
        }
    }

    async fn link(&self, at: usize) -> Arc<dyn NodeLink> {
        self.dialer.dial(&self.addresses[at]).await.unwrap()
    }

    async fn say(&self, names: &Names, at: usize, commands: &[Command], told: &mut Vec<String>) {
        let replies = self.link(at).await.send(commands.to_vec()).await.unwrap();
        for (command, reply) in commands.iter().zip(&replies) {
            told.push(format!("{} to #{at}: {}", names.plain(&format!("{command:?}")), names.reply(reply)));
        }
    }

    /// Waits until a look at all servers is as it should be.
    async fn until(&self, is_so: impl Fn(&topology::ClusterView) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = observe::look(self.dialer.as_ref(), &self.addresses).await;
            if seen.as_ref().is_ok_and(|seen| is_so(&seen.view)) {
                return;
            }
            let found = seen.map(|seen| findings::check(&seen.view));
            assert!(Instant::now() < deadline, "{:?}", found.map_err(|error| error.to_string()));
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn refused_alone(&self, names: &Names, told: &mut Vec<String>) {
        let commands = [
            Command::SetConfigEpoch(0),
            Command::RemoveSlots(SlotSet::from(slot(5)..=slot(6))),
            Command::AddSlots(SlotSet::from(slot(5)..=slot(6))),
            Command::AddSlots(SlotSet::from(slot(6)..=slot(7))),
            set(b"a"),
            get(b"a"),
            Command::RemoveSlots(SlotSet::from(slot(5)..=slot(6))),
            Command::BumpEpoch,
            Command::BumpEpoch,
            Command::Failover(Failover::Planned),
        ];
        self.say(names, 5, &commands, told).await;
        let proof = operations::port::NothingToLose::by(&topology::ServerInfo::default()).unwrap();
        self.say(names, 5, &[Command::ResetSoft(operations::port::Dispensable::Nothing(proof.clone()))], told).await;
        self.look(names, "reset softly", told).await;
        let dialled = self.link(5).await;
        let _ = dialled.send(vec![Command::ResetHard(proof)]).await.unwrap();
    }

    async fn create(&self) {
        let answers = observe::ask_all(self.dialer.as_ref(), &self.addresses).await;
        let answers = self.addresses.iter().cloned().zip(answers.into_iter().map(Result::unwrap));
        let (nodes, links) = observe::new_nodes(answers);
        let plan = create::plan(&nodes, 1, Shards::AsManyAsPossible).unwrap();
        let patience = Patience { agreement: PATIENCE, service: PATIENCE };
        Runner::new(links, patience, &|_| {}).run(&plan).await.unwrap();
    }

    /// What is refused, and questions that need no more than one answer. Servers 0 to 2 are primaries.
    async fn refused(&self, names: &Names, told: &mut Vec<String>) {
        let unknown = NodeId::from_bytes([7; 20]);
        let (own, other) = (slot(0), slot(16383));
        let to_primary = [
            Command::SetConfigEpoch(9),
            Command::AddSlots(SlotSet::from(own..=own)),
            Command::Replicate(names.ids[1]),
            Command::Replicate(unknown),
            Command::Replicate(names.ids[0]),
            Command::SetSlot(own, SlotState::Importing(names.ids[1])),
            Command::SetSlot(own, SlotState::Migrating(unknown)),
            Command::SetSlot(own, SlotState::Migrating(names.ids[5])),
            Command::SetSlot(other, SlotState::Migrating(names.ids[1])),
            Command::SetSlot(other, SlotState::Importing(unknown)),
            Command::SetSlot(other, SlotState::Node(unknown)),
            Command::SetSlot(other, SlotState::Node(names.ids[5])),
            Command::SetSlot(other, SlotState::Stable),
            Command::Failover(Failover::Forced),
            Command::CountKeysInSlot(own),
            Command::KeysInSlot(own, 3),
            Command::DatabaseSize,
            Command::WhoAmI,
            Command::ConfigGet("cluster-require-full-coverage".to_owned()),
            Command::ConfigGet("cluster-allow-replica-migration".to_owned()),
            Command::ConfigGet("no-such-setting".to_owned()),
            Command::ConfigSet("no-such-setting".to_owned(), "1".to_owned()),
            Command::FunctionList,
            Command::Rehearse(Rehearsal::SetSlot),
            Command::Rehearse(Rehearsal::KeysInSlot),
            Command::Rehearse(Rehearsal::Asking),
            Command::Rehearse(Rehearsal::IdleTime),
            Command::SlotStats("key-count", 2),
            Command::SlotMigrations,
            Command::CancelSlotMigrations,
            Command::MigrateSlots(SlotSet::from(own..=own), unknown),
            Command::MigrateSlots(SlotSet::from(own..=own), names.ids[0]),
            Command::MigrateSlots(SlotSet::from(own..=own), names.ids[5]),
            Command::MigrateSlots(SlotSet::from(other..=other), names.ids[1]),
            Command::MigrationTasks,
            Command::MigrationStatus("none".to_owned()),
            Command::CancelMigration("none".to_owned()),
            Command::MigrationImport(SlotSet::from(own..=own)),
            Command::MigrationImport(SlotSet::from(slot(6000)..=other)),
        ];
        self.say(names, 0, &to_primary, told).await;
        for name in ["cluster|migrateslots", "cluster|migration"] {
            let replies = self.link(0).await.send(vec![Command::CommandInfo(name)]).await.unwrap();
            let is_there = matches!(replies[0].as_list(), Some([topology::Reply::List(_), ..]));
            told.push(format!("{name} {is_there}"));
        }
        let to_replica = [
            Command::SetSlot(own, SlotState::Stable),
            Command::Replicate(names.ids[4]),
            Command::AddSlots(SlotSet::from(own..=own)),
            Command::MigrationImport(SlotSet::from(own..=own)),
            Command::SlotStats("key-count", 2),
        ];
        self.say(names, 5, &to_replica, told).await;
    }

    async fn keys(&self, names: &Names, told: &mut Vec<String>) {
        // Slots of 0: b 3300, foo 12182 is of 2.
        let commands = [
            set(b"b"),
            set(b"foo"),
            get(b"b"),
            Command::Exists(b"b".to_vec()),
            Command::Exists(b"{b}none".to_vec()),
            Command::TimeToLive(b"b".to_vec()),
            Command::TimeToLive(b"{b}none".to_vec()),
            Command::Dump(b"{b}none".to_vec()),
            Command::MemoryUsage(b"{b}none".to_vec()),
            Command::IdleTime(b"{b}none".to_vec()),
            Command::CountKeysInSlot(slot(3300)),
            Command::KeysInSlot(slot(3300), 9),
            Command::Keyspace,
            self.migration(1, b"{b}none"),
        ];
        self.say(names, 0, &commands, told).await;
        let replica = self.replica_of(names.ids[0]).await;
        self.say(names, replica, &[get(b"b"), Command::ReadOnly, get(b"b"), set(b"b")], told).await;
    }

    fn migration(&self, to: usize, key: &[u8]) -> Command {
        let address = &self.addresses[to];
        Command::Migrate(Box::new(Migration {
            host: address.host.to_string(),
            port: address.port,
            database: 0,
            timeout: 1000,
            replace: false,
            copy: false,
            keys: vec![key.to_vec()],
        }))
    }

    async fn replica_of(&self, primary: NodeId) -> usize {
        let answers = observe::ask_all(self.dialer.as_ref(), &self.addresses).await;
        answers
            .iter()
            .position(|answer| answer.as_ref().is_ok_and(|answer| answer.view.myself.primary == Some(primary)))
            .unwrap_or(usize::MAX)
    }

    /// A slot with a key goes from 0 to 1 by hand.
    async fn open_slots(&self, names: &Names, told: &mut Vec<String>) {
        let (moving, from, to) = (slot(3300), names.ids[0], names.ids[1]);
        self.say(names, 1, &[Command::SetSlot(moving, SlotState::Importing(from))], told).await;
        self.say(names, 0, &[Command::SetSlot(moving, SlotState::Migrating(to))], told).await;
        self.look(names, "open", told).await;
        self.say(names, 0, &[get(b"b"), get(b"{b}none"), set(b"{b}new")], told).await;
        self.say(names, 1, &[get(b"b"), Command::Asking, get(b"b"), Command::CountKeysInSlot(moving)], told).await;
        self.say(names, 0, &[Command::SetSlot(moving, SlotState::Node(to)), self.migration(1, b"b")], told).await;
        self.say(names, 0, &[self.migration(1, b"b"), get(b"b")], told).await;
        self.say(names, 1, &[Command::SetSlot(moving, SlotState::Node(to)), get(b"b")], told).await;
        self.say(names, 0, &[Command::SetSlot(moving, SlotState::Node(to)), get(b"b")], told).await;
        self.until(|view| findings::check(view).is_empty()).await;
        self.look(names, "moved", told).await;
    }

    /// Slots with a key that the servers move by themselves from 0 to 2, where they do.
    async fn moves(&self, names: &Names, told: &mut Vec<String>) {
        let slots = SlotSet::from(slot(866)..=slot(870));
        self.say(names, 0, &[set(b"hello")], told).await;
        let ways =
            [(0, Command::MigrateSlots(slots.clone(), names.ids[2])), (2, Command::MigrationImport(slots.clone()))];
        for (at, command) in ways {
            let reply = self.link(at).await.send(vec![command]).await.unwrap().pop().unwrap();
            // The name of a task is another one each time.
            told.push(format!("#{at} begins: {}", matches!(reply, topology::Reply::Bytes(_))));
        }
        let is_offered = self.link(0).await.send(vec![Command::SlotMigrations, Command::MigrationTasks]).await.unwrap();
        if is_offered.iter().any(|reply| reply.as_list().is_some()) {
            let has_moved = |view: &topology::ClusterView| {
                view.node(names.ids[2])
                    .and_then(|node| node.view())
                    .is_some_and(|said| said.myself.slots.contains(slot(866)))
            };
            self.until(|view| has_moved(view) && findings::check(view).is_empty()).await;
        }
        for at in [0, 2] {
            let replies =
                self.link(at).await.send(vec![Command::SlotMigrations, Command::MigrationTasks]).await.unwrap();
            for job in replies.iter().flat_map(|reply| reply.as_list().unwrap_or_default()) {
                let field = |name: &str| job.field(name).map(|value| names.reply(value)).unwrap_or_default();
                let fields =
                    ["operation", "slot_ranges", "slots", "source_node", "source", "target_node", "dest", "state"];
                told.push(format!("#{at} lists {}", fields.map(field).join(" ")));
            }
        }
        self.say(names, 0, &[get(b"hello"), Command::CountKeysInSlot(slot(866))], told).await;
        self.say(names, 2, &[get(b"hello"), Command::CountKeysInSlot(slot(866))], told).await;
        self.look(names, "moved by the servers", told).await;
    }

    async fn failovers(&self, names: &Names, told: &mut Vec<String>) {
        let replica = self.replica_of(names.ids[2]).await;
        let takes_over = |view: &topology::ClusterView, of: usize, replica: usize| {
            let is_primary =
                |id: NodeId| view.node(id).and_then(|node| node.view()).is_some_and(|said| said.myself.is_primary());
            is_primary(names.ids[replica]) && !is_primary(names.ids[of])
        };
        let of_another = Command::Failover(Failover::ForcedFrom(names.ids[0]));
        self.say(names, replica, &[of_another, Command::Failover(Failover::Planned)], told).await;
        self.until(|view| takes_over(view, 2, replica) && findings::check(view).is_empty()).await;
        self.look(names, "handed over", told).await;

        let replica = self.replica_of(names.ids[0]).await;
        (self.kill)(0);
        self.until(|view| takes_over(view, 0, replica)).await;
        sleep(Duration::from_secs(3)).await;
        self.look(names, "elected", told).await;
        (self.restart)(0);
        self.until(|view| findings::check(view).is_empty()).await;
        self.look(names, "back", told).await;
    }

    /// A server that is elected, hands over, and is asked again before its first election is forgotten.
    async fn there_and_back(&self, names: &Names, told: &mut Vec<String>) {
        let first = self.replica_of(names.ids[1]).await;
        for (at, follows) in [(first, 1), (1, first), (first, 1)] {
            let begin = Instant::now();
            while self.replica_of(names.ids[follows]).await != at {
                assert!(begin.elapsed() < PATIENCE);
                sleep(Duration::from_millis(50)).await;
            }
            // A primary that has not heard yet whom it has for a replica does not listen to it.
            self.until(|view| findings::check(view).is_empty()).await;
            self.say(names, at, &[Command::Failover(Failover::Planned)], told).await;
        }
        sleep(Duration::from_secs(10)).await;
        self.until(|view| findings::check(view).is_empty()).await;
        self.look(names, "at rest", told).await;
    }

    /// A replica leaves by plan.
    async fn members(&self, names: &Names, told: &mut Vec<String>) {
        let patience = Patience { agreement: PATIENCE, service: PATIENCE };
        let seen = observe::look(self.dialer.as_ref(), &self.addresses).await.unwrap();
        let plan = membership::plan_delete(&seen.view, names.ids[0]).unwrap();
        Runner::new(seen.links, patience, &|_| {}).run(&plan).await.unwrap();
        self.look(names, "left", told).await;
        sleep(Duration::from_secs(6)).await;
        // It could not join again yet: since 7.2 those who have forgotten it tell each other so for a minute, and drop it time and again.
        self.look(names, "still away", told).await;
    }
}

fn slot(number: u16) -> Slot {
    Slot::new(number).unwrap()
}

fn set(key: &[u8]) -> Command {
    Command::Typed(vec![b"SET".to_vec(), key.to_vec(), b"1".to_vec()])
}

fn get(key: &[u8]) -> Command {
    Command::Typed(vec![b"GET".to_vec(), key.to_vec()])
}
