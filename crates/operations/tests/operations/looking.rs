//! Looking at a whole cluster.

use crate::played::{Stage, address, id, line};
use operations::{observe::look, port::Trouble};

/// Two servers that know each other and a third one.
fn stage() -> Stage {
    let stage = Stage::default();
    let third = line(7002, "master,fail", "-", "10-19");
    stage.put(7000, line(7000, "myself,master", "-", "0-9") + &line(7001, "slave", &id(7000).to_string(), "") + &third);
    stage.put(7001, line(7001, "myself,slave", &id(7000).to_string(), "") + &line(7000, "master", "-", "0-9") + &third);
    stage
}

#[tokio::test]
async fn from_one_node_all_are_found_and_the_silent_ones_are_kept_with_the_reason() {
    let observation = look(&stage(), &[address(7001)]).await.unwrap();
    let seen: Vec<_> = observation.view.nodes.iter().map(|node| (node.address.port, node.said.is_ok())).collect();
    assert_eq!(seen, [(7001, true), (7000, true), (7002, false)]);
    let (_, silence) = observation.view.silent().next().unwrap();
    assert_eq!(silence.reason, Trouble::Refused.to_string());
    assert_eq!(observation.links.keys().copied().collect::<Vec<_>>(), [id(7000), id(7001)]);
    assert_eq!(observation.view.served().to_string(), "0-9", "all call the third one failed");
}

#[tokio::test]
async fn a_node_under_two_names_counts_once_and_an_address_that_is_dead_does_not_hide_the_others() {
    let stage = stage();
    let named = "localhost:7000".parse().unwrap();
    let observation = look(&stage, &[address(7009), named, address(7000)]).await.unwrap();
    let ports: Vec<_> = observation.view.answering().map(|(node, _)| node.address.port).collect();
    assert_eq!(ports.len(), 2, "{ports:?}");
    assert!(observation.view.silent().any(|(node, _)| node.address.port == 7009));
}

#[tokio::test]
async fn an_address_where_another_node_answers_is_told() {
    let stage = stage();
    // Somebody else has taken the third one's address.
    stage.put(7002, line(7009, "myself,master", "-", ""));
    let observation = look(&stage, &[address(7000)]).await.unwrap();
    let third = observation.view.node(id(7002)).unwrap();
    assert!(third.said.as_ref().unwrap_err().reason.contains("another node"), "{third:?}");
}

#[tokio::test]
async fn without_any_answer_the_first_reason_leads() {
    let Err(none) = look(&Stage::default(), &[address(7000), address(7001)]).await else { panic!("nobody is there") };
    assert_eq!((none.first.trouble, none.others.len()), (Trouble::Refused, 1));
}

#[tokio::test]
async fn a_server_that_still_loads_is_no_answer() {
    let stage = stage();
    stage.change(7001, |server| server.info = "loading:1\r\n".to_owned());
    let observation = look(&stage, &[address(7000)]).await.unwrap();
    let second = observation.view.node(id(7001)).unwrap();
    assert_eq!(second.said.as_ref().unwrap_err().reason, Trouble::Loading { percent: None }.to_string());
}
