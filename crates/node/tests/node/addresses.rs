//! IPv4, IPv6 and names.

use crate::support::{asked, dial, plain, run, trouble};
use node::{ConnectOptions, Family};
use operations::port::Trouble;
use std::{
    io::{Write, stderr},
    net::{IpAddr, Ipv6Addr, TcpListener, ToSocketAddrs},
};
use testservers::{Server, any_engine, each_engine, free_ports};

fn of_family(family: Family) -> ConnectOptions {
    ConnectOptions { family, ..plain() }
}

/// Whether this machine has the IPv6 loopback address; says loudly where it has not.
fn has_ipv6() -> bool {
    let has = TcpListener::bind((Ipv6Addr::LOCALHOST, free_ports(1)[0])).is_ok();
    if !has {
        // Not through eprintln, which the test runner keeps to itself.
        let _ = writeln!(stderr(), "SKIPPED: IPv6: this machine has no ::1");
    }
    has
}

#[test]
fn servers_are_reached_over_ipv6() {
    if !has_ipv6() {
        return;
    }
    each_engine(|engine| {
        let server = Server::builder(engine).config("bind", "127.0.0.1 ::1").start();
        let address = format!("[::1]:{}", server.port());
        let link = run(dial(&plain(), &address)).unwrap();
        assert_eq!(link.ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
        asked(&plain(), &address).unwrap();
    });
}

#[test]
fn a_name_s_addresses_are_used_by_their_family() {
    let Some(engine) = any_engine() else { return };
    let server = Server::builder(&engine).start();
    let address = format!("localhost:{}", server.port());
    for family in [Family::Any, Family::V4] {
        let link = run(dial(&of_family(family), &address)).unwrap();
        assert_eq!(link.ip(), IpAddr::from([127, 0, 0, 1]));
    }
    let has_ipv6_address = address.to_socket_addrs().unwrap().any(|address| address.is_ipv6());
    let expected = |trouble: &Trouble| match trouble {
        Trouble::Refused => has_ipv6_address,
        Trouble::Unresolvable(_) => !has_ipv6_address,
        _ => false,
    };
    let trouble = trouble(&of_family(Family::V6), &address);
    assert!(expected(&trouble), "{trouble:?}");
}
