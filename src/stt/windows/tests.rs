use std::f32::consts::{PI, TAU};
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::decode::AudioStream;

const SECOND: usize = SAMPLE_RATE_HZ as usize;

fn frame(voice: f32) -> Frame {
    Frame { voice, power: 0.0 }
}

/// Ten seconds that the network takes for a voice: a buzzing pitch with three wandering formants, in syllables of a
/// quarter second.
static BABBLE: LazyLock<Vec<f32>> = LazyLock::new(|| {
    const FORMANTS: [(f32, f32, f32, f32); 3] =
        [(550.0, 120.0, 1.0, 1.7), (1_400.0, 150.0, 0.6, 2.3), (2_500.0, 200.0, 0.35, 1.1)];
    (0..10 * SECOND)
        .map(|n| {
            let t = n as f32 / 16_000.0;
            let syllable = (t * 4.0 * PI).sin().abs();
            let pitch = 100.0 + 15.0 * (3.0 * t).sin();
            let turns = 100.0 * t - 5.0 * (3.0 * t).cos() / TAU;
            let buzz = (1..36u8).map(|harmonic| {
                let hz = pitch * f32::from(harmonic);
                let loudness = FORMANTS.map(|(at, width, loudness, wandering)| {
                    let at = at * (1.0 + 0.4 * (wandering * t * TAU).sin());
                    loudness / (1.0 + ((hz - at) / width).powi(2))
                });
                loudness.iter().sum::<f32>() * (turns * f32::from(harmonic) * TAU).sin()
            });
            0.04 * syllable * buzz.sum::<f32>()
        })
        .collect()
});

/// So many samples of something that passes for a voice.
pub(in super::super) fn babble(samples: usize) -> Vec<f32> {
    BABBLE.iter().copied().cycle().take(samples).collect()
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
    let mut frames = vec![frame(0.9); 800];
    frames[100..200].fill(frame(0.0));
    frames[500..510].fill(frame(0.0));
    frames[700..704].fill(frame(0.0));
    assert_eq!(best_pause(&frames, 0.35), 500..510);
    // From 640 ms on the later one wins.
    frames[500..540].fill(frame(0.0));
    frames[700..722].fill(frame(0.0));
    assert_eq!(best_pause(&frames, 0.35), 700..722);
}

#[test]
fn speech_without_any_pause_is_cut_where_it_is_quietest() {
    let mut frames = vec![Frame { voice: 0.99, power: 0.01 }; 800];
    frames[100].power = 0.0;
    frames[599..602].fill(Frame { voice: 0.99, power: 0.002 });
    // A single quiet frame is a consonant.
    frames[700].power = 0.003;
    assert_eq!(best_pause(&frames, 0.35), 600..601);
    assert_eq!(best_pause(&[], 0.35), 0..0);
}

#[test]
fn a_word_may_begin_softly_but_a_murmur_alone_is_none() {
    // The judgements are given here, the sound is silence.
    let run = |voices: &[f32]| {
        let mut cutter = Cutter::new(Channel::Mono, 0.5);
        let mut cuts = Vec::new();
        for &voice in voices {
            cutter.kept.extend([0.0; FRAME_SAMPLES]);
            cutter.received += FRAME;
            cutter.take(frame(voice), &mut cuts);
        }
        cutter.finish(&mut cuts);
        windows(&cuts).iter().map(|window| (window.span.start / FRAME, window.span.end / FRAME)).collect::<Vec<_>>()
    };
    let with = |from: usize, run: &[f32]| {
        let mut voices = vec![0.0; 300];
        voices[from..from + run.len()].copy_from_slice(run);
        voices
    };
    let soft_start = [[0.4; 6].as_slice(), &[0.9; 10]].concat();
    assert_eq!(run(&with(100, &soft_start)), [(92, 124)]);
    let very_soft_start = [[0.4; 40].as_slice(), &[0.9; 10]].concat();
    assert_eq!(run(&with(100, &very_soft_start)), [(117, 158)]);
    assert_eq!(run(&with(100, &[0.4; 60])), []);
    assert_eq!(run(&with(100, &[0.9; 5])), [], "a note, not a word");
    assert_eq!(run(&with(100, &[0.9; 6])), [(92, 114)]);
}

/// So many seconds of tones, each `[on, off]` seconds; each note may have other frequencies.
fn tones(seconds: usize, on: f32, off: f32, mut note: impl FnMut() -> Vec<f32>) -> Vec<f32> {
    let mut hertz = note();
    let mut before = 0.0;
    (0..seconds * SECOND)
        .map(|n| {
            let t = n as f32 / 16_000.0;
            let at = t % (on + off);
            if at < before {
                hertz = note();
            }
            before = at;
            if at < on { hertz.iter().map(|hz| 0.12 * (t * hz * TAU).sin()).sum() } else { 0.0 }
        })
        .collect()
}

/// Hold music: plucked strings over a bass and soft chords, eight seconds and more.
fn music(seconds: usize, seed: u64) -> Vec<f32> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut signal = vec![0.0; seconds * SECOND];
    for start in (0..signal.len()).step_by(SECOND / 4) {
        let semitones = [0, 2, 4, 5, 7, 9, 11, 12][chance.random_range(0..8usize)];
        let hertz = 220.0 * 2.0f32.powf(semitones as f32 / 12.0);
        for (n, sample) in signal[start..].iter_mut().take(SECOND).enumerate() {
            let t = n as f32 / 16_000.0;
            let note = |hz: f32| (1..9u8).map(move |k| (t * hz * f32::from(k) * TAU).sin() / f32::from(k)).sum::<f32>();
            *sample += 0.05 * (-3.0 * t).exp() * (t / 0.005).min(1.0) * (note(hertz) + note(hertz / 2.0));
        }
    }
    signal
}

