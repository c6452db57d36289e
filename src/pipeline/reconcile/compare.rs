//! The comparison itself: pure, fed with the listing and then with one day of the lake after the other.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::coverage::{Coverage, DayCoverage, Tally, Trace, Unexplained};
use super::lake_day::{Flaw, Held, LakeDay, Orphan};
use super::listed::{Listed, Standing};
use super::packed_id::PackedId;
use crate::domain::{Difference, Reason, RecordingId, RunId, SourceKind};
use crate::lake::{HeldRow, Table};
use crate::source::TimeWindow;

/// A recording so near to an end of the window may be listed or not.
const EDGE: SignedDuration = SignedDuration::from_mins(10);

/// Which recordings must be listed if Zoom still has them.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// What was listed.
    pub(super) window: TimeWindow,
    /// When the listing began: what was transcribed later may not have been there to be listed.
    pub(super) listed_at: Timestamp,
    /// Whose recordings were listed, by id; `None` = everybody's.
    pub(super) owners: Option<BTreeSet<String>>,
}

impl Scope {
    /// Whether a row that is not listed lies where the listing reaches; not at its edges.
    fn reaches(&self, row: &HeldRow) -> bool {
        let end = row.ended_at.or_else(|| {
            let length = SignedDuration::from_millis(row.audio_ms);
            row.started_at.checked_add(length).ok()
        });
        row.source == SourceKind::Zoom.as_str()
            && row.transcribed_at < self.listed_at
            && row.started_at.duration_since(self.window.since) >= EDGE
            && end.is_some_and(|end| self.window.until.duration_since(end) >= EDGE)
    }

    /// Whether the row's owner is one whose recordings were listed; `None` = that cannot be told.
    fn is_owned(&self, row: &HeldRow) -> Option<bool> {
        let Some(owners) = &self.owners else { return Some(true) };
        let owner = row.owner_id.as_ref()?;
        let are_ids = owners.iter().all(|owner| owner != "me" && !owner.contains('@'));
        match owners.contains(owner) {
            false if !are_ids => None,
            is_owned => Some(is_owned),
        }
    }
}

/// Where a recording of the lake stands in the listing.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// It is listed, so long.
    Listed { millis: u64 },
    /// It would be listed if Zoom still had it.
    Deleted,
    /// The listing does not speak of it.
    Beyond,
    /// Whether the listing should speak of it cannot be told.
    OfNobody,
    /// It was met in another partition.
    SeenBefore,
}

/// A comparison in progress.
#[derive(Debug)]
pub(super) struct Comparison {
    listed: Listed,
    scope: Scope,
    /// Recordings of the lake that are not listed.
    unlisted: HashSet<PackedId>,
    orphans: Vec<(Date, Orphan)>,
    days: BTreeMap<Date, DayCoverage>,
    unexplained: Vec<Unexplained>,
    /// Recordings of the lake of which it cannot be told whether they should be listed.
    of_nobody: u64,
}

impl Comparison {
    pub(super) fn new(listed: Listed, scope: Scope) -> Self {
        Self {
            listed,
            scope,
            unlisted: HashSet::new(),
            orphans: Vec::new(),
            days: BTreeMap::new(),
            unexplained: Vec::new(),
            of_nobody: 0,
        }
    }

    /// Takes in one partition of the lake, in which `day_of` says the day of a row.
    pub(super) fn lake_day(&mut self, partition: Date, lake: LakeDay, day_of: impl Fn(&HeldRow) -> Date) {
        let (held, orphans) = lake.judge();
        for held in held {
            self.recording(day_of(&held.row), &held);
        }
        self.orphans.extend(orphans.into_iter().map(|orphan| (partition, orphan)));
    }

    fn recording(&mut self, day: Date, Held { row, flaw }: &Held) {
        let packed = PackedId::of(&row.recording_id);
        let in_lake = Tally { recordings: 1, millis: u64::try_from(row.audio_ms).unwrap_or(0) };
        let is_whole = !matches!(flaw, Some((Difference::Lost, _)));
        let place = self.place(packed, row);
        match place {
            Place::Listed { millis } => {
                let both = self.days.entry(day).or_default();
                both.zoom.add(Tally { recordings: 1, millis });
                if is_whole {
                    both.lake.add(in_lake);
                }
            }
            Place::Deleted if is_whole => {
                let both = self.days.entry(day).or_default();
                both.lake.add(in_lake);
                both.differ(Difference::DeletedInZoom, in_lake.millis);
            }
            Place::OfNobody => self.of_nobody += 1,
            Place::Deleted | Place::Beyond | Place::SeenBefore => {}
        }
        let flaw = match (place, flaw) {
            (_, Some(double @ (Difference::Double, _))) => Some(*double),
            (Place::SeenBefore, _) => Some((Difference::Double, Table::Recordings)),
            (_, flaw) => *flaw,
        };
        if let Some(flaw) = flaw {
            self.trouble(day, row.recording_id.as_str(), flaw, in_lake.millis);
        }
    }

