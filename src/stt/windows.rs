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
use super::voice::{FRAME_SAMPLES, Frame, VoiceMeter, sanitised};
use crate::domain::{Channel, SAMPLE_RATE_HZ, Span};

/// Longest window: 28 s, so that the engine's 30 s hold it with room at the end.
pub const MAX_WINDOW_SAMPLES: u64 = 28 * SAMPLE_RATE_HZ as u64;
/// Sound kept before the first and after the last voiced frame of a window: 256 ms.
pub const PADDING_FRAMES: u64 = 8;
/// The longest pause that stays inside a window: 2 s.
pub const MAX_GAP_FRAMES: u64 = 62;
/// A run of fewer voiced frames than this (64 ms) is a click, not a word.
const MIN_ISLAND_FRAMES: u64 = 2;
/// How far before the first frame that reaches the threshold a word may begin softly: 512 ms.
const MAX_ONSET_FRAMES: usize = 16;
/// A window with fewer voiced frames than this (192 ms) holds no word: a note of music, the edge of a tone. A word that
/// stands alone, however short, has more; one near others is in their window.
const MIN_VOICED_FRAMES: usize = 6;
/// Frames down to this much below the threshold belong to the word that they begin or end.
const HYSTERESIS: f32 = 0.15;
/// Shortest non-speech span that is reported: 1 s.
const MIN_NON_SPEECH_SAMPLES: u64 = SAMPLE_RATE_HZ as u64;
/// Pauses longer than this (640 ms) are equally good places to cut.
const GOOD_PAUSE_FRAMES: usize = 20;

/// The last frames of a window that is too long are being spoken: no place to cut.
const SPOKEN_FRAMES: usize = 2;

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

/// A run of frames of at least [`Cutter::floor`], perhaps a word.
#[derive(Debug, Clone, Copy)]
struct Island {
    first: u64,
    end: u64,
    /// Whether a frame of it reached the threshold.
    is_sure: bool,
}

impl Island {
    fn is_word(&self) -> bool {
        self.is_sure && self.end - self.first >= MIN_ISLAND_FRAMES
    }
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
        if self.recent.len() > MAX_ONSET_FRAMES {
            self.recent.pop_front();
        }
        if let Some(open) = &mut self.open {
            open.frames.push(judged);
        }

        self.island = (judged.voice >= self.floor()).then(|| {
            let before = self.island.unwrap_or(Island { first: frame, end: frame, is_sure: false });
            let oldest = if before.is_sure { 0 } else { self.frames - self.recent.len() as u64 };
            let is_sure = before.is_sure || judged.voice >= self.threshold;
            Island { first: before.first.max(oldest), end: frame + 1, is_sure }
        });
        if let Some(island) = self.island.filter(Island::is_word) {
            self.speech(island, cuts);
        }

        if let Some(open) = self.open.take_if(|open| frame + 1 - open.last > MAX_GAP_FRAMES) {
            self.close(&open, self.padded_end(open.last), cuts);
        }
        self.forget();
    }

    /// Adds a run of voiced frames that is long enough to be a word.
    fn speech(&mut self, island: Island, cuts: &mut Vec<Cut>) {
        let Some(open) = &mut self.open else {
            let length = usize::try_from(island.end - island.first).unwrap_or(usize::MAX);
            let frames = self.recent.iter().skip(self.recent.len().saturating_sub(length)).copied().collect();
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

    /// Yields the window from the open start to `end`, and the non-speech before it. A window that holds no word becomes
    /// part of the non-speech around it.
    fn close(&mut self, open: &Open, end: u64, cuts: &mut Vec<Cut>) {
        let floor = self.floor();
        if open.frames.iter().filter(|frame| frame.voice >= floor).count() < MIN_VOICED_FRAMES {
            return;
        }
        let start = self.padded_start(open.first);
        self.non_speech(start, cuts);
        let skipped = usize::try_from(start - self.kept_from).expect("the window is in memory");
        let length = usize::try_from(end - start).expect("the window is in memory");
        let samples = self.kept.range(skipped..skipped + length).copied().collect();
        let voiced = voiced(open, floor, end);
        cuts.push(Cut::Speech(SpeechWindow { channel: self.channel, span: Span { start, end }, samples, voiced }));
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

/// The stretches of a window in which frames are voiced by at least `floor`, up to `end`.
fn voiced(open: &Open, floor: f32, end: u64) -> Vec<Span> {
    let mut at = open.first * FRAME;
    let mut stretches = Vec::new();
    for frames in open.frames.chunk_by(|one, next| (one.voice >= floor) == (next.voice >= floor)) {
        let start = at;
        at += frames.len() as u64 * FRAME;
        if frames.first().is_some_and(|frame| frame.voice >= floor) && start < end {
            stretches.push(Span { start, end: at.min(end) });
        }
    }
    stretches
}

/// The best place to cut a window that has become too long: the longest pause in its later half (pauses from 640 ms on
/// are as good as each other, then the latest wins), else where it is quietest. Frames less voiced than `floor` are a
/// pause. The answer never touches the last frames, which are being spoken.
fn best_pause(frames: &[Frame], floor: f32) -> Range<usize> {
    let voice = |index: usize| frames.get(index).map_or(1.0, |frame| frame.voice);
    let last = frames.len().saturating_sub(SPOKEN_FRAMES);
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
        let level = |index: usize| -> f32 {
            let near = index.saturating_sub(1)..(index + 2).min(frames.len());
            frames[near].iter().map(|frame| frame.power).sum()
        };
        let quietest = (half..last).min_by(|&a, &b| level(a).total_cmp(&level(b))).unwrap_or(half);
        quietest..(quietest + 1).min(frames.len())
    })
}

#[cfg(test)]
pub(super) mod tests;
