//! Calls as the phone system remembers them, leg by leg.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::recording::{RecordingId, Site, day_prefix};
use super::work::RunId;

/// Which of Zoom's three generations of call history told of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generation {
    CallLog,
    CallHistory,
    CallElement,
}

impl Generation {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallLog => "call_log",
            Self::CallHistory => "call_history",
            Self::CallElement => "call_element",
        }
    }
}

/// One end of a leg.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallParty {
    pub number: Option<String>,
    pub name: Option<String>,
    pub extension: Option<String>,
    /// `1`, `2`, `external_pstn` …: kept verbatim.
    pub number_type: Option<String>,
    /// The id of the user, queue or device in Zoom.
    pub user_id: Option<String>,
}

impl CallParty {
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// One leg of a call, or a whole call of which no legs are known. Only `leg_id` and `generation` are always known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLeg {
    /// The best of its ids: the element's; for a whole call that of its record, else its `call_id`.
    pub leg_id: String,
    pub call_element_id: Option<String>,
    pub call_history_id: Option<String>,
    pub call_log_id: Option<String>,
    pub call_path_id: Option<String>,
    /// Opaque: after a direct transfer it ends in `_1`, `_2` …
    pub call_id: Option<String>,
    /// Position among the legs of its call, from 0.
    pub leg_index: Option<i32>,
    pub generation: Generation,
    pub direction: Option<String>,
    pub call_type: Option<String>,
    pub connect_type: Option<String>,
    pub event: Option<String>,
    pub result: Option<String>,
    pub started_at: Option<Timestamp>,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub duration_s: Option<i32>,
    pub wait_s: Option<i32>,
    pub hold_s: Option<i32>,
    pub talk_s: Option<i32>,
    pub caller: CallParty,
    pub callee: CallParty,
    pub operator_name: Option<String>,
    pub department: Option<String>,
    pub cost_center: Option<String>,
    pub site: Site,
    pub has_recording: Option<bool>,
    pub recording_type: Option<String>,
    /// The recordings that the leg itself names.
    pub named_recordings: Vec<RecordingId>,
}

impl CallLeg {
    /// A leg of which nothing is known yet but its id.
    #[must_use]
    pub fn bare(leg_id: String, generation: Generation) -> Self {
        Self {
            leg_id,
            call_element_id: None,
            call_history_id: None,
            call_log_id: None,
            call_path_id: None,
            call_id: None,
            leg_index: None,
            generation,
            direction: None,
            call_type: None,
            connect_type: None,
            event: None,
            result: None,
            started_at: None,
            answered_at: None,
            ended_at: None,
            duration_s: None,
            wait_s: None,
            hold_s: None,
            talk_s: None,
            caller: CallParty::default(),
            callee: CallParty::default(),
            operator_name: None,
            department: None,
            cost_center: None,
            site: Site::default(),
            has_recording: None,
            recording_type: None,
            named_recordings: Vec::new(),
        }
    }

    /// When the leg began: as told; else 00:00 UTC of the day that prefixes one of its ids (`YYYYMMDD-…`); else
    /// `first_seen`.
    #[must_use]
    pub fn start(&self, first_seen: Timestamp) -> Timestamp {
        let ids = [&self.call_history_id, &self.call_element_id, &self.call_path_id];
        let from_prefix = || ids.into_iter().flatten().find_map(|id| day_prefix(id));
        self.started_at.or_else(from_prefix).unwrap_or(first_seen)
    }

    /// Takes over everything that is not known here and is known of the same leg there.
    pub fn fill_from(&mut self, other: &Self) {
        self.fill_ids_and_place_from(other);
        fill(&mut self.call_element_id, &other.call_element_id);
        fill(&mut self.leg_index, &other.leg_index);
        fill(&mut self.call_type, &other.call_type);
        fill(&mut self.connect_type, &other.connect_type);
        fill(&mut self.event, &other.event);
        fill(&mut self.result, &other.result);
        fill(&mut self.started_at, &other.started_at);
        fill(&mut self.answered_at, &other.answered_at);
        fill(&mut self.ended_at, &other.ended_at);
        fill(&mut self.duration_s, &other.duration_s);
        fill(&mut self.wait_s, &other.wait_s);
        fill(&mut self.hold_s, &other.hold_s);
        fill(&mut self.talk_s, &other.talk_s);
        for (party, known) in [(&mut self.caller, &other.caller), (&mut self.callee, &other.callee)] {
            fill(&mut party.number, &known.number);
            fill(&mut party.name, &known.name);
            fill(&mut party.extension, &known.extension);
            fill(&mut party.number_type, &known.number_type);
            fill(&mut party.user_id, &known.user_id);
        }
        fill(&mut self.operator_name, &other.operator_name);
        fill(&mut self.has_recording, &other.has_recording);
        fill(&mut self.recording_type, &other.recording_type);
        for id in &other.named_recordings {
            if !self.named_recordings.contains(id) {
                self.named_recordings.push(id.clone());
            }
        }
    }

    /// Takes over what holds for every leg of the call that `call` is.
    pub fn inherit(&mut self, call: &Self) {
        self.fill_ids_and_place_from(call);
        fill(&mut self.call_type, &call.call_type);
        fill(&mut self.started_at, &call.started_at);
        if self.caller.is_unknown() && self.callee.is_unknown() {
            self.caller = call.caller.clone();
            self.callee = call.callee.clone();
        }
    }

