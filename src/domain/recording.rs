//! A recording as its source describes it, before any of its sound was read.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The stable identity of a recording: Zoom's id without dashes in lower case, or `file-` and 32 hex digits of a
/// file's SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(String);

/// An id that cannot name a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecordingId {
    #[error("the recording id is empty")]
    Empty,
    #[error("the recording id is {0} bytes long (at most {MAX_ID_BYTES})")]
    TooLong(usize),
    #[error("the recording id holds a control character")]
    ControlCharacter,
}

const MAX_ID_BYTES: usize = 128;

impl RecordingId {
    /// Normalises an id as Zoom writes it: dashed, undashed and upper-case forms are the same recording.
    /// An id that already starts with `file-` (a folder recording) is kept as it is.
    ///
    /// # Errors
    /// When nothing is left, when it is longer than 128 bytes, or when it holds a control character.
    pub fn parse(raw: &str) -> Result<Self, InvalidRecordingId> {
        let raw = raw.trim();
        let normalised = match raw.strip_prefix("file-") {
            Some(digest) => format!("file-{}", digest.to_lowercase()),
            None => raw.replace('-', "").to_lowercase(),
        };
        if normalised.is_empty() {
            return Err(InvalidRecordingId::Empty);
        }
        if normalised.len() > MAX_ID_BYTES {
            return Err(InvalidRecordingId::TooLong(normalised.len()));
        }
        if normalised.chars().any(char::is_control) {
            return Err(InvalidRecordingId::ControlCharacter);
        }
        Ok(Self(normalised))
    }

    /// The id of a file that has no id of its own: equal content is one recording.
    /// `sha256_hex` is the file's SHA-256 as 64 hex digits.
    #[must_use]
    pub fn of_content(sha256_hex: &str) -> Self {
        Self(format!("file-{}", sha256_hex.get(..32).unwrap_or(sha256_hex)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as one safe file-name piece: every byte but `a-z 0-9 -` becomes `_` and two hex digits.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let mut stem = String::with_capacity(self.0.len());
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => stem.push(char::from(byte)),
                other => stem.push_str(&format!("_{other:02x}")),
            }
        }
        stem
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    Zoom,
    Folder,
}

impl SourceKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zoom => "zoom",
            Self::Folder => "folder",
        }
    }
}

/// One end of the call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    pub number: Option<String>,
    pub name: Option<String>,
}

/// The person who picked up (`accepted_by`) or placed (`outgoing_by`) a call that a queue owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: Option<String>,
    pub extension: Option<String>,
}

/// Whose recording it is in Zoom: a user, a call queue or a common area.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `user`, `callQueue`, `commonArea` or whatever Zoom says next: kept verbatim.
    pub kind: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub extension: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    pub id: Option<String>,
    pub name: Option<String>,
}

/// Where the sound is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioLocation {
    /// An address that may carry a credential in its query: never printed.
    Download(String),
    /// A file of the folder source; it belongs to the user and is never changed or deleted.
    File(PathBuf),
}

impl fmt::Debug for AudioLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(_) => f.write_str("Download(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A recording as listed. Only `id`, `raw_id`, `source` and `audio` are always known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    pub id: RecordingId,
    /// The id as the source wrote it; for a folder file its path relative to the folder.
    pub raw_id: String,
    pub source: SourceKind,
    pub audio: AudioLocation,
    pub call_id: Option<String>,
    pub call_log_id: Option<String>,
    pub call_history_id: Option<String>,
    pub call_element_id: Option<String>,
    pub direction: Option<String>,
    pub recording_type: Option<String>,
    /// `date_time` as listed; see [`Recording::start`].
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

impl Recording {
    /// A recording of which nothing is known yet but where it is.
    #[must_use]
    pub fn bare(id: RecordingId, raw_id: String, source: SourceKind, audio: AudioLocation) -> Self {
        Self {
            id,
            raw_id,
            source,
            audio,
            call_id: None,
            call_log_id: None,
            call_history_id: None,
            call_element_id: None,
            direction: None,
            recording_type: None,
            started_at: None,
            ended_at: None,
            duration_s: None,
            caller: Party::default(),
            callee: Party::default(),
            owner: Owner::default(),
            accepted_by: Person::default(),
            outgoing_by: Person::default(),
            site: Site::default(),
        }
    }

    /// When the recording started: as listed; else its end less its duration; else 00:00 UTC of the day that prefixes
    /// a history or element id (`YYYYMMDD-…`); else `first_seen`.
    #[must_use]
    pub fn start(&self, first_seen: Timestamp) -> Timestamp {
        let before_end = || {
            let seconds = i64::from(self.duration_s?);
            self.ended_at?.checked_sub(jiff::SignedDuration::from_secs(seconds)).ok()
        };
        let from_prefix = || {
            let ids = [&self.call_history_id, &self.call_element_id];
            ids.into_iter().flatten().find_map(|id| day_prefix(id))
        };
        self.started_at.or_else(before_end).or_else(from_prefix).unwrap_or(first_seen)
    }

    /// Names of people and places that may be spoken in it; each once.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let known = [
            &self.site.name,
            &self.caller.name,
            &self.callee.name,
            &self.owner.name,
            &self.outgoing_by.name,
            &self.accepted_by.name,
        ];
        let mut names: Vec<String> = Vec::new();
        for name in known.into_iter().flatten() {
            // A number in place of a name is nothing that anybody says.
            if name.chars().any(char::is_alphabetic) && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Who speaks on the owner's side, and who on the other: a name, else a number.
    #[must_use]
    pub fn sides(&self) -> (Option<&str>, Option<&str>) {
        let is_outbound = self.direction.as_deref() == Some("outbound");
        let (own, acted, other) = if is_outbound {
            (&self.caller, &self.outgoing_by, &self.callee)
        } else {
            (&self.callee, &self.accepted_by, &self.caller)
        };
        let owner = acted.name.as_deref().or(self.owner.name.as_deref()).or(own.name.as_deref());
        (owner, other.name.as_deref().or(other.number.as_deref()))
    }

    /// When the recording ended: as listed; else its start and its duration.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        let after_start = || {
            let seconds = i64::from(self.duration_s?);
            self.started_at?.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
        };
        self.ended_at.or_else(after_start)
    }

    /// Whether it began or ended within a second of `moment`.
    #[must_use]
    pub fn is_near(&self, moment: Timestamp) -> bool {
        let near = |at: Timestamp| at.duration_since(moment).abs() <= jiff::SignedDuration::from_secs(1);
        self.started_at.is_some_and(near) || self.ended_at.is_some_and(near)
    }
}

