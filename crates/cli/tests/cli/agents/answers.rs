//! What agents answer over HTTP.

use super::scene::{Scene, get};
use crate::support::eventually;
use std::{collections::BTreeSet, io::Read, os::unix::fs::PermissionsExt};
use testservers::any_engine;

#[test]
fn what_is_secret_is_told_to_who_knows_the_token_alone() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    let (agent, token) = (scene.first + 5000, scene.token());
    let file = scene.place.directory("main").join("agent.token");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let short = &token[..63];
    for path in ["/v1/member", "/v1/watch", "/v1/", "/v1/nothing"] {
        for headers in [
            String::new(),
            format!("Authorization: Bearer {short}\r\n"),
            format!("Authorization: Bearer {short}x\r\n"),
            format!("Authorization: Basic {token}\r\n"),
            format!("X-Token: {token}\r\n"),
        ] {
            let (status, body) = get(agent, path, &headers).unwrap();
            assert_eq!(status, 401, "{path} {headers}");
            assert!(!body.contains(&token));
        }
    }
    assert_eq!(scene.get(scene.first, "/v1/nothing").unwrap().0, 404);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(agent, path, "").unwrap().0, 200, "{path}");
    }
    let member = scene.member(scene.first);
    assert_eq!(member["address"], format!("127.0.0.1:{}", scene.first));
    assert_eq!(member["bus_port"], scene.first + 10000);
    assert_eq!(
        (&member["role"], &member["slots"], &member["phase"]),
        (&"primary".into(), &16384.into(), &"running".into())
    );
    let replica = scene.member(scene.first + 1);
    assert_eq!(
        (&replica["role"], &replica["primary"], &replica["link_up"]),
        (&"replica".into(), &member["id"], &true.into())
    );
    assert!(replica["offset"].as_u64().is_some() && replica["config_epoch"] == member["config_epoch"], "{replica}");
    assert_token_stays_secret(&scene, &token);
}

/// The token is in its file, and in no other file of the cluster, and in the arguments and variables of no process.
fn assert_token_stays_secret(scene: &Scene, token: &str) {
    let mut directories = vec![scene.place.directory("main")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            if entry.path().is_dir() {
                directories.push(entry.path());
            } else if entry.file_name() != "agent.token" {
                let text = std::fs::read(entry.path()).unwrap_or_default();
                assert!(!String::from_utf8_lossy(&text).contains(token), "{}", entry.path().display());
            }
        }
    }
    for pid in scene.ports().map(|port| scene.agent_pid(port)) {
        for what in ["cmdline", "environ"] {
            let mut text = Vec::new();
            std::fs::File::open(format!("/proc/{pid}/{what}")).unwrap().read_to_end(&mut text).unwrap();
            assert!(!String::from_utf8_lossy(&text).contains(token), "{what}");
        }
    }
}

#[test]
fn metrics_are_what_prometheus_reads_and_tell_what_the_server_is() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    for (port, primary) in [(scene.first, "1"), (scene.first + 1, "0")] {
        let (_, text) = get(port + 5000, "/metrics", "").unwrap();
        let found = samples(&text);
        let value = |name: &str| found.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
        assert_eq!(value("tribune_server_up"), Some("1"), "{text}");
        assert_eq!(value("tribune_server_primary"), Some(primary), "{text}");
        assert_eq!(value("tribune_server_starts_total"), Some("1"), "{text}");
        assert_eq!(value("tribune_failovers_begun_total"), Some("0"), "{text}");
        assert_eq!(value("tribune_server_slots"), Some(if primary == "1" { "16384" } else { "0" }), "{text}");
        assert!(value("tribune_server_last_answer_seconds").unwrap().parse::<f64>().unwrap() < 5.0, "{text}");
    }
}

/// The samples of a page in the text format; panics where it is not of that format.
fn samples(text: &str) -> Vec<(String, String)> {
    let (mut types, mut samples) = (Vec::new(), Vec::new());
    let mut lines: Vec<&str> = text.lines().collect();
    assert!(text.ends_with('\n') && lines.pop() == Some("# EOF"), "{text}");
    for line in lines {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", _, help] => assert!(!help.is_empty()),
            ["#", "TYPE", name, kind @ ("gauge" | "counter")] => types.push((name.to_owned(), kind.to_owned())),
            [name, value] => {
                let (family, kind) = types.last().unwrap();
                let expected = if kind == "counter" { format!("{family}_total") } else { family.clone() };
                assert_eq!(name, expected);
                assert!(name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_'), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                samples.push((name.to_owned(), value.to_owned()));
            }
            _ => panic!("{line}"),
        }
    }
    let names: BTreeSet<&String> = samples.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), samples.len(), "{text}");
    samples
}

#[test]
fn a_member_is_ready_while_its_server_serves() {
    let Some(engine) = any_engine() else { return };
    let scene = Scene::up(engine, "--shards 1 --replicas 1", 2);
    let replica = scene.first + 1;
    scene.place.local(&format!("pause {}", scene.first)).succeeded();
    eventually("a primary that does not answer is not ready", || {
        scene.get(scene.first, "/readyz") == Some((503, "not ready: the server does not answer\n".into()))
    });
    assert_eq!(scene.get(scene.first, "/livez"), Some((200, "ok\n".into())));
    scene.place.local(&format!("resume {}", scene.first)).succeeded();
    eventually("it is again", || scene.get(scene.first, "/readyz").is_some_and(|(status, _)| status == 200));
    // Nobody listens where the replica is to get its data from.
    super::scene::call(replica, "CONFIG SET masterauth wrong");
    super::scene::call(replica, "CLUSTER RESET SOFT");
    eventually("a replica that left is not ready", || {
        scene.get(replica, "/readyz").is_some_and(|(status, body)| status == 503 && body.starts_with("not ready: "))
    });
}
