//! `tribune local down`

use super::{Name, program};
use crate::{
    failure::{ExitStatus, Failure},
    native::units,
    printer::Printer,
    prompt,
};
use clap::Args;
use local::Home;

/// Stop a cluster; its data stays unless --remove.
#[derive(Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    name: Name,
    /// Remove it with all its data, for good
    #[arg(long)]
    remove: bool,
    /// Do not ask before removing
    #[arg(long, requires = "remove")]
    yes: bool,
}

pub(crate) fn run(arguments: &DownArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let cluster = Home::of_user()?.cluster(&arguments.name.name)?;
    if cluster.is_new() {
        printer.out(&format!("nothing to do: there is no cluster {}\n", cluster.name()));
        return Ok(ExitStatus::Done);
    }
    let question = format!("yes stops cluster {} and removes its data for good.", cluster.name());
    if arguments.remove && !arguments.yes && !prompt::confirm(printer, &question)? {
        return Err(Failure::new("not confirmed; nothing was changed"));
    }
    let lock = cluster.lock()?;
    printer.progress("stopping servers");
    cluster.stop()?;
    let end = if arguments.remove {
        cluster.delete()?;
        format!("removed: cluster {} and its data", cluster.name())
    } else {
        format!(
            "stopped: cluster {}; its data is kept\n  do   {1} local up{2}    brings it back\n       {1} local down{2} --remove",
            cluster.name(),
            program(),
            arguments.name.again()
        )
    };
    drop(lock);
    printer.out(&format!("{end}    {}\n", units::duration(printer.elapsed())));
    Ok(ExitStatus::Done)
}
