//! One claimed recording, from fetch to a durable transcript.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp, Unit};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

use super::RunError;
use super::pace::{self, Progress};
use super::stop::Stop;
use crate::config::{LeftChannel, QueueConfig};
use crate::decode::AudioStream;
use crate::domain::{
    AudioFacts, Channel, Failure, Fingerprint, FinishedTranscript, Lease, NumberHashes, Party, Reason, Recipe,
    Recording, RecordingId, RunId, Stage, Transcript, Treatment, samples_to_ms,
};
use crate::failpoint;
use crate::fetch::kept::{KeptAudio, KeptFor};
use crate::fetch::slot::{Spool, SpoolSlot};
use crate::lake::Staging;
use crate::privacy::{NumberHasher, Redactor};
use crate::queue::{Claimed, Desk, Fenced, JobState, Settled, Settlement};
use crate::source::{FetchedAudio, RecordingSource};
use crate::stt::SpeechToText;
use crate::telemetry::{Event, Reporter};

/// How often the progress of a decode is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A recording that gets on no more for this long has stopped. The engine finds out itself before
/// ([`NO_SIGN_OF_LIFE`](crate::stt::process::NO_SIGN_OF_LIFE)), and then knows which recording it was.
const STANDSTILL: Duration = Duration::from_secs(900);

/// Everything that recordings in work share.
pub(super) struct Shop {
    pub(super) desk: Arc<dyn Desk>,
    pub(super) source: Arc<dyn RecordingSource>,
    pub(super) speech: SpeechToText,
    pub(super) recipe: Recipe,
    pub(super) staging: Staging,
    pub(super) spool: Spool,
    pub(super) reporter: Arc<Reporter>,
    pub(super) settings: QueueConfig,
    pub(super) prompt_from_call: bool,
    pub(super) left_channel: LeftChannel,
    pub(super) redactor: Option<Redactor>,
    pub(super) hasher: Option<NumberHasher>,
    /// Where audio is kept that is not thrown away at once, and how long that of finished recordings is.
    /// `None` where nobody would remove it: on a fleet's workers.
    pub(super) kept_audio: Option<KeptAudio>,
    pub(super) audio_retention: Duration,
    pub(super) stop: Stop,
    /// Downloads that succeeded since the host last failed: evidence that it is up.
    pub(super) fetched: AtomicU64,
}

/// How the work on one recording ended, as far as the run must know.
#[derive(Debug)]
pub(super) enum ItemOutcome {
    /// Its transcript is durable.
    Staged,
    /// It waits for another try.
    Waiting,
    /// The engine died with it in flight, among others.
    Crashed,
    Dead,
    /// Given back because the run is stopping, or because another process took it over.
    GivenBack,
    /// This machine or the whole run is at fault: no further claims.
    Halt(Failure),
}

/// How the work on one recording ended, before the ledger heard of it.
enum Ended {
    Finished(Box<FinishedTranscript>),
    /// With the audio, where it is still there.
    Failed(Failure, Option<SpoolSlot>),
    Aborted,
}

