//! What one pass of the loop costs by itself at a calm cluster: one that looks at it whole, and one that only asks whether all is as it was.
//!
//! `cargo run --profile sim -p simcluster --example pass [SHARDS REPLICAS]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use futures_util::future::BoxFuture;
use operations::{
    control::{Control, Means, Report},
    moving::Pace,
    port::{Command, Dialer, Fleet, FleetError, Hold, MayGo, MayRestart, NodeError, NodeLink},
    run::Patience,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};
use topology::{
    Data, FleetMember, NodeAddr, NodeId, Process, Reply, Update,
    control::{Desired, Loss},
    create::even_slots,
};

/// The passes of the loop: one that dials, four quiet ones, one that looks whole, and the beginning of the next.
const PASSES: usize = 7;

fn id(number: usize) -> NodeId {
    let mut bytes = [7; 20];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    NodeId::from_bytes(bytes)
}

fn address(number: usize) -> NodeAddr {
    format!("10.0.{}.{}:7000@17000", number / 250, number % 250 + 1).parse().unwrap()
}

/// What all servers say of all, but for who says it.
fn lines(shards: usize, replicas: usize) -> Vec<String> {
    let slots = even_slots(shards);
    let line = |number: usize| {
        let (shard, address) = (number % shards, address(number));
        let address = format!("{}@17000", address.bare());
        if number < shards {
            let slots = slots.get(shard).unwrap();
            format!("{} {address} ROLE - 0 1800000000000 {} connected {slots}", id(number), shard + 1)
                .replace("ROLE", "master")
        } else {
            format!("{} {address} slave {} 0 1800000000000 {} connected", id(number), id(shard), shard + 1)
        }
    };
    (0..shards * (replicas + 1)).map(line).collect()
}

fn text(lines: &[String], own: usize) -> String {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let marked = if number == own {
            line.replacen("master", "myself,master", 1).replacen("slave", "myself,slave", 1)
        } else {
            line.clone()
        };
        writeln!(text, "{marked}").unwrap();
    }
    text
}

/// `INFO` with as many lines as servers tell.
fn info(lines: usize) -> String {
    let known = "redis_version:7.0.15\r\ncluster_enabled:1\r\nmaster_replid:1\r\nmaster_link_status:up\r\n".to_owned();
    (0..lines).fold(known, |text, line| text + &format!("some_other_figure_{line}:{}\r\n", line * 1000))
}

/// A server that always says the same.
struct Server {
    address: NodeAddr,
    nodes: String,
    info: String,
    standing: String,
}

/// All of them.
struct Servers(BTreeMap<String, Arc<Server>>);

impl NodeLink for Server {
    fn address(&self) -> &NodeAddr {
        &self.address
    }

    fn ip(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<Vec<Reply>, NodeError>> {
        let reply = |command: &Command| match command {
            Command::ClusterNodes => Reply::text(self.nodes.clone()),
            Command::ClusterInfo => Reply::text("cluster_state:ok\r\ncluster_current_epoch:9\r\n"),
            Command::Info => Reply::text(self.info.clone()),
            Command::Standing => Reply::text(self.standing.clone()),
            other => Reply::Error(format!("ERR nobody asks for {other:?} at a calm cluster")),
        };
        let replies = commands.iter().map(reply).collect();
        Box::pin(async { Ok(replies) })
    }
}

impl Dialer for Servers {
    fn dial<'a>(&'a self, address: &'a NodeAddr) -> BoxFuture<'a, Result<Arc<dyn NodeLink>, NodeError>> {
        let server: Arc<dyn NodeLink> = Arc::clone(self.0.get(&address.bare()).unwrap()) as _;
        Box::pin(async { Ok(server) })
    }
}

/// A platform of which nothing is wanted. It notes when it is asked, which is how each pass begins.
struct Members {
    all: Vec<FleetMember>,
    asked: Mutex<Vec<Instant>>,
    enough: Notify,
}

fn nothing<T: Send + 'static>() -> BoxFuture<'static, Result<T, FleetError>> {
    Box::pin(async { Err(FleetError("nothing is to be done at a calm cluster".to_owned())) })
}

impl Fleet for Members {
    fn members(&self) -> BoxFuture<'_, Result<Vec<FleetMember>, FleetError>> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(Instant::now());
        if asked.len() == PASSES {
            self.enough.notify_one();
        }
        Box::pin(async { Ok(self.all.clone()) })
    }

    fn add(&self, _: usize) -> BoxFuture<'_, Result<(), FleetError>> {
        nothing()
    }

    fn update<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), FleetError>> {
        nothing()
    }

    fn restart<'a>(&'a self, _: &'a str, _: MayRestart) -> BoxFuture<'a, Result<(), FleetError>> {
        nothing()
    }

    fn fence<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Hold, FleetError>> {
        nothing()
    }

    fn keep_loss<'a>(&'a self, _: &'a Loss) -> BoxFuture<'a, Result<(), FleetError>> {
        nothing()
    }

    fn losses(&self) -> Vec<Loss> {
        Vec::new()
    }

    fn remove<'a>(&'a self, _: &'a str, _: MayGo) -> BoxFuture<'a, Result<(), FleetError>> {
        nothing()
    }
}

fn member(number: usize) -> FleetMember {
    FleetMember {
        name: number.to_string(),
        address: Some(address(number)),
        host: format!("host-{}", number % 50),
        zone: None,
        process: Process::Runs,
        id: Some(id(number)),
        data: Data::Kept,
        update: Update::Current,
        trouble: None,
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>().unwrap());
    let (shards, replicas) = (words.next().unwrap_or(500), words.next().unwrap_or(1));
    let lines = lines(shards, replicas);
    let server = |number: usize| {
        let (nodes, info, standing) = (text(&lines, number), info(180), info(70));
        Arc::new(Server { address: address(number), nodes, info, standing })
    };
    let all = 0..lines.len();
    let servers = Servers(all.clone().map(|number| (address(number).bare(), server(number))).collect());
    let members = Arc::new(Members { all: all.map(member).collect(), asked: Mutex::default(), enough: Notify::new() });
    let (_send, desired) = watch::channel(Desired { shards, replicas, ..Desired::default() });
    let minute = Duration::from_mins(1);
    let means = Means {
        dialer: Arc::new(servers),
        fleet: Arc::clone(&members) as _,
        pace: Pace::default(),
        patience: Patience { agreement: minute, service: minute },
    };
    let tell = |report: &Report| assert!(report.settled, "{report:?}");
    tokio::select! {
        () = Control::new(means, desired, &tell).keep() => {}
        () = members.enough.notified() => {}
    }
    let asked = members.asked.lock().unwrap();
    let took: Vec<Duration> = asked.iter().zip(asked.iter().skip(1)).map(|(begin, end)| *end - *begin).collect();
    let quiet = took.get(1..5).unwrap().iter().sum::<Duration>() / 4;
    println!(
        "{shards} shards with {replicas} replicas each: a pass at a calm cluster takes {quiet:.1?}, one that looks at it whole {:.1?}",
        took.get(5).unwrap()
    );
}
