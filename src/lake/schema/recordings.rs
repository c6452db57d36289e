//! `recordings`: one row per recording. A call can have several recordings: legs, queue and user, restarts.

use super::derived::Derived;
use super::{Column, SCHEMA_VERSION, Table, TableRow};
use crate::domain::FinishedTranscript;

/// A row of `recordings`: a finished transcript and what is computed from it.
pub struct RecordingRow<'a> {
    finished: &'a FinishedTranscript,
    derived: Derived,
}

impl<'a> RecordingRow<'a> {
    #[must_use]
    pub fn of(finished: &'a FinishedTranscript) -> Self {
        Self { finished, derived: Derived::of(finished) }
    }
}

impl TableRow for RecordingRow<'_> {
    const TABLE: Table = Table::Recordings;

    fn columns() -> Vec<Column<Self>> {
        let mut columns = listed();
        columns.extend(heard());
        columns.extend(produced());
        columns
    }
}

/// What the source says about the recording.
fn listed<'a>() -> Vec<Column<RecordingRow<'a>>> {
    type C<'a> = Column<RecordingRow<'a>>;
    vec![
        C::text("recording_id", "Identity of the recording: Zoom's id without dashes, or file- and a digest", |row| {
            Some(row.finished.recording.id.as_str())
        })
        .looked_up(),
        C::text("call_id", "Zoom's id of the call; its recordings share it", |row| {
            row.finished.recording.call_id.as_deref()
        })
        .looked_up(),
        C::text("call_log_id", "Zoom's id of the call log entry", |row| row.finished.recording.call_log_id.as_deref()),
        C::text("call_history_id", "Zoom's id of the call history entry", |row| {
            row.finished.recording.call_history_id.as_deref()
        }),
        C::text("call_element_id", "Zoom's id of the call element (leg)", |row| {
            row.finished.recording.call_element_id.as_deref()
        }),
        C::text("source", "Where the recording came from: zoom or folder", |row| {
            Some(row.finished.recording.source.as_str())
        }),
        C::text("direction", "inbound or outbound, as listed", |row| row.finished.recording.direction.as_deref()),
        C::text("recording_type", "How the recording was started, as listed: OnDemand or Automatic", |row| {
            row.finished.recording.recording_type.as_deref()
        }),
        C::timestamp("started_at", "Start of the recording; dt is its calendar day", |row| {
            Some(row.finished.started_at)
        }),
        C::timestamp("ended_at", "End of the recording, as listed", |row| row.finished.recording.ended_at),
        C::int32("duration_s", "Length as listed, in seconds", |row| row.finished.recording.duration_s),
        C::text("caller_number", "Number of the caller", |row| row.finished.recording.caller.number.as_deref())
            .personal(),
        C::text("caller_name", "Name of the caller", |row| row.finished.recording.caller.name.as_deref()).personal(),
        C::text("callee_number", "Number of the called party", |row| row.finished.recording.callee.number.as_deref())
            .personal(),
        C::text("callee_name", "Name of the called party", |row| row.finished.recording.callee.name.as_deref())
            .personal(),
        C::text("owner_type", "Whose recording it is: user, callQueue, commonArea, as listed", |row| {
            row.finished.recording.owner.kind.as_deref()
        }),
        C::text("owner_id", "Zoom's id of the owner", |row| row.finished.recording.owner.id.as_deref()).personal(),
        C::text("owner_name", "Name of the owner", |row| row.finished.recording.owner.name.as_deref()).personal(),
        C::text("owner_extension", "Extension of the owner", |row| row.finished.recording.owner.extension.as_deref())
            .personal(),
        C::text("accepted_by_name", "Name of who picked up", |row| row.finished.recording.accepted_by.name.as_deref())
            .personal(),
        C::text("accepted_by_extension", "Extension of who picked up", |row| {
            row.finished.recording.accepted_by.extension.as_deref()
        })
        .personal(),
        C::text("outgoing_by_name", "Name of who placed the call", |row| {
            row.finished.recording.outgoing_by.name.as_deref()
        })
        .personal(),
        C::text("outgoing_by_extension", "Extension of who placed the call", |row| {
            row.finished.recording.outgoing_by.extension.as_deref()
        })
        .personal(),
        C::text("site_id", "Zoom's id of the site", |row| row.finished.recording.site.id.as_deref()),
        C::text("site_name", "Name of the site", |row| row.finished.recording.site.name.as_deref()).free_text(),
    ]
}

