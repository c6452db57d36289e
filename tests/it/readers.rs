//! What `lake init` writes, in the hands of those that it is for: DuckDB, PyArrow, Athena's grammar, dbt, DuckLake.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use transcribe::domain::{
    Channel, ChannelMode, Difference, Fingerprint, FinishedTranscript, Party, Recipe, RunId, Talk, TranscriptOutcome,
};
use transcribe::lake::schema::{ColumnType, describe};
use transcribe::lake::{CoverageRow, Lake, SCHEMA_VERSION, Table, ZoomTranscriptRow, dictionary};

use crate::lake::Workspace as LakeWorkspace;
use crate::transcripts::{finished, segment};
use crate::workspace::{Workspace, project};

/// What `tests/support/readers.py` prints.
fn reader(command: &str, lake: &Path, more: &[&str]) -> Value {
    let output = Command::new(project().join(".venv/bin/python"))
        .arg(project().join("tests/support/readers.py"))
        .args([command, lake.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ask(lake: &LakeWorkspace, sql: &str) -> Value {
    reader("ask", &lake.root(), &[sql])
}

/// A call of 2 November from a caller to Mori that a queue then passed to Sato, in two recordings.
fn first_leg() -> FinishedTranscript {
    let mut leg = finished("aa01", vec![segment(0, "Hello, ＡＢＣ商事です"), segment(20_000, "請求書とｶﾞｿﾘﾝの件で")]);
    leg.started_at = "2026-11-02T02:00:00Z".parse().unwrap();
    leg.audio.channel_mode = ChannelMode::Stereo;
    leg.audio.audio_ms = 60_000;
    leg.transcript.speech_ms = 10_000;
    leg.transcript.talk = Some(Talk { left_ms: 9_000, right_ms: 1_000, overlap_ms: 500, longest_monologue_ms: 4_000 });
    for segment in &mut leg.transcript.segments {
        segment.channel = Channel::Right;
        segment.speaker = Some("高橋 陽菜".into());
    }
    leg.transcript.segments[1].words[0].probability = 0.01;
    let recording = &mut leg.recording;
    recording.call_id = Some("c1".into());
    recording.direction = Some("inbound".into());
    recording.caller = Party { number: Some("+81312340000".into()), name: Some("高橋 陽菜".into()) };
    recording.owner.kind = Some("user".into());
    recording.owner.name = Some("Mori".into());
    leg
}

fn second_leg() -> FinishedTranscript {
    let mut leg = finished("aa02", vec![segment(0, "first try")]);
    leg.started_at = "2026-11-02T02:10:00Z".parse().unwrap();
    leg.recording.call_id = Some("c1".into());
    leg.recording.direction = Some("inbound".into());
    leg.recording.owner.kind = Some("callQueue".into());
    leg.recording.owner.name = Some("Support".into());
    leg.recording.accepted_by.name = Some("Sato".into());
    leg
}

/// The same recording, heard again with other settings.
fn heard_again(earlier: &FinishedTranscript) -> FinishedTranscript {
    let mut again = earlier.clone();
    again.transcript.segments = vec![segment(0, "second try")];
    again.transcribed_at = "2026-11-08T00:00:00Z".parse().unwrap();
    let recipe =
        Recipe { engine: again.engine.clone(), settings_sha256: "others".into(), schema_version: SCHEMA_VERSION };
    again.fingerprint = Fingerprint::compute(&again.recording.id, &again.audio.sha256, &recipe, 0);
    again
}

/// The same caller two days later, in a recording much longer than its listing says.
fn calls_again() -> FinishedTranscript {
    let mut call = finished("aa03", vec![segment(0, "again")]);
    call.started_at = "2026-11-04T02:00:00Z".parse().unwrap();
    call.dt = "2026-11-04".into();
    call.recording.call_id = Some("c2".into());
    call.recording.direction = Some("inbound".into());
    call.recording.duration_s = Some(3);
    call.recording.caller = first_leg().recording.caller;
    call.recording.owner = first_leg().recording.owner;
    call
}

fn agreement() -> String {
    let row = ZoomTranscriptRow {
        recording_id: first_leg().recording.id,
        fetched_at: "2026-11-05T00:00:00Z".parse().unwrap(),
        outcome: TranscriptOutcome::Fetched,
        agreement: Some(0.25),
        fingerprint: Some(first_leg().fingerprint),
    };
    serde_json::to_string(&row).unwrap()
}

/// An earlier check of 2 November, which found a recording lost.
fn earlier_check() -> CoverageRow {
    CoverageRow {
        day: "2026-11-02".into(),
        zoom_recordings: 2,
        zoom_seconds: 20,
        lake_recordings: 1,
        lake_seconds: 10,
        reason: Some(Difference::Lost),
        recordings: 1,
        seconds: 10,
        run_id: RunId("20261102T120000Z-0a0b0c0d".into()),
        checked_at: "2026-11-02T12:00:00Z".parse().unwrap(),
    }
}

/// A lake with known rows in every table, prepared for its readers.
async fn known_lake() -> LakeWorkspace {
    let lake = LakeWorkspace::new().await;
    lake.fill().await;
    lake.publish(&[first_leg(), second_leg()]).await;
    lake.publish(&[heard_again(&second_leg())]).await;
    lake.publish(&[calls_again()]).await;
    lake.lake().write_posted("zoom_transcripts", "2026-11-02", vec![agreement()]).await.unwrap();
    lake.lake().write_coverage(vec![earlier_check()]).await.unwrap();
    lake.lake().init().await.unwrap();
    lake
}

#[tokio::test]
async fn a_call_is_one_row_with_what_its_legs_say() {
    let lake = known_lake().await;
    let calls = ask(
        &lake,
        "SELECT call_key, call_id, legs, recording_ids, strftime(started_at, '%H:%M:%S'), strftime(ended_at, '%H:%M:%S'),
             direction, caller_name, agents, recorded_seconds, talk_seconds, needs_review, text, dt
         FROM calls WHERE call_key LIKE 'c%' ORDER BY call_key",
    );
    let expected = json!([
        [
            "c1",
            "c1",
            2,
            ["aa01", "aa02"],
            "02:00:00",
            "02:10:10",
            "inbound",
            "高橋 陽菜",
            ["Mori", "Sato"],
            70.0,
            13.5,
            false,
            "Hello, ＡＢＣ商事です 請求書とｶﾞｿﾘﾝの件で\nsecond try",
            "2026-11-02"
        ],
        [
            "c2",
            "c2",
            1,
            ["aa03"],
            "02:00:00",
            "02:00:10",
            "inbound",
            "高橋 陽菜",
            ["Mori"],
            10.0,
            4.0,
            true,
            "again",
            "2026-11-04"
        ],
    ]);
    assert_eq!(calls, expected);
}

#[tokio::test]
async fn a_recording_without_a_call_id_is_a_call_of_its_own() {
    let lake = LakeWorkspace::new().await;
    lake.publish(&[finished("bb01", vec![segment(0, "one")]), finished("bb02", vec![])]).await;
    lake.lake().init().await.unwrap();
    let calls = ask(&lake, "SELECT call_key, call_id, legs, agents, text FROM calls ORDER BY call_key");
    assert_eq!(calls, json!([["bb01", null, 1, null, "one"], ["bb02", null, 1, null, null]]));
}

#[tokio::test]
async fn search_finds_words_in_any_case_and_width() {
    let lake = known_lake().await;
    let found =
        |words: &str| ask(&lake, &format!("SELECT recording_id, offset_time, channel, speaker FROM search('{words}')"));
    let opening = json!([["aa01", "0:00", "right", "高橋 陽菜"]]);
    let later = json!([["aa01", "0:20", "right", "高橋 陽菜"]]);
    assert_eq!(found("abc商事"), opening);
    assert_eq!(found("ＡＢＣ商事"), opening);
    assert_eq!(found("請求書"), later);
    assert_eq!(found("ガソリン"), later);
    assert_eq!(found("ｶﾞｿﾘﾝ"), later);
    assert_eq!(found("SECOND Try"), json!([["aa02", "0:00", "mono", null]]));
    for nowhere in ["first try", "Suppressimarker", "%", "ABD商事"] {
        assert_eq!(found(nowhere), json!([]), "{nowhere}");
    }
}

#[tokio::test]
async fn quality_and_coverage_are_summed_by_day() {
    let lake = known_lake().await;
    let quality =
        ask(&lake, "SELECT dt, language, recordings, minutes, needs_review_share, suppressed_share FROM quality");
    assert_eq!(quality, json!([["2026-11-02", "en", 3, 1.3, 0.0, 0.2], ["2026-11-04", "en", 1, 0.2, 1.0, 0.0]]));
    let days = ask(
        &lake,
        "SELECT day, zoom_recordings, lake_recordings, explained, unexplained, differences FROM coverage_days",
    );
    assert_eq!(days, json!([["2026-11-02", 2, 1, 1, 0, "1 not_yet"]]), "the last check counts");
    let current =
        ask(&lake, "SELECT recording_id, text, zoom_agreement FROM current_recordings WHERE zoom_agreement < 0.4");
    assert_eq!(current[0][2], json!(0.25));
}

/// The rows of query `number`, with its title.
fn answer(answers: &Value, number: usize) -> (&str, &Value) {
    let answer = &answers[number - 1];
    (answer[0].as_str().unwrap(), &answer[1])
}

#[tokio::test]
async fn each_of_the_twelve_queries_answers_its_question() {
    let lake = known_lake().await;
    let answers = reader("queries", &lake.root(), &[]);
    assert_eq!(answers.as_array().unwrap().len(), 12);
    for number in 1..=12 {
        let (title, rows) = answer(&answers, number);
        assert!(title.starts_with(&format!("{number}. ")), "{title}");
        assert!(!rows.as_array().unwrap().is_empty(), "{title}: no rows");
    }
    let start = "2026-11-02 02:00:00+00:00";
    assert_eq!(*answer(&answers, 1).1, json!([[start, "Mori", "高橋 陽菜", null, 90.0, 10.0]]));
    let silence = json!([[start, "aa01", 1.0, 19.0, "Hello, ＡＢＣ商事です", "請求書とｶﾞｿﾘﾝの件で"]]);
    assert_eq!(*answer(&answers, 2).1, silence);
    let mentions = answer(&answers, 3).1;
    assert_eq!(mentions.as_array().unwrap().len(), 2);
    assert_eq!(
        mentions[0],
        json!([start, ["Mori", "Sato"], "高橋 陽菜", "0:00", "高橋 陽菜", "Hello, ＡＢＣ商事です"])
    );
    let missing = json!([
        ["2026-11-02", "deadbeef", "not_found (fetch, 3 attempts)"],
        ["2026-11-02", "of 2 recordings 1 are here", "1 not_yet"],
    ]);
    assert_eq!(*answer(&answers, 4).1, missing);
    let agents = answer(&answers, 5).1;
    assert_eq!(agents[0], json!(["Mori", 2, 1.3, 0.7, 0.22]));
    let cells = |row: &Value, wanted: std::ops::Range<usize>| json!(row.as_array().unwrap()[wanted]);
    assert_eq!(cells(&answer(&answers, 6).1[0], 1..4), json!(["aa03", "Mori", "duration_differs"]));
    assert_eq!(cells(&answer(&answers, 7).1[0], 0..2), json!(["請求書とｶﾞｿﾘﾝの件で", 1]));
    assert_eq!(answer(&answers, 8).1[0], json!(["Monday", 10, 1, 0.2]), "10:15 in Tokyo");
    assert_eq!(*answer(&answers, 9).1, json!([[start, "aa01", "Mori", 4.0, 0.5, 18.0]]));
    assert_eq!(*answer(&answers, 10).1, json!([["+81312340000", "高橋 陽菜", 1, "2026-11-04 02:00:00+00:00"]]));
    assert_eq!(cells(&answer(&answers, 11).1[0], 1..4), json!(["aa01", "en", 0.25]));
    let refused = json!([["compression_ratio", 1, 1.0, "Suppressimarker", "0f3a5c7e9b1d"]]);
    assert_eq!(*answer(&answers, 12).1, refused);
}

fn duckdb_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "VARCHAR",
        ColumnType::Int32 => "INTEGER",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Timestamp => "TIMESTAMP WITH TIME ZONE",
    }
}

fn arrow_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int32",
        ColumnType::Int64 => "int64",
        ColumnType::Double => "double",
        ColumnType::Boolean => "bool",
        ColumnType::Timestamp => "timestamp[ms, tz=UTC]",
    }
}

