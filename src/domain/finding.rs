//! What a check has found.

/// What stands in the way, so that the caller can say how the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Credentials or scopes.
    Credentials,
    /// The other side cannot be reached, or not now.
    Unreachable,
    /// Configuration, model or a folder of this machine.
    Configuration,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fine,
    /// It works, but should be looked at.
    Warning,
    Problem(Obstacle),
}

/// One thing that was checked. Holds no secrets and nobody's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked, in a word or two.
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    #[must_use]
    pub const fn is_problem(&self) -> bool {
        matches!(self.verdict, Verdict::Problem(_))
    }

    #[must_use]
    pub fn fine(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fine, detail: detail.into(), hint: None }
    }

    #[must_use]
    pub fn warning(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, detail: detail.into(), hint: Some(hint.into()) }
    }

    #[must_use]
    pub fn problem(name: &'static str, obstacle: Obstacle, detail: impl Into<String>, hint: Option<String>) -> Self {
        Self { name, verdict: Verdict::Problem(obstacle), detail: detail.into(), hint }
    }
}
