//! Running plans: preconditions are read again, and nothing is improvised.

use crate::played::{Stage, address, id, line};
use operations::{
    port::{Command, Trouble},
    run::{Patience, Progress, RunError, Runner},
};
use std::{sync::Mutex, time::Duration};
use topology::plan::{Action, Cost, FORMAT, NodeRef, Plan, Step};

const SHORT: Patience = Patience { agreement: Duration::from_millis(50), service: Duration::from_millis(50) };

fn node(port: u16) -> NodeRef {
    NodeRef { id: id(port), address: address(port) }
}

async fn run(stage: &Stage, actions: Vec<Action>) -> Result<(), RunError> {
    run_telling(stage, actions, SHORT, &|_| {}).await
}

async fn run_telling(
    stage: &Stage,
    actions: Vec<Action>,
    patience: Patience,
    tell: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), RunError> {
    let step = |(stage, action)| Step { stage, action, reason: String::new() };
    let plan = Plan {
        format: FORMAT,
        goal: String::new(),
        based_on: Vec::new(),
        steps: (1..).zip(actions).map(step).collect(),
        reasons: Vec::new(),
        expected_after: Vec::new(),
        placement: None,
        cost: Cost::default(),
    };
    let ports: Vec<u16> = stage.servers.lock().unwrap().keys().copied().collect();
    let links = ports.into_iter().map(|port| (id(port), stage.link(port))).collect();
    Runner::new(links, patience, tell).run(&plan).await
}

/// One server alone, as new.
fn alone() -> Stage {
    let stage = Stage::default();
    stage.put(7000, line(7000, "myself,master", "-", "").replace(" 1 connected", " 0 connected"));
    stage
}

fn change_of(outcome: Result<(), RunError>) -> String {
    match outcome {
        Err(RunError::Changed { change, .. }) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_step_whose_work_is_done_already_sends_nothing() {
    let stage = Stage::default();
    stage.put(7000, line(7000, "myself,master", "-", "0-99"));
    stage.put(7001, line(7001, "myself,slave", &id(7000).to_string(), ""));
    let actions = vec![
        Action::AddSlots { node: node(7000), slots: "5-10".parse().unwrap() },
        Action::SetEpoch { node: node(7000), epoch: 1 },
        Action::Replicate { replica: node(7001), primary: node(7000) },
        Action::GiveUpSlots { node: node(7001) },
    ];
    run(&stage, actions).await.unwrap();
    assert_eq!(stage.changes(), []);
}

#[tokio::test]
async fn slots_are_not_added_to_a_node_that_got_keys_meanwhile() {
    let stage = alone();
    stage.change(7000, |server| server.info = "db0:keys=3,expires=0\r\n".to_owned());
    let add = Action::AddSlots { node: node(7000), slots: "0-9".parse().unwrap() };
    assert_eq!(change_of(run(&stage, vec![add]).await), "it holds keys now");
    assert_eq!(stage.changes(), []);
}

#[tokio::test]
async fn nothing_that_destroys_is_sent_to_a_node_with_keys_or_slots() {
    let stage = Stage::default();
    stage.put(7000, line(7000, "myself,master", "-", "0-99"));
    let reset = run(&stage, vec![Action::Reset { node: node(7000) }]).await;
    assert_eq!(change_of(reset), "it owns 100 slots");
    stage.change(7000, |server| server.info = "db4:keys=1,expires=0\r\n".to_owned());
    for action in [Action::GiveUpSlots { node: node(7000) }, Action::Reset { node: node(7000) }] {
        assert_eq!(change_of(run(&stage, vec![action]).await), "it holds 1 key in database 4");
    }
    assert_eq!(stage.changes(), []);
}

#[tokio::test]
async fn a_node_that_became_another_one_stops_the_run_before_its_later_steps() {
    let stage = alone();
    stage.put(7001, line(7009, "myself,master", "-", ""));
    let actions = vec![
        Action::AddSlots { node: node(7001), slots: "0-9".parse().unwrap() },
        Action::AddSlots { node: node(7000), slots: "10-19".parse().unwrap() },
    ];
    assert!(change_of(run(&stage, actions).await).starts_with("its id is 00000000 now"));
    assert_eq!(stage.changes(), []);
}

#[tokio::test]
async fn a_refusal_is_the_servers_own_line() {
    let stage = alone();
    stage.change(7000, |server| server.refusal = "ERR Slot 5 is already busy".to_owned());
    let add = Action::AddSlots { node: node(7000), slots: "5".parse().unwrap() };
    let Err(RunError::Node(error)) = run(&stage, vec![add]).await else { panic!("it was refused") };
    assert_eq!(error.trouble, Trouble::Refusal("ERR Slot 5 is already busy".to_owned()));
}

#[tokio::test]
async fn nodes_that_never_meet_are_named_in_both_directions_with_the_bus_port() {
    let stage = alone();
    stage.put(7001, line(7001, "myself,master", "-", ""));
    let meet = Action::Meet { nodes: vec![node(7000), node(7001)] };
    let Err(RunError::Estranged { pairs, .. }) = run(&stage, vec![meet]).await else { panic!("they cannot meet") };
    let told: Vec<String> = pairs.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "127.0.0.1:7000 does not reach 127.0.0.1:7001 on its cluster bus port 17001",
            "127.0.0.1:7001 does not reach 127.0.0.1:7000 on its cluster bus port 17000",
        ]
    );
    let met = stage.changes();
    assert!(met.contains(&(7000, Command::Meet { ip: [127, 0, 0, 1].into(), port: 7001, bus_port: 17001 })), "{met:?}");
}

