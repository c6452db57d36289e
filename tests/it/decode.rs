//! Decoding real files: exact lengths and places, channels kept apart, damage as silence, hostile bytes as errors.
#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]
#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers are made here and small")]

use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use transcribe::decode::{AudioStream, BLOCK_SAMPLES, DecodeError, DecodeSummary};
use transcribe::domain::{ChannelMode, Reason};

struct Decoded {
    mode: ChannelMode,
    channels: Vec<Vec<f32>>,
    summary: DecodeSummary,
}

impl Decoded {
    fn samples(&self) -> usize {
        self.channels[0].len()
    }
}

fn decode(path: &Path) -> Result<Decoded, DecodeError> {
    let mut stream = AudioStream::open(path)?;
    let mode = stream.channel_mode();
    let mut channels = vec![Vec::new(); mode.channels().len()];
    while let Some(block) = stream.next_block()? {
        assert_eq!(block.len(), channels.len());
        assert!((1..=BLOCK_SAMPLES).contains(&block[0].len()));
        for (channel, part) in channels.iter_mut().zip(block) {
            assert_eq!(part.len(), block[0].len());
            assert!(part.iter().all(|sample| (-1.0..=1.0).contains(sample)));
            channel.extend_from_slice(part);
        }
    }
    let summary = stream.summary();
    assert_eq!(summary.samples, channels[0].len() as u64);
    Ok(Decoded { mode, channels, summary })
}

fn decode_bytes(name: &str, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    decode(&path)
}

fn edge(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/fixtures/edge").join(name);
    assert!(path.exists(), "{} is missing: run `make fixtures`", path.display());
    path
}

/// The sound that most edge files were made of.
fn original() -> Vec<f32> {
    decode(&edge("wav_named.mp3")).unwrap().channels.remove(0)
}

