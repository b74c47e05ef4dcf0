//! Sending commands of which none may be refused.

use crate::port::{Command, NodeError, NodeLink, Trouble};
use topology::Reply;

/// Sends these commands and gives their replies; the first refusal is an error.
pub(crate) async fn accepted(link: &dyn NodeLink, commands: Vec<Command>) -> Result<Vec<Reply>, NodeError> {
    let replies = link.send(commands).await?;
    none_refused(link, &replies)?;
    Ok(replies)
}

/// The same with another database selected. Links are shared: afterwards database 0 is selected again.
pub(crate) async fn accepted_in(
    link: &dyn NodeLink,
    database: u32,
    commands: Vec<Command>,
) -> Result<Vec<Reply>, NodeError> {
    let replies = in_database(link, database, commands).await?;
    none_refused(link, &replies)?;
    Ok(replies)
}

/// Sends these commands to a database and gives their replies, refusals among them.
pub(crate) async fn in_database(
    link: &dyn NodeLink,
    database: u32,
    commands: Vec<Command>,
) -> Result<Vec<Reply>, NodeError> {
    if database == 0 || commands.is_empty() {
        return link.send(commands).await;
    }
    let mut batch = vec![Command::Select(database)];
    batch.extend(commands);
    batch.push(Command::Select(0));
    let mut replies = link.send(batch).await?;
    replies.pop();
    if replies.is_empty() {
        return Ok(replies);
    }
    let selected = replies.remove(0);
    none_refused(link, &[selected])?;
    Ok(replies)
}

/// The first refusal among these replies as an error.
pub(crate) fn none_refused(link: &dyn NodeLink, replies: &[Reply]) -> Result<(), NodeError> {
    let refused = replies.iter().find_map(|reply| match reply {
        Reply::Error(line) => Some(NodeError::new(link.address().clone(), Trouble::from_refusal(line))),
        _ => None,
    });
    refused.map_or(Ok(()), Err)
}

/// A reply that counts something; 0 for what is no number.
pub(crate) fn number(reply: &Reply) -> u64 {
    reply.as_integer().and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
}
