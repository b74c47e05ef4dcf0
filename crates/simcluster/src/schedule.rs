//! What goes wrong in a course of events, one entry each, so that the same can happen again, or less of it.
//!
//! Each place where something may go wrong, or be done from outside, asks whether it happens this time. In a new course that is drawn, and what
//! happens is written down. In a course that is tried again a list decides. Numbers for anything else (ids, delays, whom a server tells what) come
//! from the seed by a stream of their own, so that a course with its whole list is the same to the byte, and one with a part of it
//! differs only by what is left out.

use fastrand::Rng;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Where something may go wrong or be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Something that a test does, such as to kill a server.
    Event,
    /// A connection to a server is opened.
    Dial,
    /// Commands are sent to a server.
    Send,
    /// The servers move slots by themselves.
    Move,
    /// The platform is asked for something.
    Platform,
    /// The platform starts a new member.
    Start,
}

impl Place {
    const ALL: [(&'static str, Self); 6] = [
        ("event", Self::Event),
        ("dial", Self::Dial),
        ("send", Self::Send),
        ("move", Self::Move),
        ("platform", Self::Platform),
        ("start", Self::Start),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, place)| *place == self).map_or("", |(name, _)| name)
    }
}

/// A place, the server there, and how many times it has come to that.
type Key = (Place, usize, u32);

/// Something that has gone wrong, or was done from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    key: Key,
    /// What, as the place counts it; never 0.
    what: u64,
    /// When and what, for people.
    told: String,
}

impl Happened {
    /// When it happened and what it was, for people; empty for one that was read.
    pub fn told(&self) -> &str {
        &self.told
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((place, of, time), what) = (self.key, self.what);
        write!(f, "{}.{of}.{time}.{what}", place.name())
    }
}

impl FromStr for Happened {
    type Err = String;

    /// As it is written.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no entry of a schedule");
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or_else(wrong);
        let name = next()?;
        let (_, place) = Place::ALL.into_iter().find(|(other, _)| *other == name).ok_or_else(wrong)?;
        let of = next()?.parse().map_err(|_| wrong())?;
        let time = next()?.parse().map_err(|_| wrong())?;
        let what = next()?.parse().map_err(|_| wrong())?;
        Ok(Self { key: (place, of, time), what, told: String::new() })
    }
}

/// Decides what happens, and has what has happened.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// What is to happen; none where that is drawn.
    given: Option<BTreeMap<Key, u64>>,
    times: BTreeMap<(Place, usize), u32>,
    pub(crate) happened: Vec<Happened>,
    random: Rng,
}

impl Schedule {
    pub(crate) fn new(seed: u64, given: Option<&[Happened]>) -> Self {
        let given = given.map(|list| list.iter().map(|entry| (entry.key, entry.what)).collect());
        // Another stream than that of the bus.
        Self { given, times: BTreeMap::new(), happened: Vec::new(), random: Rng::with_seed(!seed) }
    }

    /// What happens this time: 0 for nothing. It is drawn where no list says it.
    pub(crate) fn ask(&mut self, place: Place, of: usize, draw: impl FnOnce(&mut Rng) -> u64) -> Option<(Key, u64)> {
        let time = self.times.entry((place, of)).or_default();
        *time += 1;
        let key = (place, of, *time);
        let what = match &self.given {
            Some(given) => given.get(&key).copied().unwrap_or_default(),
            None => draw(&mut self.random),
        };
        (what > 0).then_some((key, what))
    }

    /// Writes down what happens.
    pub(crate) fn note(&mut self, (key, what): (Key, u64), told: String) {
        self.happened.push(Happened { key, what, told });
    }
}

/// Whether something happens that does in this part of all cases.
pub(crate) fn chance(random: &mut Rng, part: f64) -> bool {
    part > 0.0 && random.f64() < part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_is_written() {
        let entry = Happened { key: (Place::Send, 3, 812), what: 2, told: String::new() };
        assert_eq!(entry.to_string(), "send.3.812.2");
        assert_eq!("send.3.812.2".parse(), Ok(entry));
        for wrong in ["", "send", "send.3", "sent.3.4.5", "send.x.1.1"] {
            assert!(wrong.parse::<Happened>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_drawn_happens_again_and_nothing_else() {
        let asked = |schedule: &mut Schedule| -> Vec<bool> {
            let ask = |_| schedule.ask(Place::Dial, 0, |random| random.u64(0..2));
            let asked: Vec<_> = (0..20).map(ask).collect();
            asked.iter().flatten().for_each(|found| schedule.note(*found, String::new()));
            asked.iter().map(Option::is_some).collect()
        };
        let mut first = Schedule::new(1, None);
        let drawn = asked(&mut first);
        assert!(drawn.contains(&true) && drawn.contains(&false));
        assert_eq!(asked(&mut Schedule::new(2, Some(&first.happened))), drawn);
        assert!(!asked(&mut Schedule::new(1, Some(&[]))).contains(&true));
    }
}