impl Shop {
    /// Works on one recording for `run` while extending its lease, and settles the claim.
    pub(super) async fn work_on(self: Arc<Self>, claimed: Claimed, run: &RunId) -> Result<ItemOutcome, RunError> {
        let (id, attempt, alone) = (claimed.lease.id.clone(), claimed.lease.attempt, claimed.alone);
        self.reporter.emit(Event::Claimed { id: &id, attempt, duration_s: claimed.recording.duration_s });
        failpoint::pass("claimed");
        let cancel = CancellationToken::new();
        // Whatever ends this future also ends the blocking threads that work for it.
        let _cancel_when_dropped = cancel.clone().drop_guard();
        let began = Instant::now();
        let ended = tokio::select! {
            ended = AssertUnwindSafe(self.transcribe(&claimed, run, &cancel)).catch_unwind() => {
                ended.unwrap_or_else(|_panic| Ended::Failed(panicked(Stage::Fetch), None))
            }
            () = hold(self.desk.as_ref(), &claimed.lease, self.settings.lease) => {
                self.drop_if_purged(&id).await?;
                self.reporter.emit(Event::ClaimLost { id: &id, stage: Stage::Stt });
                return Ok(ItemOutcome::GivenBack);
            }
            () = self.stop.aborting() => Ended::Aborted,
        };
        let Claimed { lease, .. } = claimed;
        let (mut audio, mut transcribed) = (None, None);
        let (settlement, outcome) = match ended {
            Ended::Finished(finished) => match self.put_aside(finished).await {
                Ok(Stored { settlement, segments, audio_ms }) => {
                    transcribed = Some(Event::Transcribed { id: &id, audio_ms, segments, elapsed: began.elapsed() });
                    (settlement, ItemOutcome::Staged)
                }
                Err(failure) => self.judge(&id, attempt, failure),
            },
            // Whoever stops this process may have stopped the engine's as well.
            Ended::Failed(failure, _audio) if self.stop.is_aborting() && failure.treatment == Treatment::Crashed => {
                (Settlement::Released, ItemOutcome::GivenBack)
            }
            Ended::Failed(failure, slot) if alone && failure.treatment == Treatment::Crashed => {
                audio = slot;
                self.accuse(&id, attempt, failure).await
            }
            Ended::Failed(failure, slot) => {
                audio = slot;
                self.judge(&id, attempt, failure)
            }
            Ended::Aborted => (Settlement::Released, ItemOutcome::GivenBack),
        };
        let failure = settlement.failure().cloned();
        match self.desk.settle(lease, settlement, Timestamp::now()).await? {
            Settled::As(state) => {
                failpoint::pass("settled");
                // Not before: who reads it may take the recording for done, whatever ends this process.
                transcribed.into_iter().for_each(|event| self.reporter.emit(event));
                if let Some(slot) = audio.filter(|_| state == JobState::Dead) {
                    self.keep_audio(&slot, KeptFor::Dead);
                }
                match (state, outcome, failure) {
                    // The ledger counts the crashes, and this was one too many.
                    (JobState::Dead, ItemOutcome::Crashed, Some(failure)) => {
                        self.reporter.emit(Event::Dead { id: &id, attempt, failure: &failure });
                        Ok(ItemOutcome::Dead)
                    }
                    (_, outcome, _) => Ok(outcome),
                }
            }
            Settled::Lost => {
                self.drop_if_purged(&id).await?;
                self.reporter.emit(Event::ClaimLost { id: &id, stage: Stage::Stage });
                Ok(ItemOutcome::GivenBack)
            }
        }
    }

