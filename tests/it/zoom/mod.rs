//! `ZoomSource` against a real server that speaks Zoom.
//!
//! What a client of that API must stand, and the tests that show it (`L` = `listing`, `D` = `download`, `U` = `users`,
//! `S` = `sign_in`, `M` = `main_job`):
//!
//! | case | tests |
//! |---|---|
//! | token without `expires_in`, or as text | S `a_token_whose_life_is_not_stated_or_is_text_serves_more_than_one_request` |
//! | token 400 `invalid_grant` against 503 | S `trouble_at_zoom_keeps_the_sign_in_and_a_dead_one_says_what_to_do`, `a_busy_token_endpoint_is_asked_again` |
//! | 401 with code 124 once | `callers_that_hold_the_same_expired_token_renew_it_once`, S `workers_at_once_spend_one_refresh_token` |
//! | three pages, last token empty, missing, repeated | L `all_pages_are_read_and_nothing_comes_twice`, `a_last_page_may_have_no_token_at_all`, `a_repeated_page_token_ends_the_listing`, `a_token_after_the_last_page_leads_to_an_empty_page_and_no_further` |
//! | page token refused | L `a_refused_page_token_restarts_the_slice_without_repeating_recordings` |
//! | item with id and address only | L `an_item_needs_an_id_and_a_download_address_and_nothing_else` |
//! | numbers as text, unknown fields and values | L `numbers_may_arrive_as_strings`, M `the_quirks_of_a_listing_reach_the_lake_as_they_should` |
//! | `call_id` with `_2` | M `the_quirks_of_a_listing_reach_the_lake_as_they_should` |
//! | id dashed, undashed, upper case | L `one_recording_in_several_spellings_is_listed_once` |
//! | download 200; 302 to another host; 302 to http | `a_recording_is_listed_and_its_audio_arrives_whole`, `a_redirect_to_another_host_is_followed_without_the_token`, `a_redirect_to_where_nobody_may_go_is_refused` |
//! | 200 with JSON, truncated, no bytes | `what_is_not_audio_leaves_nothing_behind_and_says_why`, `what_may_pass_is_tried_again`, D `less_of_the_rest_than_was_asked_for_is_not_taken_for_all_of_it` |
//! | download 400 with code 404 | D `a_file_that_is_not_there_yet_is_looked_for_five_times`, `a_recording_whose_address_changed_is_listed_again_and_found`, `a_recording_that_was_deleted_is_missing_for_good` |
//! | 429 per second, per day, without headers | `a_limit_per_second_is_waited_for_with_and_without_headers`, `when_one_caller_is_told_to_slow_down_all_of_them_do`, `after_a_limit_per_day_nobody_asks_until_it_ends`, M `a_limit_of_the_day_keeps_the_work_and_says_when_to_come_back` |
//! | an event that never came | L `a_recording_that_appears_late_is_in_the_next_listing` |

mod download;
mod listing;
mod users;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::mpsc;
use transcribe::config::ZoomConfig;
use transcribe::domain::{AudioLocation, Failure, Reason, Recording, RecordingId, SourceKind, Treatment};
use transcribe::fetch::hash_file;
use transcribe::source::zoom::ZoomSource;
use transcribe::source::{FetchedAudio, Listed, RecordingSource, SourceError, TimeWindow};

pub(crate) use crate::support::source;
use crate::support::{CLIENT_SECRET, Clip, Fault, Listener, Route, Script, ZoomServer, credentials, silence};

pub(crate) fn clip(id: &str) -> Clip {
    Clip::silent(id, 10)
}

/// With a second attempt for what may pass.
pub(crate) fn persistent(server: &ZoomServer) -> ZoomConfig {
    ZoomConfig { request_attempts: 2, ..server.config() }
}

pub(crate) fn last_day() -> TimeWindow {
    let now = Timestamp::now();
    TimeWindow { since: now - SignedDuration::from_hours(24), until: now }
}

