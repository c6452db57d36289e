//! One recording's way through the workers: samples are pushed in, a transcript comes out.
//!
//! Windows are handed out as they are cut and their results are put back in order, so all workers may work on one
//! recording. At most one window of it more than the engine has lanes is in memory at a time: [`Session::push`] blocks above that. All
//! methods block; call them on a thread that may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::assemble::{DecodedWindow, Parts};
use super::crosstalk::{Leak, LeakMeter};
use super::language::{Ballot, certain};
use super::pool::{Answer, Job, Pool, Reply, ReplySlot, Task, replies};
use super::speech::{LanguageChoice, SpeechToText};
use super::timing::Levels;
use super::voice::FRAME_SAMPLES;
use super::windows::{Cut, Cutter};
use super::{EngineError, Hints, SpeechWindow, SttError, Watch, WindowTranscript, ladder};
use crate::domain::{Channel, ChannelMode, Language, LanguageVerdict, Span, Transcript, samples_to_ms};

/// What is known about the recording's language.
enum LanguageState {
    /// Windows wait until enough of them have voted.
    Voting {
        allowed: Vec<Language>,
        ballot: Ballot,
        waiting: Vec<Cutting>,
    },
    Decided(LanguageVerdict),
}

/// A window and the samples of its channel that are done once it is decoded: from the end of the one before.
struct Cutting {
    window: SpeechWindow,
    covers: u64,
}

/// What is remembered of a window that is being decoded.
struct Pending {
    channel: Channel,
    span: Span,
    covers: u64,
    levels: Levels,
    voiced: Vec<Span>,
    hints: Hints,
    /// When it was handed out.
    since: Instant,
    /// What the first model heard, once the second is asked.
    first: Option<WindowTranscript>,
}

/// Stands in for a frame that carries nothing but the other channel's sound.
const MUTED: [f32; FRAME_SAMPLES] = [0.0; FRAME_SAMPLES];

