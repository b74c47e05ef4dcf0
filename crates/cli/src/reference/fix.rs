//! `--cluster fix`

mod lines;

use super::{Session, Stop, Terminal, blocks, check, load, load::unreachable, moving, reshard::say, terminal::Tone};
use crate::{
    failure::ExitStatus,
    moving::{Interruption, MoveOptions, Shown, carry_out},
    prompt, unfinished,
};
use node::Connector;
use operations::{
    moving::MoveError,
    observe::Observation,
    repair::held,
    run::{Progress, RunError},
};
use std::{sync::Mutex, time::Duration};
use topology::{
    SlotSet,
    repair::{self, Repair, Wanted, unreachable_primaries},
};

/// How long a repair waits for a cluster in which slots stay without an owner because the user wants it so.
const UNSERVED: Duration = Duration::from_secs(5);

/// A repair that goes on.
struct Fix<'a> {
    session: &'a Session,
    connector: Connector,
    options: MoveOptions,
    observation: Observation,
    /// Whether all that was begun was done.
    whole: bool,
}

pub(crate) async fn run(session: &Session, terminal: &mut Terminal<'_>) -> Result<ExitStatus, Stop> {
    let options = moving::options(session).map_err(|misuse| misuse.stop(terminal))?;
    let observation = session.load(terminal).await?;
    let nodes = load::loaded(&observation, terminal);
    unfinished::refuse_beside_another(&observation.view)?;
    blocks::info(&nodes, terminal);
    check::introduce(&nodes, true, terminal);
    let closed = check::open_slots(&nodes, terminal);
    drop(nodes);
    let connector = session.connector()?;
    let options = MoveOptions { persistent: true, ..options };
    let mut fix = Fix { session, connector, options, observation, whole: true };
    if !closed {
        fix.open(terminal).await?;
    }
    fix.coverage(terminal).await?;
    if session.invocation.has("--cluster-search-multiple-owners") {
        fix.owners(terminal).await?;
    }
    fix.rest(terminal).await?;
    Ok(if fix.whole { ExitStatus::Done } else { ExitStatus::NotDone })
}

