//! What the two processes say to each other: frames over pipes.
//!
//! A frame is the length of its head in bytes and the number of its samples (both `u32`, little-endian), the head in JSON,
//! and the samples as little-endian `f32`. Both lengths are bounded and memory grows with what arrives, so whatever comes
//! in costs little and ends in an error at worst. Every number reads back as exactly the one that was written.

use std::ffi::OsString;
use std::io::{self, Read};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::{EngineError, Hints, WindowTranscript};
use crate::config::Isa;
use crate::config::settings::{EngineChoice, GuardConfig};
use crate::domain::{Channel, Language, SAMPLE_RATE_HZ, Span};
use crate::telemetry::LogSettings;

/// The text of a window with the times of all its words is far smaller.
const MAX_HEAD_BYTES: u32 = 4 << 20;
/// A minute: twice the longest window.
const MAX_SAMPLES: u32 = 60 * SAMPLE_RATE_HZ;
/// The request that starts the engine; windows count from 1.
pub(super) const START_ID: u64 = 0;

/// Everything that the child must know before its first window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The verified model file.
    pub model: OsString,
    /// SHA-256 of the file, lower-case hex.
    pub model_sha256: String,
    pub engine: EngineChoice,
    /// What our own engine computes with; `None` = the fastest that the processor has.
    pub isa: Option<Isa>,
    pub flash_attention: bool,
    /// 1 = greedy.
    pub beam_size: u32,
    /// Whether words get their times.
    pub words: bool,
    /// Threads of one worker.
    pub threads: usize,
    /// Windows that are worked on at the same time, each with a state of its own.
    pub workers: usize,
    pub guard: GuardConfig,
    /// A window's sign of life is passed on at most this often.
    pub alive_every: Duration,
    pub logs: LogSettings,
}

/// What the child is and can do; its answer to [`Settings`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The engine's name in every row.
    pub engine: String,
    pub engine_version: String,
    /// Windows that it decodes at the same time, at best: as many as workers, or more.
    pub lanes: usize,
    pub is_multilingual: bool,
    /// Every language that the model knows.
    pub languages: Vec<Language>,
}

