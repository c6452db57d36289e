//! What a lookup of one recording costs in a bucket with a year of daily files: requests and bytes, counted between the
//! program and the store. The whole program does the first two, DuckDB the others.
//!
//! `cargo bench --bench lookup` (after `make setup`; nothing here depends on how fast the program was built)

#![expect(clippy::unwrap_used, reason = "a bench that cannot set up its scene has failed")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/support/counted.rs"]
mod counted;
#[path = "../tests/support/days.rs"]
mod days;
#[path = "../tests/support/s3_server.rs"]
mod s3_server;
#[path = "../tests/support/transcripts.rs"]
mod transcripts;

use std::path::Path;
use std::process::Command;

use self::counted::{Counted, CountingProxy};
use self::s3_server::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY};

const DAYS: i64 = 365;
const CALLS_OF_A_DAY: usize = 1_000;

#[tokio::main]
async fn main() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let server = S3Server::start(&project.join(".venv/bin/weed")).await;
    let folder = tempfile::tempdir().unwrap();
    let samples = days::fill(folder.path(), DAYS, CALLS_OF_A_DAY).await;
    let bytes = |table: &str| -> u64 {
        let files = glob::glob(&format!("{}/{table}/*/*.parquet", folder.path().display())).unwrap();
        files.map(|path| path.unwrap().metadata().unwrap().len()).sum()
    };
    println!("{DAYS} days of {CALLS_OF_A_DAY} calls: recordings hold {} KiB a day", bytes("recordings") / 1024 / 365);
    server.upload(folder.path(), "calls").await;
    let proxy = CountingProxy::to(server.port);
    let (day, id) = &samples[samples.len() / 2];

    let export = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transcribe"));
        command.args(["export", id, "--as", "json"]).args(more).env_clear().current_dir(folder.path());
        command.env("HOME", folder.path()).env("TRANSCRIBE__LAKE__URL", format!("s3://{BUCKET}/calls"));
        command.env("TRANSCRIBE__LAKE__ENDPOINT", proxy.endpoint());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        proxy.take()
    };
    let query = |more: &str| {
        let sql = format!(
            "SELECT text FROM read_parquet('s3://{BUCKET}/calls/recordings/*/*.parquet', hive_partitioning = true, \
             hive_types = {{'dt': VARCHAR}}) WHERE recording_id = '{id}'{more}"
        );
        let mut command = Command::new(project.join(".venv/bin/python"));
        command.arg(project.join("tests/support/read_lake.py"));
        command.args(["remote", &proxy.endpoint(), ACCESS_KEY, SECRET_KEY, &sql]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        proxy.take()
    };
    print("transcribe export, day known", day, &export(&["--day", day]));
    print("transcribe export, day not known", day, &export(&[]));
    print("DuckDB on recordings, day known", day, &query(&format!(" AND dt = '{day}'")));
    print("DuckDB on recordings, day not known", day, &query(""));
}

fn print(what: &str, day: &str, counted: &Counted) {
    let gets = counted.of("GET", ".parquet");
    let others = gets - counted.of("GET", &format!("dt%3D{day}/")) - counted.of("GET", &format!("dt={day}/"));
    println!(
        "{what}: {} requests, {} KiB; {gets} of files, {others} of them of other days",
        counted.requests.len(),
        counted.bytes / 1024
    );
}
