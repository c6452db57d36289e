//! The lake in a bucket: the real binary against a real store that speaks S3, read back by DuckDB.

use serde_json::{Value, json};

use crate::counted::CountingProxy;
use crate::crash::boundaries::UPLOADING;
use crate::days;
use crate::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};
use crate::workspace::{Workspace, project, read_lake};

/// A workspace whose lake is in the bucket.
fn workspace(server: &S3Server) -> Workspace {
    let mut workspace = Workspace::new();
    workspace
        .set("TRANSCRIBE__LAKE__URL", format!("s3://{BUCKET}/calls"))
        .set("TRANSCRIBE__LAKE__ENDPOINT", server.endpoint())
        .set("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .set("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    workspace
}

async fn server() -> S3Server {
    S3Server::start(&project().join(".venv/bin/weed")).await
}

/// Rows that DuckDB reads over S3; `sql` names tables by `read_parquet('{lake}/TABLE/*/*.parquet')`.
fn query(server: &S3Server, sql: &str) -> Vec<Vec<Value>> {
    let sql = sql.replace("{lake}", &format!("s3://{BUCKET}/calls"));
    serde_json::from_value(read_lake(["remote", &server.endpoint(), ACCESS_KEY, SECRET_KEY, &sql])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_bucket_is_written_read_compacted_and_adopted() {
    let server = server().await;
    let workspace = workspace(&server);
    let fox = workspace.folder_of("one", &["speech/en_quick_brown_fox.mp3"]);
    let hello = workspace.folder_of("two", &["speech/en_hello_world.mp3"]);
    for folder in [&fox, &hello] {
        // The day of a file without metadata is that of its last change: one that is over.
        let day = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_793_600_000);
        for file in std::fs::read_dir(folder).unwrap() {
            std::fs::File::options().write(true).open(file.unwrap().path()).unwrap().set_modified(day).unwrap();
        }
        let run = workspace.run(&["--dir", folder.to_str().unwrap(), "--format", "json"]).expect_code(0).json();
        assert_eq!((&run["done"], &run["failed"]), (&json!(1), &json!(0)));
    }
    let texts = "select lower(text) from read_parquet('{lake}/recordings/*/*.parquet') order by audio_ms";
    let before = query(&server, texts);
    assert_eq!(before.len(), 2);
    let all: String = before.iter().map(|row| row[0].as_str().unwrap()).collect();
    assert!(all.contains("quick brown fox") && all.contains("hello"), "{all}");
    assert!(!workspace.lake().exists(), "nothing is written beside the bucket");

    // A ledger that knows nothing learns from the bucket what is done.
    std::fs::remove_dir_all(workspace.path().join("state")).unwrap();
    let run = workspace.run(&["--dir", fox.to_str().unwrap(), "--format", "json"]).expect_code(0).json();
    assert_eq!((&run["done"], &run["skipped"]), (&json!(0), &json!(1)));

    let id = query(&server, "select recording_id from read_parquet('{lake}/recordings/*/*.parquet') order by audio_ms");
    let id = id[0][0].as_str().unwrap();
    let exported = workspace.run(&["export", id, "--as", "txt"]).expect_code(0).stdout;
    assert!(!exported.trim().is_empty());

    let files = "select count(*) from glob('{lake}/recordings/*/*.parquet')";
    assert_eq!(query(&server, files), [[json!(2)]]);
    workspace.run(&["compact"]).expect_code(0);
    assert_eq!(query(&server, files), [[json!(1)]]);
    assert_eq!(query(&server, texts), before);

    workspace.run(&["lake", "init"]).expect_code(0);
    let written = |file: &str| {
        let content = query(&server, &format!("select content from read_text('{{lake}}/{file}')"));
        content[0][0].as_str().unwrap().to_owned()
    };
    let found = query(&server, &format!("{}; select count(*) from search('QUICK brown fox')", written("views.sql")));
    assert_eq!(found, [[json!(1)]]);
    assert!(written("glue.sql").contains(&format!("LOCATION 's3://{BUCKET}/calls/recordings/'")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_is_named_with_what_to_do() {
    let server = server().await;
    let mut workspace = workspace(&server);
    let check = workspace.run(&["check"]);
    assert!(check.stdout.contains("ok       lake: s3://recordings/calls can be written to"), "{}", check.stdout);

    workspace.set("AWS_SECRET_ACCESS_KEY", "wrong");
    let refused = workspace.run(&["--dir", "."]).expect_code(3);
    assert!(refused.stderr.contains("s3://recordings/calls"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("wrong"), "{}", refused.stderr);

    workspace.unset("AWS_ACCESS_KEY_ID").unset("AWS_SECRET_ACCESS_KEY").set("AWS_PROFILE", "sso");
    std::fs::create_dir_all(workspace.path().join(".aws")).unwrap();
    let profiles = format!(
        "[profile sso]\nsso_session = x\n[profile keys]\naws_access_key_id = {ACCESS_KEY}\n\
         aws_secret_access_key = {SECRET_KEY}\n"
    );
    std::fs::write(workspace.path().join(".aws/config"), profiles).unwrap();
    let refused = workspace.run(&["--dir", "."]).expect_code(3);
    assert!(refused.stderr.contains("AWS profile sso signs in with AWS single sign-on"), "{}", refused.stderr);
    workspace.set("AWS_PROFILE", "keys");
    let check = workspace.run(&["check"]);
    assert!(check.stdout.contains("ok       lake"), "{}", check.stdout);

    drop(server);
    let refused = workspace.run(&["--dir", "."]).expect_code(5);
    assert!(refused.stderr.contains("lake"), "{}", refused.stderr);
}

/// What is read of a file that does not hold the recording: its end, with the head of the answer.
const FOOTER_AT_MOST: u64 = 66 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn of_days_without_the_recording_no_more_than_the_footer_is_read() {
    const DAYS: i64 = 6;
    let server = server().await;
    let folder = tempfile::tempdir().unwrap();
    let samples = days::fill(folder.path(), DAYS, 500).await;
    server.upload(folder.path(), "calls").await;
    let proxy = CountingProxy::to(server.port);
    let mut workspace = workspace(&server);
    workspace.set("TRANSCRIBE__LAKE__ENDPOINT", proxy.endpoint());
    let (day, id) = &samples[3];

    let found = workspace.run(&["export", id, "--as", "json", "--day", day]).expect_code(0).json();
    let known = proxy.take();
    assert_eq!(found["recording_id"], json!(id));
    for table in ["recordings", "segments", "words"] {
        let all = known.of("GET", &format!("/calls/{table}/dt="));
        let of_the_day = known.of("GET", &format!("/calls/{table}/dt%3D{day}/"));
        assert!(of_the_day > 0, "{known:?}");
        assert_eq!((all, known.of("GET", &format!("/calls/{table}/dt%3D"))), (0, of_the_day), "{known:?}");
    }

    let again = workspace.run(&["export", id, "--as", "json"]).expect_code(0).json();
    let unknown = proxy.take();
    assert_eq!(again, found);
    let footers: Vec<_> = samples.iter().filter(|(other, _)| other != day).collect();
    for (other, _) in &footers {
        assert_eq!(unknown.of("GET", &format!("/calls/recordings/dt%3D{other}/")), 1, "{unknown:?}");
        assert_eq!(unknown.of("GET", &format!("/calls/segments/dt%3D{other}/")), 0, "{unknown:?}");
    }
    assert!(
        unknown.bytes < known.bytes + (footers.len() as u64 + 1) * FOOTER_AT_MOST,
        "{} {}",
        unknown.bytes,
        known.bytes
    );
}

/// What is in a folder of the bucket, as the store itself knows it.
async fn entries(server: &S3Server, folder: &str) -> usize {
    let url = format!("http://127.0.0.1:{}/buckets/{BUCKET}/{folder}/", server.filer);
    let answer = reqwest::Client::new().get(url).header("Accept", "application/json").send().await.unwrap();
    if answer.status() == reqwest::StatusCode::NOT_FOUND {
        return 0;
    }
    let listed: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    listed["Entries"].as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_goes_in_parts_and_a_crash_leaves_none_of_them() {
    for boundary in UPLOADING {
        let server = server().await;
        let mut workspace = workspace(&server);
        workspace.failpoint("large-bytes=return(1000)");
        let hello = workspace.folder_of("hello", &["speech/en_hello_world.mp3"]);
        let run = ["--dir", hello.to_str().unwrap()];
        assert!(workspace.dies_at(&run, boundary, 0), "{boundary}");
        assert_eq!(entries(&server, ".uploads").await, 1, "{boundary}");
        workspace.run(&run).expect_code(0);
        assert_eq!(entries(&server, ".uploads").await, 0, "{boundary}");
        let notes = query(&server, &format!("select count(*) from glob('s3://{BUCKET}/calls/_uploads/**')"));
        assert_eq!(notes, [[json!(0)]], "{boundary}");
        let texts = query(&server, "select lower(text) from read_parquet('{lake}/recordings/*/*.parquet')");
        assert_eq!(texts.len(), 1);
        assert!(texts[0][0].as_str().unwrap().contains("hello"), "{texts:?}");
    }
}
