//! How a command ends.

use operations::{
    moving::{MoveError, SHOWN_KEYS},
    observe::NoEntry,
    port::{Key, NodeError},
    run::RunError,
};
use topology::{NotAnAddress, create::CreateRefusal, membership::MembershipRefusal, repair::RepairRefusal};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// Done, healthy.
    Done = 0,
    /// Not done, or not healthy.
    NotDone = 1,
    /// Wrong words on the command line.
    WrongWords = 2,
    /// Stopped by the user.
    Stopped = 130,
}

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What is wrong, one sentence.
    pub(crate) what: String,
    /// What else is wrong in the same way.
    pub(crate) more: Vec<String>,
    /// Why that matters, or what was seen.
    pub(crate) why: Option<String>,
    /// What the user can type or do next.
    pub(crate) advice: Option<String>,
    /// How the program ends.
    pub(crate) status: ExitStatus,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), more: Vec::new(), why: None, advice: None, status: ExitStatus::NotDone }
    }

    pub(crate) fn because(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// One thing more that the user can do, below the others.
    pub(crate) fn or_else_do(self, more: &str) -> Self {
        let advice = self.advice.as_ref().map_or_else(|| more.to_owned(), |advice| format!("{advice}\n       {more}"));
        self.advice(advice)
    }

    pub(crate) const fn status(mut self, status: ExitStatus) -> Self {
        self.status = status;
        self
    }

    /// One failure of several servers: the first leads, the others follow.
    pub(crate) fn of_nodes(errors: impl IntoIterator<Item = NodeError>) -> Option<Self> {
        let mut errors = errors.into_iter();
        let mut failure = Self::from(errors.next()?);
        failure.more = errors.map(|error| error.to_string()).collect();
        Some(failure)
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self { advice: error.trouble.advice().map(str::to_owned), ..Self::new(error.to_string()) }
    }
}

impl From<NoEntry> for Failure {
    fn from(error: NoEntry) -> Self {
        Self { more: error.others.iter().map(ToString::to_string).collect(), ..error.first.into() }
    }
}

impl From<NotAnAddress> for Failure {
    fn from(error: NotAnAddress) -> Self {
        Self::new(error.to_string()).status(ExitStatus::WrongWords)
    }
}

impl From<CreateRefusal> for Failure {
    fn from(refusal: CreateRefusal) -> Self {
        Self { why: refusal.why().map(str::to_owned), advice: refusal.advice(), ..Self::new(refusal.to_string()) }
    }
}

impl From<RepairRefusal> for Failure {
    fn from(refusal: RepairRefusal) -> Self {
        Self { why: refusal.why().map(str::to_owned), advice: Some(refusal.advice()), ..Self::new(refusal.to_string()) }
    }
}

impl From<MembershipRefusal> for Failure {
    fn from(refusal: MembershipRefusal) -> Self {
        Self { advice: refusal.advice(), ..Self::new(refusal.to_string()) }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let what = error.to_string();
        match error {
            RunError::Node(error) => error.into(),
            RunError::Changed { .. } => Self::new(what).advice("look at it, then repeat the command: it plans anew"),
            RunError::Estranged { pairs, .. } => Self {
                more: pairs.iter().take(12).map(ToString::to_string).collect(),
                why: Some(
                    "nodes talk to each other over the cluster bus port: the client port + 10000 unless configured"
                        .into(),
                ),
                advice: Some(
                    "open these ports between the nodes, or announce the right ones (cluster-announce-bus-port)".into(),
                ),
                ..Self::new(what)
            },
            RunError::NotConfigured(failures) => {
                let mut failures = failures.iter();
                let first = failures.next();
                Self {
                    more: failures.map(ToString::to_string).collect(),
                    advice: first.and_then(|first| first.trouble.advice()).map(str::to_owned),
                    ..Self::new(first.map_or(what, ToString::to_string))
                }
            }
            RunError::Several { failures } => {
                let mut failures = failures.into_iter().map(Self::from);
                let mut first = failures.next().unwrap_or_else(|| Self::new(what));
                for failure in failures {
                    first.more.push(failure.what);
                    first.more.extend(failure.more);
                    first.advice = first.advice.or(failure.advice);
                }
                first
            }
            RunError::Move(error) => {
                let keys =
                    if let MoveError::DifferentValues { keys, .. } = &*error { further(keys) } else { Vec::new() };
                Self { more: keys, advice: error.advice(), ..Self::new(what) }
            }
            RunError::NotInTime { .. } => Self::new(what).advice("look at its log"),
            _ => Self::new(what),
        }
    }
}

/// The names of the keys beyond those that the sentence names.
fn further(keys: &[Key]) -> Vec<String> {
    const SHOWN: usize = 100;
    let rest = keys.get(SHOWN_KEYS..).unwrap_or_default();
    let mut names: Vec<String> = rest.iter().take(SHOWN).map(|key| key.escape_ascii().to_string()).collect();
    if let Some(more) = rest.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        names.push(format!("and {more} more"));
    }
    names
}
