//! Downloads that break off, are not there yet, moved or are gone.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use transcribe::config::ZoomConfig;
use transcribe::domain::{Failure, Reason, Recording, Treatment};
use transcribe::fetch::hash_file;
use transcribe::source::{FetchedAudio, RecordingSource};

use super::{Spool, clip, download_address, fetch_under, last_day, list, persistent, source};
use crate::support::{Clip, Fault, Route, Script, Seen, ZoomServer, silence};

/// 57,600 bytes.
fn long_clip() -> Clip {
    Clip::silent("r1", 100)
}

/// The `Range` headers of all downloads, in order.
fn ranges(server: &ZoomServer) -> Vec<Option<String>> {
    let downloads = server.requests().into_iter().filter(|seen| seen.recording.is_some());
    downloads.map(|seen| seen.range).collect()
}

async fn resumed(server: &ZoomServer, fault: Fault) -> Vec<u8> {
    let spool = Spool::new();
    server.fault(Script::next(Route::Download, fault));
    let fetched = spool.fetch(&source(&persistent(server)), &download_address(server, &long_clip())).await.unwrap();
    assert_eq!(fetched.sha256, hash_file(&spool.destination()).unwrap().sha256);
    std::fs::read(spool.destination()).unwrap()
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was_if_the_server_lets_it() {
    let server = ZoomServer::builder(vec![long_clip()]).honouring_ranges().start().await.unwrap();
    assert_eq!(resumed(&server, Fault::CutAfter(20_000)).await, silence(100));
    assert_eq!(ranges(&server), [None, Some("bytes=20000-".into())]);
    assert!(server.requests().last().unwrap().if_range.is_some(), "the rest of any file would do");
}

#[tokio::test]
async fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
    let server = ZoomServer::start(vec![long_clip()]).await;
    assert_eq!(resumed(&server, Fault::CutAfter(20_000)).await, silence(100));
    assert_eq!(ranges(&server), [None, Some("bytes=20000-".into())]);
}

#[tokio::test]
async fn a_resumed_download_goes_through_the_redirect_again() {
    let builder = ZoomServer::builder(vec![long_clip()]).honouring_ranges().redirecting_downloads();
    let server = builder.start().await.unwrap();
    server.fault(Script::next(Route::File, Fault::CutAfter(30_000)));
    let spool = Spool::new();
    spool.fetch(&source(&persistent(&server)), &download_address(&server, &long_clip())).await.unwrap();
    assert_eq!(std::fs::read(spool.destination()).unwrap(), silence(100));
    assert_eq!(ranges(&server).iter().flatten().count(), 2, "API and file host");
}

#[tokio::test]
async fn the_rest_of_another_file_is_not_believed() {
    let other_length = |range: &str| Fault::Answer {
        status: 206,
        headers: vec![("content-range", range.to_owned())],
        body: vec![0; 10],
    };
    for answer in [
        other_length("bytes 20000-20009/20010"),
        other_length("bytes 0-9/57600"),
        other_length("nonsense"),
        Fault::Answer { status: 416, headers: vec![("content-range", "bytes */10".into())], body: vec![] },
    ] {
        let server = ZoomServer::start(vec![long_clip()]).await;
        server.fault(Script::next(Route::Download, Fault::CutAfter(20_000)));
        server.fault(Script::next(Route::Download, answer.clone()));
        let spool = Spool::new();
        let patient = ZoomConfig { request_attempts: 3, ..server.config() };
        spool.fetch(&source(&patient), &download_address(&server, &long_clip())).await.unwrap();
        assert_eq!(std::fs::read(spool.destination()).unwrap(), silence(100), "{answer:?}");
        assert_eq!(ranges(&server), [None, Some("bytes=20000-".into()), None], "{answer:?}");
    }
}

#[tokio::test]
async fn less_of_the_rest_than_was_asked_for_is_not_taken_for_all_of_it() {
    let server = ZoomServer::start(vec![long_clip()]).await;
    server.fault(Script::next(Route::Download, Fault::CutAfter(20_000)));
    let part = Fault::Answer {
        status: 206,
        headers: vec![("content-range", "bytes 20000-29999/57600".into())],
        body: silence(100)[20_000..30_000].to_vec(),
    };
    server.fault(Script::next(Route::Download, part));
    let spool = Spool::new();
    let patient = ZoomConfig { request_attempts: 3, ..server.config() };
    spool.fetch(&source(&patient), &download_address(&server, &long_clip())).await.unwrap();
    assert_eq!(std::fs::read(spool.destination()).unwrap(), silence(100));
    assert_eq!(ranges(&server), [None, Some("bytes=20000-".into()), Some("bytes=30000-".into())]);
}

