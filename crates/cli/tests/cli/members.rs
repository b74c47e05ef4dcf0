//! `add-node` and `del-node`, in both grammars: nodes join and leave, and nobody loses anything.

use crate::support::{PROGRAM, Run, cluster, command, eventually, run_with_input, start, tribune, twins_of, value};
use std::{path::Path, time::Duration};
use testservers::{Engine, Server, Servers, any_engine, each_engine};

/// `count` nodes that are one cluster of `primaries`, and the rest fresh ones.
fn cluster_and_fresh(engine: &Engine, count: usize, primaries: usize) -> Servers {
    let servers = Servers::start(engine, count);
    let members: Vec<String> = servers[..primaries].iter().map(Server::address).collect();
    tribune(&format!("create --yes --replicas 0 {}", members.join(" "))).succeeded();
    servers
}

fn id(server: &Server) -> String {
    server.call_ok(&["CLUSTER", "MYID"])
}

fn told(server: &Server, name: &str) -> String {
    value(&server.call_ok(&["CLUSTER", "INFO"]), name).unwrap_or_default()
}

fn primary_of(server: &Server) -> Option<String> {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    let myself = nodes.lines().find(|line| line.contains("myself"))?.to_owned();
    let primary = myself.split(' ').nth(3)?;
    (primary != "-").then(|| primary.to_owned())
}

fn timeout(server: &Server) -> String {
    server.call_ok(&["CONFIG", "GET", "cluster-node-timeout"]).lines().last().unwrap_or_default().to_owned()
}

/// The lines that tell what happens, with `NODE` and `ID` for the node that it is about.
fn lines(run: &Run, node: &Server, id: &str) -> Vec<String> {
    let told = run.out.lines().filter(|line| line.starts_with(['>', '[', '*', 'A', 'W']));
    told.map(|line| line.replace(&node.address(), "NODE").replace(id, "ID")).collect()
}

/// The tool with one node, the program with another: the same lines and the same end.
#[track_caller]
fn assert_same_story(engine: &Engine, entry: &str, words: impl Fn(&Server) -> String, nodes: [&Server; 2]) -> [Run; 2] {
    let ids = nodes.map(id);
    let runs = [(engine.cli.as_path(), nodes[0]), (Path::new(PROGRAM), nodes[1])].map(|(program, node)| {
        let run = run_with_input(command(program).args(words(node).split_whitespace()), "");
        if program == engine.cli {
            // It does not wait for what it has begun.
            eventually("the new node is known to all", || {
                let check = tribune(&format!("--cluster check {entry}"));
                check.code == Some(0) && check.out.contains(&id(node))
            });
        }
        run
    });
    let stories = [0, 1].map(|at| lines(&runs[at], nodes[at], &ids[at]));
    // Only the newest tool says it.
    let old = engine.name == "valkey-8.1";
    let ours: Vec<&String> =
        stories[1].iter().filter(|line| !old || !line.contains("removed from the cluster")).collect();
    assert_eq!(stories[0].iter().collect::<Vec<_>>(), ours);
    assert_eq!(runs[0].code, runs[1].code, "{runs:#?}");
    assert_eq!(runs[1].err, "", "{runs:#?}");
    runs
}

/// The same words for both; nothing changes.
#[track_caller]
fn assert_same_refusal(engine: &Engine, words: &str) -> Run {
    let (reference, ours) = twins_of(engine, words, "");
    let same = |text: &str| text.replace("to Redis at", "to Valkey at");
    assert_eq!(reference.out, ours.out, "{words}");
    assert_eq!(same(&reference.err), same(&ours.err), "{words}");
    assert_eq!((reference.code, ours.code), (Some(1), Some(1)), "{words}");
    ours
}

