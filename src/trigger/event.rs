//! Reads one event of Zoom, however it came in, into notices for the ledger.
//!
//! Events differ in shape between generations and accounts, so only what identifies a thing is looked at: the name of
//! the event and an id. What is not understood is counted and left out, never an error; a body that is no JSON object
//! is one. [`serde_json`] goes at most 128 levels deep, so nesting costs nothing.

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::domain::RecordingId;
use crate::queue::{Notice, Subject, Via};

/// Ids longer than this are none.
const MAX_WORD_BYTES: usize = 128;

/// Copies for members who have access to another one's recording carry this at the end of their name.
const COPY: &str = "_for_access_member";

/// What an event told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Zoom asks whether this address knows the secret.
    Challenge { plain_token: String },
    /// One for each recording or call; none when no item had a usable id.
    Notices(Vec<Notice>),
    /// Not for us. One of few words, for a counter.
    Ignored(&'static str),
}

/// The bytes are not an event: no JSON object with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JSON object with an event in it")]
pub struct NotAnEvent;

/// Reads one event, and counts it as `transcribe_events_total` by way and kind.
///
/// # Errors
/// [`NotAnEvent`].
pub fn read(raw: &[u8], via: Via, received_at: Timestamp) -> Result<Told, NotAnEvent> {
    let Ok(Value::Object(mut event)) = serde_json::from_slice(raw) else { return Err(NotAnEvent) };
    let name = event.get("event").and_then(Value::as_str).ok_or(NotAnEvent)?;
    let kind = Kind::of(name);
    metrics::counter!("transcribe_events_total", "via" => via.as_str(), "kind" => kind.label()).increment(1);
    let stamp = Stamp { via, event_at: event_time(&event), received_at };
    let told = match kind {
        Kind::Challenge => {
            let token = event.get("payload").and_then(|payload| payload.get("plainToken")).and_then(Value::as_str);
            return Ok(Told::Challenge { plain_token: token.ok_or(NotAnEvent)?.to_owned() });
        }
        Kind::Ignored(label) => return Ok(Told::Ignored(label)),
        Kind::Recordings(subject) => {
            recordings(&mut event).into_iter().map(|item| stamp.recording(subject, &item)).collect()
        }
        Kind::Call => vec![stamp.call(&event)],
        Kind::History => vec![Some(stamp.notice("history".to_owned(), Subject::History, String::new()))],
    };
    let unusable = told.iter().filter(|notice| notice.is_none()).count();
    if unusable > 0 {
        let label = kind.label();
        metrics::counter!("transcribe_event_items_unusable_total", "kind" => label).increment(unusable as u64);
        tracing::warn!(kind = label, items = unusable, "items of an event have no usable id");
    }
    Ok(Told::Notices(told.into_iter().flatten().collect()))
}

/// What an event's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Challenge,
    Recordings(Subject),
    Call,
    History,
    Ignored(&'static str),
}

impl Kind {
    fn of(name: &str) -> Self {
        if name == "endpoint.url_validation" {
            return Self::Challenge;
        }
        let Some(name) = name.strip_prefix("phone.") else { return Self::Ignored("not_phone") };
        match name.strip_suffix(COPY).unwrap_or(name) {
            "recording_completed" => Self::Recordings(Subject::Recording),
            "recording_transcript_completed" => Self::Recordings(Subject::Transcript),
            "recording_deleted" | "recording_permanently_deleted" => Self::Recordings(Subject::Deleted),
            "callee_ringing" | "callee_answered" | "callee_ended" | "callee_missed" => Self::Call,
            "callee_call_log_completed"
            | "caller_call_log_completed"
            | "callee_call_history_completed"
            | "caller_call_history_completed"
            | "callee_call_element_completed"
            | "caller_call_element_completed" => Self::History,
            "recording_started" | "recording_stopped" | "recording_failed" | "recording_paused"
            | "recording_resumed" => Self::Ignored("recording_under_way"),
            _ => Self::Ignored("other_phone"),
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::Recordings(subject) => subject.as_str(),
            Self::Call => Subject::Call.as_str(),
            Self::History => Subject::History.as_str(),
            Self::Ignored(label) => label,
        }
    }
}

/// What all notices of one event share.
struct Stamp {
    via: Via,
    event_at: Option<Timestamp>,
    received_at: Timestamp,
}

