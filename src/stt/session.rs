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
use super::{DecodedSegment, EngineError, SpeechWindow, SttError};
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
        let cancel = self.cancel.clone();
        self.speech.pool.submit(Job { window, task: Task::Detect(allowed), cancel, reply });
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
        let cancel = self.cancel.clone();
        self.speech.pool.submit(Job { window, task: Task::Decode(language), cancel, reply });
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
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::super::guard::Confidence;
    use super::super::pool::EngineFactory;
    use super::super::speech::tests::config;
    use super::super::windows::tests::babble;
    use super::super::{Transcriber, WindowTranscript};
    use super::*;
    use crate::config::SttConfig;
    use crate::domain::EngineIdentity;

    const SECOND: usize = 16_000;

    type Vote = Vec<(Language, f64)>;
    type Decode = dyn Fn(&SpeechWindow, &Language) -> Result<String, EngineError> + Send + Sync;

    /// An engine whose answers a test writes: the text of each window, and the languages of each vote in turn.
    struct ScriptedEngine {
        decode: Arc<Decode>,
        votes: Arc<Mutex<Vec<Vote>>>,
    }

    impl Transcriber for ScriptedEngine {
        fn transcribe(
            &mut self,
            windows: &[SpeechWindow],
            language: &Language,
            cancel: &CancellationToken,
        ) -> Result<Vec<WindowTranscript>, EngineError> {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let decoded = |window: &SpeechWindow| {
                let text = (self.decode)(window, language)?;
                let confidence = Confidence { avg_logprob: -0.2, no_speech_prob: 0.1, compression_ratio: 1.0 };
                let (start_ms, end_ms) = (window.span.start_ms(), window.span.end_ms());
                let segment = DecodedSegment {
                    start_ms,
                    end_ms,
                    text,
                    words: Vec::new(),
                    tokens: 3,
                    temperature: 0.0,
                    confidence,
                };
                Ok(WindowTranscript { segments: vec![segment] })
            };
            windows.iter().map(decoded).collect()
        }

        fn detect_language(
            &mut self,
            _samples: &[f32],
            _allowed: &[Language],
        ) -> Result<Vec<(Language, f64)>, EngineError> {
            let mut votes = self.votes.lock().unwrap();
            if votes.is_empty() { Err(EngineError::NoLanguage) } else { Ok(votes.remove(0)) }
        }
    }

    fn language(code: &str) -> Language {
        Language(code.to_owned())
    }

    fn scripted(
        choice: LanguageChoice,
        votes: Vec<Vote>,
        decode: impl Fn(&SpeechWindow, &Language) -> Result<String, EngineError> + Send + Sync + 'static,
    ) -> SpeechToText {
        let decode: Arc<Decode> = Arc::new(decode);
        let votes = Arc::new(Mutex::new(votes));
        let make: EngineFactory =
            Arc::new(move || Ok(Box::new(ScriptedEngine { decode: Arc::clone(&decode), votes: Arc::clone(&votes) })));
        let identity = EngineIdentity {
            engine: "scripted".into(),
            engine_version: "0".into(),
            model: "none".into(),
            model_sha256: "0".into(),
        };
        let config = SttConfig { workers: Some(2), ..config() };
        SpeechToText::with_engines(&config, 2, choice, identity, &make).unwrap()
    }

    fn english() -> LanguageChoice {
        LanguageChoice::Fixed(language("en"))
    }

    fn by_start(window: &SpeechWindow, _: &Language) -> Result<String, EngineError> {
        Ok(format!("at {}", window.span.start / 16_000))
    }

    /// Speech of two seconds at each of `starts` (in seconds), silence elsewhere.
    fn signal(starts: &[usize], seconds: usize) -> Vec<f32> {
        let mut signal = vec![0.0; seconds * SECOND];
        for start in starts {
            signal[start * SECOND..(start + 2) * SECOND].copy_from_slice(&babble(2 * SECOND));
        }
        signal
    }

    fn heard(
        speech: &SpeechToText,
        mode: ChannelMode,
        channels: &[Vec<f32>],
        block: usize,
    ) -> Result<Transcript, SttError> {
        let mut session = speech.session(mode, &CancellationToken::new());
        let length = channels[0].len();
        for start in (0..length).step_by(block) {
            let end = (start + block).min(length);
            let blocks: Vec<Vec<f32>> = channels.iter().map(|channel| channel[start..end].to_vec()).collect();
            session.push(&blocks)?;
        }
        session.finish()
    }

    fn texts(transcript: &Transcript) -> Vec<&str> {
        transcript.spoken().map(|segment| segment.text.as_str()).collect()
    }

    #[test]
    fn windows_are_put_back_in_order_however_the_workers_finish() {
        // The first window is not done before the second one is: both workers are needed.
        let both = Barrier::new(2);
        let speech = scripted(english(), Vec::new(), move |window, language| {
            if window.span.start < 15 * 16_000 {
                both.wait();
            }
            by_start(window, language)
        });
        let transcript = heard(&speech, ChannelMode::Mono, &[signal(&[1, 9, 20, 30, 40, 50], 60)], 5_000).unwrap();
        assert_eq!(texts(&transcript), ["at 0", "at 8", "at 19", "at 29", "at 39", "at 49"]);
        assert!(transcript.segments.is_sorted_by_key(|segment| segment.start_ms));
        let silent = transcript.segments.iter().filter(|segment| segment.suppressed == Some(Suppression::NonSpeech));
        assert!(silent.clone().count() >= 6 && silent.clone().all(|segment| segment.text.is_empty()));
        assert!(transcript.speech_ms >= 12_000);
        assert_eq!(transcript.language.unwrap().language.as_str(), "en");
    }

    #[test]
    fn both_channels_are_merged_and_block_sizes_do_not_matter() {
        let speech = scripted(english(), Vec::new(), by_start);
        let channels = [signal(&[1, 12], 20), signal(&[6], 20)];
        let transcript = heard(&speech, ChannelMode::Stereo, &channels, 4_096).unwrap();
        let spoken: Vec<_> = transcript.spoken().map(|segment| (segment.channel, segment.text.as_str())).collect();
        assert_eq!(spoken, [(Channel::Left, "at 0"), (Channel::Right, "at 5"), (Channel::Left, "at 11")]);
        assert_eq!(heard(&speech, ChannelMode::Stereo, &channels, 999).unwrap(), transcript);
        assert_eq!(heard(&speech, ChannelMode::Stereo, &channels, 20 * SECOND).unwrap(), transcript);
    }

    #[test]
    fn every_window_is_decoded_in_the_language_that_won() {
        let unsure = vec![(language("cy"), 0.5), (language("ja"), 0.4)];
        let sure = vec![(language("ja"), 0.9), (language("cy"), 0.1)];
        let choice = LanguageChoice::Among(Vec::new());
        let speech = scripted(choice, vec![unsure, sure.clone(), sure], |_, language| Ok(language.as_str().to_owned()));
        let transcript = heard(&speech, ChannelMode::Mono, &[signal(&[1, 9, 17, 25], 30)], 4_096).unwrap();
        assert_eq!(texts(&transcript), ["ja"; 4]);
        assert_eq!(transcript.language.unwrap().language.as_str(), "ja");
    }

    #[test]
    fn a_recording_with_fewer_windows_than_votes_is_decoded_all_the_same() {
        let unsure = vec![(language("de"), 0.5), (language("nl"), 0.4)];
        let choice = LanguageChoice::Among(vec![language("de"), language("nl")]);
        let speech = scripted(choice, vec![unsure], |_, language| Ok(language.as_str().to_owned()));
        let transcript = heard(&speech, ChannelMode::Mono, &[signal(&[1], 5)], 4_096).unwrap();
        assert_eq!(texts(&transcript), ["de"]);
    }

    #[test]
    fn silence_has_no_language_and_no_words() {
        let speech = scripted(LanguageChoice::Among(Vec::new()), Vec::new(), by_start);
        let transcript = heard(&speech, ChannelMode::Mono, &[vec![0.0; 5 * SECOND]], 4_096).unwrap();
        assert_eq!(transcript.language, None);
        assert_eq!(transcript.segments.len(), 1);
        assert_eq!(transcript.speech_ms, 0);
    }

    #[test]
    fn a_panic_in_the_engine_fails_its_recording_and_no_other() {
        let speech = scripted(english(), Vec::new(), |window, language| {
            assert!(window.span.start < 30 * 16_000, "scripted panic");
            by_start(window, language)
        });
        for _ in 0..3 {
            let error = heard(&speech, ChannelMode::Mono, &[signal(&[1, 40], 45)], 4_096).unwrap_err();
            assert!(matches!(error, SttError::Engine(EngineError::Panicked)));
            assert_eq!(error.failure().detail, "engine_panicked");
        }
        let transcript = heard(&speech, ChannelMode::Mono, &[signal(&[1, 9], 15)], 4_096).unwrap();
        assert_eq!(texts(&transcript), ["at 0", "at 8"]);
    }

    #[test]
    fn an_error_of_the_engine_is_the_error_of_the_recording() {
        let speech = scripted(english(), Vec::new(), |_, _| Err(EngineError::Native { code: -6 }));
        let error = heard(&speech, ChannelMode::Mono, &[signal(&[1], 5)], 4_096).unwrap_err();
        assert_eq!(error.failure().detail, "engine_code=-6");
        assert!(!error.is_cancelled());
    }

    #[test]
    fn a_cancelled_recording_ends_with_that_error() {
        let speech = scripted(english(), Vec::new(), by_start);
        let cancel = CancellationToken::new();
        let mut session = speech.session(ChannelMode::Mono, &cancel);
        session.push(&[signal(&[1], 10)]).unwrap();
        cancel.cancel();
        assert!(session.push(&[vec![0.0; 10]]).unwrap_err().is_cancelled());
        assert!(session.finish().unwrap_err().is_cancelled());
    }

    #[test]
    fn progress_ends_at_the_length_of_the_recording() {
        let speech = scripted(english(), Vec::new(), by_start);
        let mut session = speech.session(ChannelMode::Stereo, &CancellationToken::new());
        let progress = session.progress();
        session.push(&[signal(&[1, 9], 20), vec![0.0; 20 * SECOND]]).unwrap();
        assert!(progress.load(Ordering::Relaxed) <= 20_000);
        session.finish().unwrap();
        assert_eq!(progress.load(Ordering::Relaxed), 20_000);
    }

    #[test]
    fn blocks_that_do_not_fit_the_channels_are_refused() {
        let speech = scripted(english(), Vec::new(), by_start);
        let mut session = speech.session(ChannelMode::Stereo, &CancellationToken::new());
        assert!(matches!(session.push(&[vec![0.0]]), Err(SttError::Channels { got: 1, expected: 2 })));
        assert!(matches!(session.push(&[vec![0.0], Vec::new()]), Err(SttError::Channels { .. })));
    }
}
