//! Making a cluster.

use super::figures;
use crate::{
    figures::{Requirement, turns},
    note,
    problem::Problem,
    row::{Reading, Row, UntilComplete},
    servers::{self, until_complete},
    setting::{Setting, Tool},
    unit::Unit,
};

/// Who makes the cluster, and in which words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Reference,
    Tribune,
    Native,
}

const CONTENDERS: [Contender; 3] = [Contender::Reference, Contender::Tribune, Contender::Native];

/// What one contender's rounds came to, in seconds.
#[derive(Default)]
struct Times {
    returned: Vec<f64>,
    complete: Vec<f64>,
}

/// Lets both tools make clusters of so many servers, new ones each time and never two sets at once.
pub(crate) fn create(setting: &Setting, rounds: usize, nodes: usize, required: f64) -> Result<Vec<Row>, Problem> {
    let (mut reference, mut ours, mut native) = (Times::default(), Times::default(), Times::default());
    for round in 0..rounds {
        for contender in turns(&CONTENDERS, round) {
            let (complete, returned) = measure(setting, contender, nodes)?;
            note(&format!(
                "  round {} of {rounds}: {contender:?} {returned:.3} s, complete {complete:.3} s",
                round + 1
            ));
            let times = match contender {
                Contender::Reference => &mut reference,
                Contender::Tribune => &mut ours,
                Contender::Native => &mut native,
            };
            times.returned.push(returned);
            times.complete.push(complete);
        }
    }
    let reference = (figures(reference.returned)?, figures(reference.complete)?);
    let row = |name: String, ours: Times, required| {
        Ok(Row {
            name,
            unit: Unit::Seconds,
            reference: Reading::Took(reference.0.clone()),
            ours: figures(ours.returned)?,
            until_complete: Some(UntilComplete { reference: reference.1.clone(), ours: figures(ours.complete)? }),
            required,
        })
    };
    Ok(vec![
        row(format!("create-{nodes}"), ours, Requirement::TimesFaster(required))?,
        row(format!("create-{nodes}, native: waits for replicas"), native, Requirement::Nothing)?,
    ])
}

fn measure(setting: &Setting, contender: Contender, nodes: usize) -> Result<(f64, f64), Problem> {
    let servers = servers::empty(setting, nodes);
    let create = match contender {
        Contender::Reference => servers::create(setting, Tool::Reference, &servers),
        Contender::Tribune => servers::create(setting, Tool::Tribune, &servers),
        Contender::Native => servers::create_natively(setting, &servers),
    };
    Ok(until_complete(&servers, &create?))
}
