//! What the parts of an agent know together: which server runs, what it said last, and how to reach it and the others.

use crate::{
    CopyOf, MemberDirectory, Phase,
    account::{Account, Said},
    call::Caller,
    counters::Counters,
    file::FileError,
    happening::{Happening, Watchers},
    neighbours::Neighbourhood,
    partition::{Followed, Source},
    seen::Seen,
    token::Token,
};
use operations::{
    observe,
    port::{Command, Dialer, NodeLink, Trouble},
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use topology::{Host, NodeAddr, NodeEntry, NodeId, NodeView, Reply};

/// Who asks for the member gets what the server says now. One that says nothing for so long does not answer.
const NOW: Duration = Duration::from_millis(200);
/// A server that has not answered for longer is not ready.
const STALE: Duration = Duration::from_secs(5);

/// What the parts of an agent know together.
pub(crate) struct Shared {
    pub(crate) directory: MemberDirectory,
    dialer: Arc<dyn Dialer>,
    /// Without it nobody is told of the member, and no other agent is asked.
    pub(crate) token: Option<Token>,
    /// Where connections to servers and other agents come from.
    pub(crate) source: Source,
    pub(crate) neighbourhood: Neighbourhood,
    pub(crate) watchers: Watchers,
    pub(crate) counters: Counters,
    /// Set while an election that was asked for has no result: then the dead primary need not be kept waiting for one.
    pub(crate) unelected: AtomicBool,
    run: watch::Sender<Run>,
    seen: watch::Sender<Seen>,
    /// The link that is kept, with the number of the run that it belongs to.
    link: Mutex<Option<(u64, Arc<dyn NodeLink>)>>,
}

/// The run of the server that the agent is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Counted from 1; 0 before the first.
    pub(crate) number: u64,
    /// The server's process, while there is one.
    pub(crate) pid: Option<i32>,
    /// What the agent is at.
    pub(crate) phase: Phase,
    /// Where the server listens for clients.
    pub(crate) port: u16,
    /// The address that its connections come from since it was started, if that was not left to the system.
    pub(crate) source: Option<Ipv4Addr>,
}

impl Shared {
    /// Before the first run of a server that listens on this port.
    pub(crate) fn new(
        directory: MemberDirectory,
        dialer: Arc<dyn Dialer>,
        token: Option<Token>,
        neighbourhood: Neighbourhood,
        port: u16,
    ) -> Self {
        Self {
            directory,
            dialer,
            token,
            source: Source::default(),
            neighbourhood,
            watchers: Watchers::default(),
            counters: Counters::default(),
            unelected: AtomicBool::new(false),
            run: watch::Sender::new(Run { number: 0, pid: None, phase: Phase::Starting, port, source: None }),
            seen: watch::Sender::default(),
            link: Mutex::default(),
        }
    }

