//! How many seconds of audio the machine turns into text in a second.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::decode::AudioStream;
use crate::domain::{ChannelMode, SAMPLE_RATE_HZ};
use crate::stt::native::known_sound;
use crate::stt::{Effort, EngineError, SpeechToText, SttError};

/// What is taken of each recording: its first ten minutes.
const LONGEST: usize = 600 * 16_000;
/// Seconds of audio that are held and measured with, at most one recording more.
const ENOUGH_S: f64 = 3_600.0;
/// How often it is looked whether the time is up.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Samples that are handed over at once.
const BLOCK: usize = 16_000;

/// What the user named cannot be measured with.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum NotMeasurable {
    #[error("{} cannot be measured with: {why}", path.display())]
    NoRecording { path: PathBuf, why: String },
    #[error("nobody speaks in what was to be measured with")]
    NoVoice,
}

/// A recording that the machine is measured with.
pub(super) struct Sound {
    mode: ChannelMode,
    /// Samples of each channel.
    channels: Vec<Vec<f32>>,
}

/// Cores as workers and threads of each, and what came of it.
pub(super) struct Measured {
    pub(super) workers: usize,
    pub(super) threads: usize,
    pub(super) windows: u64,
    /// Of what was decoded.
    pub(super) audio_s: f64,
    pub(super) took: Duration,
    /// How long the workers decoded it, all together.
    decoding: Duration,
}

impl Measured {
    /// Seconds of audio that the machine turns into text in a second.
    pub(super) fn rate(&self) -> f64 {
        // What is still in work at the end is in neither of the two.
        self.workers as f64 * self.audio_s / self.decoding.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// One thread for each worker, two, or one worker with all.
pub(super) fn divisions(cores: usize) -> Vec<(usize, usize)> {
    let mut found = vec![(cores, 1), (cores / 2, 2), (1, cores)];
    found.retain(|(workers, threads)| workers * threads == cores);
    found.dedup();
    found
}

/// What to measure with, and how many seconds of it were decoded in a second.
pub(super) fn sounds(recordings: &[PathBuf]) -> Result<(Vec<Sound>, Option<f64>), NotMeasurable> {
    if recordings.is_empty() {
        let pause = vec![0.0; BLOCK];
        let channel = [known_sound(), pause].concat().repeat(7);
        return Ok((vec![Sound { mode: ChannelMode::Mono, channels: vec![channel] }], None));
    }
    let began = Instant::now();
    let (mut sounds, mut audio_s) = (Vec::new(), 0.0);
    for path in recordings {
        let sound = Sound::read(path).map_err(|why| NotMeasurable::NoRecording { path: path.clone(), why })?;
        audio_s += seconds(sound.length());
        sounds.push(sound);
        if audio_s >= ENOUGH_S {
            tracing::info!(read = sounds.len(), of = recordings.len(), "these recordings are enough to measure with");
            break;
        }
    }
    Ok((sounds, Some(audio_s / began.elapsed().as_secs_f64())))
}

impl Sound {
    fn read(path: &Path) -> Result<Self, String> {
        let mut stream = AudioStream::open(path).map_err(|error| error.to_string())?;
        let mode = stream.channel_mode();
        let mut sound = Self { mode, channels: vec![Vec::new(); mode.channels().len()] };
        while sound.length() < LONGEST
            && let Some(blocks) = stream.next_block().map_err(|error| error.to_string())?
        {
            sound.channels.iter_mut().zip(blocks).for_each(|(channel, block)| channel.extend_from_slice(block));
        }
        if sound.length() > 0 { Ok(sound) } else { Err("there is no sound in it".to_owned()) }
    }

    fn length(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

/// Transcribes the sounds again and again, as many at the same time as keep the engine busy, until the time is up and
/// every worker has done some windows. Windows that are done by then count, with the time that they took.
pub(super) fn measure(
    speech: &SpeechToText,
    sounds: &[Sound],
    (workers, threads): (usize, usize),
    limit: Duration,
) -> Result<Measured, SttError> {
    let (cancel, next) = (CancellationToken::new(), AtomicUsize::new(0));
    let heard: Vec<AtomicBool> = sounds.iter().map(|_| AtomicBool::new(false)).collect();
    let began = Instant::now();
    let transcribe = || -> Result<(), SttError> {
        // Who ends, for whatever reason, ends the others.
        let _end = cancel.clone().drop_guard();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed) % sounds.len();
            let sound = &sounds[number];
            let mut session = speech.session(sound.mode, None, &cancel);
            for first in (0..sound.length()).step_by(BLOCK) {
                let end = (first + BLOCK).min(sound.length());
                let block = |channel: &Vec<f32>| channel[first..end].to_vec();
                session.push(&sound.channels.iter().map(block).collect::<Vec<_>>())?;
            }
            session.finish()?;
            heard[number].store(true, Ordering::Relaxed);
        }
    };
    let windows = || speech.effort().0.windows;
    let (ended, has_ended) = sync_channel(speech.lanes() + 1);
    let session = || {
        let outcome = transcribe();
        let _room_for_each = ended.try_send(());
        outcome
    };
    let says_nothing = || windows() == 0 && heard.iter().all(|heard| heard.load(Ordering::Relaxed));
    let is_enough = || windows() >= 2 * speech.lanes() as u64 || says_nothing();
    std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..=speech.lanes()).map(|_| scope.spawn(session)).collect();
        while !cancel.is_cancelled() && (began.elapsed() < limit || !is_enough()) {
            let _nobody_ended = has_ended.recv_timeout(LOOK_EVERY);
        }
        let (Effort { windows, audio, decoding }, took) = (speech.effort().0, began.elapsed());
        let was_cancelled = cancel.is_cancelled();
        cancel.cancel();
        for session in sessions {
            let ended = session.join().map_err(|_panic| EngineError::Panicked)?;
            if was_cancelled && !matches!(ended, Err(SttError::Engine(EngineError::Cancelled))) {
                ended?;
            }
        }
        Ok(Measured { workers, threads, windows, audio_s: audio.as_secs_f64(), took, decoding })
    })
}

fn seconds(samples: usize) -> f64 {
    samples as f64 / f64::from(SAMPLE_RATE_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_core_is_used_in_each_division_and_none_is_measured_twice() {
        assert_eq!(divisions(1), [(1, 1)]);
        assert_eq!(divisions(2), [(2, 1), (1, 2)]);
        assert_eq!(divisions(3), [(3, 1), (1, 3)]);
        assert_eq!(divisions(8), [(8, 1), (4, 2), (1, 8)]);
    }
}