/// The columns of a table and its partition key, as `[name, type]`.
fn columns(table: Table, type_of: fn(ColumnType) -> &'static str) -> Value {
    let mut columns: Vec<_> = describe(table).iter().map(|column| (column.name, type_of(column.column_type))).collect();
    columns.push(("dt", type_of(ColumnType::Text)));
    json!(columns)
}

#[tokio::test]
async fn every_view_has_the_columns_of_its_table_with_and_without_files() {
    let (full, empty) = (known_lake().await, LakeWorkspace::new().await);
    empty.lake().init().await.unwrap();
    let (of_full, of_empty) = (reader("views", &full.root(), &[]), reader("views", &empty.root(), &[]));
    assert_eq!(of_full, of_empty);
    for table in Table::ALL {
        assert_eq!(of_empty[table.as_str()], columns(table, duckdb_type), "{}", table.as_str());
    }
    for (view, table) in [
        ("current_recordings", Table::Recordings),
        ("current_segments", Table::Segments),
        ("current_segments_all", Table::Segments),
        ("current_words", Table::Words),
        ("current_quarantine", Table::Quarantine),
        ("current_call_history", Table::CallHistory),
    ] {
        assert_eq!(of_full[view], columns(table, duckdb_type), "{view}");
    }
    for (view, columns) in of_empty.as_object().unwrap() {
        assert!(!columns.as_array().unwrap().is_empty(), "{view}");
        if view != "hidden_files" {
            assert_eq!(ask(&empty, &format!("FROM {view}")), json!([]), "{view}");
        }
    }
    assert_eq!(ask(&empty, "FROM search('hello')"), json!([]));
    let answers = reader("queries", &empty.root(), &[]);
    assert!(answers.as_array().unwrap().iter().all(|answer| answer[1] == json!([])), "{answers}");
}

