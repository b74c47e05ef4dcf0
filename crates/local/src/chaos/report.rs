//! What came of a rehearsal.

use super::{
    Rehearsal,
    event::Kind,
    gaps::cause,
    ledger::{Found, Ledger},
};
use std::{collections::BTreeMap, time::Duration};

/// No more lost writes are told one by one.
const SHOWN: usize = 50;

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) events: Vec<Happened>,
}

/// What came of a rehearsal.
#[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct ChaosReport {
    /// The version of this form, 1.
    pub format: u32,
    /// What events were drawn from.
    pub seed: u64,
    /// Whether no confirmed write is lost, all keys could be read, and the cluster was healthy at the end.
    pub passed: bool,
    /// How long it took, with what came before and after the events.
    pub seconds: f64,
    /// What happened, in order.
    pub events: Vec<Happened>,
    /// Each kind of event that there was.
    pub kinds: Vec<KindReport>,
    /// The writes.
    pub writes: WriteReport,
    /// How long the cluster took to be healthy after the last event; none when it was not within 4 minutes.
    pub healthy_after_seconds: Option<f64>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct Happened {
    /// When, since the beginning.
    pub at_seconds: f64,
    /// Its kind.
    pub kind: Kind,
    /// What happened, in words.
    pub what: String,
}

/// A kind of event.
#[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct KindReport {
    /// Which.
    pub kind: Kind,
    /// How many there were.
    pub events: u64,
    /// The longest time without an acknowledged write to some part of the slots that began with one; 0 for less than 0.1 s.
    pub worst_gap_seconds: f64,
}

/// What became of the writes.
#[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct WriteReport {
    /// How many were acknowledged.
    pub acknowledged: u64,
    /// How many of them a replica had confirmed.
    pub confirmed: u64,
    /// How many had no answer that counts: they may be there, or not.
    pub unanswered: u64,
    /// The longest time without an acknowledged write to some part of the slots; 0 for less than 0.1 s.
    pub worst_gap_seconds: f64,
    /// How many are lost that a replica had confirmed.
    pub confirmed_lost: u64,
    /// How many are lost that only a primary had.
    pub unconfirmed_lost: u64,
    /// Keys that could not be read at the end.
    pub unread_keys: Vec<String>,
    /// The first of the lost writes: those that were confirmed before the others.
    pub lost: Vec<LostWrite>,
    /// What writes without an answer failed of, and how often.
    pub errors: BTreeMap<String, u64>,
}

/// A write that is lost.
#[derive(Clone, Debug, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct LostWrite {
    /// The key.
    pub key: String,
    /// The number that was appended.
    pub number: u64,
    /// Whether a replica had confirmed it.
    pub confirmed: bool,
    /// When it was acknowledged, since the beginning.
    pub at_seconds: f64,
    /// By whom.
    pub by: String,
}

pub(super) fn of(
    rehearsal: &Rehearsal,
    course: &Course,
    ledger: &Ledger,
    found: Found,
    healthy_after: Option<Duration>,
    took: Duration,
) -> ChaosReport {
    let (acknowledged, confirmed, unanswered) = ledger.counts();
    let times: Vec<Duration> = course.events.iter().map(|event| Duration::from_secs_f64(event.at_seconds)).collect();
    let gaps = ledger.gaps();
    let mut kinds: BTreeMap<Kind, (u64, Duration)> = BTreeMap::new();
    for event in &course.events {
        kinds.entry(event.kind).or_default().0 += 1;
    }
    for gap in &gaps {
        let event = cause(*gap, &times).and_then(|at| course.events.get(at));
        if let Some((_, worst)) = event.and_then(|event| kinds.get_mut(&event.kind)) {
            *worst = gap.1.max(*worst);
        }
    }
    let count = |confirmed: bool| {
        u64::try_from(found.lost.iter().filter(|(_, write)| write.is_confirmed == confirmed).count())
            .unwrap_or(u64::MAX)
    };
    let (confirmed_lost, unconfirmed_lost) = (count(true), count(false));
    let mut lost: Vec<LostWrite> = found
        .lost
        .into_iter()
        .map(|(key, write)| LostWrite {
            key,
            number: write.number,
            confirmed: write.is_confirmed,
            at_seconds: write.at.as_secs_f64(),
            by: write.by.bare(),
        })
        .collect();
    lost.sort_by(|one, other| {
        (!one.confirmed, one.at_seconds)
            .partial_cmp(&(!other.confirmed, other.at_seconds))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    lost.truncate(SHOWN);
    let worst = gaps.iter().map(|gap| gap.1).max().unwrap_or_default();
    ChaosReport {
        format: 1,
        seed: rehearsal.seed,
        passed: confirmed_lost == 0 && found.unread.is_empty() && healthy_after.is_some(),
        seconds: took.as_secs_f64(),
        events: course.events.clone(),
        kinds: kinds
            .into_iter()
            .map(|(kind, (events, worst))| KindReport { kind, events, worst_gap_seconds: worst.as_secs_f64() })
            .collect(),
        writes: WriteReport {
            acknowledged,
            confirmed,
            unanswered,
            worst_gap_seconds: worst.as_secs_f64(),
            confirmed_lost,
            unconfirmed_lost,
            unread_keys: found.unread,
            lost,
            errors: ledger.errors(),
        },
        healthy_after_seconds: healthy_after.map(|after| after.as_secs_f64()),
    }
}