impl Stamp {
    fn notice(&self, key: String, subject: Subject, body: String) -> Notice {
        let Self { via, event_at, received_at } = *self;
        Notice { key, subject, via, event_at, received_at, body }
    }

    /// Equal for all deliveries about one recording, whoever they are for.
    fn recording(&self, subject: Subject, item: &Value) -> Option<Notice> {
        let id = RecordingId::parse(&word(item.get("id")?)?).ok()?;
        Some(self.notice(format!("{}:{id}", subject.as_str()), subject, item.to_string()))
    }

    /// Equal for deliveries of one event only: a call rings at many extensions, and at one several times. What it says
    /// counts, too, since ids may be missing and a millisecond holds several events.
    fn call(&self, event: &Map<String, Value>) -> Option<Notice> {
        let object = event.get("payload")?.get("object")?.as_object().filter(|object| !object.is_empty())?;
        let call = object.get("call_id").and_then(word).unwrap_or_default();
        let extension = object.get("callee").and_then(|callee| callee.get("extension_id")).and_then(word);
        let name = word(event.get("event")?)?;
        let at = self.event_at.map_or(0, Timestamp::as_millisecond);
        let said = hex::encode(Sha256::digest(serde_json::to_vec(object).ok()?));
        let key = format!("call:{name}:{call}:{}:{at}:{:.16}", extension.unwrap_or_default(), said);
        Some(self.notice(key, Subject::Call, Value::Object(event.clone()).to_string()))
    }
}

/// The items of `payload.object.recordings`; a single one may stand there without a list, or be the object itself.
fn recordings(event: &mut Map<String, Value>) -> Vec<Value> {
    let object = event.get_mut("payload").and_then(|payload| payload.get_mut("object")).map(Value::take);
    let Some(Value::Object(mut object)) = object else { return vec![Value::Null] };
    match object.remove("recordings") {
        Some(Value::Array(items)) => items,
        Some(item) => vec![item],
        None => vec![Value::Object(object)],
    }
}

/// `event_ts`, in milliseconds.
fn event_time(event: &Map<String, Value>) -> Option<Timestamp> {
    let millis = word(event.get("event_ts")?)?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}

