//! What the lake knows about a number: when the last calls with it were, and how they began.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::live::{EarlierCall, LiveCall, number_of};
use super::number::comparable;
use crate::domain::CallEvent;
use crate::lake::{HeardRecording, Lake, LakeError, Table};

/// Earlier calls that are told.
const TOLD: usize = 3;
/// Days that are looked through.
const DAYS: i64 = 30;
/// How long one look may take; what was found until then counts.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(60);
/// Answers that are kept.
const ANSWERS: usize = 1_024;
/// Characters that are told of a call.
const FIRST_WORDS: usize = 60;

/// One answer for all who ask for the same number at the same time.
type Answer = Arc<OnceCell<Vec<Remembered>>>;

/// Looks numbers up in the lake. A look never takes longer than two seconds and never fails: what cannot be read is
/// not told.
#[derive(Debug)]
pub(super) struct Lookup {
    lake: Lake,
    limit: Duration,
    answers: Mutex<HashMap<String, (Instant, Answer)>>,
}

/// A call of the past, with the id that tells whether it is the one that is going on.
#[derive(Debug, Clone)]
struct Remembered {
    call_id: Option<String>,
    call: EarlierCall,
}

impl Lookup {
    pub(super) fn new(lake: Lake) -> Self {
        Self { lake, limit: LIMIT, answers: Mutex::default() }
    }

    /// The event with the last calls of its caller before it.
    pub(super) async fn remember(&self, event: Arc<CallEvent>, now: Timestamp) -> LiveCall {
        let mut earlier_calls = Vec::new();
        if let Some(number) = number_of(&event.caller).and_then(comparable) {
            let answer = self.answer(&number);
            let remembered = answer.get_or_init(|| self.look(number, now)).await;
            let is_another = |earlier: &&Remembered| earlier.call_id.is_none() || earlier.call_id != event.call_id;
            let others = remembered.iter().filter(is_another).take(TOLD);
            earlier_calls.extend(others.map(|earlier| earlier.call.clone()));
        }
        LiveCall { event: Arc::unwrap_or_clone(event), earlier_calls }
    }

    fn answer(&self, number: &str) -> Answer {
        let now = Instant::now();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, answer)) = answers.get(number)
            && now.duration_since(*since) < HOLDS
        {
            return Arc::clone(answer);
        }
        if answers.len() >= ANSWERS {
            answers.retain(|_, (since, _)| now.duration_since(*since) < HOLDS);
        }
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        let answer = Answer::default();
        answers.insert(number.to_owned(), (now, Arc::clone(&answer)));
        answer
    }

    async fn look(&self, number: String, now: Timestamp) -> Vec<Remembered> {
        let mut found = Vec::new();
        match tokio::time::timeout(self.limit, self.look_through(&number, now, &mut found)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the lake could not be asked about a caller");
            }
            Err(_elapsed) => {
                metrics::counter!("transcribe_call_lookups_cut_short_total").increment(1);
                tracing::debug!("the lake was asked about a caller for longer than it may take");
            }
        }
        found
    }

    /// Day by day, the newest first, until there is enough.
    async fn look_through(&self, number: &str, now: Timestamp, found: &mut Vec<Remembered>) -> Result<(), LakeError> {
        let today: Option<Date> = self.lake.dt(now).parse().ok();
        let oldest = today.and_then(|today| today.checked_sub(DAYS.days()).ok());
        let oldest = oldest.map_or(Date::MIN, |oldest| self.lake.partition_of(oldest));
        let days = self.lake.days(&[Table::Recordings]).await?;
        for day in days.range(oldest..).rev() {
            let wanted = number.to_owned();
            let is_wanted = move |other: &str| comparable(other).as_deref() == Some(wanted.as_str());
            let heard = self.lake.heard_with(&day.to_string(), is_wanted).await?;
            found.extend(one_per_call(heard));
            // One more than is told: the newest may be the call that is going on.
            if found.len() > TOLD {
                break;
            }
        }
        Ok(())
    }
}

/// Of a recording that was done anew the last result, of a call with several recordings the first; the newest call
/// first.
fn one_per_call(heard: Vec<HeardRecording>) -> Vec<Remembered> {
    let mut recordings: BTreeMap<String, HeardRecording> = BTreeMap::new();
    for recording in heard {
        let is_older = |known: &HeardRecording| known.transcribed_at < recording.transcribed_at;
        if recordings.get(&recording.recording_id).is_none_or(is_older) {
            recordings.insert(recording.recording_id.clone(), recording);
        }
    }
    let mut calls: BTreeMap<String, HeardRecording> = BTreeMap::new();
    for (id, recording) in recordings {
        let call = recording.call_id.clone().unwrap_or(id);
        if calls.get(&call).is_none_or(|known| recording.started_at < known.started_at) {
            calls.insert(call, recording);
        }
    }
    let remembered = |HeardRecording { call_id, started_at, text, .. }: HeardRecording| Remembered {
        call_id,
        call: EarlierCall { started_at, first_words: first_words(&text) },
    };
    let mut calls: Vec<Remembered> = calls.into_values().map(remembered).collect();
    calls.sort_by_key(|earlier| std::cmp::Reverse(earlier.call.started_at));
    calls
}

/// The first characters of a text, in one line.
fn first_words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(FIRST_WORDS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_cut_between_characters() {
        assert_eq!(first_words(" もしもし\n佐藤です "), "もしもし 佐藤です");
        let long = "あ".repeat(61);
        assert_eq!(first_words(&long), format!("{}…", "あ".repeat(60)));
        assert_eq!(first_words(&long[3..]), "あ".repeat(60));
        assert_eq!(first_words(""), "");
    }

    #[test]
    fn a_call_of_several_recordings_and_results_is_told_once() {
        let heard = |id: &str, call: Option<&str>, start: i64, done: i64, text: &str| HeardRecording {
            recording_id: id.into(),
            call_id: call.map(str::to_owned),
            started_at: Timestamp::from_second(start).unwrap(),
            transcribed_at: Timestamp::from_second(done).unwrap(),
            text: text.into(),
        };
        let calls = one_per_call(vec![
            heard("b", Some("1"), 20, 100, "second leg"),
            heard("a", Some("1"), 10, 100, "first leg, first try"),
            heard("a", Some("1"), 10, 200, "first leg"),
            heard("c", None, 30, 100, "no call"),
        ]);
        let told: Vec<&str> = calls.iter().map(|earlier| earlier.call.first_words.as_str()).collect();
        assert_eq!(told, ["no call", "first leg"]);
    }
}
