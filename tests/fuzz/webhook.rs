//! A delivery of any bytes is refused, and would tell nothing that harms if it were signed: a line with a timestamp, one
//! with a signature, and a body, which is read as an event of a webhook and as a frame of a WebSocket.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use transcribe::queue::Via;
use transcribe::source::zoom::wire_call_event::call_event_from_json;
use transcribe::trigger::event::{self, Told};
use transcribe::trigger::signature::{Claim, Verifier};
use transcribe::trigger::websocket::frame::Frame;

pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (timestamp, signature, body) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let verifier = Verifier::new(SecretString::from("nobody knows it"), Duration::from_secs(300));
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-zm-request-timestamp", timestamp), ("x-zm-signature", signature)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    if let Ok(claim) = Claim::read(&headers) {
        let _in_time = verifier.check_time(&claim, Timestamp::UNIX_EPOCH);
        assert!(verifier.check_body(&claim, body).is_err(), "somebody signed without the secret");
    }
    tell(body, Via::Webhook, &verifier);
    if let Frame::Event(inner) = Frame::read(body) {
        tell(&inner, Via::Websocket, &verifier);
    }
}

fn tell(event: &[u8], via: Via, verifier: &Verifier) {
    match event::read(event, via, Timestamp::UNIX_EPOCH) {
        Ok(Told::Challenge { plain_token }) => assert_eq!(verifier.encrypted_token(&plain_token).len(), 64),
        Ok(Told::Notices(notices)) => {
            for notice in notices {
                assert!(notice.body.len() <= event.len() * 6 + 256, "it grew from {} bytes", event.len());
                let Ok(body) = serde_json::from_str::<Value>(&notice.body) else {
                    assert!(notice.body.is_empty());
                    continue;
                };
                let _call = call_event_from_json(&body, None, via, Timestamp::UNIX_EPOCH);
            }
        }
        Ok(Told::Ignored(_)) | Err(_) => {}
    }
}
