//! One run of the main job: take up what is unfinished, list the window, transcribe, publish, sum up.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

use super::beside::{Beside, keep_beside};
use super::discover::{Discovered, Discovery, windows};
use super::error::source_exit_code;
use super::floor::Floor;
use super::item::whole_millis;
use super::lead::{Hands, Hired};
use super::publisher::{PublishedCount, Publisher};
use super::tidy::Tidied;
use super::{ExitCode, RunError, Stop, Summary};
use crate::config::{Config, PathsConfig};
use crate::domain::{RecordingId, RunId};
use crate::failpoint;
use crate::fetch::slot::Spool;
use crate::fleet::{FleetError, HOLDER};
use crate::queue::instance::{self, Fate, Instance};
use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
use crate::queue::{JobQueue, ListingMarks, Reclaimed, Redo, Scope};
use crate::source::{RecordingSource, SourceError, TimeWindow};
use crate::stt::Effort;
use crate::telemetry::{Event, Reporter};

/// A run stays for retries that come due within this time; later ones belong to the next run.
pub(super) const WAIT_FOR_RETRIES: SignedDuration = SignedDuration::from_mins(2);

/// What is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// All there is (a folder without `--since`).
    Everything,
    Span(TimeWindow),
}

/// Which finished recordings of the window a run does anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedoOrder {
    #[default]
    Nothing,
    /// What another model, other settings or another version of the program made.
    Changed,
    /// What is dead.
    Failed,
    All,
}

/// What one run is asked to do.
#[derive(Debug, Clone)]
pub struct Sweep {
    pub window: Window,
    /// Only these recordings; empty = all.
    pub recordings: BTreeSet<RecordingId>,
    /// Take up at most so many.
    pub limit: Option<u64>,
    /// What is done anew although it is finished.
    pub redo: RedoOrder,
    /// What started the run, for the `runs` table.
    pub trigger: &'static str,
}

/// Runs one sweep.
///
/// # Errors
/// What keeps the run from starting, or trouble of this machine that makes going on pointless. Trouble of single
/// recordings and of the source is part of the [`Summary`].
pub async fn run_sweep(
    config: &Config,
    source: Arc<dyn RecordingSource>,
    hands: &Hands,
    reporter: Arc<Reporter>,
    stop: Stop,
    sweep: Sweep,
) -> Result<Summary, RunError> {
    let mut run = Run::open(config, source, reporter, stop, sweep).await?;
    run.sweep(hands).await
}

/// What a sweep that only lists came to.
pub(super) struct ListedOnly {
    pub(super) summary: Summary,
    /// Whether the recordings of the window were listed to the end, whatever went wrong beside them.
    pub(super) is_whole: bool,
    /// When they can be listed again, where a limit ended the listing.
    pub(super) resume_at: Option<Timestamp>,
}

pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    started: Instant,
    pub(super) started_at: Timestamp,
    pub(super) run_id: RunId,
    pub(super) source: Arc<dyn RecordingSource>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) marks: Arc<dyn ListingMarks>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) reporter: Arc<Reporter>,
    pub(super) stop: Stop,
    pub(super) sweep: Sweep,
    pub(super) claimed: u64,
    pub(super) failed: u64,
    published: PublishedCount,
    /// When staged transcripts were last looked through for what is due.
    pub(super) looked_for_due: Instant,
    pub(super) noted: Vec<ExitCode>,
    pub(super) troubles: Vec<String>,
    notes: Vec<String>,
    pub(super) resume_at: Option<Timestamp>,
    /// Last: other processes take this one for dead once it is dropped.
    pub(super) instance: Instance,
}

impl<'a> Run<'a> {
    /// Opens everything that needs no model.
    pub(super) async fn open(
        config: &'a Config,
        source: Arc<dyn RecordingSource>,
        reporter: Arc<Reporter>,
        stop: Stop,
        sweep: Sweep,
    ) -> Result<Self, RunError> {
        let started_at = whole_millis(Timestamp::now());
        let state_dir = &config.paths.state_dir;
        let unusable = |source| RunError::State { path: state_dir.clone(), source };
        prepare_state(&config.paths)?;
        let instance = Instance::register(state_dir, random_word()).map_err(unusable)?;
        let settings = SqliteSettings::from(&config.queue);
        let ledger = Arc::new(SqliteQueue::open(&config.queue.ledger, settings)?);
        let queue: Arc<dyn JobQueue> = Arc::clone(&ledger) as _;
        let publisher = Publisher::open(config, Arc::clone(&ledger), Arc::clone(&reporter)).await?;
        let publisher = Arc::new(publisher);
        Ok(Self {
            config,
            started: Instant::now(),
            started_at,
            run_id: RunId::new(started_at, instance.id()),
            source,
            queue,
            marks: ledger,
            publisher,
            reporter,
            stop,
            sweep,
            claimed: 0,
            failed: 0,
            published: PublishedCount::default(),
            looked_for_due: Instant::now(),
            noted: Vec::new(),
            troubles: Vec::new(),
            notes: Vec::new(),
            resume_at: None,
            instance,
        })
    }

