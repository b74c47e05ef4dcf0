//! `--cluster info`

use super::{Session, Stop, Terminal, blocks, load};
use crate::failure::ExitStatus;

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    blocks::info(&nodes, terminal);
    Ok(ExitStatus::Done)
}
