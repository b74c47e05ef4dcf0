//! What all commands that change a cluster have in common: the plan is shown, asked about, carried out and reported.

use super::{
    Target, fix, plan_file,
    plan_text::{self, Look},
    print_json,
    progress::Board,
    units,
};
use crate::{
    failure::{ExitStatus, Failure},
    moving::{self, Interruption, MoveOptions, Shown},
    printer::{GREEN, Printer},
    prompt, unfinished,
};
use clap::Args;
use operations::{
    moving::Pace,
    observe::{Observation, look},
    port::{NodeLink, Unopposed},
    run::{Patience, Progress, Runner},
    weigh::{WeighError, weigh},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use topology::{
    NodeId,
    plan::{Plan, may_settle},
};

/// What yes means for a plan that moves slots.
pub(crate) const MOVES: &str = "yes carries out this plan; no key is lost on the way.";

/// How a change is made.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChangeArgs {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show the plan and change nothing
    #[arg(long, overrides_with = "dry_run")]
    pub(crate) dry_run: bool,
    /// Save the plan as JSON and change nothing; tribune apply FILE carries it out
    #[arg(long, value_name = "FILE", conflicts_with = "yes")]
    pub(crate) out: Option<PathBuf>,
    /// Write plan and outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Seconds to wait for the nodes to agree, and again for the replicas to have their data [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = crate::connection::seconds)]
    patience: Option<Duration>,
}

/// What a command that changes a cluster writes with `--json`.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(crate) struct ChangeReport<'a> {
    /// The plan.
    plan: &'a Plan,
    /// What became of it.
    outcome: Outcome,
    /// How long it all took.
    seconds: f64,
}

/// What became of a plan.
#[derive(Clone, Copy, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// Only shown.
    Planned,
    /// Carried out.
    Done,
    /// There was nothing to change.
    NothingToDo,
}

impl ChangeArgs {
    /// How long to wait for what the servers do on their own.
    pub(crate) fn patience(&self) -> Patience {
        let patience = self.patience.unwrap_or(Duration::from_mins(1));
        Patience { agreement: patience, service: patience }
    }

    /// The options of a change that moves no slots.
    pub(crate) fn without_moves(&self) -> MoveOptions {
        MoveOptions {
            dialect: None,
            pace: Pace::default(),
            replace: false,
            persistent: false,
            patience: self.patience(),
        }
    }

    /// Shows the plan, with what others may wait while keys move, and asks about it. Whether it is to be carried out: a dry run is reported and ends here.
    ///
    /// # Errors
    /// When the answer is no, or nobody can be asked.
    pub(crate) fn agree(
        &self,
        plan: &Plan,
        question: &str,
        budget: Option<Duration>,
        printer: &mut Printer,
    ) -> Result<bool, Failure> {
        if !self.json {
            printer.out(&plan_text::text(plan, Look::on(printer, budget)));
        } else if !self.yes && !self.only_shows() {
            // Whoever is asked must have seen what about; standard output is for the report.
            printer.note(&plan_text::text(plan, Look::on(printer, budget)));
        }
        if self.only_shows() {
            let text = match &self.out {
                None => "  Nothing has been changed: add --yes, or save it with --out plan.json.\n".to_owned(),
                Some(file) => format!("  Nothing has been changed: tribune apply {} does it.\n", file.display()),
            };
            self.report(plan, Outcome::Planned, &text, printer)?;
            return Ok(false);
        }
        if !self.yes && !prompt::confirm(printer, question)? {
            return Err(Failure::new("not confirmed; nothing was changed"));
        }
        Ok(true)
    }

    /// Reports that the plan was carried out: `closing` and how long it took.
    pub(crate) fn done(
        &self,
        plan: &Plan,
        closing: &Closing<'_>,
        printer: &mut Printer,
    ) -> Result<ExitStatus, Failure> {
        let Closing { word, next } = closing;
        let took = units::duration(printer.elapsed());
        let next = next.as_ref().map_or_else(String::new, |next| format!("  do   {next}\n"));
        let text = format!("{GREEN}{word}{GREEN:#}: {}    {took}\n{next}", plan.goal);
        self.report(plan, Outcome::Done, &text, printer)
    }