/// What the sound is and what was said in it.
fn heard<'a>() -> Vec<Column<RecordingRow<'a>>> {
    type C<'a> = Column<RecordingRow<'a>>;
    vec![
        C::int64("audio_ms", "Decoded length of one channel, in milliseconds", |row| Some(row.finished.audio.audio_ms)),
        C::int32("audio_channels", "Channels in the file", |row| Some(row.finished.audio.channels)),
        C::int32("audio_sample_rate", "Sample rate of the file, in Hz", |row| Some(row.finished.audio.sample_rate_hz)),
        C::int64("audio_bytes", "Size of the file, in bytes", |row| Some(row.finished.audio.bytes)),
        C::text("audio_sha256", "SHA-256 of the file", |row| Some(&row.finished.audio.sha256)),
        C::int64("duration_delta_ms", "audio_ms less the listed duration; null when none is listed", |row| {
            row.derived.duration_delta_ms
        }),
        C::text("channel_mode", "mono, stereo (two speakers, transcribed apart) or folded", |row| {
            Some(row.finished.audio.channel_mode.as_str())
        }),
        C::text("language", "Language of the recording, such as en or ja; null when nobody spoke", |row| {
            row.finished.transcript.language.as_ref().map(|verdict| verdict.language.as_str())
        }),
        C::double("language_prob", "Mean probability of that language over the windows that voted", |row| {
            row.finished.transcript.language.as_ref().map(|verdict| verdict.probability)
        }),
        C::double("language_margin", "language_prob less that of the runner-up", |row| {
            row.finished.transcript.language.as_ref().map(|verdict| verdict.margin)
        }),
        C::text("status", "transcribed or no_speech", |row| Some(row.finished.transcript.status().as_str())),
        C::text("text", "What was said, unsuppressed segments only; empty when nobody spoke", |row| {
            Some(&row.derived.text)
        })
        .free_text()
        .varied(),
        C::int32("segment_count", "Unsuppressed segments", |row| Some(row.derived.segment_count)),
        C::int32("word_count", "Words of unsuppressed segments", |row| row.derived.word_count),
        C::int64(
            "speech_ms",
            "How long somebody speaks, by voice activity, summed over the transcribed channels",
            |row| Some(row.finished.transcript.speech_ms),
        ),
        C::int64("silence_ms", "The rest of the transcribed channels, summed likewise", |row| {
            Some(row.derived.silence_ms)
        }),
        C::int32("suppressed_count", "Rows of segments with suppressed = true", |row| {
            Some(row.derived.suppressed_count)
        }),
        C::double("avg_logprob", "Mean of avg_logprob of unsuppressed segments, weighted by their length", |row| {
            row.derived.avg_logprob
        }),
        C::boolean("needs_review", "Whether a person should look at it", |row| {
            Some(!row.derived.review_reasons.is_empty())
        }),
        C::text(
            "review_reasons",
            "Why, separated by commas: audio_damaged, audio_cut_short, duration_differs, language_uncertain, languages_mixed, low_confidence, \
             much_suppressed",
            |row| Some(row.derived.review_reasons.as_str()).filter(|reasons| !reasons.is_empty()),
        ),
        C::double(
            "talk_share_left",
            "Share of the left side in the time in which somebody speaks; null unless stereo",
            |row| row.derived.talk_share_left,
        ),
        C::double("talk_share_right", "Share of the right side, likewise", |row| row.derived.talk_share_right),
        C::int64(
            "longest_monologue_ms",
            "Longest stretch of one side that the other does not interrupt; null unless stereo",
            |row| row.derived.longest_monologue_ms,
        ),
        C::double("words_per_minute", "Words per minute of speech", |row| row.derived.words_per_minute),
        C::int64("overlap_ms", "Time in which both sides speak; null unless stereo", |row| row.derived.overlap_ms),
        C::double(
            "zoom_agreement",
            "Share of words on which Zoom's own transcript and ours agree; current_recordings fills it in",
            |_| None,
        ),
        C::text("caller_number_hash", "Keyed hash of caller_number; null without privacy.hash_key_file", |row| {
            row.finished.number_hashes.caller.as_deref()
        })
        .personal(),
        C::text("callee_number_hash", "Keyed hash of callee_number; null without privacy.hash_key_file", |row| {
            row.finished.number_hashes.callee.as_deref()
        })
        .personal(),
    ]
}

/// What made the row.
fn produced<'a>() -> Vec<Column<RecordingRow<'a>>> {
    type C<'a> = Column<RecordingRow<'a>>;
    vec![
        C::text("engine", "Speech-to-text engine", |row| Some(&row.finished.engine.engine)),
        C::text("engine_version", "Version of the engine", |row| Some(&row.finished.engine.engine_version)),
        C::text("model", "Name of the model", |row| Some(&row.finished.engine.model)),
        C::text("model_sha256", "SHA-256 of the model file", |row| Some(&row.finished.engine.model_sha256)),
        C::text("settings_sha256", "SHA-256 of the settings that decide the text", |row| {
            Some(&row.finished.settings_sha256)
        }),
        C::text("prompt_sha256", "SHA-256 of the prompt; null when there was none", |row| {
            row.finished.prompt_sha256.as_deref()
        }),
        C::text("fingerprint", "Identity of the result: SHA-256 over all that decides the transcript", |row| {
            Some(row.finished.fingerprint.as_str())
        }),
        C::int32("attempt", "Which attempt succeeded, from 1", |row| Some(row.finished.attempt)),
        C::text("run_id", "The run that transcribed it", |row| Some(&row.finished.run_id.0)),
        C::timestamp("transcribed_at", "When the transcript was finished", |row| Some(row.finished.transcribed_at)),
        C::int32("schema_version", "Version of the tables", |_| Some(SCHEMA_VERSION)),
        C::int32("window_count", "Windows of speech that were decoded", |row| Some(row.derived.window_count)),
        C::int32("second_window_count", "Windows that a second model decoded again", |row| {
            Some(row.derived.second_window_count)
        }),
        C::double(
            "confidence",
            "Share of words that are likely right, from 0 to 1: mean of the segments, weighted by length",
            |row| row.derived.confidence,
        ),
    ]
}
