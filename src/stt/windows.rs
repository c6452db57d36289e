//! Cuts one channel into the spans that are worth decoding.
//!
//! A [`Cutter`] takes samples as they are decoded and yields [`SpeechWindow`]s: contiguous spans of the original
//! timeline, in order, disjoint, at most [`MAX_WINDOW_SAMPLES`] long. Everything else is the complement; its spans of a
//! second or more are yielded as [`Cut::NonSpeech`]. The result depends on the samples only, not on the blocks they came
//! in. Memory is bounded by one window, however long the speech or the silence.
//!
//! Each window costs the engine a pass over 30 s, so windows are filled as far as pauses allow; a pause longer than
//! [`MAX_GAP_FRAMES`] is not bridged, because the engine invents text on silence.

use std::collections::VecDeque;
use std::ops::Range;

use super::SpeechWindow;
use super::voice::{FRAME_SAMPLES, Frame, VoiceMeter, is_steady, sanitised};
use crate::domain::{Channel, SAMPLE_RATE_HZ, Span};

/// Longest window: 28 s, so that the engine's 30 s hold it with room at the end.
pub const MAX_WINDOW_SAMPLES: u64 = 28 * SAMPLE_RATE_HZ as u64;
/// Sound kept before the first and after the last voiced frame of a window: 240 ms.
pub const PADDING_FRAMES: u64 = 15;
/// The longest pause that stays inside a window: 2 s.
pub const MAX_GAP_FRAMES: u64 = 125;
/// A run of fewer voiced frames than this (48 ms) is a click, not a word.
const MIN_ISLAND_FRAMES: usize = 3;
/// Once somebody speaks, frames down to this much below the threshold still belong to the word.
const HYSTERESIS: f32 = 0.15;
/// Shortest non-speech span that is reported: 1 s.
const MIN_NON_SPEECH_SAMPLES: u64 = SAMPLE_RATE_HZ as u64;
/// Pauses longer than this (640 ms) are equally good places to cut.
const GOOD_PAUSE_FRAMES: usize = 40;

const FRAME: u64 = FRAME_SAMPLES as u64;

/// What the cutter found, in the order of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Cut {
    Speech(SpeechWindow),
    /// A second or more in which nobody speaks.
    NonSpeech(Span),
}

/// A window that is still growing. Frame numbers count from the start of the recording.
#[derive(Debug)]
struct Open {
    /// First voiced frame.
    first: u64,
    /// One past the last voiced frame.
    last: u64,
    /// Every frame from `first` on.
    frames: Vec<Frame>,
}

/// A run of voiced frames that is not yet long enough to be a word.
#[derive(Debug, Clone, Copy)]
struct Island {
    first: u64,
    end: u64,
}

/// Cuts one channel. See the module's page.
pub struct Cutter {
    channel: Channel,
    threshold: f32,
    meter: VoiceMeter,
    /// Samples from `kept_from` to `received`.
    kept: VecDeque<f32>,
    kept_from: u64,
    received: u64,
    /// Frames judged so far.
    frames: u64,
    in_voice: bool,
    island: Option<Island>,
    open: Option<Open>,
    /// The last few frames, for an island that turns out to be a word.
    recent: VecDeque<Frame>,
    /// Where the last window ended: the next one may not start before.
    cut_at: u64,
}

impl Cutter {
    /// `threshold`: frames with at least this probability of voice start a word, in (0, 1).
    #[must_use]
    pub fn new(channel: Channel, threshold: f32) -> Self {
        Self {
            channel,
            threshold,
            meter: VoiceMeter::default(),
            kept: VecDeque::new(),
            kept_from: 0,
            received: 0,
            frames: 0,
            in_voice: false,
            island: None,
            open: None,
            recent: VecDeque::new(),
            cut_at: 0,
        }
    }

    /// Takes the next samples of the channel and appends what they complete to `cuts`.
    pub fn push(&mut self, samples: &[f32], cuts: &mut Vec<Cut>) {
        for &sample in samples {
            let sample = sanitised(sample);
            self.kept.push_back(sample);
            self.received += 1;
            if let Some(frame) = self.meter.push(sample) {
                self.take(frame, cuts);
            }
        }
    }

    /// Takes the end of the channel and appends what is left to `cuts`.
    pub fn finish(&mut self, cuts: &mut Vec<Cut>) {
        if let Some(frame) = self.meter.finish() {
            self.take(frame, cuts);
        }
        if let Some(open) = self.open.take() {
            self.close(&open, self.padded_end(open.last), cuts);
        }
        self.non_speech(self.received, cuts);
        self.cut_at = self.received;
    }