#[test]
fn a_new_primary_joins_with_the_lines_of_the_tools_and_the_functions_of_the_cluster_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 5, 3);
        let library = if engine.name.starts_with("redis") { "redis" } else { "server" };
        let code = format!("#!lua name=lib\n{library}.register_function('f', function() return 1 end)");
        for server in &servers[..3] {
            server.call_ok(&["FUNCTION", "LOAD", &code]);
        }
        let entry = servers[0].address();
        let before = timeout(&servers[4]);
        assert_same_story(
            engine,
            &entry,
            |new| format!("--cluster add-node {} {entry}", new.address()),
            [&servers[3], &servers[4]],
        );
        let new = &servers[4];
        assert_eq!(told(new, "cluster_state"), "ok", "it serves when the command is done");
        assert_eq!(timeout(new), before);
        assert!(new.call_ok(&["FUNCTION", "LIST"]).contains("lib"));
        // Nothing is to wait for: it can take slots at once.
        let words = format!("reshard {entry} --from {} --to {} --slots 2 --yes", id(&servers[0]), id(new));
        tribune(&words).succeeded();
        let nodes = new.call_ok(&["CLUSTER", "NODES"]);
        let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
        assert!(own.ends_with(" 5459-5460"), "{own}");
    });
}

#[test]
fn a_new_replica_joins_with_the_lines_of_the_tools_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 7, 3);
        let (entry, primary) = (servers[1].address(), id(&servers[1]));
        assert_same_story(
            engine,
            &entry,
            |new| format!("--cluster add-node {} {entry} --cluster-slave --cluster-master-id {primary}", new.address()),
            [&servers[3], &servers[4]],
        );
        assert_eq!(primary_of(&servers[4]), Some(primary));
        eventually("all agree", || {
            run_with_input(command(&engine.cli).args(["--cluster", "check", &entry]), "").code == Some(0)
        });
        let words = |new: &Server| format!("--cluster add-node {} {entry} --cluster-slave", new.address());
        let ours = run_with_input(command(Path::new(PROGRAM)).args(words(&servers[5]).split(' ')), "");
        assert_eq!((ours.code, ours.err.as_str()), (Some(0), ""), "{ours:#?}");
        let chosen = ours.out.lines().find(|line| line.starts_with("Automatically selected ")).unwrap();
        assert!(!chosen.ends_with(&servers[1].address()), "it has two already: {chosen}");
        assert!(primary_of(&servers[5]).is_some());
    });
}

#[test]
fn a_new_replica_that_had_a_higher_epoch_than_its_primary_is_known_to_it_for_one_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 4, 3);
        let (entry, new) = (servers[0].address(), &servers[3]);
        new.call_ok(&["CLUSTER", "SET-CONFIG-EPOCH", "50"]);
        tribune(&format!("add-node {} {entry} --replica-of {entry} --yes", new.address())).succeeded();
        let nodes = servers[0].call_ok(&["CLUSTER", "NODES"]);
        let is_replica =
            |line: &str| line.starts_with(&id(new)) && line.contains(&format!("slave {}", id(&servers[0])));
        assert!(nodes.lines().any(is_replica), "{nodes}");
        assert_eq!(primary_of(new), Some(id(&servers[0])));
    });
}

#[test]
fn what_keeps_a_node_from_joining_is_told_as_the_tools_tell_it_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 5, 3);
        let [entry, member, new] = [0, 1, 3].map(|at| servers[at].address());
        let replica = &servers[4];
        tribune(&format!("add-node {} {entry} --slave --yes", replica.address())).succeeded();
        // A node that has been met again is listed twice for a moment, and by the tools, too.
        let members = [&servers[0], &servers[1], &servers[2], replica];
        eventually("they have met", || members.iter().all(|node| told(node, "cluster_known_nodes") == "4"));
        for words in [
            format!("add-node {new}"),
            format!("add-node nonsense {entry}"),
            format!("add-node {new} nonsense"),
            format!("add-node {new} 127.0.0.1:1"),
            format!("add-node 127.0.0.1:1 {entry}"),
            format!("add-node {member} {entry}"),
            format!("add-node {entry} {entry}"),
            format!("add-node {new} {entry} --cluster-slave --cluster-master-id abc"),
        ] {
            assert_same_refusal(engine, &format!("--cluster {words}"));
        }
        let words = format!("--cluster add-node {new} {entry} --cluster-slave --cluster-master-id {}", id(replica));
        let refused = run_with_input(command(Path::new(PROGRAM)).args(words.split(' ')), "");
        assert!(refused.code == Some(1) && refused.out.contains("[ERR] No such "), "a replica is none: {refused:#?}");
        assert_eq!(told(&servers[3], "cluster_known_nodes"), "1", "and it is not met before that is found out");
        let library = if engine.name.starts_with("redis") { "redis" } else { "server" };
        let code = format!("#!lua name=own\n{library}.register_function('own', function() return 1 end)");
        servers[3].call_ok(&["FUNCTION", "LOAD", &code]);
        assert_same_refusal(engine, &format!("--cluster add-node {new} {entry}"));
        tribune(&format!("add-node {new} {entry} --yes"))
            .refused(1, &["has functions of its own: own", "FUNCTION FLUSH"]);
        servers[3].call_ok(&["FUNCTION", "FLUSH"]);
        servers[1].call_ok(&["CLUSTER", "SETSLOT", "6000", "MIGRATING", &id(&servers[0])]);
        let refused = assert_same_refusal(engine, &format!("--cluster add-node {new} {entry}"));
        assert!(refused.out.contains("slots are open: 6000"), "{refused:#?}");
        assert_eq!(told(&servers[3], "cluster_known_nodes"), "1");
    });
}

