//! Functions (7.0): every primary has the same, and a new one knows none.

use crate::port::{Command, NodeError, NodeLink, Trouble};
use futures_util::future::join;
use topology::Reply;

/// What a node lacks of the functions of another.
#[derive(Clone, Debug, PartialEq)]
pub enum Functions {
    /// Nothing: the other has none, or both have the same.
    Alike,
    /// All of them: what `FUNCTION RESTORE` takes.
    Missing(Vec<u8>),
    /// It has libraries of its own, of these names.
    Differ(Vec<String>),
    /// Those of the other cannot be read.
    Unreadable(NodeError),
}

/// Compares the functions of a new node with those of a member.
///
/// # Errors
/// When the new node does not answer, or refuses to tell.
pub async fn compare(member: &dyn NodeLink, new: &dyn NodeLink) -> Result<Functions, NodeError> {
    let (member, new) = join(read(member), read(new)).await;
    let (has, (lacks, _)) = (member, new?);
    Ok(match has {
        _ if !lacks.is_empty() && has.as_ref().is_ok_and(|(libraries, _)| *libraries == lacks) => Functions::Alike,
        _ if !lacks.is_empty() => Functions::Differ(lacks),
        Err(error) => Functions::Unreadable(error),
        Ok((libraries, _)) if libraries.is_empty() => Functions::Alike,
        Ok((_, dump)) => Functions::Missing(dump),
    })
}

/// The names of a node's libraries, sorted, and what `FUNCTION RESTORE` takes.
async fn read(link: &dyn NodeLink) -> Result<(Vec<String>, Vec<u8>), NodeError> {
    let fail = |trouble| NodeError::new(link.address().clone(), trouble);
    let replies = link.send(vec![Command::FunctionList, Command::FunctionDump]).await?;
    if let Some(Reply::Error(line)) = replies.iter().find(|reply| matches!(reply, Reply::Error(_))) {
        return Err(fail(Trouble::from_refusal(line)));
    }
    let [Reply::List(libraries), Reply::Bytes(dump)] = &replies[..] else {
        return Err(fail(Trouble::Protocol("FUNCTION LIST and DUMP give a list and bytes".to_owned())));
    };
    let name = |library: &Reply| library.field("library_name")?.as_text().map(std::borrow::Cow::into_owned);
    let mut names: Vec<String> = libraries.iter().filter_map(name).collect();
    names.sort();
    Ok((names, dump.clone()))
}
