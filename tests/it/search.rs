//! Words looked for in a lake: the real binary on a lake that the program wrote.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use jiff::{SignedDuration, Timestamp};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use transcribe::config::{Config, LakeConfig, LakePlace};
use transcribe::domain::{Channel, Fingerprint, FinishedTranscript, Party, Recipe, Segment, Suppression};
use transcribe::lake::{Lake, SCHEMA_VERSION};

use crate::transcripts::{finished, segment};
use crate::workspace::Workspace;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A call that began so many days ago, in which these are said, two seconds each.
fn call(id: &str, days_ago: i32, texts: &[&str]) -> FinishedTranscript {
    let segments = (0..).step_by(2_000).zip(texts).map(|(start_ms, text)| segment(start_ms, text)).collect();
    let mut call = finished(id, segments);
    call.started_at = Timestamp::now() - DAY * days_ago;
    call
}

/// The same recording, done anew with other settings.
fn redone(mut call: FinishedTranscript) -> FinishedTranscript {
    let recipe =
        Recipe { engine: call.engine.clone(), settings_sha256: "others".into(), schema_version: SCHEMA_VERSION };
    call.fingerprint = Fingerprint::compute(&call.recording.id, &call.audio.sha256, &recipe, 0);
    call.transcribed_at += DAY;
    call
}

/// A workspace whose lake holds these calls, each in files of its own.
async fn holding(calls: Vec<FinishedTranscript>) -> Workspace {
    let workspace = Workspace::new();
    let config = LakeConfig { place: LakePlace::Folder(workspace.lake()), ..Config::default().lake };
    let lake = Lake::open(&config).await.unwrap();
    for mut call in calls {
        call.dt = lake.dt(call.started_at);
        let plan = Lake::plan_batch(&call.dt, std::slice::from_ref(&call.fingerprint));
        lake.publish(&plan, vec![call]).await.unwrap();
    }
    workspace
}

