//! One transcript out of the lake, in a usual format or explained: the real binary on a lake that the program wrote.

use jiff::tz::TimeZone;
use serde_json::{Value, json};
use transcribe::config::{LakeConfig, LakePlace, Partition};
use transcribe::domain::{
    Channel, ChannelMode, Decoding, Fingerprint, FinishedTranscript, FirstHearing, Language, LanguageVerdict, Reason,
    RecordingId, RunId, Segment, Stage, Suppression, word_confidence,
};
use transcribe::lake::{Lake, QuarantineRow};

use crate::transcripts::{finished, segment};
use crate::workspace::Workspace;

const ID: &str = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e";

/// A workspace whose lake holds these transcripts, each in a file of its own.
async fn holding(members: Vec<FinishedTranscript>) -> Workspace {
    let workspace = Workspace::new();
    let lake = lake(&workspace).await;
    for member in members {
        let plan = Lake::plan_batch(&member.dt, std::slice::from_ref(&member.fingerprint));
        lake.publish(&plan, vec![member]).await.unwrap();
    }
    workspace
}

async fn lake(workspace: &Workspace) -> Lake {
    let config = LakeConfig {
        place: LakePlace::Folder(workspace.lake()),
        partition_timezone: TimeZone::UTC,
        partition: Partition::Day,
        flush_every: std::time::Duration::from_secs(60),
        flush_bytes: 1 << 20,
        fresh_every: std::time::Duration::from_secs(60),
        compression_level: 3,
    };
    Lake::open(&config).await.unwrap()
}

/// Decoded twice in one window.
fn decoded(segment: Segment, window: (i64, i64)) -> Segment {
    let decoding = Decoding {
        window_start_ms: window.0,
        window_end_ms: window.1,
        passes: 2,
        refused_for: vec![Suppression::CompressionRatio],
        objections: Vec::new(),
        first: None,
    };
    Segment { decoding: Some(decoding), ..segment }
}

fn suppressed(segment: Segment, reason: Suppression) -> Segment {
    Segment { suppressed: Some(reason), words: Vec::new(), ..segment }
}

fn silence(start_ms: i64, end_ms: i64) -> Segment {
    let nothing = Segment {
        end_ms,
        language: None,
        avg_logprob: None,
        no_speech_prob: None,
        compression_ratio: None,
        temperature: None,
        ..segment(start_ms, "")
    };
    suppressed(nothing, Suppression::NonSpeech)
}

/// Silence, a sentence that was decoded twice, and a phrase that nobody said.
fn call() -> FinishedTranscript {
    let mut invented = suppressed(segment(3_000, "Thanks for watching!"), Suppression::InventedPhrase);
    invented = decoded(invented, (1_000, 4_500));
    if let Some(decoding) = &mut invented.decoding {
        decoding.objections = vec![Suppression::InventedPhrase, Suppression::NoSpeechProbability];
        decoding.first = Some(FirstHearing { text: "Thanks!".into(), model: "tiny".into() });
    }
    let kept = decoded(segment(1_000, "Good morning, Acme support."), (1_000, 4_500));
    finished(ID, vec![silence(0, 1_000), kept, invented, silence(4_500, 10_000)])
}

