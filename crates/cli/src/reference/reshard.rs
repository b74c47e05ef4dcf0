//! `--cluster reshard`

use super::{
    Session, Stop, Terminal, Wording,
    blocks::{self, Loaded},
    check, load, moving,
    terminal::Tone,
};
use crate::{failure::ExitStatus, prompt, unfinished};
use topology::{
    ClusterView, NodeId, Slot, SlotSet,
    plan::{Action, NodeRef, Plan},
    reshard::{self, ReshardRefusal, Sources},
};

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    let wanted = session.number::<i64>("--cluster-slots").map_err(|misuse| misuse.stop(terminal))?;
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    let healthy = check::check(&nodes, true, terminal);
    // Slots that a move has left open do no harm: they are finished first.
    if !healthy && !topology::plan::may_move(&observation.view) {
        terminal.complain("*** Please fix your cluster problems before resharding\n");
        return Err(Stop::Said(ExitStatus::NotDone));
    }
    let slots = how_many(wanted, terminal)?;
    let destination = destination(session, &nodes, terminal)?;
    let sources = sources(session, destination, &nodes, terminal)?;
    let request = format!("reshard {slots} slots to {} from {}", destination.entry().id, names(&sources));
    let plan = match plan(&observation.view, &sources, destination.entry().id, slots) {
        Ok(Some(plan)) => Some(unfinished::rest_of(&request, &observation.view)?.unwrap_or(plan)),
        Ok(None) => None,
        Err(ReshardRefusal::NoSource | ReshardRefusal::OnlyItself { .. }) => return Err(no_source(terminal)),
        Err(refusal) => {
            terminal.say(Tone::Bad, &format!("*** {refusal}.\n"));
            return Err(Stop::Said(ExitStatus::NotDone));
        }
    };
    show(plan.as_ref(), slots, &sources, destination, &nodes, terminal);
    if !session.says_yes() {
        terminal.plain("Do you want to proceed with the proposed reshard plan (yes/no)? ");
        if !prompt::line().is_some_and(|answer| answer.starts_with("yes")) {
            return Err(Stop::Said(ExitStatus::NotDone));
        }
    }
    drop(nodes);
    let Some(plan) = plan else { return Ok(ExitStatus::Done) };
    moving::carry_out(&request, plan, observation, &session.connector()?, &options, terminal, say).await
}

/// The plan to move so many slots, or all where the sources own fewer: who drains a node asks for 16384. None where they own none.
fn plan(
    view: &ClusterView,
    sources: &Sources,
    destination: NodeId,
    slots: usize,
) -> Result<Option<Plan>, ReshardRefusal> {
    match reshard::plan(view, sources, destination, slots) {
        Err(ReshardRefusal::TooMany { owned: 0, .. }) => Ok(None),
        Err(ReshardRefusal::TooMany { owned, .. }) => reshard::plan(view, sources, destination, owned).map(Some),
        plan => plan.map(Some),
    }
}

/// How many slots are to move; asked for until it is a number that makes sense.
fn how_many(wanted: Option<i64>, terminal: &mut Terminal<'_>) -> Result<usize, Stop> {
    let sensible = |number: i64| usize::try_from(number).ok().filter(|number| (1..=16384).contains(number));
    match wanted {
        None | Some(0) => {}
        Some(number) => {
            return sensible(number).ok_or_else(|| {
                terminal.say(Tone::Bad, &format!("*** {number} slots cannot be moved: 1 to {} can.\n", Slot::COUNT));
                Stop::Said(ExitStatus::NotDone)
            });
        }
    }
    loop {
        let answer = ask(&format!("How many slots do you want to move (from 1 to {})? ", Slot::COUNT), terminal)?;
        if let Some(number) = answer.parse().ok().and_then(sensible) {
            return Ok(number);
        }
    }
}

fn destination<'a>(session: &Session, nodes: &[Loaded<'a>], terminal: &mut Terminal<'_>) -> Result<Loaded<'a>, Stop> {
    let typed = match session.invocation.value("--cluster-to") {
        Some(typed) => typed.to_owned(),
        None => loop {
            let answer = ask("What is the receiving node ID? ", terminal)?;
            if !answer.is_empty() {
                break answer;
            }
        },
    };
    primary(&typed, nodes, terminal)
}

/// The primary with this id.
fn primary<'a>(typed: &str, nodes: &[Loaded<'a>], terminal: &mut Terminal<'_>) -> Result<Loaded<'a>, Stop> {
    let id: Option<NodeId> = typed.parse().ok();
    let found = nodes.iter().find(|node| Some(node.entry().id) == id && !node.entry().is_replica());
    found.copied().ok_or_else(|| {
        let role = terminal.wording.primary();
        let line = format!("*** The specified node ({typed}) is not known or not a {role}, please retry.\n");
        terminal.say(Tone::Bad, &line);
        Stop::Said(ExitStatus::NotDone)
    })
}