    /// What the listing says of a recording that the lake holds.
    fn place(&mut self, id: PackedId, row: &HeldRow) -> Place {
        if let Some(entry) = self.listed.get_mut(&id) {
            let was_found = std::mem::replace(&mut entry.found, true);
            return if was_found { Place::SeenBefore } else { Place::Listed { millis: entry.millis() } };
        }
        if !self.unlisted.insert(id) {
            return Place::SeenBefore;
        }
        match self.scope.is_owned(row) {
            _ if !self.scope.reaches(row) => Place::Beyond,
            Some(true) => Place::Deleted,
            Some(false) => Place::Beyond,
            None => Place::OfNobody,
        }
    }

    /// Learns from the lake what a lost ledger has forgotten.
    pub(super) fn quarantined(&mut self, id: &RecordingId, reason: Option<Reason>) {
        if let Some(entry) = self.listed.get_mut(&PackedId::of(id))
            && matches!(entry.standing, Standing::Unknown { .. })
        {
            entry.standing = Standing::GivenUp { reason };
        }
    }

    /// Recordings of which the lake has segments or words alone.
    pub(super) fn unexplained(&self) -> impl Iterator<Item = String> {
        let orphans = self.orphans.iter().map(|(_day, orphan)| orphan.recording_id.clone());
        let missing = self.listed.iter().filter(|(_id, entry)| !entry.found && entry.why_missing() == Difference::Lost);
        orphans.chain(missing.map(|(id, _entry)| id.to_string()))
    }

    /// What came of it. `unfinished` are those of the unexplained that a run took up meanwhile and will
    /// complete.
    pub(super) fn finish(mut self, unfinished: &BTreeSet<RecordingId>, run_id: RunId) -> Coverage {
        let mut parts = HashSet::new();
        for (day, orphan) in std::mem::take(&mut self.orphans) {
            let id = RecordingId::parse(&orphan.recording_id).ok();
            let packed = id.as_ref().map(PackedId::of);
            if id.is_some_and(|id| unfinished.contains(&id)) {
                continue;
            }
            match packed.filter(|packed| self.listed.get(packed).is_some_and(|entry| !entry.found)) {
                // A recording that is missing is told of as that.
                Some(missing) => {
                    parts.insert(missing);
                }
                None => self.trouble(day, &orphan.recording_id, (Difference::Orphaned, orphan.table), 0),
            }
        }
        for (id, entry) in std::mem::take(&mut self.listed) {
            if entry.found {
                continue;
            }
            let is_on_its_way = || RecordingId::parse(&id.to_string()).is_ok_and(|id| unfinished.contains(&id));
            let reason = match entry.why_missing() {
                Difference::Lost if is_on_its_way() => Difference::NotYet,
                reason => reason,
            };
            let millis = entry.millis();
            let both = self.days.entry(entry.day).or_default();
            both.zoom.add(Tally { recordings: 1, millis });
            both.differ(reason, millis);
            if !reason.is_explained() {
                let trace = match entry.standing {
                    _ if parts.contains(&id) => Trace::Lake,
                    Standing::Published => Trace::Ledger,
                    _unseen => Trace::Nowhere,
                };
                let (day, id, table) = (entry.day, id.to_string(), Table::Recordings);
                self.unexplained.push(Unexplained { day, id, reason, table, trace });
            }
        }
        self.unexplained.sort();
        let mut notes = Vec::new();
        if self.of_nobody > 0 {
            let many = self.of_nobody;
            notes.push(format!(
                "{many} recordings of the lake are not listed and may be somebody else's; they were not compared"
            ));
        }
        Coverage { run_id, days: self.days, unexplained: self.unexplained, notes }
    }

    fn trouble(&mut self, day: Date, id: &str, (reason, table): Flaw, millis: u64) {
        self.days.entry(day).or_default().differ(reason, millis);
        self.unexplained.push(Unexplained { day, id: id.to_owned(), reason, table, trace: Trace::Lake });
    }
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
