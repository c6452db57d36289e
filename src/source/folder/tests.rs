//! What a folder lists and fetches.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

const ZOOM_ID: &str = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e";

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Self(folder)
    }

    fn source(&self, glob: &str) -> FolderSource {
        FolderSource::new(&FolderConfig { path: self.0.path().to_owned(), glob: glob.into() }).unwrap()
    }

    fn set_modified(&self, name: &str, at: &str) {
        let seconds = u64::try_from(at.parse::<Timestamp>().unwrap().as_second()).unwrap();
        let file = std::fs::File::options().write(true).open(self.0.path().join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }
}

fn slice(window: Option<TimeWindow>) -> Slice {
    Slice { owner: String::new(), window }
}

async fn list(source: &FolderSource, window: Option<TimeWindow>) -> (Vec<Recording>, Listed) {
    let (sender, mut receiver) = mpsc::channel(1);
    let source = source.clone();
    let listing = tokio::spawn(async move { source.list(&slice(window), sender).await });
    let mut recordings = Vec::new();
    while let Some(page) = receiver.recv().await {
        recordings.extend(page);
    }
    (recordings, listing.await.unwrap().unwrap())
}

fn names(recordings: &[Recording]) -> Vec<&str> {
    recordings.iter().map(|recording| recording.raw_id.as_str()).collect()
}

async fn fetch(source: &FolderSource, recording: &Recording) -> Result<FetchedAudio, Failure> {
    source.fetch(recording, Path::new("unused")).await
}

#[tokio::test]
async fn audio_of_any_depth_and_case_is_listed_in_sort_order() {
    let folder = Folder::with(&[
        ("b.MP3", "1"),
        ("a/z.wav", "2"),
        ("a/deep/er/c.Flac", "3"),
        ("c.m4a", "4"),
        ("notes.txt", "5"),
        (".hidden.mp3", "6"),
        (".trash/d.mp3", "7"),
    ]);
    let (recordings, listed) = list(&folder.source("**/*"), None).await;
    assert_eq!(names(&recordings), ["a/deep/er/c.Flac", "a/z.wav", "b.MP3", "c.m4a"]);
    assert_eq!(listed, Listed { recordings: 4, unusable: 0, repeated: 0 });
    let (recordings, _) = list(&folder.source("A/*"), None).await;
    assert_eq!(names(&recordings), ["a/z.wav"]);
}

#[tokio::test]
async fn equal_content_is_one_recording_and_the_first_path_wins() {
    let folder = Folder::with(&[("b.mp3", "same"), ("a.mp3", "same"), ("c.mp3", "other")]);
    let (recordings, listed) = list(&folder.source("**/*"), None).await;
    assert_eq!(names(&recordings), ["a.mp3", "c.mp3"]);
    assert_eq!((listed.recordings, listed.repeated), (2, 1));
    let sha256 = hex::encode(Sha256::digest("same"));
    assert_eq!(recordings[0].id.as_str(), format!("file-{}", &sha256[..32]));
}

