//! The lines that go with a run.

use crate::reference::{Terminal, terminal::Tone};
use operations::run::{Estranged, Progress};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use topology::{NodeAddr, plan::Action};

/// The lines that go with the run, each told once and in order, and a dot for each second of waiting.
pub(super) struct Story<'a, 'b> {
    terminal: &'a mut Terminal<'b>,
    told: usize,
    waiting: Option<Instant>,
}

impl<'a, 'b> Story<'a, 'b> {
    const LINES: [&'static str; 4] = [
        ">>> Nodes configuration updated\n",
        ">>> Assign a different config epoch to each node\n",
        ">>> Sending CLUSTER MEET messages to join the cluster\n",
        "Waiting for the cluster to join\n",
    ];

    pub(super) const fn new(terminal: &'a mut Terminal<'b>) -> Self {
        Self { terminal, told: 0, waiting: None }
    }

    /// Tells what is left of the story, and gives the terminal back.
    pub(super) fn end(mut self) -> &'a mut Terminal<'b> {
        self.tell_until(Self::LINES.len());
        self.terminal.plain("\n");
        self.terminal
    }

    pub(super) fn tell(&mut self, progress: &Progress) {
        match progress {
            Progress::Stage { actions, .. } => match actions.first() {
                Some(Action::SetEpoch { .. }) => self.tell_until(2),
                Some(Action::AddSlots { .. }) | None => {}
                Some(_) => self.tell_until(Self::LINES.len()),
            },
            Progress::Waiting { .. } => {
                let last = self.waiting.get_or_insert_with(Instant::now);
                if last.elapsed() >= Duration::from_secs(1) {
                    *last = Instant::now();
                    self.terminal.plain(".");
                }
            }
            _ => {}
        }
    }

    fn tell_until(&mut self, end: usize) {
        for line in Self::LINES.iter().take(end).skip(self.told) {
            if line.starts_with('>') {
                self.terminal.say(Tone::Info, line);
            } else {
                self.terminal.plain(line);
            }
        }
        self.told = self.told.max(end);
    }
}

/// Who does not reach whom, grouped by the one that is not reached.
pub(super) fn estranged(pairs: &[Estranged], terminal: &mut Terminal<'_>) {
    let mut unreached: BTreeMap<(&NodeAddr, u16), Vec<&NodeAddr>> = BTreeMap::new();
    for pair in pairs {
        unreached.entry((&pair.other, pair.bus_port)).or_default().push(&pair.node);
    }
    terminal.say(Tone::Warning, &format!("Warning: {} node(s) may be unreachable\n", unreached.len()));
    for ((node, bus_port), witnesses) in unreached {
        let line = format!(" - The port {bus_port} of node {} may be unreachable from:\n", node.host);
        terminal.say(Tone::Warning, &line);
        for witness in witnesses {
            terminal.plain(&format!("   {}\n", witness.bare()));
        }
    }
    terminal.say(
        Tone::Warning,
        "Cluster bus ports must be reachable by every node.\nRemember that cluster bus ports are different from standard \
         instance ports.\n",
    );
}