    /// Reports that there was nothing to change, with this line.
    pub(crate) fn nothing_to_do(&self, plan: &Plan, line: &str, printer: &mut Printer) -> Result<ExitStatus, Failure> {
        self.report(plan, Outcome::NothingToDo, line, printer)
    }

    /// Whether the plan is only to be shown or saved.
    pub(crate) const fn only_shows(&self) -> bool {
        self.dry_run || self.out.is_some()
    }

    fn report(&self, plan: &Plan, outcome: Outcome, text: &str, printer: &mut Printer) -> Result<ExitStatus, Failure> {
        if let Some(file) = &self.out {
            plan_file::write(file, plan)?;
        }
        if self.json {
            let seconds = printer.elapsed().as_secs_f64();
            print_json(printer, &ChangeReport { plan, outcome, seconds })?;
        } else {
            printer.out(text);
        }
        Ok(ExitStatus::Done)
    }
}

/// A change of a cluster, from its plan to its report.
pub(crate) struct Change<'a> {
    /// The command and what identifies it, so that it is known again when it was interrupted.
    pub(crate) request: String,
    /// The cluster.
    pub(crate) target: &'a Target,
    pub(crate) way: &'a ChangeArgs,
    /// What yes does and what it cannot undo.
    pub(crate) question: &'a str,
    /// How slots are moved, where any are.
    pub(crate) options: MoveOptions,
}

