//! `--cluster info`

use super::{Session, Stop, Terminal, blocks, load};
use crate::failure::ExitStatus;

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let entry = session.entry().map_err(|misuse| misuse.stop(terminal))?;
    let connector = session.connector(terminal)?;
    let observation = load::load(&connector, &entry, session.wording, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    blocks::info(&nodes, terminal);
    Ok(ExitStatus::Done)
}