/// Why the child cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The model file is at fault.
    Model(EngineError),
    /// The machine is: no memory for the workers' states, no process, no threads.
    Engine(EngineError),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    Start(Box<Settings>),
    /// Samples follow.
    Decode {
        id: u64,
        channel: Channel,
        span: Span,
        voiced: Vec<Span>,
        hints: Hints,
    },
    /// Samples follow.
    Detect {
        id: u64,
        allowed: Vec<Language>,
    },
    Cancel {
        id: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Reply {
    Hello(Hello),
    Refused(Refusal),
    /// The engine asked whether to stop since the last such reply.
    Alive {
        id: u64,
    },
    Text {
        id: u64,
        text: WindowTranscript,
    },
    Languages {
        id: u64,
        probabilities: Vec<(Language, f64)>,
    },
    Failed {
        id: u64,
        error: EngineError,
    },
}

impl Reply {
    pub(super) const fn id(&self) -> u64 {
        match self {
            Self::Hello(_) | Self::Refused(_) => START_ID,
            Self::Alive { id } | Self::Text { id, .. } | Self::Languages { id, .. } | Self::Failed { id, .. } => *id,
        }
    }
}

/// The other side cannot be understood, or is gone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    #[error("the pipe to the other process broke")]
    Pipe(#[from] io::Error),
    #[error("a frame of {head_bytes} bytes and {samples} samples is too large")]
    TooLarge { head_bytes: usize, samples: usize },
    #[error("the head of a frame cannot be read")]
    Head(#[from] serde_json::Error),
    #[error("a frame came that has no place here")]
    Unexpected,
}

/// The bytes of one frame.
pub(super) fn encode<T: Serialize>(head: &T, samples: &[f32]) -> Result<Vec<u8>, ProtocolError> {
    let head = serde_json::to_vec(head)?;
    let too_large = || ProtocolError::TooLarge { head_bytes: head.len(), samples: samples.len() };
    let head_bytes = u32::try_from(head.len()).ok().filter(|bytes| *bytes <= MAX_HEAD_BYTES).ok_or_else(too_large)?;
    let count = u32::try_from(samples.len()).ok().filter(|count| *count <= MAX_SAMPLES).ok_or_else(too_large)?;
    let mut frame = Vec::with_capacity(8 + head.len() + 4 * samples.len());
    frame.extend_from_slice(&head_bytes.to_le_bytes());
    frame.extend_from_slice(&count.to_le_bytes());
    frame.extend_from_slice(&head);
    frame.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    Ok(frame)
}

/// The next frame; `None` when the other side ended between two frames.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl Read) -> Result<Option<(T, Vec<f32>)>, ProtocolError> {
    let mut lengths = Vec::with_capacity(8);
    input.by_ref().take(8).read_to_end(&mut lengths)?;
    let (Some(head_bytes), Some(samples)) = (number(&lengths, 0), number(&lengths, 4)) else {
        return if lengths.is_empty() { Ok(None) } else { Err(cut_short()) };
    };
    if head_bytes > MAX_HEAD_BYTES || samples > MAX_SAMPLES {
        let length = |number| usize::try_from(number).unwrap_or(usize::MAX);
        return Err(ProtocolError::TooLarge { head_bytes: length(head_bytes), samples: length(samples) });
    }
    let head = serde_json::from_slice(&exactly(input, head_bytes)?)?;
    let bytes = exactly(input, 4 * samples)?;
    let (samples, _) = bytes.as_chunks::<4>();
    Ok(Some((head, samples.iter().map(|sample| f32::from_le_bytes(*sample)).collect())))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn exactly(input: &mut impl Read, length: u32) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = Vec::new();
    let read = input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
    if u32::try_from(read) == Ok(length) { Ok(bytes) } else { Err(cut_short()) }
}

fn cut_short() -> ProtocolError {
    ProtocolError::Pipe(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::super::super::DecodedSegment;
    use super::super::super::guard::Confidence;
    use super::*;
    use crate::domain::{TimeSource, Word};

    fn text(probability: f64) -> Reply {
        let confidence = Confidence { avg_logprob: -probability, no_speech_prob: 1.0 / 3.0, compression_ratio: 0.1 };
        let word =
            Word { start_ms: 7, end_ms: 8, text: "明日。".into(), probability, time_source: TimeSource::Token };
        let segment = DecodedSegment {
            start_ms: 7,
            end_ms: 1_007,
            text: "明日。\u{0}\"".into(),
            words: vec![word],
            tokens: 3,
            temperature: f64::from(0.2_f32),
            confidence,
        };
        Reply::Text { id: u64::MAX, text: WindowTranscript::plain(vec![segment], Language("ja".into())) }
    }

    #[test]
    fn the_end_between_two_frames_is_no_error_and_inside_one_it_is() {
        let frame = encode(&Request::Cancel { id: 3 }, &[0.5; 3]).unwrap();
        let two = [frame.as_slice(), &frame].concat();
        let mut input = two.as_slice();
        for _ in 0..2 {
            let (request, samples) = read::<Request>(&mut input).unwrap().unwrap();
            assert_eq!((request, samples), (Request::Cancel { id: 3 }, vec![0.5; 3]));
        }
        assert!(read::<Request>(&mut input).unwrap().is_none());
        for length in 1..frame.len() {
            let error = read::<Request>(&mut &frame[..length]).unwrap_err();
            assert!(matches!(error, ProtocolError::Pipe(_)), "{length}: {error}");
        }
    }

    #[test]
    fn lengths_beyond_the_bounds_are_refused_before_anything_is_read() {
        for (head_bytes, samples) in [(u32::MAX, 0), (MAX_HEAD_BYTES + 1, 0), (2, u32::MAX), (2, MAX_SAMPLES + 1)] {
            let bytes = [head_bytes.to_le_bytes(), samples.to_le_bytes(), *b"null"].concat();
            let mut input = bytes.as_slice();
            assert!(matches!(read::<Request>(&mut input), Err(ProtocolError::TooLarge { .. })));
            assert_eq!(input, b"null");
        }
        let too_long = vec![0.0; usize::try_from(MAX_SAMPLES).unwrap() + 1];
        assert!(matches!(encode(&Request::Cancel { id: 1 }, &too_long), Err(ProtocolError::TooLarge { .. })));
    }

    #[test]
    fn a_head_that_is_something_else_is_an_error() {
        let frame = encode(&text(0.5), &[]).unwrap();
        assert!(matches!(read::<Request>(&mut frame.as_slice()), Err(ProtocolError::Head(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(6), ..ProptestConfig::default() })]

        #[test]
        fn every_number_reads_back_as_the_one_that_was_written(
            probability in any::<f64>().prop_filter("finite", |number| number.is_finite()),
            samples in proptest::collection::vec(any::<f32>(), 0..50),
        ) {
            let frame = encode(&text(probability), &samples).unwrap();
            let (reply, back) = read::<Reply>(&mut frame.as_slice()).unwrap().unwrap();
            prop_assert_eq!(reply, text(probability));
            let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&samples));
        }

        #[test]
        fn arbitrary_bytes_end_in_an_error_and_not_in_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
            prop_assert!(read::<Request>(&mut bytes.as_slice()).is_err());
        }
    }
}
