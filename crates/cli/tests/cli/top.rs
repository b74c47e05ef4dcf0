//! What a cluster does now, as lines and on a terminal.

use crate::support::{PROGRAM, cluster, eventually, run, tribune};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};
use testservers::{Cluster, Writer, WriterOptions, any_engine, each_engine, engine};

#[test]
fn a_picture_tells_what_every_node_does() {
    each_engine(|engine| {
        let servers = cluster(engine, 6, 1);
        let writer = Writer::start(&Cluster::of(&servers), &WriterOptions::default());
        let entry = servers[0].address();
        let run = tribune(&format!("top {entry} --once --json --interval 0.5")).succeeded();
        let load: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(load["nodes"].as_array().unwrap().len(), 6, "{run:#?}");
        assert!(load["operations_per_second"].as_u64().unwrap() > 0, "{run:#?}");
        let replica = load["nodes"].as_array().unwrap().iter().find(|node| node["replica"] == true).unwrap();
        assert!(replica["lag_bytes"].is_u64() && replica["memory_bytes"].as_u64().unwrap() > 0, "{run:#?}");
        let lines = tribune(&format!("top {entry} --count 2 --interval 0.2")).succeeded();
        assert_eq!(lines.out.matches("op/s").count(), 4, "a headline and a head for each picture: {lines:#?}");
        assert!(lines.err.is_empty(), "{lines:#?}");
        writer.stop();
    });
}

#[test]
fn the_hottest_slots_are_told_where_servers_count_them() {
    for (name, what) in [("valkey-8.1", "yes"), ("redis-8.6", "cpu net")] {
        let Some(engine) = engine(name) else { continue };
        let servers = cluster(&engine, 3, 0);
        for server in &servers {
            server.call_ok(&["CONFIG", "SET", "cluster-slot-stats-enabled", what]);
        }
        let options = WriterOptions { hot_keys: 1, ..WriterOptions::default() };
        let writer = Writer::start(&Cluster::of(&servers), &options);
        let run = tribune(&format!("top {} --once --json", servers[0].address())).succeeded();
        let load: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let hottest = load["hottest_slots"].as_array().unwrap();
        assert!(hottest.len() > 1 && hottest[0]["cpu_percent"].as_f64().unwrap() > 0.0, "{name}: {run:#?}");
        writer.stop();
    }
}

#[test]
fn a_silent_node_is_named_and_does_not_delay_the_others() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 6, 1);
    servers[3].stop_process();
    let begin = std::time::Instant::now();
    let run = tribune(&format!("top {} --once --json --interval 0.5 --read-timeout 1", servers[0].address()));
    servers[3].continue_process();
    let run = run.succeeded();
    let load: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let silent: Vec<_> = load["nodes"].as_array().unwrap().iter().filter(|node| node["silence"].is_string()).collect();
    assert_eq!(silent.len(), 1, "{run:#?}");
    assert_eq!(silent[0]["address"], servers[3].address());
    assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
}

/// The program on a terminal of its own.
struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(words: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || slave.try_clone().unwrap();
        let child = Command::new(PROGRAM)
            .args(words.split_whitespace())
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { master, slave, child, shown }
    }

    fn shows(&self, text: &str) -> bool {
        self.shown.lock().unwrap().contains(text)
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }
}

#[test]
fn on_a_terminal_q_ends_it_and_the_terminal_is_as_before() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let mut terminal = Terminal::start(&format!("top {}", servers[0].address()));
    assert!(terminal.echoes());
    eventually("a picture is shown", || terminal.shows("op/s") && terminal.shows("clients"));
    assert!(terminal.shows("\x1b[?1049h") && !terminal.echoes(), "the terminal is taken over");
    // Narrower: drawn anew, no line wider than that.
    tcsetwinsize(&terminal.slave, Winsize { ws_row: 10, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    terminal.master.write_all(b"xq").unwrap();
    let status = terminal.child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    eventually("the screen is given back", || terminal.shows("\x1b[?25h\x1b[?1049l"));
    assert!(terminal.echoes(), "keys are shown again");
}

#[test]
fn on_a_terminal_ctrl_c_ends_it_too() {
    let Some(engine) = any_engine() else { return };
    let servers = cluster(&engine, 3, 0);
    let mut terminal = Terminal::start(&format!("top {}", servers[0].address()));
    eventually("a picture is shown", || terminal.shows("clients"));
    let pid = terminal.child.id().to_string();
    run(Command::new("kill").args(["-INT", &pid])).succeeded();
    assert_eq!(terminal.child.wait().unwrap().code(), Some(0));
    eventually("the screen is given back", || terminal.shows("\x1b[?1049l"));
    assert!(terminal.echoes(), "keys are shown again");
}

#[test]
fn nobody_there_is_an_error_and_not_an_empty_screen() {
    tribune("top 127.0.0.1:1").refused(1, &["127.0.0.1:1"]);
}
