//! Cutting the connections of a process, from outside of it and without privileges.
//!
//! A parent may take duplicates of its child's sockets (`pidfd_getfd`), and they are the same sockets: a filter that is attached to a duplicate
//! of a listener drops packets before they reach it, and a connection whose duplicate is shut down is shut down.

use crate::partition::{MASK, NETWORK, Side};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{SockFilter, Socket};
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
};

/// Lets a process be reached by those alone who are on its side; how many of its sockets listen. The process must be this one or a child that was
/// not reaped.
///
/// # Errors
/// When the system does not give its sockets, or takes no filter.
pub(crate) fn filter_listeners(side: Side, pid: Pid) -> io::Result<usize> {
    let mut listeners = 0;
    for (socket, _) in sockets(pid)? {
        if socket.is_listener()? {
            filter(&socket, side)?;
            listeners += 1;
        }
    }
    Ok(listeners)
}

/// Shuts down the connections of a process that lead to another side. The process as above.
///
/// # Errors
/// When the system does not give its sockets.
pub(crate) fn shut_crossing(side: Side, pid: Pid) -> io::Result<()> {
    if side == Side::Whole {
        return Ok(());
    }
    // Whoever came last goes first: clients, as a rule, before replicas, so that nobody is answered whose write reaches no replica any more.
    for (socket, local) in sockets(pid)?.into_iter().rev() {
        let remote = socket.peer_addr().ok().and_then(|address| address.as_socket());
        if remote.is_some_and(|remote| crosses(side, local, remote)) {
            // One that broke just now is as good.
            socket.shutdown(Shutdown::Both).ok();
        }
    }
    Ok(())
}

/// Duplicates of a process's sockets that have an address of a network, with that.
fn sockets(pid: Pid) -> io::Result<Vec<(Socket, SocketAddr)>> {
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        // It has just ended.
        Err(rustix::io::Errno::SRCH) => return Ok(Vec::new()),
        process => process?,
    };
    let mut sockets = Vec::new();
    for number in socket_numbers(pid)? {
        let Some(socket) = duplicate(process.as_fd(), number)? else { continue };
        if let Some(local) = socket.local_addr().ok().and_then(|address| address.as_socket()) {
            sockets.push((socket, local));
        }
    }
    Ok(sockets)
}

/// Whether the system lets this process take a socket of a child, by trying it.
///
/// # Errors
/// Why not.
pub fn may_take_sockets() -> io::Result<()> {
    let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let taken = pid.ok_or(rustix::io::Errno::SRCH).and_then(|pid| {
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        pidfd_getfd(&process, 0, PidfdGetfdFlags::empty())
    });
    // It ends with its input.
    drop(child.stdin.take());
    child.wait()?;
    taken.map(drop).map_err(io::Error::from)
}

/// The descriptors of a process that are sockets. No others are ever duplicated: closing the duplicate of a file would give up this
/// process's record locks on it.
fn socket_numbers(pid: Pid) -> io::Result<Vec<i32>> {
    let entries = match fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let is_socket = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    Ok(entries.flatten().filter(is_socket).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// None when it was closed meanwhile, or is something else by now.
fn duplicate(process: BorrowedFd<'_>, number: i32) -> io::Result<Option<Socket>> {
    match pidfd_getfd(process, number, PidfdGetfdFlags::empty()) {
        Ok(descriptor) => Ok(Some(Socket::from(descriptor))),
        Err(rustix::io::Errno::BADF | rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a connection leads from one side to another. Inside, both ends know each other by the address of their group.
fn crosses(side: Side, local: SocketAddr, remote: SocketAddr) -> bool {
    let is_of_a_group = |address: SocketAddr| matches!(address.ip(), IpAddr::V4(ip) if ip.to_bits() & MASK.to_bits() == NETWORK.to_bits());
    match side {
        Side::Whole => false,
        // Its own connections come from such an address as long as they are as old as a cut that has healed.
        Side::Outside => is_of_a_group(remote),
        Side::Inside(address) => local.ip() != address && remote.ip() != address,
    }
}

fn filter(socket: &Socket, side: Side) -> io::Result<()> {
    match side {
        Side::Whole => match socket.detach_filter() {
            // It had none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        },
        Side::Outside => socket.attach_filter(&program(MASK, NETWORK, DROP, TAKE)),
        Side::Inside(address) => socket.attach_filter(&program(Ipv4Addr::BROADCAST, address, TAKE, DROP)),
    }
}

const TAKE: u32 = u32::MAX;
const DROP: u32 = 0;

/// A program for the kernel (classic BPF): what to do with a packet whose sender has these bits, and with any other.
fn program(mask: Ipv4Addr, wanted: Ipv4Addr, then: u32, otherwise: u32) -> [SockFilter; 5] {
    /// The sender's address in the header of IP, which lies before what the program of a TCP socket sees: `SKF_NET_OFF` + 12.
    const SENDER: u32 = (-0x10_0000_i32 + 12).cast_unsigned();
    /// Load a word from there; keep these bits of it; skip so many lines if it is equal, or if not; end.
    const LOAD: u16 = 0x20;
    const AND: u16 = 0x54;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD, 0, 0, SENDER),
        SockFilter::new(AND, 0, 0, mask.to_bits()),
        SockFilter::new(IF_EQUAL, 0, 1, wanted.to_bits()),
        SockFilter::new(RETURN, 0, 0, then),
        SockFilter::new(RETURN, 0, 0, otherwise),
    ]
}