/// Half of the SHA-256 of an id: tells ids apart in little memory, however long they are.
#[must_use]
pub fn short_digest(id: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(id).into();
    *digest.first_chunk().expect("32 bytes hold 16")
}

/// 00:00 UTC of the day in an id such as `20261102-1b2c3d4e-…`.
pub(super) fn day_prefix(id: &str) -> Option<Timestamp> {
    let (digits, _) = id.split_once('-')?;
    if digits.len() != 8 {
        return None;
    }
    let year = digits.get(..4)?.parse::<i16>().ok()?;
    let month = digits.get(4..6)?.parse::<i8>().ok()?;
    let day = digits.get(6..)?.parse::<i8>().ok()?;
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Recording {
        let id = RecordingId::parse("0F3A5C7E-9B1D-4F6A-8C0E-2D4B6F8A1C3E").unwrap();
        Recording::bare(id, "raw".into(), SourceKind::Zoom, AudioLocation::Download("https://zoom.us/x".into()))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn dashed_undashed_and_upper_case_ids_are_one_recording() {
        let plain = RecordingId::parse("0f3a5c7e9b1d4f6a8c0e2d4b6f8a1c3e").unwrap();
        assert_eq!(bare().id, plain);
    }

    #[test]
    fn an_id_from_outside_cannot_leave_its_folder() {
        let id = RecordingId::parse("../../etc/passwd").unwrap();
        assert_eq!(id.file_stem(), "_2e_2e_2f_2e_2e_2fetc_2fpasswd");
        assert_eq!(RecordingId::parse(" - "), Err(InvalidRecordingId::Empty));
        assert_eq!(RecordingId::parse("a\u{0}b"), Err(InvalidRecordingId::ControlCharacter));
    }

    #[test]
    fn the_start_falls_back_from_listing_to_end_to_id_to_first_seen() {
        let first_seen = at("2026-11-07T00:00:00Z");
        let mut recording = bare();
        assert_eq!(recording.start(first_seen), first_seen);
        recording.call_element_id = Some("20261102-1b2c3d4e-5f60-4718-92a3-b4c5d6e7f809".into());
        assert_eq!(recording.start(first_seen), at("2026-11-02T00:00:00Z"));
        recording.ended_at = Some(at("2026-11-02T01:16:38Z"));
        recording.duration_s = Some(94);
        assert_eq!(recording.start(first_seen), at("2026-11-02T01:15:04Z"));
        recording.started_at = Some(at("2026-11-02T01:15:05Z"));
        assert_eq!(recording.start(first_seen), at("2026-11-02T01:15:05Z"));
    }

    #[test]
    fn the_names_of_a_call_and_its_two_sides() {
        let name = |name: &str| Some(name.to_owned());
        let mut call = bare();
        call.direction = name("inbound");
        call.caller = Party { number: name("+81312345678"), name: None };
        call.callee = Party { number: name("100"), name: name("Sales") };
        call.owner.name = name("Sales");
        call.accepted_by.name = name("田中 愛子");
        call.site.name = name("103");
        assert_eq!(call.names(), ["Sales", "田中 愛子"]);
        assert_eq!(call.sides(), (Some("田中 愛子"), Some("+81312345678")));
        call.direction = name("outbound");
        assert_eq!(call.sides(), (Some("Sales"), Some("Sales")));
    }

    #[test]
    fn a_download_address_is_never_printed() {
        assert!(!format!("{:?}", bare()).contains("zoom.us"));
    }
}
