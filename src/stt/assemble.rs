//! Puts the decoded windows of a recording together: the layers of the guard that look beyond one window, and the rows.

use super::guard::{bleed, loops, phrases, repetition};
use super::language::Tally;
use super::timing::Levels;
use super::{DecodedSegment, WindowTranscript};
use super::{leaks, review, talk};
use crate::config::settings::GuardConfig;
use crate::domain::{
    Channel, Decoding, FirstHearing, LanguageVerdict, Segment, Span, Suppression, Transcript, samples_to_ms,
};

const SIDES: [Channel; 3] = [Channel::Mono, Channel::Left, Channel::Right];

/// A window and what was made of it.
#[derive(Debug)]
pub(super) struct DecodedWindow {
    channel: Channel,
    span: Span,
    voiced: Vec<Span>,
    transcript: WindowTranscript,
    /// One for each segment.
    sounds: Vec<Sound>,
    /// What the first model heard, where a second one was asked: its name and its segments.
    first: Option<(String, Vec<DecodedSegment>)>,
}

#[derive(Debug, Clone, Copy)]
struct Sound {
    level_db: f64,
    /// Share of the time, as the engine has it, in which voice activity hears a voice.
    voice_share: f64,
}

impl DecodedWindow {
    /// Takes the result of a window and moves its words to where there is sound.
    pub(super) fn new(
        channel: Channel,
        span: Span,
        voiced: Vec<Span>,
        mut transcript: WindowTranscript,
        levels: &Levels,
        first: Option<(String, Vec<DecodedSegment>)>,
    ) -> Self {
        // Before the words are moved: a phrase that was invented over a long silence shows it.
        let share = |segment: &DecodedSegment| voice_share(&voiced, segment.start_ms, segment.end_ms);
        let shares: Vec<f64> = transcript.segments.iter().map(share).collect();
        levels.refine(&mut transcript.segments);
        let sound = |(segment, share): (&DecodedSegment, f64)| Sound {
            level_db: levels.mean_db(segment.start_ms, segment.end_ms),
            voice_share: share,
        };
        let sounds = transcript.segments.iter().zip(shares).map(sound).collect();
        Self { channel, span, voiced, transcript, sounds, first }
    }

    fn decoding(&self, objections: Vec<Suppression>, first: Option<FirstHearing>) -> Option<Decoding> {
        Some(Decoding {
            window_start_ms: self.span.start_ms(),
            window_end_ms: self.span.end_ms(),
            passes: self.transcript.passes,
            refused_for: self.transcript.refused_for.clone(),
            objections,
            first,
        })
    }

    /// What the first model heard around a span: every segment of it belongs to exactly one of the second's.
    fn first_heard(&self, from_ms: i64, until_ms: i64) -> Option<FirstHearing> {
        let (model, segments) = self.first.as_ref()?;
        let middle = |segment: &DecodedSegment| i64::midpoint(segment.start_ms, segment.end_ms);
        let inside = |segment: &&DecodedSegment| (from_ms..until_ms).contains(&middle(segment));
        let texts: Vec<&str> = segments.iter().filter(inside).map(|segment| segment.text.as_str()).collect();
        let separator = if self.transcript.language.is_spaced() { " " } else { "" };
        Some(FirstHearing { text: texts.join(separator), model: model.clone() })
    }
}

/// Everything that is known of a recording once all its windows are decoded.
pub(super) struct Parts<'a> {
    /// In the order in which they were cut.
    pub(super) windows: Vec<DecodedWindow>,
    pub(super) non_speech: Vec<(Channel, Span)>,
    /// What was muted of each channel as a leak of the other, in order.
    pub(super) muted: Vec<(Channel, Span)>,
    /// The language that was fixed beforehand, or that the first windows voted for.
    pub(super) voted: Option<LanguageVerdict>,
    pub(super) guard: &'a GuardConfig,
}

