//! `sources.yml`: the tables and the views over them as sources of a dbt project.

use super::super::schema::{Table, describe};
use super::PARTITION_KEY;
use super::glue::{DATABASE, hive_type};

const HEAD: &str = "\
# The lake as sources for dbt. Written by `transcribe lake init`; copy it into the models of your project.
# Run views.sql (dbt-duckdb) or glue.sql (dbt-athena, dbt-spark) first. Models should start from current_…: the tables
# below those have a row for every result that a recording ever had.
version: 2

sources:
";

/// Views that show the rows of a table that count, with the same columns.
const CURRENT: [(&str, Table, &str); 6] = [
    ("current_recordings", Table::Recordings, "The last result of each recording"),
    ("current_segments", Table::Segments, "Segments of the last results, those that count"),
    ("current_segments_all", Table::Segments, "Segments of the last results, suppressed ones included"),
    ("current_words", Table::Words, "Words of the last results"),
    ("current_quarantine", Table::Quarantine, "What could not be transcribed and is not in the lake otherwise"),
    ("current_call_history", Table::CallHistory, "The last form of each leg of a call"),
];

/// Views with columns of their own, which views.sql explains.
const SUMMARIES: [(&str, &str); 3] = [
    ("calls", "One row per call, its recordings together"),
    ("quality", "How well it went, per day and language"),
    ("coverage_days", "The last check of each day against Zoom's listing"),
];

/// The file, the same for every lake: which schema it is in says the project.
pub(super) fn sources() -> String {
    let mut yaml = String::from(HEAD);
    yaml.push_str(&format!(
        "  - name: {DATABASE}\n    description: \"Phone calls, transcribed\"\n    \
         schema: \"{{{{ var('transcripts_schema', '{DATABASE}') }}}}\"\n    tables:\n"
    ));
    for (name, table, meaning) in CURRENT {
        push_table(&mut yaml, name, meaning, Some(table));
    }
    for (name, meaning) in SUMMARIES {
        push_table(&mut yaml, name, meaning, None);
    }
    for table in Table::ALL {
        push_table(&mut yaml, table.as_str(), table.meaning(), Some(table));
    }
    yaml
}

/// Meanings hold neither quotes nor backslashes: they need no escape between double quotes.
fn push_table(yaml: &mut String, name: &str, meaning: &str, like: Option<Table>) {
    yaml.push_str(&format!("      - name: {name}\n        description: \"{meaning}\"\n"));
    let Some(table) = like else { return };
    yaml.push_str("        columns:\n");
    let columns = describe(table);
    let columns = columns.iter().map(|column| (column.name, hive_type(column.column_type), column.meaning));
    for (column, kind, meaning) in columns.chain([(PARTITION_KEY.0, "string", PARTITION_KEY.1)]) {
        yaml.push_str(&format!(
            "          - name: {column}\n            data_type: {kind}\n            description: \"{meaning}\"\n"
        ));
    }
}
