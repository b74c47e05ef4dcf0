//! Figures for people. Pure.

use crate::figures::Figures;
use serde::Serialize;

/// What figures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Seconds of wall time.
    Seconds,
    /// Millions of bytes.
    Megabytes,
    /// Hundredths of one core.
    Percent,
}

impl Unit {
    /// A figure for people: three digits that matter.
    pub(crate) fn text(self, figure: f64) -> String {
        match self {
            Self::Megabytes => format!("{figure:.1} MB"),
            Self::Percent => format!("{figure:.2} %"),
            Self::Seconds if figure >= 9.995 => format!("{figure:.1} s"),
            Self::Seconds if figure >= 0.9995 => format!("{figure:.2} s"),
            Self::Seconds if figure >= 0.09995 => format!("{:.0} ms", figure * 1000.0),
            Self::Seconds => format!("{:.1} ms", figure * 1000.0),
        }
    }

    /// The median, and from where to where the rounds went.
    pub(crate) fn figures(self, figures: &Figures) -> String {
        let median = self.text(figures.median);
        match &figures.rounds[..] {
            [_] => median,
            _ => format!("{median} [{} .. {}]", self.text(figures.least), self.text(figures.most)),
        }
    }
}

/// A ratio for people.
pub(crate) fn times(ratio: f64) -> String {
    if ratio >= 99.5 { format!("{ratio:.0} x") } else { format!("{ratio:.1} x") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        for (seconds, text) in [(0.00123, "1.2 ms"), (0.0999, "99.9 ms"), (0.0, "0.0 ms"), (31.84, "31.8 s")] {
            assert_eq!(Unit::Seconds.text(seconds), text);
        }
        assert_eq!(Unit::Megabytes.text(6.14), "6.1 MB");
    }

    #[test]
    fn a_single_round_has_no_range() {
        let text = |rounds: &[f64]| Unit::Seconds.figures(&Figures::of(rounds.to_vec()).unwrap());
        assert_eq!(text(&[2.0]), "2.00 s");
        assert_eq!(text(&[2.0, 1.0]), "1.50 s [1.00 s .. 2.00 s]");
    }

    #[test]
    fn large_ratios_have_no_decimals() {
        assert_eq!([times(2.04), times(1020.6)], ["2.0 x", "1021 x"]);
    }
}
