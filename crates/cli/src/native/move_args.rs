//! How slots are to be moved, as people type it.

use super::change::ChangeArgs;
use crate::moving::MoveOptions;
use clap::{Args, ValueEnum};
use operations::moving::Pace;
use std::time::Duration;
use topology::plan::Dialect;

/// How slots are moved.
#[derive(Args, Clone, Debug)]
pub(crate) struct MoveArgs {
    /// In which way [default: the best that both servers offer]
    #[arg(long, value_enum, value_name = "WAY")]
    dialect: Option<Way>,
    /// What others may wait for an answer beyond the usual, 99 times of 100, while keys move by MIGRATE: milliseconds [default: 3]
    #[arg(long, value_name = "MS", value_parser = milliseconds)]
    latency_budget: Option<Duration>,
    /// As fast as possible, however long others wait
    #[arg(long, conflicts_with = "latency_budget")]
    max_speed: bool,
    /// Keys in one MIGRATE at most
    #[arg(long, value_name = "N", default_value_t = Pace::default().pipeline, value_parser = clap::value_parser!(u32).range(1..))]
    pipeline: u32,
    /// How long a node may be silent to the other during MIGRATE: milliseconds
    #[arg(long, value_name = "MS", default_value_t = Pace::default().timeout, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Where both nodes hold a key with different values, keep the owner's
    #[arg(long)]
    replace: bool,
}

/// How slots are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// MIGRATE, slot by slot: all servers
    Migrate,
    /// CLUSTER MIGRATESLOTS: Valkey 9.0
    MigrateSlots,
    /// CLUSTER MIGRATION IMPORT: Redis 8.4
    MigrationImport,
}

impl Way {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Migrate => Dialect::Migrate,
            Self::MigrateSlots => Dialect::MigrateSlots,
            Self::MigrationImport => Dialect::MigrationImport,
        }
    }
}

/// A number of milliseconds, `3` or `0.5`.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let typed: Result<f64, _> = text.parse();
    let parsed = typed.ok().and_then(|number| Duration::try_from_secs_f64(number / 1000.0).ok());
    parsed.filter(|budget| !budget.is_zero()).ok_or_else(|| "not a number of milliseconds above 0".to_owned())
}

impl MoveArgs {
    /// What they come to.
    pub(crate) fn options(&self, change: &ChangeArgs) -> MoveOptions {
        let pace = Pace {
            budget: if self.max_speed { None } else { self.latency_budget.or_else(|| Pace::default().budget) },
            pipeline: self.pipeline,
            timeout: self.timeout,
        };
        let dialect = self.dialect.map(Way::dialect);
        MoveOptions { dialect, pace, replace: self.replace, persistent: false, patience: change.patience() }
    }
}
