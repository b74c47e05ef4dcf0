//! `tribune check`: what is wrong with a cluster.

use super::{Target, info, print_json, units};
use crate::{
    failure::{ExitStatus, Failure},
    printer::{GREEN, Printer, RED, YELLOW},
};
use clap::Args;
use operations::{observe::look, stray::stray_keys};
use std::fmt::Write as _;
use topology::{
    findings::{Finding, Severity, keys_outside_their_owner},
    report::{CheckReport, ClusterReport},
};

/// Find what is wrong with a cluster.
#[derive(Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    target: Target,
    /// Look for keys on nodes that do not own their slot, too
    #[arg(long)]
    search_multiple_owners: bool,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &CheckArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let address = arguments.target.address()?;
    let observation = look(&arguments.target.connector()?, &[address]).await?;
    let stray = if arguments.search_multiple_owners {
        keys_outside_their_owner(&observation.view, &stray_keys(&observation).await?)
    } else {
        Vec::new()
    };
    let report = CheckReport::new(&observation.view, stray);
    if arguments.json {
        print_json(printer, &report)?;
    } else {
        if printer.verbose {
            printer.out(&info::text(&ClusterReport::new(&observation.view)));
        }
        printer.out(&text(&report));
        printer.out(&format!("{}    {}\n", verdict(&report), units::duration(printer.elapsed())));
    }
    Ok(if report.healthy { ExitStatus::Done } else { ExitStatus::NotDone })
}

fn verdict(report: &CheckReport) -> String {
    let nodes = format!("{} of {} nodes answer", report.nodes_answering, report.nodes);
    let slots = format!("{} of 16384 slots served", report.slots_served);
    if report.healthy {
        format!("{GREEN}healthy{GREEN:#}: {nodes}, {slots}")
    } else {
        format!("{RED}not healthy{RED:#}: {nodes}, {slots}")
    }
}

fn text(report: &CheckReport) -> String {
    let mut text = findings(&report.findings);
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Findings as what, why and do; with a line that counts the problems.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem).count();
    if problems > 0 {
        let _ = writeln!(text, "{}", units::count(problems, "problem"));
    }
    for finding in findings {
        let (colour, mark) = match finding.severity {
            Severity::Problem => (RED, '!'),
            Severity::Warning => (YELLOW, '~'),
        };
        let _ = writeln!(text, "  {colour}{mark}{colour:#} {}", finding.what);
        if let Some(why) = &finding.why {
            let _ = writeln!(text, "    why  {why}");
        }
        if let Some(remedy) = &finding.remedy {
            let _ = writeln!(text, "    do   {remedy}");
        }
    }
    text
}
