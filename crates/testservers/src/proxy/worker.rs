//! A proxy's thread: waits for all its connections at once.

use super::{
    Direction,
    control::{Control, Shared},
    link::{Link, reset},
    pipe::{Budget, Passed},
};
use crate::wait::be_punctual;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    thread::sched_yield,
};
use std::{
    collections::BTreeSet,
    io,
    mem::take,
    net::TcpListener,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, Sender},
    },
    time::{Duration, Instant},
};

const DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

pub(super) struct Worker {
    listener: TcpListener,
    server: u16,
    shared: Arc<Shared>,
    controls: Receiver<(Control, Sender<()>)>,
    links: Vec<Link>,
    to_server: Way,
    to_client: Way,
    refused: bool,
    frozen: bool,
    buffer: Vec<u8>,
}

/// How late a machine's timers may be. What is due sooner is not slept for.
const LATE: Duration = Duration::from_micros(150);

/// What holds for one direction of all connections.
#[derive(Default)]
struct Way {
    delay: Duration,
    budget: Budget,
    flip_behind: Option<Vec<u8>>,
}

impl Worker {
    pub(super) fn new(
        listener: TcpListener,
        server: u16,
        shared: Arc<Shared>,
        controls: Receiver<(Control, Sender<()>)>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            server,
            shared,
            controls,
            links: Vec::new(),
            to_server: Way::default(),
            to_client: Way::default(),
            refused: false,
            frozen: false,
            buffer: Vec::new(),
        })
    }

    pub(super) fn run(mut self) {
        be_punctual();
        while self.obey() {
            self.accept();
            if !self.frozen {
                self.forward();
            }
            self.shared.counts.open.store(self.links.len() as u64, Ordering::Relaxed);
            self.wait();
        }
    }

    /// Until there is something to do.
    fn wait(&mut self) {
        let links = if self.frozen { &mut [] } else { self.links.as_mut_slice() };
        let due = links.iter().filter_map(Link::due).min();
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        let sleep = left.map(|left| left.saturating_sub(LATE));
        if sleep.is_some_and(|sleep| sleep.is_zero()) {
            // Others may run first.
            sched_yield();
        }
        let sleep = sleep.and_then(|sleep| Timespec::try_from(sleep).ok());

        let interests = links.iter().enumerate().flat_map(|(i, link)| link.interests().map(move |side| (i, side)));
        let (whose, sides): (Vec<_>, Vec<_>) = interests.unzip();
        let owner = [PollFd::new(&self.shared.wake, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        let sides = sides.into_iter().map(|(stream, flags)| PollFd::new(stream, flags));
        let mut waited: Vec<_> = sides.chain(owner).collect();
        // Interrupted or not, everything is looked at again.
        let _ = poll(&mut waited, sleep.as_ref());

        let ready = |side: &PollFd| !side.revents().is_empty();
        let ready: BTreeSet<_> =
            whose.into_iter().zip(&waited).filter(|(_, side)| ready(side)).map(|(i, _)| i).collect();
        for (i, link) in links.iter_mut().enumerate() {
            link.is_ready = ready.contains(&i);
        }
    }

    /// Does what the owner wants; whether to go on.
    fn obey(&mut self) -> bool {
        // Only says that there is something to receive.
        let _ = rustix::io::read(&self.shared.wake, &mut [0; 8]);
        while let Ok((control, done)) = self.controls.try_recv() {
            match control {
                Control::Delay { to_server, to_client } => {
                    (self.to_server.delay, self.to_client.delay) = (to_server, to_client);
                }
                Control::Cut => self.cut(),
                Control::CutAfterBytes(direction, bytes) => {
                    self.forget_budgets();
                    self.way(direction).budget.bytes = Some(bytes);
                }
                Control::CutAfterCommands(commands) => {
                    self.forget_budgets();
                    self.to_server.budget.commands = Some(commands);
                }
                Control::FlipBehind(bytes) => self.to_client.flip_behind = Some(bytes),
                Control::Refuse(refused) => self.refused = refused,
                Control::Freeze(frozen) => self.frozen = frozen,
                Control::Settle => {}
                Control::Stop => return false,
            }
            self.shared.counts.open.store(self.links.len() as u64, Ordering::Relaxed);
            // The owner waits for it.
            let _ = done.send(());
        }
        true
    }

    fn accept(&mut self) {
        while let Ok((client, _)) = self.listener.accept() {
            self.shared.counts.connections.fetch_add(1, Ordering::Relaxed);
            if self.refused {
                reset(client);
            } else {
                self.links.extend(Link::open(client, self.server));
            }
        }
    }

    /// Everything that can be read and that is due, on all connections.
    fn forward(&mut self) {
        for mut link in take(&mut self.links) {
            match self.forward_one(&mut link) {
                Ok(()) if link.has_ended() => {}
                Ok(()) => self.links.push(link),
                // What one side does is done to the other.
                Err(_) => link.reset(),
            }
        }
        if self.to_server.budget.is_spent() || self.to_client.budget.is_spent() {
            self.forget_budgets();
            self.cut();
            self.shared.counts.cuts.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forward_one(&mut self, link: &mut Link) -> io::Result<()> {
        for direction in DIRECTIONS {
            let way = match direction {
                Direction::ToServer => &mut self.to_server,
                Direction::ToClient => &mut self.to_client,
            };
            link.read(direction, way.delay, &mut way.flip_behind, &mut self.buffer)?;
            let passed = link.write(direction, &mut way.budget)?;
            self.count(direction, &passed);
        }
        Ok(())
    }

    fn count(&self, direction: Direction, passed: &Passed) {
        let counts = &self.shared.counts;
        match direction {
            Direction::ToServer => {
                counts.bytes_to_server.fetch_add(passed.bytes, Ordering::Relaxed);
                counts.commands.fetch_add(passed.commands, Ordering::Relaxed);
            }
            Direction::ToClient => {
                counts.bytes_to_client.fetch_add(passed.bytes, Ordering::Relaxed);
            }
        }
    }

    fn cut(&mut self) {
        self.links.drain(..).for_each(Link::reset);
    }

    fn forget_budgets(&mut self) {
        (self.to_server.budget, self.to_client.budget) = (Budget::default(), Budget::default());
    }

    const fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}