    async fn sweep(&mut self, hands: &Hands) -> Result<Summary, RunError> {
        self.hold_what_is_out().await?;
        self.take_back().await?;
        self.tidy_up().await?;
        self.publisher.forget_what_is_old().await?;
        let only = (!self.sweep.recordings.is_empty()).then(|| self.sweep.recordings.clone());
        let scope = Scope { source: self.config.source, only };
        // What has changed is known only with the engine that would do it.
        let mut hired = None;
        let redo = match self.sweep.redo {
            RedoOrder::Nothing => Redo::Nothing,
            RedoOrder::Failed => Redo::Failed,
            RedoOrder::All => Redo::All,
            RedoOrder::Changed => {
                let hired = hired.insert(self.hire(hands).await?);
                Redo::Changed(hired.shop.as_ref().ok_or(FleetError::NoEngine)?.recipe.clone())
            }
        };
        let discovered = self.discover(&scope, &redo).await?;
        failpoint::pass("listed");
        let to_do = self.queue.counts(&scope).await?;
        let open = to_do.seen + to_do.waiting;
        self.reporter.emit(Event::Listed {
            found: discovered.found,
            done_before: discovered.done_before,
            to_do: self.sweep.limit.map_or(open, |limit| limit.min(open)),
            audio_s: to_do.open_audio_s,
        });
        // After a listing that broke off the work that is known goes on; after a refusal it would be refused as well.
        let is_pointless =
            matches!(discovered.failure, Some(SourceError::Refused { .. } | SourceError::Misconfigured { .. }));
        // What a fleet reported is settled whatever there is to do.
        let is_fleet = self.config.fleet().is_some();
        if (open > 0 || is_fleet) && !is_pointless && !self.stop.is_draining() {
            let Hired { crew, shop, out } = match hired {
                Some(hired) => hired,
                None => self.hire(hands).await?,
            };
            let mut floor = Floor::new(crew);
            out.into_iter().for_each(|(claimed, run)| floor.begin(claimed, run));
            let processed = self.process(&scope, &mut floor).await;
            if processed.is_err() {
                // The others are innocent: their claims are given back before the run ends.
                self.stop.abort();
                while floor.next().await.is_some() {}
            }
            processed?;
            if let (Some(shop), Some(models)) = (shop, hands.models()) {
                let (first, second) = shop.speech.effort();
                let second = second.zip(models.second.as_ref());
                self.notes.extend(second.map(|(second, model)| cost_of(&model.name, second, first)));
            }
        }
        self.note_publication(self.publisher.publish_all().await?);
        let is_over = |run: &RunId| *run == self.run_id || !self.is_alive(run.instance());
        let reported = self.publisher.report_dead(is_over).await?;
        let kept_rows = self.keep_beside(&discovered).await?;
        let not_found = self.not_found(&discovered).await?;
        self.tell_of_purged(&discovered).await?;
        let left = self.queue.counts(&scope).await?;
        let waiting = left.seen + left.waiting + left.staged;
        if waiting == left.waiting {
            let next_due = self.queue.next_due(&scope).await?;
            self.resume_at = self.resume_at.or(next_due.filter(|due| *due > Timestamp::now() + WAIT_FOR_RETRIES));
        }
        if left.claimed > 0 {
            self.notes.push(format!("{} recordings are in work in another process", left.claimed));
            if self.config.fleet().is_some() {
                self.noted.push(ExitCode::WorkRemains);
            }
        }
        let summary = self.sum_up(&discovered, waiting, not_found);
        let changed =
            self.claimed + self.published.recordings + reported + discovered.new + discovered.redone + kept_rows > 0;
        self.write_down(&summary, changed).await?;
        Ok(summary)
    }