    async fn transcribe(self: &Arc<Self>, claimed: &Claimed, run: &RunId, cancel: &CancellationToken) -> Ended {
        // Work that is stuck may never give its share of the spool back.
        let Ok(slot) = timeout(pace::SPOOL, self.spool.reserve(&claimed.recording, &claimed.lease)).await else {
            let detail = format!("spool_full_s={}", pace::SPOOL.as_secs());
            return Ended::Failed(Failure::new(Stage::Fetch, Reason::TimedOut, Treatment::Local, detail), None);
        };
        let began = Instant::now();
        let listed = claimed.recording.duration_s.and_then(|seconds| u64::try_from(seconds).ok());
        let limit = pace::FETCH.of(Duration::from_secs(listed.unwrap_or(0)));
        let fetching = self.source.fetch(&claimed.recording, slot.path()).instrument(info_span!("fetch"));
        let audio = match timeout(limit, fetching).await {
            Ok(Ok(audio)) => audio,
            Ok(Err(failure)) => return Ended::Failed(failure, Some(slot)),
            Err(_elapsed) => return Ended::Failed(timed_out(Stage::Fetch, limit), Some(slot)),
        };
        failpoint::pass("fetched");
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let id = &claimed.recording.id;
        self.reporter.emit(Event::Fetched { id, size_bytes: audio.bytes, elapsed: began.elapsed() });
        let pulse = Arc::new(Pulse::default());
        let names = if self.prompt_from_call { claimed.recording.names() } else { Vec::new() };
        let prompt = self.speech.prompt(&names);
        let hearing = {
            let (shop, pulse) = (Arc::clone(self), Arc::clone(&pulse));
            let (id, audio, cancel) = (id.clone(), audio.clone(), cancel.clone());
            let (span, prompt) = (info_span!("hear"), prompt.clone());
            tokio::task::spawn_blocking(move || {
                let mut slot = Some(slot);
                let heard = span.in_scope(|| shop.hear(&id, &audio, prompt, &mut slot, &cancel, &pulse));
                (heard, slot)
            })
        };
        let heard = tokio::select! {
            heard = hearing => heard,
            patience = self.stands_still(&pulse) => return Ended::Failed(timed_out(Stage::Decode, patience), None),
        };
        match heard {
            Ok((Ok((facts, transcript)), _slot)) => {
                let prompt_sha256 = prompt.map(|prompt| hex::encode(Sha256::digest(prompt)));
                Ended::Finished(Box::new(self.finished(claimed, run, facts, transcript, prompt_sha256)))
            }
            Ok((Err(failure), _slot)) if cancel.is_cancelled() && failure.reason == Reason::EngineFailed => {
                Ended::Aborted
            }
            Ok((Err(failure), slot)) => Ended::Failed(failure, slot),
            Err(_panic) => Ended::Failed(panicked(Stage::Decode), None),
        }
    }

    /// Waits until the recording gets on no more: neither a block of it nor, while it waits for the engine, the engine.
    /// Its lease is then not extended either, since its claim ends. Returns how long it stood still.
    async fn stands_still(&self, pulse: &Pulse) -> Duration {
        let patience = failpoint::value("standstill-ms").and_then(|millis| millis.parse().ok());
        let patience = patience.map_or(STANDSTILL, Duration::from_millis);
        let mut progress = Progress::watch(patience, 0, Instant::now());
        let mut look = tokio::time::interval(patience / 10);
        loop {
            look.tick().await;
            let engine = if pulse.is_in_engine.load(Ordering::Relaxed) { self.speech.signs_of_life() } else { 0 };
            let count = pulse.blocks.load(Ordering::Relaxed).wrapping_add(engine);
            if !progress.goes_on(count, Instant::now()) {
                return patience;
            }
        }
    }