#[tokio::test]
async fn duckdb_and_pyarrow_agree_on_rows_and_types() {
    let lake = known_lake().await;
    let seen = reader("pyarrow", &lake.root(), &[]);
    for table in Table::ALL {
        let name = table.as_str();
        assert_eq!(seen[name]["columns"], columns(table, arrow_type), "{name}");
        let (duckdb, arrow) =
            (reader("duckdb_rows", &lake.root(), &[name]), reader("pyarrow_rows", &lake.root(), &[name]));
        assert_eq!(duckdb, arrow, "{name}");
        assert_eq!(seen[name]["rows"], json!(duckdb.as_array().unwrap().len()));
        assert_ne!(seen[name]["rows"], json!(0), "{name}");
    }
    let counts = ask(
        &lake,
        "SELECT (SELECT count(*) FROM current_recordings), (SELECT count(*) FROM current_segments_all),
             (SELECT count(*) FROM current_words)",
    );
    let current = ["recordings", "segments", "words"].map(|name| seen[name]["current"].clone());
    assert_eq!(counts[0], json!(current));
    assert_eq!(seen["recordings"]["rows"], json!(5), "one of them is of an earlier result");
    assert_eq!(current[0], json!(4));
}

#[tokio::test]
async fn hidden_files_count_for_no_reader() {
    let lake = known_lake().await;
    let count = "SELECT (SELECT count(*) FROM recordings), (SELECT count(*) FROM current_segments_all),
                     (SELECT count(*) FROM search('hello'))";
    assert_eq!(ask(&lake, count), json!([[5, 6, 2]]));
    // As in the middle of a compaction: the batch of the first call has been replaced and is still there.
    let root = lake.root().display().to_string();
    let files = ask(
        &lake,
        &format!(
            "SELECT DISTINCT regexp_extract(filename, '[^/]+/[^/]+/[^/]+$') FROM read_parquet(
                 ['{root}/recordings/*/*.parquet', '{root}/segments/*/*.parquet'], filename = true, union_by_name = true)
             WHERE recording_id = 'aa01'"
        ),
    );
    let keys: Vec<&str> = files.as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(keys.len(), 2);
    let list = format!("{root}/hidden_files/current.parquet");
    let keys = keys.iter().map(|key| format!("('{key}', 'old')")).collect::<Vec<_>>().join(", ");
    ask(&lake, &format!("CREATE TABLE hidden AS FROM (VALUES {keys}) AS t(key, state); COPY hidden TO '{list}'"));
    // The file held the second leg's first result as well, which does not count anyway.
    assert_eq!(ask(&lake, count), json!([[3, 4, 1]]));
    let seen = reader("pyarrow", &lake.root(), &[]);
    assert_eq!((&seen["recordings"]["rows"], &seen["segments"]["current"]), (&json!(3), &json!(4)));
    for (view, [duckdb, athena]) in athena_rows(&lake) {
        assert_eq!(duckdb, athena, "{view}");
    }
}