impl Parts<'_> {
    /// The transcript: segments ordered by start, then channel.
    pub(super) fn assemble(self) -> Transcript {
        let Self { windows, non_speech, muted, voted, guard } = self;
        let objections = all_objections(&windows, guard);
        let [mono, left, right] = SIDES.map(|side| spoken_by(side, &windows, &objections));
        let talk = talk::talk(&left, &right);
        let leaks = |side, others_voice| {
            let own: Vec<Span> = muted.iter().filter(|(channel, _)| *channel == side).map(|(_, span)| *span).collect();
            leaks::stretches(&own, others_voice)
        };
        let (on_left, on_right) = (leaks(Channel::Left, &right), leaks(Channel::Right, &left));
        let speech: u64 = mono.iter().chain(&left).chain(&right).map(|span| span.len()).sum();
        let mut tally = Tally::default();
        let mut segments: Vec<Segment> = Vec::new();
        for (window, objections) in windows.into_iter().zip(objections) {
            if objections.iter().any(Vec::is_empty) {
                tally.count(&window.transcript.heard, window.span.len());
            }
            segments.extend(rows(window, objections));
        }
        for (channel, span) in non_speech {
            let leaks: &[Span] = match channel {
                Channel::Left => &on_left,
                Channel::Right => &on_right,
                Channel::Mono => &[],
            };
            let parts = leaks::parted(span, leaks);
            segments.extend(parts.into_iter().map(|(span, why)| silent(channel, span, why)));
        }
        // Stable, so segments of no length keep the order in which they were spoken.
        segments.sort_by_key(|segment| (segment.start_ms, segment.channel));
        let verdict = tally.verdict().or(voted);
        let mut transcript =
            Transcript { language: None, segments, speech_ms: samples_to_ms(speech), talk, doubts: Vec::new() };
        if transcript.spoken().next().is_some() {
            transcript.language = verdict;
        }
        transcript.doubts = review::doubts(&transcript, guard);
        transcript
    }
}

/// The stretches in which one side speaks: those of windows of which anything counts.
fn spoken_by(side: Channel, windows: &[DecodedWindow], objections: &[Vec<Vec<Suppression>>]) -> Vec<Span> {
    let counts = |(window, objections): &(&DecodedWindow, &Vec<Vec<Suppression>>)| {
        window.channel == side && objections.iter().any(Vec::is_empty)
    };
    windows.iter().zip(objections).filter(counts).flat_map(|(window, _)| window.voiced.iter().copied()).collect()
}

/// The share of the time between two moments that is voiced, in [0, 1].
fn voice_share(voiced: &[Span], start_ms: i64, end_ms: i64) -> f64 {
    let length_ms = end_ms - start_ms;
    let shared = |span: &Span| (span.end_ms().min(end_ms) - span.start_ms().max(start_ms)).max(0);
    let shared_ms: i64 = voiced.iter().map(shared).sum();
    let number = |ms: i64| f64::from(i32::try_from(ms).unwrap_or(i32::MAX));
    if length_ms <= 0 { 1.0 } else { number(shared_ms) / number(length_ms) }
}

fn rows(window: DecodedWindow, objections: Vec<Vec<Suppression>>) -> Vec<Segment> {
    let segments = window.transcript.segments.clone();
    if segments.is_empty() {
        let first = window.first_heard(i64::MIN, i64::MAX);
        let decoding = window.decoding(vec![Suppression::NoWords], first);
        let language = Some(window.transcript.language.clone());
        return vec![Segment { language, decoding, ..silent(window.channel, window.span, Suppression::NoWords) }];
    }
    let starts: Vec<i64> = segments.iter().map(|segment| segment.start_ms).collect();
    let row = |(index, (decoded, objections)): (usize, (DecodedSegment, Vec<Suppression>))| {
        let from_ms = if index == 0 { i64::MIN } else { decoded.start_ms };
        let until_ms = starts.get(index + 1).copied().unwrap_or(i64::MAX);
        let first = window.first_heard(from_ms, until_ms);
        Segment {
            channel: window.channel,
            start_ms: decoded.start_ms,
            end_ms: decoded.end_ms,
            text: decoded.text,
            language: Some(window.transcript.language.clone()),
            avg_logprob: Some(decoded.confidence.avg_logprob),
            no_speech_prob: Some(decoded.confidence.no_speech_prob),
            compression_ratio: Some(decoded.confidence.compression_ratio),
            temperature: Some(decoded.temperature),
            suppressed: objections.first().copied(),
            words: decoded.words,
            speaker: None,
            decoding: window.decoding(objections, first),
        }
    };
    segments.into_iter().zip(objections).enumerate().map(row).collect()
}

