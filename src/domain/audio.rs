//! What is known about the sound of one recording.

use serde::{Deserialize, Serialize};

/// The one sample rate that leaves `decode` and enters `stt`, in samples per second per channel.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// Converts a sample position at 16 kHz to milliseconds on the recording's own timeline, rounded to the nearest.
#[must_use]
pub const fn samples_to_ms(samples: u64) -> i64 {
    ((samples + 8) / 16).cast_signed()
}

/// Which side of the call a segment was heard on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// The only channel, or both folded into one.
    Mono,
    Left,
    Right,
}

impl Channel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mono => "mono",
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// How the channels of the file were turned into the channels that were transcribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelMode {
    /// One channel in the file.
    Mono,
    /// Two channels that carry different sound: two speakers, transcribed apart.
    Stereo,
    /// Two or more channels that carry the same sound, folded into one; or more than two, mixed into one.
    Folded,
}

impl ChannelMode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mono => "mono",
            Self::Stereo => "stereo",
            Self::Folded => "folded",
        }
    }

    /// The channels that are transcribed, in the order in which decoding yields them.
    #[must_use]
    pub const fn channels(self) -> &'static [Channel] {
        match self {
            Self::Mono | Self::Folded => &[Channel::Mono],
            Self::Stereo => &[Channel::Left, Channel::Right],
        }
    }
}

/// A half-open range `[start, end)` of samples at 16 kHz on the recording's timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    #[must_use]
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    #[must_use]
    pub const fn start_ms(self) -> i64 {
        samples_to_ms(self.start)
    }

    #[must_use]
    pub const fn end_ms(self) -> i64 {
        samples_to_ms(self.end)
    }
}

/// Facts measured on the file itself, not taken from a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioFacts {
    /// Decoded length of one channel on the original timeline, in milliseconds.
    pub audio_ms: i64,
    /// Channels in the file, before folding.
    pub channels: i32,
    /// Sample rate of the file, in Hz, before resampling.
    pub sample_rate_hz: i32,
    /// Size of the file in bytes.
    pub bytes: i64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    pub channel_mode: ChannelMode,
    /// Packets that were damaged or lost; silence of their length stands in their place.
    pub damaged_packets: i64,
    /// What the file's header announced and the file lacks, in milliseconds; 0 when the header says nothing.
    pub missing_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_positions_round_to_the_nearest_millisecond() {
        assert_eq!(samples_to_ms(0), 0);
        assert_eq!(samples_to_ms(7), 0);
        assert_eq!(samples_to_ms(8), 1);
        assert_eq!(samples_to_ms(16_000), 1_000);
    }
}