    /// What this agent asks others as; none without a token.
    pub(crate) fn caller(&self) -> Option<Caller<'_>> {
        Some(Caller { token: self.token.as_ref()?, source: &self.source })
    }

    /// The run that the agent is at.
    pub(crate) fn run(&self) -> Run {
        *self.run.borrow()
    }

    /// Changes of the run.
    pub(crate) fn runs(&self) -> watch::Receiver<Run> {
        self.run.subscribe()
    }

    /// What the server said last, and what it says from now on.
    pub(crate) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// A run has begun.
    pub(crate) fn begun(&self, pid: i32, port: u16, source: Option<Ipv4Addr>) {
        Counters::count(&self.counters.starts);
        self.run.send_modify(|run| {
            *run = Run { number: run.number + 1, pid: Some(pid), phase: run.phase, port, source };
        });
        self.watchers.tell(&Happening::Started { server_pid: pid });
    }

    /// The server has ended, in these words.
    pub(crate) fn ended(&self, how: &str) {
        Counters::count(&self.counters.exits);
        self.run.send_modify(|run| run.pid = None);
        self.watchers.tell(&Happening::Died { how: how.to_owned() });
        self.forget_link();
    }

    /// The server has lost all that it was: what it said before is not its own any more.
    pub(crate) fn forget(&self) {
        self.seen.send_replace(Seen::default());
    }

    /// Tells others how far the partition was followed.
    pub(crate) fn tell_followed(&self, followed: &Followed) -> Result<(), FileError> {
        followed.write(&self.directory)
    }

    /// The agent is at something else.
    pub(crate) fn enter(&self, phase: Phase) {
        self.run.send_modify(|run| run.phase = phase);
    }

    /// Asks the server for all that it knows.
    ///
    /// # Errors
    /// Why it did not answer; nobody else's answer counts.
    pub(crate) async fn look(&self) -> Result<Arc<NodeView>, Trouble> {
        let run = self.run();
        let outcome = self.ask(run).await;
        if run.number == self.run().number {
            self.seen.send_modify(|seen| match &outcome {
                Ok(view) => seen.take(run.number, view),
                Err(trouble) => seen.trouble = Some(trouble.clone()),
            });
        }
        outcome
    }

    async fn ask(&self, run: Run) -> Result<Arc<NodeView>, Trouble> {
        let pid = run.pid.ok_or(Trouble::Refused)?;
        let link = self.link(run).await?;
        let view = observe::ask_for_standing(link.as_ref()).await.map_err(|error| {
            if !error.trouble.answers() {
                self.forget_link();
            }
            error.trouble
        })?;
        if view.server.process_id == Some(pid) {
            return Ok(Arc::new(view));
        }
        self.forget_link();
        Err(Trouble::Protocol("another program listens on its port".to_owned()))
    }

    async fn link(&self, run: Run) -> Result<Arc<dyn NodeLink>, Trouble> {
        if let Some((number, link)) = &*self.kept()
            && *number == run.number
        {
            return Ok(Arc::clone(link));
        }
        let link = self.dial(&self.own_address(run.port)).await?;
        *self.kept() = Some((run.number, Arc::clone(&link)));
        Ok(link)
    }

    /// A link to any server of the cluster.
    pub(crate) async fn dial(&self, address: &NodeAddr) -> Result<Arc<dyn NodeLink>, Trouble> {
        let source = self.source.get().and_then(|source| self.dialer.coming_from(source.into()));
        source.as_ref().unwrap_or(&self.dialer).dial(address).await.map_err(|error| error.trouble)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<(u64, Arc<dyn NodeLink>)>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget_link(&self) {
        *self.kept() = None;
    }

    /// Sends a command to the own server.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Trouble> {
        let link = self.link(self.run()).await?;
        send(link.as_ref(), command).await
    }

    /// Asks the own server for text.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub(crate) async fn ask_for(&self, command: Command) -> Result<String, Trouble> {
        let link = self.link(self.run()).await?;
        let reply = ask(link.as_ref(), command).await?;
        let no_text = || Trouble::Protocol("no text".to_owned());
        reply.as_ref().and_then(Reply::as_text).map(String::from).ok_or_else(no_text)
    }

    /// Where this server is for the others.
    pub(crate) fn own_address(&self, port: u16) -> NodeAddr {
        NodeAddr::new(Host::Ip(self.neighbourhood.own_host()), port)
    }

    /// The node's id: what its server said, or what an earlier run has written.
    pub(crate) fn own_id(&self) -> Option<NodeId> {
        let said = self.seen.borrow().view.as_ref().map(|view| view.myself.id);
        said.or_else(|| self.directory.kept_id())
    }

    /// What is known of all nodes: what the server said last, or what an earlier run has written.
    pub(crate) fn known_entries(&self) -> Vec<NodeEntry> {
        match &self.seen.borrow().view {
            Some(view) => view.entries().cloned().collect(),
            None => self.directory.kept_entries(),
        }
    }

    /// The first line and those to come of somebody who watches.
    pub(crate) fn watch(&self) -> mpsc::Receiver<Vec<u8>> {
        let run = self.run();
        self.watchers.add(&Happening::Begin { phase: run.phase, server_pid: run.pid })
    }

    /// What is told of this member: what its server says now, or what it said last and that it does not answer.
    pub(crate) async fn fresh_account(&self) -> Account {
        let looked = self.run().pid.is_some() && timeout(NOW, self.look()).await.is_ok_and(|look| look.is_ok());
        let mut account = self.account();
        account.said.answers &= looked;
        account.copy = self.copy(looked);
        account.said.may_succeed &= !self.unelected.load(Ordering::Relaxed);
        account
    }

    /// Whose data this member has a copy of, after its server was looked at. One that has answered and does not any more may have one; one
    /// that has not answered yet has what is on disk.
    fn copy(&self, looked: bool) -> Option<CopyOf> {
        let (run, seen) = (self.run(), self.seen.borrow().clone());
        let Some(view) = seen.view.as_ref().filter(|_| run.pid.is_some() && seen.run == run.number) else {
            return CopyOf::kept(&self.directory);
        };
        let is_empty = looked && view.server.keys() == 0;
        CopyOf::wanted(&view.entries().cloned().collect::<Vec<_>>()).filter(|_| !is_empty && !seen.lacks_copy())
    }

    /// What is told of this member, as its server said last.
    pub(crate) fn account(&self) -> Account {
        let run = self.run();
        let seen = self.seen.borrow().clone();
        let mut said = seen.view.as_ref().map(|view| Said::of(view)).unwrap_or_default();
        said.may_succeed &= !seen.lacks_copy();
        if run.pid.is_none() {
            // What it comes back as.
            said.primary = self.directory.kept_node().and_then(|node| node.primary);
        }
        let bus_port = seen.view.as_ref().and_then(|view| view.myself.endpoint.bus_port);
        let address = self.own_address(run.port);
        Account {
            id: self.own_id(),
            bus_port: bus_port.or_else(|| address.bus_port()),
            address,
            server_pid: run.pid,
            phase: run.phase,
            copy: None,
            said: Said { answers: run.pid.is_some() && seen.run == run.number && seen.trouble.is_none(), ..said },
        }
    }

    /// Why clients should not be sent here, if they should not.
    pub(crate) fn why_not_ready(&self) -> Option<&'static str> {
        let Account { server_pid, said, .. } = self.account();
        let (trouble, at) = {
            let seen = self.seen.borrow();
            (seen.trouble.clone(), seen.at)
        };
        if server_pid.is_none() {
            Some("the server does not run")
        } else if matches!(trouble, Some(Trouble::Loading { .. })) {
            Some("the server is loading its data")
        } else if !said.answers || at.is_none_or(|at| at.elapsed() > STALE) {
            Some("the server does not answer")
        } else if said.link_up == Some(false) {
            Some("the link to the primary is down")
        } else if !said.state_ok {
            Some("the server does not serve: its cluster_state is fail")
        } else {
            None
        }
    }

    /// How long ago the server answered.
    pub(crate) fn last_answer(&self) -> Option<Duration> {
        self.seen.borrow().at.map(|at| at.elapsed())
    }
}

/// Waits for another run than this one; what the agent is at otherwise makes no difference.
pub(crate) async fn another(runs: &mut watch::Receiver<Run>, run: Run) {
    // The sender lives as long as the agent.
    runs.wait_for(|now| (now.number, now.pid) != (run.number, run.pid)).await.map(drop).ok();
}

/// Sends one command.
///
/// # Errors
/// When the server does not answer or refuses.
pub(crate) async fn send(link: &dyn NodeLink, command: Command) -> Result<(), Trouble> {
    ask(link, command).await.map(drop)
}

async fn ask(link: &dyn NodeLink, command: Command) -> Result<Option<Reply>, Trouble> {
    match link.send(vec![command]).await.map_err(|error| error.trouble)?.pop() {
        Some(Reply::Error(line)) => Err(Trouble::from_refusal(&line)),
        reply => Ok(reply),
    }
}
