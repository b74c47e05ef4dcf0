//! `tribune info`: the primaries with their keys, slots and replicas.

use super::{Target, print_json, units};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;
use operations::observe::look;
use std::fmt::Write as _;
use topology::report::{ClusterReport, NodeReport};

/// List the primaries with their keys and slots.
#[derive(Args)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    target: Target,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &InfoArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let address = arguments.target.address()?;
    let report = ClusterReport::new(&look(&arguments.target.connector()?, &[address]).await?.view);
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&text(&report));
    }
    let silent: Vec<&NodeReport> = report.nodes().filter(|node| !node.answers).collect();
    for node in &silent {
        let reason = node.silence.as_deref().unwrap_or("does not answer");
        printer.note(&format!("not counted: {} {reason}\n", node.address));
    }
    Ok(if silent.is_empty() { ExitStatus::Done } else { ExitStatus::NotDone })
}

pub(crate) fn text(report: &ClusterReport) -> String {
    let mut text = String::new();
    let width = report.shards.iter().map(|shard| shard.primary.address.to_string().len()).max().unwrap_or_default();
    for shard in &report.shards {
        let primary = &shard.primary;
        let keys = primary.keys.map_or_else(|| "unknown".to_owned(), units::grouped);
        let _ = writeln!(
            text,
            "{:width$}  {}  {keys:>12} keys  {:>5} slots  {}",
            primary.address.to_string(),
            primary.id.map_or_else(|| "unknown ".to_owned(), |id| id.short()),
            shard.slot_count,
            units::count(shard.replicas.len(), "replica"),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean with two decimals")]
    let mean = report.keys as f64 / f64::from(topology::Slot::COUNT);
    let keys = units::count(report.keys, "key");
    let _ = writeln!(text, "{keys} in {}, {mean:.2} a slot", units::count(report.shards.len(), "shard"));
    text
}
