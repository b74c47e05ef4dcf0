//! The page with all commands and options, written from the table of words.

use super::table::{self, CONNECTION};
use clap::{Arg, Command};
use std::fmt::Write as _;

/// The page, Markdown.
pub(crate) fn text(mut words: Command) -> String {
    words.build();
    let mut text = "# Commands and options\n\nWritten by `UPDATE_REFERENCE=1 cargo test --package cli reference_page`; do not edit.\n\n\
        Commands that change something show their plan and ask first; with `--yes` they do not ask, with `--dry-run` they only show it, \
        and with `--out FILE` they save it. `tribune plan COMMAND …` is the command with `--dry-run`.\n\n\
        Exit codes: 0 done, 1 not done or not healthy, 2 wrong words, 130 stopped by the user.\n"
        .to_owned();
    let mut connection = String::new();
    for (group, commands) in table::grouped(&words) {
        let _ = writeln!(text, "\n## {group}");
        for command in commands {
            section(&mut text, command, "tribune", command.get_name() == "plan");
            if connection.is_empty() {
                connection = options(command, |argument| argument.get_help_heading() == Some(CONNECTION));
            }
        }
    }
    let _ = write!(text, "\n## Connection\n\nAll commands that talk to servers take these.\n\n{connection}");
    text
}

fn section(text: &mut String, command: &Command, parent: &str, only_names: bool) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_about().map_or_else(String::new, ToString::to_string);
    let _ = writeln!(text, "\n### `{name}`\n\n{about}.");
    if command.get_name() == "help" {
        return;
    }
    let usage = command.clone().disable_help_flag(true).render_usage().to_string();
    let _ = writeln!(text, "\n    {}", usage.trim_start_matches("Usage: ").trim());
    let options = options(command, |argument| argument.get_help_heading() != Some(CONNECTION));
    if !options.is_empty() {
        let _ = write!(text, "\n{options}");
    }
    let children = command.get_subcommands().filter(|child| child.get_name() != "help" && !child.is_hide_set());
    if only_names {
        let names: Vec<String> = children.map(|child| format!("`{}`", child.get_name())).collect();
        let _ = writeln!(text, "\nIn front of: {}.", names.join(", "));
    } else {
        children.for_each(|child| section(text, child, &name, false));
    }
}

/// The options of a command as a list.
fn options(command: &Command, wanted: impl Fn(&Arg) -> bool) -> String {
    let mut text = String::new();
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set() && argument.get_id() != "help");
    for argument in shown.filter(|argument| wanted(argument)) {
        let help = argument.get_help().map_or_else(String::new, ToString::to_string);
        let choices: Vec<String> = if argument.get_action().takes_values() && !argument.is_hide_possible_values_set() {
            argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
        } else {
            Vec::new()
        };
        let choices = if choices.is_empty() { String::new() } else { format!(": {}", choices.join(", ")) };
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let takes_default = argument.get_action().takes_values() && !defaults.is_empty();
        let default = if takes_default { format!(" [default: {}]", defaults.join(" ")) } else { String::new() };
        let _ = writeln!(text, "* `{}` {help}{choices}{default}", argument.to_string().trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::whole_table, text};
    use std::{fs, path::Path};

    #[test]
    fn the_reference_page_tells_what_the_program_takes() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference.md");
        let wanted = text(whole_table());
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            fs::write(&file, &wanted).unwrap();
        }
        let found = fs::read_to_string(&file).unwrap_or_default();
        assert!(found == wanted, "stale: UPDATE_REFERENCE=1 cargo test --package cli reference_page");
    }
}