fn sources(
    session: &Session,
    destination: Loaded<'_>,
    nodes: &[Loaded<'_>],
    terminal: &mut Terminal<'_>,
) -> Result<Sources, Stop> {
    let add = |id: Option<NodeId>, ids: &mut Vec<NodeId>| ids.extend(id.filter(|id| !ids.contains(id)));
    let mut ids = Vec::new();
    if let Some(typed) = session.invocation.value("--cluster-from") {
        for word in typed.split(',').filter(|word| !word.is_empty()) {
            if word == "all" {
                return Ok(Sources::All);
            }
            add(source(word, destination, nodes, terminal)?, &mut ids);
        }
    } else {
        terminal.plain(
            "Please enter all the source node IDs.\n  Type 'all' to use all the nodes as source nodes for the hash slots.\n  \
             Type 'done' once you entered all the source nodes IDs.\n",
        );
        loop {
            match ask(&format!("Source node #{}: ", ids.len() + 1), terminal)?.as_str() {
                "done" => break,
                "all" => return Ok(Sources::All),
                word => add(source(word, destination, nodes, terminal)?, &mut ids),
            }
        }
    }
    if ids.is_empty() { Err(no_source(terminal)) } else { Ok(Sources::These(ids)) }
}

fn source(
    typed: &str,
    destination: Loaded<'_>,
    nodes: &[Loaded<'_>],
    terminal: &mut Terminal<'_>,
) -> Result<Option<NodeId>, Stop> {
    let id = primary(typed, nodes, terminal)?.entry().id;
    if id == destination.entry().id {
        terminal.say(Tone::Bad, "*** It is not possible to use the target node as source node.\n");
        return Ok(None);
    }
    Ok(Some(id))
}

fn no_source(terminal: &mut Terminal<'_>) -> Stop {
    terminal.complain("*** No source nodes given, operation aborted.\n");
    Stop::Said(ExitStatus::NotDone)
}

/// One line of standard input.
///
/// # Errors
/// At its end: nobody is going to answer.
fn ask(question: &str, terminal: &mut Terminal<'_>) -> Result<String, Stop> {
    terminal.plain(question);
    match prompt::line() {
        Some(line) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        None => Err(terminal.unanswered()),
    }
}

/// What is about to be moved, in the reference's lines.
fn show(
    plan: Option<&Plan>,
    slots: usize,
    sources: &Sources,
    destination: Loaded<'_>,
    nodes: &[Loaded<'_>],
    terminal: &mut Terminal<'_>,
) {
    let block = |node: &Loaded<'_>| {
        let text = blocks::node(node, blocks::replicas_of(node.entry().id, nodes));
        text.split_inclusive('\n').flat_map(|line| ["    ", line]).collect::<String>()
    };
    let gives = |node: &&Loaded<'_>| !node.entry().is_replica() && node.entry().id != destination.entry().id;
    let givers: String = match sources {
        Sources::All => nodes.iter().filter(gives).map(block).collect(),
        // In the order in which they were named.
        Sources::These(ids) => {
            ids.iter().filter_map(|id| nodes.iter().find(|node| node.entry().id == *id)).map(block).collect()
        }
    };
    terminal.plain(&format!(
        "\nReady to move {slots} slots.\n  Source nodes:\n{givers}  Destination node:\n{}  Resharding plan:\n",
        block(&destination)
    ));
    for step in plan.iter().flat_map(|plan| &plan.steps) {
        let Action::MoveSlots { slots, from, .. } = &step.action else { continue };
        match terminal.wording {
            Wording::Redis => {
                let line = |slot: Slot| format!("    Moving slot {slot} from {}\n", from.id);
                terminal.plain(&slots.iter().map(line).collect::<String>());
            }
            Wording::Valkey => terminal.plain(&format!("    Moving slot range {slots} from {}\n", from.id)),
        }
    }
}

/// What is said of slots that have arrived.
pub(super) fn say(terminal: &mut Terminal<'_>, from: &NodeRef, to: &NodeRef, slots: &SlotSet) {
    let way = format!("from {} to {}", from.address.bare(), to.address.bare());
    let line = |slot: Slot| match terminal.wording {
        Wording::Redis => format!("Moving slot {slot} {way}: \n"),
        Wording::Valkey => format!("Moving slot {slot} {way}\n"),
    };
    let lines: String = slots.iter().map(line).collect();
    terminal.plain(&lines);
}

fn names(sources: &Sources) -> String {
    match sources {
        Sources::All => "all".to_owned(),
        Sources::These(ids) => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    }
}