/// Lists a window and collects what was sent, whatever became of the listing.
pub(crate) async fn list(source: &ZoomSource, window: TimeWindow) -> (Vec<Recording>, Result<Listed, SourceError>) {
    let (found, mut pages) = mpsc::channel(2);
    let collect = async {
        let mut recordings = Vec::new();
        while let Some(page) = pages.recv().await {
            recordings.extend(page);
        }
        recordings
    };
    let list = async {
        let found = found;
        let mut all = Listed::default();
        for slice in source.slices(Some(window)) {
            let listed = source.list(&slice, found.clone()).await?;
            all.recordings += listed.recordings;
            all.unusable += listed.unusable;
            all.repeated += listed.repeated;
        }
        Ok(all)
    };
    let (listed, recordings) = tokio::join!(list, collect);
    (recordings, listed)
}

pub(crate) async fn list_ids(source: &ZoomSource, window: TimeWindow) -> Vec<String> {
    let (recordings, listed) = list(source, window).await;
    assert_eq!(listed.expect("a listing").recordings, u64::try_from(recordings.len()).expect("a count"));
    recordings.iter().map(|recording| recording.id.to_string()).collect()
}

/// A folder to download into.
pub(crate) struct Spool {
    folder: tempfile::TempDir,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn destination(&self) -> PathBuf {
        self.folder.path().join("audio")
    }

    pub(crate) fn is_empty(&self) -> bool {
        std::fs::read_dir(self.folder.path()).expect("the folder").next().is_none()
    }

    pub(crate) async fn fetch(&self, source: &ZoomSource, address: &str) -> Result<FetchedAudio, Failure> {
        let audio = AudioLocation::Download(address.to_owned());
        let recording = Recording::bare(RecordingId::parse("r1").expect("an id"), "r1".into(), SourceKind::Zoom, audio);
        source.fetch(&recording, &self.destination()).await
    }
}

pub(crate) fn download_address(server: &ZoomServer, clip: &Clip) -> String {
    format!("{}/v2/phone/recording/download/{}", server.address(), clip.key())
}

/// Downloads the only clip of a server under a script, and checks that a failure leaves nothing behind.
pub(crate) async fn fetch_under(
    server: &ZoomServer,
    config: &ZoomConfig,
    script: Script,
) -> Result<FetchedAudio, Failure> {
    server.fault(script);
    let spool = Spool::new();
    let outcome = spool.fetch(&source(config), &download_address(server, &clip("r1"))).await;
    assert_eq!(outcome.is_err(), spool.is_empty());
    outcome
}

/// Downloads the recording `r1` so many times at once.
async fn fetch_at_once(server: &ZoomServer, source: &Arc<ZoomSource>, callers: usize) {
    let address = download_address(server, &clip("r1"));
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (source, address, spool) = (Arc::clone(source), address.clone(), Spool::new());
            tokio::spawn(async move { spool.fetch(&source, &address).await.map(|fetched| fetched.bytes) })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(5_760));
    }
}

async fn failure_under(fault: Fault) -> Failure {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    fetch_under(&server, &server.config(), Script::next(Route::Download, fault).always()).await.expect_err("a failure")
}

#[tokio::test]
async fn a_recording_is_listed_and_its_audio_arrives_whole() {
    let sound = silence(500);
    let server = ZoomServer::start(vec![Clip::new("r1", sound.clone()).duration_s(18)]).await;
    let source = source(&server.config());
    let (recordings, listed) = list(&source, last_day()).await;
    assert_eq!(listed.unwrap(), Listed { recordings: 1, unusable: 0, repeated: 0 });
    assert_eq!(recordings[0].duration_s, Some(18));
    assert_eq!(recordings[0].accepted_by.extension.as_deref(), Some("803"));

    let spool = Spool::new();
    let fetched = source.fetch(&recordings[0], &spool.destination()).await.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), sound);
    let digest = hash_file(&fetched.path).unwrap();
    assert_eq!((fetched.bytes, fetched.sha256, fetched.owned), (digest.bytes, digest.sha256, true));
}

#[tokio::test]
async fn twenty_callers_at_once_sign_in_once() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let source = Arc::new(source(&server.config()));
    fetch_at_once(&server, &source, 20).await;
    assert_eq!(server.token_requests(), 1);
}

#[tokio::test]
async fn callers_that_hold_the_same_expired_token_renew_it_once() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let source = Arc::new(source(&server.config()));
    assert_eq!(list_ids(&source, last_day()).await, ["r1"]);
    server.fault(Script::next(Route::Download, Fault::ExpireAccessToken));
    fetch_at_once(&server, &source, 8).await;
    assert_eq!(server.token_requests(), 2);
}

