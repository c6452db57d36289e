//! Tables as every version of the schema wrote them, read together. `tests/golden/v1` and so on hold a file for each table;
//! those of version 1 were made from those of version 2 by leaving out the columns that it did not have.
//!
//! When a column was added: raise `SCHEMA_VERSION` and run this with `UPDATE_GOLDEN=1` once.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use transcribe::lake::{SCHEMA_VERSION, Table};

use crate::lake::Workspace as LakeWorkspace;
use crate::workspace::{Workspace, project, read_lake};

fn golden(version: i32, table: Table) -> PathBuf {
    project().join(format!("tests/golden/v{version}/{}.parquet", table.as_str()))
}

/// The tables that a version had.
fn tables_of(version: i32) -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(move |table| version > 1 || *table != Table::Tombstones)
}

/// The only file of a table in a lake.
fn only_file(lake: &Path, table: Table) -> PathBuf {
    let pattern = format!("{}/{}/*/*.parquet", lake.display(), table.as_str());
    let files: Vec<PathBuf> = glob::glob(&pattern).unwrap().map(Result::unwrap).collect();
    let [file] = <[PathBuf; 1]>::try_from(files).expect("one file");
    file
}

#[tokio::test]
async fn what_is_written_today_is_what_the_newest_golden_files_hold() {
    let workspace = LakeWorkspace::new().await;
    workspace.fill().await;
    for table in Table::ALL {
        let (written, golden) = (only_file(&workspace.root(), table), golden(SCHEMA_VERSION, table));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(golden.parent().unwrap()).unwrap();
            fs::copy(&written, &golden).unwrap();
        }
        let physical = |path: &Path| read_lake(["physical", path.to_str().unwrap()]);
        assert_eq!(physical(&written), physical(&golden), "{}: raise SCHEMA_VERSION", table.as_str());
    }
}

/// A lake with the golden files of every version, one a day.
fn lake_of_all_versions() -> Workspace {
    let workspace = Workspace::new();
    for version in 1..=SCHEMA_VERSION {
        for table in tables_of(version) {
            let day = workspace.lake().join(format!("{}/dt=2026-10-{version:02}", table.as_str()));
            fs::create_dir_all(&day).unwrap();
            fs::copy(golden(version, table), day.join(format!("part-{version:032x}.parquet"))).unwrap();
        }
    }
    workspace
}

/// Columns as a reader sees them, with their types.
fn columns(rows: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(&row[0]), text(&row[1]))).collect()
}

#[tokio::test]
async fn files_of_all_versions_are_one_table_for_every_reader() {
    let workspace = lake_of_all_versions();
    let lake = workspace.lake().display().to_string();
    for table in Table::ALL.map(Table::as_str) {
        let newest = format!("{table}/dt=2026-10-{SCHEMA_VERSION:02}/*.parquet");
        let newest = columns(&read_lake(["describe", &lake, &newest]));
        let together = format!(
            "DESCRIBE FROM read_parquet('{table}/*/*.parquet', union_by_name = true, hive_types = {{'dt': VARCHAR}})"
        );
        let mut together = columns(&read_lake(["query", &lake, &together]));
        together.sort();
        let mut expected = newest.clone();
        expected.sort();
        assert_eq!(together, expected, "{table} in DuckDB");
        let arrow = read_lake(["arrow_of_all", &lake, table]);
        let names = |columns: &[(String, String)]| columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&columns(&arrow["columns"])), names(&newest), "{table} in PyArrow");
        let rows = read_lake([
            "query",
            &lake,
            &format!("SELECT count(*) FROM read_parquet('{table}/*/*.parquet', union_by_name = true)"),
        ]);
        assert_eq!(arrow["rows"], rows[0][0], "{table}");
    }
    // The program itself.
    let explained = workspace.run(&["explain", "0f3a5c7e9b1d", "--format", "json"]).expect_code(0).json();
    assert_eq!(explained["recording_id"], json!("0f3a5c7e9b1d"));
}

#[tokio::test]
async fn rewriting_gives_every_file_every_column_and_keeps_what_is_in_them() {
    let workspace = lake_of_all_versions();
    let texts = "select dt, text, suppressed, start_ms from read_parquet('segments/*/*.parquet', union_by_name = true) order by all";
    let before = workspace.query(texts);
    workspace.run(&["compact", "--rewrite-schema"]).expect_code(0);
    assert_eq!(workspace.query(texts), before);
    let lake = workspace.lake().display().to_string();
    for table in tables_of(1).map(Table::as_str) {
        let of = |version: i32| read_lake(["describe", &lake, &format!("{table}/dt=2026-10-{version:02}/*.parquet")]);
        assert_eq!(of(1), of(SCHEMA_VERSION), "{table}");
    }
}
