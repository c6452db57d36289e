//! Call history as Zoom writes it in JSON, in three generations and the mixtures between them, read leniently.
//!
//! A list holds `call_logs`, `call_history` or both; a call's detail holds `call_path`, `call_elements` or both. What
//! stands in both is one: the newer form leads, the older one fills its gaps.

use jiff::Timestamp;
use serde_json::Value;

use super::wire::Object;
use crate::domain::{CallLeg, CallParty, CallRecord, Generation, RecordingId, Site};

/// One page of a list of calls.
#[derive(Debug)]
pub struct CallPage {
    pub calls: Vec<CallRecord>,
    /// Items without any id.
    pub unusable: u64,
    /// `None` after the last page.
    pub next: Option<String>,
}

/// Reads a page of `/phone/call_history` ([`Generation::CallHistory`]) or of `/phone/call_logs`
/// ([`Generation::CallLog`]); `None` when this is no list at all.
#[must_use]
pub fn page_from_json(value: &Value, list: Generation) -> Option<CallPage> {
    let envelope = Object(value.as_object()?);
    let is_envelope = ["next_page_token", "page_size", "total_records", "page_count"];
    let is_envelope = is_envelope.iter().any(|key| envelope.0.contains_key(*key));
    let arrays = ["call_history", "call_logs"].map(|key| envelope.objects(key));
    if arrays.iter().all(Option::is_none) && !is_envelope {
        return None;
    }
    let (mut calls, mut unusable, mut items): (Vec<CallRecord>, u64, u64) = (Vec::new(), 0, 0);
    for array in arrays.into_iter().flatten() {
        let listed_before = calls.len();
        for item in array {
            items += 1;
            let Some(call) = call_of(&item, list) else {
                unusable += 1;
                continue;
            };
            // The same moment of the same call in the other array is the same call under another id.
            let twin = calls.iter().enumerate().position(|(index, known)| {
                shares_an_id(known, &call) || (index < listed_before && is_same_moment(known, &call))
            });
            match twin.and_then(|index| calls.get_mut(index)) {
                Some(known) => merge(known, &call),
                None => calls.push(call),
            }
        }
    }
    // A token after the last page leads nowhere.
    let is_past_the_end = items == 0 || envelope.text(&["page_count"]).as_deref() == Some("0");
    let next = envelope.text(&["next_page_token"]).filter(|_| !is_past_the_end);
    Some(CallPage { calls, unusable, next })
}

fn call_of(item: &Object<'_>, list: Generation) -> Option<CallRecord> {
    let mut whole = leg_fields(item, list);
    if list == Generation::CallLog {
        whole.call_log_id = item.text(&["call_log_id", "callLogId", "id"]);
    } else {
        whole.call_history_id = whole.call_history_id.or_else(|| item.text(&["id"]));
    }
    let history_id = whole.call_history_id.clone().or_else(|| whole.call_path_id.clone());
    let record_id = [&history_id, &whole.call_log_id, &whole.call_id].into_iter().flatten().next()?.clone();
    whole.leg_id.clone_from(&record_id);
    Some(CallRecord { record_id, history_id, whole })
}

fn shares_an_id(one: &CallRecord, other: &CallRecord) -> bool {
    fn ids(call: &CallRecord) -> [Option<&String>; 3] {
        let whole = &call.whole;
        [&whole.call_history_id, &whole.call_path_id, &whole.call_log_id].map(Option::as_ref)
    }
    let others = ids(other);
    one.record_id == other.record_id || ids(one).iter().any(|id| id.is_some() && others.contains(id))
}

fn is_same_moment(one: &CallRecord, other: &CallRecord) -> bool {
    fn moment(call: &CallRecord) -> Option<(&str, Timestamp)> {
        Some((call.whole.call_id.as_deref()?, call.whole.started_at?))
    }
    moment(one).is_some() && moment(one) == moment(other)
}

fn merge(known: &mut CallRecord, other: &CallRecord) {
    known.whole.fill_from(&other.whole);
    let other_id = &other.whole.call_history_id;
    if known.whole.call_log_id.is_none() && *other_id != known.whole.call_history_id {
        known.whole.call_log_id.clone_from(other_id);
    }
}