/// A short text, or a number as one.
fn word(value: &Value) -> Option<String> {
    let word = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_usable = !word.is_empty() && word.len() <= MAX_WORD_BYTES && !word.contains(char::is_control);
    is_usable.then_some(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ID: &str = "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e";

    fn received_at() -> Timestamp {
        "2026-11-02T01:20:00Z".parse().unwrap()
    }

    fn told(event: &Value) -> Told {
        read(event.to_string().as_bytes(), Via::Webhook, received_at()).unwrap()
    }

    fn notices(event: &Value) -> Vec<Notice> {
        match told(event) {
            Told::Notices(notices) => notices,
            other => panic!("{other:?}"),
        }
    }

    fn keys(event: &Value) -> Vec<String> {
        notices(event).into_iter().map(|notice| notice.key).collect()
    }

    fn event(name: &str, object: Value) -> Value {
        json!({"event": name, "event_ts": 1_770_000_100_456_i64,
               "payload": {"account_id": "ACCT0example", "object": object}})
    }

    #[test]
    fn a_completed_recording_is_one_notice_with_its_own_object_as_body() {
        let item = json!({"id": ID, "caller_name": "山田 太郎", "owner": {"extension_number": 1026}, "new_field": [1]});
        let event = event("phone.recording_completed", json!({"recordings": [item]}));
        let expected = Notice {
            key: format!("recording:{ID}"),
            subject: Subject::Recording,
            via: Via::Webhook,
            event_at: Some("2026-02-02T02:41:40.456Z".parse().unwrap()),
            received_at: received_at(),
            body: item.to_string(),
        };
        assert_eq!(notices(&event), [expected]);
    }

    #[test]
    fn what_says_the_same_has_the_same_key() {
        let forms = [
            event("phone.recording_completed", json!({"recordings": [{"id": ID}]})),
            event(
                "phone.recording_completed_for_access_member",
                json!({"recordings": [{"id": ID, "user_id": "other"}]}),
            ),
            event("phone.recording_completed", json!({"recordings": [{"id": ID.to_uppercase()}]})),
            event("phone.recording_completed", json!({"recordings": [{"id": "0f3a5c7e-9b1d-4f6a-8c0e-2d4b6f8a1c3e"}]})),
            event("phone.recording_completed", json!({"recordings": {"id": ID}})),
            event("phone.recording_completed", json!({"id": ID})),
            json!({"event": "phone.recording_completed", "payload": {"object": {"recordings": [{"id": ID}]}}}),
        ];
        for form in &forms {
            assert_eq!(keys(form), [format!("recording:{ID}")], "{form}");
        }
        for name in ["phone.recording_deleted", "phone.recording_permanently_deleted"] {
            let deleted = event(name, json!({"recordings": [{"id": "0f3a5c7e-9b1d-4f6a-8c0e-2d4b6f8a1c3e"}]}));
            assert_eq!(keys(&deleted), [format!("deleted:{ID}")]);
        }
        let transcript = event("phone.recording_transcript_completed", json!({"recordings": [{"id": ID}]}));
        assert_eq!(keys(&transcript), [format!("transcript:{ID}")]);
    }

    #[test]
    fn items_without_a_usable_id_are_left_out_and_the_others_kept() {
        let items = json!([{"id": ID}, {"id": null}, {}, {"id": ""}, {"id": "a".repeat(129)}, "text", {"id": 7401}]);
        let event = event("phone.recording_completed", json!({"recordings": items}));
        assert_eq!(keys(&event), [format!("recording:{ID}"), "recording:7401".to_owned()]);
    }

    #[test]
    fn an_event_of_no_recording_tells_nothing() {
        for object in [json!({"recordings": []}), json!({}), json!(null), json!([]), json!({"recordings": null})] {
            assert_eq!(keys(&event("phone.recording_completed", object)), Vec::<String>::new());
        }
        assert_eq!(told(&json!({"event": "phone.recording_completed"})), Told::Notices(Vec::new()));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_none() {
        for (time, expected) in [
            (json!("1770000100456"), true),
            (json!(1.5), false),
            (json!("soon"), false),
            (json!(u64::MAX), false),
            (json!(i64::MAX), false),
            (json!(null), false),
        ] {
            let event = json!({"event": "phone.recording_completed", "event_ts": time,
                               "payload": {"object": {"recordings": [{"id": ID}]}}});
            assert_eq!(notices(&event)[0].event_at.is_some(), expected, "{time}");
        }
    }

    #[test]
    fn each_step_of_a_call_at_each_extension_is_a_notice_of_its_own_with_the_whole_event() {
        let ringing = |name: &str, call: Value, extension: Value, at: i64| {
            json!({"event": name, "event_ts": at,
                   "payload": {"object": {"call_id": call, "callee": {"extension_id": extension}}}})
        };
        let first = ringing("phone.callee_ringing", json!("7401234567890123456"), json!("eXt1"), 1);
        let [key] = <[String; 1]>::try_from(keys(&first)).unwrap();
        let (ids, said) = key.rsplit_once(':').unwrap();
        assert_eq!((ids, said.len()), ("call:phone.callee_ringing:7401234567890123456:eXt1:1", 16));
        assert_eq!(keys(&first.clone()), [key], "a delivery that is repeated");
        assert_eq!(notices(&first)[0].subject, Subject::Call);
        assert_eq!(serde_json::from_str::<Value>(&notices(&first)[0].body).unwrap(), first);
        for other in [
            ringing("phone.callee_answered", json!("7401234567890123456"), json!("eXt1"), 1),
            ringing("phone.callee_ringing", json!("7401234567890123456_2"), json!("eXt1"), 1),
            ringing("phone.callee_ringing", json!("7401234567890123456"), json!("eXt2"), 1),
            ringing("phone.callee_ringing", json!("7401234567890123456"), json!("eXt1"), 2),
            ringing("phone.callee_ended", json!("7401234567890123456"), json!(null), 1),
            ringing("phone.callee_missed", json!("7401234567890123456"), json!(null), 1),
        ] {
            assert_eq!(keys(&other).len(), 1);
            assert_ne!(keys(&other), keys(&first), "{other}");
        }
    }

    #[test]
    fn events_of_calls_whose_ids_are_missing_are_told_apart_by_what_they_say() {
        let ringing = |callee: &str| {
            event("phone.callee_ringing", json!({"call_id": "7401", "callee": {"phone_number": callee}}))
        };
        assert_eq!(keys(&ringing("+81355500101")), keys(&ringing("+81355500101")));
        assert_ne!(keys(&ringing("+81355500101")), keys(&ringing("+81355500102")), "in the same millisecond");
        for call_id in [json!(null), json!("")] {
            let nameless = event("phone.callee_ringing", json!({"call_id": call_id, "caller": {"name": "山田 太郎"}}));
            assert_eq!(keys(&nameless).len(), 1, "{nameless}");
        }
        for nothing in [json!({}), json!(null), json!([1])] {
            assert!(keys(&event("phone.callee_ringing", nothing)).is_empty());
        }
    }

    #[test]
    fn all_call_records_that_are_complete_are_one_notice_without_a_body() {
        for name in ["call_log", "call_history", "call_element"] {
            for side in ["callee", "caller"] {
                for object in [json!({"call_logs": [{"id": "x"}]}), json!({"call_elements": []}), json!({})] {
                    let record = notices(&event(&format!("phone.{side}_{name}_completed"), object));
                    let seen: Vec<_> = record.iter().map(|n| (n.key.as_str(), n.subject, n.body.as_str())).collect();
                    assert_eq!(seen, [("history", Subject::History, "")]);
                }
            }
        }
    }

    #[test]
    fn a_challenge_is_told_and_other_events_are_ignored_with_a_word_of_few() {
        let challenge = json!({"event": "endpoint.url_validation", "payload": {"plainToken": "qX9a"}});
        assert_eq!(told(&challenge), Told::Challenge { plain_token: "qX9a".to_owned() });
        for (name, label) in [
            ("phone.recording_started", "recording_under_way"),
            ("phone.voicemail_received", "other_phone"),
            ("phone.call_history_deleted", "other_phone"),
            ("phone.", "other_phone"),
            ("meeting.started", "not_phone"),
            ("", "not_phone"),
        ] {
            assert_eq!(told(&event(name, json!({"id": ID}))), Told::Ignored(label), "{name}");
        }
    }

    #[test]
    fn events_are_counted_by_kind_whatever_their_names_are() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            for number in 0..3 {
                told(&json!({"event": format!("made.up_{number}")}));
            }
            told(&event("phone.recording_completed", json!({"recordings": [{"id": ID}, {"id": null}, {}]})));
        });
        let counted = recorder.handle().render();
        for line in [
            "transcribe_events_total{via=\"webhook\",kind=\"not_phone\"} 3",
            "transcribe_events_total{via=\"webhook\",kind=\"recording\"} 1",
            "transcribe_event_items_unusable_total{kind=\"recording\"} 2",
        ] {
            assert!(counted.lines().any(|counted| counted == line), "{line}: {counted}");
        }
        assert!(!counted.contains("made"), "{counted}");
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        let bodies = ["", "{", "[]", "null", "7", "\"event\"", "{}", r#"{"event":7}"#, r#"{"event":"x"} trailing"#];
        for body in bodies {
            assert_eq!(read(body.as_bytes(), Via::Websocket, received_at()), Err(NotAnEvent), "{body}");
        }
        assert_eq!(read(b"{\"event\":\"\xff\"}", Via::Websocket, received_at()), Err(NotAnEvent));
        let without_token = br#"{"event":"endpoint.url_validation","payload":{}}"#;
        assert_eq!(read(without_token, Via::Websocket, received_at()), Err(NotAnEvent));
    }

    #[test]
    fn nesting_is_bounded() {
        for (opening, closing) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = 500_000;
            let inner = format!("{}1{}", opening.repeat(deep), closing.repeat(deep));
            let body = format!(r#"{{"event":"phone.recording_completed","payload":{inner}}}"#);
            assert_eq!(read(body.as_bytes(), Via::Webhook, received_at()), Err(NotAnEvent));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _outcome = read(&raw, Via::Webhook, received_at());
        }

        #[test]
        fn no_value_of_a_field_makes_it_panic_or_a_key_without_an_id(
            name in "phone\\.(recording_completed|callee_ringing|recording_deleted)",
            id in prop_oneof![".*".prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)],
        ) {
            let event = event(&name, json!({"recordings": [{"id": id}], "call_id": id}));
            for notice in notices(&event) {
                let (_, rest) = notice.key.split_once(':').unwrap();
                prop_assert!(!rest.is_empty() && rest.len() < 512);
            }
        }
    }
}