/// The hits of a search: recording and text of each.
fn hits(workspace: &Workspace, arguments: &[&str]) -> Vec<(String, String)> {
    let arguments = [&["search", "--format", "json"], arguments].concat();
    let found = workspace.run(&arguments).expect_code(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let hits = found["hits"].as_array().unwrap();
    hits.iter().map(|hit| (text(&hit["recording_id"]), text(&hit["text"]))).collect()
}

fn ids(workspace: &Workspace, arguments: &[&str]) -> Vec<String> {
    hits(workspace, arguments).into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn a_phrase_is_found_with_its_call_its_moment_and_the_way_to_more() {
    let mut both = call("aa", 1, &["Good morning, Acme support.", "Please send the INVOICES today.", "All right."]);
    both.recording.caller = Party { name: Some("Chris Yamada".into()), number: Some("+815012345678".into()) };
    both.recording.callee = Party { name: None, number: Some("801".into()) };
    both.recording.call_id = Some("6911".into());
    both.audio.channels = 2;
    both.transcript.segments[1].channel = Channel::Right;
    let started_at = both.started_at;
    let workspace = holding(vec![both, call("bb", 2, &["The invoices you send are wrong."])]).await;

    let text = workspace.run(&["search", "send the invoice"]).expect_code(0).stdout;
    let day = started_at.to_zoned(Config::default().lake.partition_timezone).date().to_string();
    let expected = [
        day.as_str(),
        "aa  Chris Yamada (+815012345678) to 801",
        "  0:00.0  ",
        "Good morning, Acme support.",
        "> 0:02.0  right",
        "Please send the INVOICES today.",
        "0:04.0",
        "All right.",
        "transcribe explain aa --at 0:02.0",
        "1 hit in calls from",
    ];
    let mut rest = text.as_str();
    for part in expected {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} is missing, or not in order:\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains('\u{1b}'), "no terminal, no colours");
    let shown = workspace.run(&["explain", "aa", "--at", "0:02.0"]).expect_code(0).stdout;
    assert!(shown.contains("Please send the INVOICES today."), "{shown}");

    let found = workspace.run(&["search", "send the invoice", "--format", "json"]).expect_code(0).json();
    let hit = &found["hits"][0];
    let picked =
        json!([hit["recording_id"], hit["call_id"], hit["dt"], hit["start_ms"], hit["end_ms"], hit["channel"]]);
    assert_eq!(picked, json!(["aa", "6911", day, 2_000, 3_000, "right"]));
    assert_eq!(hit["context"]["before"][0]["text"], "Good morning, Acme support.");
    assert_eq!(hit["context"]["after"][0]["text"], "All right.");
    assert_eq!((&hit["caller_name"], &found["has_more"]), (&json!("Chris Yamada"), &json!(false)));
    let bare = workspace.run(&["search", "send the invoice", "--context", "0", "--format", "json"]).json();
    assert_eq!(bare["hits"][0]["context"], json!({"before": [], "after": []}));
}

#[tokio::test]
async fn several_words_may_stand_anywhere_in_a_segment_and_begin_a_word() {
    let texts = ["The invoice was sent in May.", "May I reinvoice you?", "An invoice, perhaps."];
    let workspace = holding(vec![call("aa", 1, &texts)]).await;
    let of = |words: &[&str]| hits(&workspace, words).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(of(&["may", "invoice"]), ["The invoice was sent in May."]);
    assert_eq!(of(&["invoice"]), ["The invoice was sent in May.", "An invoice, perhaps."]);
    assert_eq!(of(&["may invoice"]), [""; 0], "as a phrase it does not occur");
    assert_eq!(of(&["invoice perhaps"]), ["An invoice, perhaps."], "punctuation does not matter");
}

#[tokio::test]
async fn japanese_is_found_in_any_width_and_across_two_segments() {
    let texts = ["本日は請求書の件でお電話しました。", "ﾌﾟﾗﾝＢの料金はいくらですか。", "来月のけい", "やく更新です。"];
    let workspace = holding(vec![call("aa", 1, &texts)]).await;
    let of = |words: &[&str]| hits(&workspace, words).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    assert_eq!(of(&["請求書"]), [texts[0]]);
    assert_eq!(of(&["プランb"]), [texts[1]]);
    assert_eq!(of(&["ﾌﾟﾗﾝ", "料金"]), [texts[1]]);
    assert_eq!(of(&["請求書　電話"]), [texts[0]], "an ideographic space is a space");
    assert_eq!(of(&["けいやく"]), ["来月のけいやく更新です。"]);
    let text = workspace.run(&["search", "料金"]).expect_code(0).stdout;
    assert!(text.contains("ﾌﾟﾗﾝＢの料金はいくらですか。"), "as it was written: {text}");
}

#[tokio::test]
async fn neither_what_was_superseded_nor_what_was_suppressed_is_found() {
    let mut guarded = call("bb", 1, &["Thanks for watching this plan!", "Hello."]);
    guarded.transcript.segments[0] =
        Segment { suppressed: Some(Suppression::InventedPhrase), words: Vec::new(), ..segment(0, "A plan!") };
    let calls = vec![call("aa", 1, &["the old plan"]), redone(call("aa", 1, &["the new one"])), guarded];
    let workspace = holding(calls).await;
    assert_eq!(hits(&workspace, &["plan"]), []);
    assert_eq!(hits(&workspace, &["new"]), [("aa".to_owned(), "the new one".to_owned())]);
    let context = workspace.run(&["search", "hello"]).expect_code(0).stdout;
    assert!(!context.contains("plan"), "{context}");
}

#[tokio::test]
async fn the_newest_calls_of_the_window_come_first_up_to_the_limit() {
    let said = ["one plan", "two plans"];
    let workspace = holding(vec![call("aa", 40, &said), call("bb", 3, &said), call("cc", 10, &said)]).await;
    assert_eq!(ids(&workspace, &["plan"]), ["bb", "bb", "cc", "cc"], "30 days unless it is said otherwise");
    assert_eq!(ids(&workspace, &["plan", "--since", "60d"]), ["bb", "bb", "cc", "cc", "aa", "aa"]);
    assert_eq!(ids(&workspace, &["plan", "--since", "7d"]), ["bb", "bb"]);
    assert_eq!(ids(&workspace, &["plan", "--since", "60d", "--until", "20d"]), ["aa", "aa"]);
    assert_eq!(ids(&workspace, &["plan", "--limit", "3"]), ["bb", "bb", "cc"]);
    let text = workspace.run(&["search", "plan", "--limit", "3"]).expect_code(0).stdout;
    assert!(text.contains("3 hits in calls") && text.contains("there are more: raise --limit"), "{text}");
}

#[tokio::test]
async fn a_file_that_does_not_count_is_not_searched() {
    let workspace = holding(vec![call("aa", 1, &["the plan"]), call("bb", 1, &["another plan"])]).await;
    assert_eq!(ids(&workspace, &["plan"]).len(), 2);
    let file = files_of(&workspace, "segments").into_iter().find(|file| holds(&workspace, file, "another")).unwrap();
    hide(&workspace, &file);
    assert_eq!(ids(&workspace, &["plan"]), ["aa"]);
}

/// The keys of a table's files.
fn files_of(workspace: &Workspace, table: &str) -> Vec<String> {
    let keys = workspace.snapshot().into_keys();
    let keys = keys.map(|path| path.strip_prefix(workspace.lake()).unwrap().to_str().unwrap().to_owned());
    keys.filter(|key| key.starts_with(table)).collect()
}

fn holds(workspace: &Workspace, key: &str, word: &str) -> bool {
    let rows = workspace.query(&format!("SELECT count(*) FROM read_parquet('{key}') WHERE text LIKE '%{word}%'"));
    rows[0][0] != json!(0)
}

/// Puts a file on the list of those that were replaced, as compaction does before it removes them.
fn hide(workspace: &Workspace, key: &str) {
    let column = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("key", column(key)), ("state", column("old"))]).unwrap();
    let folder = workspace.lake().join("hidden_files");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join("current.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn without_a_hit_it_says_where_it_looked_and_without_a_lake_that_there_is_none() {
    let workspace = holding(vec![call("aa", 2, &["hello there"]), call("bb", 3, &["hello"])]).await;
    let sentence = |arguments: &[&str]| workspace.run(arguments).expect_code(0).stdout;
    let none = sentence(&["search", "zebra"]);
    assert!(none.starts_with("nothing found in calls from ") && none.contains("the lake holds 2, "), "{none}");
    assert_eq!(none.lines().count(), 1);
    let before = sentence(&["search", "hello", "--since", "2020-01-01", "--until", "2020-02-01"]);
    assert_eq!(before, "nothing found: the lake holds no calls from 2020-01-01 to 2020-01-31\n");
    let empty = workspace.run(&["search", "zebra", "--format", "json"]).expect_code(0).json();
    assert_eq!((&empty["hits"], empty["days"].as_array().unwrap().len()), (&json!([]), 2));

    let nowhere = Workspace::new();
    let text = nowhere.run(&["search", "zebra"]).expect_code(0).stdout;
    assert!(text.starts_with("nothing found: the lake holds no calls from "), "{text}");
    assert!(!nowhere.lake().exists() && !nowhere.path().join("state").exists(), "nothing is made");
}

#[tokio::test]
async fn bad_input_is_one_clear_sentence() {
    let workspace = Workspace::new();
    for (arguments, expected) in [
        (&["search", "!?。"][..], "there must be a letter or a digit to look for"),
        (&["search"], "WORDS"),
        (&["search", "a", "--since", "yesterday"], "--since yesterday"),
        (&["search", "a", "--limit", "0"], "--limit"),
        (&["search", "a", "--context", "256"], "--context"),
    ] {
        let outcome = workspace.run(arguments).expect_code(2);
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn text_from_a_call_moves_no_cursor_and_searching_changes_nothing() {
    let workspace = holding(vec![call("aa", 1, &["\u{1b}[2J plan\u{202e}\r\n\u{9b}31m end"])]).await;
    let before = workspace.snapshot();
    for format in ["human", "json"] {
        let output = workspace.run(&["search", "plan", "--format", format]).expect_code(0).stdout;
        assert!(!output.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'), "{output:?}");
        assert!(output.contains("end"), "{output:?}");
    }
    assert_eq!(workspace.snapshot(), before);
}
