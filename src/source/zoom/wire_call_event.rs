//! Events of calls as Zoom writes them in JSON, read leniently: a call rings, is answered, ends or is missed.

use jiff::Timestamp;
use serde_json::Value;

use super::wire::Object;
use crate::domain::{CallEvent, Station, Via};

/// From this many digits on, what stands in the place of an extension is a number from outside.
const OUTSIDE_DIGITS: usize = 10;

/// Reads a whole event, envelope included; `None` when it is none. `told_at` stands in for an `event_ts` that is
/// missing.
#[must_use]
pub fn call_event_from_json(
    value: &Value,
    told_at: Option<Timestamp>,
    via: Via,
    received_at: Timestamp,
) -> Option<CallEvent> {
    let envelope = Object(value.as_object()?);
    let call = envelope.inner("payload")?;
    let call = call.inner("object")?;
    let station = |key: &str| call.inner(key).map_or_else(Station::default, |station| read_station(&station));
    Some(CallEvent {
        event: envelope.text(&["event"])?,
        event_at: envelope.time(&["event_ts"]).or(told_at),
        call_id: call.text(&["call_id"]),
        caller: station("caller"),
        callee: station("callee"),
        forwarded_by: station("forwarded_by"),
        redirect_forwarded_by: station("redirect_forwarded_by"),
        ringing_at: call.time(&["ringing_start_time"]),
        answered_at: call.time(&["answer_start_time"]),
        ended_at: call.time(&["call_end_time"]),
        // Zoom's own spelling.
        result: call.text(&["handup_result", "hangup_result"]),
        via,
        received_at,
    })
}

fn read_station(station: &Object<'_>) -> Station {
    let (told_number, told_extension) =
        (station.text(&["phone_number", "number"]), station.text(&["extension_number", "extension"]));
    let (number, extension) = match (told_number, told_extension) {
        (None, Some(outside)) if is_from_outside(&outside) => (Some(outside), None),
        (Some(number), Some(extension)) if number == extension => (Some(number), None),
        told => told,
    };
    Station {
        number,
        name: station.text(&["name"]),
        extension,
        extension_id: station.text(&["extension_id"]),
        extension_type: station.text(&["extension_type"]),
        user_id: station.text(&["user_id"]),
        connection_type: station.text(&["connection_type"]),
        timezone: station.text(&["timezone"]),
        device_type: station.text(&["device_type"]),
        device_id: station.text(&["device_id"]),
    }
}

