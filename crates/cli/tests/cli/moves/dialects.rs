//! The servers' own ways to move slots: when they fail, are under way already, or are somebody else's.

use super::scene::{Scene, Setup};
use crate::support::eventually;
use testservers::{Builder, Writer, WriterOptions, engine};

#[test]
fn what_valkey_cannot_move_itself_moves_by_migrate() {
    let Some(engine) = engine("valkey-9.1") else { return };
    // Slots go over links that authenticate as replicas do: here these cannot.
    let configure = |builder: Builder| builder.password("secret").config("primaryauth", "wrong");
    let scene = Scene::with(&engine, &Setup { entry: "-a secret", configure, ..Setup::default() });
    let run = scene.tribune(&scene.reshard(343, 0, 1)).succeeded();
    assert!(run.err.contains("could not move the slots themselves"), "{run:#?}");
    assert_eq!(scene.slots(1).len(), 5462 + 343);
    scene.assert_whole();
}

#[test]
fn what_redis_cannot_move_itself_moves_by_migrate() {
    let Some(engine) = engine("redis-8.6") else { return };
    let scene = Scene::new(&engine, 3, 3, 300);
    scene.servers[1].call_ok(&["DEBUG", "ASM-FAILPOINT", "import-main-channel", "connecting"]);
    let run = scene.tribune(&scene.reshard(343, 0, 1)).succeeded();
    assert!(run.err.contains("could not move the slots themselves"), "{run:#?}");
    assert_eq!(scene.slots(1).len(), 5462 + 343);
    scene.assert_whole();
}

#[test]
fn a_migration_of_valkey_that_goes_on_is_waited_for_and_not_interfered_with() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let configure = |builder: Builder| builder.config("cluster-manual-failover-timeout", "60000");
    let scene = Scene::with(&engine, &Setup { configure, ..Setup::default() });
    for dialect in ["migrate", "migrate-slots"] {
        let target = &scene.servers[1];
        target.call_ok(&["DEBUG", "SLOTMIGRATION", "PREVENT-FAILOVER", "1"]);
        let (source, owned) = (&scene.servers[0], scene.slots(0));
        // The program that began this has gone.
        let last = owned.last().unwrap().to_string();
        source.call_ok(&["CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", &last, &last, "NODE", &scene.id(1)]);
        let all = owned.len();
        let mut running = scene.start(&format!("{} --dialect {dialect}", scene.reshard(all - 5000, 0, 1)));
        // Made later, it would be one for the slots that are left then.
        running.await_plan();
        eventually("the migration has come to its end but for the last step", || {
            source.call_ok(&["CLUSTER", "GETSLOTMIGRATIONS"]).contains("failover-granted") || running.has_ended()
        });
        assert_eq!(scene.open(), Vec::<String>::new(), "{dialect}");
        target.call_ok(&["DEBUG", "SLOTMIGRATION", "PREVENT-FAILOVER", "0"]);
        let run = running.finish().succeeded();
        assert_eq!(scene.slots(0).len(), 5000, "{dialect}: {run:#?}");
        scene.assert_whole();
        scene.tribune(&format!("{} --dialect migrate", scene.reshard(all - 5000, 1, 0))).succeeded();
    }
}

#[test]
fn a_task_of_redis_that_goes_on_is_waited_for_and_not_interfered_with() {
    let Some(engine) = engine("redis-8.6") else { return };
    let scene = Scene::new(&engine, 3, 3, 300);
    for dialect in ["migrate", "migration-import"] {
        let (source, target) = (&scene.servers[0], &scene.servers[1]);
        let last = scene.slots(0).last().unwrap().to_string();
        // It fails and begins again and again.
        target.call_ok(&["DEBUG", "ASM-FAILPOINT", "import-main-channel", "connecting"]);
        target.call_ok(&["CLUSTER", "MIGRATION", "IMPORT", &last, &last]);
        let mut running = scene.start(&format!("{} --dialect {dialect}", scene.reshard(100, 0, 1)));
        eventually("the task has failed", || {
            target.call_ok(&["CLUSTER", "MIGRATION", "STATUS", "ALL"]).contains("failed") || running.has_ended()
        });
        target.call_ok(&["DEBUG", "ASM-FAILPOINT", "", ""]);
        running.finish().succeeded();
        assert_eq!(source.call_ok(&["CLUSTER", "COUNTKEYSINSLOT", &last]), "0", "{dialect}");
        scene.assert_whole();
    }
}

#[test]
fn with_several_databases_no_write_ends_in_another_one() {
    let Some(engine) = engine("valkey-9.1") else { return };
    let configure = |builder: Builder| builder.config("cluster-databases", "16");
    let scene = Scene::with(&engine, &Setup { databases: 5, keys: 600, configure, ..Setup::default() });
    let words = scene.reshard(2000, 0, 1);
    let refused = scene.tribune(&format!("{words} --dialect migrate-slots")).refused(1, &["has several databases"]);
    assert!(refused.err.contains("--dialect migrate"), "{refused:#?}");
    let writer = Writer::start(&scene.cluster(), &WriterOptions { keys: 300, ..WriterOptions::default() });
    scene.tribune(&words).succeeded();
    let ledger = writer.stop();
    assert_eq!(scene.slots(1).len(), 5462 + 2000);
    scene.assert_whole();
    ledger.assert_kept(&scene.cluster());
    let elsewhere = scene.data.compare(&scene.cluster());
    assert!(elsewhere.iter().all(|one| one.database == 0 || !one.key.starts_with(b"writer")), "{elsewhere:#?}");
}
