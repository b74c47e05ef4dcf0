//! A TCP proxy in front of a server: delays, and faults on demand.

mod commands;
mod control;
mod link;
mod pipe;
mod worker;

use crate::{
    Server,
    ports::{Ports, free_ports},
};
use control::{Control, Counts, Shared, send};
use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use worker::Worker;

/// One of the two ways through a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected to the proxy.
    ToServer,
    /// Back.
    ToClient,
}

/// A TCP proxy on 127.0.0.1 in front of one server. All of it is changed while it runs, and every change has been made
/// when the call returns. Dropping it closes all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    controls: Sender<(Control, Sender<()>)>,
    worker: Option<JoinHandle<()>>,
    // Last, so that nothing listens there when it is given back.
    _reserved: Option<Ports>,
}

impl Proxy {
    /// Forwards a port of its own to `server`, a port of 127.0.0.1, without delay.
    #[track_caller]
    pub fn start(server: u16) -> Self {
        let reserved = free_ports(1);
        let port = reserved.first().copied().unwrap_or_default();
        Self::listen(port, server, Some(reserved))
    }

    /// A proxy through which the other nodes reach this one on the cluster bus. They have to meet it at `server.address()@port()`.
    #[track_caller]
    pub fn start_for_bus(server: &Server) -> Self {
        let proxy = Self::start(server.bus_port());
        server.call_ok(&["CONFIG", "SET", "cluster-announce-bus-port", &proxy.port.to_string()]);
        proxy
    }

    /// As [`start`](Self::start) on a port that has been reserved, by the caller where it is not handed over.
    #[track_caller]
    pub(crate) fn listen(port: u16, server: u16, reserved: Option<Ports>) -> Self {
        Self::try_listen(port, server, reserved).unwrap_or_else(|error| panic!("no proxy on port {port}: {error}"))
    }

    fn try_listen(port: u16, server: u16, reserved: Option<Ports>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let shared = Arc::new(Shared::new()?);
        let (controls, received) = channel();
        let worker = Worker::new(listener, server, Arc::clone(&shared), received)?;
        let worker = thread::Builder::new().name(format!("proxy-{port}")).spawn(|| worker.run())?;
        Ok(Self { port, shared, controls, worker: Some(worker), _reserved: reserved })
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where clients find it: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Delivers everything that comes from here on so much later, each way: 0.5 ms make 1 ms a round trip. It delays and
    /// does not throttle: any amount may be under way, up to 64 MiB a connection and direction. Only opening a connection
    /// takes no time, because the kernel does that.
    pub fn delay(&self, each_way: Duration) {
        self.control(Control::Delay { to_server: each_way, to_client: each_way });
    }

    /// As [`delay`](Self::delay), for each direction its own.
    pub fn delays(&self, to_server: Duration, to_client: Duration) {
        self.control(Control::Delay { to_server, to_client });
    }

    /// Resets all current connections (TCP RST), on both sides. What was under way is gone.
    pub fn cut(&self) {
        self.control(Control::Cut);
    }

    /// Cuts once exactly so many bytes, over all connections, have gone on in `direction` from here on; 0 cuts
    /// at once. Another call forgets this one.
    pub fn cut_after_bytes(&self, direction: Direction, bytes: u64) {
        self.control(Control::CutAfterBytes(direction, bytes));
    }

    /// Cuts once exactly so many whole commands, over all connections, have gone on to the server from here on; their
    /// replies may not have come. Without TLS only, where commands can be told apart. Another call forgets this one.
    pub fn cut_after_commands(&self, commands: u64) {
        self.control(Control::CutAfterCommands(commands));
    }

    /// Flips a bit of the first byte that comes behind these on its way to the client, once.
    pub fn flip_behind(&self, bytes: &[u8]) {
        self.control(Control::FlipBehind(bytes.to_vec()));
    }

    /// How often [`cut_after_bytes`](Self::cut_after_bytes) and [`cut_after_commands`](Self::cut_after_commands) have cut.
    pub fn cuts(&self) -> u64 {
        self.counts().cuts.load(Ordering::Relaxed)
    }

    /// Whether connections that come from here on are reset at once; those that are there stay.
    pub fn refuse(&self, refused: bool) {
        self.control(Control::Refuse(refused));
    }

    /// Whether everything stands: connections stay and are accepted, and nothing goes through.
    pub fn freeze(&self, frozen: bool) {
        self.control(Control::Freeze(frozen));
    }

    /// The bytes that have gone on in `direction` since the start.
    pub fn bytes(&self, direction: Direction) -> u64 {
        let counts = self.counts();
        let count = match direction {
            Direction::ToServer => &counts.bytes_to_server,
            Direction::ToClient => &counts.bytes_to_client,
        };
        count.load(Ordering::Relaxed)
    }

    /// The whole commands that have gone on to the server since the start; means nothing with TLS.
    pub fn commands(&self) -> u64 {
        self.counts().commands.load(Ordering::Relaxed)
    }

    /// The connections since the start, refused ones too.
    pub fn connections(&self) -> u64 {
        self.counts().connections.load(Ordering::Relaxed)
    }

    /// The connections that are open.
    pub fn open_connections(&self) -> u64 {
        self.counts().open.load(Ordering::Relaxed)
    }

    fn counts(&self) -> &Counts {
        // Between passing something on and counting it, somebody may have got it already.
        self.control(Control::Settle);
        &self.shared.counts
    }

    fn control(&self, control: Control) {
        send(&self.controls, &self.shared, control);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.control(Control::Stop);
        if let Some(worker) = self.worker.take() {
            // A worker that panicked has said so.
            let _ = worker.join();
        }
    }
}
