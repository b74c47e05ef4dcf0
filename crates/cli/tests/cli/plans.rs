//! Plans that are saved, and carried out by another process.

use crate::support::{PROGRAM, addresses, assert_cluster, cluster, command, eventually, run, tribune, value};
use std::{fs, path::Path};
use testservers::{Cluster, Dataset, Options, Server, Servers, any_engine, each_engine};

fn owned(servers: &Servers, at: usize) -> usize {
    let nodes = servers[at].call_ok(&["CLUSTER", "NODES"]);
    let own = nodes.lines().find(|line| line.contains("myself")).unwrap().to_owned();
    let ranges = own.split(' ').skip(8).filter(|range| !range.starts_with('['));
    ranges
        .map(|range| match range.split_once('-') {
            Some((first, last)) => last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1,
            None => 1,
        })
        .sum()
}

fn saved(directory: &Path, words: &str) -> String {
    let file = directory.join("plan.json").display().to_string();
    let run = tribune(&format!("{words} --out {file}")).succeeded();
    assert!(run.out.contains(&format!("tribune apply {file} does it")) && run.err.is_empty(), "{run:#?}");
    file
}

#[test]
fn a_saved_plan_is_carried_out_by_another_process_once() {
    each_engine(|engine| {
        let directory = tempfile::tempdir().unwrap();
        let servers = cluster(engine, 3, 0);
        let entry = servers[0].address();
        let data = Dataset::generate(7, &Options::small(300));
        let them = Cluster::of(&servers);
        data.write(&them);
        let to = servers[1].address();
        let words = format!("reshard {entry} --from all --to {to} --slots 200");
        let shown = tribune(&format!("plan {words}")).succeeded();
        assert_eq!(shown.out, tribune(&format!("{words} --dry-run")).succeeded().out);
        let file = saved(directory.path(), &format!("plan {words}"));
        let plan: topology::plan::Plan = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(plan.cost.slots_moved, 200);
        assert_eq!(owned(&servers, 1), 5462, "nothing has moved yet");

        let unasked = tribune(&format!("apply {file}"));
        assert!(unasked.code == Some(1) && unasked.err.contains("nobody can be asked"), "{unasked:#?}");
        assert_eq!(owned(&servers, 1), 5462);
        tribune(&format!("apply {file} --dry-run")).succeeded();
        assert_eq!(owned(&servers, 1), 5462);
        tribune(&format!("apply {file} --yes")).succeeded();
        assert_eq!(owned(&servers, 1), 5662);
        // Redis 8.6 counts its primaries anew some time after it has moved slots by itself; nodes that were met again count twice for a while.
        eventually("every node counts all", || {
            servers.iter().all(|server| {
                let info = server.call_ok(&["CLUSTER", "INFO"]);
                let told = |name: &str| value(&info, name).unwrap_or_default();
                told("cluster_size") == "3" && told("cluster_known_nodes") == servers.len().to_string()
            })
        });
        assert_cluster(&servers, 3);
        data.assert_same(&them);
        let again = tribune(&format!("apply {file} --yes {entry}")).succeeded();
        assert!(again.out.contains("nothing to do"), "{again:#?}");
        assert_eq!(owned(&servers, 1), 5662);
    });
}

#[test]
fn a_plan_whose_slots_have_gone_elsewhere_is_refused_with_what_has_changed() {
    let Some(engine) = any_engine() else { return };
    let directory = tempfile::tempdir().unwrap();
    let servers = cluster(&engine, 3, 0);
    let [entry, second, third] = [0, 1, 2].map(|at| servers[at].address());
    let file = saved(directory.path(), &format!("plan reshard {entry} --from {entry} --to {second} --slots 100"));
    tribune(&format!("reshard {entry} --from {entry} --to {third} --slots 5400 --yes")).succeeded();
    let run = tribune(&format!("apply {file} --yes --json"));
    assert_eq!(run.code, Some(1), "{run:#?}");
    let reason = format!("to {third} now, not to {entry}");
    assert!(
        run.err.contains("the cluster has changed since this plan was made") && run.err.contains(&reason),
        "{run:#?}"
    );
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert!(report["more"][0].as_str().unwrap().contains(&reason), "{run:#?}");

    let others = cluster(&engine, 3, 0);
    tribune(&format!("apply {file} --yes {}", others[0].address())).refused(1, &["this plan is for another cluster"]);
}

