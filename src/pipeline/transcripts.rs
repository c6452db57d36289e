//! Zoom's own transcripts of published recordings: asked for until they come or are given up, and compared with ours.
//!
//! They can come days late. Nobody waits for one: a recording without is asked for again by a later run.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::beside::{Beside, MOST_TROUBLES, MOST_WAITING};
use super::item::whole_millis;
use super::publisher::Publisher;
use super::{RunError, Stop};
use crate::domain::{RecordingId, SpokenLine, TranscriptOutcome, words};
use crate::failpoint;
use crate::lake::{OurText, Table, ZoomSegmentRow, ZoomTranscriptRow};
use crate::queue::{DueTranscript, Parcel, QueueError, TranscriptNote};
use crate::source::{Absence, SourceError, TranscriptAnswer, TranscriptSource};

/// Older recordings are not asked for.
const REACH: SignedDuration = SignedDuration::from_hours(30 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// How long a transcript that is not there is asked for.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// When one that is being made is asked for again.
const IN_PROGRESS: SignedDuration = SignedDuration::from_mins(30);
/// How often one that fails to arrive is tried at least, for as long as [`PATIENCE`] lasts and longer.
const LEAST_TRIES: u32 = 10;
/// Transcripts asked for at the same time, within the rate limit.
const AT_ONCE: usize = 8;
/// Transcripts asked for before it is clear whether the account allows any.
const PROBE: u32 = 8;
/// Transcripts held at once.
const CHUNK: u32 = 64;
/// What the summary calls it.
const WHAT: &str = "Zoom's transcripts";

/// Asks for every transcript that is due.
pub(super) async fn keep(
    source: &dyn TranscriptSource,
    publisher: &Publisher,
    stop: &Stop,
    beside: &mut Beside,
) -> Result<(), RunError> {
    let mut keeper = Keeper::new(source, publisher);
    let since = keeper.now.checked_sub(REACH).unwrap_or(keeper.now);
    // Few at first: when the account allows none, their answers are enough.
    let mut limit = PROBE;
    loop {
        let due = publisher.outbox.due_transcripts(since, keeper.now, limit).await?;
        if due.is_empty() {
            break;
        }
        if stop.is_draining() {
            beside.note_stop(WHAT);
            break;
        }
        limit = CHUNK;
        let due = keeper.without_those_in_lake(due).await?;
        let answers = tokio::select! {
            answers = keeper.ask(due) => answers,
            () = stop.aborting() => break,
        };
        let is_refused = answers.iter().all(|(_due, answer)| is_refused(answer)) && !answers.is_empty();
        keeper.note(answers).await?;
        if is_refused || keeper.failure.is_some() {
            break;
        }
    }
    beside.rows += keeper.delivered + publisher.deliver().await?;
    beside.lines.push(keeper.count.line());
    if let Some(failure) = keeper.failure.or_else(|| keeper.count.refusal()) {
        beside.note_failure(WHAT, &failure);
    }
    if let Some(failure) = keeper.count.forbidden_addresses() {
        beside.note_failure(WHAT, &failure);
    }
    Ok(())
}

/// Whether others are likely to be answered alike.
const fn is_refused(answer: &TranscriptAnswer) -> bool {
    matches!(answer, TranscriptAnswer::Absent(Absence::Disabled | Absence::Forbidden))
}

/// Asks for transcripts chunk by chunk.
struct Keeper<'a> {
    source: &'a dyn TranscriptSource,
    publisher: &'a Publisher,
    now: Timestamp,
    /// What the lake holds of the days that were looked up.
    in_lake: BTreeMap<String, BTreeSet<RecordingId>>,
    count: Count,
    /// Failures since the last answer.
    in_a_row: u32,
    /// Rows that are in the outbox.
    waiting: u64,
    /// Rows that went into the lake.
    delivered: u64,
    /// Why no more are asked for.
    failure: Option<SourceError>,
}

impl<'a> Keeper<'a> {
    fn new(source: &'a dyn TranscriptSource, publisher: &'a Publisher) -> Self {
        Self {
            source,
            publisher,
            now: whole_millis(Timestamp::now()),
            in_lake: BTreeMap::new(),
            count: Count::default(),
            in_a_row: 0,
            waiting: 0,
            delivered: 0,
            failure: None,
        }
    }

