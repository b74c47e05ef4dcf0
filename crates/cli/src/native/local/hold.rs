//! `tribune local hold`, `approve` and `release`

use super::{
    Name,
    changing::{settings_of, until_settled},
    consent::Consent,
    keeping, program,
};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::{GREEN, Printer},
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

/// Let a loop that is held do what it would do, until nothing is left to be done; then it is held again.
#[derive(Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    name: Name,
    /// Do not ask
    #[arg(long)]
    yes: bool,
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
         status{again}      shows what it would do\n       {program} local approve{again}     lets it do that, and holds it again\n       {program} local release{again}     lets it go on\n",
        cluster.name()
    ));
    Ok(ExitStatus::Done)
}

pub(crate) async fn approve(arguments: &ApproveArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let settings = settings_of(&cluster)?;
    let report = cluster.loop_report()?.filter(|_| cluster.held().is_some());
    let Some(report) = report.filter(|report| !report.proposed.is_empty()) else {
        let why = "the loop is not held, or would do nothing".to_owned();
        return Err(Failure { why: Some(why), ..Failure::new("there is nothing to approve") });
    };
    printer.out(&keeping::text(&report, &cluster));
    let question = "yes lets the loop do this, and what comes after it, until nothing is left to be done.";
    Consent { yes: arguments.yes, dry_run: false }.is_given(question, printer)?;
    cluster.approve()?;
    until_settled(&cluster, &settings, printer).await?;
    printer.out(&format!("{GREEN}done{GREEN:#}: the loop is held again    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}

pub(crate) fn release(arguments: &ReleaseArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = arguments.name.existing()?;
    let end = if cluster.release()? { "released" } else { "nothing to do: it was not held" };
    printer.out(&format!("{end}: the loop of cluster {} goes on\n", cluster.name()));
    Ok(ExitStatus::Done)
}
