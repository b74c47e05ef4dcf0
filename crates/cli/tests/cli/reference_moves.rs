//! `tribune --cluster reshard` and `rebalance` beside the tool whose words they take.

use crate::support::{
    PROGRAM, Run, addresses, cluster, command, eventually, eventually_cluster, run_with_input, tribune,
};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::Path,
    process::Stdio,
};
use testservers::{Engine, Server, Servers, StockClient, each_engine};

fn id(server: &Server) -> String {
    server.call_ok(&["CLUSTER", "MYID"])
}

/// How many slots a primary owns.
fn slots(server: &Server) -> usize {
    let nodes = server.call_ok(&["CLUSTER", "NODES"]);
    let line = nodes.lines().find(|line| line.contains("myself")).unwrap().to_owned();
    line.split(' ').skip(8).map(count).sum()
}

/// How many slots a range has.
fn count(range: &str) -> usize {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap() + 1
}

/// What was said, without the slots that are to move; and how many they are, by the words about whence and whither.
fn without_slots(out: &str) -> (String, BTreeMap<String, usize>) {
    let (mut rest, mut moves) = (String::new(), BTreeMap::new());
    for line in out.lines().filter(|line| line.is_empty() || !line.chars().all(|sign| sign == '#')) {
        match line.trim().split(' ').collect::<Vec<_>>()[..] {
            ["Moving", slots, "slots", "from", from, "to", to] => {
                moves.insert(format!("{from} to {to}"), slots.parse().unwrap());
                rest += "slots\n";
            }
            [node, "balance", "is", slots, "slots"] => {
                moves.insert(format!("balance of {node}"), slots.trim_start_matches('-').parse().unwrap());
            }
            ["Moving", "slot", "range", ref ranges @ .., "from", from]
            | ["Moving", "slot", ref ranges @ .., "from", from] => {
                *moves.entry(from.to_owned()).or_default() += ranges.iter().map(|range| count(range)).sum::<usize>();
            }
            _ => rest.extend([line, "\n"]),
        }
    }
    (rest, moves)
}

/// Lets both say what they would move, and compares all that they say. Which slots a source gives is not the same: these keep ranges
/// whole. So is who gives one that is left over of a division.
#[track_caller]
fn assert_same(engine: &Engine, words: &str, answers: &[&str]) -> usize {
    let [reference, ours] = [&engine.cli, Path::new(PROGRAM)].map(|program| talk(program, words, answers));
    let ((theirs, their_moves), (said, our_moves)) = (without_slots(&reference.out), without_slots(&ours.out));
    assert_eq!(theirs, said, "{words}");
    assert_eq!((reference.code, &reference.err), (ours.code, &ours.err), "{words}");
    assert_eq!(their_moves.keys().collect::<Vec<_>>(), our_moves.keys().collect::<Vec<_>>(), "{words}");
    let differ = |(way, slots): (&String, &usize)| slots.abs_diff(our_moves[way]) > 2;
    assert!(!their_moves.iter().any(differ), "{words}: {their_moves:?} {our_moves:?}");
    our_moves.iter().filter(|(way, _)| !way.starts_with("balance")).map(|(_, slots)| slots).sum()
}

/// Runs a program that asks questions: the tools take all that is there for one answer.
fn talk(program: &Path, words: &str, answers: &[&str]) -> Run {
    let mut command = command(program);
    command.env("TERM", "dumb").arg("--cluster").args(words.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut out, mut read, mut answers) = (Vec::new(), [0; 4096], answers.iter());
    loop {
        let bytes = output.read(&mut read).unwrap();
        out.extend_from_slice(&read[..bytes]);
        let asks = out.ends_with(b"? ") || out.ends_with(b": ");
        match if asks { answers.next() } else { None } {
            Some(answer) => input.write_all(format!("{answer}\n").as_bytes()).unwrap(),
            // Tools ask forever where nobody answers.
            None if asks => break child.kill().unwrap(),
            None if bytes == 0 => break,
            None => {}
        }
    }
    let rest = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: rest.status.code(), out: text(out), err: text(rest.stderr) }
}

/// Five primaries that own 3000, 4000, 4384, 5000 and no slots, and a replica.
fn uneven(engine: &Engine) -> Servers {
    let servers = Servers::start(engine, 6);
    let all = addresses(&servers);
    let primaries: Vec<&str> = all.split(' ').take(4).collect();
    tribune(&format!("create --yes --replicas 0 {}", primaries.join(" "))).succeeded();
    let entry = servers[0].address();
    let give = |from: usize, to: usize, count: usize| {
        let [from, to] = [from, to].map(|node| servers[node].address());
        tribune(&format!("reshard {entry} --from {from} --to {to} --slots {count} --yes")).succeeded();
    };
    give(0, 3, 904);
    give(0, 2, 192);
    give(1, 2, 96);
    tribune(&format!("add-node --yes {} {entry}", servers[4].address())).succeeded();
    tribune(&format!("add-node --yes {} {entry} --replica-of {}", servers[5].address(), servers[2].address()))
        .succeeded();
    assert_eq!([0, 1, 2, 3, 4].map(|node| slots(&servers[node])), [3000, 4000, 4384, 5000, 0]);
    // The tools take the handshakes that a server still lists for nodes of their own.
    let knows_six = |server: &Server| server.call_ok(&["CLUSTER", "NODES"]).trim().lines().count() == 6;
    eventually("no handshake is left", || servers.iter().all(knows_six));
    servers
}

