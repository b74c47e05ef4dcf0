//! What an agent tells others, of a server that answers nobody.

use crate::support::{IDLE, Place, member, signal, wait_until};
use agent::{Happening, Phase, Token};
use rustix::process::Signal;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

impl Place {
    /// Lets the agent answer, on the port that is given back.
    fn answering(&self) -> u16 {
        let token = self.path().join("agent.token");
        Token::ensure(&token).unwrap();
        // Free until the agent takes it, as a rule; nothing else of this machine asks for ports of the system in between.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        member().answering(port, token).write(self.path()).unwrap();
        port
    }

    fn token(&self) -> String {
        std::fs::read_to_string(self.path().join("agent.token")).unwrap().trim().to_owned()
    }

    /// A request that has been sent, once the agent listens.
    fn ask(port: u16, path: &str, token: &str) -> BufReader<TcpStream> {
        let mut stream = wait_until("an agent that listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }
}

fn answer(port: u16, path: &str, token: &str) -> String {
    let mut text = String::new();
    Place::ask(port, path, token).read_to_string(&mut text).unwrap();
    text
}

/// The next thing that happens; lines of the transfer itself and signs of life are passed over.
fn next(stream: &mut BufReader<TcpStream>) -> Happening {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

#[test]
fn who_watches_is_told_of_each_end_and_start_and_the_stream_ends_with_the_agent() {
    let place = Place::new(IDLE);
    let port = place.answering();
    let mut agent = place.start();
    let first = agent.running().server_pid.unwrap();
    let mut stream = Place::ask(port, "/v1/watch", &place.token());
    assert_eq!(next(&mut stream), Happening::Begin { phase: Phase::Running, server_pid: Some(first) });
    signal(first, Signal::KILL);
    assert_eq!(next(&mut stream), Happening::Died { how: "was killed by signal 9".into() });
    let Happening::Started { server_pid } = next(&mut stream) else { panic!("not started again") };
    assert_ne!(server_pid, first);
    agent.running();
    signal(agent.pid(), Signal::INT);
    assert_eq!(next(&mut stream), Happening::Stopping { whole_cluster: true });
    assert!(matches!(next(&mut stream), Happening::Died { .. }));
    assert!(agent.ended().success());
    let mut rest = String::new();
    // Whether it ends by the rules of the transfer or by the end of the process makes no difference.
    stream.read_to_string(&mut rest).ok();
    assert!(!rest.contains('{'), "{rest}");
}

#[test]
fn an_agent_tells_what_it_knows_of_a_server_that_does_not_answer() {
    let place = Place::new(IDLE);
    let port = place.answering();
    let agent = place.start();
    let server = agent.running().server_pid.unwrap();
    assert!(answer(port, "/livez", "").ends_with("\r\n\r\nok\n"));
    let ready = answer(port, "/readyz", "");
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("not ready: the server does not answer\n"),
        "{ready}"
    );
    assert!(answer(port, "/metrics", "").contains("\ntribune_server_up 0\n"));
    let refused = answer(port, "/v1/member", "guess");
    assert!(refused.starts_with("HTTP/1.1 401 ") && !refused.contains(&place.token()), "{refused}");
    let member = answer(port, "/v1/member", &place.token());
    let known = format!("\"server_pid\":{server},\"phase\":\"running\",\"answers\":false");
    assert!(member.contains("\"id\":null") && member.contains(&known), "{member}");
}

#[test]
fn a_port_that_is_taken_does_not_keep_the_server_from_running() {
    let place = Place::new(IDLE);
    let port = place.answering();
    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let agent = place.start();
    agent.running();
    wait_until("the agent's words", || {
        let log = std::fs::read_to_string(place.files.agent_log()).unwrap();
        log.contains(&format!("nobody is answered on 127.0.0.1:{port} yet")).then_some(())
    });
    drop(taken);
    assert!(answer(port, "/livez", "").ends_with("ok\n"));
}

#[test]
fn without_a_token_nobody_learns_of_the_member_and_the_server_runs() {
    let place = Place::new(IDLE);
    let port = place.answering();
    std::fs::write(place.path().join("agent.token"), "\n").unwrap();
    let agent = place.start();
    agent.running();
    assert!(answer(port, "/livez", "").ends_with("ok\n"));
    assert!(answer(port, "/v1/member", "").starts_with("HTTP/1.1 401 "));
}
