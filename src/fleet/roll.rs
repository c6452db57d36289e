//! Who works in a fleet, and how fast.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FleetError, Link};
use crate::domain::RecordingId;

/// What one worker says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerCard {
    pub host: String,
    pub pid: u32,
    pub instance: String,
    /// Of the program.
    pub version: String,
    pub model: String,
    /// Recordings that are decoded at the same time.
    pub workers: usize,
    pub in_work: Vec<RecordingId>,
    /// Finished since it started, and the audio in them.
    pub done: u64,
    pub audio_ms: u64,
    pub since: Timestamp,
    /// Seconds of audio in a second, lately; `None` before the first is finished.
    pub pace: Option<f64>,
}

impl WorkerCard {
    /// For people and logs.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.pid)
    }
}

/// The cards of the workers. A card that is not renewed for a lease is gone.
#[derive(Debug, Clone)]
pub struct Roll {
    link: Link,
}

impl Roll {
    #[must_use]
    pub const fn of(link: Link) -> Self {
        Self { link }
    }

    /// Shows the card to everybody. Where the server is away, the next one will do.
    pub async fn show(&self, card: &WorkerCard) {
        let bytes = serde_json::to_vec(card).expect("a card is plain numbers and texts");
        if let Err(error) = self.link.kept.workers.put(&card.instance, bytes.into()).await {
            tracing::debug!(%error, "the fleet was not told of this worker");
        }
    }

    pub async fn leave(&self, card: &WorkerCard) {
        let _lapses_by_itself = self.link.kept.workers.delete(&card.instance).await;
    }

    /// Every worker that is there, by name.
    ///
    /// # Errors
    /// [`FleetError::Unreachable`].
    pub async fn all(&self) -> Result<Vec<WorkerCard>, FleetError> {
        // A reader of all keys would stay on the server for minutes, and this is asked every few seconds.
        let bucket = &self.link.kept.workers;
        let subjects = bucket.stream.info_with_subjects(format!("{}>", bucket.prefix)).await;
        let mut subjects = subjects.map_err(|error| self.link.unreachable(error))?;
        let mut cards: Vec<WorkerCard> = Vec::new();
        while let Some(subject) = subjects.next().await {
            let (subject, _) = subject.map_err(|error| self.link.unreachable(error))?;
            let Some(key) = subject.strip_prefix(&bucket.prefix) else { continue };
            let card = bucket.get(key).await.map_err(|error| self.link.unreachable(error))?;
            cards.extend(card.and_then(|bytes| serde_json::from_slice(&bytes).ok()));
        }
        cards.sort_by_key(WorkerCard::name);
        Ok(cards)
    }
}

/// How much audio was finished lately.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    finished: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// What counts as lately.
    const LATELY: Duration = Duration::from_secs(600);

    #[must_use]
    pub const fn from(began: Instant) -> Self {
        Self { began, finished: VecDeque::new() }
    }

    pub fn note(&mut self, audio_ms: u64, now: Instant) {
        self.finished.push_back((now, audio_ms));
    }

    /// Seconds of audio in a second.
    pub fn per_second(&mut self, now: Instant) -> Option<f64> {
        while self.finished.front().is_some_and(|(at, _)| now.duration_since(*at) > Self::LATELY) {
            self.finished.pop_front();
        }
        let audio: u64 = self.finished.iter().map(|(_, audio_ms)| audio_ms).sum();
        let span = now.duration_since(self.began).min(Self::LATELY);
        (audio > 0).then(|| Duration::from_millis(audio).as_secs_f64() / span.as_secs_f64().max(0.001))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_ten_minutes() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::from(began);
        assert_eq!(pace.per_second(after(10)), None);
        pace.note(60_000, after(10));
        assert_eq!(pace.per_second(after(20)), Some(3.0));
        pace.note(600_000, after(700));
        assert_eq!(pace.per_second(after(710)), Some(1.0));
        assert_eq!(pace.per_second(after(1_400)), None);
    }
}