#[tokio::test]
async fn a_token_that_expires_during_a_listing_is_renewed_once() {
    let server = ZoomServer::start(vec![clip("r1"), clip("r2")]).await;
    let source = source(&ZoomConfig { page_size: 1, ..server.config() });
    server.fault(Script::next(Route::List, Fault::ExpireAccessToken));
    assert_eq!(list_ids(&source, last_day()).await, ["r1", "r2"]);
    assert_eq!(server.token_requests(), 2);
    assert_eq!(server.listings().len(), 3);
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_stops_the_run() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    server.fault(Script::next(Route::List, Fault::ExpireAccessToken).always());
    let source = source(&persistent(&server));
    assert!(matches!(list(&source, last_day()).await.1, Err(SourceError::Refused { .. })));
    assert_eq!(server.token_requests(), 2);
    let failure = failure_under(Fault::json(401, &json!({ "code": 124, "message": "Invalid access token." }))).await;
    assert_eq!((failure.reason, failure.treatment), (Reason::CredentialsRefused, Treatment::Fatal));
}

#[tokio::test]
async fn a_wrong_secret_is_refused_without_another_try() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let source = ZoomSource::new(&persistent(&server), credentials("wrong")).unwrap();
    let error = list(&source, last_day()).await.1.unwrap_err();
    assert!(matches!(&error, SourceError::Refused { explanation } if explanation.contains("invalid_client")));
    assert_eq!(server.token_requests(), 1);
    assert!(server.listings().is_empty());
}

#[tokio::test]
async fn a_busy_token_endpoint_is_asked_again() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    server.fault(Script::next(Route::Token, Fault::status(503)));
    assert_eq!(list_ids(&source(&persistent(&server)), last_day()).await, ["r1"]);
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let server = ZoomServer::start(vec![]).await;
    server.fault(Script::next(Route::List, Fault::missing_scope("phone:read:list_call_recordings:admin")));
    let error = list(&source(&server.config()), last_day()).await.1.unwrap_err();
    assert!(matches!(&error, SourceError::Refused { .. }));
    assert!(error.to_string().contains("phone:read:list_call_recordings:admin"));

    let failure = failure_under(Fault::missing_scope("phone:read:call_recording:admin")).await;
    assert_eq!((failure.reason, failure.treatment), (Reason::CredentialsRefused, Treatment::Fatal));
    assert!(failure.detail.contains("phone:read:call_recording:admin"));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_followed_without_the_token() {
    let server = ZoomServer::builder(vec![clip("r1")]).redirecting_downloads().start().await.unwrap();
    let spool = Spool::new();
    let address = download_address(&server, &clip("r1"));
    spool.fetch(&source(&server.config()), &address).await.unwrap();
    assert_eq!(std::fs::read(spool.destination()).unwrap(), silence(10));
    let requests = server.requests();
    let (to_files, to_api): (Vec<_>, Vec<_>) = requests.iter().partition(|seen| seen.listener == Listener::Files);
    assert_eq!(to_files.len(), 1);
    assert_eq!(to_files[0].authorization, None);
    assert!(to_api.iter().any(|seen| seen.recording.is_some() && seen.authorization.is_some()));
}

#[tokio::test]
async fn a_redirect_to_where_nobody_may_go_is_refused() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let other = ZoomServer::start(vec![clip("r1")]).await;
    let targets = [
        ("http://zoom.us/file", "plain_http"),
        ("https://evil.example/file", "unlisted_host"),
        ("https://10.0.0.1/file", "unlisted_host"),
        ("https://169.254.169.254/latest/meta-data", "private_address"),
        ("http://localhost:1/file", "private_address"),
        ("file:///etc/passwd", "malformed"),
        ("ftp://zoom.us/file", "scheme"),
        ("https://user:pass@zoom.us/file", "credentials"),
        (other.address(), "unlisted_host"),
    ];
    let mut config = server.config();
    config.download_hosts.extend(["zoom.us", "169.254.169.254", "localhost"].map(str::to_owned));
    for (target, detail) in targets {
        let script = Script::next(Route::Download, Fault::redirect(target));
        let failure = fetch_under(&server, &config, script).await.unwrap_err();
        let seen = (failure.reason, failure.treatment, failure.detail.as_str());
        assert_eq!(seen, (Reason::ForbiddenAddress, Treatment::Permanent, detail), "{target}");
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_at_every_hop() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    let by_name = format!("http://localhost:{port}/v2/phone/recording/download/{}", clip("r1").key());
    let listed = ZoomConfig { download_hosts: vec![format!("localhost:{port}")], ..server.config() };
    assert!(Spool::new().fetch(&source(&listed), &by_name).await.is_ok());
    let any_port = ZoomConfig { download_hosts: vec!["localhost".into()], ..server.config() };
    let failure = Spool::new().fetch(&source(&any_port), &by_name).await.unwrap_err();
    assert_eq!(failure.reason, Reason::ForbiddenAddress);
}

