//! What can be typed.

use crate::benches::{BENCHES, Bench};
use clap::{Parser, builder::PossibleValuesParser, value_parser};
use std::path::PathBuf;
use testservers::ENGINES;

/// Runs tribune and the tool that came with a server side by side, and prints ratios.
///
/// Exit code 1 when something required is not met. It builds nothing: cargo build --release -p cli
#[derive(Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// Rounds of each bench, instead of its own number; the reference searches for owners once all the same
    #[arg(long, value_name = "N", value_parser = rounds)]
    pub(crate) rounds: Option<usize>,
    /// Only these benches
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = names())]
    pub(crate) only: Vec<String>,
    /// The servers, and the tool that came with them [default: each bench's own]
    #[arg(long, value_name = "ENGINE", num_args = 1.., value_parser = PossibleValuesParser::new(ENGINES))]
    pub(crate) engine: Vec<String>,
    /// The servers' node timeout in milliseconds; with the 15000 that they ship with, the reference takes much longer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 5000)]
    pub(crate) node_timeout: u32,
    /// The program under test [default: release/tribune of the directory where this program was built]
    #[arg(long, value_name = "PATH")]
    pub(crate) tribune: Option<PathBuf>,
    /// Write the results as JSON, too
    #[arg(long, value_name = "FILE", value_parser = value_parser!(PathBuf))]
    pub(crate) json: Option<PathBuf>,
    /// Write the ratios as a page, too
    #[arg(long, value_name = "FILE", value_parser = value_parser!(PathBuf))]
    pub(crate) page: Option<PathBuf>,
    /// List the benches and run none
    #[arg(long)]
    pub(crate) list: bool,
}

impl Arguments {
    /// Whether this bench is to run with this engine.
    pub(crate) fn wants(&self, bench: &Bench, engine: &str) -> bool {
        let named = self.only.is_empty() || self.only.iter().any(|name| name == bench.name);
        let with = if self.engine.is_empty() {
            bench.engines.contains(&engine)
        } else {
            self.engine.iter().any(|name| name == engine)
        };
        named && with
    }
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(BENCHES.iter().map(|bench| bench.name))
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=1000) => Ok(rounds),
        _ => Err("not a number from 1 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_of_words_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn several_benches_can_be_named_at_once() {
        let arguments = Arguments::try_parse_from(["bench", "--only", "size", "start", "--rounds", "2"]).unwrap();
        assert_eq!(arguments.only, ["size", "start"]);
        assert_eq!(arguments.rounds, Some(2));
        assert!(Arguments::try_parse_from(["bench", "--only", "nonsense"]).is_err());
        assert!(Arguments::try_parse_from(["bench", "--rounds", "0"]).is_err());
    }
}