impl Change<'_> {
    /// Looks at the cluster.
    pub(crate) async fn look(target: &Target) -> Result<Observation, Failure> {
        Ok(look(&target.connector()?, &[target.address()?]).await?)
    }

    /// Looks at the cluster before a plan for it is made: nobody else is changing it. Looks again for some seconds while its nodes
    /// tell each other of what has just changed.
    pub(crate) async fn look_at_rest(target: &Target) -> Result<Observation, Failure> {
        const SETTLES: Duration = Duration::from_secs(5);
        let begin = Instant::now();
        loop {
            let observation = Self::look(target).await?;
            unfinished::none_goes_on(&observation.view)?;
            if !may_settle(&observation.view) || begin.elapsed() >= SETTLES {
                return Ok(observation);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Shows the plan, asks, carries it out and reports. What an interrupted run of the same request has left to do comes in
    /// place of the plan.
    pub(crate) async fn make(
        &self,
        plan: Plan,
        observation: Observation,
        printer: &mut Printer,
    ) -> Result<ExitStatus, Failure> {
        let plan = match unfinished::rest_of(&self.request, &observation.view)? {
            Some(rest) => {
                printer.note("this goes on where the run was interrupted\n");
                rest
            }
            None => plan,
        };
        self.make_anew(plan, observation, printer).await
    }

    /// The same without looking for an earlier run: for plans that begin with whatever such a run has left.
    pub(crate) async fn make_anew(
        &self,
        mut plan: Plan,
        observation: Observation,
        printer: &mut Printer,
    ) -> Result<ExitStatus, Failure> {
        weigh(&observation, &mut plan, self.options.dialect).await?;
        if !plan.changes_anything() {
            // The reasons of a plan with steps are about what these do.
            let reason = plan.reasons.first().filter(|_| plan.steps.is_empty());
            let reason = reason.map_or("nothing to do: all steps of the plan are done", String::as_str);
            return self.way.nothing_to_do(&plan, &format!("{reason}\n"), printer);
        }
        if !self.way.agree(&plan, self.question, self.options.pace.budget, printer)? {
            return Ok(ExitStatus::Done);
        }
        let connector = self.target.connector()?;
        let board = Mutex::new(Board::new(printer, &plan, self.way.json));
        let show = |shown: Shown| {
            if let Ok(mut board) = board.lock() {
                board.show(shown);
            }
        };
        let outcome = moving::carry_out(&self.request, &plan, observation, &connector, &self.options, &show).await;
        let moved = board.into_inner().map_or(0, |board| board.slots());
        match outcome {
            Ok(()) => {
                let address = self.target.address()?.bare();
                let next = Some(format!("tribune status {address}{}", self.target.connection.again()));
                self.way.done(&plan, &Closing { word: "done", next }, printer)
            }
            Err(interruption) => Err(self.interrupted(interruption, moved, &plan, printer.elapsed())),
        }
    }

    /// What was reached, and what goes on from there.
    fn interrupted(&self, interruption: Interruption, moved: usize, plan: &Plan, took: Duration) -> Failure {
        let of = match plan.cost.slots_moved {
            0 => "a part of the plan is done".to_owned(),
            slots => format!("{} of {} slots moved", units::grouped(moved as u64), units::grouped(slots as u64)),
        };
        let took = units::duration(took);
        let again = self.target.address().map(|address| {
            format!(
                "the same command continues      or  tribune resume {}{}",
                address.bare(),
                self.target.connection.again()
            )
        });
        let again = again.unwrap_or_default();
        match interruption {
            Interruption::Stopped if fix::Extent::of(&self.request).is_none() => {
                Failure::new(format!("stopped: {of}, no slot left open, nothing lost    {took}"))
                    .status(ExitStatus::Stopped)
            }
            Interruption::Stopped | Interruption::StoppedHard => {
                Failure::new(format!("stopped: {of}, slots may be open, nothing lost    {took}"))
                    .status(ExitStatus::Stopped)
            }
            Interruption::Busy(pid) => return unfinished::busy(pid, None),
            Interruption::Failed(error) => {
                let failure = Failure::from(error);
                let advice = failure.advice.clone();
                return match advice {
                    Some(advice) => failure.because(of).advice(format!("{advice}\n       then {again}")),
                    None => failure.because(of).advice(again),
                };
            }
        }
        .advice(again)
    }
}

impl From<WeighError> for Failure {
    fn from(error: WeighError) -> Self {
        match error {
            WeighError::Node(error) => error.into(),
            other => Self::new(other.to_string()).advice("leave --dialect out, or: --dialect migrate"),
        }
    }
}

/// How the last lines tell that a plan was carried out.
pub(crate) struct Closing<'a> {
    /// The word that it begins with.
    pub(crate) word: &'a str,
    /// What can be typed next.
    pub(crate) next: Option<String>,
}

/// Runs the plan and shows how it goes; Ctrl-C stops it between two commands.
pub(crate) async fn carry_out(
    plan: &Plan,
    links: BTreeMap<NodeId, Arc<dyn NodeLink>>,
    patience: Patience,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let stages = plan_text::stages(plan);
    let shared = Mutex::new((printer, String::new()));
    let show = |progress: Progress| {
        let Ok(mut shared) = shared.lock() else { return };
        let (printer, step) = &mut *shared;
        match progress {
            Progress::Stage { stage, of, .. } => {
                *step = format!("step {stage} of {of}");
                tell_step(printer, step, &stages, stage);
            }
            Progress::Waiting { missing } => printer.progress(&format!("{step}   {missing}")),
            _ => {}
        }
    };
    let runner = Runner::new(links, patience, &show).unopposed(Unopposed::ordered());
    tokio::select! {
        outcome = runner.run(plan) => Ok(outcome?),
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(format!("stopped: {} steps planned, some done; no key was touched", plan.steps.len()))
                .status(ExitStatus::Stopped))
        }
    }
}

/// Tells which step begins, where more is to be told.
pub(crate) fn tell_step(printer: &mut Printer, step: &str, stages: &[String], stage: u32) {
    let what = usize::try_from(stage).ok().and_then(|stage| stages.get(stage.checked_sub(1)?));
    if let Some(what) = what.filter(|_| printer.verbose) {
        printer.note(&format!("{step}: {what}\n"));
    }
}
