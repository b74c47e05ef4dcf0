//! Following the partition: this agent and its server are cut off, or keep those away who are.

use crate::{
    events,
    partition::{Followed, Partition, Side},
    shared::{Run, Shared, another},
    sockets,
};
use operations::port::{Command, Trouble};
use rustix::process::{Pid, getpid};
use std::{future::pending, io, net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, timeout},
};

/// Time between two looks at all connections while somebody is cut off.
const LOOK: Duration = Duration::from_millis(100);
/// The same while a new server does not listen yet, which it begins to without a filter.
const LOOK_NEW: Duration = Duration::from_millis(3);
/// For so long a server is new.
const NEW: Duration = Duration::from_secs(5);
/// How long the server may take to be told where its connections come from before the next try.
const TOLD: Duration = Duration::from_millis(300);
/// A server listens for clients and for the cluster bus.
const LISTENERS: usize = 2;

/// What was done to a run of the server.
struct Done {
    run: u64,
    /// When it was seen first.
    since: Instant,
    /// Where its connections come from.
    source: Option<Ipv4Addr>,
    /// How many of its sockets listen.
    listeners: usize,
}

/// Hears from now on that there is another partition.
pub(crate) fn hear() -> io::Result<Signal> {
    signal(SignalKind::user_defined1())
}

/// Follows the partition for as long as it is polled.
pub(crate) async fn follow(shared: Arc<Shared>, mut called: Signal) {
    let mut runs = shared.runs();
    let (mut done, mut told, mut stood) = (Done::of(shared.run()), None, Side::Whole);
    loop {
        let run = *runs.borrow_and_update();
        if done.run != run.number {
            done = Done::of(run);
        }
        let partition = shared.partition().inspect_err(|error| events::tell(error)).unwrap_or_default();
        let side = partition.side(run.port);
        if side != stood {
            events::tell(in_words(side));
            stood = side;
        }
        if shared.source.get() != side.source() {
            shared.source.set(side.source());
            shared.forget_link();
        }
        let trouble = carry_out(&shared, side, &mut done).await.err().map(|error| error.to_string());
        let now = (partition.version, trouble);
        if told.as_ref() != Some(&now) {
            tell_others(&shared, &now);
            told = Some(now);
        }
        let runs_now = shared.run().pid.is_some();
        let is_new = runs_now && done.listeners < LISTENERS && done.since.elapsed() < NEW;
        let pause = match side {
            Side::Whole if !runs_now || done.source.is_none() => None,
            Side::Whole => Some(LOOK),
            _ if is_new => Some(LOOK_NEW),
            _ => Some(LOOK),
        };
        tokio::select! {
            _ = called.recv() => {}
            () = after(pause) => {}
            () = another(&mut runs, run) => {}
        }
    }
}

impl Done {
    fn of(run: Run) -> Self {
        Self { run: run.number, since: Instant::now(), source: run.source, listeners: 0 }
    }
}

async fn carry_out(shared: &Shared, side: Side, done: &mut Done) -> io::Result<()> {
    sockets::filter_listeners(side, getpid())?;
    sockets::shut_crossing(side, getpid())?;
    let Some(pid) = shared.server() else { return Ok(()) };
    done.listeners = sockets::filter_listeners(side, pid)?;
    if done.source != side.source() && tell_server(shared, side).await {
        done.source = side.source();
    }
    // Only then: those that it makes next come from where they belong. It may have ended meanwhile.
    if shared.server() == Some(pid) {
        sockets::shut_crossing(side, pid)?;
    }
    Ok(())
}

/// Tells the server where its connections are to come from. That it says the same address as ever keeps others inside from taking that one for where it listens.
async fn tell_server(shared: &Shared, side: Side) -> bool {
    let set = |name: &str, value: String| shared.send(Command::ConfigSet(name.to_owned(), value));
    let tell = async {
        if side.source().is_some() {
            set("cluster-announce-ip", shared.neighbourhood.own_host().to_string()).await?;
        }
        let source = side.source().map_or_else(String::new, |source| source.to_string());
        set("bind-source-addr", source).await?;
        Ok::<_, Trouble>(())
    };
    timeout(TOLD, tell).await.is_ok_and(|told| told.is_ok())
}

fn tell_others(shared: &Shared, (version, trouble): &(u64, Option<String>)) {
    let agent_pid = getpid().as_raw_nonzero().get();
    if let Err(error) = shared.tell_followed(&Followed { agent_pid, version: *version, trouble: trouble.clone() }) {
        events::tell(error);
    }
}

fn in_words(side: Side) -> String {
    match side {
        Side::Whole => "nobody is cut off any more".to_owned(),
        Side::Outside => "other members are cut off".to_owned(),
        Side::Inside(address) => format!("cut off, with all members of the group {address}"),
    }
}

/// What the server is started with so that its connections come from the right place from the beginning.
pub(crate) fn arguments(source: Option<Ipv4Addr>, own_host: std::net::IpAddr) -> Vec<String> {
    let Some(source) = source else { return Vec::new() };
    let words =
        ["--bind-source-addr".to_owned(), source.to_string(), "--cluster-announce-ip".to_owned(), own_host.to_string()];
    words.into()
}

async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => pending().await,
    }
}

impl Shared {
    /// The partition of the cluster.
    pub(crate) fn partition(&self) -> Result<Partition, crate::FileError> {
        Partition::read(&self.neighbourhood.partition())
    }

    /// The server's process, while there is one that was not reaped.
    fn server(&self) -> Option<Pid> {
        self.run().pid.and_then(Pid::from_raw)
    }
}