/// A WAV file of format `tag` (1 = integers, 3 = floats) around `data`.
fn wav(tag: u16, rate_hz: u32, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate_hz.to_le_bytes());
    bytes.extend((rate_hz * u32::from(frame)).to_le_bytes());
    bytes.extend(frame.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn wav16(rate_hz: u32, channels: u16, samples: impl IntoIterator<Item = i16>) -> Vec<u8> {
    let data: Vec<u8> = samples.into_iter().flat_map(i16::to_le_bytes).collect();
    wav(1, rate_hz, channels, 16, &data)
}

fn tone(index: u32, period: f64) -> i16 {
    (9000.0 * (f64::from(index) * std::f64::consts::TAU / period).sin()) as i16
}

/// How alike two sounds are at the same places: 1 = equal but for their strength.
fn likeness(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn every_common_rate_keeps_length_and_place() {
    for rate in [8_000_u32, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000] {
        let length = rate * 5 / 4 + 13;
        for at in [0, rate / 7, length - 2] {
            let clip = wav16(rate, 1, (0..length).map(|index| if index == at { 30_000 } else { 0 }));
            let decoded = decode_bytes("clip.wav", &clip).unwrap();
            let expected = (f64::from(length) * 16_000.0 / f64::from(rate)).round() as usize;
            assert_eq!(decoded.samples(), expected, "{length} samples at {rate} Hz");
            let loud = decoded.channels[0].iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
            let place = f64::from(at) * 16_000.0 / f64::from(rate);
            assert!((loud.unwrap().0 as f64 - place).abs() <= 1.0, "impulse at {at} of {rate} Hz");
        }
    }
}

#[test]
fn one_sound_comes_out_of_every_container_at_the_same_place() {
    let original = original();
    let exact = ["clean.mp3", "stereo_same.mp3", "speech.flac", "speech_8k_mulaw.wav", "speech_8k_alaw.wav"];
    for name in exact {
        let decoded = decode(&edge(name)).unwrap();
        assert_eq!(decoded.samples(), original.len(), "{name}");
        let alike = likeness(&decoded.channels[0], &original);
        assert!(alike > 0.9, "{name}: {alike}");
        assert_eq!((decoded.summary.damaged_packets, decoded.summary.cut_short_samples), (0, 0), "{name}");
    }
    for (name, slack) in [("speech.m4a", 16), ("speech_ima_adpcm.wav", 4096), ("speech_ms_adpcm.wav", 4096)] {
        let decoded = decode(&edge(name)).unwrap();
        let longer = decoded.samples() - original.len();
        assert!(longer <= slack, "{name} is {longer} samples longer");
        let alike = likeness(&decoded.channels[0][..original.len()], &original);
        assert!(alike > 0.9, "{name}: {alike}");
    }
    let wide = decode(&edge("speech_44100_stereo.mp3")).unwrap();
    assert_eq!((wide.mode, wide.summary.file_rate_hz, wide.summary.file_channels), (ChannelMode::Stereo, 44_100, 2));
    assert!(wide.samples().abs_diff(original.len()) <= 1);
    let length = original.len().min(wide.samples());
    assert!(likeness(&wide.channels[0][..length], &original[..length]) > 0.9);
}

#[test]
fn without_an_info_tag_nothing_is_cut_off() {
    let untagged = decode(&edge("no_info_tag.mp3")).unwrap();
    let longer = untagged.samples() - original().len();
    // The encoder's delay and padding are unknown, so they stay: some 70 ms at the start, less at the end.
    assert!((1105..1105 + 2 * 1152).contains(&longer), "{longer}");
}

#[test]
fn two_speakers_stay_apart() {
    let decoded = decode(&edge("stereo_two_speakers.mp3")).unwrap();
    assert_eq!(decoded.mode, ChannelMode::Stereo);
    assert_eq!((decoded.summary.file_channels, decoded.channels.len()), (2, 2));
    let energy = |samples: &[f32]| samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let second = &decoded.channels[0][..16_000];
    let other = &decoded.channels[1][..16_000];
    assert!(energy(second) > 1000.0 * energy(other), "the left side speaks first, alone");
}

#[test]
fn equal_channels_fold_and_a_silent_side_does_not() {
    assert_eq!(decode(&edge("stereo_same.mp3")).unwrap().mode, ChannelMode::Folded);
    let one_sided = wav16(16_000, 2, (0..32_000).flat_map(|index| [tone(index, 40.0), 0]));
    let decoded = decode_bytes("call.wav", &one_sided).unwrap();
    assert_eq!(decoded.mode, ChannelMode::Stereo);
    assert!(decoded.channels[1].iter().all(|sample| *sample == 0.0));
}

#[test]
fn a_side_that_speaks_once_at_the_end_is_kept() {
    let clip = wav16(
        8_000,
        2,
        (0..8_000 * 60).flat_map(|index| {
            let extra = if index > 8_000 * 59 { tone(index, 13.0) / 2 } else { 0 };
            [tone(index, 40.0), tone(index, 40.0) + extra]
        }),
    );
    assert_eq!(decode_bytes("call.wav", &clip).unwrap().mode, ChannelMode::Stereo);
}

#[test]
fn more_than_two_channels_are_mixed() {
    for channels in [3_u16, 6, 8] {
        let spread = (0..16_000).flat_map(|index| (0..channels).map(move |_| tone(index, 40.0)));
        let decoded = decode_bytes("room.wav", &wav16(16_000, channels, spread)).unwrap();
        assert_eq!((decoded.mode, decoded.samples()), (ChannelMode::Folded, 16_000), "{channels} channels");
        assert_eq!(decoded.summary.file_channels, u32::from(channels));
    }
}

#[test]
fn every_sample_format_gives_the_same_level() {
    let level = |decoded: &Decoded| decoded.channels[0].iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
    let values: Vec<i16> = (0..16_000).map(|index| tone(index, 40.0)).collect();
    let pcm = |bytes: usize| -> Vec<u8> {
        let wide = values.iter().map(|value| (i32::from(*value) << 16).to_le_bytes());
        wide.flat_map(|value| value[4 - bytes..].to_vec()).collect()
    };
    let floats: Vec<u8> = values.iter().flat_map(|value| (f32::from(*value) / 32_768.0).to_le_bytes()).collect();
    let unsigned: Vec<u8> = values.iter().map(|value| ((i32::from(*value) >> 8) + 128) as u8).collect();
    let files = [
        wav(1, 16_000, 1, 8, &unsigned),
        wav(1, 16_000, 1, 16, &pcm(2)),
        wav(1, 16_000, 1, 24, &pcm(3)),
        wav(1, 16_000, 1, 32, &pcm(4)),
        wav(3, 16_000, 1, 32, &floats),
    ];
    for (index, file) in files.iter().enumerate() {
        let decoded = decode_bytes("clip.wav", file).unwrap();
        assert_eq!(decoded.samples(), 16_000, "format {index}");
        assert!((level(&decoded) - 9000.0 / 32_768.0).abs() < 0.01, "format {index}: {}", level(&decoded));
    }
}

#[test]
fn samples_that_are_no_numbers_become_silence() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.0, -7.0, 0.25];
    let data: Vec<u8> = odd.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let decoded = decode_bytes("clip.wav", &wav(3, 16_000, 1, 32, &data)).unwrap();
    assert_eq!(decoded.channels[0], [0.0, 0.0, 0.0, 1.0, -1.0, 0.25]);
}

