//! What happens to servers and to the network between them.

use crate::{
    bus::At,
    faults::Faults,
    link::own_ip,
    server::{Process, Server},
    simulation::{Number, Simulation},
};
use std::ops::RangeInclusive;

impl Simulation {
    /// Ends a process, as `kill -9` does; its volume stays.
    pub fn kill(&self, number: Number) {
        self.shared.look(|world| world.kill(number));
    }

    /// Starts a process that does not run, on its volume, at the address that it had.
    pub fn start(&self, number: Number) {
        self.shared.look(|world| {
            let loading = world.loading;
            if let Some(server) = down(&mut world.servers, number) {
                let address = server.address;
                server.start(&mut world.bus, address, loading);
            }
        });
    }

    /// Starts it at an address that nobody has had.
    pub fn start_elsewhere(&self, number: Number) {
        self.shared.look(|world| {
            let (loading, count) = (world.loading, u32::try_from(world.servers.len()).unwrap_or(u32::MAX));
            let Some(server) = down(&mut world.servers, number) else { return };
            let mut address = server.address;
            let mut next = count + 1;
            while !world.bus.is_free(address, usize::MAX) {
                address.ip = own_ip(next);
                next += 1;
            }
            server.start(&mut world.bus, address, loading);
        });
    }

    /// Empties the volume of a server that does not run.
    pub fn wipe(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = down(&mut world.servers, number) {
                server.become_new(&mut world.bus);
                server.note(&mut world.bus, format_args!("loses its volume"));
            }
        });
    }

    /// Stops a process without ending it, as `kill -STOP` does: it takes connections and never answers.
    pub fn pause(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = world.servers.get_mut(number).filter(|server| server.process == Process::Up) {
                server.process = Process::Paused;
                server.note(&mut world.bus, format_args!("is paused"));
                world.bus.changed();
            }
        });
    }

    /// Lets a paused process go on.
    pub fn resume(&self, number: Number) {
        self.shared.look(|world| {
            if let Some(server) = world.servers.get_mut(number).filter(|server| server.process == Process::Paused) {
                server.process = Process::Up;
                server.note(&mut world.bus, format_args!("goes on"));
                world.bus.changed();
                world.deliver_waiting(number);
            }
        });
    }

    /// Whether a process runs, paused or not.
    pub fn is_up(&self, number: Number) -> bool {
        self.shared.look(|world| world.servers.get(number).is_some_and(|server| server.process != Process::Down))
    }

    /// The machine of a server.
    pub fn host(&self, number: Number) -> usize {
        self.shared.look(|world| world.bus.doors.get(number).map_or(0, |door| door.host))
    }

    /// Cuts the network between these servers and all others, and the machines named; within either part it works.
    pub fn isolate(&self, numbers: &[Number], hosts: &[&str]) {
        self.shared.look(|world| {
            let mut inside: Vec<usize> =
                numbers.iter().filter_map(|at| world.bus.doors.get(*at)).map(|door| door.host).collect();
            inside.sort_unstable();
            inside.dedup();
            let mut outside: Vec<usize> = world.bus.doors.iter().map(|door| door.host).collect();
            outside.extend(hosts.iter().map(|host| world.bus.network.host(host)).collect::<Vec<_>>());
            for one in &inside {
                for other in outside.iter().filter(|other| !inside.contains(other)) {
                    world.bus.network.cut(*one, *other, true);
                }
            }
            world.bus.note(format_args!("servers {numbers:?} are cut off"));
        });
    }

    /// Cuts or mends the network between a server and a machine, such as that of a dialer.
    pub fn cut_from(&self, number: Number, host: &str, is_cut: bool) {
        self.shared.look(|world| {
            let other = world.bus.network.host(host);
            if let Some(here) = world.bus.doors.get(number).map(|door| door.host) {
                world.bus.network.cut(here, other, is_cut);
                let word = if is_cut { "cut" } else { "mended" };
                world.bus.note(format_args!("the network between server {number} and {host} is {word}"));
            }
        });
    }

    /// Cuts or mends the network between the machines of two servers.
    pub fn cut(&self, one: Number, other: Number, is_cut: bool) {
        self.shared.look(|world| {
            let host = |at: At| world.bus.doors.get(at).map(|door| door.host);
            if let (Some(here), Some(there)) = (host(one), host(other)) {
                world.bus.network.cut(here, there, is_cut);
                let word = if is_cut { "cut" } else { "mended" };
                world.bus.note(format_args!("the network between servers {one} and {other} is {word}"));
            }
        });
    }

    /// Mends the whole network.
    pub fn heal(&self) {
        self.shared.look(|world| {
            world.bus.network.heal();
            world.bus.note(format_args!("the network is whole"));
        });
    }

    /// How long messages between servers take, milliseconds, and which part of them is lost.
    pub fn set_network(&self, delay: RangeInclusive<u64>, loss: f64) {
        self.shared.look(|world| {
            (world.bus.network.delay, world.bus.network.loss) = (delay, loss);
        });
    }

    /// What goes wrong at the ports from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.look(|world| world.faults = faults);
    }

    /// How long reading its data takes a server that starts from now on, milliseconds.
    pub fn set_loading(&self, milliseconds: u64) {
        self.shared.look(|world| world.loading = milliseconds);
    }
}

fn down(servers: &mut [Server], number: Number) -> Option<&mut Server> {
    servers.get_mut(number).filter(|server| server.process == Process::Down)
}
