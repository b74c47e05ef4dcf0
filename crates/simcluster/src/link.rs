//! The ports: links to simulated servers, with what goes wrong on the way.

use crate::{
    bus::{At, Connection},
    command::{Outcome, Session},
    schedule::{Place, chance},
    server::Process,
    world::{Shared, World},
};
use fastrand::Rng;
use futures_util::future::BoxFuture;
use operations::port::{Command, Dialer, NodeError, NodeLink, Trouble};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use topology::{Host, NodeAddr, Reply};

/// How often a command is tried again that waits for something.
const AGAIN: Duration = Duration::from_millis(1);

/// How long a program waits for a server.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until it is connected.
    pub connect: Duration,
    /// For an answer.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), read: Duration::from_secs(1) }
    }
}

/// Dials simulated servers from a host.
pub(crate) struct SimulatedDialer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) host: usize,
    pub(crate) timeouts: Timeouts,
    /// Whether the faults of the ports happen to it.
    pub(crate) has_faults: bool,
}

/// A connection to a process.
struct SimulatedLink {
    shared: Arc<Shared>,
    address: NodeAddr,
    ip: IpAddr,
    host: usize,
    timeouts: Timeouts,
    has_faults: bool,
    at: At,
    incarnation: u32,
    session: Mutex<Session>,
    is_broken: AtomicBool,
}

/// What a fault does to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    Fails,
    Hangs,
    AnswerLost,
}

impl World {
    fn fate_of_dial(&mut self, to: Option<At>, has_faults: bool) -> Fate {
        let (fails, hangs) = (self.faults.dial_fails, self.faults.dial_hangs);
        let Some(to) = to.filter(|_| has_faults && fails + hangs > 0.0) else { return Fate::Well };
        let draw = |random: &mut Rng| if chance(random, fails) { 1 } else { 2 * u64::from(chance(random, hangs)) };
        let words = |what| format!("a dial of server-{to} {}", if what == 1 { "fails" } else { "hangs" });
        match self.happens(Place::Dial, to, draw, words) {
            0 => Fate::Well,
            1 => Fate::Fails,
            _ => Fate::Hangs,
        }
    }

    fn fate_of_send(&mut self, to: At, has_faults: bool, command: Option<&Command>) -> Fate {
        let (fails, lost) = (self.faults.send_fails, self.faults.answer_lost);
        if !has_faults || fails + lost <= 0.0 {
            return Fate::Well;
        }
        let draw = |random: &mut Rng| if chance(random, fails) { 1 } else { 2 * u64::from(chance(random, lost)) };
        let words = |what| {
            let end = if what == 1 { "breaks before" } else { "breaks after" };
            format!("the link to server-{to} {end} {}", command.map_or_else(String::new, told))
        };
        match self.happens(Place::Send, to, draw, words) {
            0 => Fate::Well,
            1 => Fate::Fails,
            _ => Fate::AnswerLost,
        }
    }

    fn round_trip(&mut self) -> Duration {
        let delay = self.faults.delay.clone();
        Duration::from_millis(if delay.start() == delay.end() { *delay.start() } else { self.bus.random.u64(delay) })
    }
}

impl Dialer for SimulatedDialer {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        Box::pin(async move {
            let fail = |trouble| NodeError::new(address.clone(), trouble);
            let Host::Ip(ip) = address.host else {
                return Err(fail(Trouble::Unresolvable("the model knows no names".to_owned())));
            };
            let (fate, delay) = self.shared.look(|world| {
                let to = world.bus.who_listens(ip, address.port);
                (world.fate_of_dial(to, self.has_faults), world.round_trip())
            });
            if fate == Fate::Hangs {
                sleep(self.timeouts.connect).await;
                return Err(fail(Trouble::ConnectTimedOut(self.timeouts.connect)));
            }
            sleep(delay).await;
            let connection = self.shared.look(|world| world.bus.connect(self.host, ip, address.port));
            match connection {
                _ if fate == Fate::Fails => Err(fail(Trouble::Refused)),
                Connection::Refused => Err(fail(Trouble::Refused)),
                Connection::Silent => {
                    sleep(self.timeouts.connect).await;
                    Err(fail(Trouble::ConnectTimedOut(self.timeouts.connect)))
                }
                Connection::To(at, incarnation) => Ok(Arc::new(SimulatedLink {
                    shared: Arc::clone(&self.shared),
                    address: address.clone(),
                    ip,
                    host: self.host,
                    timeouts: self.timeouts,
                    has_faults: self.has_faults,
                    at,
                    incarnation,
                    session: Mutex::default(),
                    is_broken: AtomicBool::new(false),
                }) as Arc<dyn NodeLink>),
            }
        })
    }
}

