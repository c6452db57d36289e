//! From notices of calls to rows of the outbox, in one step.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};

use super::outbox::{json, post as post_row};
use super::tombstones::is_purged_call;
use crate::queue::{CallNotice, QueueError};

/// The table that events of calls are posted to.
const CALL_EVENTS: &str = "call_events";

/// How long it is remembered that an event became a row. Zoom delivers again for 85 minutes.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Notices become rows, those that became one before excepted, and leave the inbox. Returns the number of rows.
pub(super) fn post(tx: &Transaction<'_>, notices: Vec<CallNotice>, now: Timestamp) -> Result<u64, QueueError> {
    let oldest = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN).as_millisecond();
    tx.prepare_cached("DELETE FROM told_calls WHERE told_ms < ?1")?.execute([oldest])?;
    let mut remember =
        tx.prepare_cached("INSERT INTO told_calls (key, told_ms) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING")?;
    let mut forget = tx.prepare_cached("DELETE FROM inbox WHERE number = ?1")?;
    let mut posted = 0;
    for CallNotice { number, key, dt, event } in notices {
        forget.execute([number])?;
        let Some(event) = event else { continue };
        if is_purged_call(tx, [event.call_id.as_deref()])? {
            continue;
        }
        if remember.execute(params![key, now.as_millisecond()])? > 0 {
            post_row(tx, CALL_EVENTS, &dt, &json(&event)?)?;
            posted += 1;
        }
    }
    Ok(posted)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{CallEvent, Via};
    use crate::queue::sqlite::{SqliteQueue, SqliteSettings};
    use crate::queue::{Inbox, Notice, Outbox, Subject};

    const KEY: &str = "phone.callee_ringing/1/u/1";

    fn now() -> Timestamp {
        "2026-11-10T12:00:00Z".parse().unwrap()
    }

    fn open(folder: &std::path::Path) -> SqliteQueue {
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        SqliteQueue::open(&folder.join("ledger.sqlite"), settings).unwrap()
    }

    fn notice(key: &str) -> Notice {
        Notice {
            key: key.into(),
            subject: Subject::Call,
            via: Via::Webhook,
            event_at: Some(now()),
            received_at: now(),
            body: "{}".into(),
        }
    }

    fn event() -> CallEvent {
        let event = json!({"event": "phone.callee_ringing", "event_at": null, "call_id": "1", "caller": {},
                           "callee": {"name": "佐藤"}, "ringing_at": null, "answered_at": null, "ended_at": null,
                           "result": null, "via": "webhook", "received_at": now()});
        serde_json::from_value(event).unwrap()
    }

    /// What the inbox holds, each with an event that can be read.
    async fn received(queue: &SqliteQueue) -> Vec<CallNotice> {
        let notices = queue.received(100).await.unwrap().into_iter();
        let row = |(number, notice): (i64, Notice)| CallNotice {
            number,
            key: notice.key,
            dt: "2026-11-10".into(),
            event: Some(event()),
        };
        notices.map(row).collect()
    }

    async fn rows(queue: &SqliteQueue) -> Vec<Value> {
        let mut rows = Vec::new();
        while let Some((batch, parcels)) = queue.next_parcels(10).await.unwrap() {
            for parcel in parcels {
                assert_eq!((parcel.table.as_str(), parcel.dt.as_str()), (CALL_EVENTS, "2026-11-10"));
                rows.extend(parcel.rows.iter().map(|row| serde_json::from_str(row).unwrap()));
            }
            queue.delivered(batch).await.unwrap();
        }
        rows
    }

    #[tokio::test]
    async fn a_notice_that_comes_again_within_a_week_becomes_no_second_row() {
        let folder = tempfile::tempdir().unwrap();
        for (days, expected) in [(0, 1), (3, 0), (6, 0), (8, 1)] {
            // Another process each time.
            let queue = open(folder.path());
            queue.receive(vec![notice(KEY)]).await.unwrap();
            let now = now() + SignedDuration::from_hours(24 * days);
            assert_eq!(queue.post_call_events(received(&queue).await, now).await.unwrap(), expected, "day {days}");
            assert_eq!(queue.received(10).await.unwrap(), [], "day {days}");
            assert_eq!(rows(&queue).await.len() as u64, expected, "day {days}");
        }
    }

    #[tokio::test]
    async fn equal_notices_of_one_step_are_one_row_and_the_unreadable_leave_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path());
        queue.receive(vec![notice(KEY), notice("other"), notice("odd")]).await.unwrap();
        let mut notices = received(&queue).await;
        notices[2].event = None;
        notices.push(CallNotice { number: i64::MAX, ..notices[0].clone() });
        assert_eq!(queue.post_call_events(notices, now()).await.unwrap(), 2);
        assert_eq!(queue.received(10).await.unwrap(), []);
        let rows = rows(&queue).await;
        assert_eq!(rows[0]["callee"]["name"], "佐藤");
        assert_eq!(serde_json::from_value::<CallEvent>(rows[1].clone()).unwrap(), event());
    }

    #[tokio::test]
    async fn a_notice_that_was_read_and_not_posted_is_still_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let queue = open(folder.path());
        queue.receive(vec![notice(KEY)]).await.unwrap();
        let read_before_the_crash = received(&queue).await;
        drop(queue);
        let queue = open(folder.path());
        assert_eq!(queue.post_call_events(received(&queue).await, now()).await.unwrap(), 1);
        // The step again, as after a crash that hid its outcome.
        assert_eq!(queue.post_call_events(read_before_the_crash, now()).await.unwrap(), 0);
        assert_eq!(rows(&queue).await.len(), 1);
    }
}
