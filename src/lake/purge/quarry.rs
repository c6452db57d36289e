//! Which recordings and calls somebody means.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::Erasure;
use super::identity::{Sight, columns_for};
use crate::lake::error::LakeError;
use crate::lake::open::Lake;
use crate::lake::schema::Table;
use crate::privacy::WantedNumber;

/// What somebody names, and how far it reaches.
#[derive(Debug, Clone, Default)]
pub struct Quarry {
    pub recordings: BTreeSet<String>,
    pub calls: BTreeSet<String>,
    pub numbers: Vec<WantedNumber>,
    pub before: Option<Timestamp>,
    /// Whether all recordings of a call that is met go with it.
    pub whole_calls: bool,
}

/// Tables whose rows tell which recordings and calls belong together.
const TELLING: [Table; 6] =
    [Table::Recordings, Table::Quarantine, Table::CallHistory, Table::CallEvents, Table::ZoomSegments, Table::Segments];

impl Quarry {
    /// The same as an order to the tables, before anything was looked for.
    #[must_use]
    pub fn erasure(&self) -> Erasure {
        Erasure {
            recordings: self.recordings.clone(),
            calls: self.calls.clone(),
            before: self.before,
            numbers: self.numbers.clone(),
        }
    }

    /// Takes in one thing with these ids; says whether that was news. `is_meant` = for another reason than its ids.
    pub fn learn(&self, known: &mut Erasure, recordings: &[&str], calls: &[&str], is_meant: bool) -> bool {
        let is_hit = is_meant
            || recordings.iter().any(|id| known.recordings.contains(*id))
            || (self.whole_calls && calls.iter().any(|id| known.calls.contains(*id)));
        if !is_hit {
            return false;
        }
        let before = known.recordings.len() + known.calls.len();
        if self.whole_calls || is_meant {
            known.recordings.extend(recordings.iter().map(|id| (*id).to_owned()));
        }
        known.calls.extend(calls.iter().map(|id| (*id).to_owned()));
        known.recordings.len() + known.calls.len() > before
    }
}

impl Lake {
    /// Adds to `known` what the tables say belongs to it. Says whether that was news: then it may lead to more.
    ///
    /// # Errors
    /// As [`Lake::published_ids`].
    pub async fn track(&self, quarry: &Quarry, known: &mut Erasure) -> Result<bool, LakeError> {
        let mut is_news = false;
        for table in TELLING {
            let columns = columns_for(table, !quarry.numbers.is_empty());
            for dt in self.days_of(table).await?.into_keys() {
                let day = self.start_of(&dt)?.as_millisecond();
                self.read_day(table, &dt, &columns, |batch| {
                    let sight = Sight::of(table, day, batch)?;
                    for row in 0..batch.num_rows() {
                        let before = quarry.before.map(Timestamp::as_millisecond);
                        let is_old = before.is_some_and(|before| sight.time(row) < before);
                        // A leg names recordings that may be younger than it.
                        let is_meant = (is_old && table != Table::CallHistory) || sight.has_number(row, known);
                        let recordings: Vec<&str> = sight.recordings(row).collect();
                        let calls: Vec<&str> = sight.calls(row).collect();
                        if is_old && table == Table::CallHistory {
                            let news = calls.iter().filter(|id| known.calls.insert((**id).to_owned())).count();
                            is_news |= news > 0;
                        }
                        is_news |= quarry.learn(known, &recordings, &calls, is_meant);
                    }
                    Ok(())
                })
                .await?;
            }
        }
        Ok(is_news)
    }
}