    /// Samples of the channel taken so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    fn take(&mut self, judged: Frame, cuts: &mut Vec<Cut>) {
        let frame = self.frames;
        self.frames += 1;
        self.recent.push_back(judged);
        if self.recent.len() > MIN_ISLAND_FRAMES {
            self.recent.pop_front();
        }
        if let Some(open) = &mut self.open {
            open.frames.push(judged);
        }

        let needed = if self.in_voice { self.floor() } else { self.threshold };
        self.in_voice = judged.voice >= needed;
        if self.in_voice {
            let first = self.island.map_or(frame, |island| island.first);
            self.island = Some(Island { first, end: frame + 1 });
            if frame + 1 - first >= MIN_ISLAND_FRAMES as u64 {
                self.speech(Island { first, end: frame + 1 }, cuts);
            }
        } else {
            self.island = None;
        }

        if let Some(open) = self.open.take_if(|open| frame + 1 - open.last > MAX_GAP_FRAMES) {
            self.close(&open, self.padded_end(open.last), cuts);
        }
        self.forget();
    }

    /// Adds a run of voiced frames that is long enough to be a word.
    fn speech(&mut self, island: Island, cuts: &mut Vec<Cut>) {
        let Some(open) = &mut self.open else {
            let frames = self.recent.iter().copied().collect();
            self.open = Some(Open { first: island.first, last: island.end, frames });
            return;
        };
        open.last = island.end;
        let first = open.first;
        if (island.end + PADDING_FRAMES) * FRAME - self.padded_start(first) > MAX_WINDOW_SAMPLES {
            self.split(cuts);
        }
    }

    /// Closes the open window at its best pause and goes on with what follows it.
    fn split(&mut self, cuts: &mut Vec<Cut>) {
        let Some(open) = self.open.take() else { return };
        let pause = best_pause(&open.frames, self.floor());
        let pause_start = open.first + pause.start as u64;
        let pause_end = open.first + pause.end as u64;
        // Each side gets its padding where the pause has room for both; else they meet in its middle, because the
        // next window starts no earlier than this one ends.
        let middle = (pause_start + pause_end) / 2 * FRAME;
        let (said, follows) = open.frames.split_at(pause.end);
        let (said, follows) = (said.to_vec(), follows.to_vec());
        let done = Open { first: open.first, last: pause_start, frames: said };
        self.close(&done, self.padded_end(pause_start).min(middle), cuts);
        self.open = Some(Open { first: pause_end, last: open.last, frames: follows });
    }

    /// Yields the window from the open start to `end`, and the non-speech before it. A steady sound is no window: it
    /// becomes part of the non-speech around it.
    fn close(&mut self, open: &Open, end: u64, cuts: &mut Vec<Cut>) {
        if is_steady(&open.frames, self.floor()) {
            return;
        }
        let start = self.padded_start(open.first);
        self.non_speech(start, cuts);
        let skipped = usize::try_from(start - self.kept_from).expect("the window is in memory");
        let length = usize::try_from(end - start).expect("the window is in memory");
        let samples = self.kept.range(skipped..skipped + length).copied().collect();
        cuts.push(Cut::Speech(SpeechWindow { channel: self.channel, span: Span { start, end }, samples }));
        self.cut_at = end;
    }

    fn non_speech(&self, until: u64, cuts: &mut Vec<Cut>) {
        let span = Span { start: self.cut_at, end: until };
        if span.len() >= MIN_NON_SPEECH_SAMPLES {
            cuts.push(Cut::NonSpeech(span));
        }
    }

    /// The probability of voice from which a frame belongs to a word that has begun.
    fn floor(&self) -> f32 {
        self.threshold - HYSTERESIS
    }

    fn padded_start(&self, first: u64) -> u64 {
        (first.saturating_sub(PADDING_FRAMES) * FRAME).max(self.cut_at)
    }

    fn padded_end(&self, last: u64) -> u64 {
        ((last + PADDING_FRAMES) * FRAME).min(self.received)
    }

    /// Drops the samples that no window can need any more.
    fn forget(&mut self) {
        let waiting = self.island.map_or(self.frames, |island| island.first);
        let first = self.open.as_ref().map_or(waiting, |open| open.first);
        let needed = self.padded_start(first).min(self.received);
        let surplus = usize::try_from(needed.saturating_sub(self.kept_from)).expect("no more than is in memory");
        self.kept.drain(..surplus);
        self.kept_from += surplus as u64;
    }
}

