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