#[tokio::test]
async fn two_calls_with_ids_stay_two_even_if_they_sound_the_same() {
    let folder = Folder::with(&[
        ("a.mp3", "same"),
        ("a.json", r#"{"id": "aa"}"#),
        ("b.mp3", "same"),
        ("b.json", r#"{"id": "bb"}"#),
        ("c.mp3", "same"),
        ("d.mp3", "different"),
        ("d.json", r#"{"id": "A-A"}"#),
    ]);
    let (recordings, listed) = list(&folder.source("**/*"), None).await;
    assert_eq!(names(&recordings), ["a.mp3", "b.mp3"]);
    assert_eq!(listed.repeated, 2);
}

#[tokio::test]
async fn metadata_in_zooms_shape_is_taken_over() {
    let metadata = r#"{
        "id": "0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E", "call_id": 7012345678901234567, "caller_name": "Sato Yui",
        "caller_number": 81355500123, "callee_number": "803", "direction": "inbound", "duration": "94",
        "date_time": "2026-11-02T01:15:04Z", "end_time": "2026-11-02T01:16:38Z", "recording_type": "Automatic",
        "owner": {"type": "user", "id": "u1", "name": "Ito Ren", "extension_number": 803},
        "accepted_by": {"name": "Ito Ren", "extension_number": "803"}, "outgoing_by": "nobody",
        "site": {"id": "s1", "name": "Tokyo"}, "hours_ago": 5, "later": [1, 2]
    }"#;
    let folder = Folder::with(&[("call.mp3", "1"), ("call.mp3.json", metadata), ("call.json", "not read")]);
    let (recordings, _) = list(&folder.source("**/*"), None).await;
    let recording = &recordings[0];
    assert_eq!(recording.id.as_str(), ZOOM_ID);
    assert_eq!(recording.raw_id, "call.mp3");
    assert_eq!(recording.call_id.as_deref(), Some("7012345678901234567"));
    assert_eq!(recording.caller.number.as_deref(), Some("81355500123"));
    assert_eq!(recording.duration_s, Some(94));
    assert_eq!(recording.started_at, Some("2026-11-02T01:15:04Z".parse().unwrap()));
    assert_eq!(recording.owner.extension.as_deref(), Some("803"));
    assert_eq!(recording.accepted_by.name.as_deref(), Some("Ito Ren"));
    assert_eq!(recording.outgoing_by, crate::domain::Person::default());
    assert_eq!(recording.site.name.as_deref(), Some("Tokyo"));
}

#[tokio::test]
async fn without_metadata_the_file_time_is_the_start() {
    let folder = Folder::with(&[("a.mp3", "1"), ("b.mp3", "2")]);
    folder.set_modified("a.mp3", "2026-11-02T01:15:04Z");
    folder.set_modified("b.mp3", "2026-11-03T00:00:00Z");
    let (recordings, _) = list(&folder.source("**/*"), None).await;
    assert_eq!(recordings[0].started_at, Some("2026-11-02T01:15:04Z".parse().unwrap()));
}

#[tokio::test]
async fn the_window_selects_by_end_and_excludes_its_own_end() {
    let folder = Folder::with(&[
        ("ended.mp3", "1"),
        ("ended.json", r#"{"date_time": "2026-11-01T23:00:00Z", "end_time": "2026-11-02T00:30:00Z"}"#),
        ("lasted.mp3", "2"),
        ("lasted.json", r#"{"date_time": "2026-11-01T23:00:00Z", "duration": 5400}"#),
        ("too_early.mp3", "3"),
        ("too_early.json", r#"{"date_time": "2026-11-01T23:00:00Z", "duration": 60}"#),
        ("at_the_end.mp3", "4"),
        ("file_time.mp3", "5"),
    ]);
    folder.set_modified("at_the_end.mp3", "2026-11-03T00:00:00Z");
    folder.set_modified("file_time.mp3", "2026-11-02T12:00:00Z");
    let window =
        TimeWindow { since: "2026-11-02T00:00:00Z".parse().unwrap(), until: "2026-11-03T00:00:00Z".parse().unwrap() };
    let (recordings, _) = list(&folder.source("**/*"), Some(window)).await;
    assert_eq!(names(&recordings), ["ended.mp3", "file_time.mp3", "lasted.mp3"]);
}

#[tokio::test]
async fn broken_metadata_is_listed_and_says_so_when_fetched() {
    let folder = Folder::with(&[
        ("cut.mp3", "1"),
        ("cut.json", r#"{"id": "a"#),
        ("id.mp3", "2"),
        ("id.json", r#"{"id": "---"}"#),
        ("list.mp3", "3"),
        ("list.json", "[]"),
    ]);
    let source = folder.source("**/*");
    let (recordings, listed) = list(&source, None).await;
    assert_eq!(listed.recordings, 3);
    let mut details = Vec::new();
    for recording in &recordings {
        let failure = fetch(&source, recording).await.unwrap_err();
        assert_eq!((failure.reason, failure.treatment), (Reason::BadMetadata, Treatment::Permanent));
        details.push(failure.detail);
    }
    assert_eq!(details, ["code=metadata_no_object", "code=metadata_id", "code=metadata_no_object"]);
}

#[tokio::test]
async fn a_fetched_file_stays_where_it_is() {
    let folder = Folder::with(&[("a.mp3", "sound")]);
    let source = folder.source("**/*");
    let (recordings, _) = list(&source, None).await;
    let fetched = fetch(&source, &recordings[0]).await.unwrap();
    assert_eq!(fetched.path, folder.0.path().join("a.mp3"));
    assert_eq!((fetched.bytes, fetched.owned), (5, false));
    assert_eq!(fetched.sha256, hex::encode(Sha256::digest("sound")));
}

#[tokio::test]
async fn a_file_that_changed_or_went_away_is_another_recording() {
    let folder = Folder::with(&[("a.mp3", "sound"), ("b.mp3", "noise")]);
    let source = folder.source("**/*");
    let (recordings, _) = list(&source, None).await;
    fs::write(folder.0.path().join("a.mp3"), "more sound").unwrap();
    fs::remove_file(folder.0.path().join("b.mp3")).unwrap();
    let changed = fetch(&source, &recordings[0]).await.unwrap_err();
    assert_eq!((changed.reason, changed.detail.as_str()), (Reason::NotFound, "code=changed_since_listing"));
    let gone = fetch(&source, &recordings[1]).await.unwrap_err();
    assert_eq!((gone.reason, gone.treatment), (Reason::Unreadable, Treatment::Permanent));
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_a_circle_and_dead_links_and_odd_names_end_well() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    let folder = Folder::with(&[("calls/a.mp3", "1")]);
    symlink(folder.0.path(), folder.0.path().join("calls/again")).unwrap();
    symlink(folder.0.path().join("nowhere"), folder.0.path().join("dead.mp3")).unwrap();
    fs::write(folder.0.path().join(OsStr::from_bytes(b"z\xff.mp3")), "2").unwrap();
    let source = folder.source("**/*");
    let (recordings, listed) = list(&source, None).await;
    assert_eq!(names(&recordings), ["calls/a.mp3", "dead.mp3", "z\u{fffd}.mp3"]);
    assert_eq!(listed.recordings, 3);
    let failure = fetch(&source, &recordings[1]).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Unreadable);
    assert_eq!(fetch(&source, &recordings[2]).await.unwrap().bytes, 1);
}

#[tokio::test]
async fn a_listing_that_nobody_reads_any_more_stops() {
    let folder = Folder::with(&[("a.mp3", "1")]);
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    assert!(matches!(folder.source("**/*").list(&slice(None), sender).await, Err(SourceError::Stopped)));
}

#[test]
fn a_missing_folder_is_named() {
    let config = FolderConfig { path: "/no/such/folder".into(), glob: "**/*".into() };
    let Err(SourceError::Misconfigured { explanation }) = FolderSource::new(&config) else { panic!("must be refused") };
    assert!(explanation.contains("/no/such/folder"));
    let config = FolderConfig { path: std::env::temp_dir(), glob: "a**".into() };
    assert!(matches!(FolderSource::new(&config), Err(SourceError::Misconfigured { .. })));
}
