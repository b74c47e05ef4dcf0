//! `tribune top`: what a cluster does now, once a second.

mod screen;
mod text;

use super::Target;
use crate::{
    failure::{ExitStatus, Failure},
    printer::Printer,
    unfinished,
};
use clap::Args;
use operations::{observe::look, watch::Watch};
use screen::{Event, Screen};
use std::time::Duration;
use text::{Run, lines};
use tokio::time::{Instant, timeout_at};
use topology::{
    ClusterView,
    load::{Load, Sample},
    remaining::remaining,
};

/// Show what a cluster does now, once a second: operations, memory, clients, network, lag, hottest slots, moves. q ends it.
#[derive(Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    target: Target,
    /// One picture, as lines
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// So many pictures, as lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Seconds between two pictures
    #[arg(long, value_name = "SECONDS", value_parser = crate::connection::seconds, default_value = "1")]
    interval: Duration,
    /// Write a line of JSON for each picture
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &TopArgs, printer: &mut Printer) -> Result<ExitStatus, Failure> {
    let TopArgs { target, interval, json, .. } = arguments;
    let connector = target.connector()?;
    let observation = look(&connector, &[target.address()?]).await?;
    let mut watch = Watch::of(&connector, observation);
    let count = if arguments.once { Some(1) } else { arguments.count };
    if count.is_none() && !json && Screen::is_there() {
        return on_screen(&mut watch, *interval).await;
    }
    tokio::select! {
        () = as_lines(&mut watch, count, arguments, printer) => Ok(ExitStatus::Done),
        _ = tokio::signal::ctrl_c() => Ok(ExitStatus::Done),
    }
}

/// Pictures one below the other. The first comes after two looks: rates need both.
async fn as_lines(watch: &mut Watch<'_>, count: Option<u64>, arguments: &TopArgs, printer: &mut Printer) {
    let mut before = next(watch, Instant::now() + arguments.interval).await;
    let mut number = 0;
    while count.is_none_or(|count| number < count) && !printer.is_closed() {
        let now = next(watch, Instant::now() + arguments.interval).await;
        let load = Load::between(Some(&before), &now);
        if arguments.json {
            if let Ok(line) = serde_json::to_string(&load) {
                printer.out(&format!("{line}\n"));
            }
        } else {
            let gap = if number == 0 { "" } else { "\n" };
            let lines = lines(&now.view, &load, run_of(&now.view).as_ref(), printer.width);
            printer.out(&format!("{gap}{}\n", lines.join("\n")));
        }
        before = now;
        number += 1;
    }
}

/// A look, and then what is left of the time until the next one.
async fn next(watch: &mut Watch<'_>, until: Instant) -> Sample {
    let sample = watch.look(until.saturating_duration_since(Instant::now())).await;
    tokio::time::sleep_until(until).await;
    sample
}

async fn on_screen(watch: &mut Watch<'_>, interval: Duration) -> Result<ExitStatus, Failure> {
    let mut screen =
        Screen::take().map_err(|error| Failure::new(format!("the terminal cannot be taken over: {error}")))?;
    let mut before: Option<Sample> = None;
    loop {
        let until = Instant::now() + interval;
        // Keys count while nodes are asked, too; what they answer then is taken at the next look.
        let now = tokio::select! {
            now = watch.look(interval) => now,
            Event::Quit = screen.event() => return Ok(ExitStatus::Done),
        };
        let load = Load::between(before.as_ref(), &now);
        let run = run_of(&now.view);
        loop {
            let (width, height) = Screen::size();
            let mut lines = lines(&now.view, &load, run.as_ref(), width);
            lines.truncate(height);
            screen.draw(&lines);
            match timeout_at(until, screen.event()).await {
                Ok(Event::Quit) => return Ok(ExitStatus::Done),
                Ok(Event::Resized) => {}
                Err(_) => break,
            }
        }
        before = Some(now);
    }
}

/// What a tribune of this machine is doing to the cluster, and how far it is.
fn run_of(view: &ClusterView) -> Option<Run> {
    let found = unfinished::of(view)?;
    let pid = found.runner()?;
    let plan = &found.run.plan;
    let left = remaining(plan, view).map_or(plan.cost.slots_moved, |left| text::slots_of(&left));
    let slots = text::slots_of(plan);
    Some(Run { pid, goal: plan.goal.clone(), moved: slots.saturating_sub(left), slots })
}