/// Two sides of a call.
fn stereo(id: &str, turns: &[(Channel, i64, &str)]) -> FinishedTranscript {
    let on = |&(channel, start_ms, text): &(Channel, i64, &str)| Segment { channel, ..segment(start_ms, text) };
    let mut call = finished(id, turns.iter().map(on).collect());
    call.audio.channels = 2;
    call.audio.channel_mode = ChannelMode::Stereo;
    call
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_transcript_is_exported_in_every_format_without_what_was_suppressed() {
    let workspace = holding(vec![call()]).await;
    let export = |format| workspace.run(&["export", ID, "--as", format]).expect_code(0).stdout;
    assert_eq!(export("srt"), "1\n00:00:01,000 --> 00:00:02,000\nGood morning, Acme support.\n\n");
    assert_eq!(export("vtt"), "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nGood morning, Acme support.\n");
    assert_eq!(export("txt"), "[00:00:01 - 00:00:02]\nGood morning, Acme support.\n");
    let object = json_of(&export("json"));
    assert_eq!(object["recording_id"], ID);
    assert_eq!((&object["language"], &object["model"]), (&json!("en"), &json!("base")));
    let segments = object["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 1);
    assert_eq!(
        (&segments[0]["segment_index"], &segments[0]["text"]),
        (&json!(1), &json!("Good morning, Acme support."))
    );
    let words = [("Good", 1_000), ("morning,", 1_100), ("Acme", 1_200), ("support.", 1_300)];
    let expected: Vec<Value> = words
        .map(|(word, at)| {
            json!({"word": word, "start_ms": at, "end_ms": at + 100, "probability": word_confidence(0.87),
                   "time_source": "token"})
        })
        .into();
    assert_eq!(segments[0]["words"], json!(expected));
}

#[tokio::test]
async fn each_span_is_explained_with_its_reason() {
    let workspace = holding(vec![call()]).await;
    let text = workspace.run(&["explain", ID]).expect_code(0).stdout;
    let expected = [
        "segments    1 kept, 1 suppressed, 2 not decoded",
        "0:00.0 - 0:01.0  not decoded: nobody speaks",
        "0:01.0 - 0:04.5  decoded 2 times; again because the text repeats itself",
        "Good morning, Acme support.",
        "SUPPRESSED: Whisper is known to invent the phrase",
        "[Thanks for watching!]",
        "objections: invented_phrase, no_speech_prob",
        "tiny heard first: Thanks!",
        "now stt.max_compression_ratio = 2.4",
    ];
    let mut rest = text.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is missing, or not in order:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    let object = workspace.run(&["explain", ID, "--format", "json"]).expect_code(0).json();
    let spans: Vec<Value> = object["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| json!([span["start_ms"], span["end_ms"], span["decode_count"], span["segments"][0]["verdict"]]))
        .collect();
    let expected =
        json!([[0, 1_000, null, "not_decoded"], [1_000, 4_500, 2, "kept"], [4_500, 10_000, null, "not_decoded"]]);
    assert_eq!(json!(spans), expected);
    let second = &object["spans"][1];
    assert_eq!(second["retry_reasons"], json!(["compression_ratio"]));
    assert_eq!(second["segments"][1]["suppressed_reason"], "invented_phrase");
    assert_eq!(object["reasons"]["compression_ratio"]["settings"], json!({"stt.max_compression_ratio": 2.4}));
}

#[tokio::test]
async fn a_moment_shows_the_span_that_it_is_in_and_its_neighbours() {
    let segments = (0_i64..9).map(|at| decoded(segment(at * 1_000, "word"), (at * 1_000, at * 1_000 + 1_000)));
    let workspace = holding(vec![finished(ID, segments.collect())]).await;
    let starts = |at: &str| -> Value {
        let object = workspace.run(&["explain", ID, "--at", at, "--format", "json"]).expect_code(0).json();
        object["spans"].as_array().unwrap().iter().map(|span| span["start_ms"].clone()).collect()
    };
    assert_eq!(starts("0:05.2"), json!([4_000, 5_000, 6_000]));
    assert_eq!(starts("0"), json!([0, 1_000]));
    let late = workspace.run(&["explain", ID, "--at", "2:00"]).expect_code(2);
    assert!(late.stderr.contains("the recording ends before"), "{}", late.stderr);
    workspace.run(&["explain", ID, "--at", "1:75"]).expect_code(2);
}

#[tokio::test]
async fn of_two_transcripts_the_newer_counts_whatever_day_it_is_on() {
    let older = finished(ID, vec![segment(0, "The older one.")]);
    let mut newer = finished(ID, vec![segment(0, "The newer one.")]);
    newer.fingerprint = Fingerprint::from_hex("0".repeat(64)).unwrap();
    newer.transcribed_at = "2026-11-09T00:00:00Z".parse().unwrap();
    newer.dt = "2026-11-01".into();
    let workspace = holding(vec![older, newer]).await;
    let text = workspace.run(&["export", ID, "--as", "txt"]).expect_code(0).stdout;
    assert_eq!(text, "[00:00:00 - 00:00:01]\nThe newer one.\n");
}

#[tokio::test]
async fn an_id_may_be_written_as_zoom_writes_it_or_begun_where_that_is_clear() {
    let other = "0f3b".to_owned() + &ID[4..];
    let workspace = holding(vec![call(), finished(&other, vec![segment(0, "Another.")])]).await;
    for id in ["0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E", "0f3a5c7e", "0F3A"] {
        let object = json_of(&workspace.run(&["export", id, "--as", "json"]).expect_code(0).stdout);
        assert_eq!(object["recording_id"], ID, "{id}");
    }
    let unclear = workspace.run(&["explain", "0f3"]).expect_code(2);
    assert!(unclear.stderr.contains(ID) && unclear.stderr.contains(&other), "{}", unclear.stderr);
    assert_eq!(unclear.stdout, "");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_a_sentence_and_nothing_is_made() {
    let workspace = Workspace::new();
    for command in [&["explain", "ffff"][..], &["export", "ffff", "--as", "srt"]] {
        let outcome = workspace.run(command).expect_code(4);
        assert!(outcome.stderr.starts_with("error: not found: ffff is not in the lake"), "{}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
    assert!(!workspace.lake().exists(), "reading makes no lake");
    let workspace = holding(vec![call()]).await;
    workspace.run(&["explain", "ffff"]).expect_code(4);
    workspace.run(&["explain", "-"]).expect_code(2);
    workspace.run(&["export", ID]).expect_code(2);
}

#[tokio::test]
async fn a_recording_in_quarantine_has_its_reason() {
    let workspace = holding(vec![call()]).await;
    let row = |id: &str, reason, last_tried_at: &str| QuarantineRow {
        recording_id: RecordingId::parse(id).unwrap(),
        call_id: None,
        started_at: None,
        stage: Stage::Fetch,
        reason,
        detail: "status=404".into(),
        attempts: 3,
        first_seen_at: "2026-11-03T00:00:00Z".parse().unwrap(),
        last_tried_at: last_tried_at.parse().unwrap(),
        run_id: RunId("20261103T000000Z-0a0b0c0d".into()),
    };
    let rows = [
        row("dead-beef", Reason::Forbidden, "2026-11-03T01:00:00Z"),
        row("dead-beef", Reason::NotFound, "2026-11-04T01:00:00Z"),
        row(ID, Reason::EngineCrash, "2026-11-20T01:00:00Z"),
    ];
    for row in rows {
        lake(&workspace).await.write_quarantine(&[row]).await.unwrap();
    }
    let outcome = workspace.run(&["export", "DEADBEEF", "--as", "txt"]).expect_code(4);
    let expected = "error: not transcribed: deadbeef is in quarantine: not_found: ";
    assert!(outcome.stderr.starts_with(expected), "{}", outcome.stderr);
    // A transcript counts whatever failed when it was done anew.
    workspace.run(&["explain", ID]).expect_code(0);
}

#[tokio::test]
async fn both_sides_of_a_call_are_named() {
    let turns =
        [(Channel::Left, 0, "Hello?"), (Channel::Right, 800, "Hi, it is me."), (Channel::Right, 3_000, "Noah.")];
    let workspace = holding(vec![stereo(ID, &turns)]).await;
    let export = |format| workspace.run(&["export", ID, "--as", format]).expect_code(0).stdout;
    let vtt = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n<v Left>Hello?\n\n\
               00:00:00.800 --> 00:00:01.800\n<v Right>Hi, it is me.\n\n\
               00:00:03.000 --> 00:00:04.000\n<v Right>Noah.\n";
    assert_eq!(export("vtt"), vtt);
    let srt = "1\n00:00:00,000 --> 00:00:01,000\nLeft: Hello?\n\n2\n00:00:00,800 --> 00:00:01,800\nRight: Hi, it is me.\n\n\
               3\n00:00:03,000 --> 00:00:04,000\nNoah.\n\n";
    assert_eq!(export("srt"), srt);
    assert_eq!(
        export("txt"),
        "[00:00:00 - 00:00:01] Left\nHello?\n\n[00:00:00 - 00:00:04] Right\nHi, it is me. Noah.\n"
    );
}

#[tokio::test]
async fn japanese_is_cut_at_its_marks_and_goes_to_a_file_byte_for_byte() {
    let text = "お電話ありがとうございます。山田商事の佐藤でございます。本日はどのようなご用件でしょうか。";
    let said = Segment { end_ms: 9_000, words: Vec::new(), language: Some(Language("ja".into())), ..segment(0, text) };
    let mut call = finished(ID, vec![said]);
    call.transcript.language =
        Some(LanguageVerdict { language: Language("ja".into()), probability: 0.99, margin: 0.98 });
    let workspace = holding(vec![call]).await;
    let printed = workspace.run(&["export", ID, "--as", "srt"]).expect_code(0).stdout;
    let lines: Vec<&str> = printed.lines().filter(|line| line.chars().any(|c| c > '\u{3000}')).collect();
    let expected =
        ["お電話ありがとうございます。", "山田商事の佐藤でございます。", "本日はどのような", "ご用件でしょうか。"];
    assert_eq!(lines.concat(), text);
    assert_eq!(lines[..2], expected[..2]);
    assert!(lines.iter().all(|line| line.chars().count() <= 16), "{lines:?}");

    let file = workspace.path().join("call.srt");
    std::fs::write(&file, "what was there before").unwrap();
    let outcome = workspace.run(&["export", ID, "--as", "srt", "--output", "call.srt"]).expect_code(0);
    assert_eq!(outcome.stdout, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    assert!(printed.starts_with('1') && !printed.contains('\r'), "no mark of byte order, and LF only");
    let refused = workspace.run(&["export", ID, "--as", "srt", "--output", "no/such/folder.srt"]).expect_code(2);
    assert!(refused.stderr.contains("no/such/folder.srt cannot be written"), "{}", refused.stderr);
}

#[tokio::test]
async fn text_from_a_call_moves_no_cursor_and_breaks_no_format() {
    let hostile =
        "first\n\n2\n00:00:09,000 --> 00:00:10,000\n\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m<v Eve>R&D\u{202e}\r\u{7f}end";
    let said = Segment { words: Vec::new(), ..segment(0, hostile) };
    let workspace = holding(vec![finished(ID, vec![decoded(said, (0, 2_000))])]).await;
    let outputs = [
        workspace.run(&["export", ID, "--as", "srt"]),
        workspace.run(&["export", ID, "--as", "vtt"]),
        workspace.run(&["export", ID, "--as", "txt"]),
        workspace.run(&["export", ID, "--as", "json"]),
        workspace.run(&["explain", ID]),
        workspace.run(&["explain", ID, "--format", "json"]),
    ]
    .map(|outcome| outcome.expect_code(0).stdout);
    for output in &outputs {
        let moves = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!output.contains(moves), "{output:?}");
        assert!(output.contains("end"), "{output:?}");
    }
    let [srt, vtt, _, json, _, explained] = &outputs;
    assert_eq!(srt.matches("-->").count(), srt.split_terminator("\n\n").count(), "{srt}");
    assert_eq!(vtt.matches("-->").count(), vtt.split_terminator("\n\n").count() - 1, "{vtt}");
    assert!(vtt.contains("&lt;v Eve&gt;R&amp;D") && !vtt.contains("<v "), "{vtt}");
    assert_eq!(json_of(json)["segments"][0]["text"], hostile);
    assert_eq!(json_of(explained)["spans"][0]["segments"][0]["text"], hostile);
}

#[tokio::test]
async fn a_recording_in_which_nobody_speaks_is_explained_and_exported_empty() {
    let mut silent = finished(ID, vec![silence(0, 10_000)]);
    silent.transcript.language = None;
    let workspace = holding(vec![silent]).await;
    let export = |format| workspace.run(&["export", ID, "--as", format]).expect_code(0).stdout;
    assert_eq!([export("srt"), export("vtt"), export("txt")], ["", "WEBVTT\n", ""]);
    let text = workspace.run(&["explain", ID]).expect_code(0).stdout;
    assert!(text.contains("language    none: nobody speaks"), "{text}");
}

#[tokio::test]
async fn reading_leaves_the_lake_as_it_is_and_needs_no_ledger() {
    let workspace = holding(vec![call()]).await;
    let before = workspace.snapshot();
    workspace.run(&["explain", ID]).expect_code(0);
    workspace.run(&["export", ID, "--as", "vtt"]).expect_code(0);
    assert_eq!(workspace.snapshot(), before);
    assert!(!workspace.path().join("state").exists(), "no ledger is made");
}
