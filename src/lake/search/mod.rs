//! Looking for words in what was said: the segments that count, of the last result of each recording.
//!
//! Days are read newest first, several at a time, and no further than the hits that are wanted. Of a file the texts are
//! read first; the other columns only of the rows that are shown.

mod current;
mod fold;
mod query;
mod scan;

use std::cmp::Reverse;
use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use tokio_util::task::AbortOnDropHandle;

pub use self::query::Query;
use super::error::LakeError;
use super::open::Lake;
use super::schema::Table;
use scan::Scanned;

/// How many files of one day are read at a time.
const FILES_AT_A_TIME: usize = 8;

/// How many days of a bucket are read at a time: there the waiting costs more than the work.
const DAYS_OF_A_BUCKET: usize = 16;

/// What is looked for, and how much of what is found is wanted.
#[derive(Debug, Clone)]
pub struct Search {
    pub query: Query,
    /// Recordings that started at or after this …
    pub since: Timestamp,
    /// … and before this.
    pub until: Timestamp,
    /// The most hits.
    pub limit: usize,
    /// How many segments before and after a hit.
    pub context: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The newest recording first; within a recording in the order in which it was said.
    pub hits: Vec<Hit>,
    /// Whether there are hits beyond the limit.
    pub has_more: bool,
    /// The partitions of the window that are in the lake, ordered.
    pub days: Vec<Date>,
}

/// A segment that has every word, or two where one runs on into the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The partition, `YYYY-MM-DD`.
    pub dt: String,
    pub recording_id: String,
    pub call_id: Option<String>,
    pub started_at: Timestamp,
    pub caller: Party,
    pub callee: Party,
    pub line: Line,
    pub before: Vec<Line>,
    pub after: Vec<Line>,
}

/// One end of a call, as far as the row tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    pub name: Option<String>,
    pub number: Option<String>,
}

/// What somebody says. Times are milliseconds from the start of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub start_ms: i64,
    pub end_ms: i64,
    /// `mono`, `left` or `right`.
    pub channel: String,
    pub speaker: Option<String>,
    pub text: String,
}

impl Lake {
    /// Looks for words. Which result of a recording is the last is told by its own day. Runs on the threads of the
    /// runtime that it is called in.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn search(&self, search: Search) -> Result<Found, LakeError> {
        let (first, last) = (self.dt(search.since), self.dt(last_moment(search.until)));
        let all = self.days(&[Table::Segments]).await?;
        let days: Vec<Date> = all.into_iter().filter(|day| is_between(*day, &first, &last)).collect();
        let (limit, search) = (search.limit, Arc::new(search));
        let newest_first = days.iter().rev().map(|day| {
            let (lake, search, dt) = (self.clone(), Arc::clone(&search), day.to_string());
            spawned(async move {
                match lake.hits_of_day(&dt, &search).await {
                    // Compaction may have taken a file away after it was listed; what replaced it is there.
                    Err(LakeError::Unreadable { .. }) => lake.hits_of_day(&dt, &search).await,
                    hits => hits,
                }
            })
        });
        let mut found = stream::iter(newest_first).buffered(self.days_at_a_time());
        let mut hits: Vec<Hit> = Vec::new();
        while hits.len() <= limit
            && let Some(of_day) = found.try_next().await?
        {
            hits.extend(of_day);
        }
        drop(found);
        let has_more = hits.len() > limit;
        hits.truncate(limit);
        Ok(Found { hits, has_more, days })
    }

    fn days_at_a_time(&self) -> usize {
        match self.store.folder() {
            Some(_) => std::thread::available_parallelism().map_or(1, NonZero::get) + 1,
            None => DAYS_OF_A_BUCKET,
        }
    }

    /// The hits of one day in order, all those of the newest recordings until there are more than the limit.
    async fn hits_of_day(&self, dt: &str, search: &Arc<Search>) -> Result<Vec<Hit>, LakeError> {
        let scans = self.files(Table::Segments, dt).await?.into_iter().map(|file| {
            let search = Arc::clone(search);
            spawned(async move { Scanned::read(file, search).await })
        });
        let scanned: Vec<Scanned> = stream::iter(scans).buffered(FILES_AT_A_TIME).try_collect().await?;
        let scanned: Vec<Scanned> = scanned.into_iter().filter(Scanned::has_matches).collect();
        let mut hits = Vec::new();
        if !scanned.is_empty() {
            let current = self.current_of_day(dt).await?;
            for file in &scanned {
                hits.extend(file.hits(dt, &current).await?);
            }
        }
        hits.sort_by(|one: &Hit, other: &Hit| one.place().cmp(&other.place()));
        Ok(hits)
    }
}

impl Hit {
    fn place(&self) -> impl Ord {
        (Reverse((self.started_at, self.recording_id.clone())), self.line.start_ms, self.line.channel.clone())
    }
}

/// The last moment before `until`.
#[must_use]
pub fn last_moment(until: Timestamp) -> Timestamp {
    until.checked_sub(SignedDuration::from_millis(1)).unwrap_or(Timestamp::MIN)
}

/// Whether a partition lies between those of two moments. Days of the same form are ordered like their names; before
/// the year 0 there are no calls.
fn is_between(day: Date, first: &str, last: &str) -> bool {
    let date = |dt: &str| dt.parse::<Date>().ok();
    date(first).is_none_or(|first| first <= day) && date(last).is_none_or(|last| day <= last)
}

/// Runs on a thread of its own, until nobody waits for it any more.
async fn spawned<T: Send + 'static>(
    work: impl Future<Output = Result<T, LakeError>> + Send + 'static,
) -> Result<T, LakeError> {
    let running = AbortOnDropHandle::new(tokio::spawn(work));
    running.await.map_err(|source| LakeError::ReaderDied { source })?
}

#[cfg(test)]
mod tests;