    /// Asks for these transcripts until something is wrong that is no single recording's fault.
    async fn ask(&mut self, due: Vec<DueTranscript>) -> Vec<(DueTranscript, TranscriptAnswer)> {
        let source = self.source;
        let mut asked = futures::stream::iter(due)
            .map(|due| async move { (source.transcript(&due.raw_id).await, due) })
            .buffered(AT_ONCE);
        let mut answers = Vec::new();
        while let Some((answer, due)) = asked.next().await {
            match answer {
                Ok(answer) => {
                    let has_failed = answer == TranscriptAnswer::Absent(Absence::Failed);
                    self.in_a_row = if has_failed { self.in_a_row + 1 } else { 0 };
                    answers.push((due, answer));
                }
                Err(failure) => self.failure = Some(failure),
            }
            if self.in_a_row >= MOST_TROUBLES {
                let explanation = format!("Zoom failed at {MOST_TROUBLES} of them in a row");
                self.failure = Some(SourceError::Unavailable { explanation, source: None });
            }
            if self.failure.is_some() {
                break;
            }
        }
        answers
    }

    /// A lost ledger is not a lost lake: what stands there is not asked for again.
    async fn without_those_in_lake(&mut self, due: Vec<DueTranscript>) -> Result<Vec<DueTranscript>, RunError> {
        let mut left = Vec::new();
        for due in due {
            if due.tries == 0 && self.is_in_lake(&due).await? {
                let (outcome, rows) = (Some(TranscriptOutcome::Fetched), Vec::new());
                let (tries, first_try_at) = (due.tries, self.now);
                let note = TranscriptNote { id: due.id, tries, first_try_at, next_try_at: None, outcome, rows };
                self.publisher.outbox.note_transcript(note).await?;
            } else {
                left.push(due);
            }
        }
        Ok(left)
    }

    async fn is_in_lake(&mut self, due: &DueTranscript) -> Result<bool, RunError> {
        if !self.in_lake.contains_key(&due.dt) {
            let fetched = self.publisher.lake.transcripts_fetched(&due.dt).await?;
            self.in_lake.insert(due.dt.clone(), fetched);
        }
        Ok(self.in_lake.get(&due.dt).is_some_and(|fetched| fetched.contains(&due.id)))
    }

    /// Writes down what came of a chunk, and into the lake once enough waits.
    async fn note(&mut self, answers: Vec<(DueTranscript, TranscriptAnswer)>) -> Result<(), RunError> {
        let mut ours = self.our_texts(&answers).await?;
        for (due, answer) in answers {
            let our_text = ours.remove(&due.id);
            self.note_one(due, answer, our_text).await?;
        }
        if self.waiting >= MOST_WAITING {
            self.delivered += self.publisher.deliver().await?;
            self.waiting = 0;
        }
        Ok(())
    }

    /// Our texts of the recordings whose transcript has come.
    async fn our_texts(
        &self,
        answers: &[(DueTranscript, TranscriptAnswer)],
    ) -> Result<BTreeMap<RecordingId, OurText>, RunError> {
        let mut wanted: BTreeMap<&str, BTreeSet<RecordingId>> = BTreeMap::new();
        for (due, answer) in answers {
            if matches!(answer, TranscriptAnswer::Lines(_)) {
                wanted.entry(&due.dt).or_default().insert(due.id.clone());
            }
        }
        let mut ours = BTreeMap::new();
        for (dt, ids) in wanted {
            ours.extend(self.publisher.lake.texts(dt, &ids).await?);
        }
        Ok(ours)
    }

