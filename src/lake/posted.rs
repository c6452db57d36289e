//! Writing the rows of the ledger's outbox.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::LakeError;
use super::open::Lake;
use super::publish::{PublishedObject, aside, check_day};
use super::schema::{Table, TableRow, ZoomSegmentRow, ZoomTranscriptRow};
use crate::domain::{CallEvent, CallHistoryRow};

impl Lake {
    /// Writes rows of one table and one day as one object, under a key that follows from the rows: the same rows are
    /// never written twice. `rows` are what [`serde_json`] makes of the table's row type, and not empty.
    ///
    /// # Errors
    /// As [`Lake::publish`]; [`LakeError::BadRow`] and [`LakeError::BatchMismatch`] for rows of another type or table.
    pub async fn write_posted(&self, table: &str, dt: &str, rows: Vec<String>) -> Result<PublishedObject, LakeError> {
        check_day(dt)?;
        if table == Table::CallHistory.as_str() {
            self.write_in_order(dt, rows, |row: &CallHistoryRow| {
                let leg = &row.joined.leg;
                (leg.started_at, leg.leg_id.clone(), row.fetched_at)
            })
            .await
        } else if table == Table::ZoomSegments.as_str() {
            self.write_in_order(dt, rows, |row: &ZoomSegmentRow| (row.recording_id.clone(), row.segment_index)).await
        } else if table == Table::ZoomTranscripts.as_str() {
            self.write_in_order(dt, rows, |row: &ZoomTranscriptRow| (row.recording_id.clone(), row.fetched_at)).await
        } else if table == Table::CallEvents.as_str() {
            let key = |row: &CallEvent| (row.at(), row.call_id.clone(), row.event.clone(), row.callee.user_id.clone());
            self.write_in_order(dt, rows, key).await
        } else {
            Err(LakeError::BatchMismatch { hash: table.to_owned() })
        }
    }

    async fn write_in_order<R, K>(
        &self,
        dt: &str,
        mut rows: Vec<String>,
        key: impl Fn(&R) -> K + Send + 'static,
    ) -> Result<PublishedObject, LakeError>
    where
        R: TableRow + Serialize + DeserializeOwned + Send + 'static,
        K: Ord,
    {
        let rows = aside(move || {
            // In an order of their own, so that the object does not depend on that of the outbox. Equal rows are one.
            rows.sort();
            rows.dedup();
            let parse = |row: String| {
                serde_json::from_str(&row).map_err(|source| LakeError::BadRow { table: R::TABLE.as_str(), source })
            };
            let mut rows = rows.into_iter().map(parse).collect::<Result<Vec<R>, _>>()?;
            rows.sort_by_key(key);
            Ok(rows)
        });
        self.write_rows(dt, rows.await?).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::lake::open::tests::config;

    fn row(id: &str) -> String {
        json!({"recording_id": id, "fetched_at": "2026-11-02T01:15:04Z", "outcome": "none",
               "agreement": null, "fingerprint": null})
        .to_string()
    }

    #[tokio::test]
    async fn the_same_rows_are_one_object_in_whatever_order_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let write =
            async |rows: &[String]| lake.write_posted("zoom_transcripts", "2026-11-02", rows.to_vec()).await.unwrap();
        let first = write(&[row("aa"), row("bb"), row("aa")]).await;
        assert_eq!((first.rows, first.created), (2, true));
        let again = write(&[row("bb"), row("aa")]).await;
        assert_eq!((again.key, again.created), (first.key, false));
    }

    #[tokio::test]
    async fn rows_of_another_shape_or_table_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(&config(folder.path(), "UTC")).await.unwrap();
        let refused = lake.write_posted("call_history", "2026-11-02", vec![row("aa")]).await;
        assert!(matches!(refused, Err(LakeError::BadRow { table: "call_history", .. })));
        let refused = lake.write_posted("recordings", "2026-11-02", vec![row("aa")]).await;
        assert!(matches!(refused, Err(LakeError::BatchMismatch { .. })));
        let refused = lake.write_posted("zoom_transcripts", "../x", vec![row("aa")]).await;
        assert!(matches!(refused, Err(LakeError::BadDay { .. })));
    }
}
