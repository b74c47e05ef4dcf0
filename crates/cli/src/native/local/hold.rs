//! `tribune local hold` and `release`

use super::{Name, program};
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
};
use clap::Args;

/// Let the loop change nothing until it is released; it goes on telling what it would do.
#[derive(Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    name: Name,
    /// Why, for whoever reads the status
    #[arg(long, value_name = "TEXT", default_value = "somebody asked for it")]
    because: String,
}

/// Let the loop go on.
#[derive(Args)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    name: Name,
}

pub(crate) fn hold(arguments: &HoldArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    cluster.hold(&arguments.because)?;
    let (program, again) = (program(), arguments.name.again());
    printer.out(&format!(
        "held: the loop of cluster {} changes nothing; agents go on starting servers and replacing primaries\n  do   {program} local \
         status{again}      shows what it would do\n       {program} local release{again}     lets it go on\n",
        cluster.name()
    ));
    Ok(ExitStatus::Done)
}

pub(crate) fn release(arguments: &ReleaseArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let end = if cluster.release()? { "released" } else { "nothing to do: it was not held" };
    printer.out(&format!("{end}: the loop of cluster {} goes on\n", cluster.name()));
    Ok(ExitStatus::Done)
}