    /// Decodes the file and feeds it to the engine, block by block; blocking. The slot lives as long as the file is read.
    fn hear(
        &self,
        id: &RecordingId,
        audio: &FetchedAudio,
        prompt: Option<String>,
        slot: &mut Option<SpoolSlot>,
        cancel: &CancellationToken,
        pulse: &Pulse,
    ) -> Result<(AudioFacts, Transcript), Failure> {
        let mut stream = AudioStream::open(&audio.path).map_err(|error| error.failure())?;
        let channel_mode = stream.channel_mode();
        let mut session = self.speech.session(channel_mode, prompt, cancel);
        let progress = session.progress();
        let (began, mut shown, mut decoding) = (Instant::now(), Instant::now(), Duration::ZERO);
        let mut decoded_samples = 0;
        loop {
            let asked = Instant::now();
            failpoint::pass("decoding");
            let Some(blocks) = stream.next_block().map_err(|error| error.failure())? else { break };
            decoding += asked.elapsed();
            decoded_samples += blocks.first().map_or(0, Vec::len) as u64;
            let audio = Duration::from_millis(u64::try_from(samples_to_ms(decoded_samples)).unwrap_or(0));
            for (stage, limit, took) in
                [(Stage::Decode, pace::DECODE, decoding), (Stage::Stt, pace::SPEECH, began.elapsed())]
            {
                if took > limit.of(audio) {
                    return Err(timed_out(stage, took));
                }
            }
            pulse.of_engine(|| session.push(blocks)).map_err(|error| error.failure())?;
            if shown.elapsed() >= PROGRESS_EVERY {
                shown = Instant::now();
                self.reporter.emit(Event::Progress { id, audio_ms: progress.load(Ordering::Relaxed) });
            }
        }
        let summary = stream.summary();
        failpoint::pass("decoded");
        // The rest of the work needs no file: its share of the spool is free for the next.
        if let Some(slot) = slot.take().filter(|_| !self.audio_retention.is_zero()) {
            self.keep_audio(&slot, KeptFor::Done);
        }
        let transcript = pulse.of_engine(|| session.finish()).map_err(|error| error.failure())?;
        let missing_ms = samples_to_ms(summary.cut_short_samples);
        if summary.damaged_packets > 0 || missing_ms > 0 {
            let damaged_packets = summary.damaged_packets;
            tracing::warn!(
                damaged_packets,
                missing_ms,
                "the audio is damaged or cut short; what is there was transcribed"
            );
        }
        let facts = AudioFacts {
            audio_ms: samples_to_ms(summary.samples),
            channels: i32::try_from(summary.file_channels).unwrap_or(i32::MAX),
            sample_rate_hz: i32::try_from(summary.file_rate_hz).unwrap_or(i32::MAX),
            bytes: i64::try_from(audio.bytes).unwrap_or(i64::MAX),
            sha256: audio.sha256.clone(),
            channel_mode,
            damaged_packets: i64::try_from(summary.damaged_packets).unwrap_or(i64::MAX),
            missing_ms,
        };
        Ok((facts, transcript))
    }

    fn finished(
        &self,
        claimed: &Claimed,
        run: &RunId,
        audio: AudioFacts,
        mut transcript: Transcript,
        prompt_sha256: Option<String>,
    ) -> FinishedTranscript {
        let recording: &Recording = &claimed.recording;
        if let Some(redactor) = &self.redactor {
            redactor.mask_transcript(&mut transcript);
        }
        for segment in &mut transcript.segments {
            segment.speaker = self.speaker(recording, segment.channel);
        }
        let Recipe { engine, settings_sha256, .. } = self.recipe.clone();
        let fingerprint = Fingerprint::compute(&recording.id, &audio.sha256, &self.recipe, claimed.redo);
        FinishedTranscript {
            recording: recording.clone(),
            started_at: claimed.started_at,
            dt: claimed.dt.clone(),
            audio,
            transcript,
            engine,
            settings_sha256,
            prompt_sha256,
            fingerprint,
            attempt: claimed.lease.attempt,
            run_id: run.clone(),
            transcribed_at: whole_millis(Timestamp::now()),
            number_hashes: self.hashes_of(recording),
        }
    }

    /// Moves the audio to where it stays for a while; without it the work is as good.
    fn keep_audio(&self, slot: &SpoolSlot, why: KeptFor) {
        if let Some(kept) = &self.kept_audio
            && let Err(error) = kept.keep(slot.path(), why)
        {
            tracing::warn!(kind = %error.kind(), "audio could not be kept");
        }
    }

    /// A recording that was purged while it was in work leaves no transcript behind.
    async fn drop_if_purged(&self, id: &RecordingId) -> Result<(), RunError> {
        if self.desk.purged(std::slice::from_ref(id)).await?.is_empty() {
            return Ok(());
        }
        let (staging, audio, id) = (self.staging.clone(), self.kept_audio.clone(), id.clone());
        let dropping = tokio::task::spawn_blocking(move || {
            audio.map(|audio| audio.remove_of(&id)).transpose()?;
            staging.remove_all_of(&id)
        });
        let dropped = dropping.await.map_err(RunError::Stage)?;
        dropped.map_err(|source| crate::lake::StagingError::Io { name: "of a purged recording".into(), source }.into())
    }

