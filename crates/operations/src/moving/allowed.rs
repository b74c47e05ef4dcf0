//! Whether the user may run what a move needs, asked before any slot is opened.

use super::{MoveError, keys::Transfer};
use crate::{
    port::{Command, NodeLink, Rehearsal},
    run::RunError,
};
use topology::Reply;

/// What the owner of the slots is told, and what the node that gets them.
const SOURCE: [Rehearsal; 3] = [Rehearsal::SetSlot, Rehearsal::KeysInSlot, Rehearsal::Migrate];
const DESTINATION: [Rehearsal; 3] = [Rehearsal::SetSlot, Rehearsal::Select, Rehearsal::Restore];

/// What else both are told where both hold keys of the same slots, which are compared.
const COMPARED: [Rehearsal; 2] = [Rehearsal::IdleTime, Rehearsal::Dump];
const COMPARED_THERE: [Rehearsal; 3] = [Rehearsal::Asking, Rehearsal::IdleTime, Rehearsal::Dump];

/// Refuses when one of the nodes does not let the user run a command without which slots would stay open.
pub(super) async fn refuse_not_allowed(transfer: &Transfer<'_>) -> Result<(), RunError> {
    refuse(transfer.source, &SOURCE).await?;
    refuse(transfer.destination, &DESTINATION).await
}

/// The same for what it takes to compare keys that both hold.
pub(super) async fn refuse_not_comparable(transfer: &Transfer<'_>) -> Result<(), RunError> {
    refuse(transfer.source, &COMPARED).await?;
    refuse(transfer.destination, &COMPARED_THERE).await
}

async fn refuse(link: &dyn NodeLink, needed: &[Rehearsal]) -> Result<(), RunError> {
    let rehearsals = needed.iter().copied().map(Command::Rehearse);
    let replies = link.send(rehearsals.chain([Command::WhoAmI]).collect()).await?;
    let refused = needed.iter().zip(&replies).filter(|(_, reply)| is_not_allowed(reply));
    let commands: Vec<&'static str> = refused.map(|(rehearsal, _)| rehearsal.name()).collect();
    if commands.is_empty() {
        return Ok(());
    }
    let user = replies.last().and_then(Reply::as_text).map(std::borrow::Cow::into_owned);
    Err(MoveError::NotAllowed { address: link.address().clone(), user, commands }.into())
}

/// Not so of a refusal for the key's name: which keys there are nobody knows yet.
fn is_not_allowed(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(line) if line.starts_with("NOPERM") && line.contains("to run the"))
}
