//! An answer of Zoom of any bytes is refused, or becomes what the ledger and the tables can keep: nothing in it ends the
//! program, and what is kept is read back as it was.

use std::fmt::Debug;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use transcribe::domain::{Generation, Via};
use transcribe::source::zoom::wire::{Page, recording_from_json};
use transcribe::source::zoom::wire_call_event::call_event_from_json;
use transcribe::source::zoom::wire_history::{leg_from_json, legs_from_json, page_from_json};
use transcribe::source::zoom::wire_transcript::lines_from_json;

pub(crate) fn run(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let items = Page::read(value.clone()).map(|page| page.items).unwrap_or_default();
    for item in items.iter().chain([&value]) {
        if let Ok(recording) = recording_from_json(item) {
            is_read_back(&recording);
        }
    }
    for list in [Generation::CallHistory, Generation::CallLog] {
        let calls = page_from_json(&value, list).map(|page| page.calls).unwrap_or_default();
        for call in calls {
            is_read_back(&call.whole);
            for leg in legs_from_json(&value, &call).unwrap_or_default() {
                assert!(!leg.leg_id.is_empty());
                is_read_back(&leg);
            }
        }
    }
    if let Some(leg) = leg_from_json(&value) {
        is_read_back(&leg);
    }
    if let Some(event) = call_event_from_json(&value, None, Via::Webhook, Timestamp::UNIX_EPOCH) {
        is_read_back(&event);
    }
    if let Some(lines) = lines_from_json(&value) {
        assert!(lines.iter().all(|line| line.start_ms <= line.end_ms));
        assert!(lines.is_sorted_by_key(|line| line.start_ms));
    }
}

fn is_read_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(kept: &T) {
    let json = serde_json::to_string(kept).expect("it can be written");
    assert_eq!(&serde_json::from_str::<T>(&json).expect("it can be read"), kept);
}
