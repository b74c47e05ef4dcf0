//! Letting a replica take over without a vote: what has to be proved first.

use topology::FleetMember;

/// What keeps a member from being started, for as long as it lives.
pub type Hold = Box<dyn Send + Sync>;

/// Proof that no server of a member runs, and that the platform starts none as long as this lives.
pub struct Fenced {
    /// Dropping it lets the platform start the member again.
    _hold: Hold,
}

/// Why there is no [`Fenced`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member {0} may run")]
pub struct NotFenced(String);

impl Fenced {
    /// The proof, from what holds a member back, and from what the platform has said of its members after that.
    ///
    /// # Errors
    /// When a server of the member runs, or may run.
    pub fn by(hold: Hold, members: &[FleetMember], member: &str) -> Result<Self, NotFenced> {
        let is_fenced = members.iter().any(|other| other.name == member && other.is_fenced());
        if is_fenced { Ok(Self { _hold: hold }) } else { Err(NotFenced(member.to_owned())) }
    }
}

/// The right to let a replica take the place of its primary without a vote: without it no such command can be sent.
///
/// Where the primary still serves, both do until they hear of each other, and what one of them has written is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unopposed(());

impl Unopposed {
    /// The primary is fenced. The right is to be used while the proof lives.
    pub const fn fenced(_: &Fenced) -> Self {
        Self(())
    }

    /// Somebody has asked for just this, by a word that says so.
    pub const fn ordered() -> Self {
        Self(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::{Data, Process, Update};

    #[test]
    fn only_a_member_of_which_no_process_runs_is_fenced() {
        let by = |process| {
            let member = FleetMember {
                name: "one".to_owned(),
                address: None,
                host: "here".to_owned(),
                zone: None,
                process,
                id: None,
                data: Data::Kept,
                update: Update::default(),
                trouble: None,
            };
            ["one", "other"].map(|name| Fenced::by(Box::new(()), std::slice::from_ref(&member), name).is_ok())
        };
        let all = [Process::Runs, Process::Unknown, Process::Starts, Process::Stopped].map(by);
        assert_eq!(all, [[false, false], [false, false], [true, false], [true, false]]);
    }
}