impl Fix<'_> {
    /// Refuses when primaries do not answer, unless that is wanted.
    fn refuse_unreachable(&self, what: &str, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let count = unreachable_primaries(&self.observation.view).len();
        if count == 0 || self.session.invocation.has("--cluster-fix-with-unreachable-masters") {
            return Ok(());
        }
        terminal.say(Tone::Warning, &lines::dangerous(what, count, terminal.wording));
        Err(Stop::Said(ExitStatus::NotDone))
    }

    /// What is to be done now; `everywhere` looks for keys in all slots.
    async fn repairs(&self, everywhere: bool, terminal: &mut Terminal<'_>) -> Result<Vec<Repair>, Stop> {
        let held = held(&self.observation, everywhere).await.map_err(|error| unreachable(&error, terminal))?;
        repair::decide(&self.observation.view, &held, Wanted { with_unreachable: true }).map_err(|refusal| {
            terminal.say(Tone::Bad, &format!("[ERR] {refusal}.\n"));
            Stop::Said(ExitStatus::NotDone)
        })
    }

    async fn open(&mut self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        self.refuse_unreachable("open slots", terminal)?;
        self.take_over(terminal).await?;
        let mut repairs = self.repairs(false, terminal).await?;
        repairs.retain(|repair| repair.found.is_open());
        for repair in &repairs {
            lines::open(repair, terminal);
        }
        self.carry_out(&repairs, terminal).await
    }

    async fn coverage(&mut self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let nodes = load::loaded_again(&self.observation);
        if check::coverage(&nodes, terminal) {
            return Ok(());
        }
        self.refuse_unreachable("slots coverage", terminal)?;
        terminal.say(Tone::Info, ">>> Fixing slots coverage...\n");
        self.take_over(terminal).await?;
        let mut repairs = self.repairs(false, terminal).await?;
        repairs.retain(|repair| repair.found.owners.is_empty() && !repair.found.is_open());
        for group in lines::GROUPS {
            let these: Vec<Repair> =
                repairs.iter().filter(|repair| (group.is_meant)(repair.found.keys.len())).cloned().collect();
            if these.is_empty() {
                continue;
            }
            let slots: SlotSet = these.iter().map(|repair| repair.slot).collect();
            terminal.plain(&format!("{}\n{}\n", group.heading, blocks::bracketed(&slots)));
            if self.accepts(group.question, terminal) {
                for repair in &these {
                    lines::cover(repair, terminal);
                }
                self.carry_out(&these, terminal).await?;
            }
        }
        Ok(())
    }

    /// Replicas take the place of primaries that do not answer: nothing but they have their data.
    async fn take_over(&mut self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let plan = repair::plan(&self.observation.view, &[]);
        if !plan.changes_anything() {
            return Ok(());
        }
        for step in &plan.steps {
            lines::takeover(&step.action, terminal);
        }
        if self.accepts("Fix their slots by letting these nodes take over?", terminal) {
            self.carry_out(&[], terminal).await?;
        }
        Ok(())
    }

    /// Asks, whatever the options say. Without an answer nothing is done.
    fn accepts(&mut self, question: &str, terminal: &mut Terminal<'_>) -> bool {
        terminal.plain(&format!("{question} (type 'yes' to accept): "));
        let accepted = prompt::line().is_some_and(|answer| answer.starts_with("yes"));
        if !accepted {
            self.whole = false;
            self.options.patience.service = UNSERVED;
        }
        accepted
    }

    async fn owners(&mut self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        terminal.say(Tone::Info, ">>> Check for multiple slot owners...\n");
        let mut repairs = self.repairs(true, terminal).await?;
        repairs.retain(|repair| lines::owners(&repair.found).len() > 1 && !repair.found.owners.is_empty());
        for repair in &repairs {
            lines::several_owners(repair, terminal);
        }
        let whole = std::mem::replace(&mut self.whole, true);
        self.carry_out(&repairs, terminal).await?;
        if self.whole {
            terminal.say(Tone::Good, "[OK] No multiple owners found.\n");
        }
        self.whole &= whole;
        Ok(())
    }

    /// What the reference leaves as it is: several that claim a slot, nodes that do not agree.
    async fn rest(&mut self, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        if !unreachable_primaries(&self.observation.view).is_empty() {
            return Ok(());
        }
        let mut repairs = self.repairs(false, terminal).await?;
        repairs.retain(|repair| !repair.found.owners.is_empty() && !repair.found.is_open());
        self.carry_out(&repairs, terminal).await
    }

    /// Carries out repairs, and looks at the cluster again.
    async fn carry_out(&mut self, repairs: &[Repair], terminal: &mut Terminal<'_>) -> Result<(), Stop> {
        let plan = repair::plan(&self.observation.view, repairs);
        if !plan.changes_anything() {
            return Ok(());
        }
        let observation = Observation {
            view: self.observation.view.clone(),
            links: self.observation.links.clone(),
            troubles: Vec::new(),
        };
        let shared = Mutex::new(&mut *terminal);
        let show = |shown: Shown| {
            let Ok(mut terminal) = shared.lock() else { return };
            match shown {
                Shown::Progress(Progress::SlotsMoved { from, to, slots }) => say(&mut terminal, &from, &to, &slots),
                Shown::Stopping => {
                    terminal.complain("finishing the slots that are open, then stopping (again to stop hard)\n");
                }
                Shown::Progress(_) | Shown::Unrecorded(_) => {}
            }
        };
        let outcome = carry_out("fix", &plan, observation, &self.connector, &self.options, &show).await;
        match outcome {
            Ok(()) => {}
            Err(Interruption::Stopped | Interruption::StoppedHard) => {
                terminal.complain("stopped: slots may be open, nothing is lost; the same command goes on from here\n");
                return Err(Stop::Said(ExitStatus::Stopped));
            }
            Err(Interruption::Busy(pid)) => return Err(unfinished::busy(pid, None).into()),
            Err(Interruption::Failed(RunError::Several { failures })) => {
                for failure in &failures {
                    failed(failure, terminal);
                }
                self.whole = false;
            }
            Err(Interruption::Failed(failure)) => {
                failed(&failure, terminal);
                self.whole = false;
            }
        }
        self.observation = self.session.load(terminal).await?;
        Ok(())
    }
}

fn failed(failure: &RunError, terminal: &mut Terminal<'_>) {
    let text = match failure {
        RunError::Move(error) => match &**error {
            MoveError::DifferentValues { from, to, keys } => lines::different(from, to, keys),
            other => format!("[ERR] {other}\n"),
        },
        other => format!("[ERR] {other}\n"),
    };
    terminal.say(Tone::Bad, &text);
}