    async fn note_one(
        &mut self,
        due: DueTranscript,
        answer: TranscriptAnswer,
        our_text: Option<OurText>,
    ) -> Result<(), RunError> {
        let (absence, lines) = match answer {
            TranscriptAnswer::Lines(mut lines) => {
                if let Some(redactor) = &self.publisher.redactor {
                    redactor.mask_lines(&mut lines);
                }
                (None, Some(lines))
            }
            TranscriptAnswer::Absent(absence) => (Some(absence), None),
        };
        let (next_try_at, outcome) = match absence {
            None => (None, Some(TranscriptOutcome::Fetched)),
            Some(absence) => after_absence(absence, &due, self.now),
        };
        let agreement = match (&lines, &our_text) {
            (Some(lines), Some(ours)) => Some(agreement(lines, ours).await?),
            _ => None,
        };
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
        let count = rows.iter().map(|parcel| parcel.rows.len() as u64).sum::<u64>();
        let (tries, first_try_at) = (due.tries, due.first_try_at.unwrap_or(self.now));
        let note = TranscriptNote { id: due.id, tries, first_try_at, next_try_at, outcome, rows };
        let is_noted = self.publisher.outbox.note_transcript(note).await?;
        failpoint::pass("transcript-noted");
        if is_noted {
            self.waiting += count;
            self.count.add(absence, next_try_at.is_none(), agreement);
        }
        Ok(())
    }
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
        Absence::NotDelivered | Absence::Failed | Absence::Forbidden | Absence::ForbiddenAddress => {
            if is_patient || due.tries + 1 < LEAST_TRIES {
                (later(SignedDuration::from_millis(1)), None)
            } else {
                (None, Some(TranscriptOutcome::Failed))
            }
        }
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
    forbidden: u64,
    forbidden_addresses: u64,
    compared: u32,
    agreement: f64,
}

impl Count {
    /// Counts one answer; `is_final` when it is not asked for again.
    fn add(&mut self, absence: Option<Absence>, is_final: bool, agreement: Option<f64>) {
        match absence {
            None => self.fetched += 1,
            Some(Absence::Disabled) => self.disabled += 1,
            Some(_) if is_final => self.given_up += 1,
            Some(_) => self.not_ready += 1,
        }
        self.forbidden += u64::from(absence == Some(Absence::Forbidden));
        self.forbidden_addresses += u64::from(absence == Some(Absence::ForbiddenAddress));
        if let Some(agreement) = agreement {
            self.compared += 1;
            self.agreement += agreement;
        }
    }

    /// When every answer was that it is denied.
    fn refusal(&self) -> Option<SourceError> {
        let answers = self.fetched + self.disabled + self.given_up + self.not_ready;
        let explanation = "Zoom denies every one that was asked for (status 403): let the role of the user behind the app \
                           see the recordings of Zoom Phone, or set zoom.transcripts = false";
        (answers > 0 && self.forbidden == answers).then(|| SourceError::Refused { explanation: explanation.to_owned() })
    }

    fn forbidden_addresses(&self) -> Option<SourceError> {
        let explanation = format!(
            "{} of them lie where nothing may be fetched from: if Zoom has a new file host, add it to \
             zoom.download_hosts",
            self.forbidden_addresses
        );
        (self.forbidden_addresses > 0).then_some(SourceError::Unavailable { explanation, source: None })
    }

    fn line(&self) -> String {
        let mut parts = vec![format!("{} fetched", self.fetched), format!("{} not ready", self.not_ready)];
        if self.given_up > 0 {
            parts.push(format!("{} given up", self.given_up));
        }
        if self.disabled > 0 {
            parts.push(format!("{} not allowed by the account", self.disabled));
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
    fn a_failed_delivery_is_for_the_next_run_and_ends_after_ten_tries_and_a_week() {
        let (now, week_ago) = (at("2026-11-09T03:00:00Z"), Some("2026-11-02T03:00:00Z"));
        for absence in [Absence::NotDelivered, Absence::Failed, Absence::Forbidden, Absence::ForbiddenAddress] {
            for patient in [due(0, None, None), due(8, week_ago, None), due(99, Some("2026-11-02T03:00:01Z"), None)] {
                let (next, outcome) = after_absence(absence, &patient, now);
                assert!(next.is_some_and(|next| next > now && next < at("2026-11-09T03:00:01Z")), "{absence:?}");
                assert_eq!(outcome, None);
            }
            let tenth = after_absence(absence, &due(9, week_ago, None), now);
            assert_eq!(tenth, (None, Some(TranscriptOutcome::Failed)), "{absence:?}");
        }
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
        count.add(None, true, Some(1.0));
        count.add(None, true, Some(0.86));
        count.add(Some(Absence::InProgress), false, None);
        count.add(Some(Absence::NoFile), true, None);
        assert_eq!(count.line(), "Zoom's transcripts: 2 fetched, 1 not ready, 1 given up, agreement 0.93");
    }
}