#[tokio::test]
async fn a_node_is_forgotten_only_when_all_say_that_it_owns_nothing() {
    let others = |about: &str| {
        let stage = Stage::default();
        let gone = line(7002, "master,fail", "-", about);
        stage.put(7000, line(7000, "myself,master", "-", "0-9") + &line(7001, "master", "-", "10-19") + &gone);
        stage.put(7001, line(7001, "myself,master", "-", "10-19") + &line(7000, "master", "-", "0-9") + &gone);
        stage
    };
    let forget = || vec![Action::Forget { node: node(7002), by: vec![node(7000), node(7001)] }];
    let owning = others("20-29");
    assert_eq!(change_of(run(&owning, forget()).await), format!("{} owns 10 slots", id(7002).short() + ":0"));
    assert_eq!(owning.changes(), []);
    let empty = others("");
    run(&empty, forget()).await.unwrap();
    assert_eq!(empty.changes().iter().map(|(port, _)| *port).collect::<Vec<_>>(), [7000, 7001]);
}

#[tokio::test]
async fn a_node_is_forgotten_only_when_nobody_is_meeting_it_any_more_and_may_be_stopped_before() {
    let stage = Stage::default();
    let gone = line(7002, "master,fail", "-", "");
    let again = line(7002, "handshake", "-", "").replace(&id(7002).to_string(), &id(9).to_string());
    let elsewhere = again.replace("7002", "7003");
    let second = line(7001, "myself,master", "-", "10-19") + &line(7000, "master", "-", "0-9") + &gone + &elsewhere;
    stage.put(7000, line(7000, "myself,master", "-", "0-9") + &line(7001, "master", "-", "10-19") + &gone);
    stage.put(7001, second.clone() + &again);
    stage.put(7002, line(7002, "myself,master", "-", ""));
    let forget = vec![Action::Forget { node: node(7002), by: vec![node(7000), node(7001)] }];
    let waited = Mutex::new(Vec::new());
    let tell = |progress| {
        if let Progress::Waiting { missing } = progress {
            assert_eq!(stage.changes(), []);
            waited.lock().unwrap().push(missing);
            stage.put(7001, second.clone());
            stage.servers.lock().unwrap().remove(&7002);
        }
    };
    let patience = Patience { agreement: Duration::from_secs(20), service: Duration::from_secs(20) };
    run_telling(&stage, forget, patience, &tell).await.unwrap();
    assert_eq!(waited.into_inner().unwrap(), ["127.0.0.1:7001 is still meeting other nodes"]);
    assert_eq!(stage.changes().iter().map(|(port, _)| *port).collect::<Vec<_>>(), [7000, 7001]);
}

#[tokio::test]
async fn a_run_tells_what_it_does_stage_by_stage() {
    let stage = alone();
    let told = Mutex::new(Vec::new());
    let plan = |action| Step { stage: 1, action, reason: String::new() };
    let plan = Plan {
        format: FORMAT,
        goal: String::new(),
        based_on: Vec::new(),
        steps: vec![plan(Action::AddSlots { node: node(7000), slots: "0".parse().unwrap() })],
        reasons: Vec::new(),
        expected_after: Vec::new(),
        placement: None,
        cost: Cost::default(),
    };
    let tell = |progress| told.lock().unwrap().push(progress);
    Runner::new([(id(7000), stage.link(7000))].into(), SHORT, &tell).run(&plan).await.unwrap();
    let told = told.into_inner().unwrap();
    assert!(
        matches!(told[..], [Progress::Stage { stage: 1, of: 1, .. }, Progress::StageDone { stage: 1 }]),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_replica_that_loads_its_copy_is_waited_for() {
    let patience = Patience { agreement: Duration::from_secs(20), service: Duration::from_secs(20) };
    let wait = |nodes| [Action::AwaitReplicas { nodes: vec![node(7001)] }, Action::AwaitAgreement { nodes }];
    for action in wait(vec![node(7000), node(7001)]) {
        let stage = Stage::default();
        let primary = id(7000).to_string();
        let of = |own, other| format!("{}{}", line(7000, own, "-", "0-99"), line(7001, other, &primary, ""));
        stage.put(7000, of("myself,master", "slave"));
        stage.put(7001, of("master", "myself,slave"));
        stage.change(7001, |server| server.info = "loading:1\r\n".to_owned());
        let waited = Mutex::new(Vec::new());
        let tell = |progress| {
            if let Progress::Waiting { missing } = progress {
                waited.lock().unwrap().push(missing);
                stage.change(7001, |server| server.info = "loading:0\r\nmaster_link_status:up\r\n".to_owned());
            }
        };
        run_telling(&stage, vec![action], patience, &tell).await.unwrap();
        let waited = waited.into_inner().unwrap();
        assert!(waited.len() == 1 && waited[0].contains("127.0.0.1:7001 is still loading"), "{waited:?}");
    }
}
