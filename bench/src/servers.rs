//! Servers to try tools on, and waiting for what they become.

use crate::{
    complete::{agree, serves},
    problem::Problem,
    setting::{Setting, Tool},
    stopwatch::{Run, run},
};
use std::time::{Duration, Instant};
use testservers::{Server, Servers, wait_until};

/// How long servers are up before anything is measured. New ones keep `cluster_state:fail` for 2 s whatever a tool does,
/// and would make every tool wait for that.
const SETTLED: Duration = Duration::from_millis(2500);
/// For anything that servers do on their own.
const PATIENCE: Duration = Duration::from_mins(1);
/// For making a cluster.
const CREATE_LIMIT: Duration = Duration::from_mins(2);

/// Starts servers that do not know each other, and returns when they have settled.
pub(crate) fn empty(setting: &Setting, count: usize) -> Servers {
    // How fast news spreads, and how long a new primary waits before it serves, depend on the node timeout. The delay is
    // as shipped: replicas that load their primary's data at once would keep the machine busy while a tool is measured.
    let node_timeout = setting.node_timeout.to_string();
    let servers = Servers::start_with(&setting.engine, count, |builder, _| {
        builder.config("cluster-node-timeout", &node_timeout).config("repl-diskless-sync-delay", "5")
    });
    // Servers tell their uptime in whole seconds only, so it is counted from when all of them answered.
    let answered = Instant::now();
    wait_until("the servers have settled", PATIENCE, || answered.elapsed() >= SETTLED);
    servers
}

/// Lets a tool make a cluster of these servers, half of them replicas, in the reference's words.
pub(crate) fn create(setting: &Setting, tool: Tool, servers: &Servers) -> Result<Run, Problem> {
    let addresses = servers.addresses();
    let mut words = vec!["--cluster", "create"];
    words.extend(addresses.iter().map(String::as_str));
    words.extend(["--cluster-replicas", "1", "--cluster-yes"]);
    run(setting, tool, &words, CREATE_LIMIT)?.done()
}

/// The same in the native words of the program under test, which also wait for the replicas' links.
pub(crate) fn create_natively(setting: &Setting, servers: &Servers) -> Result<Run, Problem> {
    let addresses = servers.addresses();
    let mut words = vec!["create", "--replicas", "1", "--yes"];
    words.extend(addresses.iter().map(String::as_str));
    run(setting, Tool::Tribune, &words, CREATE_LIMIT)?.done()
}

/// A whole cluster, half replicas, whose replicas have their data: nothing goes on in it any more.
pub(crate) fn cluster(setting: &Setting, count: usize) -> Result<Servers, Problem> {
    let servers = empty(setting, count);
    create(setting, Tool::Tribune, &servers)?;
    wait_until("the nodes agree", PATIENCE, || is_complete(&servers));
    wait_until("the replicas have their data", PATIENCE, || servers.iter().all(has_its_data));
    Ok(servers)
}

/// Seconds from the start of a `create` until the servers are complete, and those until it returned.
pub(crate) fn until_complete(servers: &Servers, create: &Run) -> (f64, f64) {
    let returned = create.took.as_secs_f64();
    // The first look costs time that the tool did not.
    if is_complete(servers) {
        return (returned, returned);
    }
    wait_until("the nodes agree", PATIENCE, || is_complete(servers));
    (create.begin.elapsed().as_secs_f64(), returned)
}

/// Whether every node serves, all agree, and half are replicas.
pub(crate) fn is_complete(servers: &Servers) -> bool {
    let serving = |server: &Server| serves(&server.call(&["CLUSTER", "INFO"]), servers.len());
    let views = || servers.iter().map(|server| server.call(&["CLUSTER", "NODES"])).collect::<Vec<_>>();
    servers.iter().all(serving) && agree(&views(), servers.len() / 2)
}

fn has_its_data(server: &Server) -> bool {
    !server.call(&["INFO", "replication"]).contains("master_link_status:down")
}
