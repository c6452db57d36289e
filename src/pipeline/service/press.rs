//! When what is finished is published: fresh calls at once, others when there is enough of them or they have waited.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{PAUSE, Tunables, joined};
use crate::pipeline::RunError;
use crate::pipeline::publisher::{PublishedCount, Publisher};

/// Calls that ended within this time are published at once.
const FRESH: SignedDuration = SignedDuration::from_hours(24);
/// What waits for its time is not looked at more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What was published, and how many rows beside it were written.
pub(super) type Published = Result<(PublishedCount, u64), RunError>;

/// Finished transcripts on their way into the lake: one publication at a time.
pub(super) struct Press {
    publisher: Arc<Publisher>,
    tunables: watch::Receiver<Tunables>,
    /// When the calls ended that were finished since the last publication began, and those that it is writing.
    finished: Vec<Option<Timestamp>>,
    being_published: Vec<Option<Timestamp>>,
    running: Option<JoinHandle<Published>>,
    due_at: Option<Instant>,
    /// When the last publication began, and the one before.
    began_at: Option<Instant>,
    began_before: Option<Instant>,
}

impl Press {
    pub(super) fn new(publisher: Arc<Publisher>, tunables: watch::Receiver<Tunables>) -> Self {
        Self {
            publisher,
            tunables,
            finished: Vec::new(),
            being_published: Vec::new(),
            running: None,
            // What an earlier process finished is published first of all.
            due_at: Some(Instant::now()),
            began_at: None,
            began_before: None,
        }
    }

    /// Takes a finished transcript of a call that ended then.
    pub(super) fn take(&mut self, call_ended_at: Option<Timestamp>) {
        self.finished.push(call_ended_at);
        self.plan(call_ended_at);
    }

    /// Plans a publication for a call that ended then. A fresh call is published at once, but files are not made more
    /// often than `lake.fresh_every`; others wait for company.
    pub(super) fn plan(&mut self, call_ended_at: Option<Timestamp>) {
        let now = Instant::now();
        let is_fresh = call_ended_at.is_none_or(|end| Timestamp::now().duration_since(end) < FRESH);
        let Tunables { fresh_every, flush_every, .. } = *self.tunables.borrow();
        self.plan_by(match (is_fresh, self.began_at) {
            (true, None) => now,
            (true, Some(last)) => now.max(last + fresh_every),
            (false, _) => now + flush_every,
        });
    }

    fn plan_by(&mut self, at: Instant) {
        self.due_at = Some(self.due_at.map_or(at, |planned| planned.min(at)));
    }

    /// When the next publication can begin; `None` while one runs, and when none is planned.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.due_at.filter(|_| !self.is_running())
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins a publication if one is due.
    pub(super) fn begin(&mut self) {
        if self.due_at().is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.due_at = None;
        // What is finished while it runs waits its time as well.
        self.began_before = self.began_at.replace(Instant::now());
        self.being_published.append(&mut self.finished);
        let publisher = Arc::clone(&self.publisher);
        let fresh_since = Timestamp::now().checked_sub(FRESH).unwrap_or(Timestamp::MIN);
        let flush_every = self.tunables.borrow().flush_every;
        self.running = Some(tokio::spawn(async move {
            let published = publisher.publish_due(flush_every, Some(fresh_since)).await?;
            Ok((published, publisher.deliver().await?))
        }));
    }

    /// Ends when the publication that runs does; never without one.
    pub(super) async fn ended(&mut self) -> Published {
        joined(self.running.as_mut()).await
    }

    /// Publishes everything that is finished, whatever there is of it.
    pub(super) async fn publish_all(&mut self) -> Published {
        self.being_published.append(&mut self.finished);
        let published = self.publisher.publish_all().await?;
        Ok((published, self.publisher.deliver().await?))
    }

    /// Takes note of how a publication ended.
    pub(super) fn note(&mut self, published: Published) -> Result<PublishedCount, RunError> {
        self.running = None;
        let (count, rows) = published.inspect_err(|_error| self.due_at = Some(Instant::now() + PAUSE))?;
        let written = std::mem::take(&mut self.being_published);
        if count.recordings + rows == 0 {
            // There is no file that another one would come too soon after.
            self.began_at = self.began_before;
        } else {
            for end in written.into_iter().flatten() {
                let latency = Timestamp::now().duration_since(end).as_secs_f64();
                metrics::histogram!("transcribe_end_of_call_to_row_seconds").record(latency.max(0.0));
            }
        }
        if count.left > 0 {
            let flush_every = self.tunables.borrow().flush_every;
            self.plan_by(Instant::now() + flush_every.max(LOOK_EVERY));
        }
        Ok(count)
    }
}