#[tokio::test]
async fn endless_redirects_end() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let own = download_address(&server, &clip("r1"));
    let script = Script::next(Route::Download, Fault::redirect(&own)).always();
    let failure = fetch_under(&server, &server.config(), script).await.unwrap_err();
    assert_eq!(failure.detail, "too_many_redirects");
    assert_eq!(server.downloads_of("r1"), 6);
}

#[tokio::test]
async fn what_is_not_audio_leaves_nothing_behind_and_says_why() {
    let error_body = json!({ "code": 124, "message": "Invalid access token." });
    let page = b"<html>Blocked by your organisation</html>".to_vec();
    let proxy_page = Fault::Answer { status: 403, headers: vec![("content-type", "text/html".into())], body: page };
    let cases = [
        (Fault::html(), Reason::NotAudio, Treatment::Transient, "content=html"),
        (Fault::json(200, &error_body), Reason::NotAudio, Treatment::Transient, "content=json"),
        (Fault::empty(), Reason::Empty, Treatment::Transient, "bytes=0"),
        (Fault::CutAfter(1_000), Reason::Truncated, Treatment::Transient, "bytes=1000 expected=5760"),
        (Fault::missing_file(), Reason::NotFound, Treatment::Transient, "status=400 code=404"),
        (Fault::status(403), Reason::Forbidden, Treatment::Permanent, "status=403"),
        (proxy_page, Reason::SourceUnavailable, Treatment::Transient, "status=403"),
        (Fault::status(502), Reason::SourceUnavailable, Treatment::Transient, "status=502 code=502"),
    ];
    for (fault, reason, treatment, detail) in cases {
        let failure = failure_under(fault.clone()).await;
        let seen = (failure.reason, failure.treatment, failure.detail.as_str());
        assert_eq!(seen, (reason, treatment, detail), "{fault:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for fault in [Fault::html(), Fault::empty(), Fault::CutAfter(1_000), Fault::missing_file(), Fault::status(502)] {
        let server = ZoomServer::start(vec![clip("r1")]).await;
        let fetched = fetch_under(&server, &persistent(&server), Script::next(Route::Download, fault)).await;
        assert_eq!(fetched.unwrap().bytes, 5_760);
        assert_eq!(server.downloads_of("r1"), 2);
    }
}

#[tokio::test]
async fn one_forbidden_recording_leaves_its_neighbour_alone() {
    let server = ZoomServer::start(vec![clip("r1"), clip("r2")]).await;
    server.fault(Script::next(Route::Download, Fault::status(403)).of("r1").always());
    let source = source(&server.config());
    let refused = Spool::new().fetch(&source, &download_address(&server, &clip("r1"))).await;
    assert_eq!(refused.unwrap_err().reason, Reason::Forbidden);
    assert!(Spool::new().fetch(&source, &download_address(&server, &clip("r2"))).await.is_ok());
}

#[tokio::test]
async fn a_long_error_page_does_not_make_a_recording_too_large() {
    let page = vec![b'x'; 3 * 1024 * 1024];
    let failure = failure_under(Fault::Answer { status: 503, headers: vec![], body: page }).await;
    assert_eq!((failure.reason, failure.treatment), (Reason::SourceUnavailable, Treatment::Transient));
}

#[tokio::test]
async fn audio_is_known_by_its_content_and_not_by_its_type() {
    let sound = b"RIFF\x24\x00\x00\x00WAVEfmt ".to_vec();
    let server = ZoomServer::start(vec![Clip::new("r1", sound.clone())]).await;
    let spool = Spool::new();
    spool.fetch(&source(&server.config()), &download_address(&server, &clip("r1"))).await.unwrap();
    assert_eq!(std::fs::read(spool.destination()).unwrap(), sound);
}

#[tokio::test]
async fn a_body_larger_than_allowed_is_refused_for_good() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let small = ZoomConfig { max_download_bytes: 5_759, ..persistent(&server) };
    let spool = Spool::new();
    let failure = spool.fetch(&source(&small), &download_address(&server, &clip("r1"))).await.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::TooLarge, Treatment::Permanent));
    assert!(spool.is_empty());
    assert_eq!(server.downloads_of("r1"), 1);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let impatient = ZoomConfig { request_timeout: Duration::from_secs(3), ..server.config() };
    let failure = fetch_under(&server, &impatient, Script::next(Route::Download, Fault::StallAfter(600))).await;
    assert_eq!(failure.unwrap_err().detail, "stalled bytes=600");
}

