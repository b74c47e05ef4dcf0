//! What the agents and the loop of `tribune local` are for: how long nobody is served when something dies or is replaced.

use super::figures;
use crate::{
    figures::Requirement,
    kept::{Kept, ask, info, ports, signal, usage, when},
    loaded::{Shape, form, pass},
    note,
    problem::Problem,
    row::{Reading, Row},
    setting::Setting,
    unit::Unit,
};
use std::{
    fs,
    time::{Duration, Instant},
};
use testservers::{Cluster, Ledger, Servers, Writer, WriterOptions, wait_until};

/// Keys of a cluster that is rolled or scaled.
const KEYS: u64 = 1_000_000;
/// The size of each value.
const BYTES: usize = 100;
/// For whatever servers do on their own.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a cluster that has nothing to do is watched.
const IDLE: Duration = Duration::from_secs(30);

/// A primary's server and a server with its agent are killed; the reference are the same servers alone, with a node timeout of 5 s.
pub(crate) fn deaths(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut alone, mut server, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(without_agents(setting)?);
        let kept = Kept::up(setting, 3, 1)?;
        server.push(gap(&kept, "server killed", || signal(kept.a_primary()?.server_pid, "KILL"))?);
        both.push(gap(&kept, "server and agent killed", || signal(kept.a_primary()?.agent_pid, "KILL"))?);
    }
    let reference = Reading::Took(figures(alone)?);
    Ok(vec![
        gaps("server killed: worst gap", reference.clone(), server.clone(), Requirement::TimesFaster(30.0))?,
        gaps("server killed: worst gap", Reading::Nothing, server, Requirement::Below(0.2))?,
        gaps("server and agent killed: worst gap", reference, both, Requirement::Below(0.5))?,
    ])
}

/// A planned failover, an orderly stop of a member, all members restarted: the client sees no error, and nothing is lost.
pub(crate) fn planned(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut failovers, mut stops, mut rolls) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let kept = Kept::up(setting, 3, 1)?;
        let replica = kept.replica_of(kept.a_primary()?.port)?;
        failovers.push(gap_without_errors(&kept, "failover", || {
            kept.tribune(&format!("failover 127.0.0.1:{} --yes", replica.port)).map(drop)
        })?);
        stops.push(gap_without_errors(&kept, "orderly stop", || signal(kept.a_primary()?.agent_pid, "TERM"))?);
        rolls.push(gap_without_errors(&kept, "roll", || kept.local("roll --yes").map(drop))?);
    }
    let row = |name, rounds| gaps(name, Reading::Nothing, rounds, Requirement::Below(0.1));
    Ok(vec![
        row("planned failover: worst gap", failovers)?,
        row("orderly stop of a primary: worst gap", stops)?,
        row("roll of 3 + 3: worst gap", rolls)?,
    ])
}

/// A cluster with a million keys is rolled; the reference is one of its replicas, restarted and synchronised.
pub(crate) fn roll(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let kept = Kept::up(setting, 3, 1)?;
        kept.cluster().fill("key", KEYS, BYTES);
        kept.ready();
        let replica = kept.replica_of(kept.a_primary()?.port)?;
        let before = replica.server_pid.unwrap_or_default();
        let begin = Instant::now();
        signal(replica.agent_pid, "TERM")?;
        let back = when("it is in sync again", || {
            let said = info(replica.port, "all");
            said.contains("master_link_status:up") && !said.contains(&format!("process_id:{before}\r"))
        });
        let alone = back.duration_since(begin);
        one.push(alone.as_secs_f64());
        kept.ready();
        let begin = Instant::now();
        kept.local("roll --yes")?;
        let rolled = begin.elapsed();
        all.push(rolled.as_secs_f64());
        note(&format!("  one replica {alone:.2?}, all {rolled:.2?}"));
    }
    let (reference, ours) = (Reading::Took(figures(one)?), figures(all)?);
    let required = Requirement::Within(3.0);
    let name = "roll of 3 + 3 with a million keys, to one restart and sync".to_owned();
    Ok(vec![Row { name, unit: Unit::Seconds, reference, ours, until_complete: None, required }])
}