/// Reads the legs of `call` from its detail; `None` when this is no detail.
#[must_use]
pub fn legs_from_json(value: &Value, call: &CallRecord) -> Option<Vec<CallLeg>> {
    let envelope = Object(value.as_object()?);
    let [elements, path] = [("call_elements", Generation::CallElement), ("call_path", Generation::CallHistory)]
        .map(|(key, generation)| Some(envelope.objects(key)?.map(|item| PlacedLeg::read(&item, generation)).collect()));
    if elements.is_none() && path.is_none() {
        return None;
    }
    let mut found = merged(elements.unwrap_or_default(), path.unwrap_or_default());
    let mut whole = call.whole.clone();
    whole.fill_from(&leg_fields(&envelope, call.whole.generation));
    found.sort_by_key(|placed| (placed.segment, placed.node, placed.leg.started_at));
    let finished = found.into_iter().enumerate().map(|(index, placed)| {
        let mut leg = placed.leg;
        leg.leg_index = i32::try_from(index).ok();
        if leg.leg_id.is_empty() {
            leg.leg_id = format!("{}#{index}", call.record_id);
        }
        leg.inherit(&whole);
        leg.derive_talk();
        leg
    });
    Some(finished.collect())
}

/// Reads a single leg, alone or inside `call_element`; `None` when it has no id.
#[must_use]
pub fn leg_from_json(value: &Value) -> Option<CallLeg> {
    let envelope = Object(value.as_object()?);
    let mut leg = PlacedLeg::read(&envelope.inner("call_element").unwrap_or(envelope), Generation::CallElement).leg;
    leg.derive_talk();
    Some(leg).filter(|leg| !leg.leg_id.is_empty())
}

/// Fills each element from the item of the path that is the same leg: the one with its id, else one in its place.
/// What is left of the path are legs of their own.
fn merged(mut elements: Vec<PlacedLeg>, mut path: Vec<PlacedLeg>) -> Vec<PlacedLeg> {
    let mut is_merged = vec![false; elements.len()];
    for is_same in [PlacedLeg::has_id_of, PlacedLeg::has_place_of] {
        path.retain(|item| {
            let mut unmerged = elements.iter_mut().zip(&mut is_merged).filter(|(_element, is_merged)| !**is_merged);
            let twin = unmerged.find(|(element, _is_merged)| is_same(element, item));
            let is_alone = twin.is_none();
            if let Some((element, is_merged)) = twin {
                element.leg.fill_from(&item.leg);
                *is_merged = true;
            }
            is_alone
        });
    }
    elements.extend(path);
    elements
}

/// A leg and where it stands in its call.
struct PlacedLeg {
    segment: Option<i32>,
    node: Option<i32>,
    leg: CallLeg,
}

impl PlacedLeg {
    fn read(item: &Object<'_>, generation: Generation) -> Self {
        let mut leg = leg_fields(item, generation);
        if generation == Generation::CallElement {
            leg.call_element_id = leg.call_element_id.or_else(|| item.text(&["id"]));
        }
        leg.leg_id = leg.call_element_id.clone().or_else(|| item.text(&["id"])).unwrap_or_default();
        Self { segment: item.seconds(&["segment"]), node: item.seconds(&["node"]), leg }
    }

    fn has_id_of(&self, other: &Self) -> bool {
        !self.leg.leg_id.is_empty() && self.leg.leg_id == other.leg.leg_id
    }

    fn has_place_of(&self, other: &Self) -> bool {
        self.segment.is_some()
            && (self.segment, self.node, &self.leg.event) == (other.segment, other.node, &other.leg.event)
    }
}

/// Everything that an object of any generation says about a leg, its own id left out.
fn leg_fields(item: &Object<'_>, generation: Generation) -> CallLeg {
    let mut leg = CallLeg::bare(String::new(), generation);
    leg.call_element_id = item.text(&["call_element_id"]);
    leg.call_history_id = item.text(&["call_history_uuid", "call_history_id"]);
    leg.call_log_id = item.text(&["call_log_id"]);
    leg.call_path_id = item.text(&["call_path_id"]);
    leg.call_id = item.text(&["call_id"]);
    leg.direction = item.text(&["direction"]);
    leg.call_type = item.text(&["call_type"]);
    leg.connect_type = item.text(&["connect_type"]);
    leg.event = item.text(&["event"]);
    leg.result = item.text(&["call_result", "result"]);
    leg.started_at = item.time(&["start_time", "date_time"]);
    leg.answered_at = item.time(&["answer_time", "answer_start_time"]);
    leg.ended_at = item.time(&["end_time", "call_end_time"]);
    leg.duration_s = item.seconds(&["duration", "call_duration"]);
    leg.wait_s = item.seconds(&["waiting_time", "wait_time"]);
    leg.hold_s = item.seconds(&["hold_time"]);
    leg.talk_s = item.seconds(&["talk_time"]);
    leg.caller = party(item, "caller");
    leg.callee = party(item, "callee");
    own_user(item, &mut leg);
    leg.operator_name = item.text(&["operator_name"]);
    leg.department = item.text(&["department"]);
    leg.cost_center = item.text(&["cost_center"]);
    leg.site = match item.inner("site") {
        Some(site) => Site { id: site.text(&["id"]), name: site.text(&["name"]) },
        None => Site { id: item.text(&["site_id"]), name: item.text(&["site_name"]) },
    };
    leg.recording_type = item.text(&["recording_type"]);
    leg.named_recordings = named_recordings(item);
    leg.has_recording = has_recording(item, &leg.named_recordings);
    leg.derive_talk();
    leg
}

