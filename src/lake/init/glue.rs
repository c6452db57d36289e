//! `glue.sql`: tables and views for Athena in the Glue catalogue. Other readers of that catalogue see the tables.

use super::super::schema::{ColumnType, Table, describe};
use super::{Facts, PARTITION_KEY, fill};
use crate::config::Partition;

/// Its head, and the views in the order in which they stand on each other.
const TEMPLATE: &str = include_str!("glue.sql");

/// The database of tables and views, for dbt as well.
pub(super) const DATABASE: &str = "transcripts";

/// Where the files of a lake in a folder are to be copied to.
const NOWHERE: &str = "s3://YOUR-BUCKET/YOUR-PREFIX";

/// All statements. They may be run again at any time: an external table can be dropped without its files.
pub(super) fn ddl(facts: &Facts) -> String {
    let place = if facts.in_folder { NOWHERE } else { facts.url.as_str() };
    let note = if facts.in_folder {
        format!("--\n-- This lake is in a folder: copy it to S3 and put its address in the place of {NOWHERE}.\n")
    } else {
        String::new()
    };
    let tables: Vec<String> = Table::ALL.iter().map(|table| external_table(*table, facts, place)).collect();
    let filled = fill(
        TEMPLATE,
        &[
            ("note", &note),
            ("tables", &tables.join("\n")),
            ("place", place),
            ("last.*", &list(Table::Recordings, "last.", &[("zoom_agreement", AGREEMENT)])),
            ("segments.*", &list(Table::Segments, "segments.", &[])),
            ("words.*", &list(Table::Words, "words.", &[])),
            ("quarantine.*", &list(Table::Quarantine, "last.", &[])),
            ("call_history.*", &list(Table::CallHistory, "last.", &[])),
        ],
    );
    let counted = Table::ALL.iter().fold(filled, |sql, table| {
        let name = table.as_str();
        sql.replace(&format!("@{name}@"), &counted(name))
    });
    fill(&counted, &[("database", DATABASE)])
}

const AGREEMENT: &str = "coalesce(compared.agreement, last.zoom_agreement) AS zoom_agreement";

fn external_table(table: Table, facts: &Facts, place: &str) -> String {
    let (name, (key, key_meaning)) = (table.as_str(), PARTITION_KEY);
    let column = |name: &str, kind: &str, meaning: &str| format!("  `{name}` {kind} COMMENT '{}'", text(meaning));
    let columns = describe(table);
    let columns: Vec<String> =
        columns.iter().map(|info| column(info.name, hive_type(info.column_type), info.meaning)).collect();
    let unit = match facts.partition {
        Partition::Day => "DAYS",
        Partition::Month => "MONTHS",
    };
    let properties = [
        ("projection.enabled", "true".to_owned()),
        ("projection.dt.type", "date".to_owned()),
        ("projection.dt.format", "yyyy-MM-dd".to_owned()),
        ("projection.dt.range", format!("{},NOW+1DAY", facts.first_of_range())),
        ("projection.dt.interval", "1".to_owned()),
        ("projection.dt.interval.unit", unit.to_owned()),
        ("storage.location.template", format!("{place}/{name}/dt=${{dt}}/")),
    ];
    let properties: Vec<String> = properties.iter().map(|(key, value)| format!("  '{key}' = '{value}'")).collect();
    format!(
        "DROP TABLE IF EXISTS @database@.{name};\nCREATE EXTERNAL TABLE @database@.{name} (\n{}\n)\nCOMMENT '{}'\n\
         PARTITIONED BY (\n{}\n)\nSTORED AS PARQUET\nLOCATION '{place}/{name}/'\nTBLPROPERTIES (\n{}\n);\n",
        columns.join(",\n"),
        text(table.meaning()),
        column(key, "string", key_meaning),
        properties.join(",\n"),
    )
}

impl Facts {
    /// The range of days begins with a partition, also where each is a month.
    fn first_of_range(&self) -> jiff::civil::Date {
        match self.partition {
            Partition::Day => self.first_day,
            Partition::Month => self.first_day.first_of_month(),
        }
    }
}

/// The rows of a table but for those of hidden files.
fn counted(table: &str) -> String {
    format!(
        "(\n    SELECT * FROM @database@.{table}\n    \
         WHERE regexp_extract(\"$path\", '[^/]+/[^/]+/[^/]+$') NOT IN (SELECT key FROM @database@.hidden_files)\n) AS {table}"
    )
}

/// All columns of a table, some of them replaced.
fn list(table: Table, prefix: &str, replaced: &[(&str, &str)]) -> String {
    let columns = describe(table);
    let names = columns.iter().map(|column| column.name).chain([PARTITION_KEY.0]);
    let written = names.map(|name| {
        let replaced = replaced.iter().find(|(column, _)| *column == name);
        replaced.map_or_else(|| format!("{prefix}{name}"), |(_, sql)| (*sql).to_owned())
    });
    let mut sql = String::new();
    let mut width = 0;
    for column in written {
        if width > 0 {
            sql.push(',');
            let full = width + column.len() > 100;
            sql.push_str(if full { "\n    " } else { " " });
            width = if full { 0 } else { width };
        }
        width += column.len() + 2;
        sql.push_str(&column);
    }
    sql
}

pub(super) const fn hive_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "string",
        ColumnType::Int32 => "int",
        ColumnType::Int64 => "bigint",
        ColumnType::Double => "double",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamp",
    }
}

/// What stands between quotes in Hive's and Athena's DDL, where a doubled quote would vanish.
fn text(value: &str) -> String {
    value.replace('\'', "\\'")
}