/// `[rows of DuckDB's view, rows of Athena's]` of every view in `glue.sql`.
fn athena_rows(lake: &LakeWorkspace) -> Vec<(String, [Value; 2])> {
    let compared = reader("athena_rows", &lake.root(), &[]);
    let both = |(view, rows): (&String, &Value)| (view.clone(), [rows[0].clone(), rows[1].clone()]);
    compared.as_object().unwrap().iter().map(both).collect()
}

#[tokio::test]
async fn the_views_of_athena_and_of_duckdb_show_the_same() {
    let lake = known_lake().await;
    let compared = athena_rows(&lake);
    let names: Vec<&str> = compared.iter().map(|(view, _)| view.as_str()).collect();
    let expected = [
        "calls",
        "coverage_days",
        "current_call_history",
        "current_quarantine",
        "current_recordings",
        "current_segments",
        "current_segments_all",
        "current_words",
        "quality",
    ];
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    for (view, [duckdb, athena]) in compared {
        assert_ne!(duckdb, json!([]), "{view}");
        assert_eq!(duckdb, athena, "{view}");
    }
}

fn hive_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int",
        ColumnType::Int64 => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
    }
}

#[tokio::test]
async fn glue_takes_every_statement_with_the_columns_of_the_schema() {
    let lake = known_lake().await;
    let statements = reader("glue", &lake.root(), &[]);
    let statements = statements.as_array().unwrap();
    assert_eq!(statements[0]["kind"], json!("create database"));
    for table in Table::ALL {
        let name = format!("transcripts.{}", table.as_str());
        let created: Vec<_> = statements
            .iter()
            .filter(|statement| statement["kind"] == "create table" && statement["name"] == json!(name))
            .collect();
        let [created] = created[..] else { panic!("{name}: {created:?}") };
        let columns: Vec<_> =
            describe(table).iter().map(|info| (info.name, hive_type(info.column_type), info.meaning)).collect();
        assert_eq!(created["columns"], json!(columns), "{name}");
        assert_eq!(created["comment"], json!(table.meaning()));
        assert_eq!(created["partition"][0][0], json!("dt"));
        assert_eq!(created["format"], json!("PARQUET"));
        let place = format!("s3://YOUR-BUCKET/YOUR-PREFIX/{}/", table.as_str());
        assert_eq!(created["location"], json!(place), "the lake is in a folder");
        let properties = json!({
            "projection.enabled": "true",
            "projection.dt.type": "date",
            "projection.dt.format": "yyyy-MM-dd",
            "projection.dt.range": "2018-01-01,NOW+1DAY",
            "projection.dt.interval": "1",
            "projection.dt.interval.unit": "DAYS",
            "storage.location.template": format!("{place}dt=${{dt}}/"),
        });
        assert_eq!(created["properties"], properties, "{name}");
    }
    let views = statements.iter().filter(|statement| statement["kind"] == "create view").count();
    assert_eq!(views, 9);
}

