//! The benches.

mod check;
mod create;
mod fix;
mod import;
mod keeping;
mod program;
mod rebalance;
mod reshard;
mod stopped;

use crate::{figures::Figures, problem::Problem, row::Row, setting::Setting, table::table};

/// Something that both tools can do.
pub(crate) struct Bench {
    /// The name by which it is asked for.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// How many rounds it has unless told otherwise.
    pub(crate) rounds: usize,
    /// The servers on which it runs unless others are asked for.
    pub(crate) engines: &'static [&'static str],
    /// Runs so many rounds.
    pub(crate) run: fn(&Setting, usize) -> Result<Vec<Row>, Problem>,
}

/// What a plain Debian has.
const OLDEST: &[&str] = &["redis-7.0"];
/// Those, and both that move slots themselves.
const EACH_WAY: &[&str] = &["redis-7.0", "redis-8.6", "valkey-9.1"];

/// All benches, in the order in which they run.
pub(crate) const BENCHES: [Bench; 21] = [
    Bench { name: "start", about: "how long --help takes", rounds: 50, engines: OLDEST, run: program::start },
    Bench { name: "size", about: "how big the program is", rounds: 1, engines: OLDEST, run: program::size },
    Bench {
        name: "create-6",
        about: "a cluster of 6 empty servers, half replicas",
        rounds: 3,
        engines: OLDEST,
        run: |setting, rounds| create::create(setting, rounds, 6, 4.0),
    },
    Bench {
        name: "create-30",
        about: "a cluster of 30 empty servers, half replicas",
        rounds: 3,
        engines: OLDEST,
        run: |setting, rounds| create::create(setting, rounds, 30, 8.0),
    },
    Bench {
        name: "create-60",
        about: "a cluster of 60 empty servers, half replicas",
        rounds: 2,
        engines: OLDEST,
        run: |setting, rounds| create::create(setting, rounds, 60, 4.0),
    },
    Bench { name: "check-60", about: "checking a cluster of 60 nodes", rounds: 15, engines: OLDEST, run: check::check },
    Bench {
        name: "owners-60",
        about: "checking 60 nodes for keys of slots that others own; the reference once",
        rounds: 5,
        engines: OLDEST,
        run: check::owners,
    },
    Bench {
        name: "fix-10",
        about: "finishing 1000 moves of slots that were interrupted, between 10 primaries",
        rounds: 3,
        engines: OLDEST,
        run: fix::half_open,
    },
    Bench {
        name: "check-stopped-6",
        about: "checking a cluster of 6 nodes one of which does not answer; the reference once",
        rounds: 2,
        engines: OLDEST,
        run: stopped::stopped,
    },
    Bench {
        name: "import-200k",
        about: "200 000 keys of a standalone server",
        rounds: 2,
        engines: OLDEST,
        run: import::import,
    },
    Bench {
        name: "reshard",
        about: "4096 slots with 250 000 of a million keys from one of three primaries to another",
        rounds: 3,
        engines: EACH_WAY,
        run: reshard::reshard,
    },
    Bench {
        name: "reshard-1ms",
        about: "4096 slots with 250 000 keys, with a network round trip of 1 ms",
        rounds: 1,
        engines: OLDEST,
        run: reshard::delayed,
    },
    Bench {
        name: "rebalance",
        about: "4096 slots to a fourth primary from three with a million keys",
        rounds: 3,
        engines: OLDEST,
        run: rebalance::rebalance,
    },
    Bench {
        name: "scale",
        about: "1 primary with 5 replicas and a million keys to 3 with 3",
        rounds: 3,
        engines: OLDEST,
        run: rebalance::scale,
    },
    Bench {
        name: "plan-1000",
        about: "the plan of a rebalance of 1000 primaries, without servers",
        rounds: 20,
        engines: OLDEST,
        run: rebalance::plan,
    },
    Bench {
        name: "deaths",
        about: "how long nobody writes when a primary dies, with agents and without",
        rounds: 4,
        engines: EACH_WAY,
        run: keeping::deaths,
    },
    Bench {
        name: "planned",
        about: "how long nobody writes when a primary hands over, stops, or all are restarted",
        rounds: 3,
        engines: EACH_WAY,
        run: keeping::planned,
    },
    Bench {
        name: "roll",
        about: "restarting all of 3 + 3 with a million keys",
        rounds: 2,
        engines: EACH_WAY,
        run: keeping::roll,
    },
    Bench {
        name: "local-scale",
        about: "a fourth shard for a million keys in local mode",
        rounds: 2,
        engines: EACH_WAY,
        run: keeping::scale,
    },
    Bench {
        name: "moved",
        about: "all servers back at other ports with 100 000 keys",
        rounds: 3,
        engines: EACH_WAY,
        run: keeping::moved,
    },
    Bench {
        name: "idle",
        about: "what loop and agents use while nothing is to be done, for 30 s",
        rounds: 3,
        engines: OLDEST,
        run: keeping::idle,
    },
];

/// The names and what they mean.
pub(crate) fn list() -> String {
    let row = |bench: &Bench| vec![bench.name.to_owned(), bench.rounds.to_string(), bench.about.to_owned()];
    let heading = ["bench", "rounds", "measures"].map(str::to_owned).into();
    table(&[heading].into_iter().chain(BENCHES.iter().map(row)).collect::<Vec<_>>())
}

fn figures(rounds: Vec<f64>) -> Result<Figures, Problem> {
    Figures::of(rounds).ok_or(Problem::NoRounds)
}