#[test]
fn a_node_leaves_with_the_lines_of_the_tools_and_its_replica_follows_another_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 7, 3);
        let entry = servers[0].address();
        for (new, role) in [(3, String::new()), (4, String::new()), (5, id(&servers[3])), (6, id(&servers[4]))] {
            let role = if role.is_empty() { role } else { format!("--replica-of {role}") };
            tribune(&format!("add-node {} {entry} --yes {role}", servers[new].address())).succeeded();
        }
        // The tools do not wait for nodes that are still meeting each other.
        eventually("all have met", || {
            let known = servers.iter().map(|server| server.call_ok(&["CLUSTER", "NODES"]));
            known.into_iter().all(|nodes| nodes.lines().count() == servers.len() && !nodes.contains("handshake"))
        });
        let runs = assert_same_story_of_leaving(engine, &servers, &entry);
        assert!(runs[1].out.contains(&format!(">>> {} as replica of ", servers[6].address())), "{runs:#?}");
        let owners: Vec<String> = servers[..3].iter().map(id).collect();
        assert!(owners.contains(&primary_of(&servers[6]).unwrap()));
        for (leaver, stays) in [(4, [0, 1, 2, 6]), (3, [0, 1, 2, 5])] {
            let gone = id(&servers[leaver]);
            assert!(stays.iter().all(|at| !servers[*at].call_ok(&["CLUSTER", "NODES"]).contains(&gone)));
            // Who was being met when it left counts until that is given up.
            eventually("it has forgotten the cluster", || told(&servers[leaver], "cluster_known_nodes") == "1");
        }
        tribune(&format!("--cluster check {entry}")).succeeded();
    });
}

/// The replicas have other addresses, too.
fn assert_same_story_of_leaving(engine: &Engine, servers: &Servers, entry: &str) -> [Run; 2] {
    let runs = [(3, 5, engine.cli.as_path()), (4, 6, Path::new(PROGRAM))].map(|(leaver, replica, program)| {
        let leaving = id(&servers[leaver]);
        let mut run = run_with_input(command(program).args(["--cluster", "del-node", entry, &leaving]), "");
        let story = lines(&run, &servers[leaver], &leaving);
        let cut = |line: &String| line.split(" as replica of ").next().unwrap_or_default().to_owned();
        let story: Vec<String> =
            story.iter().map(cut).map(|line| line.replace(&servers[replica].address(), "REPLICA")).collect();
        run.out = format!("{}\n{}", run.out, story.join("|"));
        eventually("all agree", || tribune(&format!("--cluster check {entry}")).code == Some(0));
        run
    });
    let story = |run: &Run| run.out.lines().last().unwrap().split('|').map(str::to_owned).collect::<Vec<_>>();
    let mut ours = story(&runs[1]);
    if engine.name == "valkey-8.1" {
        ours.retain(|line| !line.contains("removed from the cluster"));
    }
    assert_eq!((runs[0].code, runs[1].code, runs[1].err.as_str()), (Some(0), Some(0), ""), "{runs:#?}");
    assert_eq!(story(&runs[0]), ours);
    runs
}

