//! The nouns of the program: recordings, audio, transcripts and the work on them.
//!
//! Nothing here reads a clock, a file or a socket. Every other module may import this one; it imports none of them.

pub mod audio;
pub mod calibration;
pub mod call;
pub mod call_event;
pub mod coverage;
pub mod finding;
pub mod recording;
pub mod timeline;
pub mod tombstone;
pub mod transcript;
pub mod words;
pub mod work;

pub use audio::{AudioFacts, Channel, ChannelMode, SAMPLE_RATE_HZ, Span, samples_to_ms};
pub use calibration::{text_confidence, word_confidence};
pub use call::{CallHistoryRow, CallLeg, CallParty, CallRecord, Generation, JoinKey, JoinedLeg};
pub use call_event::{CallEvent, Station, Via};
pub use coverage::Difference;
pub use finding::{Finding, Obstacle, Verdict};
pub use recording::{AudioLocation, Owner, Party, Person, Recording, RecordingId, Site, SourceKind, short_digest};
pub use timeline::{SpokenLine, TranscriptOutcome};
pub use tombstone::{Departed, PurgeReason, Tombstone};
pub use transcript::{
    Decoding, Doubt, EngineIdentity, Fingerprint, FinishedTranscript, FirstHearing, Language, LanguageVerdict,
    NumberHashes, Recipe, Segment, Suppression, Talk, TimeSource, Transcript, TranscriptStatus, Word,
};
pub use work::{Failure, Lease, Reason, RunId, Stage, Treatment};
