//! Who is asked how large keys are, on servers that do not tell by themselves.

use super::scene::Scene;
use testservers::engine;

#[test]
fn keys_are_weighed_by_a_replica_where_there_is_one() {
    for name in ["redis-7.0", "valkey-9.1"] {
        let Some(engine) = engine(name) else { continue };
        let scene = Scene::new(&engine, 6, 3, 300);
        scene.assert_replicas_in_sync();
        let (source, replica) = (0, scene.replica_of(0));
        let slots = scene.slots(source).len();
        for node in [source, replica] {
            scene.servers[node].call_ok(&["CONFIG", "RESETSTAT"]);
        }
        scene.tribune(&format!("{} --dialect migrate", scene.reshard(2000, source, 1))).succeeded();
        assert_eq!(scene.slots(source).len(), slots - 2000, "{name}");
        let [asked, answered] = [source, replica].map(|node| scene.servers[node].call_ok(&["INFO", "commandstats"]));
        assert!(answered.contains("cmdstat_memory|usage"), "{name}: the replica was not asked");
        assert!(!asked.contains("cmdstat_memory|usage"), "{name}: the source was asked, too: {asked}");
        scene.assert_whole();
        scene.assert_replicas_in_sync();
    }
}
