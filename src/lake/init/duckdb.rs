//! SQL for DuckDB: `views.sql`, queries over its views, and a recipe for DuckLake.

use super::super::schema::{ColumnType, Table, describe};
use super::{Facts, PARTITION_KEY, fill};

/// Views on the tables, in the order in which they stand on each other.
const VIEWS: &str = include_str!("views.sql");
/// Useful questions, with comments. The same for every lake.
pub(super) const QUERIES: &str = include_str!("queries.sql");
const DUCKLAKE: &str = include_str!("ducklake.sql");

/// `views.sql`: each table of the lake as a view that leaves out hidden files, and views on those.
pub(super) fn views(facts: &Facts) -> String {
    let url = text(&facts.url);
    let tables: Vec<String> = Table::ALL.iter().map(|table| view(*table, facts, &url)).collect();
    fill(VIEWS, &[("open", &how_to_open(facts)), ("url", &url), ("tables", &tables.join("\n"))])
}

/// `ducklake.sql`: a copy with snapshots.
pub(super) fn ducklake(facts: &Facts) -> String {
    fill(DUCKLAKE, &[("url", &text(&facts.url))])
}

fn how_to_open(facts: &Facts) -> String {
    if facts.in_folder {
        return format!("-- Read it with: duckdb -init '{}/views.sql'", facts.url);
    }
    "-- Copy it to where DuckDB runs and read it with: duckdb -init views.sql\n\
     -- DuckDB needs credentials, once: CREATE PERSISTENT SECRET (TYPE s3, PROVIDER credential_chain);\n\
     -- of a store that is not AWS also ENDPOINT 'host:port', URL_STYLE 'path'."
        .to_owned()
}

/// The view of one table. An empty branch gives it every column with its type, whatever versions wrote the files; as
/// long as there is no file, it is all there is.
fn view(table: Table, facts: &Facts, url: &str) -> String {
    let name = table.as_str();
    let null = |(name, kind): (&str, &str)| format!("NULL::{kind} AS {name}");
    let columns = describe(table);
    let columns = columns.iter().map(|column| (column.name, sql_type(column.column_type)));
    let typed: Vec<String> = columns.chain([(PARTITION_KEY.0, "VARCHAR")]).map(null).collect();
    let empty = format!("SELECT {} WHERE false", typed.join(", "));
    let meaning = table.meaning();
    if !facts.filled.contains(&table) {
        return format!(
            "-- {meaning}\n-- No file yet: run `transcribe lake init` again when there is one.\n\
             CREATE OR REPLACE VIEW {name} AS\n{empty};\n"
        );
    }
    format!(
        "-- {meaning}\nCREATE OR REPLACE VIEW {name} AS\n{empty}\nUNION ALL BY NAME\nSELECT * EXCLUDE (filename)\n\
         FROM read_parquet('{url}/{name}/*/*.parquet', hive_partitioning = true, hive_types = {{'dt': VARCHAR}},\n    \
         union_by_name = true, filename = true)\n\
         WHERE regexp_extract(filename, '[^/]+/[^/]+/[^/]+$') NOT IN (SELECT key FROM hidden_files);\n"
    )
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

/// What stands between quotes in SQL.
fn text(value: &str) -> String {
    value.replace('\'', "''")
}
