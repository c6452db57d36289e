//! What a comparison found, by day.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::ExitCode;
use crate::domain::{Difference, RunId};
use crate::lake::{CoverageRow, Table};

/// So many recordings of so much audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub recordings: u64,
    pub millis: u64,
}

impl Tally {
    /// In whole seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        (self.millis + 500) / 1_000
    }

    pub(super) fn add(&mut self, other: Self) {
        self.recordings += other.recordings;
        self.millis += other.millis;
    }
}

/// Both sides of a day. What Zoom has less what the lake has is what is missing less what was deleted in Zoom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayCoverage {
    /// Listed recordings, and their listed length.
    pub zoom: Tally,
    /// Those of them that the lake holds, those that are no longer listed, and their decoded length.
    pub lake: Tally,
    pub differences: BTreeMap<Difference, Tally>,
}

impl DayCoverage {
    pub(super) fn differ(&mut self, difference: Difference, millis: u64) {
        self.differences.entry(difference).or_default().add(Tally { recordings: 1, millis });
    }
}

/// What is left of a recording that is lost; decides what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trace {
    /// Nothing: no run has seen it.
    Nowhere,
    /// The ledger says that it was published.
    Ledger,
    /// Rows of it are in the lake.
    Lake,
}

/// A recording that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unexplained {
    pub day: Date,
    pub id: String,
    pub reason: Difference,
    /// Whose rows are missing, twice or alone.
    pub table: Table,
    pub trace: Trace,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    pub run_id: RunId,
    /// Days on which anything is listed or held.
    pub days: BTreeMap<Date, DayCoverage>,
    /// In order of day and id.
    pub unexplained: Vec<Unexplained>,
    /// What the user should know although nothing went wrong.
    pub notes: Vec<String>,
}

impl Coverage {
    #[must_use]
    pub fn total(&self) -> DayCoverage {
        let mut total = DayCoverage::default();
        for day in self.days.values() {
            total.zoom.add(day.zoom);
            total.lake.add(day.lake);
            for (difference, tally) in &day.differences {
                total.differences.entry(*difference).or_default().add(*tally);
            }
        }
        total
    }

    /// How many recordings are not as they should be for this reason.
    #[must_use]
    pub fn count(&self, reason: Difference) -> u64 {
        self.days.values().filter_map(|day| day.differences.get(&reason)).map(|tally| tally.recordings).sum()
    }

    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        if self.unexplained.is_empty() { ExitCode::Done } else { ExitCode::RecordingsFailed }
    }

    /// The rows of the table `coverage`.
    pub(super) fn rows(&self, checked_at: Timestamp) -> Vec<CoverageRow> {
        let mut rows = Vec::new();
        for (day, coverage) in &self.days {
            let row = |reason: Option<Difference>, differing: Tally| CoverageRow {
                day: day.to_string(),
                zoom_recordings: coverage.zoom.recordings,
                zoom_seconds: coverage.zoom.seconds(),
                lake_recordings: coverage.lake.recordings,
                lake_seconds: coverage.lake.seconds(),
                reason,
                recordings: differing.recordings,
                seconds: differing.seconds(),
                run_id: self.run_id.clone(),
                checked_at,
            };
            if coverage.differences.is_empty() {
                rows.push(row(None, Tally::default()));
            }
            rows.extend(coverage.differences.iter().map(|(reason, differing)| row(Some(*reason), *differing)));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_row_per_reason_and_a_day_without_a_difference_one_without() {
        let mut whole = DayCoverage::default();
        whole.zoom.add(Tally { recordings: 2, millis: 20_000 });
        whole.lake.add(Tally { recordings: 2, millis: 20_499 });
        let mut differing = whole.clone();
        differing.differ(Difference::Lost, 1_500);
        differing.differ(Difference::NotYet, 1_000);
        differing.differ(Difference::NotYet, 2_000);
        let days = [(Date::constant(2026, 11, 1), whole), (Date::constant(2026, 11, 2), differing)];
        let coverage = Coverage { run_id: RunId("r".into()), days: days.into(), unexplained: vec![], notes: vec![] };
        let rows = coverage.rows(Timestamp::UNIX_EPOCH);
        let told: Vec<_> = rows
            .iter()
            .map(|row| (row.day.as_str(), row.reason, row.recordings, row.seconds, row.lake_seconds))
            .collect();
        let expected = [
            ("2026-11-01", None, 0, 0, 20),
            ("2026-11-02", Some(Difference::NotYet), 2, 3, 20),
            ("2026-11-02", Some(Difference::Lost), 1, 2, 20),
        ];
        assert_eq!(told, expected);
        assert_eq!((coverage.count(Difference::NotYet), coverage.count(Difference::Double)), (2, 0));
        assert_eq!(coverage.total().zoom, Tally { recordings: 4, millis: 40_000 });
    }
}