#[test]
fn what_keeps_a_node_from_leaving_is_told_as_the_tools_tell_it_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster(engine, 3, 0);
        let entry = servers[0].address();
        for words in [
            format!("del-node {entry} abc"),
            format!("del-node {entry} {}", "0".repeat(40)),
            format!("del-node {entry} {}", id(&servers[1])),
            format!("del-node nonsense {}", id(&servers[1])),
            format!("del-node 127.0.0.1:1 {}", id(&servers[1])),
            format!("del-node 127.0.0.1 {} {}", servers[0].port(), id(&servers[1])),
            format!("del-node {entry}"),
        ] {
            assert_same_refusal(engine, &format!("--cluster {words}"));
        }
        let words = format!("del-node {entry} {}", servers[1].address());
        tribune(&format!("{words} --yes")).refused(1, &["owns 546", "tribune reshard"]);
        assert_eq!(servers.iter().map(|server| told(server, "cluster_known_nodes")).collect::<Vec<_>>(), ["3"; 3]);
    });
}

#[test]
fn a_node_that_does_not_answer_is_forgotten_by_all_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 5, 3);
        let entry = servers[0].address();
        for new in &servers[3..] {
            tribune(&format!("add-node {} {entry} --slave --yes", new.address())).succeeded();
        }
        let gone = [3, 4].map(|at| id(&servers[at]));
        servers[3].kill();
        let ours = run_with_input(command(Path::new(PROGRAM)).args(["--cluster", "del-node", &entry, &gone[0]]), "");
        assert_eq!(ours.code, Some(0), "{ours:#?}");
        assert!(ours.out.contains("unable to send CLUSTER RESET"), "{ours:#?}");
        servers[4].kill();
        let ours = tribune(&format!("del-node {entry} {} --yes", servers[4].address())).succeeded();
        assert!(ours.out.contains("does not answer and will still know the cluster"), "{ours:#?}");
        for server in &servers[..3] {
            let nodes = server.call_ok(&["CLUSTER", "NODES"]);
            assert!(gone.iter().all(|id| !nodes.contains(id)), "{nodes}");
        }
        tribune(&format!("check {entry}")).succeeded();
    });
}

#[test]
fn the_last_copy_of_slots_does_not_leave() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start_with(&engine, 6, |builder, _| builder.config("cluster-replica-no-failover", "yes"));
    tribune(&format!("create --yes --replicas 1 {}", servers.addresses().join(" "))).succeeded();
    let (entry, owner) = (&servers[0], &servers[1]);
    let copy = servers[3..].iter().find(|server| primary_of(server) == Some(id(owner))).unwrap();
    owner.kill();
    let words = format!("del-node {} {} --yes", entry.address(), copy.address());
    tribune(&words).refused(1, &["may have the only copy of 5462 slots", &owner.address()]);
    let refused = tribune(&format!("--cluster del-node {} {}", entry.address(), id(copy)));
    assert!(refused.code == Some(1) && refused.out.contains("only copy of 5462 slots"), "{refused:#?}");
    assert_eq!(told(entry, "cluster_known_nodes"), "6");
}

