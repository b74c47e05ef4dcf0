//! Which keys a command of a replication stream changes.

use crate::Reply;
use std::collections::HashMap;

/// Where commands have their keys: what `COMMAND` tells of each.
#[derive(Clone, Debug, Default)]
pub struct KeyPositions(HashMap<Vec<u8>, Positions>);

/// Where one command has its keys, counted from its name, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Positions {
    /// 0 for a command without keys.
    first: usize,
    /// From the end when negative.
    last: i64,
    step: usize,
    /// Some or all of its keys are where its words say: `COMMAND GETKEYS` tells.
    movable: bool,
}

/// What a command of a replication stream does to keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// Further commands are for this database.
    Selects(u32),
    /// It may change these keys, each in its database.
    Keys(Vec<(u32, Vec<u8>)>),
    /// It may change keys that only the server can tell.
    Asks,
    /// It changes whole databases: the command's name.
    Databases(String),
}

/// Commands that a stream has beside changes of keys.
const WITHOUT_KEYS: [&str; 9] =
    ["PING", "REPLCONF", "MULTI", "EXEC", "PUBLISH", "SPUBLISH", "SCRIPT", "FUNCTION", "SELECT"];
/// Where a command's subcommands are, counted from behind its step.
const SUBCOMMANDS: usize = 3;
/// Commands that change whole databases.
const OF_DATABASES: [&str; 3] = ["FLUSHALL", "FLUSHDB", "SWAPDB"];

impl KeyPositions {
    /// From the reply of `COMMAND`: of each command its name, arity, flags, first key, last key and step; since 7.0 its subcommands
    /// are at the end, and where these have keys, the positions of the command itself are 0 (`XGROUP`).
    pub fn of(reply: &Reply) -> Self {
        let position = |command: &Reply| {
            let [name, _, flags, first, last, step, rest @ ..] = command.as_list()? else { return None };
            let has_subcommands = rest.get(SUBCOMMANDS).and_then(Reply::as_list).is_some_and(|list| !list.is_empty());
            let movable =
                has_subcommands || flags.as_list()?.iter().any(|flag| flag.as_text().as_deref() == Some("movablekeys"));
            let positions = Positions {
                first: usize::try_from(first.as_integer()?).ok()?,
                last: last.as_integer()?,
                step: usize::try_from(step.as_integer()?).ok()?,
                movable,
            };
            Some((name.as_text()?.to_ascii_lowercase().into_bytes(), positions))
        };
        Self(reply.as_list().unwrap_or_default().iter().filter_map(position).collect())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a command does that the stream has for this database.
    pub fn effect(&self, words: &[Vec<u8>], database: u32) -> Effect {
        let Some(name) = words.first() else { return Effect::Nothing };
        let is = |known: &&str| name.eq_ignore_ascii_case(known.as_bytes());
        if name.eq_ignore_ascii_case(b"SELECT") {
            return number(words.get(1)).map_or(Effect::Nothing, Effect::Selects);
        }
        if let Some(name) = OF_DATABASES.iter().find(|known| is(known)) {
            return Effect::Databases((*name).to_owned());
        }
        if WITHOUT_KEYS.iter().any(&is) {
            return Effect::Nothing;
        }
        let Some(positions) = self.0.get(&name.to_ascii_lowercase()) else { return Effect::Asks };
        if positions.movable {
            return Effect::Asks;
        }
        let mut keys: Vec<(u32, Vec<u8>)> =
            positions.keys(words).into_iter().map(|key| (database, key.clone())).collect();
        keys.extend(elsewhere(name, words));
        if keys.is_empty() { Effect::Nothing } else { Effect::Keys(keys) }
    }
}

impl Positions {
    fn keys<'a>(&self, words: &'a [Vec<u8>]) -> Vec<&'a Vec<u8>> {
        let end = words.len();
        let last = match usize::try_from(self.last) {
            Ok(last) => last,
            Err(_) => end.saturating_sub(usize::try_from(self.last.unsigned_abs()).unwrap_or(end)),
        };
        if self.first == 0 {
            return Vec::new();
        }
        (self.first..=last).step_by(self.step.max(1)).filter_map(|at| words.get(at)).collect()
    }
}

