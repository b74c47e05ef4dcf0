//! One line of results. Pure.

use crate::{
    figures::{Figures, Requirement, Verdict},
    unit::{Unit, times},
};
use serde::Serialize;

/// What two tools came to with the same task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// The unit of all figures.
    pub(crate) unit: Unit,
    /// The tool that came with the servers.
    pub(crate) reference: Reading,
    /// The program under test.
    pub(crate) ours: Figures,
    /// Both again, with the time until the servers had become what the tool was asked for.
    pub(crate) until_complete: Option<UntilComplete>,
    /// What is required.
    pub(crate) required: Requirement,
}

/// What the reference came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reading {
    /// It ended.
    Took(Figures),
    /// It was killed after so many seconds.
    Hangs(f64),
    /// There is nothing to hold ours against.
    Nothing,
}

/// Seconds from a command's start until what it was asked for was there, not just said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct UntilComplete {
    /// The tool that came with the servers.
    pub(crate) reference: Figures,
    /// The program under test.
    pub(crate) ours: Figures,
}

impl Row {
    /// How many times less ours takes; none where the reference hangs.
    pub(crate) fn ratio(&self) -> Option<f64> {
        match &self.reference {
            Reading::Took(reference) => self.ours.times_less_than(reference),
            Reading::Hangs(_) | Reading::Nothing => None,
        }
    }

    /// Whether what is required is so.
    pub(crate) fn verdict(&self) -> Verdict {
        self.required.verdict(self.ratio(), &self.ours)
    }

    /// Its cells, in the order of [`headings`].
    pub(crate) fn cells(&self) -> Vec<String> {
        let (rounds, reference) = match &self.reference {
            Reading::Took(figures) => (figures.rounds.len(), self.unit.figures(figures)),
            Reading::Hangs(limit) => (1, format!("hangs (killed after {limit:.0} s)")),
            Reading::Nothing => (self.ours.rounds.len(), "-".to_owned()),
        };
        let rounds = if rounds == self.ours.rounds.len() {
            rounds.to_string()
        } else {
            format!("{rounds} : {}", self.ours.rounds.len())
        };
        let verdict = match self.verdict() {
            Verdict::Met => "met",
            Verdict::NotMet => "NOT MET",
            Verdict::Information => "",
        };
        vec![
            self.name.clone(),
            rounds,
            reference,
            self.unit.figures(&self.ours),
            self.ratio().map_or_else(|| "-".to_owned(), times),
            match self.required {
                Requirement::TimesFaster(least) => format!("at least {}", times(least)),
                Requirement::Within(most) => format!("at most {} its time", times(most)),
                Requirement::Below(limit) => format!("below {}", self.unit.text(limit)),
                Requirement::Nothing => "-".to_owned(),
            },
            verdict.to_owned(),
            self.until_complete.as_ref().map_or_else(String::new, |complete| complete.text(self.unit)),
        ]
    }
}

/// What the cells of a row are, with the reference tool's name.
pub(crate) fn headings(reference: &str) -> Vec<String> {
    ["bench", "rounds", reference, "tribune", "ratio", "required", "verdict", "until complete"]
        .map(str::to_owned)
        .into()
}

impl UntilComplete {
    fn text(&self, unit: Unit) -> String {
        let ratio = self.ours.times_less_than(&self.reference).map_or_else(String::new, times);
        format!("{} : {} = {ratio}", unit.text(self.reference.median), unit.text(self.ours.median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(reference: Reading, required: Requirement) -> Row {
        let ours = Figures::of(vec![0.5, 0.25, 1.5]).unwrap();
        Row { name: "create-6".into(), unit: Unit::Seconds, reference, ours, until_complete: None, required }
    }

    #[test]
    fn a_row_says_both_medians_with_their_range_and_the_verdict() {
        let reference = Figures::of(vec![2.0, 2.5, 1.0]).unwrap();
        let mut row = row(Reading::Took(reference.clone()), Requirement::TimesFaster(4.0));
        row.until_complete = Some(UntilComplete { reference, ours: row.ours.clone() });
        assert_eq!(
            row.cells(),
            [
                "create-6",
                "3",
                "2.00 s [1.00 s .. 2.50 s]",
                "500 ms [250 ms .. 1.50 s]",
                "4.0 x",
                "at least 4.0 x",
                "met",
                "2.00 s : 500 ms = 4.0 x",
            ]
        );
        row.required = Requirement::TimesFaster(4.1);
        assert_eq!(row.cells()[6], "NOT MET");
    }

    #[test]
    fn a_reference_that_hangs_has_no_ratio() {
        let row = row(Reading::Hangs(10.0), Requirement::Below(1.2));
        assert_eq!(row.cells()[1..5], ["1 : 3", "hangs (killed after 10 s)", "500 ms [250 ms .. 1.50 s]", "-"]);
        assert_eq!(row.verdict(), Verdict::Met);
    }

    #[test]
    fn there_is_a_cell_for_each_heading() {
        let row = row(Reading::Hangs(10.0), Requirement::Nothing);
        assert_eq!(row.cells().len(), headings("redis-cli").len());
    }
}
