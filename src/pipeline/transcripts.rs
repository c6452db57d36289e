//! Zoom's own transcripts of published recordings: asked for until they come or are given up, and compared with ours.
//!
//! They can come days late. Nobody waits for one: a recording without is asked for again by a later run.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::beside::Beside;
use super::item::whole_millis;
use super::publisher::Publisher;
use super::{RunError, Stop};
use crate::domain::{RecordingId, SpokenLine, TranscriptOutcome, words};
use crate::lake::{OurText, Table, ZoomSegmentRow, ZoomTranscriptRow};
use crate::queue::{DueTranscript, Parcel, QueueError, TranscriptNote};
use crate::source::{Absence, TranscriptAnswer, TranscriptSource};

/// Older recordings are not asked for.
const REACH: SignedDuration = SignedDuration::from_hours(30 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a transcript that is not there is asked for.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// When one that is being made is asked for again.
const IN_PROGRESS: SignedDuration = SignedDuration::from_mins(30);
/// How often one that fails to arrive is tried.
const MOST_TRIES: u32 = 10;
/// Transcripts asked for at the same time, within the rate limit.
const AT_ONCE: usize = 8;
/// Transcripts held at once.
const CHUNK: u32 = 16;

/// Asks for every transcript that is due.
pub(super) async fn keep(
    source: &dyn TranscriptSource,
    publisher: &Publisher,
    stop: &Stop,
    beside: &mut Beside,
) -> Result<(), RunError> {
    let mut count = Count::default();
    let now = whole_millis(Timestamp::now());
    let since = now.checked_sub(REACH).unwrap_or(now);
    // One at first: when the account allows none, one answer is enough.
    let mut limit = 1;
    loop {
        let due = publisher.outbox.due_transcripts(since, now, limit).await?;
        if due.is_empty() || stop.is_draining() {
            break;
        }
        limit = CHUNK;
        let due = without_those_in_lake(publisher, due, now).await?;
        let asked = futures::stream::iter(due)
            .map(|due| async move { (source.transcript(&due.raw_id).await, due) })
            .buffered(AT_ONCE)
            .collect::<Vec<_>>();
        let asked = tokio::select! {
            asked = asked => asked,
            () = stop.aborting() => break,
        };
        let mut answers = Vec::new();
        let mut failure = None;
        for (answer, due) in asked {
            match answer {
                Ok(answer) => answers.push((due, answer)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let is_disabled = |answer: &TranscriptAnswer| *answer == TranscriptAnswer::Absent(Absence::Disabled);
        let any_disabled = answers.iter().any(|(_due, answer)| is_disabled(answer));
        note(publisher, answers, now, &mut count).await?;
        if let Some(failure) = failure {
            beside.note_failure("Zoom's transcripts", &failure);
            break;
        }
        if any_disabled {
            break;
        }
    }
    beside.rows += publisher.deliver().await?;
    beside.lines.push(count.line());
    Ok(())
}

/// A lost ledger is not a lost lake: what stands there is not asked for again.
async fn without_those_in_lake(
    publisher: &Publisher,
    due: Vec<DueTranscript>,
    now: Timestamp,
) -> Result<Vec<DueTranscript>, RunError> {
    let days: BTreeSet<String> = due.iter().filter(|due| due.tries == 0).map(|due| due.dt.clone()).collect();
    let mut in_lake = BTreeSet::new();
    for dt in days {
        in_lake.extend(publisher.lake.transcripts_fetched(&dt).await?);
    }
    let mut left = Vec::new();
    for due in due {
        if due.tries == 0 && in_lake.contains(&due.id) {
            let (outcome, rows) = (Some(TranscriptOutcome::Fetched), Vec::new());
            let note = TranscriptNote { id: due.id, first_try_at: now, next_try_at: None, outcome, rows };
            publisher.outbox.note_transcript(note).await?;
        } else {
            left.push(due);
        }
    }
    Ok(left)
}

async fn note(
    publisher: &Publisher,
    answers: Vec<(DueTranscript, TranscriptAnswer)>,
    now: Timestamp,
    count: &mut Count,
) -> Result<(), RunError> {
    let mut wanted: BTreeMap<String, BTreeSet<RecordingId>> = BTreeMap::new();
    for (due, answer) in &answers {
        if matches!(answer, TranscriptAnswer::Lines(_)) {
            wanted.entry(due.dt.clone()).or_default().insert(due.id.clone());
        }
    }
    let mut ours = BTreeMap::new();
    for (dt, ids) in wanted {
        ours.extend(publisher.lake.texts(&dt, &ids).await?);
    }
    for (due, answer) in answers {
        let (next_try_at, outcome, lines) = match answer {
            TranscriptAnswer::Lines(lines) => (None, Some(TranscriptOutcome::Fetched), Some(lines)),
            TranscriptAnswer::Absent(absence) => {
                let (next_try_at, outcome) = after_absence(absence, &due, now);
                (next_try_at, outcome, None)
            }
        };
        let our_text = ours.remove(&due.id);
        let agreement = match (&lines, &our_text) {
            (Some(lines), Some(ours)) => Some(agreement(lines, ours).await?),
            _ => None,
        };
        count.add(outcome, lines.is_some(), agreement);
        let fingerprint = our_text.filter(|_| lines.is_some()).map(|ours| ours.fingerprint);
        let told = outcome.map(|outcome| ZoomTranscriptRow {
            recording_id: due.id.clone(),
            fetched_at: whole_millis(Timestamp::now()),
            outcome,
            agreement,
            fingerprint,
        });
        let rows = vec![
            parcel(Table::ZoomSegments, &due.dt, &segment_rows(&due.id, lines.unwrap_or_default()))?,
            parcel(Table::ZoomTranscripts, &due.dt, told.as_slice())?,
        ];
        let first_try_at = due.first_try_at.unwrap_or(now);
        publisher
            .outbox
            .note_transcript(TranscriptNote { id: due.id, first_try_at, next_try_at, outcome, rows })
            .await?;
    }
    Ok(())
}

/// When it is tried again, `None` = never; and what the lake is told, `None` = nothing new.
fn after_absence(
    absence: Absence,
    due: &DueTranscript,
    now: Timestamp,
) -> (Option<Timestamp>, Option<TranscriptOutcome>) {
    let later = |wait: SignedDuration| Some(now.checked_add(wait).unwrap_or(Timestamp::MAX));
    let is_patient = now.duration_since(due.first_try_at.unwrap_or(now)) < PATIENCE;
    match absence {
        Absence::NoFile | Absence::CannotBeMade if is_patient => (later(DAY), None),
        Absence::NoFile => (None, Some(TranscriptOutcome::None)),
        Absence::CannotBeMade | Absence::TooLarge => (None, Some(TranscriptOutcome::Failed)),
        Absence::Disabled => {
            let is_news = due.told != Some(TranscriptOutcome::Disabled);
            (later(DAY), is_news.then_some(TranscriptOutcome::Disabled))
        }
        Absence::InProgress => (later(IN_PROGRESS), None),
        Absence::NotDelivered if due.tries + 1 < MOST_TRIES => (later(SignedDuration::from_millis(1)), None),
        Absence::NotDelivered => (None, Some(TranscriptOutcome::Failed)),
    }
}

fn segment_rows(id: &RecordingId, lines: Vec<SpokenLine>) -> Vec<ZoomSegmentRow> {
    let row = |(index, line)| ZoomSegmentRow { recording_id: id.clone(), segment_index: index, line };
    (0..).zip(lines).map(row).collect()
}

fn parcel<R: Serialize>(table: Table, dt: &str, rows: &[R]) -> Result<Parcel, RunError> {
    let rows = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>();
    let rows = rows.map_err(|_serialise| QueueError::Corrupt { what: "a row of the outbox".into() })?;
    Ok(Parcel { table: table.as_str().to_owned(), dt: dt.to_owned(), rows })
}

/// Compares on a thread that may be busy for a while.
async fn agreement(lines: &[SpokenLine], ours: &OurText) -> Result<f64, RunError> {
    let theirs: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let (theirs, ours) = (theirs.join(" "), ours.text.clone());
    tokio::task::spawn_blocking(move || words::agreement(&ours, &theirs)).await.map_err(RunError::Stage)
}

/// What came of the run's asking.
#[derive(Debug, Default)]
struct Count {
    fetched: u64,
    not_ready: u64,
    given_up: u64,
    disabled: u64,
    compared: u32,
    agreement: f64,
}

impl Count {
    fn add(&mut self, outcome: Option<TranscriptOutcome>, is_fetched: bool, agreement: Option<f64>) {
        match outcome {
            Some(TranscriptOutcome::None | TranscriptOutcome::Failed) => self.given_up += 1,
            Some(TranscriptOutcome::Disabled) => self.disabled += 1,
            _ if is_fetched => self.fetched += 1,
            _ => self.not_ready += 1,
        }
        if let Some(agreement) = agreement {
            self.compared += 1;
            self.agreement += agreement;
        }
    }

    fn line(&self) -> String {
        let mut parts = vec![format!("{} fetched", self.fetched), format!("{} not ready", self.not_ready)];
        if self.given_up > 0 {
            parts.push(format!("{} given up", self.given_up));
        }
        if self.disabled > 0 {
            parts.push("not allowed by the account".to_owned());
        }
        if self.compared > 0 {
            parts.push(format!("agreement {:.2}", self.agreement / f64::from(self.compared)));
        }
        format!("Zoom's transcripts: {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn due(tries: u32, first_try_at: Option<&str>, told: Option<TranscriptOutcome>) -> DueTranscript {
        DueTranscript {
            id: RecordingId::parse("aa").unwrap(),
            raw_id: "AA".into(),
            dt: "2026-11-02".into(),
            tries,
            first_try_at: first_try_at.map(at),
            told,
        }
    }

    #[test]
    fn what_is_not_there_is_asked_for_daily_and_given_up_after_a_week() {
        let first = "2026-11-02T03:00:00Z";
        let tomorrow = Some(at("2026-11-09T02:59:59Z"));
        for (absence, given_up) in
            [(Absence::NoFile, TranscriptOutcome::None), (Absence::CannotBeMade, TranscriptOutcome::Failed)]
        {
            assert_eq!(
                after_absence(absence, &due(0, None, None), at(first)),
                (Some(at("2026-11-03T03:00:00Z")), None)
            );
            let sixth_day = after_absence(absence, &due(6, Some(first), None), at("2026-11-08T02:59:59Z"));
            assert_eq!(sixth_day, (tomorrow, None));
            let seventh_day = after_absence(absence, &due(7, Some(first), None), at("2026-11-09T03:00:00Z"));
            assert_eq!(seventh_day, (None, Some(given_up)));
        }
    }

    #[test]
    fn what_is_being_made_is_asked_for_after_half_an_hour() {
        let now = at("2026-11-02T03:00:00Z");
        let next = after_absence(Absence::InProgress, &due(50, Some("2026-11-01T00:00:00Z"), None), now);
        assert_eq!(next, (Some(at("2026-11-02T03:30:00Z")), None));
    }

    #[test]
    fn a_failed_delivery_is_for_the_next_run_and_ends_with_the_tenth() {
        let now = at("2026-11-02T03:00:00Z");
        let (next, outcome) = after_absence(Absence::NotDelivered, &due(8, None, None), now);
        assert!(next.is_some_and(|next| next > now && next < at("2026-11-02T03:00:01Z")));
        assert_eq!(outcome, None);
        let tenth = after_absence(Absence::NotDelivered, &due(9, None, None), now);
        assert_eq!(tenth, (None, Some(TranscriptOutcome::Failed)));
        assert_eq!(after_absence(Absence::TooLarge, &due(0, None, None), now), (None, Some(TranscriptOutcome::Failed)));
    }

    #[test]
    fn a_refusal_by_the_account_is_told_once_and_tried_again_the_next_day() {
        let now = at("2026-11-02T03:00:00Z");
        let tomorrow = Some(at("2026-11-03T03:00:00Z"));
        let first = after_absence(Absence::Disabled, &due(0, None, None), now);
        assert_eq!(first, (tomorrow, Some(TranscriptOutcome::Disabled)));
        let again = after_absence(Absence::Disabled, &due(1, None, Some(TranscriptOutcome::Disabled)), now);
        assert_eq!(again, (tomorrow, None));
    }

    #[test]
    fn the_summary_names_what_there_is_to_name() {
        let mut count = Count::default();
        assert_eq!(count.line(), "Zoom's transcripts: 0 fetched, 0 not ready");
        count.add(Some(TranscriptOutcome::Fetched), true, Some(1.0));
        count.add(Some(TranscriptOutcome::Fetched), true, Some(0.86));
        count.add(None, false, None);
        count.add(Some(TranscriptOutcome::None), false, None);
        assert_eq!(count.line(), "Zoom's transcripts: 2 fetched, 1 not ready, 1 given up, agreement 0.93");
    }
}
