//! A platform that runs simulated servers.

use crate::{
    agents::Agents,
    profile::Profile,
    schedule::Place,
    simulation::{Number, ServerOptions, Simulation},
};
use futures_util::future::BoxFuture;
use operations::port::{Fleet, FleetError, Hold, MayGo, MayRestart};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use topology::{Data, FleetMember, Process, Update, control::Loss};

/// How a platform runs servers, and what goes wrong with it.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Engine and version of new members.
    pub profile: &'static Profile,
    /// How many machines there are: new members are put on them in turn.
    pub hosts: usize,
    /// How many zones these are in.
    pub zones: usize,
    /// How long a new member takes to start at most, milliseconds.
    pub late: u64,
    /// How often a request is refused, or carried out without an answer: parts of 100.
    pub faults: u64,
    /// Whether there is an agent beside each server: see `agents.rs`.
    pub agents: bool,
    /// For how many members there is room: those beyond are members and are not started.
    pub room: usize,
    /// Whether members have their volumes still after the platform has restarted them.
    pub keeps: bool,
    /// Whether the loop is to change nothing.
    pub is_held: bool,
}

impl Platform {
    /// Six machines in three zones, agents, and nothing that goes wrong.
    pub const fn calm(profile: &'static Profile) -> Self {
        Self {
            profile,
            hosts: 6,
            zones: 3,
            late: 0,
            faults: 0,
            agents: true,
            room: usize::MAX,
            keeps: true,
            is_held: false,
        }
    }
}

/// That a platform refuses a request.
const REFUSED: u64 = 1;

/// A platform. Clones are the same platform.
#[derive(Clone)]
pub struct SimulatedFleet {
    pub(crate) simulation: Simulation,
    platform: Arc<Mutex<Platform>>,
    members: Arc<Mutex<BTreeMap<Number, Kept>>>,
    losses: Arc<Mutex<Vec<Loss>>>,
    /// Members that are held back, and how often.
    held: Held,
    wanted: Arc<Mutex<Wanted>>,
    pub(crate) agents: Arc<Mutex<Agents>>,
}

/// What members are to run with, and what none can run with: by numbers that mean nothing else.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    build: u32,
    bad: Option<u32>,
}

type Held = Arc<Mutex<BTreeMap<Number, usize>>>;

/// Holds a member back as long as it lives.
struct HoldsBack {
    number: Number,
    held: Held,
}

impl Drop for HoldsBack {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        match held.get_mut(&self.number) {
            Some(times) if *times > 1 => *times -= 1,
            _ => drop(held.remove(&self.number)),
        }
    }
}

/// Time between two looks of an agent that waits.
const AGENT_LOOKS: Duration = Duration::from_millis(200);

/// What the platform knows of a member.
#[derive(Clone, Copy, Debug)]
struct Kept {
    host: usize,
    zone: usize,
    data: Data,
    /// What it runs with, or is started with next.
    build: u32,
}

impl SimulatedFleet {
    /// A platform without members, in a runtime.
    pub fn new(simulation: &Simulation, platform: Platform) -> Self {
        let platform = Arc::new(Mutex::new(platform));
        let (members, wanted, losses, held) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let agents = Arc::default();
        let fleet = Self { simulation: simulation.clone(), platform, members, wanted, losses, held, agents };
        if fleet.has_agents() {
            tokio::spawn(fleet.clone().keep_electable());
        }
        fleet
    }

    /// Makes members that are a cluster at once, as the loop would leave it; the simulation has no servers yet.
    pub fn form(&self, shards: usize, replicas: usize) {
        (0..shards * (replicas + 1)).for_each(|_| self.make());
        // Away from the machine and the zone of the primary.
        let replica = |shard: usize, turn: usize| shards * turn + (shard + turn) % shards;
        let shard = |shard| (0..=replicas).map(|turn| replica(shard, turn)).collect();
        self.simulation.form(&(0..shards).map(shard).collect::<Vec<Vec<Number>>>());
    }

    /// From now on nothing goes wrong with it any more.
    pub fn behave(&self) {
        let mut platform = lock(&self.platform);
        (platform.late, platform.faults) = (0, 0);
    }

    /// From now on new members are so late at most, milliseconds, and so many of a hundred requests go wrong.
    pub fn misbehave(&self, late: u64, faults: u64) {
        let mut platform = lock(&self.platform);
        (platform.late, platform.faults) = (late, faults);
    }

    /// From now on members are to run with this.
    pub fn want(&self, build: u32) {
        self.simulation.note(&format!("members are to run with build {build}"));
        lock(&self.wanted).build = build;
    }

    /// No server can run with this.
    pub fn spoil(&self, build: u32) {
        lock(&self.wanted).bad = Some(build);
    }

    /// Whether all members run with what they are to run with.
    pub fn is_updated(&self) -> bool {
        let wanted = lock(&self.wanted).build;
        lock(&self.members).values().all(|kept| kept.build == wanted)
    }

