//! From notices of calls to rows of `call_events`.

use jiff::Timestamp;

use crate::lake::Lake;
use crate::queue::{CallNotice, Notice, Outbox, QueueError};
use crate::source::zoom::wire_call_event::call_event_from_json;

/// Turns notices of calls, as [`Inbox::received`](crate::queue::Inbox::received) hands them out, into rows of the
/// outbox and takes them out of the inbox, in one durable step: done again after a crash, it changes nothing. Returns
/// how many rows there are to write. One whose body is no event of a call leaves without a row.
///
/// # Errors
/// Those of the ledger; then nothing has changed.
pub async fn post_call_events(
    outbox: &dyn Outbox,
    lake: &Lake,
    notices: Vec<(i64, Notice)>,
    now: Timestamp,
) -> Result<u64, QueueError> {
    let mut unreadable = 0_u64;
    let notices = notices.into_iter().map(|(number, notice)| {
        let Notice { key, via, event_at, received_at, body, .. } = notice;
        let json = serde_json::from_str(&body).ok();
        let event = json.and_then(|json| call_event_from_json(&json, event_at, via, received_at));
        unreadable += u64::from(event.is_none());
        let dt = lake.dt(event.as_ref().map_or(received_at, |event| event.at()));
        CallNotice { number, key, dt, event }
    });
    let notices = notices.collect();
    if unreadable > 0 {
        metrics::counter!("transcribe_call_events_unreadable_total").increment(unreadable);
        tracing::warn!(unreadable, "events of calls are not written as they are documented; left out");
    }
    outbox.post_call_events(notices, now).await
}
