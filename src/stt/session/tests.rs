use std::sync::{Barrier, Mutex};

use super::super::guard::Confidence;
use super::super::pool::EngineFactory;
use super::super::speech::tests::config;
use super::super::windows::tests::babble;
use super::super::{DecodedSegment, Transcriber};
use super::*;
use crate::config::SttConfig;
use crate::domain::{EngineIdentity, Suppression};

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
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        if watch.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        let decoded = |window: &SpeechWindow| {
            let text = (self.decode)(window, &hints.language)?;
            let confidence = Confidence { avg_logprob: -0.2, no_speech_prob: 0.1, compression_ratio: 1.0 };
            let (start_ms, end_ms) = (window.span.start_ms(), window.span.end_ms());
            let segment =
                DecodedSegment { start_ms, end_ms, text, words: Vec::new(), tokens: 3, temperature: 0.0, confidence };
            Ok(WindowTranscript::plain(vec![segment], hints.language.clone()))
        };
        windows.iter().map(decoded).collect()
    }

    fn detect_language(
        &mut self,
        _samples: &[f32],
        _allowed: &[Language],
        _watch: &Watch,
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
    let mut session = speech.session(mode, None, &CancellationToken::new());
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
fn what_leaks_from_the_other_side_has_rows_that_say_so() {
    let speech = scripted(english(), Vec::new(), by_start);
    let voice = signal(&[2, 12], 20);
    let leak: Vec<f32> = voice.iter().map(|sample| 0.1 * sample).collect();
    let transcript = heard(&speech, ChannelMode::Stereo, &[voice, leak], 4_096).unwrap();
    assert!(transcript.spoken().all(|segment| segment.channel == Channel::Left));
    let right = transcript.segments.iter().filter(|segment| segment.channel == Channel::Right);
    let rows: Vec<_> = right.map(|segment| (segment.suppressed.unwrap(), segment.text.as_str())).collect();
    let (leak, silence) = ((Suppression::CrossTalk, ""), (Suppression::NonSpeech, ""));
    assert_eq!(rows, [silence, leak, silence, leak, silence]);
    assert_eq!(transcript.talk.unwrap().right_ms, 0);
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
    let mut session = speech.session(ChannelMode::Mono, None, &cancel);
    session.push(&[signal(&[1], 10)]).unwrap();
    cancel.cancel();
    assert!(session.push(&[vec![0.0; 10]]).unwrap_err().is_cancelled());
    assert!(session.finish().unwrap_err().is_cancelled());
}

#[test]
fn progress_ends_at_the_length_of_the_recording() {
    let speech = scripted(english(), Vec::new(), by_start);
    let mut session = speech.session(ChannelMode::Stereo, None, &CancellationToken::new());
    let progress = session.progress();
    session.push(&[signal(&[1, 9], 20), vec![0.0; 20 * SECOND]]).unwrap();
    assert!(progress.load(Ordering::Relaxed) <= 20_000);
    session.finish().unwrap();
    assert_eq!(progress.load(Ordering::Relaxed), 20_000);
}

#[test]
fn blocks_that_do_not_fit_the_channels_are_refused() {
    let speech = scripted(english(), Vec::new(), by_start);
    let mut session = speech.session(ChannelMode::Stereo, None, &CancellationToken::new());
    assert!(matches!(session.push(&[vec![0.0]]), Err(SttError::Channels { got: 1, expected: 2 })));
    assert!(matches!(session.push(&[vec![0.0], Vec::new()]), Err(SttError::Channels { .. })));
}
