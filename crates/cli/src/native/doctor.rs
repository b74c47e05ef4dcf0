//! `tribune doctor`: what is wrong with a cluster, what that means, and what mends it.

use super::{Target, print_json, units};
use crate::{
    failure::{ExitStatus, Failure},
    printer::{DIM, GREEN, Printer, RED, YELLOW},
};
use clap::Args;
use operations::{everywhere::node_timeouts, observe::look, stray::stray_keys};
use std::fmt::Write as _;
use topology::findings::{self, Diagnosis, DoctorReport, Severity, keys_outside_their_owner};

/// Explain what is wrong with a cluster: what it means, what happens if nothing is done, and what mends it.
#[derive(Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    target: Target,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &DoctorArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let address = arguments.target.address()?;
    let observation = look(&arguments.target.connector()?, &[address]).await?;
    let stray = keys_outside_their_owner(&observation.view, &stray_keys(&observation).await?);
    let timeouts = findings::node_timeouts(&observation.view, &node_timeouts(&observation).await);
    let report = DoctorReport::new(&observation.view, stray.into_iter().chain(timeouts).collect());
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        printer.out(&text(&report, printer.width));
        let verdict =
            if report.healthy { format!("{GREEN}healthy{GREEN:#}") } else { format!("{RED}not healthy{RED:#}") };
        let nodes = format!("{} of {} nodes answer", report.nodes_answering, report.nodes);
        printer.out(&format!("{verdict}: {nodes}    {}\n", units::duration(printer.elapsed())));
    }
    Ok(if report.healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

/// Every finding with its explanation. What several findings have in common is explained once.
fn text(report: &DoctorReport, width: usize) -> String {
    let mut text = String::new();
    for (at, diagnosis) in report.findings.iter().enumerate() {
        let Diagnosis { finding, explanation } = diagnosis;
        let (colour, mark) = match finding.severity {
            Severity::Problem => (RED, '!'),
            Severity::Warning => (YELLOW, '~'),
        };
        let _ = writeln!(text, "{colour}{mark}{colour:#} {}", finding.what);
        if let Some(why) = &finding.why {
            let _ = writeln!(text, "  why  {why}");
        }
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "  do   {remedy}");
        }
        let next = report.findings.get(at + 1);
        if next.is_none_or(|next| next.finding.code != finding.code) {
            text.push('\n');
            let parts = [
                ("what it means", &explanation.meaning),
                ("if nothing is done", &explanation.otherwise),
                ("what mends it", &explanation.mending),
            ];
            for (heading, part) in parts {
                let _ = writeln!(text, "  {DIM}{heading}{DIM:#}");
                text.push_str(&paragraph(part, width));
            }
        }
        text.push('\n');
    }
    text
}

/// Words in lines that are no longer than the terminal is wide.
fn paragraph(words: &str, width: usize) -> String {
    const INDENT: &str = "    ";
    let mut text = String::new();
    let mut line = String::new();
    for word in words.split(' ') {
        if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(text, "{INDENT}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{INDENT}{line}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_fit_the_terminal_and_keep_every_word() {
        let words = "one two three four five six seven";
        let text = paragraph(words, 18);
        assert_eq!(text, "    one two three\n    four five six\n    seven\n");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), words);
    }
}
