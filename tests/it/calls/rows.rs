//! The rows of `call_events`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use transcribe::lake::Lake;
use transcribe::pipeline::post_call_events;
use transcribe::queue::sqlite::{SqliteQueue, SqliteSettings};
use transcribe::queue::{Inbox, Notice, Outbox, Via};

use super::{CALLER, notice_of, open_lake};
use crate::workspace::read_lake;

fn then() -> Timestamp {
    Timestamp::from_millisecond(1_793_582_098_001).unwrap()
}

fn rang(call_id: &str) -> Notice {
    let caller = json!({"phone_number": CALLER, "name": "山田 太郎"});
    notice_of(then(), "phone.callee_ringing", call_id, &caller)
}

/// A ledger and a lake, as the service has them.
struct Kept {
    folder: tempfile::TempDir,
    queue: SqliteQueue,
    lake: Lake,
}

impl Kept {
    async fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    async fn open(folder: tempfile::TempDir) -> Self {
        let settings = SqliteSettings { lease: Duration::from_secs(60), max_attempts: 3 };
        let queue = SqliteQueue::open(&folder.path().join("ledger.sqlite"), settings).unwrap();
        let lake = open_lake(folder.path()).await;
        Self { folder, queue, lake }
    }

    /// As after a kill: whatever was in memory is gone.
    async fn die(self) -> Self {
        let Self { folder, queue, lake } = self;
        drop((queue, lake));
        Self::open(folder).await
    }

    async fn receive(&self, notices: Vec<Notice>) {
        self.queue.receive(notices).await.unwrap();
    }

    async fn post(&self) -> u64 {
        let notices = self.queue.received(100).await.unwrap();
        post_call_events(&self.queue, &self.lake, notices, Timestamp::now()).await.unwrap()
    }

    /// Writes what is in the outbox, and forgets it unless the process dies before that.
    async fn deliver(&self, dies: bool) {
        while let Some((batch, parcels)) = self.queue.next_parcels(100).await.unwrap() {
            for parcel in parcels {
                self.lake.write_posted(&parcel.table, &parcel.dt, parcel.rows).await.unwrap();
            }
            if dies {
                return;
            }
            self.queue.delivered(batch).await.unwrap();
        }
    }

    fn rows(&self, columns: &str) -> Value {
        let sql = format!("select {columns} from read_parquet('call_events/**/*.parquet') order by event_at, call_id");
        read_lake(["query", self.folder.path().join("lake").to_str().unwrap(), &sql])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_call_become_rows_that_say_it_all() {
    let kept = Kept::new().await;
    let mut ended = notice_of(then(), "phone.callee_ended", "2", &json!({"extension_number": 819_012_345_678_u64}));
    let mut body: Value = serde_json::from_str(&ended.body).unwrap();
    body["event_ts"] = json!("1793635200000");
    body["payload"]["object"]["answer_start_time"] = json!("2026-11-02T15:59:00Z");
    body["payload"]["object"]["call_end_time"] = json!("2026-11-02T15:59:59Z");
    body["payload"]["object"]["handup_result"] = json!("Call Cancel");
    ended.body = body.to_string();
    ended.via = Via::Websocket;
    kept.receive(vec![rang("1"), ended]).await;
    assert_eq!(kept.post().await, 2);
    kept.deliver(false).await;
    let columns = "event, epoch_ms(event_at), call_id, caller_number, caller_name, caller_extension, callee_name, \
                   callee_extension, forwarded_by_name, forwarded_by_type, result, via, epoch_ms(ringing_at), \
                   epoch_ms(answered_at), epoch_ms(ended_at), epoch_ms(received_at), dt";
    let expected = json!([
        [
            "phone.callee_ringing",
            1_793_582_098_001_i64,
            "1",
            CALLER,
            "山田 太郎",
            null,
            "佐藤 花子",
            "1002",
            "サポート窓口",
            "callQueue",
            null,
            "webhook",
            1_793_582_098_000_i64,
            null,
            null,
            1_793_582_099_500_i64,
            "2026-11-02"
        ],
        // Past midnight in Tokyo.
        [
            "phone.callee_ended",
            1_793_635_200_000_i64,
            "2",
            "819012345678",
            null,
            null,
            "佐藤 花子",
            "1002",
            "サポート窓口",
            "callQueue",
            "Call Cancel",
            "websocket",
            1_793_582_098_000_i64,
            1_793_635_140_000_i64,
            1_793_635_199_000_i64,
            1_793_582_099_500_i64,
            "2026-11-03"
        ],
    ]);
    assert_eq!(kept.rows(columns), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_is_one_row_wherever_the_process_dies_in_between() {
    let kept = Kept::new().await;
    // Delivered twice before anybody looked.
    kept.receive(vec![rang("1")]).await;
    kept.receive(vec![rang("1"), rang("2")]).await;
    // Read, and gone before it was posted.
    assert_eq!(kept.queue.received(100).await.unwrap().len(), 2);
    let kept = kept.die().await;
    assert_eq!(kept.post().await, 2);
    // Posted, and again by Zoom.
    let kept = kept.die().await;
    kept.receive(vec![rang("1")]).await;
    assert_eq!(kept.post().await, 0);
    // In the lake, and the ledger does not know.
    kept.deliver(true).await;
    let kept = kept.die().await;
    kept.receive(vec![rang("2"), rang("3")]).await;
    kept.deliver(true).await;
    let kept = kept.die().await;
    kept.deliver(false).await;
    assert_eq!(kept.post().await, 1);
    kept.deliver(false).await;
    assert_eq!(kept.queue.received(100).await.unwrap(), []);
    assert_eq!(kept.rows("call_id"), json!([["1"], ["2"], ["3"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_of_a_call_leaves_the_inbox_without_a_row() {
    let kept = Kept::new().await;
    let mut odd = rang("1");
    odd.body = "{\"event\": \"phone.callee_ringing\"}".into();
    let mut broken = rang("2");
    broken.body = "{".into();
    kept.receive(vec![odd, broken, rang("3")]).await;
    assert_eq!(kept.post().await, 1);
    kept.deliver(false).await;
    assert_eq!(kept.queue.received(100).await.unwrap(), []);
    assert_eq!(kept.rows("call_id"), json!([["3"]]));
    let shared: Arc<dyn Outbox> = Arc::new(kept.queue.clone());
    assert_eq!(post_call_events(shared.as_ref(), &kept.lake, vec![], Timestamp::now()).await.unwrap(), 0);
}
