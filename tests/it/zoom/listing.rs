//! Lists: pages, their tokens, slices, and every quirk of an item.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::mpsc;
use transcribe::config::ZoomConfig;
use transcribe::source::{Listed, RecordingSource, SourceError, TimeWindow};

use super::{clip, last_day, list, list_ids, persistent, source};
use crate::support::{Fault, Route, Script, ZoomServer};

#[tokio::test]
async fn all_pages_are_read_and_nothing_comes_twice() {
    let ids: Vec<_> = (1..=5).map(|n| format!("r{n}")).collect();
    let server = ZoomServer::start(ids.iter().map(|id| clip(id)).collect()).await;
    let source = source(&ZoomConfig { page_size: 2, ..server.config() });
    assert_eq!(list_ids(&source, last_day()).await, ids);
    let listings = server.listings();
    assert_eq!(listings.len(), 3);
    assert!(listings.iter().all(|seen| seen.query["page_size"] == "2"));
    assert!(listings.iter().all(|seen| seen.query["query_date_type"] == "end_time"));
    assert!(listings.iter().all(|seen| !seen.query.contains_key("access_token")));
}

#[tokio::test]
async fn a_repeated_page_token_ends_the_listing() {
    let server = ZoomServer::start((1..=4).map(|n| clip(&format!("r{n}"))).collect()).await;
    server.fault(Script::next(Route::List, Fault::RepeatPageToken).always());
    let source = source(&ZoomConfig { page_size: 2, ..server.config() });
    assert_eq!(list_ids(&source, last_day()).await, ["r1", "r2", "r3", "r4"]);
    assert!(server.listings().len() <= 3);
}

#[tokio::test]
async fn a_last_page_may_have_no_token_at_all() {
    let server = ZoomServer::start(vec![]).await;
    let item = |id: &str| json!({ "id": id, "download_url": "https://zoom.us/v2/phone/recording/download/k" });
    for (id, token) in [("r1", Some("x")), ("r2", Some("y")), ("r3", None)] {
        let mut page = json!({ "page_size": 1, "total_records": 3, "recordings": [item(id)] });
        if let Some(token) = token {
            page["next_page_token"] = json!(token);
        }
        server.fault(Script::next(Route::List, Fault::json(200, &page)));
    }
    assert_eq!(list_ids(&source(&server.config()), last_day()).await, ["r1", "r2", "r3"]);
    let tokens: Vec<_> = server.listings().iter().map(|seen| seen.query.get("next_page_token").cloned()).collect();
    assert_eq!(tokens, [None, Some("x".into()), Some("y".into())]);
}

#[tokio::test]
async fn a_token_after_the_last_page_leads_to_an_empty_page_and_no_further() {
    let server = ZoomServer::start(vec![]).await;
    let item = json!({ "id": "r1", "download_url": "https://zoom.us/v2/phone/recording/download/k" });
    let pages =
        [json!({ "recordings": [item], "next_page_token": "x" }), json!({ "recordings": [], "next_page_token": "y" })];
    for page in &pages {
        server.fault(Script::next(Route::List, Fault::json(200, page)));
    }
    assert_eq!(list_ids(&source(&server.config()), last_day()).await, ["r1"]);
    assert_eq!(server.listings().len(), 2);
}

#[tokio::test]
async fn a_refused_page_token_restarts_the_slice_without_repeating_recordings() {
    let server = ZoomServer::start((1..=4).map(|n| clip(&format!("r{n}"))).collect()).await;
    server.fault(Script::next(Route::List, Fault::RefusePageToken));
    let source = source(&ZoomConfig { page_size: 2, ..server.config() });
    assert_eq!(list_ids(&source, last_day()).await, ["r1", "r2", "r3", "r4"]);
    assert_eq!(server.listings().len(), 4);
}

#[tokio::test]
async fn page_tokens_that_are_always_refused_are_an_error_and_not_an_endless_listing() {
    let server = ZoomServer::start((1..=4).map(|n| clip(&format!("r{n}"))).collect()).await;
    server.fault(Script::next(Route::List, Fault::RefusePageToken).always());
    let source = source(&ZoomConfig { page_size: 2, ..server.config() });
    let (recordings, listed) = list(&source, last_day()).await;
    assert_eq!(recordings.len(), 2);
    assert!(matches!(listed, Err(SourceError::Unavailable { .. })));
}