#[tokio::test]
async fn a_long_download_may_break_off_more_often_than_one_request_is_tried() {
    let sound = silence(8_000);
    let server = ZoomServer::builder(vec![Clip::new("r1", sound.clone())]).honouring_ranges().start().await.unwrap();
    server.fault(Script::next(Route::Download, Fault::CutAfter(1_500_000)).times(3));
    let once = ZoomConfig { max_download_bytes: 1 << 30, ..server.config() };
    let spool = Spool::new();
    spool.fetch(&source(&once), &download_address(&server, &long_clip())).await.unwrap();
    assert!(std::fs::read(spool.destination()).unwrap() == sound);
    assert_eq!(server.downloads_of("r1"), 4);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_fetched_from_its_beginning() {
    let server = ZoomServer::builder(vec![long_clip()]).honouring_ranges().start().await.unwrap();
    server.fault(Script::next(Route::Download, Fault::CutAfter(20_000)));
    server.fault(Script::next(Route::Download, Fault::status(503)));
    let source = source(&ZoomConfig { request_attempts: 4, ..server.config() });
    let (spool, address) = (Spool::new(), download_address(&server, &long_clip()));
    let mut sound = silence(150);
    sound[10_000] = 7;
    let replaced = Clip::new("r1", sound.clone());
    let (fetched, ()) = tokio::join!(spool.fetch(&source, &address), async {
        while server.downloads_of("r1") == 0 {
            tokio::task::yield_now().await;
        }
        server.replace(replaced.clone());
    });
    assert_eq!(fetched.unwrap().bytes, 150 * 576);
    assert_eq!(std::fs::read(spool.destination()).unwrap(), sound);
}

#[tokio::test]
async fn a_download_that_takes_too_long_is_given_up() {
    let server = ZoomServer::start(vec![long_clip()]).await;
    let hasty = ZoomConfig { download_timeout: Duration::from_millis(300), ..server.config() };
    let failure = fetch_under(&server, &hasty, Script::next(Route::Download, Fault::StallAfter(600))).await;
    assert_eq!(failure.unwrap_err().detail, "too_slow");
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_is_looked_for_five_times() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let script = Script::next(Route::Download, Fault::missing_file()).times(4);
    fetch_under(&server, &server.config(), script).await.unwrap();
    assert_eq!((server.downloads_of("r1"), server.listings().len()), (5, 0));
}

/// Lists the only recording, lets `meanwhile` happen at Zoom, and downloads it.
async fn fetch_after(server: &ZoomServer, meanwhile: impl FnOnce()) -> (Result<FetchedAudio, Failure>, Vec<Seen>) {
    let source = source(&server.config());
    let (recordings, _) = list(&source, last_day()).await;
    let recording: &Recording = &recordings[0];
    meanwhile();
    let spool = Spool::new();
    let fetched = source.fetch(recording, &spool.destination()).await;
    assert_eq!(fetched.is_err(), spool.is_empty());
    (fetched, server.listings().split_off(1))
}

#[tokio::test]
async fn a_recording_whose_address_changed_is_listed_again_and_found() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let (fetched, listings) = fetch_after(&server, || server.replace(clip("r1").keyed("another-key"))).await;
    assert_eq!(fetched.unwrap().bytes, 5_760);
    assert_eq!(listings.len(), 1);
    let bound = |key: &str| listings[0].query[key].parse::<Timestamp>().unwrap();
    assert!(
        bound("to").duration_since(bound("from")) <= SignedDuration::from_mins(3),
        "more than its moment is listed"
    );
    assert!(server.requests().iter().any(|seen| seen.path.ends_with("/another-key")));
}

#[tokio::test]
async fn a_recording_that_was_deleted_is_missing_for_good() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let (fetched, listings) = fetch_after(&server, || server.delete("r1")).await;
    let failure = fetched.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::NotFound, Treatment::Permanent));
    assert_eq!(failure.detail, "status=400 code=404 listed=no");
    assert_eq!(listings.len(), 1);
}

#[tokio::test]
async fn a_recording_that_is_still_listed_but_has_no_file_may_come_later() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let script = Script::next(Route::Download, Fault::json(404, &json!({ "code": 1001 }))).always();
    let (fetched, _) = fetch_after(&server, || server.fault(script)).await;
    let failure = fetched.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::NotFound, Treatment::Transient));
    assert_eq!(server.downloads_of("r1"), 10);
}

#[tokio::test]
async fn a_file_host_that_lost_the_file_is_asked_through_zoom_again() {
    let server = ZoomServer::builder(vec![clip("r1")]).redirecting_downloads().start().await.unwrap();
    server.fault(Script::next(Route::File, Fault::status(404)));
    let spool = Spool::new();
    spool.fetch(&source(&server.config()), &download_address(&server, &clip("r1"))).await.unwrap();
    assert_eq!(server.downloads_of("r1"), 2);
}
