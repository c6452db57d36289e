//! One day of the lake: each recording once, with what is wrong with its rows.

use std::collections::{BTreeSet, HashMap};

use crate::domain::Difference;
use crate::lake::{HeldRow, Table};

/// The rows of one partition.
#[derive(Debug, Default)]
pub(super) struct LakeDay {
    rows: Vec<HeldRow>,
    /// Rows of `segments` and `words` by fingerprint, which belongs to one recording alone.
    parts: HashMap<String, Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    recording_id: String,
    segments: u64,
    words: u64,
}

/// What is wrong with the rows of a recording, and in which table.
pub(super) type Flaw = (Difference, Table);

/// A recording of the day.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The current row.
    pub(super) row: HeldRow,
    pub(super) flaw: Option<Flaw>,
}

/// Segments or words whose recording has no such row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Orphan {
    pub(super) recording_id: String,
    pub(super) table: Table,
}

impl LakeDay {
    /// Of the rows of `recordings`.
    pub(super) fn new(rows: Vec<HeldRow>) -> Self {
        Self { rows, parts: HashMap::new() }
    }

    /// Counts a row of `segments` or `words`.
    pub(super) fn count(&mut self, table: Table, recording_id: &str, fingerprint: &str) {
        if !self.parts.contains_key(fingerprint) {
            let parts = Parts { recording_id: recording_id.to_owned(), ..Parts::default() };
            self.parts.insert(fingerprint.to_owned(), parts);
        }
        if let Some(parts) = self.parts.get_mut(fingerprint) {
            match table {
                Table::Words => parts.words += 1,
                _segments => parts.segments += 1,
            }
        }
    }

    /// The recordings in order of id, and the orphans.
    pub(super) fn judge(mut self) -> (Vec<Held>, Vec<Orphan>) {
        self.rows.sort_by(|one, other| {
            let one = (&one.recording_id, one.transcribed_at, &one.fingerprint);
            one.cmp(&(&other.recording_id, other.transcribed_at, &other.fingerprint))
        });
        let mut held = Vec::new();
        for rows in self.rows.chunk_by(|one, other| one.recording_id == other.recording_id) {
            let distinct: BTreeSet<&str> = rows.iter().map(|row| row.fingerprint.as_str()).collect();
            let repeated = (distinct.len() < rows.len()).then_some((Difference::Double, Table::Recordings));
            let mut flaws: Vec<Flaw> = Vec::new();
            for row in rows {
                // Of a row that is there twice the parts are looked at once.
                let parts = self.parts.remove(row.fingerprint.as_str());
                if parts.is_some() || repeated.is_none() {
                    flaws.extend(flaw(row, &parts.unwrap_or_default()));
                }
            }
            let current = rows.last().cloned();
            let flaw = repeated.or_else(|| flaws.into_iter().next());
            held.extend(current.map(|row| Held { row, flaw }));
        }
        let orphan = |parts: Parts| Orphan {
            recording_id: parts.recording_id,
            table: if parts.segments > 0 { Table::Segments } else { Table::Words },
        };
        let mut orphans: Vec<Orphan> = self.parts.into_values().map(orphan).collect();
        orphans.sort_by(|one, other| one.recording_id.cmp(&other.recording_id));
        (held, orphans)
    }
}

/// Compares how many segments and words there are with how many its row says there are.
fn flaw(row: &HeldRow, parts: &Parts) -> Option<Flaw> {
    let words = row.words.unwrap_or(parts.words);
    if parts.segments > row.segments {
        Some((Difference::Double, Table::Segments))
    } else if parts.words > words {
        Some((Difference::Double, Table::Words))
    } else if parts.segments < row.segments {
        Some((Difference::Lost, Table::Segments))
    } else if parts.words > 0 && parts.words < words {
        // None at all: words were not asked for, and the count is that of the text.
        Some((Difference::Lost, Table::Words))
    } else {
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{Fingerprint, RecordingId};

    pub(in crate::pipeline::reconcile) fn row(id: &str, fingerprint: u64, transcribed_at: &str) -> HeldRow {
        HeldRow {
            recording_id: RecordingId::parse(id).unwrap(),
            fingerprint: Fingerprint::from_hex(format!("{fingerprint:064x}")).unwrap(),
            transcribed_at: transcribed_at.parse().unwrap(),
            source: "zoom".into(),
            owner_id: None,
            started_at: "2026-11-02T10:00:00Z".parse().unwrap(),
            ended_at: Some("2026-11-02T10:00:10Z".parse().unwrap()),
            audio_ms: 10_080,
            segments: 2,
            words: Some(3),
        }
    }

    const ONCE: &str = "2026-11-03T00:00:00Z";
    const LATER: &str = "2026-11-04T00:00:00Z";

    /// The day with these rows and so many segments and words of the fingerprint 1.
    fn day(rows: Vec<HeldRow>, segments: usize, words: usize) -> LakeDay {
        let mut day = LakeDay::new(rows);
        let fingerprint = format!("{:064x}", 1);
        (0..segments).for_each(|_| day.count(Table::Segments, "aa", &fingerprint));
        (0..words).for_each(|_| day.count(Table::Words, "aa", &fingerprint));
        day
    }

    fn flaws(day: LakeDay) -> Vec<Option<Flaw>> {
        day.judge().0.into_iter().map(|held| held.flaw).collect()
    }

    #[test]
    fn a_recording_with_all_of_its_rows_has_no_flaw() {
        assert_eq!(flaws(day(vec![row("aa", 1, ONCE)], 2, 3)), [None]);
        assert_eq!(flaws(day(vec![row("aa", 1, ONCE)], 2, 0)), [None], "words were not asked for");
        let uncounted = HeldRow { words: None, ..row("aa", 1, ONCE) };
        assert_eq!(flaws(day(vec![uncounted], 2, 0)), [None]);
    }

    #[test]
    fn the_same_row_twice_is_a_double_and_another_transcript_is_not() {
        let twice = vec![row("aa", 1, ONCE), row("aa", 1, ONCE)];
        assert_eq!(flaws(day(twice, 2, 3)), [Some((Difference::Double, Table::Recordings))]);
        let redone = vec![HeldRow { segments: 0, ..row("aa", 2, LATER) }, row("aa", 1, ONCE)];
        let (held, orphans) = day(redone, 2, 3).judge();
        assert_eq!((held.len(), held[0].row.fingerprint.as_str(), held[0].flaw), (1, &*format!("{:064x}", 2), None));
        assert_eq!(orphans, []);
    }

    #[test]
    fn rows_too_many_are_doubles_and_rows_too_few_are_lost() {
        let with = |segments, words| flaws(day(vec![row("aa", 1, ONCE)], segments, words));
        assert_eq!(with(4, 3), [Some((Difference::Double, Table::Segments))]);
        assert_eq!(with(2, 6), [Some((Difference::Double, Table::Words))]);
        assert_eq!(with(1, 3), [Some((Difference::Lost, Table::Segments))]);
        assert_eq!(with(0, 3), [Some((Difference::Lost, Table::Segments))]);
        assert_eq!(with(2, 2), [Some((Difference::Lost, Table::Words))]);
    }

    #[test]
    fn rows_whose_transcript_is_not_there_are_orphans() {
        let orphan = |table| Orphan { recording_id: "aa".into(), table };
        assert_eq!(day(vec![], 2, 3).judge().1, [orphan(Table::Segments)]);
        assert_eq!(day(vec![row("aa", 2, ONCE)], 0, 1).judge().1, [orphan(Table::Words)]);
    }
}
