//! `tribune local partition` and `heal`

use super::{Name, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::Printer,
};
use clap::Args;
use local::{Cluster, CutOff};
use std::{collections::BTreeSet, time::Duration};

/// Cut members off from all others and from clients, together as one host; their processes go on, and reach each other.
#[derive(Args)]
pub(crate) struct PartitionArgs {
    /// The members
    #[arg(value_name = "PORT", required = true)]
    ports: Vec<u16>,
    #[command(flatten)]
    name: Name,
    /// Heal by itself after so long [default: when local heal says so]
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    lasts: Option<u64>,
}

/// Let members that are cut off reach the others again.
#[derive(Args)]
pub(crate) struct HealArgs {
    /// Only those that are cut off together with these members [default: all]
    #[arg(value_name = "PORT")]
    ports: Vec<u16>,
    #[command(flatten)]
    name: Name,
}

pub(crate) async fn partition(arguments: &PartitionArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let ports = members(&cluster, &arguments.ports)?;
    cluster.partition(&ports, arguments.lasts.map(Duration::from_secs)).await?;
    let (program, again) = (program(), arguments.name.again());
    let end = arguments.lasts.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
    printer.out(&format!(
        "cut off{end}: {}    {}\n  do   {program} local status{again}\n       {program} local heal{again}\n",
        list(&ports),
        units::duration(printer.elapsed())
    ));
    Ok(ExitStatus::Done)
}

pub(crate) async fn heal(arguments: &HealArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let _lock = cluster.lock()?;
    let ports = members(&cluster, &arguments.ports)?;
    let healed = cluster.heal(Some(&ports).filter(|ports| !ports.is_empty())).await?;
    let end = if healed.is_empty() {
        "nothing to do: nobody was cut off".to_owned()
    } else {
        format!("healed: {}", list(&healed))
    };
    printer.out(&format!("{end}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}

/// All of them are checked before anything is done.
fn members(cluster: &Cluster, ports: &[u16]) -> Result<BTreeSet<u16>, Failure> {
    for port in ports {
        cluster.member(*port)?;
    }
    Ok(ports.iter().copied().collect())
}

/// What is so, in one sentence.
pub(super) fn sentence(cut: &CutOff) -> String {
    let lasts = units::duration(Duration::from_secs(cut.for_seconds));
    let end = cut.ends_in_seconds.map_or_else(String::new, |seconds| {
        format!("; that ends in {}", units::duration(Duration::from_secs(seconds)))
    });
    match cut.ports.len() {
        1 => format!("the member on port {} has been cut off for {lasts}{end}", list(&cut.ports)),
        _ => format!("the members on ports {} have been cut off together for {lasts}{end}", list(&cut.ports)),
    }
}

fn list(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    ports.join(" ")
}