#[tokio::test]
async fn one_recording_in_several_spellings_is_listed_once() {
    let dashed = "0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E";
    let server = ZoomServer::start(vec![clip(dashed), clip("0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e")]).await;
    let (recordings, listed) = list(&source(&server.config()), last_day()).await;
    assert_eq!(listed.unwrap(), Listed { recordings: 1, unusable: 0, repeated: 1 });
    assert_eq!(recordings[0].id.as_str(), "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e");
    assert_eq!(recordings[0].raw_id, dashed);
}

#[tokio::test]
async fn numbers_may_arrive_as_strings() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    server.fault(Script::next(Route::List, Fault::NumbersAsStrings));
    let (recordings, _) = list(&source(&server.config()), last_day()).await;
    assert_eq!(recordings[0].duration_s, Some(10));
    assert_eq!(recordings[0].owner.extension.as_deref(), Some("806"));
}

#[tokio::test]
async fn an_item_needs_an_id_and_a_download_address_and_nothing_else() {
    let server = ZoomServer::start(vec![]).await;
    let items = json!([
        { "id": "r1", "download_url": "https://zoom.us/v2/phone/recording/download/k" },
        { "id": "r2" }, { "download_url": "https://zoom.us/x" }, "text", null
    ]);
    server.fault(Script::next(Route::List, Fault::json(200, &json!({ "recordings": items }))));
    let (recordings, listed) = list(&source(&server.config()), last_day()).await;
    assert_eq!(listed.unwrap(), Listed { recordings: 1, unusable: 4, repeated: 0 });
    assert_eq!((recordings[0].raw_id.as_str(), recordings[0].started_at), ("r1", None));
}

#[tokio::test]
async fn a_recording_that_appears_late_is_in_the_next_listing() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let source = source(&server.config());
    assert_eq!(list_ids(&source, last_day()).await, ["r1"]);
    server.add(clip("r2").with("end_time", json!(null)).with("never_heard_of", json!({ "a": [1] })));
    assert_eq!(list_ids(&source, last_day()).await, ["r1", "r2"]);
}

#[tokio::test]
async fn a_long_window_is_asked_for_in_slices_of_28_days_at_most() {
    let until: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let clips = [1, 40, 99].map(|age| clip(&format!("r{age}")).started_at(until - days(age)));
    let server = ZoomServer::start(clips.to_vec()).await;
    let ids = list_ids(&source(&server.config()), TimeWindow { since: until - days(100), until }).await;
    assert_eq!(ids, ["r99", "r40", "r1"]);
    let bound = |seen: &crate::support::Seen, key: &str| seen.query[key].parse::<Timestamp>().unwrap();
    let slices: Vec<_> = server.listings().iter().map(|seen| (bound(seen, "from"), bound(seen, "to"))).collect();
    assert_eq!((slices[0].0, slices[slices.len() - 1].1), (until - days(100), until));
    assert!(slices.iter().all(|(from, to)| to.duration_since(*from) <= days(28)));
    assert!(slices.windows(2).all(|pair| pair[0].1 == pair[1].0));
}

#[tokio::test]
async fn a_listing_whose_receiver_went_away_stops() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    let (found, pages) = mpsc::channel(1);
    drop(pages);
    let source = source(&server.config());
    let stopped = source.list(&source.slices(Some(last_day()))[0], found).await;
    assert!(matches!(stopped, Err(SourceError::Stopped)));
}

#[tokio::test]
async fn a_page_with_status_200_that_is_no_listing_is_asked_for_again() {
    let server = ZoomServer::start(vec![clip("r1")]).await;
    server.fault(Script::next(Route::List, Fault::html()));
    assert_eq!(list_ids(&source(&persistent(&server)), last_day()).await, ["r1"]);
    server.fault(Script::next(Route::List, Fault::json(200, &json!({ "code": 300, "message": "x" }))).always());
    let error = list(&source(&server.config()), last_day()).await.1.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }));
}

#[tokio::test]
async fn an_unreachable_zoom_is_unavailable_and_only_its_host_is_named() {
    let server = ZoomServer::start(vec![]).await;
    let config = server.config();
    let address = server.address().to_owned();
    drop(server);
    let error = list(&source(&config), last_day()).await.1.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { source: Some(_), .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("Zoom cannot be reached at {address}"));
}