/// Noise of a telephone line with this mean level.
fn line_noise(samples: usize, level: f32, seed: u64) -> Vec<f32> {
    let mut chance = SmallRng::seed_from_u64(seed);
    let mut smooth = 0.0;
    (0..samples)
        .map(|_| {
            smooth = 0.5 * smooth + chance.random_range(-1.0..1.0f32);
            smooth * level * 1.5
        })
        .collect()
}

/// A spoken sentence of about two seconds and where in it the voice begins and ends.
fn sentence() -> (Vec<f32>, Range<usize>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/fixtures/speech/en_quick_brown_fox.mp3");
    assert!(path.exists(), "{} is missing: run make setup fixtures", path.display());
    let mut stream = AudioStream::open(&path).unwrap();
    let mut samples = Vec::new();
    while let Some(blocks) = stream.next_block().unwrap() {
        samples.extend_from_slice(&blocks[0]);
    }
    let loud = |sample: &f32| sample.abs() > 0.02;
    let voice = samples.iter().position(loud).unwrap()..samples.iter().rposition(loud).unwrap();
    (samples, voice)
}

fn level(samples: &[f32]) -> f32 {
    (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
}

/// Asserts that one window holds the voice and no more than half a second on either side of it.
#[track_caller]
fn assert_one_window_around(signal: &[f32], voice: Range<usize>) {
    let cuts = cut(signal, &[4_096]);
    check(signal, &cuts);
    let spans: Vec<Span> = windows(&cuts).iter().map(|window| window.span).collect();
    let (start, end) = (voice.start as u64, voice.end as u64);
    let [span] = spans[..] else { panic!("{spans:?} for a voice at {voice:?}") };
    assert!(span.start <= start && span.end >= end, "{span:?} cuts off a voice at {voice:?}");
    assert!(start - span.start < 8_000 && span.end - end < 8_000, "{span:?} is too wide for a voice at {voice:?}");
}

#[test]
fn what_a_telephone_plays_is_no_speech() {
    let mut chance = SmallRng::seed_from_u64(1);
    let mut key = || {
        let row = [697.0, 770.0, 852.0, 941.0][chance.random_range(0..4usize)];
        vec![row, [1_209.0, 1_336.0, 1_477.0][chance.random_range(0..3usize)]]
    };
    let sounds = [
        ("ring-back", tones(18, 2.0, 4.0, || vec![440.0, 480.0])),
        ("british ring-back", tones(12, 0.4, 0.2, || vec![400.0, 450.0])),
        ("busy", tones(10, 0.5, 0.5, || vec![480.0, 620.0])),
        ("dial tone", tones(10, 10.0, 1.0, || vec![350.0, 440.0])),
        ("keys", tones(12, 0.2, 0.2, &mut key)),
        ("fax", tones(12, 0.5, 3.0, || vec![1_100.0])),
        ("music", music(20, 1)),
        ("other music", music(20, 2)),
        ("line noise", line_noise(15 * SECOND, 0.002, 3)),
        ("loud noise", line_noise(15 * SECOND, 0.05, 4)),
    ];
    for (name, signal) in sounds {
        let cuts = cut(&signal, &[4_096]);
        check(&signal, &cuts);
        let spans: Vec<Span> = windows(&cuts).iter().map(|window| window.span).collect();
        assert!(spans.is_empty(), "{name}: {spans:?}");
    }
}

#[test]
fn speech_that_follows_music_or_tones_is_cut_out_of_them() {
    let (speech, voice) = sentence();
    for before in [music(10, 5), tones(8, 2.0, 4.0, || vec![440.0, 480.0]), tones(6, 0.2, 0.2, || vec![770.0, 1_336.0])]
    {
        let offset = before.len();
        let signal = [before, speech.clone(), vec![0.0; SECOND]].concat();
        assert_one_window_around(&signal, voice.start + offset..voice.end + offset);
    }
}

#[test]
fn speech_on_a_bad_line_is_found() {
    let (speech, voice) = sentence();
    let spoken = level(&speech[voice.clone()]);
    let signal = [vec![0.0; 2 * SECOND], speech, vec![0.0; 2 * SECOND]].concat();
    let voice = voice.start + 2 * SECOND..voice.end + 2 * SECOND;
    // 5 dB below the voice, and a faint voice, 30 dB lower, over a faint line.
    let loud_line = line_noise(signal.len(), spoken * 0.56, 6);
    assert_one_window_around(&signal.iter().zip(loud_line).map(|(a, b)| a + b).collect::<Vec<_>>(), voice.clone());
    let faint_line = line_noise(signal.len(), spoken * 0.003, 7);
    assert_one_window_around(&signal.iter().zip(faint_line).map(|(a, b)| 0.1 * a + b).collect::<Vec<_>>(), voice);
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
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_split_into_blocks_gives_the_same_windows(
        parts in prop::collection::vec((any::<bool>(), 1usize..120_000), 1..7),
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