/// One recording. Dropping it gives up what is not decoded yet.
pub struct Session<'a> {
    speech: &'a SpeechToText,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
    cutters: Vec<(Channel, Cutter)>,
    leaks: LeakMeter,
    /// Samples of each channel that do not fill a frame yet.
    waiting: Vec<Vec<f32>>,
    prompt: Option<String>,
    /// End of the last cut of each channel.
    cut_until: Vec<u64>,
    language: LanguageState,
    reply_to: Sender<Reply>,
    replies: Receiver<Reply>,
    submitted: usize,
    pending: BTreeMap<usize, Pending>,
    decoded: BTreeMap<usize, DecodedWindow>,
    non_speech: Vec<(Channel, Span)>,
    /// What was muted of each channel.
    muted: Vec<(Channel, Span)>,
    done_samples: u64,
    progress_ms: Arc<AtomicU64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        speech: &'a SpeechToText,
        mode: ChannelMode,
        prompt: Option<String>,
        cancel: &CancellationToken,
    ) -> Self {
        let cancel = cancel.child_token();
        let channels = mode.channels();
        let cutter = |channel: Channel| (channel, Cutter::new(channel, speech.guard.speech_threshold));
        let language = match &speech.choice {
            LanguageChoice::Fixed(language) => LanguageState::Decided(certain(language.clone())),
            LanguageChoice::Among(allowed) => {
                LanguageState::Voting { allowed: allowed.clone(), ballot: Ballot::default(), waiting: Vec::new() }
            }
        };
        let (reply_to, replies) = replies();
        Self {
            speech,
            _cancel_on_drop: cancel.clone().drop_guard(),
            cancel,
            cutters: channels.iter().copied().map(cutter).collect(),
            leaks: LeakMeter::default(),
            waiting: vec![Vec::new(); channels.len()],
            prompt,
            cut_until: vec![0; channels.len()],
            language,
            reply_to,
            replies,
            submitted: 0,
            pending: BTreeMap::new(),
            decoded: BTreeMap::new(),
            non_speech: Vec::new(),
            muted: Vec::new(),
            done_samples: 0,
            progress_ms: Arc::default(),
        }
    }

    /// Milliseconds of the recording that are done; grows while [`push`](Self::push) and [`finish`](Self::finish) run.
    #[must_use]
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.progress_ms)
    }

    /// Takes the next samples, one block per channel, all of one length. Blocks while too many windows are waiting.
    ///
    /// # Errors
    /// The first error of a window of this recording, or cancellation. After an error the session is of no more use.
    pub fn push(&mut self, blocks: &[Vec<f32>]) -> Result<(), SttError> {
        let length = blocks.first().map_or(0, Vec::len);
        if blocks.len() != self.cutters.len() || blocks.iter().any(|block| block.len() != length) {
            return Err(SttError::Channels { got: blocks.len(), expected: self.cutters.len() });
        }
        self.check_cancelled()?;
        for (waiting, block) in self.waiting.iter_mut().zip(blocks) {
            waiting.extend_from_slice(block);
        }
        let waiting = self.waiting.first().map_or(0, Vec::len);
        self.take_frames(waiting - waiting % FRAME_SAMPLES)
    }

    /// Takes so many of the samples that wait. Channels advance together, a whole frame at a time, so that nothing
    /// depends on the size of the blocks.
    fn take_frames(&mut self, samples: usize) -> Result<(), SttError> {
        let ready: Vec<Vec<f32>> = self.waiting.iter_mut().map(|waiting| waiting.drain(..samples).collect()).collect();
        let mut cuts = Vec::new();
        for start in (0..samples).step_by(FRAME_SAMPLES) {
            let end = (start + FRAME_SAMPLES).min(samples);
            let leak = match ready.as_slice() {
                [left, right] => self.leaks.judge(&left[start..end], &right[start..end]),
                _ => Leak::None,
            };
            for (index, channel) in ready.iter().enumerate() {
                if let (Some((side, cutter)), Some(samples)) = (self.cutters.get_mut(index), channel.get(start..end)) {
                    let is_leak = matches!((index, leak), (0, Leak::Left) | (1, Leak::Right));
                    if is_leak {
                        let from = cutter.received();
                        mute(&mut self.muted, *side, Span { start: from, end: from + samples.len() as u64 });
                    }
                    cutter.push(if is_leak { &MUTED[..samples.len()] } else { samples }, &mut cuts);
                }
                self.take_cuts(index, &mut cuts)?;
            }
        }
        Ok(())
    }

    /// Decodes what is left and puts everything together. Segments are ordered by start, then channel.
    ///
    /// # Errors
    /// The first error of a window of this recording, or cancellation.
    pub fn finish(mut self) -> Result<Transcript, SttError> {
        self.take_frames(self.waiting.first().map_or(0, Vec::len))?;
        let mut cuts = Vec::new();
        for index in 0..self.cutters.len() {
            if let Some((_, cutter)) = self.cutters.get_mut(index) {
                cutter.finish(&mut cuts);
            }
            self.take_cuts(index, &mut cuts)?;
        }
        self.decide_language()?;
        while !self.pending.is_empty() {
            self.receive()?;
        }
        self.check_cancelled()?;
        self.done_samples = self.cutters.iter().map(|(_, cutter)| cutter.received()).sum();
        self.show_progress();
        Ok(self.transcript())
    }

    fn check_cancelled(&self) -> Result<(), EngineError> {
        if self.cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }

    fn take_cuts(&mut self, index: usize, cuts: &mut Vec<Cut>) -> Result<(), SttError> {
        for cut in cuts.drain(..) {
            let end = match &cut {
                Cut::Speech(window) => window.span.end,
                Cut::NonSpeech(span) => span.end,
            };
            let covers = self.cut_until.get_mut(index).map_or(0, |until| end - std::mem::replace(until, end));
            match cut {
                Cut::Speech(window) => {
                    self.take_window(Cutting { window, covers })?;
                }
                Cut::NonSpeech(span) => {
                    if let Some((channel, _)) = self.cutters.get(index) {
                        self.non_speech.push((*channel, span));
                    }
                    self.done_samples += covers;
                    self.show_progress();
                }
            }
        }
        Ok(())
    }

    fn take_window(&mut self, cutting: Cutting) -> Result<(), SttError> {
        let allowed = match &self.language {
            LanguageState::Decided(verdict) => {
                let language = verdict.language.clone();
                return self.submit(cutting, language);
            }
            LanguageState::Voting { allowed, .. } => allowed.clone(),
        };
        let Cutting { window, covers } = cutting;
        let (window, probabilities) = self.ask_for_languages(window, allowed)?;
        if let LanguageState::Voting { ballot, waiting, .. } = &mut self.language {
            ballot.vote(&probabilities);
            waiting.push(Cutting { window, covers });
            if ballot.is_decided() {
                self.decide_language()?;
            }
        }
        Ok(())
    }

    /// Asks a worker which language a window is in, and waits for the answer. Nothing else is pending while windows
    /// vote.
    fn ask_for_languages(
        &mut self,
        window: SpeechWindow,
        allowed: Vec<Language>,
    ) -> Result<(SpeechWindow, Vec<(Language, f64)>), SttError> {
        let reply = ReplySlot::new(self.submitted, self.reply_to.clone());
        let watch = Watch::new(&self.cancel);
        self.speech.pool.submit(Job { window, task: Task::Detect(allowed), watch, reply });
        match self.replies.recv().map_or(Err(EngineError::Panicked), |reply| reply.outcome)? {
            Answer::Languages(window, probabilities) => Ok((window, probabilities)),
            Answer::Text(..) => Err(EngineError::Panicked.into()),
        }
    }

    /// Ends the vote and hands out the windows that waited for it.
    fn decide_language(&mut self) -> Result<(), SttError> {
        let LanguageState::Voting { ballot, waiting, .. } = &mut self.language else { return Ok(()) };
        if waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(waiting);
        let verdict = ballot.verdict().ok_or(EngineError::NoLanguage)?;
        let language = verdict.language.clone();
        self.language = LanguageState::Decided(verdict);
        for cutting in waiting {
            self.submit(cutting, language.clone())?;
        }
        Ok(())
    }

    fn submit(&mut self, cutting: Cutting, language: Language) -> Result<(), SttError> {
        while self.pending.len() > self.speech.lanes() {
            self.receive()?;
        }
        let Cutting { window, covers } = cutting;
        let alternatives = match &self.speech.choice {
            LanguageChoice::Fixed(_) => Vec::new(),
            LanguageChoice::Among(allowed) => allowed.clone(),
        };
        let hints = Hints { language, alternatives, prompt: self.prompt.clone() };
        let index = self.submitted;
        self.submitted += 1;
        let levels = Levels::of(&window.samples, window.span);
        let voiced = window.voiced.clone();
        let (channel, span, since) = (window.channel, window.span, Instant::now());
        self.pending
            .insert(index, Pending { channel, span, covers, levels, voiced, hints: hints.clone(), since, first: None });
        self.hand_out(&self.speech.pool, index, window, hints);
        Ok(())
    }

    fn hand_out(&self, pool: &Pool, index: usize, window: SpeechWindow, hints: Hints) {
        let reply = ReplySlot::new(index, self.reply_to.clone());
        let watch = Watch::new(&self.cancel);
        pool.submit(Job { window, task: Task::Decode(hints), watch, reply });
    }

    /// Waits for the next result of any window.
    fn receive(&mut self) -> Result<(), SttError> {
        let Reply { index, outcome } = self.replies.recv().map_err(|_closed| EngineError::Panicked)?;
        let Answer::Text(window, transcript) = outcome? else { return Ok(()) };
        let Some(mut pending) = self.pending.remove(&index) else { return Ok(()) };
        let model = if pending.first.is_none() { "first" } else { "second" };
        metrics::counter!("transcribe_stt_windows_total", "model" => model).increment(1);
        metrics::counter!("transcribe_stt_passes_total", "model" => model).increment(transcript.passes.into());
        let decoding_s = pending.since.elapsed().as_secs_f64();
        metrics::histogram!("transcribe_stt_window_seconds", "model" => model).record(decoding_s);
        if pending.first.is_none()
            && let Some(second) = self.speech.second_for(&transcript)
        {
            let hints = Hints { language: transcript.language.clone(), ..pending.hints.clone() };
            pending.first = Some(transcript);
            pending.since = Instant::now();
            self.pending.insert(index, pending);
            self.hand_out(&second.pool, index, window, hints);
            return Ok(());
        }
        let Pending { channel, span, covers, levels, voiced, first, .. } = pending;
        self.done_samples += covers;
        self.show_progress();
        let (transcript, first) = match first {
            Some(first) => {
                let heard_first = (self.speech.identity().model.clone(), first.segments.clone());
                (self.choose(first, transcript), Some(heard_first))
            }
            None => (transcript, None),
        };
        self.decoded.insert(index, DecodedWindow::new(channel, span, voiced, transcript, &levels, first));
        Ok(())
    }

    /// Of two hearings of one window the one that counts, with the history of both.
    fn choose(&self, mut first: WindowTranscript, mut second: WindowTranscript) -> WindowTranscript {
        let passes = first.passes + second.passes;
        let mut refused_for = first.refused_for.clone();
        refused_for.extend(second.refused_for.iter().filter(|reason| !first.refused_for.contains(reason)));
        if ladder::is_better(&second.segments, &first.segments, &self.speech.guard) {
            (second.passes, second.refused_for, second.heard) = (passes, refused_for, first.heard);
            second
        } else {
            (first.passes, first.refused_for) = (passes, refused_for);
            first
        }
    }

    fn show_progress(&self) {
        let channels = self.cutters.len().max(1) as u64;
        let done_ms = u64::try_from(samples_to_ms(self.done_samples / channels)).unwrap_or(0);
        self.progress_ms.store(done_ms, Ordering::Relaxed);
    }

    fn transcript(&mut self) -> Transcript {
        let voted = match &self.language {
            LanguageState::Decided(verdict) => Some(verdict.clone()),
            LanguageState::Voting { .. } => None,
        };
        let windows = std::mem::take(&mut self.decoded).into_values().collect();
        let non_speech = std::mem::take(&mut self.non_speech);
        let muted = std::mem::take(&mut self.muted);
        Parts { windows, non_speech, muted, voted, guard: &self.speech.guard }.assemble()
    }
}

/// Notes that a span of a side was muted; it goes on where the last one ended, or later.
fn mute(muted: &mut Vec<(Channel, Span)>, side: Channel, span: Span) {
    match muted.last_mut() {
        Some((channel, last)) if *channel == side && last.end == span.start => last.end = span.end,
        _ => muted.push((side, span)),
    }
}

#[cfg(test)]
mod tests;