#[test]
fn the_plan_of_a_reshard_is_shown_the_same_on_every_engine() {
    each_engine(|engine| {
        let servers = uneven(engine);
        let (entry, ids) = (servers[1].address(), [0, 1, 2, 3, 4, 5].map(|node| id(&servers[node])));
        let [small, middle, large, largest, empty, replica] = &ids;
        for (from, to, slots) in [
            ("all".to_owned(), empty, 1000),
            ("all".to_owned(), small, 7),
            ("all".to_owned(), largest, 1),
            (middle.clone(), empty, 4000),
            (format!("{small},{large}"), middle, 101),
            (format!("{largest},{large},{small}"), empty, 16),
            (format!("{largest},{large},{small},{middle}"), empty, 12_000),
        ] {
            let words = format!("reshard {entry} --cluster-from {from} --cluster-to {to} --cluster-slots {slots}");
            assert_eq!(assert_same(engine, &words, &["no"]), slots, "exactly as many as are wanted: {words}");
        }
        for (from, slots, owned) in
            [(small.clone(), 16384, 3000), (format!("{small},{large}"), 8000, 7384), (empty.clone(), 5, 0)]
        {
            let words = format!("reshard {entry} --cluster-from {from} --cluster-to {middle} --cluster-slots {slots}");
            assert_eq!(assert_same(engine, &words, &["no"]), owned, "all that the sources own: {words}");
        }
        assert_same(
            engine,
            &format!("reshard {entry} --cluster-from {empty} --cluster-to {middle} --cluster-slots 5 --cluster-yes"),
            &[],
        );
        for answers in [
            &["0", "20000", "12", empty, small, middle, "done", "no"][..],
            &["12", empty, "all", "no"],
            &["12", empty, empty, small, "done", "no"],
            &["12", empty, "done"],
            &["12", replica],
            &["12", "nonsense"],
            &["12", empty, "nonsense"],
            &["12", empty, replica],
        ] {
            assert_same(engine, &format!("reshard {entry}"), answers);
        }
    });
}

#[test]
fn what_a_rebalance_would_move_is_shown_the_same_on_every_engine() {
    each_engine(|engine| {
        let servers = uneven(engine);
        let ids = [0, 1, 2, 3, 4].map(|node| id(&servers[node]));
        let [small, middle, large, largest, empty] = &ids;
        for options in [
            String::new(),
            "--verbose".to_owned(),
            "--cluster-use-empty-masters".to_owned(),
            "--cluster-threshold 15".to_owned(),
            "--cluster-threshold 37".to_owned(),
            "--cluster-threshold 100".to_owned(),
            "--cluster-threshold 100 --cluster-use-empty-masters".to_owned(),
            format!("--cluster-weight {small}=2 {middle}=1.5 --verbose"),
            format!("--cluster-weight {small}=0"),
            format!("--cluster-weight {largest}=0 {large}=0 --cluster-use-empty-masters"),
            format!("--cluster-weight {empty}=3 --cluster-use-empty-masters"),
            format!("--cluster-weight {empty}=3"),
            "--cluster-weight nobody=3".to_owned(),
        ] {
            assert_same(engine, &format!("rebalance {} {options} --cluster-simulate", servers[2].address()), &[]);
        }
    });
}

#[test]
fn a_reshard_and_a_rebalance_give_as_many_slots_to_the_same_nodes_on_every_engine() {
    each_engine(|engine| {
        let pair = [cluster(engine, 3, 0), cluster(engine, 3, 0)];
        let mut clients = pair.each_ref().map(|servers| StockClient::connect(&servers.addresses(), None));
        for client in &mut clients {
            client.write(500);
        }
        let reshard = |servers: &Servers, from: usize, to: usize, slots: usize| {
            let [from, to] = [from, to].map(|node| id(&servers[node]));
            format!(
                "reshard {} --cluster-from {from} --cluster-to {to} --cluster-slots {slots} --cluster-yes",
                servers[0].address()
            )
        };
        // Never two that have as much too many or too few as each other: the tool takes these in the order of their random ids.
        let steps: [&dyn Fn(&Servers) -> String; 5] = [
            &|servers| reshard(servers, 0, 1, 300),
            &|servers| reshard(servers, 2, 1, 40),
            &|servers| format!("rebalance {}", servers[0].address()),
            &|servers| {
                format!(
                    "rebalance {} --cluster-weight {}=0.95 {}=1.04",
                    servers[1].address(),
                    id(&servers[0]),
                    id(&servers[2])
                )
            },
            &|servers| format!("rebalance {} --cluster-weight {}=0.9", servers[2].address(), id(&servers[1])),
        ];
        for step in steps {
            let runs = [&engine.cli, Path::new(PROGRAM)].into_iter().zip(&pair).map(|(program, servers)| {
                let words = step(servers);
                let run = run_with_input(command(program).arg("--cluster").args(words.split_whitespace()), "");
                assert_eq!(run.code, Some(0), "{words}: {run:#?}");
                // The tool ends before all nodes know.
                eventually_cluster(servers, servers.iter().filter(|server| slots(server) > 0).count());
                servers.iter().map(slots).collect::<Vec<_>>()
            });
            let [theirs, ours]: [Vec<usize>; 2] = runs.collect::<Vec<_>>().try_into().unwrap();
            let differs = theirs.iter().zip(&ours).any(|(one, other)| one.abs_diff(*other) > pair[0].len());
            assert!(!differs, "{}: {theirs:?} {ours:?}", step(&pair[1]));
        }
        for client in &mut clients {
            client.read(500);
        }
    });
}
