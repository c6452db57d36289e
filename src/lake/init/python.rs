//! `read_pyarrow.py` and `read_spark.py`: the same tables from Python, without views.

use super::super::schema::{ColumnType, Table, describe};
use super::glue::hive_type;
use super::{Facts, PARTITION_KEY, fill};

/// A program that reads with PyArrow.
pub(super) fn pyarrow(facts: &Facts) -> String {
    let column = |name: &str, kind: ColumnType| format!("(\"{name}\", {})", arrow_type(kind));
    fill(include_str!("read_pyarrow.py"), &[("url", &text(&facts.url)), ("columns", &columns(&column))])
}

/// A program that reads with Spark.
pub(super) fn spark(facts: &Facts) -> String {
    let column = |name: &str, kind: ColumnType| format!("\"{name} {}\"", hive_type(kind));
    fill(include_str!("read_spark.py"), &[("url", &text(&facts.url)), ("columns", &columns(&column))])
}

/// The entries of a dictionary: for each table the list of its columns.
fn columns(column: &dyn Fn(&str, ColumnType) -> String) -> String {
    let table = |table: Table| {
        let columns = describe(table);
        let columns = columns.iter().map(|info| (info.name, info.column_type));
        let columns: Vec<String> = columns
            .chain([(PARTITION_KEY.0, ColumnType::Text)])
            .map(|(name, kind)| format!("        {},\n", column(name, kind)))
            .collect();
        format!("    \"{}\": [\n{}    ],\n", table.as_str(), columns.concat())
    };
    Table::ALL.map(table).concat()
}

const fn arrow_type(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Text => "pa.string()",
        ColumnType::Int32 => "pa.int32()",
        ColumnType::Int64 => "pa.int64()",
        ColumnType::Double => "pa.float64()",
        ColumnType::Boolean => "pa.bool_()",
        ColumnType::Timestamp => "pa.timestamp(\"ms\", tz=\"UTC\")",
    }
}

/// What stands between double quotes in Python.
fn text(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}
