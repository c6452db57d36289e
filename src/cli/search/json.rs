//! The hits as one object.

use serde_json::{Value, json};

use super::Answer;
use crate::cli::lines::json_line;
use crate::lake::search::{Hit, Line};

pub(super) fn text(answer: &Answer) -> String {
    let found = &answer.found;
    let days: Vec<String> = found.days.iter().map(ToString::to_string).collect();
    let hits: Vec<Value> = found.hits.iter().map(hit).collect();
    json_line(&json!({"hits": hits, "has_more": found.has_more, "days": days})) + "\n"
}

fn hit(hit: &Hit) -> Value {
    let lines = |lines: &[Line]| lines.iter().map(line).collect::<Vec<_>>();
    let mut object = line(&hit.line);
    let of_call = json!({
        "recording_id": hit.recording_id,
        "call_id": hit.call_id,
        "dt": hit.dt,
        "started_at": hit.started_at.to_string(),
        "caller_name": hit.caller.name,
        "caller_number": hit.caller.number,
        "callee_name": hit.callee.name,
        "callee_number": hit.callee.number,
        "context": {"before": lines(&hit.before), "after": lines(&hit.after)},
    });
    if let (Value::Object(object), Value::Object(of_call)) = (&mut object, of_call) {
        object.extend(of_call);
    }
    object
}

fn line(line: &Line) -> Value {
    json!({"start_ms": line.start_ms, "end_ms": line.end_ms, "channel": line.channel, "speaker": line.speaker,
           "text": line.text})
}
