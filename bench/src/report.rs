//! All results: as a table, as JSON, as one verdict.

use crate::{
    figures::Verdict,
    row::{Row, headings},
    table::table,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fs, thread};

/// What came of one bench.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Results.
    Rows(Vec<Row>),
    /// None.
    Failed {
        /// Its name.
        bench: &'static str,
        /// What went wrong.
        problem: String,
    },
}

/// What came of a run, and on what machine.
pub(crate) struct Report {
    /// The servers.
    pub(crate) engine: String,
    /// Processes that wanted to run, over 1, 5 and 15 minutes before the run.
    load: String,
    pub(crate) cores: usize,
    /// What came of the benches, in their order.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Report {
    /// Before anything has run.
    pub(crate) fn new(engine: &str) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { engine: engine.to_owned(), load, cores, outcomes: Vec::new() }
    }

    /// What the figures were measured on.
    pub(crate) fn heading(&self) -> String {
        format!("{}; {} cores, load average {} before this\n", self.engine, self.cores, self.load)
    }

    /// The table and a summary.
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![headings(&self.engine.replacen('-', "-cli ", 1))];
        rows.extend(self.rows().map(Row::cells));
        let failures = self.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Failed { bench, problem } => Some(format!("{bench}: NOT MET, no result: {problem}\n")),
            Outcome::Rows(_) => None,
        });
        format!("\n{}{}\n{}\n", table(&rows), failures.collect::<String>(), self.summary())
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let row = |row: &Row| json!({"result": row, "ratio": row.ratio(), "verdict": row.verdict()});
        json!({
            "engine": self.engine,
            "cores": self.cores,
            "load_average": self.load,
            "rows": self.rows().map(row).collect::<Vec<_>>(),
            "failed": self.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed { .. })).collect::<Vec<_>>(),
            "met": self.is_met(),
        })
    }

    /// Whether everything required is met.
    pub(crate) fn is_met(&self) -> bool {
        self.not_met().is_empty()
    }

    fn summary(&self) -> String {
        let not_met = self.not_met();
        let met = self.rows().filter(|row| row.verdict() == Verdict::Met).count();
        let counted = format!("{met} of {} requirements met", met + not_met.len());
        if not_met.is_empty() { counted } else { format!("{counted}; NOT MET: {}", not_met.join(", ")) }
    }

    fn not_met(&self) -> Vec<&str> {
        let names = self.outcomes.iter().flat_map(|outcome| match outcome {
            Outcome::Failed { bench, .. } => vec![*bench],
            Outcome::Rows(rows) => {
                let rows = rows.iter().filter(|row| row.verdict() == Verdict::NotMet);
                rows.map(|row| row.name.as_str()).collect()
            }
        });
        names.collect()
    }

    /// All rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.outcomes.iter().flat_map(|outcome| match outcome {
            Outcome::Rows(rows) => &rows[..],
            Outcome::Failed { .. } => &[],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{Figures, Requirement},
        row::Reading,
        unit::Unit,
    };

    fn report(required: Requirement) -> Report {
        let figures = || Figures::of(vec![1.0]).unwrap();
        let row = Row {
            name: "check-60".into(),
            unit: Unit::Seconds,
            reference: Reading::Took(figures()),
            ours: figures(),
            until_complete: None,
            required,
        };
        let outcomes = vec![Outcome::Rows(vec![row])];
        Report { engine: "redis-0.0".into(), load: "0.10 0.20 0.30".into(), cores: 2, outcomes }
    }

    #[test]
    fn the_last_line_is_the_summary() {
        let met = report(Requirement::TimesFaster(1.0));
        assert!(met.is_met());
        assert_eq!(met.text().lines().last(), Some("1 of 1 requirements met"));

        let not_met = report(Requirement::TimesFaster(2.0));
        assert!(!not_met.is_met());
        assert_eq!(not_met.text().lines().last(), Some("0 of 1 requirements met; NOT MET: check-60"));
    }

    #[test]
    fn a_bench_without_result_is_not_met() {
        let mut report = report(Requirement::Nothing);
        assert!(report.is_met());
        report.outcomes.push(Outcome::Failed { bench: "size", problem: "no file".into() });
        assert!(!report.is_met());
        assert!(report.text().contains("\nsize: NOT MET, no result: no file\n"), "{}", report.text());
        assert_eq!(report.json()["met"], false);
    }

    #[test]
    fn json_says_the_same_as_the_table() {
        let json = report(Requirement::TimesFaster(1.0)).json();
        assert_eq!(json["rows"][0]["verdict"], "met");
        assert_eq!(json["rows"][0]["ratio"], 1.0);
        assert_eq!(json["rows"][0]["result"]["reference"]["took"]["median"], 1.0);
    }
}