#[test]
fn lost_frames_become_silence_and_nothing_after_them_moves() {
    let clean = decode(&edge("clean.mp3")).unwrap();
    let damaged = decode(&edge("corrupt_middle.mp3")).unwrap();
    assert_eq!(damaged.samples(), clean.samples());
    assert!((4..20).contains(&damaged.summary.damaged_packets), "{}", damaged.summary.damaged_packets);
    assert_eq!(damaged.summary.cut_short_samples, 0);
    let last_third = clean.samples() * 2 / 3;
    assert!(likeness(&damaged.channels[0][last_third..], &clean.channels[0][last_third..]) > 0.9999);
}

#[test]
fn a_cut_file_gives_what_is_there_and_says_what_is_missing() {
    let clean = decode(&edge("clean.mp3")).unwrap();
    let cut = decode(&edge("truncated.mp3")).unwrap();
    assert!(likeness(&cut.channels[0], &clean.channels[0][..cut.samples()]) > 0.9999);
    let whole = cut.summary.samples + cut.summary.cut_short_samples;
    assert!(whole.abs_diff(clean.summary.samples) <= 1152, "{whole}");
    let wave = fs::read(edge("wav_named.mp3")).unwrap();
    let half = decode_bytes("half.wav", &wave[..44 + 32_000]).unwrap();
    assert_eq!(half.summary.samples, 16_000);
    assert_eq!(half.summary.cut_short_samples, clean.summary.samples - 16_000);
}

#[test]
fn a_stream_header_without_sizes_is_no_obstacle() {
    let mut file = wav16(8_000, 1, (0..8_000).map(|index| tone(index, 20.0)));
    for unknown in [0_u32, u32::MAX] {
        file[4..8].copy_from_slice(&unknown.to_le_bytes());
        file[40..44].copy_from_slice(&unknown.to_le_bytes());
        assert_eq!(decode_bytes("stream.wav", &file).unwrap().samples(), 16_000);
    }
}

#[test]
fn a_second_stream_of_another_rate_is_decoded_too() {
    let mut both = fs::read(edge("clean.mp3")).unwrap();
    both.extend(fs::read(edge("speech_44100_stereo.mp3")).unwrap());
    let decoded = decode_bytes("both.mp3", &both).unwrap();
    let expected = 2 * original().len();
    assert!(decoded.samples().abs_diff(expected) < 6_000, "{} of {expected}", decoded.samples());
}

#[test]
fn files_without_sound_say_why() {
    let reason = |path: PathBuf| decode(&path).err().map(|error| error.failure().reason);
    assert_eq!(reason(edge("zero.mp3")), Some(Reason::Empty));
    assert_eq!(reason(edge("html.mp3")), Some(Reason::NotAudio));
    assert_eq!(reason(edge("zero.mp3").with_file_name("gone.mp3")), Some(Reason::Unreadable));
    let of = |bytes: &[u8]| decode_bytes("a.mp3", bytes).err().map(|error| error.failure().reason);
    assert_eq!(of(b"ID3\x03\x00\x00\x00\x00\x00\x02\x00\x00"), Some(Reason::Undecodable));
    assert_eq!(of(b"OggS\x00\x02\x00\x00"), Some(Reason::UnsupportedFormat));
    assert_eq!(of(&wav16(16_000, 1, [])), Some(Reason::Undecodable));
    assert_eq!(of(&wav16(3_000, 1, [0; 3_000])), Some(Reason::UnsupportedFormat));
}

#[test]
fn mutated_files_end_without_a_panic() {
    let mut random = SmallRng::seed_from_u64(20_261_121);
    for name in ["clean.mp3", "speech_8k_mulaw.wav", "speech_ms_adpcm.wav", "speech.flac", "speech.m4a"] {
        let whole = fs::read(edge(name)).unwrap();
        // An MP4 file has its index at the end.
        let source = if name.ends_with("m4a") { &whole[..] } else { &whole[..24_000] };
        for _ in 0..150 {
            let mut bytes = source.to_vec();
            for _ in 0..random.random_range(1..40) {
                let reach = if random.random_bool(0.5) { bytes.len() } else { 200 };
                let at = random.random_range(0..reach);
                let place = if random.random_bool(0.3) { bytes.len() - 1 - at } else { at };
                bytes[place] = if random.random_bool(0.2) { 0xff } else { random.random() };
            }
            if random.random_bool(0.2) {
                bytes.truncate(random.random_range(0..bytes.len()));
            }
            match decode_bytes("mutated", &bytes) {
                Ok(decoded) => assert!(decoded.samples() < 16_000 * 3600, "{name} grew to {}", decoded.samples()),
                Err(DecodeError::Undecodable { code }) => assert_ne!(code, "decoder_panicked", "{name}"),
                Err(_) => {}
            }
        }
    }
}
