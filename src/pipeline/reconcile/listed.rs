//! What Zoom lists, and what is known of each recording besides.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::packed_id::PackedId;
use crate::domain::{Difference, Reason, Recording};
use crate::queue::{JobRecord, JobState};

/// A recording that nobody has taken up yet is on its way for so long: the window of a nightly run.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_hours(26);

/// All that is listed, each recording once. A few dozen bytes are kept of each.
pub(super) type Listed = HashMap<PackedId, Entry>;

/// What is known of a recording that is not in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The ledger has it, and a run will finish it.
    Unfinished,
    /// No run will take it up again by itself.
    GivenUp { reason: Option<Reason> },
    /// The ledger says that it is in the lake.
    Published,
    /// It was purged and stays away.
    Purged,
    /// Nobody has seen it before.
    Unknown { is_recent: bool },
}

/// A listed recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The day of its start; where the ledger knows it, the one that was fixed at first sight.
    pub(super) day: Date,
    pub(super) duration_s: Option<u32>,
    pub(super) standing: Standing,
    /// Whether it was found in the lake, whole or damaged.
    pub(super) found: bool,
}

impl Entry {
    /// `day` is that of the recording's start in the lake's calendar.
    pub(super) fn new(recording: &Recording, day: Date, record: Option<&JobRecord>, now: Timestamp) -> Self {
        let standing = match record {
            Some(record) => match record.state {
                JobState::Seen | JobState::Claimed | JobState::Waiting | JobState::Staged => Standing::Unfinished,
                JobState::Dead => Standing::GivenUp { reason: record.reason.as_deref().and_then(Reason::parse) },
                JobState::Published => Standing::Published,
            },
            None => Standing::Unknown { is_recent: now.duration_since(end(recording, now)) < ON_ITS_WAY },
        };
        let fixed = record.and_then(|record| record.dt.parse().ok());
        Self { day: fixed.unwrap_or(day), duration_s: duration_s(recording), standing, found: false }
    }

    /// Why the lake does not have it.
    pub(super) fn why_missing(&self) -> Difference {
        match self.standing {
            Standing::Unfinished | Standing::Unknown { is_recent: true } => Difference::NotYet,
            Standing::GivenUp { reason } if self.is_short() && reason.is_some_and(is_about_sound) => {
                Difference::TooShort
            }
            Standing::GivenUp { .. } => Difference::Quarantined,
            Standing::Purged => Difference::Purged,
            Standing::Published | Standing::Unknown { is_recent: false } => Difference::Lost,
        }
    }

    pub(super) fn millis(&self) -> u64 {
        u64::from(self.duration_s.unwrap_or(0)) * 1_000
    }

    fn is_short(&self) -> bool {
        self.duration_s.is_some_and(|seconds| seconds <= 1)
    }
}

/// Zoom lists calls that were hung up at once although their file is empty or gone.
const fn is_about_sound(reason: Reason) -> bool {
    reason.is_about_the_file() || matches!(reason, Reason::Undecodable)
}

/// As listed, else from start to end.
fn duration_s(recording: &Recording) -> Option<u32> {
    let from_times = || {
        let span = recording.ended_at?.duration_since(recording.started_at?);
        u32::try_from(span.as_secs()).ok()
    };
    recording.duration_s.and_then(|seconds| u32::try_from(seconds).ok()).or_else(from_times)
}

