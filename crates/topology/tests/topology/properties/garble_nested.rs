//! Spoiling nested replies.

use proptest::{prelude::*, sample::Index};
use topology::Reply;

/// A change to a nested reply: at some place in it.
#[derive(Clone, Debug)]
pub(super) enum Nested {
    Drop(Vec<Index>),
    Repeat(Vec<Index>),
    Swap(Vec<Index>, Index),
    Put(Vec<Index>, Reply),
}

pub(super) fn nested_changes() -> impl Strategy<Value = Vec<Nested>> {
    let place = || proptest::collection::vec(any::<Index>(), 1..8);
    let odd = prop_oneof![
        Just(Reply::Nil),
        Just(Reply::List(Vec::new())),
        Just(Reply::Bytes(vec![0xff, 0xfe])),
        Just(Reply::Error("ERR no".to_owned())),
        any::<i64>().prop_map(Reply::Integer),
        (0..70_000_i64).prop_map(Reply::Integer),
        proptest::sample::select(vec!["slots", "nodes", "id", "port", "role", "master", "", "-1"])
            .prop_map(Reply::text),
    ];
    let change = prop_oneof![
        place().prop_map(Nested::Drop),
        place().prop_map(Nested::Repeat),
        (place(), any::<Index>()).prop_map(|(place, other)| Nested::Swap(place, other)),
        (place(), odd).prop_map(|(place, odd)| Nested::Put(place, odd)),
    ];
    proptest::collection::vec(change, 1..5)
}

pub(super) fn nested_changed(mut reply: Reply, changes: &[Nested]) -> Reply {
    for change in changes {
        let (Nested::Drop(place) | Nested::Repeat(place) | Nested::Swap(place, _) | Nested::Put(place, _)) = change;
        change_at(&mut reply, place, change);
    }
    reply
}

fn change_at(reply: &mut Reply, place: &[Index], change: &Nested) {
    let Reply::List(items) = reply else { return };
    let ([first, rest @ ..], false) = (place, items.is_empty()) else { return };
    let at = first.index(items.len());
    if !rest.is_empty() && matches!(items[at], Reply::List(_)) {
        return change_at(&mut items[at], rest, change);
    }
    match change {
        Nested::Drop(_) => drop(items.remove(at)),
        Nested::Repeat(_) => items.insert(at, items[at].clone()),
        Nested::Swap(_, other) => {
            let other = other.index(items.len());
            items.swap(at, other);
        }
        Nested::Put(_, odd) => items[at] = odd.clone(),
    }
}
