//! What readers of the lake start from: `lake init` writes it beside the tables.
//!
//! Names, types and meanings of columns come from [`schema`](super::schema) only. A file here is one artefact; what is
//! the same in every lake stands in a template beside it, where `@name@` is filled in.

mod dbt;
mod dictionary;
mod duckdb;
mod glue;
mod python;

use std::collections::BTreeSet;

use jiff::civil::Date;

pub use dictionary::dictionary;

use super::error::LakeError;
use super::open::Lake;
use super::schema::Table;
use crate::config::Partition;

/// The name of a partition key, and what it means; a column of every table that is not in its files.
const PARTITION_KEY: (&str, &str) = (
    "dt",
    "Partition: day on which the recording started, YYYY-MM-DD; in runs, coverage and call_events that of the run, the \
     check and the event; of a month its first day",
);

/// Zoom Phone has no older recordings. Files of a folder may be older: then the lake says so.
const EARLIEST: Date = jiff::civil::date(2018, 1, 1);

/// Whatever claims to be older has a wrong clock, and is not worth a partition for each day since.
const OLDEST: Date = jiff::civil::date(1970, 1, 1);

/// What was written for readers.
#[derive(Debug)]
pub struct Prepared {
    /// Where it is: an absolute folder, or `s3://bucket/prefix`.
    pub url: String,
    /// Whether that is a folder.
    pub in_folder: bool,
    /// The names of the files.
    pub files: Vec<&'static str>,
    /// Tables without a file, which are empty in `views.sql` until it is written again.
    pub empty: Vec<Table>,
}

/// What the files say of this lake.
struct Facts {
    url: String,
    in_folder: bool,
    partition: Partition,
    /// The first day that readers look for.
    first_day: Date,
    /// Tables that have a file.
    filled: BTreeSet<Table>,
}

impl Lake {
    /// Writes what readers start from into the root of the lake, in place of an older version.
    ///
    /// # Errors
    /// When the lake cannot be listed or written to.
    pub async fn init(&self) -> Result<Prepared, LakeError> {
        self.have_hidden().await?;
        let facts = self.facts().await?;
        let files = [
            ("views.sql", duckdb::views(&facts)),
            ("queries.sql", duckdb::QUERIES.to_owned()),
            ("ducklake.sql", duckdb::ducklake(&facts)),
            ("glue.sql", glue::ddl(&facts)),
            ("sources.yml", dbt::sources()),
            ("read_pyarrow.py", python::pyarrow(&facts)),
            ("read_spark.py", python::spark(&facts)),
        ];
        let mut names = Vec::new();
        for (name, text) in files {
            self.store.replace(name, text.into()).await?;
            names.push(name);
        }
        let empty = Table::ALL.into_iter().filter(|table| !facts.filled.contains(table)).collect();
        Ok(Prepared { url: facts.url, in_folder: facts.in_folder, files: names, empty })
    }

    async fn facts(&self) -> Result<Facts, LakeError> {
        let mut filled = BTreeSet::new();
        for table in Table::ALL {
            if self.store.holds_any(table.as_str(), ".parquet").await? {
                filled.insert(table);
            }
        }
        let days = self.days(&Table::ALL).await?;
        let oldest = days.into_iter().find(|day| *day >= OLDEST).unwrap_or(EARLIEST);
        Ok(Facts {
            url: self.url(),
            in_folder: self.store.folder().is_some(),
            partition: self.partition,
            first_day: oldest.min(EARLIEST),
            filled,
        })
    }
}

/// A template with its `@name@`s replaced.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let replace = |text: String, (name, value): &(&str, &str)| text.replace(&format!("@{name}@"), value);
    values.iter().fold(template.to_owned(), replace)
}

#[cfg(test)]
mod tests {
    use super::super::schema::{Table, describe};
    use super::PARTITION_KEY;

    #[test]
    fn meanings_fit_into_comments_of_every_catalogue() {
        let columns = Table::ALL.into_iter().flat_map(|table| describe(table).into_iter().map(|column| column.meaning));
        let tables = Table::ALL.map(Table::meaning);
        for meaning in columns.chain(tables).chain([PARTITION_KEY.1]) {
            // Glue takes 255 characters in one line.
            assert!((3..=255).contains(&meaning.len()), "{meaning}");
            assert!(meaning.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "plain characters only: {meaning}");
            assert!(!meaning.contains(['\\', '"', '@', '|', '<', '`']), "needs no escape anywhere: {meaning}");
        }
    }
}