#[tokio::test]
async fn when_one_caller_is_told_to_slow_down_all_of_them_do() {
    let server = ZoomServer::start(vec![clip("r1"), clip("r2")]).await;
    server.fault(Script::next(Route::Download, Fault::too_fast(true)).of("r1"));
    let source = source(&persistent(&server));
    let (first, address) = (Spool::new(), download_address(&server, &clip("r1")));
    let told = first.fetch(&source, &address);
    let second = async {
        while server.downloads_of("r1") == 0 {
            tokio::task::yield_now().await;
        }
        Spool::new().fetch(&source, &download_address(&server, &clip("r2"))).await
    };
    let (told, second) = tokio::join!(told, second);
    assert!(told.is_ok() && second.is_ok());
    let downloads: Vec<_> = server.requests().into_iter().filter(|seen| seen.recording.is_some()).collect();
    let pauses = downloads[1..].iter().map(|seen| seen.at.duration_since(downloads[0].at));
    // The server said a second. The second caller may have been on its way when it did.
    assert!(pauses.filter(|pause| *pause < Duration::from_secs(1)).count() <= 1);
}

#[tokio::test]
async fn a_limit_per_second_is_waited_for_with_and_without_headers() {
    for with_headers in [true, false] {
        let server = ZoomServer::start(vec![clip("r1")]).await;
        server.fault(Script::next(Route::List, Fault::too_fast(with_headers)));
        server.fault(Script::next(Route::Download, Fault::too_fast(with_headers)));
        let source = source(&persistent(&server));
        assert_eq!(list_ids(&source, last_day()).await, ["r1"]);
        let fetched = Spool::new().fetch(&source, &download_address(&server, &clip("r1"))).await;
        assert_eq!(fetched.unwrap().bytes, 5_760);
    }
}

#[tokio::test]
async fn after_a_limit_per_day_nobody_asks_until_it_ends() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let tomorrow = (Timestamp::now() + SignedDuration::from_hours(5)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    server.fault(Script::next(Route::List, Fault::daily_limit(&tomorrow)));
    let source = source(&persistent(&server));
    assert!(matches!(list(&source, last_day()).await.1, Err(SourceError::LimitReached { .. })));
    let failure = Spool::new().fetch(&source, &download_address(&server, &clip("r1"))).await.unwrap_err();
    assert_eq!((failure.reason, failure.treatment), (Reason::DailyLimit, Treatment::Local));
    assert!(failure.retry_after_s.is_some_and(|wait| (4 * 3_600..=5 * 3_600).contains(&wait)));
    assert_eq!((server.listings().len(), server.downloads_of("r1")), (1, 0));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_refused_by_name() {
    let server = ZoomServer::start(vec![]).await;
    let good = server.config();
    let plain = ZoomConfig { api_url: "http://api.zoom.us/v2".parse().unwrap(), ..good.clone() };
    let hosts = ZoomConfig { download_hosts: vec!["https://zoom.us".into()], ..good };
    for (config, key) in [(plain, "zoom.api_url"), (hosts, "zoom.download_hosts")] {
        let error = ZoomSource::new(&config, credentials(CLIENT_SECRET)).err().unwrap();
        assert!(matches!(&error, SourceError::Misconfigured { explanation } if explanation.contains(key)), "{error}");
    }
}
