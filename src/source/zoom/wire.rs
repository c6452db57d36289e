//! Recordings as Zoom writes them in JSON, read leniently.
//!
//! Only an id and a download address make a recording. Every other field may be missing, `null`, empty, of another
//! type than documented (numbers as strings and the other way round) or unknown; what cannot be read is left out. The
//! same reading serves the metadata files of the folder source.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::domain::{AudioLocation, Owner, Party, Person, Recording, RecordingId, Site, SourceKind};

/// Everything that one recording object says, all of it optional.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RecordingFields {
    pub id: Option<String>,
    pub download_url: Option<String>,
    pub call_id: Option<String>,
    pub call_log_id: Option<String>,
    pub call_history_id: Option<String>,
    pub call_element_id: Option<String>,
    pub direction: Option<String>,
    pub recording_type: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub duration_s: Option<i32>,
    pub caller: Party,
    pub callee: Party,
    pub owner: Owner,
    pub accepted_by: Person,
    pub outgoing_by: Person,
    pub site: Site,
}

/// Why an item of a listing is no recording. Names the field, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableItem {
    #[error("it is not an object")]
    NotAnObject,
    #[error("it has no usable id")]
    Id,
    #[error("it has no download address")]
    DownloadUrl,
}

/// Reads one recording of a listing.
///
/// # Errors
/// [`UnusableItem`] when it has no id or no download address.
pub fn recording_from_json(value: &Value) -> Result<Recording, UnusableItem> {
    let fields = RecordingFields::read(value).ok_or(UnusableItem::NotAnObject)?;
    let raw_id = fields.id.clone().ok_or(UnusableItem::Id)?;
    let id = RecordingId::parse(&raw_id).ok().ok_or(UnusableItem::Id)?;
    let address = fields.download_url.clone().ok_or(UnusableItem::DownloadUrl)?;
    let mut recording = Recording::bare(id, raw_id, SourceKind::Zoom, AudioLocation::Download(address));
    fields.apply(&mut recording);
    Ok(recording)
}

impl RecordingFields {
    /// Reads whatever `value` says about a recording; `None` when it is not a JSON object.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let object = Object(value.as_object()?);
        Some(Self {
            id: object.text(&["id", "recording_id"]),
            download_url: object.text(&["download_url"]),
            call_id: object.text(&["call_id"]),
            call_log_id: object.text(&["call_log_id"]),
            call_history_id: object.text(&["call_history_id", "call_history_uuid"]),
            call_element_id: object.text(&["call_element_id"]),
            direction: object.text(&["direction"]),
            recording_type: object.text(&["recording_type"]),
            started_at: object.time(&["date_time", "start_time"]),
            ended_at: object.time(&["end_time", "end_date_time"]),
            duration_s: object.seconds(&["duration"]),
            caller: Party { number: object.text(&["caller_number"]), name: object.text(&["caller_name"]) },
            callee: Party { number: object.text(&["callee_number"]), name: object.text(&["callee_name"]) },
            owner: object.inner("owner").map_or_else(Owner::default, |owner| Owner {
                kind: owner.text(&["type"]),
                id: owner.text(&["id"]),
                name: owner.text(&["name"]),
                extension: owner.text(&["extension_number", "extension"]),
            }),
            accepted_by: object.person("accepted_by"),
            outgoing_by: object.person("outgoing_by"),
            site: match object.inner("site") {
                Some(site) => Site { id: site.text(&["id"]), name: site.text(&["name"]) },
                None => Site { id: object.text(&["site_id"]), name: object.text(&["site_name"]) },
            },
        })
    }

    /// Sets every field of `recording` that is known here, except its id and where its sound is.
    pub fn apply(self, recording: &mut Recording) {
        fn set<T>(field: &mut Option<T>, known: Option<T>) {
            if known.is_some() {
                *field = known;
            }
        }
        set(&mut recording.call_id, self.call_id);
        set(&mut recording.call_log_id, self.call_log_id);
        set(&mut recording.call_history_id, self.call_history_id);
        set(&mut recording.call_element_id, self.call_element_id);
        set(&mut recording.direction, self.direction);
        set(&mut recording.recording_type, self.recording_type);
        set(&mut recording.started_at, self.started_at);
        set(&mut recording.ended_at, self.ended_at);
        set(&mut recording.duration_s, self.duration_s);
        for (party, known) in [(&mut recording.caller, self.caller), (&mut recording.callee, self.callee)] {
            set(&mut party.number, known.number);
            set(&mut party.name, known.name);
        }
        set(&mut recording.owner.kind, self.owner.kind);
        set(&mut recording.owner.id, self.owner.id);
        set(&mut recording.owner.name, self.owner.name);
        set(&mut recording.owner.extension, self.owner.extension);
        let people = [(&mut recording.accepted_by, self.accepted_by), (&mut recording.outgoing_by, self.outgoing_by)];
        for (person, known) in people {
            set(&mut person.name, known.name);
            set(&mut person.extension, known.extension);
        }
        set(&mut recording.site.id, self.site.id);
        set(&mut recording.site.name, self.site.name);
    }
}

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<Value>,
    /// `None` after the last page.
    pub next: Option<String>,
}

