//! Following a server: its snapshot, then its changes in their order.

use crate::support::{Listener, address, dial, plain, run, trusting, with_password, with_tls};
use node::{ConnectOptions, Connector, Verification};
use operations::port::{Command, ReplicationDialer, ReplicationLink, ReplicationOptions, TlsTrouble, Trouble};
use std::time::Duration;
use testservers::{Builder, Certificates, Engine, Server, any_engine, each_engine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longer than a server takes for a sign of life.
const SHORT: Duration = Duration::from_secs(2);

fn standalone(engine: &Engine) -> Builder {
    Server::builder(engine).cluster(false)
}

fn from_disk() -> ReplicationOptions {
    ReplicationOptions { snapshot_only: true, ..ReplicationOptions::default() }
}

async fn follow(
    options: &ConnectOptions,
    server: &str,
    how: ReplicationOptions,
) -> Result<Box<dyn ReplicationLink>, Trouble> {
    let connector = Connector::new(options.clone()).unwrap();
    connector.follow(&address(server), how).await.map_err(|error| error.trouble)
}

/// What keeps a server from being followed.
async fn refusal(options: &ConnectOptions, server: &str) -> Trouble {
    follow(options, server, from_disk()).await.err().expect("it can be followed")
}

async fn snapshot(link: &mut dyn ReplicationLink) -> Result<Vec<u8>, Trouble> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 1000]);
    loop {
        match link.read_snapshot(&mut buffer).await.map_err(|error| error.trouble)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

#[track_caller]
fn assert_whole(link: &dyn ReplicationLink, bytes: &[u8]) {
    assert!(bytes.starts_with(b"REDIS0") || bytes.starts_with(b"VALKEY"), "{:?}", &bytes[..9]);
    assert!(link.snapshot_size().is_none_or(|size| size == bytes.len() as u64));
    assert_eq!(bytes[bytes.len() - 9], 0xff, "the last opcode, before the checksum");
}

fn typed(line: &str) -> Command {
    Command::Typed(line.split(' ').map(|word| word.as_bytes().to_vec()).collect())
}

#[test]
fn a_snapshot_comes_whole_from_disk_and_from_memory_over_plain_and_tls() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        for tls in [false, true] {
            let server = standalone(engine).password("secret");
            let server = if tls { server.tls(&certificates) } else { server }.start();
            server.call_ok(&["DEBUG", "POPULATE", "20000"]);
            let options = with_tls(trusting(&certificates, Verification::Full));
            let options = ConnectOptions { tls: options.tls.filter(|_| tls), ..with_password(None, "secret") };
            run(async {
                for diskless in [false, true] {
                    let how = ReplicationOptions { diskless, ..from_disk() };
                    let mut link = follow(&options, &server.address(), how).await.unwrap();
                    assert_eq!(link.snapshot_size().is_none(), diskless);
                    let bytes = snapshot(link.as_mut()).await.unwrap();
                    assert!(bytes.len() > 200_000, "{} bytes", bytes.len());
                    assert_whole(link.as_ref(), &bytes);
                }
            });
        }
    });
}