/// What one try to carry out a command gives.
enum Tried {
    Outcome(Outcome),
    /// The process has ended.
    Closed,
    /// Nothing comes back now.
    Silent,
}

impl SimulatedLink {
    fn fail(&self, trouble: Trouble) -> NodeError {
        NodeError::new(self.address.clone(), trouble)
    }

    fn close(&self) -> NodeError {
        self.is_broken.store(true, Ordering::Relaxed);
        self.fail(Trouble::Closed)
    }

    /// Carries out commands one after the other, up to the first that does not have its reply at once; gives what became of that one.
    fn carry_out(&self, commands: &[Command], replies: &mut Vec<Reply>) -> Option<Tried> {
        self.shared.look(|world| {
            let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            commands.iter().find_map(|command| match self.carry_out_one(world, &mut session, command) {
                Tried::Outcome(Outcome::Reply(reply)) => {
                    replies.push(reply);
                    None
                }
                other => Some(other),
            })
        })
    }

    fn carry_out_one(&self, world: &mut World, session: &mut Session, command: &Command) -> Tried {
        let Some(door) = world.bus.doors.get(self.at) else { return Tried::Closed };
        if !world.bus.network.reaches(self.host, door.host) {
            return Tried::Silent;
        }
        if door.incarnation != self.incarnation || !door.is_open {
            return Tried::Closed;
        }
        if world.servers.get(self.at).is_some_and(|server| server.process == Process::Paused) {
            return Tried::Silent;
        }
        Tried::Outcome(world.carry_out(self.at, session, command))
    }

    async fn converse(&self, commands: &[Command]) -> Result<Vec<Reply>, NodeError> {
        let patience = self.timeouts.read + Command::take(commands);
        let deadline = Instant::now() + patience;
        let mut replies = Vec::with_capacity(commands.len());
        while let Some(left) = commands.get(replies.len()..) {
            match self.carry_out(left, &mut replies) {
                None => break,
                Some(Tried::Outcome(Outcome::Reply(reply))) => replies.push(reply),
                Some(Tried::Closed) => return Err(self.close()),
                Some(Tried::Outcome(Outcome::After(wait, reply))) => {
                    sleep_until((Instant::now() + Duration::from_millis(wait)).min(deadline)).await;
                    replies.push(reply);
                }
                Some(Tried::Silent | Tried::Outcome(Outcome::Hold)) if Instant::now() < deadline => sleep(AGAIN).await,
                Some(Tried::Silent | Tried::Outcome(Outcome::Hold)) => {
                    self.is_broken.store(true, Ordering::Relaxed);
                    return Err(self.fail(Trouble::ReadTimedOut(patience)));
                }
            }
        }
        Ok(replies)
    }
}

impl NodeLink for SimulatedLink {
    fn address(&self) -> &NodeAddr {
        &self.address
    }

    fn ip(&self) -> IpAddr {
        self.ip
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        Box::pin(async move {
            if self.is_broken.load(Ordering::Relaxed) {
                return Err(self.fail(Trouble::Closed));
            }
            let (fate, delay) = self
                .shared
                .look(|world| (world.fate_of_send(self.at, self.has_faults, commands.first()), world.round_trip()));
            sleep(delay).await;
            if fate == Fate::Fails {
                return Err(self.close());
            }
            let outcome = self.converse(&commands).await;
            if fate == Fate::AnswerLost {
                return Err(self.close());
            }
            outcome
        })
    }
}

/// A command in few words.
fn told(command: &Command) -> String {
    let mut words = format!("{command:?}");
    let end = words.char_indices().nth(40).map_or(words.len(), |(end, _)| end);
    words.truncate(end);
    words
}

/// An address of the model's own network: `10.0.0.0/8`.
pub(crate) const fn own_ip(number: u32) -> IpAddr {
    let [_, high, middle, low] = number.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(10, high, middle, low))
}
