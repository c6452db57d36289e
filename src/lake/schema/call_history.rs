//! `call_history`: one row per leg of a call, and a further one whenever something about the leg changed.

use super::{Column, SCHEMA_VERSION, Table, TableRow};
use crate::domain::{CallHistoryRow, CallLeg, CallParty, JoinKey};

type C = Column<CallHistoryRow>;

impl TableRow for CallHistoryRow {
    const TABLE: Table = Table::CallHistory;

    fn columns() -> Vec<Column<Self>> {
        let [caller_number, caller_name, caller_extension, caller_number_type, caller_user_id] = party_columns(
            [
                ("caller_number", "Number of the caller"),
                ("caller_name", "Name of the caller"),
                ("caller_extension", "Extension of the caller"),
                ("caller_number_type", "Kind of that number, as told"),
                ("caller_user_id", "Zoom's id of the caller: a user, queue or device"),
            ],
            [
                |row| caller(row).number.as_deref(),
                |row| caller(row).name.as_deref(),
                |row| caller(row).extension.as_deref(),
                |row| caller(row).number_type.as_deref(),
                |row| caller(row).user_id.as_deref(),
            ],
        );
        let [callee_number, callee_name, callee_extension, callee_number_type, callee_user_id] = party_columns(
            [
                ("callee_number", "Number of the called party"),
                ("callee_name", "Name of the called party"),
                ("callee_extension", "Extension of the called party"),
                ("callee_number_type", "Kind of that number, as told"),
                ("callee_user_id", "Zoom's id of the called party: a user, queue or device"),
            ],
            [
                |row| callee(row).number.as_deref(),
                |row| callee(row).name.as_deref(),
                |row| callee(row).extension.as_deref(),
                |row| callee(row).number_type.as_deref(),
                |row| callee(row).user_id.as_deref(),
            ],
        );
        vec![
            C::text("leg_id", "Identity of the leg, or of a call whose legs are not known", |row| {
                Some(&leg(row).leg_id)
            })
            .looked_up(),
            C::text("call_element_id", "Zoom's id of the leg, third generation", |row| {
                leg(row).call_element_id.as_deref()
            })
            .looked_up(),
            C::text("call_history_id", "Zoom's id of the call, second and third generation", |row| {
                leg(row).call_history_id.as_deref()
            })
            .looked_up(),
            C::text("call_log_id", "Zoom's id of the call, first generation", |row| leg(row).call_log_id.as_deref()),
            C::text("call_path_id", "Zoom's id of the call's path, second generation", |row| {
                leg(row).call_path_id.as_deref()
            }),
            C::text("call_id", "Zoom's id of the call in the telephone network", |row| leg(row).call_id.as_deref())
                .looked_up(),
            C::int32("leg_index", "Position among the legs of the call, from 0", |row| leg(row).leg_index),
            C::text("generation", "Who told: call_log, call_history or call_element", |row| {
                Some(leg(row).generation.as_str())
            }),
            C::text("direction", "inbound or outbound, as told", |row| leg(row).direction.as_deref()),
            C::text("call_type", "Kind of call, as told", |row| leg(row).call_type.as_deref()),
            C::text("connect_type", "internal or external, as told", |row| leg(row).connect_type.as_deref()),
            C::text("event", "What happened in this leg, as told", |row| leg(row).event.as_deref()),
            C::text("result", "How it ended, as told", |row| leg(row).result.as_deref()),
            C::timestamp("started_at", "Start of the leg", |row| leg(row).started_at),
            C::timestamp("answered_at", "Answer; null when nobody answered", |row| leg(row).answered_at),
            C::timestamp("ended_at", "End of the leg", |row| leg(row).ended_at),
            C::int32("duration_s", "Length in seconds, as told", |row| leg(row).duration_s),
            C::int32("wait_s", "Seconds before the answer", |row| leg(row).wait_s),
            C::int32("hold_s", "Seconds on hold", |row| leg(row).hold_s),
            C::int32("talk_s", "Seconds from answer to end, unless told otherwise", |row| leg(row).talk_s),
            caller_number,
            caller_name,
            caller_extension,
            caller_number_type,
            caller_user_id,
            callee_number,
            callee_name,
            callee_extension,
            callee_number_type,
            callee_user_id,
            C::text("operator_name", "Who handled the leg", |row| leg(row).operator_name.as_deref()).personal(),
            C::text("department", "Department, as told", |row| leg(row).department.as_deref()),
            C::text("cost_center", "Cost centre, as told", |row| leg(row).cost_center.as_deref()),
            C::text("site_id", "Zoom's id of the site", |row| leg(row).site.id.as_deref()),
            C::text("site_name", "Name of the site", |row| leg(row).site.name.as_deref()).personal(),
            C::boolean("has_recording", "Whether the leg was recorded", |row| leg(row).has_recording),
            C::text("recording_type", "How the recording was started, as told", |row| {
                leg(row).recording_type.as_deref()
            }),
            C::text("recording_ids", "Its recordings, sorted, separated by commas", |row| {
                row.joined.recording_ids.as_deref()
            }),
            C::text(
                "joined_by",
                "Which id led to them: call_element_id, recording_id, call_history_id or call_id",
                |row| row.joined.joined_by.map(JoinKey::as_str),
            ),
            C::timestamp("fetched_at", "When this was learnt", |row| Some(row.fetched_at)),
            C::text("run_id", "The run that learnt it", |row| Some(&row.run_id.0)),
            C::int32("schema_version", "Version of the tables", |_| Some(SCHEMA_VERSION)),
            C::text("row_hash", "Names this form of the leg: differs when anything but time and run does", |row| {
                Some(&row.row_hash)
            }),
        ]
    }
}

fn leg(row: &CallHistoryRow) -> &CallLeg {
    &row.joined.leg
}

fn caller(row: &CallHistoryRow) -> &CallParty {
    &leg(row).caller
}

fn callee(row: &CallHistoryRow) -> &CallParty {
    &leg(row).callee
}

/// Number, name, extension, number type and user id of one end, each with its meaning.
fn party_columns(names: [(&'static str, &'static str); 5], reads: [fn(&CallHistoryRow) -> Option<&str>; 5]) -> [C; 5] {
    let [number, name, extension, number_type, user_id] = names;
    let [read_number, read_name, read_extension, read_number_type, read_user_id] = reads;
    [
        C::text(number.0, number.1, read_number).personal(),
        C::text(name.0, name.1, read_name).personal(),
        C::text(extension.0, extension.1, read_extension).personal(),
        C::text(number_type.0, number_type.1, read_number_type),
        C::text(user_id.0, user_id.1, read_user_id).personal(),
    ]
}
