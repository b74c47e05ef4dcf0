//! A command with what others saw of it meanwhile.

use crate::{
    loaded::{Loaded, pass},
    mend::after_reference,
    note,
    problem::Problem,
    setting::{Setting, Tool},
    stopwatch::run,
};
use std::time::Duration;
use testservers::{Cluster, Latencies, Latency};

/// How often a node is asked for a sign of life. More often, answers of some milliseconds would hold up the next question, and
/// what is measured then is the queue.
const INTERVAL: Duration = Duration::from_millis(5);
/// How long it is asked before the command, to know what is usual on this machine.
const BEFORE: Duration = Duration::from_secs(1);
/// For moving slots, on a slow machine.
const LIMIT: Duration = Duration::from_mins(10);

/// What a command came to.
pub(crate) struct Measured {
    /// Wall time, in seconds.
    pub(crate) took: f64,
    /// What others waited for an answer of a node just before, and meanwhile.
    pub(crate) before: Latencies,
    pub(crate) meanwhile: Latencies,
    /// The most memory that the program held, in millions of bytes.
    pub(crate) memory: f64,
}

/// Runs a tool, and PINGs a node before and meanwhile. It has to succeed; what the reference leaves is mended.
pub(crate) fn measured(
    setting: &Setting,
    tool: Tool,
    words: &[&str],
    loaded: &Loaded,
    node: usize,
) -> Result<Measured, Problem> {
    loaded.settle();
    let cluster = Cluster::of(&loaded.servers);
    let probe = || Latency::start(&cluster, &loaded.address(node), INTERVAL);
    let before = probe();
    pass(BEFORE);
    let before = before.stop();
    let meanwhile = probe();
    let run = run(setting, tool, words, LIMIT)?.done();
    let meanwhile = meanwhile.stop();
    let run = run?;
    let measured = Measured { took: run.took.as_secs_f64(), before, meanwhile, memory: run.memory };
    note(&format!("  {tool:?} {}: {}", words.join(" "), measured.in_words()));
    if tool == Tool::Reference {
        after_reference(setting, &loaded.entry(), || loaded.is_settled())?;
    }
    Ok(measured)
}

impl Measured {
    fn in_words(&self) -> String {
        let Self { took, before, meanwhile, memory } = self;
        let [p50, p99, max] = [meanwhile.p50(), meanwhile.p99(), meanwhile.max()].map(milliseconds);
        let [idle, idle_max] = [before.p99(), before.max()].map(milliseconds);
        format!("{took:.3} s; PING {p50} / {p99} / {max} ms (idle p99 {idle}, max {idle_max}); {memory:.1} MB")
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// What the rounds of one contender came to.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Measured>);

impl Rounds {
    pub(crate) fn push(&mut self, measured: Measured) {
        self.0.push(measured);
    }

    pub(crate) fn took(&self) -> Vec<f64> {
        self.0.iter().map(|measured| measured.took).collect()
    }

    pub(crate) fn memory(&self) -> Vec<f64> {
        self.0.iter().map(|measured| measured.memory).collect()
    }

    /// A figure of what others waited meanwhile, in seconds.
    pub(crate) fn meanwhile(&self, figure: fn(&Latencies) -> Duration) -> Vec<f64> {
        self.0.iter().map(|measured| figure(&measured.meanwhile).as_secs_f64()).collect()
    }

    /// The same just before.
    pub(crate) fn before(&self, figure: fn(&Latencies) -> Duration) -> Vec<f64> {
        self.0.iter().map(|measured| figure(&measured.before).as_secs_f64()).collect()
    }
}