    /// From now on there is room for so many members: those for which there was none are started.
    pub fn set_room(&self, room: usize) {
        let was = std::mem::replace(&mut lock(&self.platform).room, room);
        for number in self.numbers().into_iter().skip(was).filter(|number| !self.simulation.is_up(*number)) {
            self.start(number);
        }
    }

    /// Lets the loop change nothing from now on, or go on.
    pub fn hold(&self, is_held: bool) {
        lock(&self.platform).is_held = is_held;
    }

    pub(crate) fn has_agents(&self) -> bool {
        lock(&self.platform).agents
    }

    /// Its members, by number.
    pub fn numbers(&self) -> Vec<Number> {
        lock(&self.members).keys().copied().collect()
    }

    /// The members on one of its machines.
    pub fn on_host(&self, host: usize) -> Vec<Number> {
        lock(&self.members).iter().filter(|(_, kept)| kept.host == host).map(|(number, _)| *number).collect()
    }

    /// The members on the machine of this one.
    pub fn beside(&self, number: Number) -> Vec<Number> {
        let host = lock(&self.members).get(&number).map(|kept| kept.host);
        host.map_or_else(Vec::new, |host| self.on_host(host))
    }

    /// The volume of a member that is down is lost.
    pub fn lose_data(&self, number: Number) {
        self.simulation.wipe(number);
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Nothing;
        }
    }

    /// The data of a member that is down is lost; that it owned slots is not.
    pub fn lose_keys(&self, number: Number) {
        self.simulation.lose_keys(number);
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Nothing;
        }
    }

    /// Starts what is down and there is room for, as a platform does sooner or later.
    pub fn start_all(&self) {
        for number in self.numbers() {
            self.simulation.resume(number);
            if !self.simulation.is_up(number) {
                self.start(number);
            }
        }
    }

    /// Starts a member that is down, if there is room for it. Its agent waits while that would cost a replica its copy, or while it is held back.
    pub fn start(&self, number: Number) {
        let (room, bad) = (lock(&self.platform).room, lock(&self.wanted).bad);
        let build =
            lock(&self.members).iter().take(room).find(|(other, _)| **other == number).map(|(_, kept)| kept.build);
        if build.is_none() || build == bad {
            return;
        }
        if !self.must_wait(number) {
            return self.start_now(number);
        }
        self.simulation.note(&format!("server-{number} is not started yet"));
        let fleet = self.clone();
        tokio::spawn(async move {
            while fleet.must_wait(number) {
                tokio::time::sleep(AGENT_LOOKS).await;
            }
            if fleet.numbers().contains(&number) && !fleet.simulation.is_up(number) {
                fleet.start_now(number);
            }
        });
    }

    fn must_wait(&self, number: Number) -> bool {
        lock(&self.held).contains_key(&number) || self.simulation.would_empty_a_replica(number)
    }

    fn start_now(&self, number: Number) {
        self.simulation.start(number);
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Kept;
        }
    }

    /// A member that is down is started at an address that nobody has had.
    pub fn start_elsewhere(&self, number: Number) {
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            self.simulation.start_elsewhere(number);
            kept.data = Data::Kept;
        }
        self.introduce();
    }

    /// Members die, and the agents see it.
    pub fn kill(&self, numbers: &[Number]) {
        let died: Vec<_> = numbers.iter().filter(|number| self.simulation.is_up(**number)).copied().collect();
        for number in &died {
            self.simulation.kill(*number);
        }
        for number in died {
            self.let_succeed(number);
        }
    }

    /// Members die, and the platform starts them again after this time, or with agents when their shards have settled after that.
    pub fn kill_for(&self, numbers: &[Number], time: Duration) {
        self.kill(numbers);
        let (fleet, numbers) = (self.clone(), numbers.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            fleet.settle(&numbers).await;
            let members = fleet.numbers();
            for number in numbers.into_iter().filter(|number| members.contains(number)) {
                if !fleet.simulation.is_up(number) {
                    fleet.start(number);
                }
            }
        });
    }

    /// Whether a request is to go wrong, and whether before it is carried out.
    fn fault(&self) -> Option<bool> {
        let faults = lock(&self.platform).faults;
        let what = self.simulation.shared.look(|world| {
            let is_wrong = |random: &mut fastrand::Rng| random.u64(0..100) < faults;
            let draw = |random: &mut fastrand::Rng| if is_wrong(random) { 1 + random.u64(0..2) } else { 0 };
            let words = |what| match what {
                REFUSED => "the platform refuses".to_owned(),
                _ => "the platform's answer is lost".to_owned(),
            };
            if faults > 0 { world.happens(Place::Platform, 0, draw, words) } else { 0 }
        });
        (what > 0).then_some(what == REFUSED)
    }

    fn make(&self) {
        let platform = lock(&self.platform).clone();
        let turn = self.simulation.servers();
        let (host, zone) = (turn % platform.hosts.max(1), turn % platform.hosts.max(1) % platform.zones.max(1));
        let options = ServerOptions::new(platform.profile)
            .on_host(&format!("host-{host}"))
            .with_setting("cluster-allow-replica-migration", "no");
        let number = self.simulation.add_server(&options);
        let wanted = *lock(&self.wanted);
        let has_room = lock(&self.members).len() < platform.room;
        lock(&self.members).insert(number, Kept { host, zone, data: Data::Nothing, build: wanted.build });
        let late = self.simulation.shared.look(|world| {
            let words = |late| format!("server-{number} is {late} ms late");
            let draw = |random: &mut fastrand::Rng| random.u64(0..platform.late);
            if platform.late > 0 { world.happens(Place::Start, number, draw, words) } else { 0 }
        });
        if late == 0 && has_room && wanted.bad != Some(wanted.build) {
            if let Some(kept) = lock(&self.members).get_mut(&number) {
                kept.data = Data::Kept;
            }
            return;
        }
        self.simulation.kill(number);
        let fleet = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(late)).await;
            // It may have been removed, or started by others, meanwhile.
            if fleet.numbers().contains(&number) && !fleet.simulation.is_up(number) {
                fleet.start(number);
            }
        });
    }
}

