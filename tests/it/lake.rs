//! The lake as its readers see it: files written by the program, read by Parquet in Rust, by DuckDB and by PyArrow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::tz::TimeZone;
use parquet::file::metadata::{FooterTail, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use serde_json::{Value, json};
use transcribe::config::{LakeConfig, LakePlace, Partition};
use transcribe::domain::{
    CallEvent, CallHistoryRow, CallLeg, CallParty, Channel, ChannelMode, Departed, Difference, FinishedTranscript,
    Generation, JoinKey, JoinedLeg, Language, LanguageVerdict, Party, PurgeReason, Reason, RecordingId, RunId,
    SpokenLine, Stage, Station, Suppression, Talk, Tombstone, TranscriptOutcome, Via, word_confidence,
};
use transcribe::lake::{
    BatchPlan, CoverageRow, Lake, PublishedObject, QuarantineRow, RunRow, SCHEMA_VERSION, Staging, Table,
    ZoomSegmentRow, ZoomTranscriptRow,
};

use crate::transcripts::{finished, segment};

/// The columns of each table as design and documents promise them, typed out by hand: name and DuckDB type.
const RECORDINGS: &str = "
recording_id VARCHAR, call_id VARCHAR, call_log_id VARCHAR, call_history_id VARCHAR, call_element_id VARCHAR,
source VARCHAR, direction VARCHAR, recording_type VARCHAR, started_at TIMESTAMP WITH TIME ZONE,
ended_at TIMESTAMP WITH TIME ZONE, duration_s INTEGER, caller_number VARCHAR, caller_name VARCHAR,
callee_number VARCHAR, callee_name VARCHAR, owner_type VARCHAR, owner_id VARCHAR, owner_name VARCHAR,
owner_extension VARCHAR, accepted_by_name VARCHAR, accepted_by_extension VARCHAR, outgoing_by_name VARCHAR,
outgoing_by_extension VARCHAR, site_id VARCHAR, site_name VARCHAR, audio_ms BIGINT, audio_channels INTEGER,
audio_sample_rate INTEGER, audio_bytes BIGINT, audio_sha256 VARCHAR, duration_delta_ms BIGINT, channel_mode VARCHAR,
language VARCHAR, language_prob DOUBLE, language_margin DOUBLE, status VARCHAR, text VARCHAR, segment_count INTEGER,
word_count INTEGER, speech_ms BIGINT, silence_ms BIGINT, suppressed_count INTEGER, avg_logprob DOUBLE,
needs_review BOOLEAN, review_reasons VARCHAR, talk_share_left DOUBLE, talk_share_right DOUBLE,
longest_monologue_ms BIGINT, words_per_minute DOUBLE, overlap_ms BIGINT, zoom_agreement DOUBLE,
caller_number_hash VARCHAR, callee_number_hash VARCHAR, engine VARCHAR, engine_version VARCHAR, model VARCHAR,
model_sha256 VARCHAR, settings_sha256 VARCHAR, prompt_sha256 VARCHAR, fingerprint VARCHAR, attempt INTEGER,
run_id VARCHAR, transcribed_at TIMESTAMP WITH TIME ZONE, schema_version INTEGER, window_count INTEGER,
second_window_count INTEGER, confidence DOUBLE";
const SEGMENTS: &str = "
recording_id VARCHAR, call_id VARCHAR, started_at TIMESTAMP WITH TIME ZONE, segment_index INTEGER, channel VARCHAR,
speaker VARCHAR, start_ms BIGINT, end_ms BIGINT, text VARCHAR, language VARCHAR, avg_logprob DOUBLE,
no_speech_prob DOUBLE, compression_ratio DOUBLE, temperature DOUBLE, suppressed BOOLEAN, suppressed_reason VARCHAR,
first_text VARCHAR, first_model VARCHAR, fingerprint VARCHAR, window_start_ms BIGINT, window_end_ms BIGINT,
decode_count INTEGER, retry_reasons VARCHAR, objections VARCHAR, confidence DOUBLE";
const WORDS: &str = "
recording_id VARCHAR, segment_index INTEGER, word_index INTEGER, channel VARCHAR, start_ms BIGINT, end_ms BIGINT,
word VARCHAR, probability DOUBLE, time_source VARCHAR, fingerprint VARCHAR";
const QUARANTINE: &str = "
recording_id VARCHAR, call_id VARCHAR, started_at TIMESTAMP WITH TIME ZONE, stage VARCHAR, reason VARCHAR,
detail VARCHAR, attempts INTEGER, first_seen_at TIMESTAMP WITH TIME ZONE, last_tried_at TIMESTAMP WITH TIME ZONE,
run_id VARCHAR";
const RUNS: &str = "
run_id VARCHAR, command VARCHAR, trigger VARCHAR, started_at TIMESTAMP WITH TIME ZONE,
ended_at TIMESTAMP WITH TIME ZONE, exit_code INTEGER, listed INTEGER, done INTEGER, skipped INTEGER, failed INTEGER,
waiting INTEGER, audio_ms BIGINT, program_version VARCHAR";
const CALL_HISTORY: &str = "
leg_id VARCHAR, call_element_id VARCHAR, call_history_id VARCHAR, call_log_id VARCHAR, call_path_id VARCHAR,
call_id VARCHAR, leg_index INTEGER, generation VARCHAR, direction VARCHAR, call_type VARCHAR, connect_type VARCHAR,
event VARCHAR, result VARCHAR, started_at TIMESTAMP WITH TIME ZONE, answered_at TIMESTAMP WITH TIME ZONE,
ended_at TIMESTAMP WITH TIME ZONE, duration_s INTEGER, wait_s INTEGER, hold_s INTEGER, talk_s INTEGER,
caller_number VARCHAR, caller_name VARCHAR, caller_extension VARCHAR, caller_number_type VARCHAR,
caller_user_id VARCHAR, callee_number VARCHAR, callee_name VARCHAR, callee_extension VARCHAR,
callee_number_type VARCHAR, callee_user_id VARCHAR, operator_name VARCHAR, department VARCHAR, cost_center VARCHAR,
site_id VARCHAR, site_name VARCHAR, has_recording BOOLEAN, recording_type VARCHAR, recording_ids VARCHAR,
joined_by VARCHAR, fetched_at TIMESTAMP WITH TIME ZONE, run_id VARCHAR, schema_version INTEGER, row_hash VARCHAR";
const ZOOM_SEGMENTS: &str = "
recording_id VARCHAR, segment_index INTEGER, channel VARCHAR, speaker VARCHAR, start_ms BIGINT, end_ms BIGINT,
text VARCHAR";
const ZOOM_TRANSCRIPTS: &str = "
recording_id VARCHAR, fetched_at TIMESTAMP WITH TIME ZONE, outcome VARCHAR, agreement DOUBLE, fingerprint VARCHAR";
const COVERAGE: &str = "
day VARCHAR, zoom_recordings INTEGER, zoom_seconds BIGINT, lake_recordings INTEGER, lake_seconds BIGINT,
reason VARCHAR, recordings INTEGER, seconds BIGINT, run_id VARCHAR, checked_at TIMESTAMP WITH TIME ZONE";
const CALL_EVENTS: &str = "
event VARCHAR, event_at TIMESTAMP WITH TIME ZONE, call_id VARCHAR, caller_number VARCHAR, caller_name VARCHAR,
caller_extension VARCHAR, caller_extension_id VARCHAR, caller_extension_type VARCHAR, caller_user_id VARCHAR,
caller_connection_type VARCHAR, caller_timezone VARCHAR, caller_device_type VARCHAR, caller_device_id VARCHAR,
callee_number VARCHAR, callee_name VARCHAR, callee_extension VARCHAR, callee_extension_id VARCHAR,
callee_extension_type VARCHAR, callee_user_id VARCHAR, callee_connection_type VARCHAR, callee_timezone VARCHAR,
callee_device_type VARCHAR, callee_device_id VARCHAR, forwarded_by_number VARCHAR, forwarded_by_name VARCHAR,
forwarded_by_extension VARCHAR, forwarded_by_type VARCHAR, redirect_forwarded_by_number VARCHAR,
redirect_forwarded_by_name VARCHAR, redirect_forwarded_by_extension VARCHAR, redirect_forwarded_by_type VARCHAR,
ringing_at TIMESTAMP WITH TIME ZONE, answered_at TIMESTAMP WITH TIME ZONE, ended_at TIMESTAMP WITH TIME ZONE,
result VARCHAR, via VARCHAR, received_at TIMESTAMP WITH TIME ZONE";
const TABLES: [(&str, &str); 10] = [
    ("recordings", RECORDINGS),
    ("segments", SEGMENTS),
    ("words", WORDS),
    ("quarantine", QUARANTINE),
    ("runs", RUNS),
    ("call_history", CALL_HISTORY),
    ("zoom_segments", ZOOM_SEGMENTS),
    ("zoom_transcripts", ZOOM_TRANSCRIPTS),
    ("coverage", COVERAGE),
    ("call_events", CALL_EVENTS),
];

fn columns(list: &str) -> Vec<(&str, &str)> {
    list.split(',').map(|column| column.trim().split_once(' ').unwrap()).collect()
}

/// A lake in a folder of its own.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
    lake: Lake,
}

