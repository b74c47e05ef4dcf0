//! Servers that come back at other addresses.

use super::scene::{Scene, call, engines};
use crate::{
    local::addresses,
    support::{eventually, value},
};
use std::{fs, time::Instant};
use testservers::{StockClient, any_engine};

impl Scene {
    /// Gives each member, none of which runs, a port so much higher, by hand.
    fn move_members(&mut self, to: u16) {
        let members = self.place.directory("main").join("members");
        for (old, new) in self.ports().zip(to..) {
            let replace = |file: &str, was: String, is: &str| {
                let path = members.join(old.to_string()).join(file);
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.contains(&was), "no {was:?} in {text}");
                fs::write(path, text.replace(&was, is)).unwrap();
            };
            replace("server.conf", format!("port {old}\n"), &format!("port {new}\n"));
            replace("member.json", format!("\"port\": {old}"), &format!("\"port\": {new}"));
            replace("member.json", format!("\"port\": {}", old + 5000), &format!("\"port\": {}", new + 5000));
            replace("member.json", format!("members/{old}/"), &format!("members/{new}/"));
            fs::rename(members.join(old.to_string()), members.join(new.to_string())).unwrap();
        }
        self.first = to;
    }
}

#[test]
fn all_servers_that_come_back_at_other_ports_find_each_other() {
    for engine in engines() {
        let name = engine.name.clone();
        let mut scene = Scene::up(engine, "", 6);
        StockClient::connect(&addresses(scene.first, 6), None).write(100);
        // The loop would find them, too.
        scene.place.local("hold").succeeded();
        scene.place.local("down").succeeded();
        let to = scene.place.port(6);
        scene.move_members(to);
        let begin = Instant::now();
        scene.place.local("up").succeeded();
        let ok = |port| value(&call(port, "CLUSTER INFO"), "cluster_state").is_some_and(|state| state == "ok");
        eventually("every node serves", || scene.ports().all(ok));
        let took = begin.elapsed();
        super::scene::tell_time("all nodes ok at new ports", &name, took);
        scene.place.local("release").succeeded();
        scene.eventually_healthy();
        StockClient::connect(&addresses(scene.first, 6), None).read(100);
        let logs: String = scene.ports().map(|port| scene.agent_log(port)).collect();
        assert!(logs.contains("told the server that "), "{logs}");
    }
}

#[test]
fn members_of_an_older_version_go_on_without_an_api() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "", 6);
    scene.place.local("down").succeeded();
    for port in scene.ports() {
        let path = scene.place.directory("main").join(format!("members/{port}/member.json"));
        let mut member: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert!(member.as_object_mut().unwrap().remove("api").is_some());
        fs::write(path, member.to_string()).unwrap();
    }
    scene.place.local("up").succeeded();
    assert!(scene.get(scene.first, "/livez").is_none());
    assert!(scene.place.status("main")["members"][0]["agent_port"].is_null());
    scene.place.local(&format!("kill {}", scene.first)).succeeded();
    scene.eventually_healthy();
    scene.place.local("down").succeeded();
}
