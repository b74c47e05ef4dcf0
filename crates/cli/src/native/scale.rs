//! `tribune scale`: another number of shards, made of the nodes that are there.

use super::{
    Target,
    change::{Change, ChangeArgs, MOVES},
    move_args::MoveArgs,
};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use topology::scale::{self, ScaleRefusal};

/// Make another number of shards of the nodes that are there: promote replicas or drain primaries, move slots, spread replicas.
#[derive(Args)]
pub(crate) struct ScaleArgs {
    #[command(flatten)]
    target: Target,
    /// How many shards
    #[arg(long, value_name = "N")]
    shards: usize,
    /// How many replicas each shard has at least [default: as many as there are nodes for]
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    moves: MoveArgs,
}

pub(crate) async fn run(arguments: &ScaleArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let ScaleArgs { target, shards, replicas, change, moves } = arguments;
    let observation = Change::look_at_rest(target).await?;
    let plan = scale::plan(&observation.view, *shards, *replicas)?;
    let request = format!("scale to {shards} shards with {replicas:?} replicas");
    let options = moves.options(change);
    Change { request, target, way: change, question: MOVES, options }.make(plan, observation, printer).await
}

impl From<ScaleRefusal> for Failure {
    fn from(refusal: ScaleRefusal) -> Self {
        Self { advice: refusal.advice(), ..Self::new(refusal.to_string()) }
    }
}