fn party(item: &Object<'_>, role: &str) -> CallParty {
    let text = |field: &str| item.text(&[format!("{role}_{field}").as_str()]);
    CallParty {
        number: text("did_number").or_else(|| text("number")),
        name: text("name"),
        extension: text("ext_number").or_else(|| text("extension_number")),
        number_type: text("number_type"),
        user_id: text("ext_id").or_else(|| text("user_id")),
    }
}

/// The first generation tells of one user only: the caller of an outgoing call, else who was called.
fn own_user(item: &Object<'_>, leg: &mut CallLeg) {
    let owner = item.inner("owner");
    let from_owner = |keys: &[&str]| owner.as_ref().and_then(|owner| owner.text(keys));
    let is_outgoing = leg.direction.as_deref() == Some("outbound");
    let party = if is_outgoing { &mut leg.caller } else { &mut leg.callee };
    party.user_id = party.user_id.take().or_else(|| item.text(&["user_id"])).or_else(|| from_owner(&["id"]));
    party.extension = party.extension.take().or_else(|| from_owner(&["extension_number"]));
}

fn named_recordings(item: &Object<'_>) -> Vec<RecordingId> {
    let single = item.text(&["recording_id"]);
    let listed = item.objects("recordings").into_iter().flatten().filter_map(|one| one.text(&["id", "recording_id"]));
    let texts = item.0.get("recording_ids").and_then(Value::as_array).into_iter().flatten();
    let texts = texts.filter_map(|text| text.as_str().map(str::to_owned));
    let mut ids: Vec<RecordingId> =
        single.into_iter().chain(listed).chain(texts).filter_map(|id| RecordingId::parse(&id).ok()).collect();
    ids.sort();
    ids.dedup();
    ids
}