/// A cluster with a million keys gets a fourth shard; the reference is the start of two members, 1.2 times the move alone, and 1.5 s.
pub(crate) fn scale(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut limit, mut took) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = {
            let begin = Instant::now();
            let _servers = Servers::start(&setting.engine, 2);
            begin.elapsed()
        };
        let kept = Kept::up(setting, 3, 1)?;
        kept.cluster().fill("key", KEYS, BYTES);
        kept.ready();
        let begin = Instant::now();
        kept.local("scale --shards 4 --yes")?;
        let scaled = begin.elapsed();
        took.push(scaled.as_secs_f64());
        // The same slots back and there again, with nothing else to be done.
        kept.local("hold")?;
        let entry = format!("127.0.0.1:{}", kept.first());
        let fourth = newest_owner(&kept);
        kept.tribune(&format!("rebalance {entry} --weight {fourth}=0 --yes"))?;
        let begin = Instant::now();
        kept.tribune(&format!("rebalance {entry} --use-empty-masters --yes"))?;
        let moving = begin.elapsed();
        limit.push(start.as_secs_f64() + 1.2 * moving.as_secs_f64() + 1.5);
        note(&format!("  start {start:.2?}, move {moving:.2?}, scale {scaled:.2?}"));
    }
    let (reference, ours) = (Reading::Took(figures(limit)?), figures(took)?);
    let name = "scale 3 to 4 with a million keys, to start + 1.2 moves + 1.5 s".to_owned();
    let required = Requirement::Within(1.0);
    Ok(vec![Row { name, unit: Unit::Seconds, reference, ours, until_complete: None, required }])
}

/// All servers are killed and come back at other ports with their data: how long until all serve, once all have loaded.
pub(crate) fn moved(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let mut took = Vec::new();
    for _ in 0..rounds {
        let mut kept = Kept::up(setting, 3, 1)?;
        kept.cluster().fill("key", KEYS / 10, BYTES);
        kept.local("hold")?;
        kept.local("down")?;
        let (first, _ports) = ports(6)?;
        move_members(&kept, first)?;
        kept.moved_to(first);
        let upping = std::thread::scope(|scope| {
            let up = scope.spawn(|| kept.local("up"));
            let all = || first..first + 6;
            let loaded = when("all have loaded", || all().all(|port| info(port, "persistence").contains("loading:0")));
            let serve = when("all serve", || all().all(serves));
            (loaded, serve, up.join())
        });
        took.push(upping.1.duration_since(upping.0).as_secs_f64());
    }
    let required = Requirement::Below(2.5);
    let name = "all servers back at other ports: serving, after they have loaded".to_owned();
    let ours = figures(took)?;
    Ok(vec![Row { name, unit: Unit::Seconds, reference: Reading::Nothing, ours, until_complete: None, required }])
}

/// What the loop and the agents of a cluster that is well use.
pub(crate) fn idle(setting: &Setting, rounds: usize) -> Result<Vec<Row>, Problem> {
    let (mut share, mut memory) = (Vec::new(), Vec::new());
    let kept = Kept::up(setting, 3, 1)?;
    let status = kept.status();
    let agents = status.members.iter().filter_map(|member| member.agent_pid);
    let pids: Vec<i64> = agents.chain(status.supervisor_pid).collect();
    let used = || pids.iter().map(|pid| usage(*pid).0).sum::<f64>();
    for _ in 0..rounds {
        let (begin, before) = (Instant::now(), used());
        pass(IDLE);
        share.push((used() - before) / begin.elapsed().as_secs_f64() * 100.0);
        memory.push(pids.iter().map(|pid| usage(*pid).1).fold(0.0, f64::max));
    }
    let row = |name: &str, unit, rounds, limit| -> Result<Row, Problem> {
        let (reference, required) = (Reading::Nothing, Requirement::Below(limit));
        Ok(Row { name: name.to_owned(), unit, reference, ours: figures(rounds)?, until_complete: None, required })
    };
    Ok(vec![
        row("loop and agents of an idle 3 + 3: share of a core", Unit::Percent, share, 0.5)?,
        row("the largest of them", Unit::Megabytes, memory, 10.0)?,
    ])
}

