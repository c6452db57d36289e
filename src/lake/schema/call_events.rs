//! `call_events`: one row per event of a call that rang here.

use super::{Column, Table, TableRow};
use crate::domain::{CallEvent, Station};

type C = Column<CallEvent>;

impl TableRow for CallEvent {
    const TABLE: Table = Table::CallEvents;

    fn columns() -> Vec<Column<Self>> {
        let mut columns = vec![
            C::text("event", "What happened, as Zoom names it", |row| Some(&row.event)),
            C::timestamp("event_at", "When it happened", |row| row.event_at),
            C::text("call_id", "Zoom's id of the call in the telephone network", |row| row.call_id.as_deref())
                .looked_up(),
        ];
        columns.extend(caller_columns());
        columns.extend(callee_columns());
        columns.extend(forwarded_columns());
        columns.extend(redirect_columns());
        columns.extend([
            C::timestamp("ringing_at", "When it began to ring", |row| row.ringing_at),
            C::timestamp("answered_at", "Answer; null when nobody answered", |row| row.answered_at),
            C::timestamp("ended_at", "End; null while it lasts", |row| row.ended_at),
            C::text("result", "How it ended, as told", |row| row.result.as_deref()),
            C::text("via", "How the event came in: webhook or websocket", |row| Some(row.via.as_str())),
            C::timestamp("received_at", "When it came in", |row| Some(row.received_at)),
        ]);
        columns
    }
}

fn caller_columns() -> Vec<C> {
    const fn of(row: &CallEvent) -> &Station {
        &row.caller
    }
    vec![
        C::text("caller_number", "Number of the caller", |row| of(row).number.as_deref()).personal(),
        C::text("caller_name", "Name of the caller", |row| of(row).name.as_deref()).personal(),
        C::text("caller_extension", "Extension of the caller", |row| of(row).extension.as_deref()).personal(),
        C::text("caller_extension_id", "Zoom's id of that extension", |row| of(row).extension_id.as_deref()).personal(),
        C::text("caller_extension_type", "Kind of that extension, as told", |row| of(row).extension_type.as_deref()),
        C::text("caller_user_id", "Zoom's id of the caller", |row| of(row).user_id.as_deref()).personal(),
        C::text("caller_connection_type", "How the caller is connected, as told", |row| {
            of(row).connection_type.as_deref()
        }),
        C::text("caller_timezone", "Time zone of the caller", |row| of(row).timezone.as_deref()),
        C::text("caller_device_type", "Device of the caller", |row| of(row).device_type.as_deref()),
        C::text("caller_device_id", "Zoom's id of that device", |row| of(row).device_id.as_deref()).personal(),
    ]
}

fn callee_columns() -> Vec<C> {
    const fn of(row: &CallEvent) -> &Station {
        &row.callee
    }
    vec![
        C::text("callee_number", "Number where it rings", |row| of(row).number.as_deref()).personal(),
        C::text("callee_name", "Name of whose line it is", |row| of(row).name.as_deref()).personal(),
        C::text("callee_extension", "Extension where it rings", |row| of(row).extension.as_deref()).personal(),
        C::text("callee_extension_id", "Zoom's id of that extension", |row| of(row).extension_id.as_deref()).personal(),
        C::text("callee_extension_type", "Kind of that extension, as told", |row| of(row).extension_type.as_deref()),
        C::text("callee_user_id", "Zoom's id of whose line it is", |row| of(row).user_id.as_deref()).personal(),
        C::text("callee_connection_type", "How the line is connected, as told", |row| {
            of(row).connection_type.as_deref()
        }),
        C::text("callee_timezone", "Time zone of the line", |row| of(row).timezone.as_deref()),
        C::text("callee_device_type", "Device that rings", |row| of(row).device_type.as_deref()),
        C::text("callee_device_id", "Zoom's id of that device", |row| of(row).device_id.as_deref()).personal(),
    ]
}

fn forwarded_columns() -> Vec<C> {
    const fn of(row: &CallEvent) -> &Station {
        &row.forwarded_by
    }
    vec![
        C::text("forwarded_by_number", "Number of who passed the call on", |row| of(row).number.as_deref()).personal(),
        C::text("forwarded_by_name", "Name of who passed the call on", |row| of(row).name.as_deref()).personal(),
        C::text("forwarded_by_extension", "Extension of who passed the call on", |row| of(row).extension.as_deref())
            .personal(),
        C::text("forwarded_by_type", "Kind of that extension, as told", |row| of(row).extension_type.as_deref()),
    ]
}

fn redirect_columns() -> Vec<C> {
    const fn of(row: &CallEvent) -> &Station {
        &row.redirect_forwarded_by
    }
    vec![
        C::text("redirect_forwarded_by_number", "Number of who redirected the call", |row| of(row).number.as_deref())
            .personal(),
        C::text("redirect_forwarded_by_name", "Name of who redirected the call", |row| of(row).name.as_deref())
            .personal(),
        C::text("redirect_forwarded_by_extension", "Extension of who redirected the call", |row| {
            of(row).extension.as_deref()
        })
        .personal(),
        C::text("redirect_forwarded_by_type", "Kind of that extension, as told", |row| {
            of(row).extension_type.as_deref()
        }),
    ]
}
