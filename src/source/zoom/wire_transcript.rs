//! Zoom's own transcript as it writes it in JSON, read leniently: a timeline of lines with times, speakers and the
//! mark of a channel.

use serde_json::Value;

use super::wire::Object;
use crate::domain::{Channel, SpokenLine};

/// Reads the lines of a transcript in the order of their starts; `None` when this is no transcript.
#[must_use]
pub fn lines_from_json(value: &Value) -> Option<Vec<SpokenLine>> {
    let envelope = Object(value.as_object()?);
    let Some(timeline) = envelope.objects("timeline") else {
        let is_empty_transcript = envelope.text(&["type"]).as_deref() == Some("zoom_transcript");
        return is_empty_transcript.then(Vec::new);
    };
    let mut lines: Vec<SpokenLine> = Vec::new();
    for item in timeline {
        let Some(text) = item.text(&["text", "raw_text"]) else { continue };
        // A line without a time follows the one before it.
        let before = lines.last().map_or(0, |line| line.end_ms);
        let start = item.text(&["ts", "start_ts"]).and_then(|time| millis(&time)).unwrap_or(before);
        let end = item.text(&["end_ts"]).and_then(|time| millis(&time)).unwrap_or(start);
        let (start_ms, end_ms) = (start.min(end), start.max(end));
        lines.push(SpokenLine { channel: channel(&item), speaker: speaker(&item), start_ms, end_ms, text });
    }
    lines.sort_by_key(|line| line.start_ms);
    Some(lines)
}

fn channel(item: &Object<'_>) -> Option<Channel> {
    match item.text(&["channelMark", "channel_mark"])?.to_ascii_uppercase().as_str() {
        "L" => Some(Channel::Left),
        "R" => Some(Channel::Right),
        _ => None,
    }
}

/// The best name for who speaks: a name, else an extension, else a number.
fn speaker(item: &Object<'_>) -> Option<String> {
    const NOBODY: &str = "Unknown Speaker";
    let users = item.0.get("users").and_then(Value::as_array).into_iter().flatten();
    let of_users = users.filter_map(|user| match user {
        Value::Object(user) => Object(user).text(&["username", "user_id", "zoom_userid", "email_address"]),
        Value::String(name) => Some(name.trim().to_owned()),
        _ => None,
    });
    let ids = item.0.get("userIds").and_then(Value::as_array).into_iter().flatten();
    let of_ids = ids.filter_map(|id| id.as_str().map(str::to_owned));
    let single = ["username", "userId", "user_id", "email_address"].into_iter().filter_map(|key| item.text(&[key]));
    of_users.chain(single).chain(of_ids).find(|name| !name.is_empty() && name != NOBODY)
}

/// `HH:MM:SS.mmm`, `MM:SS` or seconds, in milliseconds.
fn millis(text: &str) -> Option<i64> {
    let mut seconds = 0.0;
    for part in text.split(':') {
        let part: f64 = part.trim().replace(',', ".").parse().ok()?;
        if !(0.0..1e6).contains(&part) {
            return None;
        }
        seconds = seconds * 60.0 + part;
    }
    let whole = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    i64::try_from((whole + jiff::SignedDuration::from_micros(500)).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lines(timeline: &Value) -> Vec<SpokenLine> {
        lines_from_json(&json!({"type": "zoom_transcript", "ver": 1, "timeline": timeline})).unwrap()
    }

    #[test]
    fn times_channels_and_texts_are_read() {
        let read = lines(&json!([
            {"ts": "00:00:03.170", "end_ts": "00:00:04.920", "text": "Another one.", "channelMark": "R"},
            {"ts": "00:00:00.780", "end_ts": "00:00:02.580", "text": "Example.", "raw_text": "example",
             "userId": "803", "channelMark": "L", "word_items": [{"text": "Example"}], "avatar_url": "x"}
        ]));
        assert_eq!((read[0].start_ms, read[0].end_ms, read[0].text.as_str()), (780, 2_580, "Example."));
        assert_eq!((read[0].channel, read[1].channel), (Some(Channel::Left), Some(Channel::Right)));
        assert_eq!((read[1].start_ms, read[1].end_ms), (3_170, 4_920));
    }

    #[test]
    fn the_speaker_stands_in_one_of_many_places() {
        let speaker = |mut line: Value| {
            line["text"] = json!("x");
            lines(&json!([line])).remove(0).speaker
        };
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(speaker(json!({"userId": "803", "users": [], "userIds": []})), named("803"));
        assert_eq!(
            speaker(json!({"users": [{"username": "815550123", "zoom_userid": "Unknown Speaker"}]})),
            named("815550123")
        );
        assert_eq!(speaker(json!({"users": ["Sato"]})), named("Sato"));
        assert_eq!(speaker(json!({"username": "Sato", "userId": "803"})), named("Sato"));
        assert_eq!(speaker(json!({"email_address": "a@example.com"})), named("a@example.com"));
        assert_eq!(speaker(json!({"userIds": ["804"]})), named("804"));
        assert_eq!(speaker(json!({"username": "Unknown Speaker", "channelMark": "X"})), None);
    }

    #[test]
    fn an_end_before_its_start_and_a_missing_time_are_mended() {
        let read = lines(&json!([
            {"ts": "00:00:05.000", "end_ts": "00:00:02.000", "text": "turned"},
            {"text": "later"},
            {"ts": "soon", "end_ts": 9, "raw_text": "raw"},
            {"ts": "00:00:01.000"}
        ]));
        let spans: Vec<_> = read.iter().map(|line| (line.start_ms, line.end_ms, line.text.as_str())).collect();
        assert_eq!(spans, [(2_000, 5_000, "turned"), (5_000, 5_000, "later"), (5_000, 9_000, "raw")]);
    }

    #[test]
    fn an_empty_transcript_is_one_and_an_error_is_none() {
        assert_eq!(lines(&json!([])), []);
        assert_eq!(lines_from_json(&json!({"type": "zoom_transcript"})), Some(vec![]));
        assert_eq!(lines_from_json(&json!({"code": 12000, "message": "x"})), None);
        assert_eq!(lines_from_json(&json!("WEBVTT")), None);
    }

    proptest! {
        #[test]
        fn any_time_is_read_or_left_out(text in "[0-9:.,eE+-]{0,20}") {
            if let Some(millis) = millis(&text) {
                prop_assert!(millis >= 0);
            }
        }
    }
}