fn has_recording(item: &Object<'_>, named: &[RecordingId]) -> Option<bool> {
    let by_status = || match item.text(&["recording_status"])?.as_str() {
        "recorded" => Some(true),
        "non_recorded" => Some(false),
        _ => None,
    };
    if named.is_empty() { item.flag(&["has_recording"]).or_else(by_status) } else { Some(true) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn page(value: &Value) -> Vec<CallRecord> {
        page_from_json(value, Generation::CallHistory).unwrap().calls
    }

    #[test]
    fn a_call_log_of_the_first_generation_is_read() {
        let log = json!({"call_logs": [{
            "id": "c3f5b2d1-0000-4f6a-8c0e-2d4b6f8a1c3e", "call_id": "7401234567890123456_1", "direction": "outbound",
            "caller_number": "803", "caller_number_type": 1, "caller_name": "Sato", "callee_number": "+81355500123",
            "callee_number_type": "2", "duration": "94", "result": "Call connected", "user_id": "u1",
            "date_time": "2026-11-02T01:15:04Z", "answer_start_time": "2026-11-02T01:15:10Z",
            "call_end_time": "2026-11-02T01:16:38Z", "waiting_time": "6", "has_recording": "true",
            "recording_id": "0F3A5C7E-9B1D", "recording_type": "Automatic", "site": {"id": "s", "name": "Tokyo"}
        }, {"direction": "inbound"}]});
        let page = page_from_json(&log, Generation::CallLog).unwrap();
        assert_eq!((page.calls.len(), page.unusable), (1, 1));
        let whole = &page.calls[0].whole;
        assert_eq!(page.calls[0].history_id, None);
        assert_eq!(
            (whole.leg_id.as_str(), whole.generation),
            ("c3f5b2d1-0000-4f6a-8c0e-2d4b6f8a1c3e", Generation::CallLog)
        );
        assert_eq!(whole.call_id.as_deref(), Some("7401234567890123456_1"));
        assert_eq!((whole.wait_s, whole.talk_s, whole.duration_s), (Some(6), Some(88), Some(94)));
        assert_eq!((whole.caller.number_type.as_deref(), whole.callee.number_type.as_deref()), (Some("1"), Some("2")));
        assert_eq!((whole.caller.user_id.as_deref(), whole.callee.user_id.as_deref()), (Some("u1"), None));
        assert_eq!(whole.named_recordings[0].as_str(), "0f3a5c7e9b1d");
        assert_eq!((whole.has_recording, whole.site.name.as_deref()), (Some(true), Some("Tokyo")));
    }

    #[test]
    fn a_call_that_stands_in_both_arrays_is_one() {
        let by_id = json!({
            "call_history": [{"call_history_uuid": "20261102-aa", "call_id": "1", "call_result": "answered"}],
            "call_logs": [{"id": "20261102-aa", "call_id": "1", "result": "x", "department": "Sales", "wait_time": 3}]
        });
        let calls = page(&by_id);
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].history_id.as_deref(), Some("20261102-aa"));
        assert_eq!(calls[0].whole.result.as_deref(), Some("answered"));
        assert_eq!((calls[0].whole.department.as_deref(), calls[0].whole.wait_s), (Some("Sales"), Some(3)));
        let by_moment = json!({
            "call_history": [{"call_history_uuid": "20261102-aa", "call_id": "1", "start_time": "2026-11-02T01:00:00Z"}],
            "call_logs": [{"id": "old-aa", "call_id": "1", "date_time": "2026-11-02T01:00:00Z"},
                          {"id": "old-bb", "call_id": "1", "date_time": "2026-11-02T01:09:00Z"}]
        });
        let calls = page(&by_moment);
        let ids: Vec<_> =
            calls.iter().map(|call| (call.record_id.as_str(), call.whole.call_log_id.as_deref())).collect();
        assert_eq!(ids, [("20261102-aa", Some("old-aa")), ("old-bb", None)]);
        let one_array = json!({"call_history": [
            {"call_history_uuid": "a", "call_id": "1", "start_time": "2026-11-02T01:00:00Z"},
            {"call_history_uuid": "b", "call_id": "1", "start_time": "2026-11-02T01:00:00Z"},
            {"call_history_uuid": "a", "call_id": "1", "direction": "inbound"}
        ]});
        assert_eq!(page(&one_array).len(), 2);
    }

    #[test]
    fn a_token_after_the_last_page_is_no_token() {
        let next = |value| page_from_json(&value, Generation::CallHistory).map(|page| page.next);
        assert_eq!(next(json!({"call_history": [{"id": "a"}], "next_page_token": "t"})), Some(Some("t".into())));
        assert_eq!(next(json!({"call_history": [], "next_page_token": "t"})), Some(None));
        assert_eq!(next(json!({"call_logs": [{"id": "a"}], "next_page_token": "t", "page_count": 0})), Some(None));
        assert_eq!(next(json!({"call_history": [{"id": "a"}], "next_page_token": ""})), Some(None));
        assert_eq!(next(json!({"page_count": 0})), Some(None));
        assert_eq!(next(json!({"code": 300, "message": "x"})), None);
        assert_eq!(next(json!([])), None);
    }

    fn whole() -> CallRecord {
        let mut calls = page(&json!({"call_history": [{
            "call_history_uuid": "20261102-aa", "call_id": "1", "direction": "inbound", "site_id": "s",
            "department": "Sales", "caller_name": "Caller", "start_time": "2026-11-02T01:15:04Z"
        }]}));
        calls.remove(0)
    }

    #[test]
    fn legs_of_both_generations_are_merged_ordered_and_inherit_from_their_call() {
        let detail = json!({
            "call_id": "1", "cost_center": "77",
            "call_elements": [
                {"call_element_id": "20261102-e2", "segment": 2, "node": "1", "event": "answered", "result": "answered",
                 "callee_ext_number": 803, "callee_ext_id": "u3", "answer_time": "2026-11-02T01:15:20Z",
                 "end_time": "2026-11-02T01:16:38Z", "hold_time": "4", "recording_id": "R-1", "recording_type": "ad-hoc"},
                {"call_element_id": "20261102-e1", "segment": "1", "node": 1, "event": "incoming"}
            ],
            "call_path": [
                {"id": "20261102-e1", "segment": 1, "node": 1, "event": "incoming", "wait_time": 7},
                {"id": "old-2", "segment": 2, "node": 1, "event": "answered", "operator_name": "Operator"},
                {"id": "old-3", "segment": 3, "node": 1, "event": "ended"}
            ]
        });
        let legs = legs_from_json(&detail, &whole()).unwrap();
        let ids: Vec<_> =
            legs.iter().map(|leg| (leg.leg_id.as_str(), leg.leg_index, leg.generation.as_str())).collect();
        assert_eq!(
            ids,
            [
                ("20261102-e1", Some(0), "call_element"),
                ("20261102-e2", Some(1), "call_element"),
                ("old-3", Some(2), "call_history")
            ]
        );
        assert_eq!((legs[0].wait_s, legs[0].caller.name.as_deref()), (Some(7), Some("Caller")));
        assert_eq!((legs[1].talk_s, legs[1].hold_s, legs[1].has_recording), (Some(78), Some(4), Some(true)));
        assert_eq!((legs[1].operator_name.as_deref(), legs[1].caller.name.as_deref()), (Some("Operator"), None));
        for leg in &legs {
            assert_eq!(leg.call_history_id.as_deref(), Some("20261102-aa"));
            assert_eq!((leg.department.as_deref(), leg.cost_center.as_deref()), (Some("Sales"), Some("77")));
            assert_eq!(leg.site.id.as_deref(), Some("s"));
        }
    }

    #[test]
    fn an_id_counts_more_than_a_place_and_an_element_is_merged_once() {
        let detail = json!({
            "call_elements": [{"call_element_id": "e1", "segment": 1, "node": 1, "event": "ring"},
                              {"call_element_id": "e2", "segment": 1, "node": 1, "event": "ring"}],
            "call_path": [{"id": "e2", "segment": 1, "node": 1, "event": "ring", "hold_time": 2},
                          {"id": "old", "segment": 1, "node": 1, "event": "ring", "hold_time": 1},
                          {"id": "third", "segment": 1, "node": 1, "event": "ring", "hold_time": 3}]
        });
        let legs = legs_from_json(&detail, &whole()).unwrap();
        let holds: Vec<_> = legs.iter().map(|leg| (leg.leg_id.as_str(), leg.hold_s)).collect();
        assert_eq!(holds, [("e1", Some(1)), ("e2", Some(2)), ("third", Some(3))]);
    }

    #[test]
    fn a_leg_without_an_id_is_named_after_its_call_and_an_error_is_no_detail() {
        let legs = legs_from_json(&json!({"call_path": [{"event": "incoming"}, "text", null]}), &whole()).unwrap();
        assert_eq!(legs.len(), 1);
        assert_eq!(legs[0].leg_id, "20261102-aa#0");
        assert_eq!(legs_from_json(&json!({"call_path": []}), &whole()), Some(vec![]));
        assert_eq!(legs_from_json(&json!({"code": 300}), &whole()), None);
    }

    #[test]
    fn a_single_leg_stands_alone_or_in_an_object() {
        for value in [json!({"call_element_id": "e"}), json!({"id": "e"}), json!({"call_element": {"id": "e"}})] {
            let leg = leg_from_json(&value).unwrap();
            assert_eq!((leg.leg_id.as_str(), leg.call_element_id.as_deref()), ("e", Some("e")));
        }
        assert_eq!(leg_from_json(&json!({"message": "x"})), None);
    }

    proptest! {
        #[test]
        fn odd_values_are_left_out_and_never_a_panic(text in "\\PC{0,20}", number in any::<f64>(), flag in any::<bool>()) {
            for odd in [json!(text), json!(number), json!(flag), json!([text]), json!({"id": number}), json!(null)] {
                let item = json!({"id": "a", "start_time": odd, "duration": odd, "waiting_time": odd, "recording_id": odd,
                    "caller_number_type": odd, "has_recording": odd, "segment": odd, "owner": odd, "site": odd});
                let list = json!({"call_history": [item], "call_logs": odd});
                let detail = json!({"call_elements": [item], "call_path": odd});
                prop_assert!(page_from_json(&list, Generation::CallHistory).is_some());
                prop_assert!(legs_from_json(&detail, &whole()).is_some());
            }
        }
    }
}
