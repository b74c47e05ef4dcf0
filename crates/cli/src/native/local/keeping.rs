//! What the loop that keeps a cluster in its shape is at.

use super::{again, program};
use crate::native::{plan_text, units};
use local::Cluster;
use operations::control::{Doing, Report};
use std::{fmt::Write as _, time::Duration};
use topology::control::Advice;

/// After so long without any change it is said for how long.
const LONG: Duration = Duration::from_secs(10);

/// What the loop is at, line by line, and for how long nothing of it has come further; nothing when it has nothing to do.
pub(crate) fn text(report: &Report, cluster: &Cluster) -> String {
    let mut text = losses(report, cluster);
    if report.settled && report.held.is_none() && report.trouble.is_none() {
        return text;
    }
    text.push_str("\nloop");
    let unchanged = Duration::from_secs(report.unchanged_seconds.unwrap_or_default());
    if unchanged >= LONG {
        let _ = write!(text, "    nothing has come further for {}", units::duration(unchanged));
    }
    text.push('\n');
    for line in [&report.trouble, &report.held].into_iter().flatten() {
        let _ = writeln!(text, "  {:8}  {line}", "held");
    }
    for doing in &report.doing {
        let _ = writeln!(text, "  {}", line(doing));
        let _ = writeln!(text, "  {:8}  {}", "", doing.reason);
    }
    for proposed in &report.proposed {
        let _ = writeln!(text, "  {:8}  {}", "would", plan_text::deed(&proposed.action));
        let _ = writeln!(text, "  {:8}  {}", "", proposed.reason);
    }
    for failure in &report.failures {
        let again = units::duration(Duration::from_secs_f64(failure.again_in_seconds.max(0.0)));
        let _ = writeln!(text, "  {}", plan_text::deed(&failure.action));
        let _ = writeln!(text, "  {:8}  failed: {}; tried again in {again}", "", failure.error);
    }
    for wait in &report.waits {
        let progress = wait.progress.as_ref().map(|progress| format!(", {progress}")).unwrap_or_default();
        let _ = writeln!(text, "  {:8}  {}: {}{progress}", "waits", wait.what, wait.why);
        if let Some(advice) = &wait.advice {
            let _ = writeln!(text, "  {:8}  do   {}", "", what_to_do(advice, cluster));
        }
    }
    if let Some(left) = report.update_seconds_left {
        let _ = writeln!(text, "  {:8}  {} until all members are updated", "left", about(left));
    }
    text
}

/// What was lost for good, until somebody removes the file that says so.
fn losses(report: &Report, cluster: &Cluster) -> String {
    let mut text = String::new();
    for loss in &report.losses {
        let keys = loss.keys.map_or_else(|| "unknown how many keys".to_owned(), |keys| units::count(keys, "key"));
        let _ = writeln!(text, "\n! the data of slots {} was lost with all its copies: {keys}", loss.slots);
        let got = &loss.got.address;
        let of = loss
            .had
            .as_ref()
            .map_or_else(|| "the whole cluster".to_owned(), |had| format!("{} {}", had.address, had.id.short()));
        let _ = writeln!(text, "  why  nothing was left of {of}; {got} began them anew, empty");
        let _ = writeln!(text, "  do   when it is known: rm {}", cluster.losses_file().display());
    }
    text
}

/// What somebody can do about what the loop waits for.
fn what_to_do(advice: &Advice, cluster: &Cluster) -> String {
    let (program, again) = (program(), again(cluster.name()));
    match advice {
        Advice::StartMember { member } => {
            format!("{program} local up{again}      or why it does not run: {program} local logs {member}{again}")
        }
        Advice::StartMemberOrFailOver { member, replica } => format!(
            "{program} local up{again}      or why it does not run: {program} local logs {member}{again}\n            or, for good without that: \
             {program} failover {} --force --yes",
            replica.address.bare()
        ),
        Advice::RecreateLost => format!("{program} local scale --when-shard-lost recreate{again}"),
    }
}

/// What it does or waits for, in one line.
pub(crate) fn summary(report: &Report) -> String {
    if let Some(held) = &report.held {
        return format!("held: {held}");
    }
    let left = report.update_seconds_left.map_or_else(String::new, |left| format!("    all in {}", about(left)));
    let doing = report.doing.first().map(|doing| line(doing) + &left);
    let waits = || report.waits.first().map(|wait| format!("waiting for {}: {}", wait.what, wait.why));
    doing.or_else(waits).unwrap_or_else(|| "looking".to_owned())
}

fn line(doing: &Doing) -> String {
    let took = units::duration(Duration::from_secs_f64(doing.for_seconds.max(0.0)));
    let left = doing.seconds_left.map(|left| format!("{} left", about(left)));
    let known = [Some(plan_text::deed(&doing.action)), Some(took), doing.progress.clone(), left];
    known.into_iter().flatten().collect::<Vec<_>>().join("    ")
}

fn about(seconds: f64) -> String {
    format!("about {:.0} s", seconds.max(1.0))
}