    /// A sweep that only lists, for a service in which others work: what is new waits in the ledger. `beside` = also
    /// what stands beside the recordings.
    pub(super) async fn list_only(&mut self, beside: bool) -> Result<ListedOnly, RunError> {
        let scope = Scope { source: self.config.source, only: None };
        self.publisher.take_over_tombstones().await?;
        self.publisher.end_purges().await?;
        self.publisher.forget_what_is_old().await?;
        let discovered = self.discover(&scope, &Redo::Nothing).await?;
        let is_whole = discovered.failure.is_none() && !self.stop.is_aborting();
        let resume_at = self.resume_at;
        let kept_rows = if beside { self.keep_beside(&discovered).await? } else { 0 };
        let summary = self.sum_up(&discovered, 0, BTreeSet::new());
        self.write_down(&summary, discovered.new + kept_rows > 0).await?;
        Ok(ListedOnly { summary, is_whole, resume_at })
    }

    /// Keeps what stands beside the recordings; returns how many rows that were.
    async fn keep_beside(&mut self, discovered: &Discovered) -> Result<u64, RunError> {
        let beside = if discovered.failure.is_some() {
            // What an earlier crash left is written all the same.
            Beside { rows: self.publisher.deliver().await?, ..Beside::default() }
        } else {
            keep_beside(self.source.as_ref(), &self.publisher, &self.sweep, &self.run_id, &self.stop).await?
        };
        self.noted.extend(beside.codes);
        self.troubles.extend(beside.troubles);
        self.notes.extend(beside.lines);
        self.resume_at = self.resume_at.max(beside.resume_at);
        Ok(beside.rows)
    }

    async fn write_down(&self, summary: &Summary, changed: bool) -> Result<(), RunError> {
        if changed {
            failpoint::pass("summed-up");
            self.publisher.write_run(&summary.row(self.sweep.trigger, self.started_at)).await?;
            failpoint::pass("run-put");
        }
        Ok(())
    }

    /// Whether the process that registered as `id` runs; this one does.
    pub(super) fn is_alive(&self, id: &str) -> bool {
        id == self.instance.id() || instance::is_alive(&self.config.paths.state_dir, id)
    }

    /// Claims of processes that died come back; those that are out of attempts are dead. Returns how many came back.
    pub(super) async fn take_back(&mut self) -> Result<u64, RunError> {
        let state_dir = &self.config.paths.state_dir;
        // A run over a folder beside a fleet has the same ledger.
        let is_fleet = self.config.queue.fleet.is_some();
        let runs = |id: &str| id == self.instance.id() || (is_fleet && id == HOLDER);
        let fate = |id: &str| if runs(id) { Fate::Runs } else { instance::fate(state_dir, id) };
        let Reclaimed { back, died } = self.queue.reclaim(&fate, &self.run_id, Timestamp::now()).await?;
        failpoint::pass("taken-back");
        if back + died > 0 {
            self.reporter.emit(Event::TakenBack { jobs: back + died });
        }
        self.failed += died;
        Ok(back)
    }

    /// What an earlier run left when it was cut short is taken up, or removed where nobody needs it.
    pub(super) async fn tidy_up(&mut self) -> Result<(), RunError> {
        let paths = &self.config.paths;
        let unusable = |source| RunError::State { path: paths.state_dir.clone(), source };
        // Not before the claims of the dead were taken back: their files tell that they did not end in order.
        instance::sweep(&paths.state_dir).map_err(unusable)?;
        Spool::remove_abandoned(&paths.spool_dir(), &|id| self.is_alive(id)).map_err(unusable)?;
        // What was purged is known before anything that was left is taken up.
        self.publisher.take_over_tombstones().await?;
        let tidied = self.publisher.tidy_up(self.queue.as_ref()).await?;
        if tidied != Tidied::default() {
            self.reporter.emit(Event::TidiedUp { adopted: tidied.adopted, removed: tidied.removed });
        }
        self.publisher.end_purges().await
    }