#[tokio::test]
async fn a_lake_of_months_projects_months_from_its_oldest_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = transcribe::config::LakeConfig {
        place: transcribe::config::LakePlace::Folder(folder.path().to_owned()),
        partition_timezone: jiff::tz::TimeZone::UTC,
        partition: transcribe::config::Partition::Month,
        flush_every: std::time::Duration::from_secs(60),
        flush_bytes: 1 << 20,
        fresh_every: std::time::Duration::from_secs(60),
        compression_level: 3,
    };
    let lake = Lake::open(&config).await.unwrap();
    let mut old = finished("cc01", vec![segment(0, "long ago")]);
    old.dt = "2009-05-01".into();
    lake.publish(&Lake::plan_batch(&old.dt, &[old.fingerprint.clone()]), vec![old]).await.unwrap();
    lake.init().await.unwrap();
    let ddl = fs::read_to_string(folder.path().join("glue.sql")).unwrap();
    assert_eq!(ddl.matches("'projection.dt.range' = '2009-05-01,NOW+1DAY'").count(), Table::ALL.len());
    assert_eq!(ddl.matches("'projection.dt.interval.unit' = 'MONTHS'").count(), Table::ALL.len());
}

#[tokio::test]
async fn dbt_gets_every_table_with_its_columns() {
    let lake = known_lake().await;
    let sources = reader("dbt", &lake.root(), &[]);
    let source = &sources["sources"][0];
    assert_eq!((&sources["version"], &source["name"]), (&json!(2), &json!("transcripts")));
    let tables = source["tables"].as_array().unwrap();
    for table in Table::ALL {
        let found = tables.iter().find(|entry| entry["name"] == json!(table.as_str())).unwrap();
        assert_eq!(found["description"], json!(table.meaning()));
        let columns = found["columns"].as_array().unwrap();
        let told: Vec<_> = columns.iter().map(|column| (&column["name"], &column["description"])).collect();
        let expected = describe(table);
        assert_eq!(told.len(), expected.len() + 1, "{}", table.as_str());
        for (column, info) in told.iter().zip(expected) {
            assert_eq!(*column, (&json!(info.name), &json!(info.meaning)));
        }
    }
    let views = reader("views", &lake.root(), &[]);
    for entry in tables {
        assert!(views.get(entry["name"].as_str().unwrap()).is_some(), "{} is no view", entry["name"]);
    }
}

