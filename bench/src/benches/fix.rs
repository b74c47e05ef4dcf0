//! Repairing slots whose move was interrupted.

use super::figures;
use crate::{
    complete::{agree, serves},
    figures::{Requirement, turns},
    mend::after_reference,
    note,
    problem::Problem,
    row::{Reading, Row},
    servers,
    setting::{Setting, Tool},
    stopwatch::run,
    unit::Unit,
};
use std::time::Duration;
use testservers::{Server, Servers, StockClient, wait_until};

const PRIMARIES: usize = 10;
/// Open slots of each primary, on their way to the next one: 1000 together.
const SLOTS: usize = 100;
/// Over all slots: one or two in each.
const KEYS: usize = 20_000;
const REQUIRED: f64 = 6.0;
const LIMIT: Duration = Duration::from_mins(2);
const PATIENCE: Duration = Duration::from_mins(1);

/// Who repairs, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Reference,
    Tribune,
    Native,
}

const CONTENDERS: [Contender; 3] = [Contender::Reference, Contender::Tribune, Contender::Native];

/// All in turn, on the same servers: each leaves them repaired.
pub(crate) fn half_open(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let servers = servers::empty(setting, PRIMARIES);
    let addresses = servers.addresses();
    let mut create = vec!["create", "--yes"];
    create.extend(addresses.iter().map(String::as_str));
    run(setting, Tool::Tribune, &create, LIMIT)?.done()?;
    wait_until("the nodes serve", PATIENCE, || is_whole(&servers));
    StockClient::connect(&addresses, None).write(KEYS);
    let entry = addresses.into_iter().next().unwrap_or_default();
    let (mut reference, mut ours, mut native) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        for contender in turns(&CONTENDERS, round) {
            open(&servers);
            let (tool, words, times) = match contender {
                Contender::Reference => (Tool::Reference, vec!["--cluster", "fix", &entry], &mut reference),
                Contender::Tribune => (Tool::Tribune, vec!["--cluster", "fix", &entry], &mut ours),
                Contender::Native => (Tool::Tribune, vec!["fix", "--yes", &entry], &mut native),
            };
            let took = run(setting, tool, &words, LIMIT)?.done()?.took.as_secs_f64();
            note(&format!("  round {} of {rounds}: {contender:?} {took:.3} s", round + 1));
            times.push(took);
            if contender == Contender::Reference {
                after_reference(setting, &entry, || is_whole(&servers))?;
            }
            wait_until("every slot is closed and served", PATIENCE, || is_whole(&servers));
        }
    }
    let reference = figures(reference)?;
    let row = |name: &str, ours| {
        Ok(Row {
            name: name.to_owned(),
            unit: Unit::Seconds,
            reference: Reading::Took(reference.clone()),
            ours: figures(ours)?,
            until_complete: None,
            required: Requirement::TimesFaster(REQUIRED),
        })
    };
    Ok(vec![row("fix of 1000 half-open slots, 10 primaries", ours)?, row("the same, native", native)?])
}

/// Leaves slots of every primary open on their way to the next one.
fn open(servers: &Servers) {
    let ids: Vec<String> = servers.iter().map(|server| server.call_ok(&["CLUSTER", "MYID"])).collect();
    let next = servers.iter().zip(&ids).cycle().skip(1);
    for ((source, id), (destination, next)) in servers.iter().zip(&ids).zip(next) {
        for slot in owned(source).take(SLOTS) {
            let slot = slot.to_string();
            destination.call_ok(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", id]);
            source.call_ok(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", next]);
        }
    }
}

/// The slots that a server claims.
fn owned(server: &Server) -> impl Iterator<Item = u16> {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    let line = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default().to_owned();
    let ranges: Vec<_> = line
        .split(' ')
        .skip(8)
        .filter_map(|word| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect();
    ranges.into_iter().flatten()
}

/// Whether every node serves, all agree, and no slot is open.
fn is_whole(servers: &Servers) -> bool {
    let serving = |server: &Server| serves(&server.call(&["CLUSTER", "INFO"]), PRIMARIES);
    let views: Vec<String> = servers.iter().map(|server| server.call(&["CLUSTER", "NODES"])).collect();
    servers.iter().all(serving)
        && agree(&views, 0)
        && views.iter().all(|view| !view.contains("->-") && !view.contains("-<-"))
}