impl Fleet for SimulatedFleet {
    fn members(&self) -> BoxFuture<'_, Result<Vec<FleetMember>, FleetError>> {
        Box::pin(async {
            if self.fault().is_some() {
                return Err(FleetError("the platform does not answer".to_owned()));
            }
            let (members, wanted) = (lock(&self.members).clone(), lock(&self.wanted).build);
            let member = |(number, kept): (&Number, &Kept)| FleetMember {
                name: number.to_string(),
                address: Some(self.simulation.address(*number)),
                host: format!("host-{}", kept.host),
                zone: Some(format!("zone-{}", kept.zone)),
                process: if self.simulation.is_up(*number) { Process::Runs } else { Process::Starts },
                id: Some(self.simulation.id(*number)),
                data: kept.data,
                update: if kept.build == wanted { Update::Current } else { Update::NeedsRestart },
                trouble: None,
            };
            Ok(members.iter().map(member).collect())
        })
    }

    fn add(&self, count: usize) -> BoxFuture<'_, Result<(), FleetError>> {
        Box::pin(async move {
            let fault = self.fault();
            if fault == Some(true) {
                return Err(FleetError("the platform refuses".to_owned()));
            }
            for _ in 0..count {
                self.make();
            }
            match fault {
                Some(_) => Err(FleetError("the platform's answer is lost".to_owned())),
                None => Ok(()),
            }
        })
    }

    fn held(&self) -> Option<String> {
        lock(&self.platform).is_held.then(|| "somebody asked for it".to_owned())
    }

    fn update<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async { Err(FleetError("only a restart changes what a server runs with".to_owned())) })
    }

    fn restart<'a>(&'a self, member: &'a str, _: MayRestart) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let fault = self.fault();
            if fault == Some(true) {
                return Err(FleetError("the platform refuses".to_owned()));
            }
            if let Ok(number) = member.parse::<Number>() {
                let wanted = lock(&self.wanted).build;
                self.simulation.note(&format!("the platform restarts server-{number} with build {wanted}"));
                if let Some(kept) = lock(&self.members).get_mut(&number) {
                    kept.build = wanted;
                }
                let time = self.simulation.shared.look(|world| world.bus.random.u64(0..500));
                self.kill_for(&[number], Duration::from_millis(time));
                if !lock(&self.platform).keeps {
                    self.lose_data(number);
                }
            }
            match fault {
                Some(_) => Err(FleetError("the platform's answer is lost".to_owned())),
                None => Ok(()),
            }
        })
    }

    fn fence<'a>(&'a self, member: &'a str) -> BoxFuture<'a, Result<Hold, FleetError>> {
        Box::pin(async move {
            let number = member.parse::<Number>().map_err(|error| FleetError(error.to_string()))?;
            *lock(&self.held).entry(number).or_default() += 1;
            let hold = HoldsBack { number, held: Arc::clone(&self.held) };
            if self.simulation.is_up(number) {
                return Err(FleetError(format!("server-{number} runs")));
            }
            self.simulation.note(&format!("server-{number} is held back"));
            Ok(Box::new(hold) as Hold)
        })
    }

    fn keep_loss<'a>(&'a self, loss: &'a Loss) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async {
            self.simulation.note(&format!("slots {} are lost, and begin anew on {}", loss.slots, loss.got.address));
            lock(&self.losses).push(loss.clone());
            Ok(())
        })
    }

    fn losses(&self) -> Vec<Loss> {
        lock(&self.losses).clone()
    }

    fn remove<'a>(&'a self, member: &'a str, _: MayGo) -> BoxFuture<'a, Result<(), FleetError>> {
        Box::pin(async move {
            let fault = self.fault();
            if fault == Some(true) {
                return Err(FleetError("the platform refuses".to_owned()));
            }
            if let Ok(number) = member.parse::<Number>() {
                self.simulation.note(&format!("the platform removes server-{number}"));
                lock(&self.members).remove(&number);
                self.simulation.kill(number);
                self.simulation.wipe(number);
            }
            match fault {
                Some(_) => Err(FleetError("the platform's answer is lost".to_owned())),
                None => Ok(()),
            }
        })
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
