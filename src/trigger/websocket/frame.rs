//! What a frame from Zoom says. The envelope is undocumented, so everything about it that is not needed may be missing.

use serde_json::{Map, Value};

/// One frame, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The answer to the connection: events come from now on.
    Opened,
    /// The token does not count, or no longer.
    Refused,
    /// The answer to a heartbeat.
    Heartbeat,
    /// An event as a webhook would bring it: JSON.
    Event(Vec<u8>),
    /// A module that this program does not know.
    UnknownModule,
    /// Nothing that Zoom is known to send.
    Garbage,
}

impl Frame {
    /// Reads a frame; whatever its bytes are, there is an answer.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else { return Self::Garbage };
        let Some(module) = fields.get("module").and_then(Value::as_str) else {
            return if is_event(&fields) { Self::Event(bytes.to_vec()) } else { Self::Garbage };
        };
        if is_refusal(&fields) {
            return Self::Refused;
        }
        match module {
            "build_connection" => Self::Opened,
            "heartbeat" => Self::Heartbeat,
            "message" => message(fields),
            _ => Self::UnknownModule,
        }
    }

    /// A word for the counters.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Heartbeat => "heartbeat",
            Self::Event(_) => "event",
            Self::UnknownModule => "unknown_module",
            Self::Garbage => "garbage",
        }
    }
}

fn is_event(fields: &Map<String, Value>) -> bool {
    fields.get("event").is_some_and(Value::is_string)
}

/// `success` may be missing, and so may the `false` beside "Invalid Token" and "Token is invalid".
fn is_refusal(fields: &Map<String, Value>) -> bool {
    let says_no = match fields.get("success") {
        Some(Value::Bool(success)) => !success,
        Some(Value::String(success)) => success.trim().eq_ignore_ascii_case("false"),
        _ => false,
    };
    let names_token = fields.get("content").and_then(Value::as_str).is_some_and(|content| {
        let content = content.trim().to_ascii_lowercase();
        content == "invalid token" || content == "token is invalid"
    });
    says_no || names_token
}

/// The event is a string of JSON, or, tolerated, JSON itself.
fn message(mut fields: Map<String, Value>) -> Frame {
    let is_event_text = |text: &str| matches!(serde_json::from_str(text), Ok(Value::Object(event)) if is_event(&event));
    match fields.remove("content") {
        Some(Value::String(text)) if is_event_text(&text) => Frame::Event(text.into_bytes()),
        Some(Value::Object(event)) if is_event(&event) => Frame::Event(Value::Object(event).to_string().into_bytes()),
        _ => Frame::Garbage,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(frame: &Value) -> Frame {
        Frame::read(frame.to_string().as_bytes())
    }

    #[test]
    fn a_connection_is_open_unless_success_is_false() {
        assert_eq!(read(&json!({"module": "build_connection", "success": true, "content": "hi"})), Frame::Opened);
        assert_eq!(read(&json!({"module": "build_connection"})), Frame::Opened);
        assert_eq!(read(&json!({"module": "build_connection", "success": null})), Frame::Opened);
        for refused in [
            json!({"module": "build_connection", "success": false, "content": "Token is invalid"}),
            json!({"module": "build_connection", "success": "false"}),
            json!({"module": "build_connection", "content": "Invalid Token"}),
            json!({"module": "heartbeat", "success": false}),
            json!({"module": "message", "success": false, "content": "{}"}),
            json!({"module": "anything", "success": false}),
        ] {
            assert_eq!(read(&refused), Frame::Refused, "{refused}");
        }
    }

    #[test]
    fn an_event_is_text_in_an_envelope_or_json_in_an_envelope_or_bare() {
        let event = json!({"event": "phone.recording_completed", "payload": {"object": {"recordings": []}}});
        let expected = Frame::Event(event.to_string().into_bytes());
        assert_eq!(read(&json!({"module": "message", "content": event.to_string()})), expected);
        assert_eq!(read(&json!({"module": "message", "content": event})), expected);
        assert_eq!(read(&event), expected);
    }

    #[test]
    fn an_event_is_passed_on_byte_by_byte() {
        let text = r#"{ "event":"phone.x",  "payload":{"b":1,"a":1.0000000000000000001} }"#;
        let frame = json!({"module": "message", "content": text});
        assert_eq!(read(&frame), Frame::Event(text.as_bytes().to_vec()));
        assert_eq!(Frame::read(text.as_bytes()), Frame::Event(text.as_bytes().to_vec()));
    }

    #[test]
    fn heartbeats_and_unknown_modules_are_told_apart() {
        assert_eq!(read(&json!({"module": "heartbeat", "success": true})), Frame::Heartbeat);
        assert_eq!(read(&json!({"module": "heartbeat"})), Frame::Heartbeat);
        assert_eq!(read(&json!({"module": "weather", "content": "fine"})), Frame::UnknownModule);
    }

    #[test]
    fn whatever_else_comes_is_garbage() {
        let nested = "[".repeat(100_000);
        let texts = ["", "{", "[]", "null", "17", "\u{0}", "{}", "{\"event\":1}", "{\"module\":5}", nested.as_str()];
        for text in texts {
            assert_eq!(Frame::read(text.as_bytes()), Frame::Garbage, "{:.40}", text);
        }
        assert_eq!(Frame::read(&[0xff, 0xfe, 0x00]), Frame::Garbage);
        for content in [json!(null), json!("no json"), json!("{}"), json!([1]), json!("{\"event\":null}"), json!(4)] {
            assert_eq!(read(&json!({"module": "message", "content": content})), Frame::Garbage, "{content}");
        }
        assert_eq!(read(&json!({"module": "message"})), Frame::Garbage);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_an_event_always_names_itself(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Frame::Event(event) = Frame::read(&bytes) {
                let event: Value = serde_json::from_slice(&event).unwrap();
                prop_assert!(event["event"].is_string());
            }
        }
    }
}