impl Workspace {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = LakeConfig {
            place: LakePlace::Folder(folder.path().join("lake")),
            partition_timezone: TimeZone::UTC,
            partition: Partition::Day,
            flush_every: Duration::from_secs(60),
            flush_bytes: 1 << 20,
            fresh_every: Duration::from_secs(60),
            compression_level: 3,
        };
        let lake = Lake::open(&config).await.unwrap();
        Self { folder, lake }
    }

    pub(crate) const fn lake(&self) -> &Lake {
        &self.lake
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    pub(crate) async fn publish(&self, members: &[FinishedTranscript]) -> Vec<PublishedObject> {
        self.lake.publish(&plan_for(members), members.to_vec()).await.unwrap().objects
    }

    /// Every table with at least one row.
    pub(crate) async fn fill(&self) {
        self.publish(&[call()]).await;
        self.lake.write_quarantine(&[quarantined()]).await.unwrap();
        self.lake.write_run(&run()).await.unwrap();
        self.lake.write_coverage(vec![coverage()]).await.unwrap();
        for (table, row) in posted() {
            self.lake.write_posted(table, "2026-11-02", vec![row]).await.unwrap();
        }
        self.lake.write_tombstones(vec![tombstone()]).await.unwrap();
    }

    /// All files below the root but what the lake remembers of itself, with their bytes.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let pattern = format!("{}/*/**/*", self.root().display());
        let paths = glob::glob(&pattern).unwrap().map(Result::unwrap).filter(|path| path.is_file());
        let name = |path: &Path| path.strip_prefix(self.root()).unwrap().display().to_string();
        paths.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
    }

    /// The bytes of the only file of a table.
    fn only(&self, table: &str) -> Vec<u8> {
        let files: Vec<_> = self.files().into_iter().filter(|(name, _)| name.starts_with(table)).collect();
        let [(_, bytes)] = <[_; 1]>::try_from(files).expect("one file in the table");
        bytes
    }

    fn query(&self, sql: &str) -> Value {
        read_lake(&["query", &self.root().display().to_string(), sql])
    }
}