impl Page {
    /// Reads the envelope; `None` when this is no listing at all (an error body with status 200).
    #[must_use]
    pub fn read(value: Value) -> Option<Self> {
        let Value::Object(mut envelope) = value else { return None };
        let next = Object(&envelope).text(&["next_page_token"]);
        let is_envelope =
            ["next_page_token", "page_size", "total_records"].iter().any(|key| envelope.contains_key(*key));
        let has_records = Object(&envelope).seconds(&["total_records"]).is_some_and(|records| records > 0);
        match envelope.remove("recordings") {
            Some(Value::Array(items)) => Some(Self { items, next }),
            // Of a listing with something in it a page without the array is no page.
            Some(Value::Null) | None if is_envelope && next.is_none() && !has_records => {
                Some(Self { items: Vec::new(), next: None })
            }
            _ => None,
        }
    }
}

/// A JSON object that is read leniently.
pub(super) struct Object<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Object<'a> {
    pub(super) fn inner(&self, key: &str) -> Option<Object<'a>> {
        self.0.get(key)?.as_object().map(Object)
    }

    /// The objects of the array `key`; `None` when there is no such array.
    pub(super) fn objects(&self, key: &str) -> Option<impl Iterator<Item = Object<'a>> + use<'a>> {
        Some(self.0.get(key)?.as_array()?.iter().filter_map(|item| item.as_object().map(Object)))
    }

    /// The first of `keys` that says yes or no.
    pub(super) fn flag(&self, keys: &[&str]) -> Option<bool> {
        keys.iter().find_map(|key| match self.0.get(*key)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => Some(true),
                "false" | "no" | "0" => Some(false),
                _ => None,
            },
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            _ => None,
        })
    }

    fn person(&self, key: &str) -> Person {
        self.inner(key).map_or_else(Person::default, |person| Person {
            name: person.text(&["name"]),
            extension: person.text(&["extension_number", "extension"]),
        })
    }

    /// The first of `keys` that holds a text or a number; empty text counts as missing.
    pub(super) fn text(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| match self.0.get(*key)? {
            Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// A number of seconds, not negative.
    pub(super) fn seconds(&self, keys: &[&str]) -> Option<i32> {
        let seconds = self.text(keys)?.parse::<f64>().ok()?.round();
        let whole = SignedDuration::try_from_secs_f64(seconds).ok()?.as_secs();
        i32::try_from(whole).ok().filter(|seconds| *seconds >= 0)
    }

    pub(super) fn time(&self, keys: &[&str]) -> Option<Timestamp> {
        parse_time(&self.text(keys)?)
    }
}

/// Reads an RFC 3339 time, one without a zone (taken as UTC), a bare date (its beginning), or Unix seconds or
/// milliseconds; `None` outside the years 1990–2199.
fn parse_time(text: &str) -> Option<Timestamp> {
    let utc = |civil: DateTime| civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let unix = |number: i64| match number.unsigned_abs() {
        0..100_000_000_000 => Timestamp::from_second(number).ok(),
        _ => Timestamp::from_millisecond(number).ok(),
    };
    let time = match text.parse::<i64>() {
        Ok(number) => unix(number),
        Err(_) => text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
            .or_else(|| text.parse::<Date>().ok().and_then(|date| utc(date.at(0, 0, 0, 0)))),
    };
    time.filter(|time| (1990..2200).contains(&time.to_zoned(TimeZone::UTC).year()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn a_full_item_of_the_account_listing_is_read() {
        let recording = recording_from_json(&json!({
            "id": "0F3A5C7E-9b1d-4f6a-8c0e-2d4b6f8a1c3e", "call_id": "7401234567890123456_2",
            "call_log_id": "0f3a5c7e-9b1d-4f6a-8c0e-2d4b6f8a1c3e",
            "call_element_id": "20261102-1b2c3d4e-5f60-4718-92a3-b4c5d6e7f809",
            "caller_name": "Example Caller", "caller_number": "+81355500123", "caller_number_type": 2,
            "callee_name": "", "callee_number": 1_000_806, "callee_number_type": "1",
            "accepted_by": {"name": "Sato Hanako", "extension_number": "803"},
            "direction": "inbound", "duration": 94, "date_time": "2026-11-02T01:15:04Z",
            "end_time": "2026-11-02T01:16:38Z", "download_url": "https://zoom.us/v2/phone/recording/download/Ab3",
            "recording_type": "Automatic", "never_heard_of": [{}],
            "owner": {"type": "callQueue", "id": "q", "name": "Support", "extension_number": 806},
            "site": {"id": "s", "name": "Tokyo"}
        }))
        .unwrap();
        assert_eq!(recording.id.as_str(), "0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e");
        assert_eq!(recording.raw_id, "0F3A5C7E-9b1d-4f6a-8c0e-2d4b6f8a1c3e");
        assert_eq!(recording.call_id, text("7401234567890123456_2"));
        assert_eq!(recording.callee, Party { number: text("1000806"), name: None });
        assert_eq!(recording.owner.extension, text("806"));
        assert_eq!(recording.accepted_by.extension, text("803"));
        assert_eq!(recording.started_at, at("2026-11-02T01:15:04Z"));
        assert_eq!(recording.ended_at, at("2026-11-02T01:16:38Z"));
        assert_eq!(recording.duration_s, Some(94));
        assert_eq!(recording.site.name, text("Tokyo"));
    }

    #[test]
    fn an_id_and_a_download_address_are_enough_and_necessary() {
        let bare = recording_from_json(&json!({"id": 12, "download_url": "https://zoom.us/x"})).unwrap();
        assert_eq!(bare.raw_id, "12");
        assert_eq!(bare.duration_s, None);
        assert_eq!(recording_from_json(&json!({"id": "a"})), Err(UnusableItem::DownloadUrl));
        assert_eq!(recording_from_json(&json!({"id": "a", "download_url": null})), Err(UnusableItem::DownloadUrl));
        assert_eq!(recording_from_json(&json!({"download_url": "https://zoom.us/x"})), Err(UnusableItem::Id));
        assert_eq!(recording_from_json(&json!({"id": "--", "download_url": "x"})), Err(UnusableItem::Id));
        assert_eq!(recording_from_json(&json!("text")), Err(UnusableItem::NotAnObject));
    }

    #[test]
    fn numbers_may_be_strings_and_times_come_in_several_forms() {
        let fields = RecordingFields::read(&json!({
            "duration": "94", "date_time": "2026-11-02T01:15:04", "end_date_time": "2026-11-02"
        }))
        .unwrap();
        assert_eq!(fields.duration_s, Some(94));
        assert_eq!(fields.started_at, at("2026-11-02T01:15:04Z"));
        assert_eq!(fields.ended_at, at("2026-11-02T00:00:00Z"));
        assert_eq!(parse_time("1793582104"), at("2026-11-02T01:15:04Z"));
        assert_eq!(parse_time("1793582104000"), at("2026-11-02T01:15:04Z"));
        assert_eq!(parse_time("2026-11-02T10:15:04+09:00"), at("2026-11-02T01:15:04Z"));
        for senseless in ["soon", "1793582104000000", "9999-01-01T00:00:00Z", "-9223372036854775808", ""] {
            assert_eq!(parse_time(senseless), None, "{senseless}");
        }
    }

    #[test]
    fn senseless_durations_are_left_out() {
        for duration in [json!(-1), json!("x"), json!(1e300), json!("NaN"), json!([1]), json!(3_000_000_000_u64)] {
            assert_eq!(RecordingFields::read(&json!({"duration": duration})).unwrap().duration_s, None);
        }
        assert_eq!(RecordingFields::read(&json!({"duration": 93.6})).unwrap().duration_s, Some(94));
    }

    #[test]
    fn what_is_not_known_does_not_erase_what_is() {
        let mut recording = recording_from_json(&json!({"id": "a", "download_url": "x", "call_id": "1"})).unwrap();
        RecordingFields::read(&json!({"direction": "inbound"})).unwrap().apply(&mut recording);
        assert_eq!((recording.call_id, recording.direction), (text("1"), text("inbound")));
    }

    #[test]
    fn an_error_body_is_not_an_empty_page() {
        let items = |value| Page::read(value).map(|page| (page.items.len(), page.next));
        assert_eq!(items(json!({"recordings": [{}], "next_page_token": ""})), Some((1, None)));
        assert_eq!(items(json!({"recordings": [], "next_page_token": "t"})), Some((0, text("t"))));
        assert_eq!(items(json!({"total_records": 0})), Some((0, None)));
        assert_eq!(items(json!({"total_records": "12", "recordings": null})), None);
        assert_eq!(items(json!({"next_page_token": "t", "page_size": 300})), None);
        assert_eq!(items(json!({"code": 124, "message": "x"})), None);
        assert_eq!(items(json!({"recordings": "none"})), None);
        assert_eq!(items(json!([])), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_a_time_or_left_out(text in "\\PC{0,40}") {
            if let Some(time) = parse_time(&text) {
                prop_assert!(time.as_second() > 0);
            }
        }
    }
}