/// The best place to cut a window that has become too long: the longest pause in its later half (pauses from 640 ms on
/// are as good as each other, then the latest wins), else its least voiced frame. Frames less voiced than `floor` are a
/// pause. The answer never touches the last frames, which are being spoken.
fn best_pause(frames: &[Frame], floor: f32) -> Range<usize> {
    let voice = |index: usize| frames.get(index).map_or(1.0, |frame| frame.voice);
    let last = frames.len().saturating_sub(MIN_ISLAND_FRAMES);
    let half = frames.len() / 2;
    let mut best: Option<Range<usize>> = None;
    let mut run_start = None;
    for index in half..=last {
        let quiet = index < last && voice(index) < floor;
        match (quiet, run_start) {
            (true, None) => run_start = Some(index),
            (false, Some(start)) => {
                let rank = |range: &Range<usize>| range.len().min(GOOD_PAUSE_FRAMES);
                let run = start..index;
                if best.as_ref().is_none_or(|best| rank(&run) >= rank(best)) {
                    best = Some(run);
                }
                run_start = None;
            }
            _ => {}
        }
    }
    best.unwrap_or_else(|| {
        let quietest = (half..last).min_by(|&a, &b| voice(a).total_cmp(&voice(b))).unwrap_or(half);
        quietest..quietest + 1
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(voice: f32) -> Frame {
        Frame { voice, power: 0.0 }
    }

    /// Something the detector takes for a voice: a buzzing pitch with formants, in syllables of a quarter second.
    pub(in super::super) fn babble(samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|n| {
                let t = n as f32 / 16_000.0;
                let syllable = (t * 4.0 * std::f32::consts::PI).sin().abs();
                let pitch = 120.0 + 25.0 * (t * 3.0).sin();
                let mut sum = 0.0;
                for harmonic in 1..24u8 {
                    let hz = pitch * f32::from(harmonic);
                    let formant =
                        1.0 / (1.0 + ((hz - 600.0) / 200.0).powi(2)) + 0.5 / (1.0 + ((hz - 1_500.0) / 300.0).powi(2));
                    sum += formant * (t * hz * std::f32::consts::TAU).sin();
                }
                0.04 * syllable * sum
            })
            .collect()
    }

    fn cut(samples: &[f32], blocks: &[usize]) -> Vec<Cut> {
        let mut cutter = Cutter::new(Channel::Mono, 0.5);
        let mut cuts = Vec::new();
        let mut rest = samples;
        for &block in blocks.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at(block.clamp(1, rest.len()));
            cutter.push(head, &mut cuts);
            rest = tail;
        }
        cutter.finish(&mut cuts);
        cuts
    }

    fn windows(cuts: &[Cut]) -> Vec<&SpeechWindow> {
        cuts.iter()
            .filter_map(|cut| match cut {
                Cut::Speech(window) => Some(window),
                Cut::NonSpeech(_) => None,
            })
            .collect()
    }

    /// Every promise of the module about one result.
    fn check(samples: &[f32], cuts: &[Cut]) {
        let mut at = 0;
        for cut in cuts {
            let span = match cut {
                Cut::Speech(window) => {
                    assert!(window.span.len() <= MAX_WINDOW_SAMPLES, "window of {} samples", window.span.len());
                    let at = |sample: u64| usize::try_from(sample).unwrap();
                    let range = at(window.span.start)..at(window.span.end);
                    assert!(window.samples == samples[range], "a window holds the samples of its span");
                    window.span
                }
                Cut::NonSpeech(span) => {
                    assert!(span.len() >= MIN_NON_SPEECH_SAMPLES);
                    *span
                }
            };
            assert!(!span.is_empty());
            assert!(span.start >= at, "spans are ordered and disjoint");
            assert!(span.start - at < MIN_NON_SPEECH_SAMPLES, "only short spans are left out");
            at = span.end;
        }
        assert!(at <= samples.len() as u64);
        assert!(samples.len() as u64 - at < MIN_NON_SPEECH_SAMPLES, "the end is covered");
    }

    #[test]
    fn the_test_signal_passes_for_a_voice() {
        let signal = babble(5 * 16_000);
        let cuts = cut(&signal, &[4_096]);
        let found = windows(&cuts);
        assert_eq!(found.len(), 1, "{:?}", found.iter().map(|window| window.span).collect::<Vec<_>>());
        assert!(found[0].span.len() > 4 * 16_000);
    }

    #[test]
    fn silence_is_one_span_of_non_speech() {
        let cuts = cut(&vec![0.0; 160_000], &[1_000]);
        assert_eq!(cuts, [Cut::NonSpeech(Span { start: 0, end: 160_000 })]);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(cut(&[], &[1]), []);
    }

    #[test]
    fn endless_speech_is_cut_into_full_windows_and_memory_stays_bounded() {
        let signal = babble(100 * 16_000);
        let mut cutter = Cutter::new(Channel::Mono, 0.5);
        let mut cuts = Vec::new();
        for block in signal.chunks(777) {
            cutter.push(block, &mut cuts);
            assert!(cutter.kept.len() as u64 <= MAX_WINDOW_SAMPLES + MAX_GAP_FRAMES * FRAME + FRAME);
        }
        cutter.finish(&mut cuts);
        check(&signal, &cuts);
        let found = windows(&cuts);
        assert!((4..=8).contains(&found.len()), "{} windows for 100 s", found.len());
    }

    #[test]
    fn long_silence_keeps_no_samples() {
        let mut cutter = Cutter::new(Channel::Mono, 0.5);
        let mut cuts = Vec::new();
        for _ in 0..100 {
            cutter.push(&[0.0; 16_000], &mut cuts);
            assert!(cutter.kept.len() as u64 <= (PADDING_FRAMES + 2) * FRAME);
        }
        assert!(cuts.is_empty());
    }

    #[test]
    fn a_pause_is_bridged_or_not_by_its_length() {
        let word = babble(2 * 16_000);
        let with_pause = |samples: usize| [word.clone(), vec![0.0; samples], word.clone()].concat();
        let short = with_pause(16_000);
        let cuts = cut(&short, &[4_096]);
        check(&short, &cuts);
        assert_eq!(windows(&cuts).len(), 1);

        let long = with_pause(4 * 16_000);
        let cuts = cut(&long, &[4_096]);
        check(&long, &cuts);
        assert_eq!(windows(&cuts).len(), 2);
        assert!(cuts.iter().any(|cut| matches!(cut, Cut::NonSpeech(span) if span.len() > 3 * 16_000)));
    }

    #[test]
    fn the_longest_late_pause_is_the_place_to_cut() {
        let mut frames = vec![frame(0.9); 1_000];
        frames[100..200].fill(frame(0.0));
        frames[600..610].fill(frame(0.0));
        frames[800..804].fill(frame(0.0));
        assert_eq!(best_pause(&frames, 0.35), 600..610);
        // From 640 ms on the later one wins.
        frames[600..660].fill(frame(0.0));
        frames[800..845].fill(frame(0.0));
        assert_eq!(best_pause(&frames, 0.35), 800..845);
    }

    #[test]
    fn speech_without_any_pause_is_cut_where_it_is_least_voiced() {
        let mut frames = vec![frame(0.9); 1_000];
        frames[100] = frame(0.5);
        frames[700] = frame(0.6);
        assert_eq!(best_pause(&frames, 0.35), 700..701);
    }

    #[test]
    fn tones_that_pass_for_a_voice_are_not_windows() {
        // The North American ring-back: 440 and 480 Hz, two seconds on, four off.
        let signal: Vec<f32> = (0..18 * 16_000)
            .map(|n| {
                let t = n as f32 / 16_000.0;
                let ringing = t % 6.0 >= 4.0;
                let tone = (t * 440.0 * std::f32::consts::TAU).sin() + (t * 480.0 * std::f32::consts::TAU).sin();
                if ringing { 0.2 * tone } else { 0.0 }
            })
            .collect();
        let cuts = cut(&signal, &[4_096]);
        check(&signal, &cuts);
        assert!(windows(&cuts).is_empty());
    }

    #[test]
    fn hostile_samples_do_no_harm() {
        let mut signal = babble(3 * 16_000);
        for (index, sample) in signal.iter_mut().enumerate() {
            match index % 97 {
                0 => *sample = f32::NAN,
                1 => *sample = f32::INFINITY,
                2 => *sample = -1e30,
                _ => {}
            }
        }
        for cut in cut(&signal, &[333]) {
            if let Cut::Speech(window) = cut {
                assert!(window.samples.iter().all(|sample| sample.abs() <= 1.0));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn any_split_into_blocks_gives_the_same_windows(
            parts in prop::collection::vec((any::<bool>(), 1usize..160_000), 1..8),
            blocks in prop::collection::vec(1usize..9_000, 1..6),
        ) {
            let signal: Vec<f32> = parts
                .iter()
                .flat_map(|&(spoken, samples)| if spoken { babble(samples) } else { vec![0.0; samples] })
                .collect();
            let whole = cut(&signal, &[signal.len()]);
            check(&signal, &whole);
            prop_assert!(cut(&signal, &blocks) == whole, "other windows with blocks of {:?}", blocks);
        }
    }
}
