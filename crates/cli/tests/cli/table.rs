//! The words themselves: help, completions, manual pages, and what is said about wrong ones.

use crate::support::{PROGRAM, command, run, run_with_input, tribune};
use std::{fs, path::Path, process::Command};

#[test]
fn help_shows_every_command_in_a_group() {
    let help = tribune("--help").succeeded();
    assert_eq!(tribune("help").succeeded().out, help.out);
    for line in ["Look:", "Change:", "Move slots:", "Plans:", "Mend:", "This machine:", "  plan  ", "  apply  "] {
        assert!(help.out.contains(line), "no {line:?} in {}", help.out);
    }
    assert!(!help.out.contains("More:"), "a command stands in no group: {}", help.out);
}

#[test]
fn wrong_words_end_with_2_and_what_to_type() {
    tribune("reshrad 127.0.0.1:7000").refused(2, &["a similar subcommand exists: 'reshard'"]);
    tribune("plan chek 127.0.0.1:7000").refused(2, &["unrecognized subcommand 'chek'", "tribune plan"]);
    tribune("plan reshard").refused(2, &["HOST:PORT"]);
    tribune("plan").refused(2, &["Usage: tribune plan", "rebalance"]);
    tribune("").refused(2, &["Usage: tribune [OPTIONS] <COMMAND>"]);
    tribune("completions tcsh").refused(2, &["bash"]);
}

#[test]
fn options_stand_under_what_they_are_about() {
    let help = tribune("reshard --help").succeeded().out;
    let (own, connection) = help.split_once("Connection:").unwrap();
    assert!(own.contains("--slots") && own.contains("--yes") && !own.contains("--tls"), "{help}");
    assert!(connection.contains("--tls"), "{help}");
}

#[test]
fn completions_are_what_the_shells_understand() {
    for shell in ["bash", "zsh", "fish"] {
        let text = tribune(&format!("completions {shell}")).succeeded().out;
        assert!(text.contains("reshard") && text.contains("latency-budget"), "{shell}");
        if shell == "bash" {
            let script = format!(
                "{text}\nCOMP_WORDS=(tribune resh); COMP_CWORD=1; _tribune tribune resh tribune; echo \"${{COMPREPLY[@]}}\""
            );
            let run = run_with_input(Command::new("bash").arg("-s"), &script);
            assert_eq!(run.out.trim(), "reshard", "{run:#?}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    run(command(Path::new(PROGRAM)).arg("man").arg(directory.path())).succeeded();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("tribune.1").contains("reshard"));
    assert!(read("tribune-reshard.1").contains("latency"));
    assert!(read("tribune-plan.1").contains("plan"));
    run(command(Path::new(PROGRAM)).args(["man", "--markdown"]).arg(directory.path())).succeeded();
    assert!(read("reference.md").contains("### `tribune reshard`"));
}