#[test]
fn a_file_that_is_no_plan_is_refused_before_any_server_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("plan.json");
    let refused = |text: &str, words: &str| {
        fs::write(&file, text).unwrap();
        tribune(&format!("apply {} --yes", file.display())).refused(1, &[words]);
    };
    refused("hello", "is not a plan");
    refused("{\"format\": 1, \"goal\": \"a", "ends in the middle of a plan");
    refused("{\"format\": 2, \"goal\": \"a\"}", "format 2; this version reads format 1");
    tribune("apply /nowhere/plan.json --yes").refused(1, &["/nowhere/plan.json cannot be read"]);
}

#[test]
fn a_saved_plan_to_add_a_node_is_carried_out_by_another_process_once() {
    let Some(engine) = any_engine() else { return };
    let directory = tempfile::tempdir().unwrap();
    let servers = Servers::start(&engine, 4);
    let members: Vec<String> = servers[..3].iter().map(Server::address).collect();
    tribune(&format!("create --yes --replicas 0 {}", members.join(" "))).succeeded();
    let [entry, new] = [0, 3].map(|at| servers[at].address());
    let primary = servers[1].call_ok(&["CLUSTER", "MYID"]);
    let file = saved(directory.path(), &format!("add-node {new} {entry} --replica-of {primary}"));
    assert!(!servers[0].call_ok(&["CLUSTER", "NODES"]).contains(&new), "nothing has changed yet");
    tribune(&format!("apply {file} --yes")).succeeded();
    // Nodes that were met again count twice for a while.
    let counted = |server: &Server| value(&server.call_ok(&["CLUSTER", "INFO"]), "cluster_known_nodes");
    eventually("every node counts all", || servers.iter().all(|server| counted(server).as_deref() == Some("4")));
    assert_cluster(&servers, 3);
    let role = servers[3].call_ok(&["ROLE"]);
    assert!(role.starts_with("slave") && role.contains(&servers[1].port().to_string()), "{role}");
    let again = tribune(&format!("apply {file} --yes")).succeeded();
    assert!(again.out.contains("nothing to do"), "{again:#?}");
    assert_cluster(&servers, 3);
}

#[test]
fn where_nothing_can_be_written_that_is_said_and_slots_move_all_the_same() {
    let Some(engine) = any_engine() else { return };
    let directory = tempfile::tempdir().unwrap();
    // Nobody, not even root, can make a directory in a file.
    let home = directory.path().join("file");
    fs::write(&home, "").unwrap();
    let inside = home.join("here").display().to_string();
    let homeless =
        |words: &str| run(command(Path::new(PROGRAM)).env("TRIBUNE_HOME", &home).args(words.split_whitespace()));
    let servers = cluster(&engine, 3, 0);
    let [first, second] = [0, 1].map(|at| servers[at].address());
    let words = format!("reshard {first} --from {first} --to {second} --slots 10 --yes");
    let moved = homeless(&words).succeeded();
    assert!(moved.err.contains(&home.display().to_string()) && moved.err.contains("resume"), "{moved:#?}");
    assert_eq!(owned(&servers, 1), 5472);
    let [from, to] = [0, 1].map(|at| servers[at].call_ok(&["CLUSTER", "MYID"]));
    let ids = format!("--cluster-from {from} --cluster-to {to}");
    let reference = homeless(&format!("--cluster reshard {first} {ids} --cluster-slots 5 --cluster-yes")).succeeded();
    assert_eq!(reference.err, "", "scripts take words on standard error for a failure");

    homeless("local up").refused(1, &[&home.display().to_string(), "TRIBUNE_HOME"]);
    let plan = words.replace(" --yes", "");
    for words in [format!("plan {plan} --out {inside}"), format!("backup {first} {inside}"), format!("man {inside}")] {
        let refused = homeless(&words);
        assert_eq!(refused.code, Some(1), "{refused:#?}");
        assert!(refused.err.starts_with("error: ") && refused.err.contains(&inside), "{refused:#?}");
    }
    assert_eq!(owned(&servers, 1), 5477, "nothing else has changed");
}

#[test]
fn a_plan_to_create_a_cluster_is_carried_out_by_another_process() {
    let Some(engine) = any_engine() else { return };
    let directory = tempfile::tempdir().unwrap();
    let servers = Servers::start(&engine, 4);
    let file = saved(directory.path(), &format!("create --shards 3 {}", addresses(&servers)));
    tribune(&format!("apply {file} --yes")).succeeded();
    assert_cluster(&servers, 3);
    let again = tribune(&format!("apply {file} --yes")).succeeded();
    assert!(again.out.contains("nothing to do"), "{again:#?}");
    assert_cluster(&servers, 3);
}