#[tokio::test]
async fn the_ducklake_recipe_copies_once_and_keeps_snapshots() {
    let lake = known_lake().await;
    let seen = reader("ducklake", &lake.root(), &[]);
    let [first, second] = [&seen[0], &seen[1]].map(|counts| counts.as_array().unwrap().clone());
    assert_eq!(first[..3], [json!(4), json!(6), json!(8)]);
    assert_eq!(second[..3], first[..3]);
    assert!(second[3].as_i64() > first[3].as_i64(), "{seen}");
}

#[tokio::test]
#[ignore = "needs pyspark and Java: make test-spark"]
async fn spark_runs_the_very_statements_of_glue() {
    let lake = known_lake().await;
    let output = Command::new(project().join(".venv/bin/python"))
        .arg(project().join("tests/support/spark_lake.py"))
        .arg(lake.root())
        .current_dir(lake.root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_program_says_what_it_wrote_and_what_to_do_with_it() {
    let workspace = Workspace::new();
    let told = workspace.run(&["lake", "init"]).expect_code(0).stdout;
    let files =
        ["views.sql", "queries.sql", "ducklake.sql", "glue.sql", "sources.yml", "read_pyarrow.py", "read_spark.py"];
    for file in files {
        assert!(told.contains(file) && workspace.lake().join(file).exists(), "{file}: {told}");
    }
    assert!(told.contains("no file yet: recordings, segments"), "{told}");
    assert!(told.contains("duckdb -init"), "{told}");
}

#[test]
fn the_documentation_has_the_tables_as_they_are() {
    const BEGIN: &str = "<!-- tables: begin -->\n";
    const END: &str = "<!-- tables: end -->";
    let path = project().join("docs/tables.md");
    let written = fs::read_to_string(&path).unwrap();
    let (before, rest) = written.split_once(BEGIN).expect("docs/tables.md has the mark for the tables");
    let (_, after) = rest.split_once(END).expect("docs/tables.md has the mark for their end");
    let renewed = format!("{before}{BEGIN}\n{}\n{END}{after}", dictionary());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &renewed).unwrap();
    } else {
        assert!(written == renewed, "the tables of docs/tables.md are old: run this test with UPDATE_DOCS=1");
    }
}