/// The key that `MOVE key database` and `COPY key other DB database` write in another database.
fn elsewhere(name: &[u8], words: &[Vec<u8>]) -> Option<(u32, Vec<u8>)> {
    if name.eq_ignore_ascii_case(b"MOVE") {
        return Some((number(words.get(2))?, words.get(1)?.clone()));
    }
    if name.eq_ignore_ascii_case(b"COPY") {
        let at = words.iter().skip(3).position(|word| word.eq_ignore_ascii_case(b"DB"))?;
        return Some((number(words.get(at + 4))?, words.get(2)?.clone()));
    }
    None
}

fn number(word: Option<&Vec<u8>>) -> Option<u32> {
    std::str::from_utf8(word?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions() -> KeyPositions {
        let command = |name: &str, flags: &[&str], first, last, step| {
            let flags = Reply::List(flags.iter().map(|flag| Reply::text(*flag)).collect());
            let [first, last, step] = [first, last, step].map(Reply::Integer);
            Reply::List(vec![Reply::text(name), Reply::Integer(-2), flags, first, last, step])
        };
        KeyPositions::of(&Reply::List(vec![
            command("set", &["write"], 1, 1, 1),
            command("del", &["write"], 1, -1, 1),
            command("mset", &["write"], 1, -1, 2),
            command("rename", &["write"], 1, 2, 1),
            command("bitop", &["write"], 2, -1, 1),
            command("move", &["write"], 1, 1, 1),
            command("copy", &["write"], 1, 2, 1),
            command("ping", &[], 0, 0, 0),
            command("sort", &["write", "movablekeys"], 1, 1, 1),
            xgroup(),
        ]))
    }

    /// As Redis 7.0 and newer tell it: behind the step are categories, tips, key specifications and subcommands.
    fn xgroup() -> Reply {
        let nothing = || Reply::List(Vec::new());
        let subcommand = Reply::List(vec![Reply::text("xgroup|create")]);
        let zero = || Reply::Integer(0);
        let numbers = [Reply::Integer(-2), nothing(), zero(), zero(), zero(), nothing(), nothing(), nothing()];
        let words = [Reply::text("xgroup")].into_iter().chain(numbers).chain([Reply::List(vec![subcommand])]);
        Reply::List(words.collect())
    }

    #[test]
    fn the_keys_that_a_command_changes_are_found_by_their_positions() {
        for (line, database, keys) in [
            ("SET a 1", 0, &["0 a"][..]),
            ("set a b", 3, &["3 a"]),
            ("DEL a b c", 0, &["0 a", "0 b", "0 c"]),
            ("MSET a 1 b 2", 0, &["0 a", "0 b"]),
            ("RENAME a b", 0, &["0 a", "0 b"]),
            ("BITOP AND to from other", 0, &["0 to", "0 from", "0 other"]),
            ("MOVE a 5", 1, &["1 a", "5 a"]),
            ("COPY a b REPLACE DB 4", 1, &["1 a", "1 b", "4 b"]),
            ("COPY a db", 1, &["1 a", "1 db"]),
        ] {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let Effect::Keys(found) = positions().effect(&words, database) else { panic!("{line}") };
            let found: Vec<String> =
                found.iter().map(|(database, key)| format!("{database} {}", key.escape_ascii())).collect();
            assert_eq!(found, keys, "{line}");
        }
    }

    #[test]
    fn what_is_no_change_of_keys_is_told_apart() {
        let databases = |name: &str| Effect::Databases(name.to_owned());
        for (line, effect) in [
            ("SELECT 7", Effect::Selects(7)),
            ("PING", Effect::Nothing),
            ("MULTI", Effect::Nothing),
            ("exec", Effect::Nothing),
            ("REPLCONF GETACK *", Effect::Nothing),
            ("PUBLISH channel text", Effect::Nothing),
            ("SORT a STORE b", Effect::Asks),
            ("XGROUP CREATE a group $", Effect::Asks),
            ("module.write a", Effect::Asks),
            ("flushall async", databases("FLUSHALL")),
            ("FLUSHDB", databases("FLUSHDB")),
            ("SWAPDB 0 1", databases("SWAPDB")),
        ] {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            assert_eq!(positions().effect(&words, 0), effect, "{line}");
        }
        assert_eq!(positions().effect(&[], 0), Effect::Nothing);
        assert!(KeyPositions::of(&Reply::Nil).is_empty());
    }
}