fn end(recording: &Recording, now: Timestamp) -> Timestamp {
    let start = recording.start(now);
    let seconds = i64::from(recording.duration_s.unwrap_or(0));
    let from_start = start.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(start);
    recording.ended_at.unwrap_or(from_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AudioLocation, RecordingId, SourceKind};

    const NOW: &str = "2026-11-10T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn recording(start: &str, duration_s: Option<i32>) -> Recording {
        let place = AudioLocation::Download("https://zoom.us/x".into());
        let mut recording = Recording::bare(RecordingId::parse("aa").unwrap(), "aa".into(), SourceKind::Zoom, place);
        recording.started_at = Some(at(start));
        recording.duration_s = duration_s;
        recording
    }

    fn known(state: JobState, reason: Option<Reason>) -> Option<JobRecord> {
        Some(JobRecord {
            id: RecordingId::parse("aa").unwrap(),
            state,
            attempt: 1,
            started_at: at("2026-11-01T23:59:00Z"),
            dt: "2026-11-01".into(),
            reason: reason.map(|reason| reason.as_str().to_owned()),
            detail: None,
            audio_ms: None,
            fingerprint: None,
            audio_sha256: None,
            redo: 0,
        })
    }

    fn why(recording: &Recording, record: Option<&JobRecord>) -> Difference {
        Entry::new(recording, Date::constant(2026, 11, 2), record, at(NOW)).why_missing()
    }

    #[test]
    fn what_the_ledger_will_finish_is_on_its_way_however_old() {
        let old = recording("2026-01-02T00:00:00Z", Some(60));
        for state in [JobState::Seen, JobState::Claimed, JobState::Waiting, JobState::Staged] {
            assert_eq!(why(&old, known(state, None).as_ref()), Difference::NotYet, "{state:?}");
        }
    }

    #[test]
    fn what_the_ledger_says_is_published_and_the_lake_lacks_is_lost_however_new() {
        let new = recording("2026-11-10T11:00:00Z", Some(60));
        assert_eq!(why(&new, known(JobState::Published, None).as_ref()), Difference::Lost);
    }

    #[test]
    fn what_nobody_knows_is_on_its_way_for_the_window_of_a_nightly_run() {
        // It ended 26 hours ago, and a second less.
        let ended_at = |start: &str, seconds: i32| why(&recording(start, Some(seconds)), None);
        assert_eq!(ended_at("2026-11-09T09:59:00Z", 60), Difference::Lost);
        assert_eq!(ended_at("2026-11-09T09:59:00Z", 61), Difference::NotYet);
        assert_eq!(ended_at("2026-11-10T13:00:00Z", 60), Difference::NotYet, "a clock ahead of ours");
        let mut without_times = recording(NOW, None);
        without_times.started_at = None;
        assert_eq!(why(&without_times, None), Difference::NotYet);
    }

    #[test]
    fn a_dead_recording_is_too_short_only_if_it_is_and_nothing_in_it_sounds() {
        let cases = [
            (Some(1), Reason::Empty, Difference::TooShort),
            (Some(0), Reason::Undecodable, Difference::TooShort),
            (Some(1), Reason::Truncated, Difference::TooShort),
            (Some(1), Reason::NotFound, Difference::TooShort),
            (Some(2), Reason::Empty, Difference::Quarantined),
            (None, Reason::Empty, Difference::Quarantined),
            (Some(1), Reason::Forbidden, Difference::Quarantined),
            (Some(1), Reason::EngineCrash, Difference::Quarantined),
        ];
        for (duration_s, reason, expected) in cases {
            let short = recording("2026-11-01T23:59:00Z", duration_s);
            assert_eq!(why(&short, known(JobState::Dead, Some(reason)).as_ref()), expected, "{duration_s:?} {reason}");
        }
    }

    #[test]
    fn the_day_is_the_one_that_the_ledger_fixed_at_first_sight() {
        let listed = recording("2026-11-02T00:00:01Z", Some(5));
        let today = Date::constant(2026, 11, 2);
        let day = |record: Option<&JobRecord>| Entry::new(&listed, today, record, at(NOW)).day.to_string();
        assert_eq!(day(known(JobState::Seen, None).as_ref()), "2026-11-01");
        assert_eq!(day(None), "2026-11-02");
    }

    #[test]
    fn a_length_that_is_not_listed_is_from_start_to_end() {
        let mut listed = recording("2026-11-02T00:00:00Z", None);
        assert_eq!(duration_s(&listed), None);
        listed.ended_at = Some(at("2026-11-02T00:01:30Z"));
        assert_eq!(duration_s(&listed), Some(90));
    }
}
