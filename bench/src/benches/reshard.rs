//! Moving slots with their keys from one primary to another.

use super::figures;
use crate::{
    figures::{Requirement, turns},
    loaded::{Loaded, Shape, pass},
    measured::{Rounds, measured},
    note,
    problem::Problem,
    row::{Reading, Row},
    setting::{Setting, Tool},
    unit::Unit,
};
use std::time::{Duration, Instant};
use testservers::{Latencies, wait_until};

/// A quarter of all slots, and so of all keys.
const SLOTS: usize = 4096;
const ROUND_TRIP: Duration = Duration::from_millis(1);
const THREE: Shape = Shape { owners: 3, empty: 0, replicas: 0 };
/// The servers' own way takes four or five of the steps in which they do it (valkey 9.1: `clusterCron`), and ends with one. Whoever
/// begins right behind one may need one more than who begins a little earlier: so many rounds for each of the others, each of which
/// begins a little later in a step, make that equal.
const SHORT_ROUNDS: usize = 3;
const STEP: Duration = Duration::from_millis(100);
/// What others may wait meanwhile, in seconds: 99 of 100, and all.
const P99: f64 = 0.003;
const WORST: f64 = 0.010;
/// What the program may hold, in millions of bytes.
pub(super) const MEMORY: f64 = 64.0;

/// Who moves the slots, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    /// The reference with the keys of one MIGRATE that it has by default, or as many as this.
    Reference(Option<&'static str>),
    /// By MIGRATE.
    Migrate,
    /// In the way that is chosen where none is asked for.
    Automatic,
    /// The servers themselves, told directly.
    Servers,
}

/// With no more network than this machine's own.
///
/// The servers' own way has a cluster to itself: Redis (seen with 8.6) goes on counting the values of slots that it gave away like
/// that (`INFO keysizes`), and a move by MIGRATE on the same servers then weighs every key.
pub(crate) fn reshard(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    use Contender::{Automatic, Migrate, Reference, Servers};
    let (mut reference, mut migrate, mut automatic) = (Rounds::default(), Rounds::default(), Rounds::default());
    let mut job = Job::new(Loaded::start(setting, THREE), SLOTS);
    for round in 0..rounds {
        for contender in turns(&[Reference(None), Migrate], round) {
            let measured = job.run(setting, contender)?;
            if contender == Migrate { migrate.push(measured) } else { reference.push(measured) }
        }
    }
    let own_way = job.own_way();
    drop(job);
    let mut servers = Vec::new();
    if let Some(way) = own_way {
        let mut job = Job::new(Loaded::start(setting, THREE), SLOTS);
        for round in 0..rounds * SHORT_ROUNDS {
            for contender in turns(&[Automatic, Servers], round) {
                pass(STEP * share(round) / share(rounds * SHORT_ROUNDS));
                if contender == Servers {
                    servers.push(job.by_servers(way));
                } else {
                    automatic.push(job.run(setting, contender)?);
                }
            }
        }
    }
    let faster = match setting.engine.name.as_str() {
        "redis-7.0" => 3.0,
        "redis-8.6" => 5.0,
        "valkey-9.1" => 6.0,
        _ => 2.0,
    };
    let name = |what: &str| format!("reshard {SLOTS}, {what}");
    let seconds = |name, reference, ours, required| row(name, Unit::Seconds, reference, ours, required);
    let mut rows = vec![
        seconds(name("MIGRATE"), reference.took(), migrate.took(), Requirement::TimesFaster(faster))?,
        latency(&name("MIGRATE, source p99"), &reference, &migrate, Latencies::p99, P99)?,
        latency(&name("MIGRATE, source worst"), &reference, &migrate, Latencies::max, WORST)?,
        row(
            name("MIGRATE, memory"),
            Unit::Megabytes,
            reference.memory(),
            migrate.memory(),
            Requirement::Below(MEMORY),
        )?,
    ];
    if own_way.is_some() {
        let below = Requirement::Below(MEMORY);
        rows.extend([
            seconds(name("automatic"), reference.took(), automatic.took(), Requirement::TimesFaster(30.0))?,
            seconds(name("automatic : the servers' own time"), servers, automatic.took(), Requirement::Within(1.2))?,
            row(name("automatic, memory"), Unit::Megabytes, reference.memory(), automatic.memory(), below)?,
        ]);
    }
    Ok(rows)
}