fn is_from_outside(extension: &str) -> bool {
    extension.starts_with('+') || extension.bytes().filter(u8::is_ascii_digit).count() >= OUTSIDE_DIGITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-02T01:15:00Z".parse().unwrap()
    }

    fn read(value: &Value) -> Option<CallEvent> {
        call_event_from_json(value, None, Via::Webhook, now())
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    fn event(name: &str, object: Value) -> Value {
        json!({"event": name, "event_ts": 1_770_000_000_001_i64,
               "payload": {"account_id": "ACCT0example", "object": object}})
    }

    #[test]
    fn everything_that_a_ringing_call_tells_is_read() {
        let event = read(&event(
            "phone.callee_ringing",
            json!({
                "call_id": "7401234567890123456",
                "caller": {"phone_number": "+81355500123", "connection_type": "pstn_off_net"},
                "callee": {"extension_id": "eXtExampleId", "extension_type": "user", "extension_number": 1002,
                           "user_id": "uSeRExampleId", "name": "佐藤 花子", "phone_number": "+81355500102",
                           "timezone": "Asia/Tokyo", "device_type": "MAC_Client(6.0.2.33403)",
                           "device_id": "dEvExampleId", "connection_type": "voip"},
                "forwarded_by": {"name": "サポート窓口", "extension_type": "callQueue", "extension_number": "1022"},
                "redirect_forwarded_by": {"name": "Reception", "extension_type": "autoReceptionist",
                                          "extension_number": "100154", "phone_number": "+81355500100"},
                "ringing_start_time": "2026-11-02T01:14:58Z"
            }),
        ))
        .unwrap();
        let caller =
            Station { number: text("+81355500123"), connection_type: text("pstn_off_net"), ..Station::default() };
        let callee = Station {
            number: text("+81355500102"),
            name: text("佐藤 花子"),
            extension: text("1002"),
            extension_id: text("eXtExampleId"),
            extension_type: text("user"),
            user_id: text("uSeRExampleId"),
            connection_type: text("voip"),
            timezone: text("Asia/Tokyo"),
            device_type: text("MAC_Client(6.0.2.33403)"),
            device_id: text("dEvExampleId"),
        };
        let station = |name: &str, extension_type: &str, extension: &str, number: Option<&str>| Station {
            name: text(name),
            extension_type: text(extension_type),
            extension: text(extension),
            number: number.map(str::to_owned),
            ..Station::default()
        };
        let expected = CallEvent {
            event: "phone.callee_ringing".into(),
            event_at: Some("2026-02-02T02:40:00.001Z".parse().unwrap()),
            call_id: text("7401234567890123456"),
            caller,
            callee,
            forwarded_by: station("サポート窓口", "callQueue", "1022", None),
            redirect_forwarded_by: station("Reception", "autoReceptionist", "100154", Some("+81355500100")),
            ringing_at: Some("2026-11-02T01:14:58Z".parse().unwrap()),
            answered_at: None,
            ended_at: None,
            result: None,
            via: Via::Webhook,
            received_at: now(),
        };
        assert_eq!(event, expected);
    }

    #[test]
    fn what_the_later_events_add_is_read() {
        let ended = read(&event(
            "phone.callee_ended",
            json!({"call_id": 7_401_234_567_890_123_456_u64, "answer_start_time": "2026-11-02T01:15:04Z",
                   "call_end_time": "2026-11-02T01:15:47Z", "handup_result": "Call Cancel",
                   "channel_id": "c", "caller": {"user_id": "u", "timezone": "Asia/Tokyo"}, "callee": null}),
        ))
        .unwrap();
        assert_eq!(ended.call_id, text("7401234567890123456"));
        assert_eq!(ended.answered_at, Some("2026-11-02T01:15:04Z".parse().unwrap()));
        assert_eq!(ended.ended_at, Some("2026-11-02T01:15:47Z".parse().unwrap()));
        assert_eq!(ended.result, text("Call Cancel"));
        assert_eq!((ended.caller.user_id, ended.caller.timezone), (text("u"), text("Asia/Tokyo")));
        assert!(ended.callee.is_unknown());
    }

    #[test]
    fn a_number_from_outside_in_the_place_of_the_extension_is_the_number() {
        let caller = |caller: Value| read(&event("phone.callee_missed", json!({"caller": caller}))).unwrap().caller;
        for outside in [json!(819_012_345_678_u64), json!("819012345678"), json!("0355500123")] {
            let caller = caller(json!({"extension_number": outside}));
            assert!(caller.number.is_some() && caller.extension.is_none(), "{caller:?}");
        }
        let both = caller(json!({"phone_number": "+81355500123", "extension_number": "+81355500123"}));
        assert_eq!((both.number, both.extension), (text("+81355500123"), None));
        let inside = caller(json!({"extension_number": "803"}));
        assert_eq!((inside.number, inside.extension), (None, text("803")));
    }

    #[test]
    fn a_missing_time_is_the_notices_and_what_is_no_event_is_none() {
        let told = call_event_from_json(
            &json!({"event": "phone.callee_ringing", "payload": {"object": {}}}),
            Some(now()),
            Via::Websocket,
            now(),
        );
        assert_eq!(told.map(|event| (event.event_at, event.via)), Some((Some(now()), Via::Websocket)));
        for none in [json!([]), json!({"event": "x"}), json!({"payload": {"object": {}}}), json!({"payload": []})] {
            assert_eq!(read(&none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_object_is_read_or_left_out(texts in prop::collection::vec("\\PC{0,12}", 4)) {
            let odd = json!({"call_id": texts[0], "caller": texts[1], "callee": {"extension_number": texts[2]},
                             "ringing_start_time": texts[3]});
            let read = read(&event("phone.callee_ringing", odd));
            prop_assert!(read.is_some());
        }
    }
}
