//! Spoiling replies as broken networks, other versions and bugs might.

use proptest::{prelude::*, sample::Index};

/// What one server answers in text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Nodes,
    Cluster,
    Info,
}

/// A change to a text.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Delete(Index, usize),
    Repeat(Index, usize),
    Shuffle(Index, usize),
    Replace(Index, u8),
    Insert(Index, &'static str),
    Truncate(Index),
    DropLine(Index),
    RepeatLine(Index, usize),
    SwapLines(Index, Index),
    DropWord(Index),
    ReplaceWord(Index, &'static str),
}

/// Words that mean something to some parser, or are as large as they can be.
const WORDS: [&str; 26] = [
    "myself",
    "master",
    "slave",
    "fail",
    "fail?",
    "handshake",
    "noaddr",
    "noflags",
    "-",
    ":0@0",
    "::1:7000@17000",
    "a.example:7000@99999",
    "0-16383",
    "16384",
    "16383-0",
    "[0->-",
    "[0-<-0000000000000000000000000000000000000000]",
    "0000000000000000000000000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    ",,,=,=a",
    "\u{1F980}",
    "\0",
    "\r\n",
    "db4294967295:keys=18446744073709551615",
];

pub(super) fn which() -> impl Strategy<Value = Which> {
    prop_oneof![4 => Just(Which::Nodes), 1 => Just(Which::Cluster), 1 => Just(Which::Info)]
}

pub(super) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<Index>;
    let word = proptest::sample::select(WORDS.to_vec());
    let change = prop_oneof![
        (index(), 1..40_usize).prop_map(|(at, count)| Change::Delete(at, count)),
        (index(), 1..200_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        (index(), 2..40_usize).prop_map(|(at, count)| Change::Shuffle(at, count)),
        (index(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (index(), word.clone()).prop_map(|(at, word)| Change::Insert(at, word)),
        index().prop_map(Change::Truncate),
        index().prop_map(Change::DropLine),
        (index(), 1..3_usize).prop_map(|(at, times)| Change::RepeatLine(at, times)),
        (index(), index()).prop_map(|(one, other)| Change::SwapLines(one, other)),
        index().prop_map(Change::DropWord),
        (index(), word).prop_map(|(at, word)| Change::ReplaceWord(at, word)),
    ];
    proptest::collection::vec(change, 1..5)
}

pub(super) fn changed(text: &str, changes: &[Change]) -> String {
    changes.iter().fold(text.to_owned(), change_text)
}

fn change_text(text: String, change: &Change) -> String {
    if text.is_empty() {
        return text;
    }
    let mut bytes = text.clone().into_bytes();
    let part = |at: &Index, count: usize| {
        let from = at.index(text.len());
        from..(from + count).min(text.len())
    };
    match change {
        Change::Delete(at, count) => drop(bytes.drain(part(at, *count))),
        Change::Repeat(at, count) => {
            let repeated = bytes[part(at, *count)].to_vec();
            let end = part(at, *count).end;
            bytes.splice(end..end, repeated);
        }
        Change::Shuffle(at, count) => bytes[part(at, *count)].reverse(),
        Change::Replace(at, byte) => bytes[at.index(text.len())] = *byte,
        Change::Insert(at, word) => drop(bytes.splice(part(at, 0), word.bytes())),
        Change::Truncate(at) => bytes.truncate(at.index(text.len())),
        Change::DropWord(at) => {
            return change_items(&text, ' ', |words| {
                words.remove(at.index(words.len()));
            });
        }
        Change::ReplaceWord(at, word) => {
            return change_items(&text, ' ', |words| {
                let at = at.index(words.len());
                words[at] = word;
            });
        }
        Change::DropLine(at) => {
            return change_items(&text, '\n', |lines| {
                lines.remove(at.index(lines.len()));
            });
        }
        Change::RepeatLine(at, times) => {
            return change_items(&text, '\n', |lines| {
                let at = at.index(lines.len());
                (0..*times).for_each(|_| lines.insert(at, lines[at]));
            });
        }
        Change::SwapLines(one, other) => {
            return change_items(&text, '\n', |lines| {
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
            });
        }
    }
    // The client hands on text only; what is not UTF-8 is refused before it comes here.
    String::from_utf8_lossy(&bytes).into_owned()
}

fn change_items<'a>(text: &'a str, separator: char, change: impl FnOnce(&mut Vec<&'a str>)) -> String {
    let mut items: Vec<&str> = text.split(separator).collect();
    change(&mut items);
    items.join(&separator.to_string())
}
