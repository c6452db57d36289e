//! From kept notices to events that happen now, each once.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::domain::CallEvent;
use crate::queue::{Notice, Subject};
use crate::source::zoom::wire_call_event::call_event_from_json;

/// Notices whose repeats are known.
const KNOWN: usize = 8_192;
/// Events that wait to be told; further ones are not told.
const WAITING: usize = 1_024;

/// Where the intake says what it kept.
#[derive(Debug)]
pub(super) struct Hub {
    known: Mutex<Known>,
    fresh: mpsc::Sender<Arc<CallEvent>>,
}

/// The keys of the last notices.
#[derive(Debug, Default)]
struct Known {
    keys: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Hub {
    /// A hub, and where its events come out.
    pub(super) fn new() -> (Self, mpsc::Receiver<Arc<CallEvent>>) {
        let (fresh, events) = mpsc::channel(WAITING);
        (Self { known: Mutex::default(), fresh }, events)
    }

    /// Passes on what is news of a call. Never waits: when nobody takes the events, further ones are counted and
    /// left out here; their rows are written all the same.
    pub(super) fn offer(&self, notices: &[Notice]) {
        for notice in notices.iter().filter(|notice| notice.subject == Subject::Call) {
            if !self.known.lock().unwrap_or_else(PoisonError::into_inner).is_new(&notice.key) {
                continue;
            }
            let json = serde_json::from_str(&notice.body).ok();
            let read = |json| call_event_from_json(&json, notice.event_at, notice.via, notice.received_at);
            // What cannot be read is counted and logged where it would become a row.
            let Some(event) = json.and_then(read) else { continue };
            if self.fresh.try_send(Arc::new(event)).is_err() {
                metrics::counter!("transcribe_call_events_untold_total").increment(1);
            }
        }
    }
}

impl Known {
    fn is_new(&mut self, key: &str) -> bool {
        if !self.keys.insert(key.to_owned()) {
            return false;
        }
        self.in_order.push_back(key.to_owned());
        if self.in_order.len() > KNOWN
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::queue::Via;

    fn notice(key: usize, subject: Subject, body: String) -> Notice {
        let received_at = Timestamp::UNIX_EPOCH;
        Notice { key: key.to_string(), subject, via: Via::Webhook, event_at: None, received_at, body }
    }

    fn ringing(key: usize) -> Notice {
        let body = json!({"event": "phone.callee_ringing", "payload": {"object": {"call_id": key}}});
        notice(key, Subject::Call, body.to_string())
    }

    #[test]
    fn repeats_other_subjects_and_what_cannot_be_read_are_not_passed_on() {
        let (hub, mut events) = Hub::new();
        let odd = [notice(7, Subject::History, String::new()), notice(8, Subject::Call, "{".into())];
        hub.offer(&[ringing(1), ringing(1), ringing(2)]);
        hub.offer(&odd);
        hub.offer(&[ringing(2), ringing(3)]);
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.call_id.clone()).collect();
        assert_eq!(told, ["1", "2", "3"].map(|id| Some(id.to_owned())));
    }

    #[test]
    fn memory_is_bounded_and_offering_never_waits() {
        let (hub, mut events) = Hub::new();
        let notices: Vec<_> = (0..KNOWN + 10).map(ringing).collect();
        hub.offer(&notices);
        assert_eq!(std::iter::from_fn(|| events.try_recv().ok()).count(), WAITING);
        let known = hub.known.lock().unwrap();
        assert_eq!((known.keys.len(), known.in_order.len()), (KNOWN, KNOWN));
    }
}