/// What each layer says about each segment of each window; the weightiest layer first.
fn all_objections(windows: &[DecodedWindow], guard: &GuardConfig) -> Vec<Vec<Vec<Suppression>>> {
    let mut all: Vec<Vec<Vec<Suppression>>> = windows.iter().map(|window| of_window(window, guard)).collect();
    for channel in SIDES {
        let places = places(windows, channel);
        let said = |place: &Place| {
            let DecodedSegment { text, start_ms, end_ms, .. } = segment(windows, *place);
            loops::Said { text, start_ms: *start_ms, end_ms: *end_ms }
        };
        let said: Vec<loops::Said<'_>> = places.iter().map(said).collect();
        for (place, is_loop) in places.iter().zip(loops::marked(&said, guard.max_repeats)) {
            object(&mut all, *place, Suppression::Loop, is_loop);
        }
    }
    for (side, other) in [(Channel::Left, Channel::Right), (Channel::Right, Channel::Left)] {
        let heard = |channel| places(windows, channel).into_iter().map(|place| heard(windows, place));
        let (own, others): (Vec<_>, Vec<_>) = (heard(side).collect(), heard(other).collect());
        for (place, is_echo) in places(windows, side).into_iter().zip(bleed::marked(&own, &others)) {
            object(&mut all, place, Suppression::CrossTalk, is_echo);
        }
    }
    for (window, objections) in windows.iter().zip(&mut all) {
        blame_the_loops(window, objections, guard);
    }
    all
}

/// The layers that look at one segment.
fn of_window(window: &DecodedWindow, guard: &GuardConfig) -> Vec<Vec<Suppression>> {
    let language = &window.transcript.language;
    let of = |(segment, sound): (&DecodedSegment, &Sound)| {
        let mut objections = segment.confidence.objections(&segment.text, guard);
        let evidence = phrases::Evidence {
            confidence: segment.confidence,
            length_ms: segment.end_ms - segment.start_ms,
            voice_share: sound.voice_share,
        };
        objections.extend(phrases::objection(&segment.text, language, &evidence, guard));
        objections
    };
    window.transcript.segments.iter().zip(&window.sounds).map(of).collect()
}

/// The compression ratio is that of a window. Where single segments explain it, the others are not to blame.
fn blame_the_loops(window: &DecodedWindow, objections: &mut [Vec<Suppression>], guard: &GuardConfig) {
    let repeats = |segment: &DecodedSegment| {
        repetition::compression_ratio(&segment.text, &window.transcript.language) > guard.max_compression_ratio
    };
    let guilty: Vec<bool> = window
        .transcript
        .segments
        .iter()
        .zip(objections.iter())
        .map(|(segment, objections)| objections.contains(&Suppression::Loop) || repeats(segment))
        .collect();
    if guilty.contains(&true) {
        for (objections, guilty) in objections.iter_mut().zip(guilty) {
            objections.retain(|objection| guilty || *objection != Suppression::CompressionRatio);
        }
    }
}

/// Window and segment.
type Place = (usize, usize);

fn places(windows: &[DecodedWindow], channel: Channel) -> Vec<Place> {
    let of_channel = windows.iter().enumerate().filter(|(_, window)| window.channel == channel);
    of_channel
        .flat_map(|(at, window)| (0..window.transcript.segments.len()).map(move |segment| (at, segment)))
        .collect()
}

fn segment(windows: &[DecodedWindow], (window, segment): Place) -> &DecodedSegment {
    &windows[window].transcript.segments[segment]
}

fn heard(windows: &[DecodedWindow], place: Place) -> bleed::Heard<'_> {
    let (window, decoded) = (&windows[place.0], segment(windows, place));
    bleed::Heard {
        words: decoded.words.iter().map(|word| (word.text.as_str(), word.start_ms)).collect(),
        spaced: window.transcript.language.is_spaced(),
        level_db: window.sounds[place.1].level_db,
    }
}

fn object(all: &mut [Vec<Vec<Suppression>>], (window, segment): Place, layer: Suppression, objects: bool) {
    if objects {
        all[window][segment].push(layer);
    }
}

/// A span without text.
fn silent(channel: Channel, span: Span, why: Suppression) -> Segment {
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
        suppressed: Some(why),
        words: Vec::new(),
        speaker: None,
        decoding: None,
    }
}
