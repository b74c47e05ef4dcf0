//! The same conversation with real servers and with simulated ones: what they say is the same, field by field.
#![cfg(test)]

mod conversation;
mod told;

use conversation::{Stage, converse};
use operations::port::Dialer;
use simcluster::{Profile, ServerOptions, Timeouts};
use std::{net::Ipv4Addr, sync::Arc};
use testservers::Servers;
use topology::NodeAddr;

/// Servers of either kind.
const COUNT: usize = 6;

/// Prints what has happened when the conversation fails.
struct Told(simcluster::Simulation);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0.trace());
        }
    }
}

fn real(profile: &Profile) -> Option<Vec<String>> {
    let engine = testservers::engine(profile.name)?;
    let servers = Servers::start(&engine, COUNT);
    let addresses: Vec<NodeAddr> = servers.addresses().iter().map(|address| address.parse().unwrap()).collect();
    let options = node::ConnectOptions::default();
    let dialer: Arc<dyn Dialer> = Arc::new(node::Connector::new(options).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kill = |at: usize| servers[at].kill();
    let restart = |at: usize| servers[at].restart();
    Some(runtime.block_on(converse(&Stage { dialer, addresses, kill: &kill, restart: &restart })))
}

fn simulated(profile: &'static Profile, ports: &[u16]) -> Vec<String> {
    simcluster::run(1, |simulation| async move {
        let _told = Told(simulation.clone());
        for port in ports {
            // As testservers sets them.
            let options = ServerOptions::new(profile)
                .with_setting("cluster-node-timeout", "2000")
                .with_setting("repl-diskless-sync-delay", "0")
                .on_host("localhost")
                .at(Ipv4Addr::LOCALHOST.into(), *port);
            simulation.add_server(&options);
        }
        let (dialer, addresses) = (simulation.dialer("localhost", Timeouts::default()), simulation.addresses());
        let kill = |at: usize| simulation.kill(at);
        let restart = |at: usize| {
            simulation.kill(at);
            simulation.start(at);
        };
        converse(&Stage { dialer, addresses, kill: &kill, restart: &restart }).await
    })
    .unwrap()
}

fn compare(profile: &'static Profile) {
    let Some(real) = real(profile) else { return };
    let ports: Vec<u16> = (7001..).take(COUNT).collect();
    let simulated = simulated(profile, &ports);
    let differ = real.iter().zip(&simulated).filter(|(real, simulated)| real != simulated);
    let differ: Vec<String> =
        differ.map(|(real, simulated)| format!("real      {real}\nsimulated {simulated}")).collect();
    assert!(differ.is_empty(), "{}:\n{}", profile.name, differ.join("\n"));
    assert_eq!(real.len(), simulated.len());
}

#[test]
fn redis_7_0_says_what_its_model_says() {
    compare(&Profile::REDIS_7_0);
}

#[test]
fn redis_8_6_says_what_its_model_says() {
    compare(&Profile::REDIS_8_6);
}

#[test]
fn valkey_8_1_says_what_its_model_says() {
    compare(&Profile::VALKEY_8_1);
}

#[test]
fn valkey_9_1_says_what_its_model_says() {
    compare(&Profile::VALKEY_9_1);
}
