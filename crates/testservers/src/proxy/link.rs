//! One connection through a proxy.

use super::{
    Direction,
    pipe::{Budget, Passed, Pipe},
};
use rustix::{event::PollFlags, net::sockopt::set_socket_linger};
use std::{
    io,
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    to_server: Pipe,
    to_client: Pipe,
    /// Whether one side has something to say, or takes something again.
    pub(super) is_ready: bool,
}

impl Link {
    /// Connects onwards. Where that fails, the client is reset, as a dead server's kernel would do.
    pub(super) fn open(client: TcpStream, server: u16) -> Option<Self> {
        if let Ok(server) = connect(&client, server) {
            let (to_server, to_client) = (Pipe::default(), Pipe::default());
            Some(Self { client, server, to_server, to_client, is_ready: true })
        } else {
            reset(client);
            None
        }
    }

    /// What to wait for, for the client's and the server's side.
    pub(super) fn interests(&self) -> impl Iterator<Item = (&TcpStream, PollFlags)> {
        let flags = |reads: &Pipe, writes: &Pipe| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, reads.wants_to_read());
            flags.set(PollFlags::OUT, writes.wants_to_write());
            flags
        };
        let sides = [
            (&self.client, flags(&self.to_server, &self.to_client)),
            (&self.server, flags(&self.to_client, &self.to_server)),
        ];
        // Without flags, the kernel would still tell of ends, again and again.
        sides.into_iter().filter(|(_, flags)| !flags.is_empty())
    }

    /// When something is to go on.
    pub(super) fn due(&self) -> Option<Instant> {
        self.to_server.due().into_iter().chain(self.to_client.due()).min()
    }

    /// Takes in what has come, where something has.
    pub(super) fn read(
        &mut self,
        direction: Direction,
        delay: Duration,
        flip_behind: &mut Option<Vec<u8>>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        match direction {
            _ if !self.is_ready => Ok(()),
            Direction::ToServer => self.to_server.read(&self.client, delay, flip_behind, buffer),
            Direction::ToClient => self.to_client.read(&self.server, delay, flip_behind, buffer),
        }
    }

    /// Sends on what is due, as long as the budget lasts.
    pub(super) fn write(&mut self, direction: Direction, budget: &mut Budget) -> io::Result<Passed> {
        if self.is_ready {
            self.to_server.unblock();
            self.to_client.unblock();
        }
        match direction {
            Direction::ToServer => self.to_server.write(&self.server, budget),
            Direction::ToClient => self.to_client.write(&self.client, budget),
        }
    }

    /// Whether both sides have closed and all has gone on.
    pub(super) fn has_ended(&self) -> bool {
        self.to_server.ended && self.to_client.ended
    }

    pub(super) fn reset(self) {
        reset(self.client);
        reset(self.server);
    }
}

/// Closes with RST instead of FIN: the other side gets an error and what is under way is gone.
pub(super) fn reset(stream: TcpStream) {
    // One that cannot be reset is closed.
    let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

fn connect(client: &TcpStream, server: u16) -> io::Result<TcpStream> {
    let server = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, server).into(), CONNECT_TIMEOUT)?;
    for stream in [client, &server] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
    }
    Ok(server)
}
