//! Keeping a replica that has nothing of its primary's data from being elected.
//!
//! A server that followed another primary a moment ago stands for election when the new one fails, before it has got anything of it: it wins, and
//! all keys of the shard are gone (seen with Redis 7.0 and Valkey 9.1). What was said by `CONFIG SET` ends with the server, so that nothing is left behind.

use crate::{events, shared::Shared};
use operations::port::Command;
use std::sync::Arc;

/// The setting that keeps a replica from asking for votes.
const SETTING: &str = "cluster-replica-no-failover";

/// Keeps the own server from being elected while it has nothing to be elected with, for as long as it is polled.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut seen = shared.seen();
    // The run in which it was told so. Whoever has told it before does not want to have it changed.
    let mut told_in = None;
    loop {
        let now = seen.borrow_and_update().clone();
        let is_told = told_in == Some(now.run);
        let lacks = now.lacks_copy();
        let wanted = match (lacks, is_told) {
            (true, false) if !now.is_never_elected() => Some("yes"),
            (false, true) => Some("no"),
            _ => None,
        };
        if let Some(value) = wanted
            && shared.send(Command::ConfigSet(SETTING.to_owned(), value.to_owned())).await.is_ok()
        {
            told_in = lacks.then_some(now.run);
            events::tell(if lacks {
                "it has nothing of its new primary's data yet: it is not to be elected"
            } else {
                "it may be elected again"
            });
        }
        // The next look, whatever that shows.
        if seen.changed().await.is_err() {
            return;
        }
    }
}