fn gaps(name: &str, reference: Reading, rounds: Vec<f64>, required: Requirement) -> Result<Row, Problem> {
    let ours = figures(rounds)?;
    Ok(Row { name: name.to_owned(), unit: Unit::Seconds, reference, ours, until_complete: None, required })
}

/// The worst gap of a client that writes while something happens, and until the cluster is well again; nothing may be lost.
fn gap(kept: &Kept, what: &str, happens: impl FnOnce() -> Result<(), Problem>) -> Result<f64, Problem> {
    Ok(seen(kept, what, happens)?.worst_gap().as_secs_f64())
}

fn gap_without_errors(kept: &Kept, what: &str, happens: impl FnOnce() -> Result<(), Problem>) -> Result<f64, Problem> {
    let ledger = seen(kept, what, happens)?;
    assert!(ledger.failures() == 0, "{what}: the client saw {:?}", ledger.last_failure());
    Ok(ledger.worst_gap().as_secs_f64())
}

fn seen(kept: &Kept, what: &str, happens: impl FnOnce() -> Result<(), Problem>) -> Result<Ledger, Problem> {
    let writer = kept.writer();
    happens()?;
    let ledger = finish(writer);
    kept.ready();
    ledger.assert_kept(&kept.cluster());
    note(&format!("  {what}: {:.0} ms", ledger.worst_gap().as_secs_f64() * 1000.0));
    Ok(ledger)
}

fn finish(writer: Writer) -> Ledger {
    let so_far = writer.acknowledged();
    // Longer than any gap: one that is not over has no end yet.
    pass(Duration::from_secs(1));
    wait_until("the client goes on", PATIENCE, || writer.acknowledged() > so_far + 2000);
    writer.stop()
}

/// The worst gap of the same servers without agents and loop.
fn without_agents(setting: &Setting) -> Result<f64, Problem> {
    let servers = Servers::start_with(&setting.engine, 6, |builder, _| builder.config("cluster-node-timeout", "5000"));
    let cluster = Cluster::of(&servers);
    form(&servers, Shape { owners: 3, replicas: 3, ..Shape::default() });
    let writer = Writer::start(&cluster, &WriterOptions::default());
    wait_until("the client writes", PATIENCE, || writer.acknowledged() > 300);
    servers.first().ok_or_else(|| Problem::Absent("server".to_owned()))?.kill();
    let ledger = finish(writer);
    note(&format!("  servers alone: {:.2} s", ledger.worst_gap().as_secs_f64()));
    Ok(ledger.worst_gap().as_secs_f64())
}

fn newest_owner(kept: &Kept) -> String {
    let ports = kept.status().members.into_iter().map(|member| member.port);
    let newest = ports.filter(|port| info(*port, "replication").contains("role:master")).max();
    newest.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default()
}

fn serves(port: u16) -> bool {
    ask(port, &["CLUSTER", "INFO"]).contains("cluster_state:ok")
}

/// Gives each member, none of which runs, another port, by hand.
fn move_members(kept: &Kept, to: u16) -> Result<(), Problem> {
    let members = kept.directory().join("members");
    let refused = |source| Problem::System { what: "cannot move a member".to_owned(), source };
    for (old, new) in (kept.first()..kept.first() + 6).zip(to..) {
        let replace = |file: &str, was: String, is: &str| {
            let path = members.join(old.to_string()).join(file);
            fs::write(&path, fs::read_to_string(&path)?.replace(&was, is))
        };
        replace("server.conf", format!("port {old}\n"), &format!("port {new}\n")).map_err(refused)?;
        replace("member.json", format!("\"port\": {old}"), &format!("\"port\": {new}")).map_err(refused)?;
        replace("member.json", format!("\"port\": {}", old + 5000), &format!("\"port\": {}", new + 5000))
            .map_err(refused)?;
        replace("member.json", format!("members/{old}/"), &format!("members/{new}/")).map_err(refused)?;
        fs::rename(members.join(old.to_string()), members.join(new.to_string())).map_err(refused)?;
    }
    Ok(())
}
