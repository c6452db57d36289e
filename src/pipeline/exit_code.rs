//! Exit codes: what each means, and which wins when several things happened.

/// The exit codes of the program. A released number keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitCode {
    Done,
    /// A bug in this program.
    Bug,
    Usage,
    /// Unknown key, bad value, missing secret, model missing or with a wrong checksum, store not writable.
    Configuration,
    /// Recordings became dead in this run, or `reconcile` found something unexplained.
    RecordingsFailed,
    /// Run again: something is left.
    WorkRemains,
    CredentialsRefused,
    Interrupted,
}

impl ExitCode {
    /// Several at once: the first of these wins.
    const BY_WEIGHT: [Self; 8] = [
        Self::Interrupted,
        Self::Bug,
        Self::CredentialsRefused,
        Self::Configuration,
        Self::WorkRemains,
        Self::RecordingsFailed,
        Self::Usage,
        Self::Done,
    ];

    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Configuration => 3,
            Self::RecordingsFailed => 4,
            Self::WorkRemains => 5,
            Self::CredentialsRefused => 6,
            Self::Interrupted => 130,
        }
    }

    /// The one code that says what happened; nothing noted is [`ExitCode::Done`].
    #[must_use]
    pub fn heaviest(noted: &[Self]) -> Self {
        Self::BY_WEIGHT.into_iter().find(|code| noted.contains(code)).unwrap_or(Self::Done)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_outcome_decides_the_code() {
        use ExitCode::{Bug, Configuration, CredentialsRefused, Done, Interrupted, RecordingsFailed, WorkRemains};
        let order = [Interrupted, Bug, CredentialsRefused, Configuration, WorkRemains, RecordingsFailed, Done];
        for (rank, heavier) in order.iter().enumerate() {
            for lighter in &order[rank..] {
                assert_eq!(ExitCode::heaviest(&[*lighter, *heavier]), *heavier);
            }
        }
        assert_eq!(ExitCode::heaviest(&[]).number(), 0);
    }
}
