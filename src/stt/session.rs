//! One recording's way through the workers: samples are pushed in, a transcript comes out.
//!
//! Windows are handed out as they are cut and their results are put back in order, so all workers may work on one
//! recording. At most `workers + 1` windows of it are in memory at a time: [`Session::push`] blocks above that. All
//! methods block; call them on a thread that may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::language::{Ballot, certain};
use super::pool::{Answer, Job, Reply, ReplySlot, Task};
use super::speech::{LanguageChoice, SpeechToText};
use super::voice::FRAME_SAMPLES;
use super::windows::{Cut, Cutter};
use super::{DecodedSegment, EngineError, SpeechWindow, SttError, Watch};
use crate::domain::{
    Channel, ChannelMode, Language, LanguageVerdict, Segment, Span, Suppression, Transcript, samples_to_ms,
};

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
    covers: u64,
}

/// One recording. Dropping it gives up what is not decoded yet.
pub struct Session<'a> {
    speech: &'a SpeechToText,
    cancel: CancellationToken,
    _cancel_on_drop: DropGuard,
    cutters: Vec<(Channel, Cutter)>,
    /// End of the last cut of each channel.
    cut_until: Vec<u64>,
    language: LanguageState,
    reply_to: SyncSender<Reply>,
    replies: Receiver<Reply>,
    submitted: usize,
    pending: BTreeMap<usize, Pending>,
    decoded: BTreeMap<usize, (Channel, Vec<DecodedSegment>)>,
    non_speech: Vec<(Channel, Span)>,
    speech_samples: u64,
    done_samples: u64,
    progress_ms: Arc<AtomicU64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(speech: &'a SpeechToText, mode: ChannelMode, cancel: &CancellationToken) -> Self {
        let cancel = cancel.child_token();
        let channels = mode.channels();
        let cutter = |channel: Channel| (channel, Cutter::new(channel, speech.guard.speech_threshold));
        let language = match &speech.choice {
            LanguageChoice::Fixed(language) => LanguageState::Decided(certain(language.clone())),
            LanguageChoice::Among(allowed) => {
                LanguageState::Voting { allowed: allowed.clone(), ballot: Ballot::default(), waiting: Vec::new() }
            }
        };
        // Room for every reply that can be outstanding: workers never wait for this session.
        let (reply_to, replies) = sync_channel(speech.workers() + 2);
        Self {
            speech,
            _cancel_on_drop: cancel.clone().drop_guard(),
            cancel,
            cutters: channels.iter().copied().map(cutter).collect(),
            cut_until: vec![0; channels.len()],
            language,
            reply_to,
            replies,
            submitted: 0,
            pending: BTreeMap::new(),
            decoded: BTreeMap::new(),
            non_speech: Vec::new(),
            speech_samples: 0,
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
        let mut cuts = Vec::new();
        // Channels advance together, at most a frame at a time, so that the order of the windows of a recording does
        // not depend on the size of the blocks.
        for start in (0..length).step_by(FRAME_SAMPLES) {
            let end = (start + FRAME_SAMPLES).min(length);
            for (index, block) in blocks.iter().enumerate() {
                if let (Some((_, cutter)), Some(samples)) = (self.cutters.get_mut(index), block.get(start..end)) {
                    cutter.push(samples, &mut cuts);
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
                    self.speech_samples += window.span.len();
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
            Answer::Text(_) => Err(EngineError::Panicked.into()),
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
        while self.pending.len() > self.speech.workers() {
            self.receive()?;
        }
        let Cutting { window, covers } = cutting;
        let index = self.submitted;
        self.submitted += 1;
        self.pending.insert(index, Pending { channel: window.channel, covers });
        let reply = ReplySlot::new(index, self.reply_to.clone());
        let watch = Watch::new(&self.cancel);
        self.speech.pool.submit(Job { window, task: Task::Decode(language), watch, reply });
        Ok(())
    }

    /// Waits for the next result of any window.
    fn receive(&mut self) -> Result<(), SttError> {
        let Reply { index, outcome } = self.replies.recv().map_err(|_closed| EngineError::Panicked)?;
        let answer = outcome?;
        if let (Answer::Text(window), Some(pending)) = (answer, self.pending.remove(&index)) {
            self.done_samples += pending.covers;
            self.show_progress();
            self.decoded.insert(index, (pending.channel, window.segments));
        }
        Ok(())
    }

    fn show_progress(&self) {
        let channels = self.cutters.len().max(1) as u64;
        let done_ms = u64::try_from(samples_to_ms(self.done_samples / channels)).unwrap_or(0);
        self.progress_ms.store(done_ms, Ordering::Relaxed);
    }

    fn transcript(&mut self) -> Transcript {
        let verdict = match &self.language {
            LanguageState::Decided(verdict) => Some(verdict.clone()),
            LanguageState::Voting { .. } => None,
        };
        let language = verdict.as_ref().map(|verdict| verdict.language.clone());
        let guard = &self.speech.guard;
        let spoken = std::mem::take(&mut self.decoded)
            .into_values()
            .flat_map(|(channel, segments)| segments.into_iter().map(move |segment| (channel, segment)));
        let mut segments: Vec<Segment> = spoken
            .map(|(channel, decoded)| Segment {
                channel,
                start_ms: decoded.start_ms,
                end_ms: decoded.end_ms,
                suppressed: decoded.confidence.suppression(&decoded.text, guard),
                text: decoded.text,
                language: language.clone(),
                avg_logprob: Some(decoded.confidence.avg_logprob),
                no_speech_prob: Some(decoded.confidence.no_speech_prob),
                compression_ratio: Some(decoded.confidence.compression_ratio),
                temperature: Some(decoded.temperature),
                words: decoded.words,
                decoding: None,
            })
            .chain(self.non_speech.drain(..).map(|(channel, span)| silent(channel, span)))
            .collect();
        // Stable, so segments of no length keep the order in which they were spoken.
        segments.sort_by_key(|segment| (segment.start_ms, segment.channel));
        let mut transcript = Transcript { language: None, segments, speech_ms: samples_to_ms(self.speech_samples) };
        if transcript.spoken().next().is_some() {
            transcript.language = verdict;
        }
        transcript
    }
}

/// A span in which nobody speaks.
fn silent(channel: Channel, span: Span) -> Segment {
    Segment {
        channel,
        start_ms: span.start_ms(),
        end_ms: span.end_ms(),
        text: String::new(),
        language: None,
        avg_logprob: None,
        no_speech_prob: None,
        compression_ratio: None,
        temperature: None,
        suppressed: Some(Suppression::NonSpeech),
        words: Vec::new(),
        decoding: None,
    }
}

#[cfg(test)]
mod tests;
