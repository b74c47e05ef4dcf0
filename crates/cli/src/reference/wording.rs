//! What the two tools call things.

use topology::Engine;

/// The tool whose lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wording {
    /// redis-cli.
    Redis,
    /// valkey-cli.
    Valkey,
}

impl Wording {
    /// The tool that a program's name stands for.
    pub(crate) fn of_program(name: &str) -> Option<Self> {
        match name {
            "redis-cli" => Some(Self::Redis),
            "valkey-cli" => Some(Self::Valkey),
            _ => None,
        }
    }

    pub(crate) const fn of_engine(engine: Engine) -> Self {
        match engine {
            Engine::Redis => Self::Redis,
            Engine::Valkey => Self::Valkey,
        }
    }

    pub(crate) const fn primary(self) -> &'static str {
        match self {
            Self::Redis => "master",
            Self::Valkey => "primary",
        }
    }

    pub(crate) const fn replica(self) -> &'static str {
        match self {
            Self::Redis => "slave",
            Self::Valkey => "replica",
        }
    }

    /// The name at the beginning of a sentence.
    pub(crate) const fn product(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }
}
