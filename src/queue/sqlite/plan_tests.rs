//! What a run asks often must not become slow with the number of recordings that were ever published.

use rusqlite::Connection;

use super::batches::{FREE, OF_BATCH, TO_CLOSE, UNREPORTED, staged_where};
use super::claims::{COUNTS, END_WAITS, HELD, HELD_BY, NEXT_DUE, OLDEST_SEEN, next_of};
use super::schema;

/// How SQLite goes about a statement: the lines about the jobs.
fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let nothing = vec![rusqlite::types::Value::Null; statement.parameter_count()];
    let lines = statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).filter(|line| line.contains(" jobs")).collect()
}

#[test]
fn what_a_run_asks_often_looks_at_no_job_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let connection = schema::open(&folder.path().join("ledger.sqlite")).unwrap();
    let asked = [
        (END_WAITS.to_owned(), "jobs_due"),
        (NEXT_DUE.to_owned(), "jobs_due"),
        (next_of("<", false), "COVERING INDEX jobs_to_claim"),
        (next_of(">=", true), "COVERING INDEX jobs_to_claim"),
        (COUNTS.to_owned(), "COVERING INDEX jobs_to_claim"),
        (OLDEST_SEEN.to_owned(), "jobs_to_claim"),
        (HELD.to_owned(), "jobs_held"),
        (HELD_BY.to_owned(), "jobs_held"),
        (staged_where(FREE), "jobs_staged"),
        (staged_where(OF_BATCH), "jobs_by_batch"),
        (TO_CLOSE.to_owned(), "jobs_by_batch"),
        (UNREPORTED.to_owned(), "jobs_to_report"),
    ];
    // These hold only the jobs that are asked for, so that all of such an index is wanted.
    let partial = ["jobs_due", "jobs_held", "jobs_staged", "jobs_to_report"];
    for (sql, index) in asked {
        let lines = plan(&connection, &sql);
        assert!(lines.iter().any(|line| line.contains(index)), "{sql}: {lines:?}");
        for line in lines {
            let is_search = line.starts_with("SEARCH jobs USING");
            let is_of_partial = partial.iter().any(|partial| line.ends_with(&format!("INDEX {partial}")));
            assert!(is_search || is_of_partial, "{sql}: {line}");
        }
    }
}
