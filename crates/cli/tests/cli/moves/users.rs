//! Moves by a user who may do little, over TLS.

use super::scene::{Scene, Setup};
use crate::support::{PROGRAM, Run, addresses, command, run};
use std::path::Path;
use testservers::{Builder, Certificates, Cluster, Dataset, Difference, Engine, Options, Servers, What, engine};

/// Just what a move by `MIGRATE` needs; transactions only with Redis 8.4 and later, which hide keys otherwise.
const ENOUGH: &str = "+ping +info +cluster|info +cluster|nodes +cluster|setslot +cluster|countkeysinslot \
                      +cluster|getkeysinslot +migrate +select +restore-asking +multi +exec";

/// The program as this user, over TLS.
fn as_mover(certificates: &Certificates, words: &str) -> Run {
    let mut program = command(Path::new(PROGRAM));
    program.args(words.split_whitespace()).args(["--user", "mover", "--tls", "--cacert"]).arg(certificates.ca());
    run(program.env("TRIBUNE_AUTH", "of-mover"))
}

#[test]
fn a_user_over_tls_who_may_run_just_what_is_needed_moves_slots() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        moved_over_tls(&engine);
    }
}

fn moved_over_tls(engine: &Engine) {
    let certificates = Certificates::new();
    let servers = Servers::start_with(engine, 3, |builder, _| {
        let mover = format!("mover on >of-mover ~* -@all {ENOUGH}");
        builder.tls(&certificates).password("secret").user(&mover)
    });
    let mut create = command(Path::new(PROGRAM));
    create.args(format!("create --yes {} --tls", addresses(&servers)).split(' ')).arg("--cacert");
    run(create.arg(certificates.ca()).env("TRIBUNE_AUTH", "secret")).succeeded();
    let data = Dataset::generate(5, &Options { largest: 20_000, ..Options::all(engine, 300) });
    data.write(&Cluster::of(&servers));
    let [from, to] = [0, 1].map(|node| servers[node].address());
    let words = format!("reshard {from} --slots 1000 --from {from} --to {to} --yes --dialect migrate");
    let moved = as_mover(&certificates, &words).succeeded();
    assert!(!format!("{moved:?}").contains("of-mover"), "{moved:#?}");
    let nodes = servers[1].call_ok(&["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
    assert!(own.contains(" 4461-10922"), "{nodes}");
    assert!(!nodes.contains('['), "{nodes}");
    // MIGRATE sends what is left of the time to live: a millisecond may be lost on the way.
    let is_strange = |one: &Difference| !matches!(one.what, What::Expiry { expected: Some(a), found: Some(b) } if a.abs_diff(b) < 10_000);
    let strange: Vec<_> = data.compare(&Cluster::of(&servers)).into_iter().filter(is_strange).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn a_user_who_may_not_run_what_a_move_needs_is_told_so_before_any_slot_is_opened() {
    for name in ["redis-7.0", "redis-8.6", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let configure = |builder: Builder| builder.user(&format!("mover on >of-mover ~* -@all {ENOUGH}"));
        let scene = Scene::with(&engine, &Setup { keys: 100, configure, ..Setup::default() });
        let words = format!("{} --dialect migrate", scene.reshard(500, 0, 1));
        let moved = || {
            let mut program = command(Path::new(PROGRAM));
            run(program.args(words.split(' ')).args(["--user", "mover"]).env("TRIBUNE_AUTH", "of-mover"))
        };
        let set = |node: usize, sign: &str, commands: &[&str]| {
            for name in commands {
                scene.servers[node].call_ok(&["ACL", "SETUSER", "mover", &format!("{sign}{name}")]);
            }
        };
        for (node, commands) in [
            (0, &["migrate"][..]),
            (0, &["cluster|setslot", "cluster|getkeysinslot"]),
            (1, &["cluster|setslot"]),
            (1, &["select", "restore-asking"]),
        ] {
            let before = scene.slots(0);
            set(node, "-", commands);
            let run = moved();
            // Who may not even be asked who he is has no name.
            let told = format!("{} does not let the user given run {}", scene.address(node), commands.join(", "));
            let cure = format!("ACL SETUSER USER +{}", commands.join(" +"));
            assert!(run.code == Some(1) && run.err.contains(&told) && run.err.contains(&cure), "{name}: {run:#?}");
            assert_eq!((scene.slots(0), scene.open()), (before, Vec::new()), "{name}: {run:#?}");
            set(node, "+", &["acl|whoami"]);
            let run = moved();
            assert!(run.err.contains("does not let user mover run"), "{name}: {run:#?}");
            assert!(run.err.contains("ACL SETUSER mover +"), "{name}: {run:#?}");
            set(node, "-", &["acl|whoami"]);
            set(node, "+", commands);
        }
        moved().succeeded();
        assert_eq!(scene.slots(1).len(), 5462 + 500);
        scene.assert_whole();
    }
}
