//! Events by the hundred, and a kill in the middle of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{ROWS, Serve, completed, deliver, once, workspace};
use crate::crash::boundaries::SERVICE;
use crate::support::{Clip, ZoomServer};
use crate::workspace::Workspace;

const RECORDINGS: usize = 120;
/// The service is killed when it has answered so many.
const KILLED_AT: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_kill_in_a_storm_of_events_is_in_the_lake_once() {
    let zoom = ZoomServer::start(vec![]).await;
    let mut workspace = workspace(&zoom);
    workspace.with_scripted_engine(&[]);
    let serve = Serve::start(&workspace);
    let ids: Vec<String> = (0..RECORDINGS).map(|number| format!("{number:032x}")).collect();
    let events: Arc<Vec<_>> = Arc::new(ids.iter().map(|id| completed(&zoom, id)).collect());
    for id in &ids {
        zoom.add(Clip::silent(id, 20));
    }
    let answered: Arc<Mutex<Vec<usize>>> = Arc::default();
    let (next, process) = (Arc::new(AtomicUsize::new(0)), serve.started.id());
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (events, answered, next) = (Arc::clone(&events), Arc::clone(&answered), Arc::clone(&next));
        let webhook = serve.webhook.clone();
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(event) = events.get(number) else { return };
                if deliver(&webhook, event).await == 200 {
                    let mut answered = answered.lock().unwrap();
                    answered.push(number);
                    if answered.len() == KILLED_AT {
                        crate::started::signal(process, "KILL");
                    }
                }
            }
        });
    }
    senders.join_all().await;
    assert_eq!(serve.started.end().code, None, "it was killed");
    let answered = answered.lock().unwrap().clone();
    assert!((KILLED_AT..RECORDINGS).contains(&answered.len()), "{} were answered", answered.len());

    // Zoom no longer lists any: only what the killed process wrote down can bring them back.
    let downloads = |id: &String| zoom.downloads_of(id);
    let listed_at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 40);
    for id in &ids {
        zoom.replace(Clip::silent(id, 20).started_at(listed_at));
    }
    let mut serve = Serve::start(&workspace);
    while is_busy(&workspace) {
        serve.started.wait_for(&["published"]);
    }
    serve.stop();
    let mut expected: Vec<&str> = answered.iter().map(|number| ids[*number].as_str()).collect();
    expected.sort_unstable();
    let rows = workspace.query(ROWS);
    let held: Vec<_> = rows.iter().filter(|row| expected.contains(&row[0].as_str().unwrap())).cloned().collect();
    assert_eq!(held, once(&expected));
    assert!(rows.iter().all(|row| row[1] == 1), "{rows:?}");
    assert!(ids.iter().map(downloads).sum::<usize>() >= expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_between_acting_upon_an_event_and_striking_it_off_does_it_once() {
    for boundary in SERVICE {
        let zoom = ZoomServer::start(vec![]).await;
        let mut workspace = workspace(&zoom);
        workspace.with_scripted_engine(&[]);
        workspace.failpoint(&format!("{boundary}=return"));
        let serve = Serve::start(&workspace);
        zoom.add(Clip::silent("a1", 20));
        assert_eq!(serve.deliver(&completed(&zoom, "a1")).await, 200);
        assert_eq!(serve.started.end().code, None, "it passes {boundary}");
        workspace.unset("FAILPOINTS").with_scripted_engine(&[]);
        let serve = Serve::start(&workspace);
        while is_busy(&workspace) {
            tokio::task::yield_now().await;
        }
        serve.stop();
        assert_eq!(workspace.query(ROWS), once(&["a1"]));
    }
}

/// Whether anything is on its way into the lake.
fn is_busy(workspace: &Workspace) -> bool {
    let ledger = rusqlite::Connection::open(workspace.path().join("state/ledger.sqlite")).unwrap();
    let open =
        "SELECT (SELECT count(*) FROM inbox) + (SELECT count(*) FROM jobs WHERE state NOT IN ('published', 'dead'))";
    ledger.query_row(open, [], |row| row.get::<_, i64>(0)).unwrap() > 0
}
