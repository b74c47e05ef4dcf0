//! What other programs need to know of our words: shells to complete them, `man` to show them.

use super::reference_page;
use crate::failure::ExitStatus;
use crate::{failure::Failure, printer::Printer};
use clap::{Args, Command};
use clap_complete::Shell;
use std::{fs, path::PathBuf};

/// Write the completions of a shell to standard output.
#[derive(Args)]
#[command(after_help = "bash:  source <(tribune completions bash)\n\
                        zsh:   tribune completions zsh > \"${fpath[1]}/_tribune\"\n\
                        fish:  tribune completions fish > ~/.config/fish/completions/tribune.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Write the manual pages, one for each command.
#[derive(Args)]
pub(crate) struct ManArgs {
    /// Where to, such as /usr/local/share/man/man1
    directory: PathBuf,
    /// One page in Markdown instead: reference.md
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn completions(arguments: &CompletionsArgs, mut table: Command, printer: &mut Printer) -> ExitStatus {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut table, "tribune", &mut text);
    printer.out(&String::from_utf8_lossy(&text));
    ExitStatus::Done
}

pub(crate) fn man(arguments: &ManArgs, table: Command, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let ManArgs { directory, markdown } = arguments;
    let failed = |error| Failure::new(format!("{} cannot be written: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    if *markdown {
        fs::write(directory.join("reference.md"), reference_page::text(table)).map_err(failed)?;
    } else {
        clap_mangen::generate_to(table.disable_help_subcommand(true), directory).map_err(failed)?;
    }
    printer.note(&format!("written to {}\n", directory.display()));
    Ok(ExitStatus::Done)
}
