//! Keys that both nodes of a move hold: neither the owner's nor the newer value is lost.

use super::scene::Scene;
use crate::support::{PROGRAM, command, eventually, run, run_with_input};
use std::path::Path;
use testservers::{Engine, each_engine};

/// The slot of the hash tag `{a}`, which the last of three primaries owns.
const SLOT: &str = "15495";

/// Keys of it; the scene takes what is called so for none of its own.
const SAME: &str = "writer{a}same";
const OLDER: &str = "writer{a}older";
const NEWER: &str = "writer{a}newer";
const STRAY: &str = "writer{a}stray";

/// Node 2 owns the slot; node 0 is to get it, and holds what it should not.
struct Ends<'a> {
    scene: Scene,
    engine: &'a Engine,
}

impl<'a> Ends<'a> {
    fn new(engine: &'a Engine) -> Self {
        Self { scene: Scene::new(engine, 3, 3, 100), engine }
    }

    fn owner(&self, words: &[&str]) -> String {
        self.scene.servers[2].call_ok(words)
    }

    /// Says this at the other end.
    fn other(&self, words: &str) -> String {
        let port = self.scene.servers[0].port().to_string();
        let importing = |state: &str| format!("CLUSTER SETSLOT {SLOT} {state}\n");
        let opened = importing(&format!("IMPORTING {}", self.scene.id(2)));
        let input = format!("{opened}ASKING\n{words}\n{}", importing("STABLE"));
        let told = run_with_input(command(&self.engine.cli).args(["-p", &port]), &input).succeeded();
        told.out.lines().nth(2).unwrap_or_default().to_owned()
    }

    /// The words that move the slot, among the last ones of node 2.
    fn words(&self) -> String {
        format!("{} --dialect migrate", self.scene.reshard(900, 2, 0))
    }

    fn assert_untouched(&self) {
        assert!(self.scene.slots(2).contains(&15495));
        assert_eq!((self.scene.slots(2).len(), self.scene.open()), (5461, Vec::new()));
    }
}

#[test]
fn what_both_ends_hold_is_moved_or_refused_by_name_before_anything_is_touched_on_every_engine() {
    each_engine(|engine| {
        let ends = Ends::new(engine);
        ends.owner(&["SET", SAME, "1"]);
        ends.owner(&["SET", NEWER, "owner's"]);
        ends.other(&format!("SET {SAME} 1"));
        ends.other(&format!("SET {OLDER} stale"));
        ends.other(&format!("SET {STRAY} alone"));
        // The servers count idle time by a clock of one second, and two of these seconds tell nothing.
        let idle = || ends.owner(&["OBJECT", "IDLETIME", NEWER]).parse::<u64>().unwrap();
        eventually("the keys have been idle", || idle() >= 6);
        ends.owner(&["SET", OLDER, "owner's"]);
        ends.other(&format!("SET {NEWER} newer"));

        let run = ends.scene.tribune(&ends.words());
        assert!(run.code == Some(1) && run.err.contains("knows nothing of: writer{a}stray"), "{run:#?}");
        ends.assert_untouched();
        assert_eq!(ends.other(&format!("GET {STRAY}")), "alone");
        ends.other(&format!("DEL {STRAY}"));

        for attempt in ["once", "and again, though it has been looked at meanwhile"] {
            let run = ends.scene.tribune(&ends.words());
            let told =
                run.err.contains("hold different values of 1 key: writer{a}newer") && run.err.contains("--replace");
            assert!(run.code == Some(1) && told, "{attempt}: {run:#?}");
            ends.assert_untouched();
        }
        // Reading counts as use: only now.
        assert_eq!((ends.owner(&["GET", NEWER]), ends.other(&format!("GET {NEWER}"))), both("owner's", "newer"));
        assert_eq!((ends.owner(&["GET", OLDER]), ends.other(&format!("GET {OLDER}"))), both("owner's", "stale"));
        ends.scene.tribune(&format!("{} --replace", ends.words())).succeeded();
        let here = &ends.scene.servers[0];
        assert_eq!([SAME, OLDER, NEWER].map(|key| here.call_ok(&["GET", key])), ["1", "owner's", "owner's"]);
        ends.scene.assert_whole();
    });
}

fn both(owner: &str, other: &str) -> (String, String) {
    (owner.to_owned(), other.to_owned())
}

#[test]
fn a_slot_of_which_the_destination_holds_thousands_of_keys_too_moves_once_the_user_may_compare_them() {
    each_engine(|engine| {
        let ends = Ends::new(engine);
        let write = "EVAL \"for i = 1, 2500 do redis.call('SET', KEYS[1] .. i, i) end\" 1 writer{a}";
        ends.owner(&["EVAL", "for i = 1, 2500 do redis.call('SET', KEYS[1] .. i, i) end", "1", "writer{a}"]);
        ends.other(write);
        let mover = "mover on >of-mover ~* -@all +ping +info +cluster +migrate +select +restore-asking +multi +exec +memory|usage";
        for node in 0..3 {
            let user = ["ACL", "SETUSER"].into_iter().chain(mover.split(' ')).collect::<Vec<_>>();
            ends.scene.servers[node].call_ok(&user);
        }
        let as_mover = || {
            let mut program = command(Path::new(PROGRAM));
            program.args(ends.words().split(' ')).args(["--user", "mover"]).env("TRIBUNE_AUTH", "of-mover");
            run(&mut program)
        };
        for (node, missing) in [(2, "object|idletime, dump"), (0, "asking, object|idletime, dump")] {
            let told = as_mover();
            let expected = format!("{} does not let the user given run {missing}", ends.scene.address(node));
            assert!(told.code == Some(1) && told.err.contains(&expected), "{told:#?}");
            ends.assert_untouched();
            let rights = missing.split(", ").map(|name| format!("+{name}"));
            let words: Vec<String> = ["ACL", "SETUSER", "mover"].map(str::to_owned).into_iter().chain(rights).collect();
            ends.scene.servers[node].call_ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
        }
        as_mover().succeeded();
        assert_eq!(ends.scene.servers[0].call_ok(&["GET", "writer{a}2500"]), "2500");
        ends.scene.assert_whole();
    });
}
