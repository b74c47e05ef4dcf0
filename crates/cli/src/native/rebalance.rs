//! `tribune rebalance`: every primary gets its share of the slots.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    move_args::MoveArgs,
    named::primary_beginning,
    units,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use std::collections::BTreeMap;
use topology::rebalance::{self, Rebalance};

/// Give every primary its share of the slots, by as few moves as possible.
#[derive(Args)]
pub(crate) struct RebalanceArgs {
    #[command(flatten)]
    target: Target,
    /// The weight of a primary, 1 unless given; 0 takes all its slots. The id may be shortened
    #[arg(long = "weight", value_name = "ID=WEIGHT", value_parser = weight)]
    weights: Vec<(String, f64)>,
    /// Give slots to primaries without any, too
    #[arg(long, visible_alias = "use-empty-primaries")]
    use_empty_masters: bool,
    /// By how many percent of what it has a share must differ for slots to move at all
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    threshold: f64,
    /// The same as --dry-run
    #[arg(long, hide_short_help = true)]
    simulate: bool,
    /// Taken and not used, as by redis-trib
    #[arg(long, hide = true)]
    auto_weights: bool,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

fn weight(text: &str) -> Result<(String, f64), String> {
    let (name, weight) = text.split_once('=').ok_or("not ID=WEIGHT")?;
    Ok((name.to_owned(), weight.parse().map_err(|_| format!("{weight:?} is not a number"))?))
}

pub(crate) async fn run(arguments: &RebalanceArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let observation = Change::look_at_rest(&arguments.target).await?;
    let mut weights = BTreeMap::new();
    for (name, weight) in &arguments.weights {
        weights.insert(primary_beginning(&observation.view, name)?, *weight);
    }
    let wanted = Rebalance { weights, use_empty: arguments.use_empty_masters, threshold_percent: arguments.threshold };
    let outcome = rebalance::plan(&observation.view, &wanted).map_err(|refusal| {
        let advice = refusal.advice();
        Failure { advice, ..Failure::new(refusal.to_string()) }
    })?;
    if printer.verbose {
        for balance in &outcome.balances {
            let (slots, share) = (units::count(balance.slots, "slot"), balance.share);
            printer.note(&format!("{}  weight {}  {slots}  its share {share}\n", balance.node.address, balance.weight));
        }
    }
    let RebalanceArgs { target, change, moves, .. } = arguments;
    let mut change = change.clone();
    change.dry_run |= arguments.simulate;
    let request = format!("rebalance {wanted:?}");
    Change { request, target, way: &change, question: MOVES, options: moves.options(&change) }
        .make(outcome.plan, observation, printer)
        .await
}