#[test]
fn both_show_their_plan_and_do_nothing_before_somebody_says_yes() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster_and_fresh(&engine, 4, 3);
    let (entry, new) = (servers[0].address(), servers[3].address());
    let shown = tribune(&format!("add-node {new} {entry} --dry-run")).succeeded();
    assert!(shown.out.contains(&format!("{new} joins as a primary without slots")), "{shown:#?}");
    tribune(&format!("add-node {new} {entry} --replica --dry-run --json")).succeeded();
    assert_eq!(tribune(&format!("add-node {new} {entry}")).code, Some(1));
    assert_eq!(told(&servers[3], "cluster_known_nodes"), "1");
    let short = &id(&servers[1])[..8];
    tribune(&format!("add-node {new} {entry} --master-id {short} --yes")).succeeded();
    assert_eq!(primary_of(&servers[3]), Some(id(&servers[1])));
    let again = tribune(&format!("add-node {new} {entry} --yes"));
    assert!(again.code == Some(1) && again.err.contains("already a member"), "{again:#?}");
    let shown = tribune(&format!("del-node {entry} {new} --dry-run")).succeeded();
    assert!(shown.out.contains("has no replica then") && shown.out.contains("forget"), "{shown:#?}");
    assert_eq!(tribune(&format!("del-node {entry} {new}")).code, Some(1));
    assert_eq!(told(&servers[0], "cluster_known_nodes"), "4");
    tribune(&format!("del-node {entry} {new} --yes")).succeeded();
    assert_eq!(told(&servers[3], "cluster_known_nodes"), "1");
    assert_eq!(primary_of(&servers[3]), None, "it has dropped its copy, and follows nobody");
    // It may come back at once, though its id was forgotten less than a minute ago.
    tribune(&format!("add-node {new} {entry} --yes")).succeeded();
    eventually("all know it", || servers.iter().all(|server| told(server, "cluster_known_nodes") == "4"));
}

#[test]
fn whoever_stops_while_a_node_comes_in_finds_its_timeout_as_it_was_on_every_engine() {
    each_engine(|engine| {
        let servers = cluster_and_fresh(engine, 4, 3);
        let (entry, new) = (servers[0].address(), &servers[3]);
        let before = timeout(new);
        assert_ne!(before, "500");
        let adding = start(&format!("add-node {} {entry} --yes", new.address()));
        eventually("it is being let in", || timeout(new) == "500");
        run_with_input(std::process::Command::new("kill").args(["-INT", &adding.pid().to_string()]), "");
        let code = adding.finish(Duration::from_secs(20)).code();
        // It may have been done by then.
        assert!(matches!(code, Some(130 | 0)), "{code:?}");
        assert_eq!(timeout(new), before);
        // Killed, it cannot set anything back; the same command does, and so does the one of the tools.
        let adding = start(&format!("add-node {} {entry} --yes", new.address()));
        drop(adding);
        new.call_ok(&["CONFIG", "SET", "cluster-node-timeout", "500"]);
        tribune(&format!("add-node {} {entry} --yes", new.address())).succeeded();
        assert_eq!(timeout(new), before);
        new.call_ok(&["CONFIG", "SET", "cluster-node-timeout", "500"]);
        let again = tribune(&format!("--cluster add-node {} {entry}", new.address()));
        assert!(again.code == Some(1) && again.out.contains("is not empty"), "{again:#?}");
        assert_eq!(timeout(new), before);
        assert_eq!(told(new, "cluster_state"), "ok");
    });
}

#[test]
fn nodes_with_a_password_join_and_leave() {
    let Some(engine) = any_engine() else { return };
    let servers = Servers::start_with(&engine, 5, |builder, _| builder.password("right-one"));
    let say = |words: &str| {
        run_with_input(command(Path::new(PROGRAM)).args(words.split(' ')).env("REDISCLI_AUTH", "right-one"), "")
    };
    let entry = servers[0].address();
    say(&format!("create --yes {}", servers.addresses()[..3].join(" "))).succeeded();
    say(&format!("add-node {} {entry} --yes", servers[3].address())).succeeded();
    let ours = say(&format!("--cluster add-node {} {entry} --cluster-slave", servers[4].address()));
    assert_eq!((ours.code, ours.err.as_str()), (Some(0), ""), "{ours:#?}");
    eventually("it is linked", || servers[4].call_ok(&["INFO", "replication"]).contains("master_link_status:up"));
    for leaver in [4, 3] {
        let ours = say(&format!("--cluster del-node {entry} {}", id(&servers[leaver])));
        assert_eq!((ours.code, ours.err.as_str()), (Some(0), ""), "{ours:#?}");
    }
    assert_eq!(told(&servers[0], "cluster_known_nodes"), "3");
    let refused = tribune(&format!("add-node {} {entry} --yes -a wrong-one", servers[3].address()));
    assert!(refused.code == Some(1) && !refused.err.contains("wrong-one"), "{refused:#?}");
}