    fn hashes_of(&self, recording: &Recording) -> NumberHashes {
        let hash = |party: &Party| self.hasher.as_ref()?.hash(party.number.as_deref()?);
        NumberHashes { caller: hash(&recording.caller), callee: hash(&recording.callee) }
    }

    /// Who speaks on a channel; nobody can tell on the only one.
    fn speaker(&self, recording: &Recording, channel: Channel) -> Option<String> {
        let (owner, other) = recording.sides();
        let name = match (self.left_channel, channel) {
            (_, Channel::Mono) => return None,
            (LeftChannel::Owner, Channel::Left) | (LeftChannel::Other, Channel::Right) => owner,
            (LeftChannel::Other, Channel::Left) | (LeftChannel::Owner, Channel::Right) => other,
            (LeftChannel::Unknown, _) => None,
        };
        Some(name.unwrap_or(channel.as_str()).to_owned())
    }

    /// Makes the transcript durable.
    async fn put_aside(self: &Arc<Self>, finished: Box<FinishedTranscript>) -> Result<Stored, Failure> {
        let shop = Arc::clone(self);
        let span = info_span!("stage");
        let stored = tokio::task::spawn_blocking(move || {
            let _entered = span.entered();
            failpoint::pass("transcribed");
            let staged = shop.staging.put(&finished).map_err(|error| {
                let detail = format!("io_error={}", error.raw_os_error().unwrap_or(0));
                Failure::new(Stage::Stage, Reason::Disk, Treatment::Local, detail)
            })?;
            failpoint::pass("staged");
            let (bytes, audio_ms) = (staged.bytes(), finished.audio.audio_ms);
            let segments = finished.transcript.spoken().count();
            let FinishedTranscript { fingerprint, audio, .. } = *finished;
            let settlement = Settlement::Staged { fingerprint, audio_sha256: audio.sha256, bytes, audio_ms };
            Ok(Stored { settlement, segments, audio_ms })
        });
        stored
            .await
            .unwrap_or_else(|_panicked| Err(Failure::new(Stage::Stage, Reason::Disk, Treatment::Local, "panicked")))
    }
}

/// Extends the lease, of this length, until somebody else holds it or the recording is purged.
pub(super) async fn hold(desk: &dyn Desk, lease: &Lease, length: Duration) {
    let mut beat = tokio::time::interval(length / 3);
    beat.tick().await;
    loop {
        beat.tick().await;
        match desk.heartbeat(lease, Timestamp::now()).await {
            Ok(Fenced::Held) => {}
            Ok(Fenced::Lost) => return,
            Err(error) => tracing::warn!(%error, "lease could not be extended"),
        }
    }
}

/// What shows that a recording gets on.
#[derive(Debug, Default)]
struct Pulse {
    /// Blocks of samples that went through the decoder.
    blocks: AtomicU64,
    /// Whether it is the engine that it waits for.
    is_in_engine: AtomicBool,
}

impl Pulse {
    /// Does something that waits for the engine.
    fn of_engine<T>(&self, work: impl FnOnce() -> T) -> T {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.is_in_engine.store(true, Ordering::Relaxed);
        let done = work();
        self.is_in_engine.store(false, Ordering::Relaxed);
        done
    }
}

/// A bug that this recording brings to light: the others go on.
fn panicked(stage: Stage) -> Failure {
    Failure::new(stage, Reason::Undecodable, Treatment::Transient, "panicked")
}

fn timed_out(stage: Stage, took: Duration) -> Failure {
    Failure::new(stage, Reason::TimedOut, Treatment::Transient, format!("seconds={}", took.as_secs()))
}

/// A durable transcript and what is told about it.
struct Stored {
    settlement: Settlement,
    segments: usize,
    audio_ms: i64,
}

/// Timestamps in the lake have whole milliseconds.
pub(super) fn whole_millis(at: Timestamp) -> Timestamp {
    at.round(Unit::Millisecond).unwrap_or(at)
}

/// A point in time so far before `at`.
pub(super) fn before(at: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}
