//! `views.sql`: the lake as DuckDB shows it, one result per recording whatever was done anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::durable;
use super::error::LakeError;
use super::open::Lake;
use super::publish::aside;
use super::schema::{ColumnType, QuarantineRow, RecordingRow, SegmentRow, Table, TableRow, WordRow, ZoomTranscriptRow};

const FILE: &str = "views.sql";

/// What a table of the lake is read by: its name, and a `SELECT` without rows for as long as it has no file.
struct Source {
    table: Table,
    empty: String,
}

/// Views on those tables, in the order in which they stand on each other.
const VIEWS: &str = "\
-- The last result of each recording.
CREATE OR REPLACE VIEW current_recordings AS
WITH last AS (
    SELECT * FROM recordings
    QUALIFY row_number() OVER (PARTITION BY recording_id ORDER BY transcribed_at DESC, fingerprint DESC) = 1
), compared AS (
    -- Zoom's own transcript may come days later than ours.
    SELECT recording_id, fingerprint, agreement FROM zoom_transcripts WHERE agreement IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY recording_id, fingerprint ORDER BY fetched_at DESC) = 1
)
SELECT last.* REPLACE (coalesce(compared.agreement, last.zoom_agreement) AS zoom_agreement)
FROM last LEFT JOIN compared USING (recording_id, fingerprint);

-- Its segments, those that a guard suppressed included.
CREATE OR REPLACE VIEW current_segments_all AS
SELECT segments.* FROM segments SEMI JOIN current_recordings USING (recording_id, fingerprint);

-- Its segments that count.
CREATE OR REPLACE VIEW current_segments AS SELECT * FROM current_segments_all WHERE NOT suppressed;

CREATE OR REPLACE VIEW current_words AS
SELECT words.* FROM words SEMI JOIN current_recordings USING (recording_id, fingerprint);

-- What could not be transcribed and is not in the lake otherwise.
CREATE OR REPLACE VIEW current_quarantine AS
SELECT quarantine.* FROM quarantine ANTI JOIN current_recordings USING (recording_id)
QUALIFY row_number() OVER (PARTITION BY recording_id ORDER BY last_tried_at DESC, run_id DESC) = 1;
";

impl Lake {
    /// Writes `views.sql` into the root of the lake, in place of an older one, and returns its path. A table that has no
    /// file yet is empty in it: write it again when there is one.
    ///
    /// # Errors
    /// When a folder cannot be read or the file cannot be written.
    pub async fn write_views(&self) -> Result<PathBuf, LakeError> {
        self.have_hidden().await?;
        let root = self.store.folder().map(Path::to_owned).unwrap_or_default();
        aside(move || {
            let sources = [
                source::<RecordingRow<'_>>(),
                source::<SegmentRow<'_>>(),
                source::<WordRow<'_>>(),
                source::<QuarantineRow>(),
                source::<ZoomTranscriptRow>(),
            ];
            let path = root.join(FILE);
            let sql = views(&root, &sources).map_err(|source| LakeError::from_io(&root, source))?;
            durable::replace(&path, sql.as_bytes(), 0o644).map_err(|source| LakeError::from_io(&root, source))?;
            Ok(path)
        })
        .await
    }
}

fn source<R: TableRow>() -> Source {
    let columns = R::columns();
    let null = |name: &str, sql_type: &str| format!("NULL::{sql_type} AS {name}");
    let typed = columns.iter().map(|column| null(column.name, sql_type(column.column_type())));
    let typed: Vec<String> = typed.chain([null("dt", "VARCHAR")]).collect();
    Source { table: R::TABLE, empty: format!("SELECT {} WHERE false", typed.join(", ")) }
}

const fn sql_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "VARCHAR",
        ColumnType::Int32 => "INTEGER",
        ColumnType::Int64 => "BIGINT",
        ColumnType::Double => "DOUBLE",
        ColumnType::Boolean => "BOOLEAN",
        ColumnType::Timestamp => "TIMESTAMPTZ",
    }
}

fn views(root: &Path, sources: &[Source]) -> std::io::Result<String> {
    let mut sql = String::from(
        "-- Written by `transcribe lake init`. Read it with: duckdb -init views.sql\n\
         -- Tables are named as in the lake; current_… show the last result of each recording only.\n\n",
    );
    for Source { table, empty } in sources {
        let name = table.as_str();
        let folder = root.join(name);
        let select = if has_objects(&folder)? {
            let glob = folder.join("*/*.parquet").display().to_string().replace('\'', "''");
            format!(
                "SELECT * FROM read_parquet('{glob}', hive_partitioning = true, hive_types = {{'dt': VARCHAR}},\n    \
                 union_by_name = true)"
            )
        } else {
            format!("-- no file yet: run `transcribe lake init` again when there is one\n{empty}")
        };
        sql.push_str(&format!("CREATE OR REPLACE VIEW {name} AS\n{select};\n\n"));
    }
    sql.push_str(VIEWS);
    Ok(sql)
}

fn has_objects(folder: &Path) -> std::io::Result<bool> {
    let days = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        days => days?,
    };
    for day in days {
        let day = day?.path();
        if day.is_dir() {
            for object in fs::read_dir(day)? {
                if object?.path().extension().is_some_and(|extension| extension == "parquet") {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}
