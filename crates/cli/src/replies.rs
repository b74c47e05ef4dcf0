//! What servers answer, for people and for programs.

use serde_json::{Value, json};
use std::fmt::Write as _;
use topology::Reply;

/// A reply as the reference tools write it to a program: the items of lists line by line, errors with a line of their own.
pub(crate) fn raw(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Bytes(bytes) => bytes.clone(),
        Reply::Integer(number) => number.to_string().into_bytes(),
        Reply::List(items) => items.iter().map(raw).collect::<Vec<_>>().join(&b'\n'),
        Reply::Error(line) => format!("{line}\n").into_bytes(),
        _ => Vec::new(),
    }
}

/// A reply as JSON: what is no text is `{"hex": …}`, an error among the items of a list `{"error": …}`.
pub(crate) fn json(reply: &Reply) -> Value {
    match reply {
        Reply::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({ "hex": hex(bytes) }),
        },
        Reply::Integer(number) => (*number).into(),
        Reply::List(items) => items.iter().map(json).collect(),
        Reply::Error(line) => json!({ "error": line }),
        _ => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_read_as_the_tools_write_them_and_lose_nothing_as_json() {
        let nested = Reply::List(vec![Reply::Integer(3), Reply::text("x"), Reply::List(Vec::new()), Reply::Nil]);
        let reply = Reply::List(vec![Reply::Integer(1), nested, Reply::Bytes(vec![0xff, 0])]);
        assert_eq!(raw(&reply), b"1\n3\nx\n\n\n\xff\0");
        assert_eq!(json(&reply), json!([1, [3, "x", [], null], { "hex": "ff00" }]));
        assert_eq!(raw(&Reply::Error("ERR no".into())), b"ERR no\n");
    }
}