    async fn discover(&mut self, scope: &Scope, redo: &Redo) -> Result<Discovered, RunError> {
        self.reporter.emit(Event::Listing { source: self.config.source.as_str() });
        let unfinished = self.queue.counts(scope).await?.unfinished();
        let mut room = self.sweep.limit.map_or(u64::MAX, |limit| limit.saturating_sub(unfinished));
        let mut all = Discovered::default();
        for window in windows(&self.sweep, Some(self.queue.as_ref())).await? {
            let discovery = Discovery {
                source: self.source.as_ref(),
                queue: self.queue.as_ref(),
                marks: self.marks.as_ref(),
                lake: &self.publisher.lake,
                reporter: self.reporter.as_ref(),
                window,
                only: (!self.sweep.recordings.is_empty()).then_some(&self.sweep.recordings),
                room,
                redo,
                now: Timestamp::now(),
            };
            let found = tokio::select! {
                found = discovery.run() => found?,
                () = self.stop.aborting() => break,
            };
            room = room.saturating_sub(found.new + found.redone);
            all.merge(found);
            if all.failure.is_some() {
                break;
            }
        }
        if all.resumed_slices > 0 {
            let slices = all.resumed_slices;
            self.notes.push(format!("the listing went on where an earlier run broke off ({slices} slices were done)"));
        }
        if let (Some(reach), Window::Span(asked)) = (self.source.reaches_back_to(), &self.sweep.window)
            && asked.since < reach
        {
            let day = reach.strftime("%Y-%m-%d");
            self.notes.push(format!("Zoom lists a user's recordings of six months only: none before {day} were found"));
        }
        for unknown in &all.unknown_owners {
            self.noted.push(source_exit_code(unknown));
            self.troubles.push(unknown.to_string());
        }
        if let Some(failure) = &all.failure {
            if let SourceError::LimitReached { resumes_at } = failure {
                self.resume_at = Some(*resumes_at);
            }
            self.noted.push(source_exit_code(failure));
            self.troubles.push(describe(failure));
        }
        Ok(all)
    }

    pub(super) fn note_publication(&mut self, published: PublishedCount) {
        self.published.recordings += published.recordings;
        self.published.audio_ms += published.audio_ms;
    }

    /// Says why recordings that are listed or asked for stay away.
    async fn tell_of_purged(&mut self, discovered: &Discovered) -> Result<(), RunError> {
        let asked: Vec<RecordingId> = self.sweep.recordings.iter().cloned().collect();
        for (id, reason) in self.queue.purged(&asked).await? {
            self.notes.push(format!("{id} was purged ({}) and is not taken up again", reason.as_str()));
        }
        if discovered.purged > 0 && asked.is_empty() {
            self.notes.push(format!("{} of the window were purged and are not taken up again", discovered.purged));
        }
        Ok(())
    }

    async fn not_found(&self, discovered: &Discovered) -> Result<BTreeSet<RecordingId>, RunError> {
        let mut not_found = BTreeSet::new();
        if discovered.failure.is_none() {
            for id in self.sweep.recordings.difference(&discovered.matched) {
                if self.queue.record(id).await?.is_none()
                    && self.queue.purged(std::slice::from_ref(id)).await?.is_empty()
                {
                    not_found.insert(id.clone());
                }
            }
        }
        Ok(not_found)
    }

    fn sum_up(&mut self, discovered: &Discovered, waiting: u64, not_found: BTreeSet<RecordingId>) -> Summary {
        if self.failed > 0 || !not_found.is_empty() {
            self.noted.push(ExitCode::RecordingsFailed);
        }
        if waiting > 0 {
            self.noted.push(ExitCode::WorkRemains);
        }
        if self.stop.is_aborting() {
            self.noted.push(ExitCode::Interrupted);
        }
        Summary {
            run_id: self.run_id.clone(),
            listed: discovered.found + discovered.listed.repeated,
            done: self.published.recordings,
            skipped: discovered.done_before + discovered.dead_before + discovered.purged + discovered.listed.repeated,
            failed: self.failed,
            waiting,
            audio_ms: self.published.audio_ms,
            elapsed: self.started.elapsed(),
            dead_before: discovered.dead_before,
            left_out: discovered.left_out,
            unusable: discovered.listed.unusable,
            not_found,
            troubles: std::mem::take(&mut self.troubles),
            notes: std::mem::take(&mut self.notes),
            resume_at: self.resume_at,
            exit_code: ExitCode::heaviest(&self.noted),
            queue: Arc::clone(&self.queue),
        }
    }
}

/// What the second model had to do, beside what the first did: the share of windows and of the time.
fn cost_of(name: &str, second: Effort, first: Effort) -> String {
    let share = second.decoding.as_secs_f64() / (first.decoding + second.decoding).as_secs_f64().max(0.001);
    format!(
        "{name} heard {} of {} windows again, which took {:.0} % of the decoding time",
        second.windows,
        first.windows,
        100.0 * share
    )
}

/// A failed listing with its cause, for the summary.
pub(super) fn describe(failure: &SourceError) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Makes the state folder, or closes an existing one for everybody but its owner.
///
/// # Errors
/// [`RunError::State`] when that cannot be done.
pub fn prepare_state(paths: &PathsConfig) -> Result<(), RunError> {
    make_private(&paths.state_dir).map_err(|source| RunError::State { path: paths.state_dir.clone(), source })
}

/// Makes the folder, or closes an existing one, for everybody but its owner.
pub(super) fn make_private(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

pub(super) fn random_word() -> String {
    format!("{:08x}", rand::rng().random::<u32>())
}
