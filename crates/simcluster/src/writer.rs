//! A client that keeps writing as stock clients do, and knows what was acknowledged.

use crate::{
    link::Timeouts,
    simulation::{Number, Simulation},
};
use operations::port::{Command, Dialer, NodeLink};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use topology::{NodeAddr, Reply, Slot, SlotSet};

/// Tries of one write before it is given up.
const TRIES: u32 = 16;
/// Names from which keys are taken: enough for one of every slot.
const NAMES: u32 = 400_000;
/// Time between two tries where nobody serves the slot.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client writes.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// How many keys.
    pub keys: usize,
    /// The slots that they are of; none for all.
    pub slots: Option<SlotSet>,
    /// Time between the end of one write and the next.
    pub interval: Duration,
    /// The machine that it runs on.
    pub host: String,
    /// How long it waits for a server.
    pub timeouts: Timeouts,
}

impl Default for WriterOptions {
    fn default() -> Self {
        let timeouts = Timeouts { connect: Duration::from_millis(500), read: Duration::from_millis(500) };
        Self { keys: 200, slots: None, interval: Duration::from_millis(10), host: "client".to_owned(), timeouts }
    }
}

/// A write that was acknowledged and is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The key.
    pub key: String,
    /// What was acknowledged last.
    pub acknowledged: u64,
    /// What the key's owner has instead.
    pub found: Option<u64>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} was acknowledged, {:?} is there", self.key, self.acknowledged, self.found)
    }
}

/// What a client has written.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The last version that was acknowledged of each key.
    pub acknowledged: BTreeMap<String, u64>,
    /// Writes that were acknowledged, and those that were given up.
    pub done: u64,
    /// Those that were given up.
    pub failed: u64,
    /// The longest time without an acknowledgement.
    pub worst_gap: Duration,
    /// The longest time that one write took.
    pub worst_wait: Duration,
}

/// A client that keeps writing in the background.
pub struct Writer {
    simulation: Simulation,
    stop: watch::Sender<bool>,
    task: JoinHandle<Ledger>,
}

impl Writer {
    /// Begins to write. Faults of the ports do not happen to it; the network's and the servers' do.
    pub fn start(simulation: &Simulation, options: &WriterOptions) -> Self {
        let (stop, stopped) = watch::channel(false);
        let client = Client {
            simulation: simulation.clone(),
            dialer: simulation.dialer_with(&options.host, options.timeouts, false),
            links: BTreeMap::new(),
            patience: options.timeouts.read,
            owners: BTreeMap::new(),
            turn: 0,
        };
        let task = tokio::spawn(client.write_on(options.clone(), stopped));
        Self { simulation: simulation.clone(), stop, task }
    }

    /// Stops after the write that is under way; gives what was written and which of it is lost now.
    pub async fn stop(self) -> (Ledger, Vec<Lost>) {
        // Nobody listens where the task has gone already.
        let _ = self.stop.send(true);
        let ledger = self.task.await.unwrap_or_default();
        let lost = lost(&self.simulation, &ledger);
        (ledger, lost)
    }
}

/// Which acknowledged writes are missing where their slot's owner is now.
pub fn lost(simulation: &Simulation, ledger: &Ledger) -> Vec<Lost> {
    let look = |(key, acknowledged): (&String, &u64)| {
        let found = simulation.value(key.as_bytes());
        let is_lost = found.is_none_or(|found| found < *acknowledged);
        is_lost.then(|| Lost { key: key.clone(), acknowledged: *acknowledged, found })
    };
    ledger.acknowledged.iter().filter_map(look).collect()
}

struct Client {
    simulation: Simulation,
    dialer: Arc<dyn Dialer>,
    links: BTreeMap<NodeAddr, Arc<dyn NodeLink>>,
    /// How long it waits for an answer.
    patience: Duration,
    /// Who was said to own a slot.
    owners: BTreeMap<Slot, NodeAddr>,
    turn: Number,
}

impl Client {
    async fn write_on(mut self, options: WriterOptions, stopped: watch::Receiver<bool>) -> Ledger {
        let is_wanted = |key: &String| {
            let slot = Slot::of_key(key.as_bytes());
            options.slots.as_ref().is_none_or(|slots| slots.contains(slot))
        };
        let names = (0..NAMES).map(|number| format!("key:{number}")).filter(is_wanted).take(options.keys);
        let names: Vec<String> = names.collect();
        let mut keys = names.iter().cycle().cloned();
        let (mut ledger, mut version, mut last) = (Ledger::default(), 0, Instant::now());
        while !*stopped.borrow() {
            version += 1;
            let Some(key) = keys.next() else { break };
            let begin = Instant::now();
            let is_done = self.write(&key, version).await;
            ledger.worst_wait = ledger.worst_wait.max(begin.elapsed());
            if is_done {
                ledger.acknowledged.insert(key, version);
                ledger.done += 1;
                ledger.worst_gap = ledger.worst_gap.max(last.elapsed());
                last = Instant::now();
            } else {
                ledger.failed += 1;
            }
            sleep(options.interval).await;
        }
        ledger.worst_gap = ledger.worst_gap.max(last.elapsed());
        ledger
    }

    /// One write, to wherever it is sent.
    async fn write(&mut self, key: &str, version: u64) -> bool {
        let slot = Slot::of_key(key.as_bytes());
        let words = vec![b"SET".to_vec(), key.as_bytes().to_vec(), version.to_string().into_bytes()];
        let mut ask: Option<NodeAddr> = None;
        for _ in 0..TRIES {
            let asking = ask.is_some();
            let to = ask.take().or_else(|| self.owners.get(&slot).cloned()).unwrap_or_else(|| self.any());
            let mut commands = if asking { vec![Command::Asking] } else { Vec::new() };
            commands.push(Command::Typed(words.clone()));
            match self.send(&to, commands).await {
                Some(Reply::Bytes(_)) => {
                    if !asking {
                        self.owners.insert(slot, to);
                    }
                    return true;
                }
                Some(Reply::Error(line)) if line.starts_with("MOVED") => {
                    self.owners.remove(&slot);
                    self.owners.extend(target(&line).map(|to| (slot, to)));
                }
                Some(Reply::Error(line)) if line.starts_with("ASK") => ask = target(&line),
                // Nobody there, or it does not serve: what is known of this node is of no use now.
                _ => {
                    self.owners.retain(|_, owner| *owner != to);
                    sleep(PAUSE).await;
                }
            }
        }
        false
    }

    /// The next of all servers.
    fn any(&mut self) -> NodeAddr {
        let count = self.simulation.shared.look(|world| world.servers.len()).max(1);
        self.turn = (self.turn + 1) % count;
        self.simulation.address(self.turn)
    }

    async fn send(&mut self, to: &NodeAddr, commands: Vec<Command>) -> Option<Reply> {
        let link = if let Some(link) = self.links.get(to) {
            Arc::clone(link)
        } else {
            let link = self.dialer.dial(to).await.ok()?;
            self.links.insert(to.clone(), Arc::clone(&link));
            link
        };
        // Sooner than the link itself gives up, which does not know how long a command may take.
        let answer = timeout(self.patience, link.send(commands)).await.ok().and_then(Result::ok);
        if answer.is_none() {
            self.links.remove(to);
        }
        answer?.pop()
    }
}

/// The address in `MOVED slot ip:port`.
fn target(line: &str) -> Option<NodeAddr> {
    line.split_ascii_whitespace().nth(2)?.parse().ok()
}