    fn fill_ids_and_place_from(&mut self, other: &Self) {
        fill(&mut self.call_history_id, &other.call_history_id);
        fill(&mut self.call_log_id, &other.call_log_id);
        fill(&mut self.call_path_id, &other.call_path_id);
        fill(&mut self.call_id, &other.call_id);
        fill(&mut self.direction, &other.direction);
        fill(&mut self.department, &other.department);
        fill(&mut self.cost_center, &other.cost_center);
        fill(&mut self.site.id, &other.site.id);
        fill(&mut self.site.name, &other.site.name);
    }

    /// The seconds from answer to end, where nobody counted them.
    pub fn derive_talk(&mut self) {
        if let (None, Some(answered), Some(ended)) = (self.talk_s, self.answered_at, self.ended_at) {
            let talked = ended.duration_since(answered).max(SignedDuration::ZERO);
            self.talk_s = i32::try_from(talked.as_secs()).ok();
        }
    }
}

fn fill<T: Clone>(field: &mut Option<T>, known: &Option<T>) {
    if field.is_none() {
        field.clone_from(known);
    }
}

/// One call as a list tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// Names the call in the ledger.
    pub record_id: String,
    /// What its legs can be asked for by, where it has such an id.
    pub history_id: Option<String>,
    /// The call as one leg: all there is of it until its legs are known.
    pub whole: CallLeg,
}

impl CallRecord {
    /// Whether the call ended so lately that what is known of it may still be on its way.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);
        let ended = self.whole.ended_at.or(self.whole.started_at);
        ended.is_none_or(|ended| now.duration_since(ended) < SETTLED_AFTER)
    }
}

/// How a leg found its recordings, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinKey {
    CallElementId,
    /// The leg names the recording.
    RecordingId,
    CallHistoryId,
    CallId,
}

impl JoinKey {
    pub const BEST_FIRST: [Self; 4] = [Self::CallElementId, Self::RecordingId, Self::CallHistoryId, Self::CallId];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallElementId => "call_element_id",
            Self::RecordingId => "recording_id",
            Self::CallHistoryId => "call_history_id",
            Self::CallId => "call_id",
        }
    }
}

/// A leg with its recordings: what a row of `call_history` says, whoever wrote it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedLeg {
    pub leg: CallLeg,
    /// Sorted, separated by commas; `None` without any.
    pub recording_ids: Option<String>,
    pub joined_by: Option<JoinKey>,
}

/// A row of `call_history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallHistoryRow {
    pub joined: JoinedLeg,
    /// SHA-256 of `joined`, lower-case hex.
    pub row_hash: String,
    pub fetched_at: Timestamp,
    pub run_id: RunId,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_leg_without_a_time_began_on_the_day_of_its_id_or_when_it_was_first_seen() {
        let first_seen = at("2026-11-10T00:00:00Z");
        let mut leg = CallLeg::bare("x".into(), Generation::CallLog);
        assert_eq!(leg.start(first_seen), first_seen);
        leg.call_history_id = Some("20261102-0f3a5c7e-9b1d-4f6a-8c0e-2d4b6f8a1c3e".into());
        assert_eq!(leg.start(first_seen), at("2026-11-02T00:00:00Z"));
        leg.started_at = Some(at("2026-11-02T01:15:04Z"));
        assert_eq!(leg.start(first_seen), at("2026-11-02T01:15:04Z"));
    }

    #[test]
    fn talk_is_counted_from_answer_to_end_unless_it_is_told() {
        let mut leg = CallLeg::bare("x".into(), Generation::CallElement);
        leg.derive_talk();
        assert_eq!(leg.talk_s, None);
        leg.answered_at = Some(at("2026-11-02T01:15:10Z"));
        leg.ended_at = Some(at("2026-11-02T01:16:38Z"));
        leg.derive_talk();
        assert_eq!(leg.talk_s, Some(88));
        leg.talk_s = Some(80);
        leg.derive_talk();
        assert_eq!(leg.talk_s, Some(80));
        leg.talk_s = None;
        leg.ended_at = Some(at("2026-11-02T01:00:00Z"));
        leg.derive_talk();
        assert_eq!(leg.talk_s, Some(0));
    }

    #[test]
    fn what_is_known_of_a_leg_is_not_overwritten_by_its_call() {
        let mut call = CallLeg::bare("c".into(), Generation::CallHistory);
        call.direction = Some("inbound".into());
        call.result = Some("answered".into());
        call.caller.name = Some("Caller".into());
        let mut leg = CallLeg::bare("l".into(), Generation::CallElement);
        leg.callee.extension = Some("803".into());
        leg.inherit(&call);
        assert_eq!((leg.direction.as_deref(), leg.result.as_deref()), (Some("inbound"), None));
        assert_eq!(leg.caller.name, None, "a leg that knows its parties keeps them");
        leg.fill_from(&call);
        assert_eq!((leg.result.as_deref(), leg.caller.name.as_deref()), (Some("answered"), Some("Caller")));
    }
}