#[test]
fn changes_come_in_their_order_with_databases_transactions_and_expiries() {
    each_engine(|engine| {
        let server = standalone(engine).start();
        run(async {
            let writer = dial(&plain(), &server.address()).await.unwrap();
            for diskless in [false, true] {
                writer.send(vec![typed("FLUSHALL"), typed("SET before 1")]).await.unwrap();
                let how = ReplicationOptions { diskless, ..ReplicationOptions::default() };
                let mut link = follow(&plain(), &server.address(), how).await.unwrap();
                let bytes = snapshot(link.as_mut()).await.unwrap();
                assert_whole(link.as_ref(), &bytes);
                assert!(bytes.windows(6).any(|window| window == b"before"));
                let written = [
                    "SELECT 0",
                    "SET plain 1",
                    "SELECT 3",
                    "MULTI",
                    "INCR counter",
                    "INCR counter",
                    "EXEC",
                    "SET fleeting 1 EX 100",
                    "SELECT 0",
                    "SET gone 1",
                    "PEXPIREAT gone 1",
                    "SET the-last 1",
                ];
                let replies = writer.send(written.map(typed).to_vec()).await.unwrap();
                assert!(!replies.iter().any(|reply| matches!(reply, topology::Reply::Error(_))), "{replies:?}");
                let (mut told, mut offset) = (Vec::<String>::new(), link.snapshot_offset());
                let mut database = String::new();
                while told.last().is_none_or(|last| !last.ends_with("the-last 1")) {
                    let change = link.next().await.unwrap();
                    assert!(change.offset > offset);
                    offset = change.offset;
                    link.acknowledge(offset);
                    let words: Vec<_> = change.words.iter().map(|word| String::from_utf8_lossy(word)).collect();
                    match &words[..] {
                        [ping] if ping.eq_ignore_ascii_case("PING") => {}
                        [replconf, ..] if replconf.eq_ignore_ascii_case("REPLCONF") => {}
                        [select, number] if select == "SELECT" => database = number.to_string(),
                        // Some select a database before a transaction, some in it.
                        [word] => told.push(word.to_string()),
                        words => told.push(format!("{database}> {}", words.join(" ").replace("UNLINK", "DEL"))),
                    }
                }
                for line in &mut told {
                    line.truncate(line.find(" PXAT").unwrap_or(line.len()));
                }
                let expected = [
                    "0> SET plain 1",
                    "MULTI",
                    "3> INCR counter",
                    "3> INCR counter",
                    "EXEC",
                    "3> SET fleeting 1",
                    "0> SET gone 1",
                    "0> DEL gone",
                    "0> SET the-last 1",
                ];
                assert_eq!(told, expected);
                // What was acknowledged, the server counts as kept.
                let kept = tokio::select! {
                    kept = writer.send(vec![typed("WAIT 1 4000")]) => kept,
                    error = async { while link.next().await.is_ok() {} } => panic!("the link broke: {error:?}"),
                };
                assert_eq!(kept.unwrap(), [topology::Reply::Integer(1)]);
            }
        });
    });
}

#[test]
fn who_may_not_follow_is_told_why() {
    let certificates = Certificates::new();
    each_engine(|engine| {
        let user = "follower on >own +auth +psync +replconf";
        let closed = standalone(engine).password("secret").user(user).user("other on >own +@all -psync").start();
        let encrypted = standalone(engine).tls(&certificates).start();
        let orphan = standalone(engine).config("replicaof", "127.0.0.1 1").start();
        run(async {
            assert_eq!(refusal(&plain(), &closed.address()).await, Trouble::PasswordNeeded);
            assert_eq!(refusal(&with_password(None, "wrong"), &closed.address()).await, Trouble::WrongPassword);
            let other = refusal(&with_password(Some("other"), "own"), &closed.address()).await;
            assert!(matches!(other, Trouble::NotPermitted(_)), "{other:?}");
            follow(&with_password(Some("follower"), "own"), &closed.address(), from_disk()).await.unwrap();
            let spoken = refusal(&plain(), &encrypted.address()).await;
            assert_eq!(spoken, Trouble::Tls(TlsTrouble::ServerSpeaksTls));
            assert_eq!(refusal(&plain(), &orphan.address()).await, Trouble::NotInSync);
        });
    });
}

#[test]
fn a_server_that_falls_silent_is_not_waited_for() {
    let Some(engine) = any_engine() else { return };
    let server = standalone(&engine).start();
    server.call_ok(&["DEBUG", "POPULATE", "200000"]);
    run(async {
        let how = ReplicationOptions { silence: SHORT, ..from_disk() };
        let mut link = follow(&plain(), &server.address(), how).await.unwrap();
        server.stop_process();
        assert_eq!(snapshot(link.as_mut()).await, Err(Trouble::ReadTimedOut(SHORT)));
        server.continue_process();
    });
}

#[test]
fn empty_lines_are_waited_through_and_a_cut_is_noticed() {
    run(async {
        let (silent_prefix, length) = ("\n\n+FULLRESYNC 0123456789012345678901234567890123456789 7\r\n\n\n", 20);
        let (address, _listener) = Listener::serve(move |mut stream| async move {
            let mut asked = [0; 4096];
            // REPLCONF, twice, and PSYNC.
            for answer in ["+OK\r\n", "+OK\r\n", &format!("{silent_prefix}${length}\r\nREDIS0011")] {
                let _ = stream.read(&mut asked).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut link = follow(&plain(), &address, from_disk()).await.unwrap();
        assert_eq!((link.snapshot_size(), link.snapshot_offset()), (Some(20), 7));
        assert_eq!(snapshot(link.as_mut()).await, Err(Trouble::Closed));
    });
}
