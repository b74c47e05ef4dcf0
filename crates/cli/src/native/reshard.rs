//! `tribune reshard`: a number of slots go to one primary.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    move_args::MoveArgs,
    named::node,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
    prompt,
};
use clap::Args;
use std::io::{self, IsTerminal};
use topology::{
    ClusterView, NodeId,
    reshard::{self, Sources},
};

/// Move slots from some primaries to another.
#[derive(Args)]
pub(crate) struct ReshardArgs {
    #[command(flatten)]
    target: Target,
    /// The primaries that give: ids, their beginnings or addresses, separated by commas; or all
    #[arg(long, value_name = "ID,…")]
    from: Option<String>,
    /// The primary that gets
    #[arg(long, value_name = "ID")]
    to: Option<String>,
    /// How many slots
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u16).range(1..=16384))]
    slots: Option<u16>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &ReshardArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let observation = Change::look_at_rest(&arguments.target).await?;
    let view = &observation.view;
    let slots = match arguments.slots {
        Some(slots) => slots,
        None => ask("--slots", "how many slots? ", printer)?
            .parse()
            .map_err(|_| Failure::new("not a number of slots from 1 to 16384").status(ExitStatus::WrongWords))?,
    };
    let to = node(view, &given(arguments.to.as_ref(), "--to", "to which primary? ", printer)?)?;
    let from =
        given(arguments.from.as_ref(), "--from", "from which primaries (ids separated by commas, or all)? ", printer)?;
    let sources = sources(view, &from)?;
    let plan = reshard::plan(view, &sources, to, slots.into()).map_err(|refusal| {
        let advice = refusal.advice();
        Failure { advice, ..Failure::new(refusal.to_string()) }
    })?;
    let ReshardArgs { target, change, moves, .. } = arguments;
    let request = format!("reshard {slots} to {to} from {sources:?}");
    Change { request, target, way: change, question: MOVES, options: moves.options(change) }
        .make(plan, observation, printer)
        .await
}

fn sources(view: &ClusterView, typed: &str) -> Result<Sources, Failure> {
    if typed == "all" {
        return Ok(Sources::All);
    }
    let ids = typed.split(',').map(|word| node(view, word.trim())).collect::<Result<Vec<NodeId>, _>>()?;
    Ok(Sources::These(ids))
}

fn given(word: Option<&String>, option: &str, question: &str, printer: &mut Printer) -> Result<String, Failure> {
    word.map_or_else(|| ask(option, question, printer), |word| Ok(word.clone()))
}

/// What was not typed as an option is asked for where somebody can answer.
fn ask(option: &str, question: &str, printer: &mut Printer) -> Result<String, Failure> {
    let missing = || {
        let advice = format!("add {option}; what it takes: tribune reshard --help");
        Failure::new(format!("{option} is missing")).advice(advice).status(ExitStatus::WrongWords)
    };
    if !io::stdin().is_terminal() {
        return Err(missing());
    }
    printer.note(question);
    prompt::line().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).ok_or_else(missing)
}
