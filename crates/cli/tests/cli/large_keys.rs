//! Large keys and large slots: moved within bounds, or refused by name before anything is touched.

use crate::support::{cluster, tribune};
use std::{fs, process::Stdio, time::Duration};
use testservers::{Process, Server, Servers, each_engine, engine, wait_until};

/// The slot of the hash tag `{a}`.
const SLOT: u16 = 15495;

/// Two primaries; the one that owns the slot, and the other.
fn owner_and_other(servers: &Servers) -> (&Server, &Server) {
    let owns = |server: &&Server| !server.call(&["SET", "{a}", "1"]).starts_with('-');
    let owner = servers.iter().find(owns).unwrap();
    owner.call_ok(&["DEL", "{a}"]);
    (owner, servers.iter().find(|server| server.port() != owner.port()).unwrap())
}

/// The words that move everything from one node to another by MIGRATE.
fn drain(from: &Server, to: &Server) -> String {
    let [source, destination] = [from, to].map(|server| server.call_ok(&["CLUSTER", "MYID"]));
    format!("reshard {} --from {source} --to {destination} --slots 8192 --yes --dialect migrate", from.address())
}

fn string(server: &Server, key: &str, bytes: usize) {
    // Random text does not compress: what is sent is as large as what is kept.
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + u8::try_from((state >> 24) % 90).unwrap())
    };
    let value: String = (0..bytes).map(|_| next()).collect();
    server.call_ok(&["SET", key, &value]);
}

#[test]
fn a_key_that_migrate_cannot_carry_is_refused_by_name_before_anything_is_touched() {
    each_engine(|engine| {
        let servers = cluster(engine, 3, 0);
        let (owner, other) = owner_and_other(&servers);
        string(owner, "{a}small", 900_000);
        string(owner, "{a}large", 3_000_000);
        other.call_ok(&["CONFIG", "SET", "proto-max-bulk-len", "2000000"]);
        let before = owner.call_ok(&["CLUSTER", "NODES"]);
        let run = tribune(&drain(owner, other).replace("8192", "5461"));
        assert_eq!(run.code, Some(1), "{run:#?}");
        assert!(run.err.contains("{a}large (4 MB)") || run.err.contains("{a}large (3 MB)"), "{run:#?}");
        assert!(!run.err.contains("{a}small"), "{run:#?}");
        let slots = |nodes: &str| {
            nodes
                .lines()
                .find(|line| line.contains("myself"))
                .unwrap()
                .split(' ')
                .skip(8)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(slots(&owner.call_ok(&["CLUSTER", "NODES"])), slots(&before), "nothing has moved, nothing is open");

        other.call_ok(&["CONFIG", "SET", "proto-max-bulk-len", "536870912"]);
        tribune(&drain(owner, other).replace("8192", "5461")).succeeded();
        assert_eq!(other.call_ok(&["STRLEN", "{a}large"]), "3000000");
    });
}

#[test]
fn memory_stays_bounded_for_a_slot_of_many_keys_and_for_large_values() {
    let Some(engine) = engine("redis-7.0") else { return };
    let servers = cluster(&engine, 3, 0);
    let (owner, other) = owner_and_other(&servers);
    (0..10).for_each(|number| string(owner, &format!("{{a}}large{number}"), 20_000_000));
    let many = "for i = 1, 300000 do redis.call('SET', KEYS[1] .. i, i) end";
    owner.call_ok(&["EVAL", many, "1", "{a}"]);
    assert_eq!(owner.call_ok(&["CLUSTER", "COUNTKEYSINSLOT", &SLOT.to_string()]), "300010");

    let words = drain(owner, other).replace("8192", "5461");
    let mut moving = Process::start(crate::support::PROGRAM.as_ref(), |command| {
        command.args(words.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    let status = format!("/proc/{}/status", moving.pid());
    let mut most = 0;
    wait_until("everything has moved", Duration::from_mins(2), || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        most = peak.unwrap_or(most);
        moving.exit_status().is_some()
    });
    assert!(moving.exit_status().unwrap().success());
    assert_eq!(other.call_ok(&["CLUSTER", "COUNTKEYSINSLOT", &SLOT.to_string()]), "300010");
    assert!(most > 0 && most < 64 * 1024, "{most} KiB");
}
