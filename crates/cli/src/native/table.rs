//! The table of words as a whole: the commands in groups, and `plan` in front of each that changes something.

use super::move_args::MoveArgs;
use crate::connection::ConnectionArgs;
use clap::{Args, Command, Id};
use std::fmt::Write as _;

/// The commands by what people want to do.
const GROUPS: &[(&str, &[&str])] = &[
    ("Look", &["status", "check", "info", "top", "doctor"]),
    ("Change", &["create", "add-node", "del-node", "failover", "repurpose", "set-timeout", "call"]),
    ("Move slots", &["reshard", "rebalance", "scale", "import"]),
    ("Plans", &["plan", "apply"]),
    ("Mend", &["fix", "resume", "cancel", "backup"]),
    ("This machine", &["local", "completions", "man", "help"]),
];
/// Commands that no group names, such as new ones.
const OTHERS: &str = "More";

/// What the options of how to reach servers stand under.
pub(crate) const CONNECTION: &str = "Connection";

/// What `plan` says of itself.
const PLAN: &str = "Show or save what a command would do, and change nothing";

/// The table with groups and with `plan`.
pub(crate) fn whole(words: Command) -> Command {
    let words = headed(words);
    let plan = plan(&words);
    let words = words.subcommand(plan);
    let text = groups(&words);
    words.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{text}\nOptions:\n{{options}}{{after-help}}"
    ))
}

/// `plan` with all commands that can be made to show their plan only.
fn plan(words: &Command) -> Command {
    let changing = words.get_subcommands().filter(|command| can_plan(command)).cloned();
    let changing = changing.map(|command| {
        let about = command.get_about().map_or_else(String::new, ToString::to_string);
        let command = command.mut_arg("yes", |yes| yes.hide(true)).mut_arg("dry_run", |dry_run| dry_run.hide(true));
        command
            .about(about.clone())
            .long_about(format!("{about}: the plan only. The same as the command with --dry-run."))
    });
    Command::new("plan").about(PLAN).subcommand_required(true).arg_required_else_help(true).subcommands(changing)
}

fn can_plan(command: &Command) -> bool {
    let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
    has("dry_run") && has("yes") && has("out")
}

/// What was typed without `plan`, as the command with `--dry-run`.
pub(crate) fn as_dry_run<'a>(typed: &[&'a str]) -> Vec<&'a str> {
    let Some(plan) = typed.iter().position(|word| *word == "plan") else { return typed.to_vec() };
    let (before, behind) = typed.split_at(plan);
    let behind = behind.split_first().map_or(behind, |(_, behind)| behind);
    // Options may stand between the two.
    let command = behind.iter().position(|word| !word.starts_with('-')).map_or(behind.len(), |at| at + 1);
    let (command, rest) = behind.split_at(command);
    [before, command, &["--dry-run"], rest].concat()
}

/// The commands in their groups, a line for each.
fn groups(words: &Command) -> String {
    let heading = words.get_styles().get_header();
    let literal = words.get_styles().get_literal();
    let mut text = String::new();
    for (group, commands) in grouped(words) {
        let _ = writeln!(text, "\n{heading}{group}:{heading:#}");
        for command in commands {
            let about = command.get_about().map_or_else(String::new, ToString::to_string);
            let _ = writeln!(text, "  {literal}{:12}{literal:#}{about}", command.get_name());
        }
    }
    text
}

/// The options of how to reach servers, and of how to move slots, under headings of their own.
fn headed(command: Command) -> Command {
    let ids = |parts: Command| parts.get_arguments().map(|part| part.get_id().clone()).collect::<Vec<Id>>();
    let connection = ids(ConnectionArgs::augment_args(Command::new("")));
    let moving = ids(MoveArgs::augment_args(Command::new("")));
    under(command, &[(CONNECTION, connection), ("Moving slots", moving)])
}

fn under(command: Command, headings: &[(&'static str, Vec<Id>)]) -> Command {
    let command = command.mut_args(|argument| {
        let heading = headings.iter().find(|(_, ids)| ids.contains(argument.get_id()));
        argument.help_heading(heading.map(|(heading, _)| *heading))
    });
    command.mut_subcommands(|command| under(command, headings))
}

/// All commands that are shown, by group.
pub(crate) fn grouped(words: &Command) -> Vec<(&'static str, Vec<&Command>)> {
    let named = |name: &str| words.get_subcommands().find(|command| command.get_name() == name);
    let mut grouped: Vec<(&'static str, Vec<&Command>)> = GROUPS
        .iter()
        .map(|(group, names)| (*group, names.iter().filter_map(|name| named(name)).collect::<Vec<_>>()))
        .collect();
    let known = |command: &Command| GROUPS.iter().any(|(_, names)| names.contains(&command.get_name()));
    let others = words.get_subcommands().filter(|command| !known(command) && !command.is_hide_set());
    grouped.push((OTHERS, others.collect()));
    grouped.retain(|(_, commands)| !commands.is_empty());
    grouped
}
