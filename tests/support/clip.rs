//! A recording that the server offers.

use std::path::PathBuf;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// Where a clip's sound is.
#[derive(Debug, Clone)]
pub(crate) enum Audio {
    Bytes(Bytes),
    File(PathBuf),
}

impl From<Vec<u8>> for Audio {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<PathBuf> for Audio {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

/// Silence as MPEG-2 Layer III: 16 kHz, mono, 128 kbit/s, 36 ms and 576 bytes a frame.
pub(crate) fn silence(frames: usize) -> Vec<u8> {
    let mut frame = vec![0; 576];
    frame[..4].copy_from_slice(&[0xff, 0xf3, 0xc8, 0xc4]);
    frame.repeat(frames)
}

/// One recording: its sound, when it was, and whatever its listing says otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Clip {
    pub(crate) id: String,
    pub(crate) audio: Audio,
    pub(crate) started_at: Timestamp,
    pub(crate) duration_s: i64,
    /// Whose list it is in, besides the account's.
    pub(super) user: Option<String>,
    key: String,
    overrides: Map<String, Value>,
}

impl Clip {
    /// A recording of ten seconds that started an hour ago.
    pub(crate) fn new(id: &str, audio: impl Into<Audio>) -> Self {
        let started_at = Timestamp::now() - SignedDuration::from_hours(1);
        Self {
            id: id.to_owned(),
            audio: audio.into(),
            started_at,
            duration_s: 10,
            user: None,
            key: format!("key-{id}"),
            overrides: Map::new(),
        }
    }

    /// So many frames of silence.
    pub(crate) fn silent(id: &str, frames: usize) -> Self {
        Self::new(id, silence(frames))
    }

    pub(crate) fn started_at(mut self, started_at: Timestamp) -> Self {
        self.started_at = started_at;
        self
    }

    pub(crate) fn duration_s(mut self, duration_s: i64) -> Self {
        self.duration_s = duration_s;
        self
    }

    /// Is in the list of this user too.
    pub(crate) fn of_user(mut self, user: &str) -> Self {
        self.user = Some(user.to_owned());
        self
    }

    /// Lists the field `key` with this value; `null` leaves it out.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.overrides.insert(key.to_owned(), value);
        self
    }

    /// The last segment of the download address: opaque, not the id.
    pub(crate) fn key(&self) -> String {
        self.key.clone()
    }

    /// Has this key instead.
    pub(crate) fn keyed(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }

    /// When a window by end or by start looks for it; `None` where its listing says otherwise.
    pub(super) fn moment(&self, by_end: bool) -> Option<Timestamp> {
        let says_otherwise = ["date_time", "end_time", "duration"].iter().any(|key| self.overrides.contains_key(*key));
        let seconds = if by_end { self.duration_s } else { 0 };
        (!says_otherwise).then(|| self.started_at + SignedDuration::from_secs(seconds))
    }

    /// The item as it stands in the account's listing, or in a user's, which has fewer fields.
    pub(super) fn listed(&self, api_address: &str, of_user: bool) -> Map<String, Value> {
        let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut item = json!({
            "id": self.id,
            "call_id": "7401234567890123456",
            "caller_name": "Example Caller",
            "caller_number": "+81355500123",
            "caller_number_type": 2,
            "callee_name": "Support Queue",
            "callee_number": "1000806",
            "callee_number_type": 1,
            "accepted_by": { "name": "Sato Hanako", "extension_number": "803" },
            "direction": "inbound",
            "duration": self.duration_s,
            "date_time": time(self.started_at),
            "end_time": time(self.started_at + SignedDuration::from_secs(self.duration_s)),
            "disclaimer_status": 0,
            "download_url": format!("{api_address}/v2/phone/recording/download/{}", self.key()),
            "recording_type": "Automatic",
            "owner": { "type": "callQueue", "id": "queue", "name": "Support Queue", "extension_number": 806 },
            "site": { "id": "site", "name": "Tokyo" }
        });
        let Value::Object(item) = &mut item else { unreachable!("an object was written above") };
        if of_user {
            item.retain(|key, _| !matches!(key.as_str(), "owner" | "site" | "recording_type" | "disclaimer_status"));
        }
        for (key, value) in &self.overrides {
            item.insert(key.clone(), value.clone());
        }
        item.retain(|_, value| !value.is_null());
        std::mem::take(item)
    }
}