/// With a network between everybody.
pub(crate) fn delayed(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    use Contender::{Migrate, Reference};
    let mut job = Job::new(Loaded::start_delayed(setting, THREE, ROUND_TRIP), SLOTS);
    let (mut default, mut pipelined, mut ours) = (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..rounds {
        for contender in turns(&[Reference(None), Reference(Some("1000")), Migrate], round) {
            let measured = job.run(setting, contender)?;
            match contender {
                Reference(None) => default.push(measured),
                Reference(_) => pipelined.push(measured),
                _ => ours.push(measured),
            }
        }
    }
    let name = |against: &str| format!("reshard {SLOTS} with 1 ms of round trip : {against}");
    let seconds = |name, reference: &Rounds, required| {
        row(name, Unit::Seconds, reference.took(), ours.took(), Requirement::TimesFaster(required))
    };
    Ok(vec![seconds(name("its default"), &default, 14.0)?, seconds(name("its pipeline 1000"), &pipelined, 5.0)?])
}

/// What others waited for an answer of the source, with what they waited without any move.
fn latency(
    name: &str,
    reference: &Rounds,
    ours: &Rounds,
    figure: fn(&Latencies) -> Duration,
    limit: f64,
) -> Result<Row, Problem> {
    let idle = Unit::Seconds.text(figures(ours.before(figure))?.median);
    let name = format!("{name} (idle {idle})");
    row(name, Unit::Seconds, reference.meanwhile(figure), ours.meanwhile(figure), Requirement::Below(limit))
}

pub(super) fn row(
    name: String,
    unit: Unit,
    reference: Vec<f64>,
    ours: Vec<f64>,
    required: Requirement,
) -> Result<Row, Problem> {
    let reference = Reading::Took(figures(reference)?);
    Ok(Row { name, unit, reference, ours: figures(ours)?, until_complete: None, required })
}

/// The way in which servers move slots themselves.
#[derive(Clone, Copy)]
enum OwnWay {
    /// `CLUSTER MIGRATION IMPORT`, sent to the destination.
    Import,
    /// `CLUSTER MIGRATESLOTS`, sent to the source.
    Export,
}

/// Slots that go forth and back between the first two nodes: all slots hold about as many keys.
struct Job {
    loaded: Loaded,
    slots: usize,
    source: usize,
}

impl Job {
    fn new(loaded: Loaded, slots: usize) -> Self {
        Self { loaded, slots, source: 0 }
    }

    /// Lets a tool move the slots, from where they are.
    fn run(&mut self, setting: &Setting, contender: Contender) -> Result<crate::measured::Measured, Problem> {
        let loaded = &self.loaded;
        let (entry, slots) = (loaded.entry(), self.slots.to_string());
        let (from, to) = (loaded.id(self.source), loaded.id(self.destination()));
        let mut words = match contender {
            Contender::Reference(_) => {
                vec!["--cluster", "reshard", &entry, "--cluster-from", &from, "--cluster-to", &to, "--cluster-yes"]
            }
            _ => vec!["reshard", &entry, "--from", &from, "--to", &to, "--yes"],
        };
        let tool = if let Contender::Reference(pipeline) = contender {
            words.extend(["--cluster-slots", &slots]);
            words.extend(pipeline.into_iter().flat_map(|keys| ["--cluster-pipeline", keys]));
            Tool::Reference
        } else {
            words.extend(["--slots", &slots]);
            let migrate = contender == Contender::Migrate;
            words.extend(migrate.then_some(["--dialect", "migrate"]).into_iter().flatten());
            Tool::Tribune
        };
        let measured = measured(setting, tool, &words, loaded, self.source)?;
        self.source = self.destination();
        Ok(measured)
    }

    const fn destination(&self) -> usize {
        1 - self.source
    }

    /// What the servers offer, if anything.
    fn own_way(&self) -> Option<OwnWay> {
        let has = |command: &str| !self.loaded.call(0, &["COMMAND", "INFO", command]).trim().is_empty();
        let ways = [("cluster|migration", OwnWay::Import), ("cluster|migrateslots", OwnWay::Export)];
        ways.into_iter().find(|(command, _)| has(command)).map(|(_, way)| way)
    }

    /// Tells the servers to move the slots, and says how many seconds that took.
    fn by_servers(&mut self, way: OwnWay) -> f64 {
        self.loaded.settle();
        let (source, destination) = (self.source, self.destination());
        let ranges = ranges(&self.loaded.first_slots(source, self.slots));
        let to = self.loaded.id(destination);
        let (node, begin_words, status, done) = match way {
            OwnWay::Import => {
                (destination, vec!["CLUSTER", "MIGRATION", "IMPORT"], "MIGRATION STATUS ALL", "completed")
            }
            OwnWay::Export => (source, vec!["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE"], "GETSLOTMIGRATIONS", "success"),
        };
        let mut words = begin_words;
        words.extend(ranges.iter().map(String::as_str));
        if matches!(way, OwnWay::Export) {
            words.extend(["NODE", &to]);
        }
        let status: Vec<&str> = ["CLUSTER"].into_iter().chain(status.split(' ')).collect();
        let begin = Instant::now();
        self.loaded.call(node, &words);
        wait_until("the servers have moved the slots", Duration::from_mins(2), || {
            newest_state(&self.loaded.call(node, &status)).as_deref() == Some(done)
        });
        let took = begin.elapsed().as_secs_f64();
        note(&format!("  the servers themselves: {took:.3} s"));
        self.source = destination;
        took
    }
}

/// A number of rounds as a part of something.
fn share(rounds: usize) -> u32 {
    u32::try_from(rounds).unwrap_or(u32::MAX)
}

/// The state of the migration that a server tells of first: the newest.
fn newest_state(jobs: &str) -> Option<String> {
    jobs.lines().skip_while(|line| *line != "state").nth(1).map(str::to_owned)
}

/// First and last slot of each range.
fn ranges(slots: &[u16]) -> Vec<String> {
    let begins = slots.iter().enumerate().filter(|(at, slot)| {
        at.checked_sub(1).and_then(|before| slots.get(before)).is_none_or(|before| before + 1 != **slot)
    });
    let begins: Vec<usize> = begins.map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([slots.len()]);
    let pairs = begins.iter().zip(ends).filter_map(|(begin, end)| Some([slots.get(*begin)?, slots.get(end - 1)?]));
    pairs.flatten().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_told_as_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), ["1", "3", "7", "7", "9", "10"]);
        assert!(ranges(&[]).is_empty());
    }

    #[test]
    fn the_newest_migration_counts() {
        let jobs = "name\nx\nstate\nsnapshotting\nname\ny\nstate\nsuccess";
        assert_eq!(newest_state(jobs).as_deref(), Some("snapshotting"));
        assert_eq!(newest_state(""), None);
    }
}
