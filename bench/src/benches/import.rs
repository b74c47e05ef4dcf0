//! Taking the keys of a standalone server into a cluster.

use super::figures;
use crate::{
    figures::{Requirement, turns},
    note,
    problem::Problem,
    row::{Reading, Row},
    servers,
    setting::{Setting, Tool},
    stopwatch::run,
    unit::Unit,
};
use std::time::Duration;
use testservers::{Cluster, Dataset, Options, Server};

const KEYS: usize = 200_000;
/// The reference sends one key at a time.
const LIMIT: Duration = Duration::from_mins(5);
const REQUIRED: f64 = 12.0;

/// Both tools in turn, into the same cluster, which is emptied in between.
pub(crate) fn import(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let cluster = servers::cluster(setting, 6)?;
    let source = Server::builder(&setting.engine).cluster(false).start();
    let data = Dataset::generate(1, &Options { largest: 100, ..Options::small(KEYS) });
    let entry = cluster.addresses().into_iter().next().unwrap_or_default();
    let from = source.address();
    let words = ["--cluster", "import", &entry, "--cluster-from", &from];
    let (mut reference, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for tool in turns(&[Tool::Reference, Tool::Tribune], round) {
            data.write(&Cluster::standalone(&source));
            let took = run(setting, tool, &words, LIMIT)?.done()?.took.as_secs_f64();
            note(&format!("  round {} of {rounds}: {tool:?} {took:.2} s", round + 1));
            data.assert_same(&Cluster::of(&cluster));
            for server in cluster.iter().filter(|server| server.call(&["ROLE"]).starts_with("master")) {
                server.call_ok(&["FLUSHALL"]);
            }
            match tool {
                Tool::Reference => reference.push(took),
                Tool::Tribune => ours.push(took),
            }
        }
    }
    Ok(vec![Row {
        name: "import-200k".to_owned(),
        unit: Unit::Seconds,
        reference: Reading::Took(figures(reference)?),
        ours: figures(ours)?,
        until_complete: None,
        required: Requirement::TimesFaster(REQUIRED),
    }])
}
