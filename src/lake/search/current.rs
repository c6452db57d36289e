//! The last result of each recording of a day, and who was on the line.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Party;
use crate::lake::error::LakeError;
use crate::lake::open::Lake;
use crate::lake::read::ReadError;
use crate::lake::row::{Row, known, rows_of};
use crate::lake::schema::Table;

/// The current row of a recording.
#[derive(Debug)]
pub(super) struct Current {
    transcribed_at: Timestamp,
    pub(super) fingerprint: String,
    pub(super) caller: Party,
    pub(super) callee: Party,
}

impl Lake {
    /// The current row of each recording of the partition `dt`, by id.
    pub(super) async fn current_of_day(&self, dt: &str) -> Result<HashMap<String, Current>, LakeError> {
        const COLUMNS: [&str; 7] = [
            "recording_id",
            "fingerprint",
            "transcribed_at",
            "caller_name",
            "caller_number",
            "callee_name",
            "callee_number",
        ];
        let mut all: HashMap<String, Current> = HashMap::new();
        self.read_day(Table::Recordings, dt, &COLUMNS, |batch| {
            for row in rows_of(batch) {
                let (id, row) = current(&row)?;
                let order = |row: &Current| (row.transcribed_at, row.fingerprint.clone());
                if all.get(&id).is_none_or(|held| order(held) < order(&row)) {
                    all.insert(id, row);
                }
            }
            Ok(())
        })
        .await?;
        Ok(all)
    }
}

fn current(row: &Row<'_>) -> Result<(String, Current), ReadError> {
    let party =
        |name, number| -> Result<Party, ReadError> { Ok(Party { name: row.text(name)?, number: row.text(number)? }) };
    let current = Current {
        transcribed_at: known("transcribed_at", row.time("transcribed_at")?)?,
        fingerprint: known("fingerprint", row.text("fingerprint")?)?,
        caller: party("caller_name", "caller_number")?,
        callee: party("callee_name", "callee_number")?,
    };
    Ok((known("recording_id", row.text("recording_id")?)?, current))
}
