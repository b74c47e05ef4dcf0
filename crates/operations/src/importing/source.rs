//! What must be known before an import can be planned: the server, and how many databases the cluster has.

use crate::{
    exchange::in_database,
    observe::Observation,
    port::{Command, NodeError, NodeLink, Trouble},
};
use topology::{Reply, ServerInfo, importing::ImportSource};

/// Asks the server what it is and what it holds.
pub async fn ask_source(link: &dyn NodeLink) -> Result<ImportSource, NodeError> {
    let fail = |trouble| NodeError::new(link.address().clone(), trouble);
    let replies = link.send(vec![Command::Info, Command::FunctionList]).await?;
    let server = match replies.first() {
        Some(Reply::Error(line)) => return Err(fail(Trouble::from_refusal(line))),
        Some(reply) => reply.as_text().map(|text| ServerInfo::parse(&text)),
        None => None,
    };
    let server = server.ok_or_else(|| fail(Trouble::Protocol("INFO is no text".into())))?;
    if server.loading {
        return Err(fail(Trouble::Loading { percent: server.loaded_percent }));
    }
    // Servers before 7.0 have no functions, and say that they do not know the command.
    let functions = match replies.get(1) {
        Some(Reply::List(libraries)) => Some(libraries.len()),
        Some(Reply::Error(line)) if line.contains("unknown command") => Some(0),
        _ => None,
    };
    Ok(ImportSource { address: link.address().clone(), server, functions })
}

/// How many databases every primary of the cluster has, as far as `needed` goes: no more than that is asked for.
pub async fn databases(observation: &Observation, needed: u32) -> Result<u32, NodeError> {
    let mut least = needed.max(1);
    for (_, said) in observation.view.answering().filter(|(_, said)| said.myself.is_primary()) {
        let Some(link) = observation.links.get(&said.myself.id) else { continue };
        // Valkey 9 has `cluster-databases`; all others have one. Trying it asks for no right to read the configuration.
        let (mut have, mut beyond) = (1, least.saturating_add(1));
        let mut tried = least;
        while have + 1 < beyond {
            if has(link.as_ref(), tried - 1).await? {
                have = tried;
            } else {
                beyond = tried;
            }
            tried = u32::midpoint(have, beyond);
        }
        least = have;
    }
    Ok(least)
}

/// Whether a server has a database.
pub(super) async fn has(link: &dyn NodeLink, database: u32) -> Result<bool, NodeError> {
    match in_database(link, database, vec![Command::Ping]).await {
        Ok(_) => Ok(true),
        Err(NodeError { trouble: Trouble::Refusal(_), .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