/// Runs `tests/support/read_lake.py` with the project's own Python.
fn read_lake(arguments: &[&str]) -> Value {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = project.join(".venv/bin/python");
    assert!(python.exists(), "{} with duckdb and pyarrow is needed", python.display());
    let mut command = Command::new(python);
    let output = command.arg(project.join("tests/support/read_lake.py")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn plan_for(members: &[FinishedTranscript]) -> BatchPlan {
    let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
    Lake::plan_batch(&members[0].dt, &fingerprints)
}

fn tombstone() -> Tombstone {
    let of = Departed::Call("7072598989368295985".into());
    Tombstone { of, purged_at: "2026-11-02T03:00:00Z".parse().unwrap(), reason: PurgeReason::Call }
}

/// A call in which every text that must stay private is a word that stands nowhere else.
fn call() -> FinishedTranscript {
    let mut invented = segment(2_000, "Suppressimarker");
    invented.suppressed = Some(Suppression::CompressionRatio);
    let mut call = finished("0F3A5C7E-9B1D", vec![segment(0, "Textmarker hello"), invented]);
    let recording = &mut call.recording;
    recording.call_id = Some("7072598989368295984".into());
    recording.duration_s = Some(9);
    recording.caller = Party { number: Some("+81312345678".into()), name: Some("Callernamemarker".into()) };
    recording.callee = Party { number: Some("+15550001111".into()), name: Some("Calleenamemarker".into()) };
    recording.owner.name = Some("Ownernamemarker".into());
    recording.owner.extension = Some("Ownerextmarker".into());
    recording.accepted_by.name = Some("Acceptednamemarker".into());
    recording.accepted_by.extension = Some("Acceptedextmarker".into());
    recording.outgoing_by.name = Some("Outgoingnamemarker".into());
    recording.outgoing_by.extension = Some("Outgoingextmarker".into());
    recording.site.name = Some("Sitenamemarker".into());
    call
}

const PRIVATE: [&str; 14] = [
    "Textmarker",
    "Suppressimarker",
    "hello",
    "+81312345678",
    "+15550001111",
    "Callernamemarker",
    "Calleenamemarker",
    "Ownernamemarker",
    "Ownerextmarker",
    "Acceptednamemarker",
    "Acceptedextmarker",
    "Outgoingnamemarker",
    "Outgoingextmarker",
    "Sitenamemarker",
];

/// A row of each table that goes through the ledger's outbox.
fn posted() -> [(&'static str, String); 4] {
    let id = RecordingId::parse("0f3a5c7e9b1d").unwrap();
    let party = |name: &str, number: &str| CallParty {
        number: Some(number.into()),
        name: Some(name.into()),
        extension: Some("Ownerextmarker".into()),
        number_type: Some("external_pstn".into()),
        user_id: Some("Acceptedextmarker".into()),
    };
    let mut leg = CallLeg::bare("20261102-leg".into(), Generation::CallElement);
    leg.caller = party("Callernamemarker", "+81312345678");
    leg.callee = party("Calleenamemarker", "+15550001111");
    leg.operator_name = Some("Acceptednamemarker".into());
    leg.site.name = Some("Sitenamemarker".into());
    let leg = CallHistoryRow {
        joined: JoinedLeg { leg, recording_ids: Some(id.to_string()), joined_by: Some(JoinKey::CallElementId) },
        row_hash: "ef".repeat(32),
        fetched_at: "2026-11-03T00:00:00Z".parse().unwrap(),
        run_id: RunId("20261103T000000Z-0a0b0c0d".into()),
    };
    let line = SpokenLine {
        channel: Some(Channel::Left),
        speaker: Some("Callernamemarker".into()),
        start_ms: 0,
        end_ms: 900,
        text: "Textmarker".into(),
    };
    let line = ZoomSegmentRow { recording_id: id.clone(), segment_index: 0, line };
    let transcript = ZoomTranscriptRow {
        recording_id: id,
        fetched_at: "2026-11-03T00:00:00Z".parse().unwrap(),
        outcome: TranscriptOutcome::Fetched,
        agreement: Some(0.5),
        fingerprint: None,
    };
    let station = |name: &str, number: &str| Station {
        number: Some(number.into()),
        name: Some(name.into()),
        extension: Some("Ownerextmarker".into()),
        extension_id: Some("Ownerextmarker".into()),
        user_id: Some("Acceptedextmarker".into()),
        device_id: Some("Ownerextmarker".into()),
        ..Station::default()
    };
    let event = CallEvent {
        event: "phone.callee_ringing".into(),
        event_at: Some("2026-11-02T01:15:04Z".parse().unwrap()),
        call_id: Some("7072598989368295984".into()),
        caller: station("Callernamemarker", "+81312345678"),
        callee: station("Calleenamemarker", "+15550001111"),
        forwarded_by: station("Ownernamemarker", "+15550001111"),
        redirect_forwarded_by: station("Sitenamemarker", "+15550001111"),
        ringing_at: Some("2026-11-02T01:15:04Z".parse().unwrap()),
        answered_at: None,
        ended_at: None,
        result: None,
        via: Via::Webhook,
        received_at: "2026-11-02T01:15:05Z".parse().unwrap(),
    };
    [
        ("call_events", serde_json::to_string(&event).unwrap()),
        ("call_history", serde_json::to_string(&leg).unwrap()),
        ("zoom_segments", serde_json::to_string(&line).unwrap()),
        ("zoom_transcripts", serde_json::to_string(&transcript).unwrap()),
    ]
}

fn quarantined() -> QuarantineRow {
    QuarantineRow {
        recording_id: RecordingId::parse("dead-beef").unwrap(),
        call_id: None,
        started_at: Some("2026-11-02T23:59:59.999Z".parse().unwrap()),
        stage: Stage::Fetch,
        reason: Reason::NotFound,
        detail: "status=404".into(),
        attempts: 3,
        first_seen_at: "2026-11-03T00:00:00Z".parse().unwrap(),
        last_tried_at: "2026-11-03T01:00:00Z".parse().unwrap(),
        run_id: RunId("20261103T000000Z-0a0b0c0d".into()),
    }
}

fn run() -> RunRow {
    RunRow {
        run_id: RunId("20261103T000000Z-0a0b0c0d".into()),
        command: "run".into(),
        trigger: "sweep".into(),
        started_at: "2026-11-03T00:00:00Z".parse().unwrap(),
        ended_at: "2026-11-03T00:10:00Z".parse().unwrap(),
        exit_code: 4,
        listed: 12,
        done: 10,
        skipped: 1,
        failed: 1,
        waiting: 0,
        audio_ms: 3_600_000,
        program_version: "0.1.0".into(),
    }
}

fn coverage() -> CoverageRow {
    CoverageRow {
        day: "2026-11-02".into(),
        zoom_recordings: 2,
        zoom_seconds: 20,
        lake_recordings: 1,
        lake_seconds: 10,
        reason: Some(Difference::NotYet),
        recordings: 1,
        seconds: 10,
        run_id: RunId("20261103T000000Z-0a0b0c0d".into()),
        checked_at: "2026-11-03T00:00:00Z".parse().unwrap(),
    }
}

#[tokio::test]
async fn every_table_has_the_promised_columns_in_order_for_duckdb() {
    let work = Workspace::new().await;
    work.fill().await;
    for (table, list) in TABLES {
        let mut expected = columns(list);
        expected.push(("dt", "VARCHAR"));
        let glob = format!("{table}/**/*.parquet");
        let seen = read_lake(&["describe", &work.root().display().to_string(), &glob]);
        assert_eq!(seen, json!(expected), "{table}");
    }
}

#[tokio::test]
async fn every_table_has_the_promised_columns_in_order_for_pyarrow() {
    let arrow_type = |duckdb: &str| match duckdb {
        "VARCHAR" => "string",
        "INTEGER" => "int32",
        "BIGINT" => "int64",
        "DOUBLE" => "double",
        "BOOLEAN" => "bool",
        "TIMESTAMP WITH TIME ZONE" => "timestamp[ms, tz=UTC]",
        other => panic!("{other}"),
    };
    let work = Workspace::new().await;
    work.fill().await;
    for (table, list) in TABLES {
        let mut expected: Vec<_> = columns(list).into_iter().map(|(name, kind)| (name, arrow_type(kind))).collect();
        expected.push(("dt", "string"));
        let seen = read_lake(&["arrow", &work.root().display().to_string(), table]);
        assert_eq!(seen["columns"], json!(expected), "{table}");
    }
}

#[tokio::test]
async fn the_stored_types_are_those_that_every_engine_reads() {
    let work = Workspace::new().await;
    work.fill().await;
    for name in work.files().keys() {
        let path = work.root().join(name).display().to_string();
        for column in read_lake(&["physical", &path]).as_array().unwrap() {
            let stored = (column[1].as_str().unwrap(), column[2].as_str().unwrap());
            let expected = match stored.0 {
                "BYTE_ARRAY" => "String",
                "INT64" if column[0].as_str().unwrap().ends_with("_at") => {
                    "Timestamp(isAdjustedToUTC=true, timeUnit=milliseconds, is_from_converted_type=false, \
                     force_set_converted_type=false)"
                }
                "INT32" | "INT64" | "DOUBLE" | "BOOLEAN" => "None",
                other => panic!("{other} in {name}"),
            };
            assert_eq!(stored.1, expected, "{column} in {name}");
        }
    }
}

#[tokio::test]
async fn partitions_are_days_and_the_day_is_no_column_of_the_file() {
    let work = Workspace::new().await;
    work.fill().await;
    let folders: Vec<_> = work.files().keys().map(|name| name.rsplit_once('/').unwrap().0.to_owned()).collect();
    let expected = [
        "call_events/dt=2026-11-02",
        "call_history/dt=2026-11-02",
        "coverage/dt=2026-11-03",
        "quarantine/dt=2026-11-02",
        "recordings/dt=2026-11-02",
        "runs/dt=2026-11-03",
        "segments/dt=2026-11-02",
        "tombstones/dt=2026-11-02",
        "words/dt=2026-11-02",
        "zoom_segments/dt=2026-11-02",
        "zoom_transcripts/dt=2026-11-02",
    ];
    assert_eq!(folders, expected);
    for (table, _) in TABLES {
        let metadata = metadata_of(&work.only(table));
        let names = metadata.file_metadata().schema_descr().columns().iter().map(|column| column.name().to_owned());
        assert!(names.into_iter().all(|name| name != "dt"), "{table}");
    }
}

#[tokio::test]
async fn values_come_back_in_duckdb() {
    let work = Workspace::new().await;
    work.fill().await;
    let rows = work.query(
        "SELECT recording_id, call_id, source, strftime(started_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S'), \
         audio_ms, duration_delta_ms, status, text, segment_count, word_count, speech_ms, silence_ms, \
         suppressed_count, avg_logprob, words_per_minute, talk_share_left, needs_review, attempt, \
         epoch_ms(transcribed_at), schema_version, dt \
         FROM read_parquet('recordings/**/*.parquet', hive_partitioning=true, hive_types={'dt': VARCHAR})",
    );
    let expected = json!([[
        "0f3a5c7e9b1d",
        "7072598989368295984",
        "zoom",
        "2026-11-02 01:15:04",
        10_000,
        1_000,
        "transcribed",
        "Textmarker hello",
        1,
        2,
        4_000,
        6_000,
        1,
        -0.25,
        30.0,
        null,
        false,
        1,
        1_794_013_323_456_i64,
        SCHEMA_VERSION,
        "2026-11-02"
    ]]);
    assert_eq!(rows, expected);
    let rows = work.query(
        "SELECT segment_index, channel, start_ms, end_ms, text, language, suppressed, suppressed_reason \
         FROM read_parquet('segments/**/*.parquet', hive_partitioning=true) ORDER BY segment_index",
    );
    let expected = json!([
        [0, "mono", 0, 1_000, "Textmarker hello", "en", false, null],
        [1, "mono", 2_000, 3_000, "Suppressimarker", "en", true, "compression_ratio"],
    ]);
    assert_eq!(rows, expected);
    let rows = work.query(
        "SELECT segment_index, word_index, start_ms, end_ms, word, probability, time_source \
         FROM read_parquet('words/**/*.parquet', hive_partitioning=true)",
    );
    let probability = word_confidence(0.87);
    let expected =
        json!([[0, 0, 0, 100, "Textmarker", probability, "token"], [0, 1, 100, 200, "hello", probability, "token"]]);
    assert_eq!(rows, expected);
    let rows = work.query("SELECT recording_id, stage, reason, detail, attempts FROM 'quarantine/**/*.parquet'");
    assert_eq!(rows, json!([["deadbeef", "fetch", "not_found", "status=404", 3]]));
    let rows = work.query("SELECT run_id, exit_code, listed, done, audio_ms FROM 'runs/**/*.parquet'");
    assert_eq!(rows, json!([["20261103T000000Z-0a0b0c0d", 4, 12, 10, 3_600_000]]));
}

#[tokio::test]
async fn a_partition_filter_on_the_day_works_as_a_string() {
    let work = Workspace::new().await;
    let mut next_day = finished("bb", vec![segment(0, "later")]);
    next_day.dt = "2026-11-03".into();
    work.publish(&[finished("aa", vec![segment(0, "earlier")])]).await;
    work.publish(&[next_day]).await;
    let rows = work.query(
        "SELECT recording_id, dt FROM read_parquet('recordings/**/*.parquet', hive_partitioning=true) \
         WHERE dt = '2026-11-03'",
    );
    assert_eq!(rows, json!([["bb", "2026-11-03"]]));
}

#[tokio::test]
async fn no_timestamp_is_far_from_its_year() {
    let work = Workspace::new().await;
    work.fill().await;
    for (table, list) in TABLES {
        for (column, _) in columns(list).into_iter().filter(|(name, _)| name.ends_with("_at")) {
            let sql = format!("SELECT count(*) FROM '{table}/**/*.parquet' WHERE year({column}) <> 2026");
            assert_eq!(work.query(&sql), json!([[0]]), "{table}.{column}");
        }
    }
}

#[tokio::test]
async fn japanese_text_survives_and_is_joined_without_spaces() {
    let work = Workspace::new().await;
    let mut call = finished("aa", vec![segment(0, "お電話ありがとうございます。"), segment(1_000, "𠮷野家です🎧")]);
    let japanese = Language("ja".into());
    call.transcript.language = Some(LanguageVerdict { language: japanese, probability: 0.99, margin: 0.9 });
    work.publish(&[call]).await;
    let whole = "お電話ありがとうございます。𠮷野家です🎧";
    assert_eq!(work.query("SELECT text, language FROM 'recordings/**/*.parquet'"), json!([[whole, "ja"]]));
    let words = work.query("SELECT word FROM 'words/**/*.parquet' ORDER BY segment_index");
    assert_eq!(words, json!([["お電話ありがとうございます。"], ["𠮷野家です🎧"]]));
}

#[tokio::test]
async fn two_channels_are_told_apart() {
    let work = Workspace::new().await;
    let mut call = finished("aa", vec![segment(0, "hello there"), segment(1_000, "hi")]);
    call.audio.channel_mode = ChannelMode::Stereo;
    call.audio.channels = 2;
    call.transcript.segments[0].channel = Channel::Left;
    call.transcript.segments[1].channel = Channel::Right;
    call.transcript.talk = Some(Talk { left_ms: 900, right_ms: 900, overlap_ms: 0, longest_monologue_ms: 1_000 });
    work.publish(&[call]).await;
    let rows = work.query(
        "SELECT channel_mode, silence_ms, talk_share_left, talk_share_right, overlap_ms, longest_monologue_ms \
         FROM 'recordings/**/*.parquet'",
    );
    assert_eq!(rows, json!([["stereo", 16_000, 0.5, 0.5, 0, 1_000]]));
    let rows = work.query("SELECT channel, count(*) FROM 'words/**/*.parquet' GROUP BY ALL ORDER BY ALL");
    assert_eq!(rows, json!([["left", 2], ["right", 1]]));
}

fn metadata_of(file: &[u8]) -> ParquetMetaData {
    let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
    reader.parse_and_finish(&bytes::Bytes::copy_from_slice(file)).unwrap()
}

/// The bytes of a file outside its data pages: page indexes, bloom filters and the footer.
pub(crate) fn bytes_beside_the_pages(file: &[u8]) -> Vec<u8> {
    let metadata = metadata_of(file);
    let mut beside = file.to_vec();
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let (start, length) = (usize::try_from(start).unwrap(), usize::try_from(length).unwrap());
        beside[start..start + length].fill(0);
    }
    let tail = FooterTail::try_from(&file[file.len() - 8..]).unwrap();
    let footer = &file[file.len() - 8 - tail.metadata_length()..];
    assert!(beside.ends_with(footer), "no column chunk reaches into the footer");
    beside
}

pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn nothing_private_stands_outside_the_data_pages() {
    let work = Workspace::new().await;
    work.fill().await;
    for (table, _) in TABLES {
        let file = work.only(table);
        let beside = bytes_beside_the_pages(&file);
        for marker in PRIVATE {
            assert!(!holds(&beside, marker), "{marker} beside the pages of {table}");
        }
    }
    // The check can fail: a plain column does have its value there.
    assert!(holds(&bytes_beside_the_pages(&work.only("recordings")), "0f3a5c7e9b1d"));
}

#[tokio::test]
async fn statistics_stand_on_plain_columns_only() {
    let private = [
        "caller_number",
        "caller_name",
        "callee_number",
        "callee_name",
        "owner_id",
        "owner_name",
        "owner_extension",
        "accepted_by_name",
        "accepted_by_extension",
        "outgoing_by_name",
        "outgoing_by_extension",
        "site_name",
        "text",
        "caller_number_hash",
        "callee_number_hash",
        "speaker",
        "first_text",
        "word",
        "caller_extension",
        "caller_user_id",
        "callee_extension",
        "callee_user_id",
        "operator_name",
        "caller_extension_id",
        "caller_device_id",
        "callee_extension_id",
        "callee_device_id",
        "forwarded_by_number",
        "forwarded_by_name",
        "forwarded_by_extension",
        "redirect_forwarded_by_number",
        "redirect_forwarded_by_name",
        "redirect_forwarded_by_extension",
    ];
    let work = Workspace::new().await;
    work.fill().await;
    for (table, list) in TABLES {
        let metadata = metadata_of(&work.only(table));
        let chunks = metadata.row_group(0).columns();
        for ((name, _), chunk) in columns(list).into_iter().zip(chunks) {
            let expected = !private.contains(&name);
            assert_eq!(chunk.statistics().is_some(), expected, "{table}.{name}");
            assert_eq!(chunk.column_index_offset().is_some(), expected, "{table}.{name}");
        }
    }
}

#[tokio::test]
async fn the_footer_names_the_schema_and_the_writer() {
    let work = Workspace::new().await;
    work.fill().await;
    for (table, _) in TABLES {
        let metadata = metadata_of(&work.only(table));
        let footer = metadata.file_metadata().key_value_metadata().unwrap().iter();
        let footer: Vec<_> = footer.map(|pair| (pair.key.as_str(), pair.value.as_deref().unwrap())).collect();
        let version = SCHEMA_VERSION.to_string();
        assert_eq!(footer, [("schema_version", version.as_str()), ("writer", "transcribe 0.1.0")], "{table}");
        assert_eq!(metadata.file_metadata().created_by(), Some("transcribe version 0.1.0"));
        let compression = format!("{:?}", metadata.row_group(0).column(0).compression());
        assert!(compression.starts_with("ZSTD"), "{compression}");
    }
}

#[tokio::test]
async fn the_same_input_gives_the_same_keys_and_bytes() {
    let (one, other) = (Workspace::new().await, Workspace::new().await);
    one.fill().await;
    other.fill().await;
    assert_eq!(one.files(), other.files());
}

#[tokio::test]
async fn publishing_from_staging_gives_the_bytes_of_publishing_at_once() {
    let (direct, staged) = (Workspace::new().await, Workspace::new().await);
    let mut call = call();
    call.transcript.segments[0].avg_logprob = Some(f64::from(-0.123_456_79_f32));
    direct.publish(&[call.clone()]).await;
    let staging = Staging::open(staged.folder.path().join("staged")).unwrap();
    let reference = staging.put(&call).unwrap();
    staged.publish(&[staging.load(&reference).unwrap()]).await;
    assert_eq!(direct.files(), staged.files());
}

#[tokio::test]
async fn a_batch_that_was_cut_short_is_completed_with_the_same_bytes() {
    let members = [call(), finished("bb", vec![segment(0, "second call")])];
    let whole = Workspace::new().await;
    whole.publish(&members).await;
    let plan = plan_for(&members);
    for kept in 0..=plan.objects.len() {
        let broken = Workspace::new().await;
        for object in &plan.objects[..kept] {
            let path = broken.root().join(&object.key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(whole.root().join(&object.key), path).unwrap();
        }
        let objects = broken.publish(&members).await;
        let created: Vec<_> = objects.iter().map(|object| object.created).collect();
        let expected: Vec<_> = (0..plan.objects.len()).map(|index| index >= kept).collect();
        assert_eq!(created, expected);
        assert_eq!(broken.files(), whole.files(), "{kept} objects were there");
    }
}

#[tokio::test]
async fn an_object_is_never_replaced() {
    let work = Workspace::new().await;
    let first = work.publish(&[call()]).await;
    let before = work.files();
    let mut again = call();
    again.attempt = 2;
    let second = work.publish(&[again]).await;
    assert!(first.iter().all(|object| object.created));
    assert!(second.iter().all(|object| !object.created));
    assert_eq!(work.files(), before);
}

#[tokio::test]
async fn racing_publishers_leave_one_whole_file_per_table() {
    let work = Workspace::new().await;
    let members = vec![call()];
    let plan = plan_for(&members);
    let tries = (0..4).map(|_| work.lake.publish(&plan, members.clone()));
    let results = futures::future::join_all(tries).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let alone = Workspace::new().await;
    alone.publish(&members).await;
    assert_eq!(work.files(), alone.files());
}

#[tokio::test]
async fn a_recording_without_speech_has_a_row_and_no_empty_files() {
    let work = Workspace::new().await;
    let mut silent = finished("aa", vec![]);
    silent.transcript.language = None;
    silent.transcript.speech_ms = 0;
    let objects = work.publish(&[silent]).await;
    assert_eq!(objects.iter().map(|object| object.table).collect::<Vec<_>>(), [Table::Recordings]);
    let rows = work.query("SELECT status, text, language, segment_count, avg_logprob FROM 'recordings/**/*.parquet'");
    assert_eq!(rows, json!([["no_speech", "", null, 0, null]]));
}

#[tokio::test]
async fn rows_are_sorted_by_start_and_words_by_recording() {
    let work = Workspace::new().await;
    let mut members: Vec<_> =
        ["cc", "aa", "bb"].map(|id| finished(id, vec![segment(0, "one two"), segment(1_000, "three")])).into();
    members[0].started_at = "2026-11-02T00:00:00Z".parse().unwrap();
    work.publish(&members).await;
    let ids = |table| work.query(&format!("SELECT recording_id FROM '{table}/**/*.parquet'"));
    assert_eq!(ids("recordings"), json!([["cc"], ["aa"], ["bb"]]));
    assert_eq!(ids("segments"), json!([["cc"], ["cc"], ["aa"], ["aa"], ["bb"], ["bb"]]));
    let words = work.query("SELECT recording_id, segment_index, word_index FROM 'words/**/*.parquet' LIMIT 4");
    assert_eq!(words, json!([["aa", 0, 0], ["aa", 0, 1], ["aa", 1, 0], ["bb", 0, 0]]));
}

#[tokio::test]
async fn a_lost_ledger_finds_its_recordings_again() {
    let work = Workspace::new().await;
    let members = [call(), finished("bb", vec![])];
    work.publish(&members).await;
    let found = work.lake.published_ids(&["2026-11-02".into()]).await.unwrap();
    let found: Vec<_> = found.iter().map(|row| (&row.recording_id, &row.fingerprint)).collect();
    let expected: Vec<_> = members.iter().map(|member| (&member.recording.id, &member.fingerprint)).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn quarantine_rows_go_to_the_day_of_their_recording_and_only_once() {
    let work = Workspace::new().await;
    let known = quarantined();
    let unknown = QuarantineRow { recording_id: RecordingId::parse("ff").unwrap(), started_at: None, ..quarantined() };
    for _ in 0..2 {
        work.lake.write_quarantine(&[unknown.clone(), known.clone()]).await.unwrap();
    }
    let rows = work.query(
        "SELECT recording_id, dt FROM read_parquet('quarantine/**/*.parquet', hive_partitioning=true, \
         hive_types={'dt': VARCHAR}) ORDER BY ALL",
    );
    assert_eq!(rows, json!([["deadbeef", "2026-11-02"], ["ff", "2026-11-03"]]));
}
