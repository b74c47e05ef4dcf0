//! `--cluster backup`

use super::{Session, Stop, Terminal, Wording, blocks::Loaded, check, load, terminal::Tone};
use crate::{failure::ExitStatus, saving};
use operations::backup::{Backup, BackupError, Directory};
use std::{collections::BTreeSet, path::Path};
use topology::{
    Engine, Slot, SlotMap, SlotSet,
    backup::{NODES_FILE, Source, file_name, nodes_file},
    plan::NodeRef,
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let typed = session.arguments.get(1).map(String::as_str).unwrap_or_default();
    let observation = session.load_address(0, terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let healthy = check::check(&nodes, true, terminal);
    let directory = directory(typed, terminal)?;
    let sources: Vec<Source> =
        nodes.iter().filter(|node| !node.entry().is_replica()).map(|node| source(node, terminal)).collect();
    for source in &sources {
        terminal.say(Tone::Info, &format!(">>> Node {} -> Saving RDB...\n", source.primary.address.bare()));
    }
    let text = nodes_file(nodes.iter().map(|node| (node.address, node.entry())), errors(&nodes));
    let backup = Backup { sources: &sources, directory: &directory, nodes: &text, overwrite: true };
    let saved = match saving::interruptible(&session.connector()?, backup, &|_| {}).await {
        Ok(saved) => saved,
        Err(BackupError::File(trouble)) => {
            terminal.complain(&format!("{trouble}\n"));
            return Err(failed(terminal));
        }
        Err(other) => return Err(Stop::Because(other.into())),
    };
    let errors: Vec<&BackupError> = saved.iter().filter_map(|saved| saved.as_ref().err()).collect();
    for error in &errors {
        terminal.complain(&format!("{error}\n"));
    }
    if errors.len() < saved.len() {
        let file = directory.file(NODES_FILE);
        terminal.say(Tone::Info, &format!("Saving cluster configuration to: {}\n", file.display()));
    }
    if !errors.is_empty() {
        return Err(failed(terminal));
    }
    if !healthy {
        let line =
            "*** Cluster seems to have some problems, please be aware of it if you're going to restore this backup.\n";
        terminal.say(Tone::Warning, line);
    }
    terminal.say(Tone::Good, &format!("[OK] Backup created into: {typed}\n"));
    Ok(ExitStatus::Done)
}

fn directory(typed: &str, terminal: &mut Terminal<'_>) -> Result<Directory, Stop> {
    match Directory::open(Path::new(typed)) {
        Ok(directory) => Ok(directory),
        Err(_) if !Path::new(typed).is_dir() => Err(match terminal.wording {
            Wording::Redis => {
                terminal.say(Tone::Bad, &format!("[ERR] The specified backup directory '{typed}' does not exist.\n"));
                failed(terminal)
            }
            Wording::Valkey => {
                terminal.say(Tone::Bad, &format!("[ERR] {typed} is not a valid directory\n"));
                Stop::Said(ExitStatus::NotDone)
            }
        }),
        Err(trouble) => {
            terminal.complain(&format!("{trouble}\n"));
            Err(failed(terminal))
        }
    }
}

fn failed(terminal: &mut Terminal<'_>) -> Stop {
    terminal.say(Tone::Good, "[ERR] Failed to back cluster!\n");
    Stop::Said(ExitStatus::NotDone)
}

fn source(node: &Loaded<'_>, terminal: &Terminal<'_>) -> Source {
    let primary = NodeRef { id: node.entry().id, address: node.address.clone() };
    let tool = match terminal.wording {
        Wording::Redis => Engine::Redis,
        Wording::Valkey => Engine::Valkey,
    };
    let file = file_name(tool, &primary);
    Source { from: primary.clone(), primary, file, slots: node.entry().slots.clone(), keys: 0, memory: 0 }
}

/// How many problems the check has told: the slots that are open count for each node and direction.
fn errors(nodes: &[Loaded<'_>]) -> usize {
    let maps: BTreeSet<SlotMap> = nodes.iter().map(|node| node.view.slot_map()).collect();
    let covered = nodes.iter().fold(SlotSet::new(), |covered, node| covered.union(&node.entry().slots));
    let open = nodes.iter().flat_map(|node| [&node.entry().migrating, &node.entry().importing]);
    usize::from(maps.len() > 1)
        + open.filter(|slots| !slots.is_empty()).count()
        + usize::from(covered.len() < usize::from(Slot::COUNT))
}
