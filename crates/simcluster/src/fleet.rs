//! A platform that runs simulated servers.

use crate::{
    profile::Profile,
    simulation::{Number, ServerOptions, Simulation},
};
use futures_util::future::BoxFuture;
use operations::port::{Fleet, FleetError, MayGo};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use topology::{Data, FleetMember, Process};

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
}

/// A platform. Clones are the same platform.
#[derive(Clone)]
pub struct SimulatedFleet {
    simulation: Simulation,
    platform: Arc<Mutex<Platform>>,
    members: Arc<Mutex<BTreeMap<Number, Kept>>>,
}

/// What the platform knows of a member.
#[derive(Clone, Copy, Debug)]
struct Kept {
    host: usize,
    zone: usize,
    data: Data,
}

impl SimulatedFleet {
    /// A platform without members.
    pub fn new(simulation: &Simulation, platform: Platform) -> Self {
        let platform = Arc::new(Mutex::new(platform));
        Self { simulation: simulation.clone(), platform, members: Arc::default() }
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

    /// Its members, by number.
    pub fn numbers(&self) -> Vec<Number> {
        lock(&self.members).keys().copied().collect()
    }

    /// The members on one of its machines.
    pub fn on_host(&self, host: usize) -> Vec<Number> {
        lock(&self.members).iter().filter(|(_, kept)| kept.host == host).map(|(number, _)| *number).collect()
    }

    /// The volume of a member that is down is lost.
    pub fn lose_data(&self, number: Number) {
        self.simulation.wipe(number);
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Nothing;
        }
    }

    /// Starts what is down, as a platform does sooner or later.
    pub fn start_all(&self) {
        for number in self.numbers() {
            self.simulation.resume(number);
            if !self.simulation.is_up(number) {
                self.start(number);
            }
        }
    }

    /// Starts a member that is down.
    pub fn start(&self, number: Number) {
        self.simulation.start(number);
        if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Kept;
        }
    }

    /// Members die, and the platform starts them again after this time.
    pub fn kill_for(&self, numbers: &[Number], time: Duration) {
        for number in numbers {
            self.simulation.kill(*number);
        }
        let (fleet, numbers) = (self.clone(), numbers.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
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
        (self.simulation.draw(100) < faults).then(|| self.simulation.draw(2) == 0)
    }

    fn make(&self) {
        let platform = lock(&self.platform).clone();
        let turn = self.simulation.servers();
        let (host, zone) = (turn % platform.hosts.max(1), turn % platform.hosts.max(1) % platform.zones.max(1));
        let options = ServerOptions::new(platform.profile)
            .on_host(&format!("host-{host}"))
            .with_setting("cluster-allow-replica-migration", "no");
        let number = self.simulation.add_server(&options);
        lock(&self.members).insert(number, Kept { host, zone, data: Data::Nothing });
        if platform.late > 0 {
            self.simulation.kill(number);
            let after = Duration::from_millis(self.simulation.draw(platform.late));
            let fleet = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                // It may have been removed, or started by others, meanwhile.
                if fleet.numbers().contains(&number) && !fleet.simulation.is_up(number) {
                    fleet.start(number);
                }
            });
        } else if let Some(kept) = lock(&self.members).get_mut(&number) {
            kept.data = Data::Kept;
        }
    }
}

impl Fleet for SimulatedFleet {
    fn members(&self) -> BoxFuture<'_, Result<Vec<FleetMember>, FleetError>> {
        Box::pin(async {
            if self.fault().is_some() {
                return Err(FleetError("the platform does not answer".to_owned()));
            }
            let members = lock(&self.members).clone();
            let member = |(number, kept): (&Number, &Kept)| FleetMember {
                name: number.to_string(),
                address: Some(self.simulation.address(*number)),
                host: format!("host-{}", kept.host),
                zone: Some(format!("zone-{}", kept.zone)),
                process: if self.simulation.is_up(*number) { Process::Runs } else { Process::Starts },
                id: Some(self.simulation.id(*number)),
                data: kept.data,
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
