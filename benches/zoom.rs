//! Whether 1,000 small downloads in parallel keep to the rate that was configured: requests per second as the server
//! that speaks Zoom saw them.
//!
//! `cargo bench --bench zoom`

#![expect(clippy::print_stdout, reason = "a measurement that prints its figures")]

#[path = "../tests/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "a measurement uses little of the server")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Clip, ZoomServer, source};
use tokio::sync::mpsc;
use transcribe::config::ZoomConfig;
use transcribe::source::RecordingSource;

const DOWNLOADS: u32 = 1_000;
/// The medium label of a business account.
const PER_SECOND: usize = 20;

#[tokio::main]
async fn main() {
    let clips = (0..DOWNLOADS).map(|number| Clip::silent(&format!("{number:032x}"), 10)).collect();
    let server = ZoomServer::start(clips).await;
    // All of them wait for their turn at once.
    let patient = Duration::from_secs(600);
    let source =
        Arc::new(source(&ZoomConfig { request_timeout: patient, download_timeout: patient, ..server.config() }));
    let (found, mut pages) = mpsc::channel(8);
    let slice = source.slices(None).pop().expect("a slice");
    source.list(&slice, found).await.expect("a listing");
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    let mut downloads = tokio::task::JoinSet::new();
    while let Some(page) = pages.recv().await {
        for recording in page {
            let (source, destination) = (Arc::clone(&source), folder.path().join(recording.id.file_stem()));
            downloads.spawn(async move { source.fetch(&recording, &destination).await.expect("audio").bytes });
        }
    }
    let bytes: u64 = downloads.join_all().await.iter().sum();
    let times: Vec<Instant> =
        server.requests().into_iter().filter(|seen| seen.recording.is_some()).map(|seen| seen.at).collect();
    let in_a_second =
        |from: usize| times[from..].iter().take_while(|at| **at - times[from] < Duration::from_secs(1)).count();
    let most = (0..times.len()).map(in_a_second).max().unwrap_or(0);
    println!(
        "{} downloads, {bytes} bytes in {:.1} s; allowed {PER_SECOND} a second, at most {most} in any one second",
        times.len(),
        began.elapsed().as_secs_f64()
    );
}
