use super::*;
use crate::pipeline::ExitCode;
use crate::pipeline::reconcile::lake_day::tests::row;
use crate::pipeline::reconcile::listed::Entry;

const DAY: Date = Date::constant(2026, 11, 2);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn scope() -> Scope {
    let window = TimeWindow { since: at("2026-11-01T00:00:00Z"), until: at("2026-11-08T00:00:00Z") };
    Scope { window, listed_at: at("2026-11-08T00:00:00Z"), owners: None }
}

/// Of ten seconds.
fn entry(standing: Standing) -> Entry {
    Entry { day: DAY, duration_s: Some(10), standing, found: false }
}

fn listed(entries: &[(&str, Standing)]) -> Listed {
    let packed = |id: &str| PackedId::of(&RecordingId::parse(id).unwrap());
    entries.iter().map(|(id, standing)| (packed(id), entry(*standing))).collect()
}

/// A row without segments or words.
fn held(id: &str, fingerprint: u64) -> HeldRow {
    HeldRow { segments: 0, words: None, ..row(id, fingerprint, "2026-11-03T00:00:00Z") }
}

fn compare(listed: Listed, scope: Scope, days: Vec<(Date, Vec<HeldRow>)>) -> Coverage {
    let mut comparison = Comparison::new(listed, scope);
    for (day, rows) in days {
        comparison.lake_day(day, LakeDay::new(rows), |_row| day);
    }
    comparison.finish(&BTreeSet::new(), RunId("r".into()))
}

fn differences(coverage: &Coverage) -> Vec<(Difference, u64)> {
    coverage.total().differences.into_iter().map(|(reason, tally)| (reason, tally.recordings)).collect()
}

#[test]
fn what_is_on_both_sides_differs_in_nothing() {
    let standings = [
        ("aa", Standing::Published),
        ("bb", Standing::Unknown { is_recent: false }),
        ("cc", Standing::GivenUp { reason: Some(Reason::Forbidden) }),
        ("dd", Standing::Unfinished),
    ];
    let rows = (1..).zip(&standings).map(|(number, (id, _))| held(id, number)).collect();
    let coverage = compare(listed(&standings), scope(), vec![(DAY, rows)]);
    let total = coverage.total();
    assert_eq!((total.zoom.recordings, total.zoom.millis), (4, 40_000));
    assert_eq!((total.lake.recordings, total.lake.millis), (4, 40_320));
    assert_eq!((differences(&coverage), coverage.exit_code()), (vec![], ExitCode::Done));
}

#[test]
fn what_is_missing_has_its_reason_and_only_what_nobody_will_bring_is_unexplained() {
    let standings = [
        ("aa", Standing::Published),
        ("bb", Standing::Unknown { is_recent: false }),
        ("cc", Standing::GivenUp { reason: Some(Reason::Forbidden) }),
        ("dd", Standing::Unfinished),
    ];
    let coverage = compare(listed(&standings), scope(), vec![]);
    assert_eq!(differences(&coverage), [(Difference::NotYet, 1), (Difference::Quarantined, 1), (Difference::Lost, 2)]);
    let lost: Vec<_> = coverage.unexplained.iter().map(|item| (item.id.as_str(), item.trace)).collect();
    assert_eq!(lost, [("aa", Trace::Ledger), ("bb", Trace::Nowhere)]);
    assert_eq!(coverage.exit_code(), ExitCode::RecordingsFailed);
}

#[test]
fn what_a_lost_ledger_forgot_is_learned_from_the_lakes_quarantine() {
    let unknown = Standing::Unknown { is_recent: false };
    let mut comparison = Comparison::new(listed(&[("aa", unknown), ("bb", Standing::Published)]), scope());
    for id in ["aa", "bb", "cc"] {
        comparison.quarantined(&RecordingId::parse(id).unwrap(), Some(Reason::NotAudio));
    }
    let coverage = comparison.finish(&BTreeSet::new(), RunId("r".into()));
    assert_eq!(differences(&coverage), [(Difference::Quarantined, 1), (Difference::Lost, 1)]);
}

#[test]
fn only_what_the_listing_speaks_of_can_be_deleted_in_zoom() {
    let none = || listed(&[]);
    let whether = |scope: Scope, row: HeldRow| differences(&compare(none(), scope, vec![(DAY, vec![row])]));
    let deleted = vec![(Difference::DeletedInZoom, 1)];
    assert_eq!(whether(scope(), held("aa", 1)), deleted);
    let beyond = [
        HeldRow { source: "folder".into(), ..held("aa", 1) },
        HeldRow { transcribed_at: at("2026-11-08T00:00:00Z"), ..held("aa", 1) },
        HeldRow { started_at: at("2026-11-01T00:09:59Z"), ..held("aa", 1) },
        HeldRow { ended_at: Some(at("2026-11-07T23:50:01Z")), ..held("aa", 1) },
        HeldRow { started_at: at("2026-11-07T23:49:51Z"), ended_at: None, ..held("aa", 1) },
    ];
    for row in beyond {
        assert_eq!(whether(scope(), row.clone()), [], "{row:?}");
    }
    let inside = [
        HeldRow { started_at: at("2026-11-01T00:10:00Z"), ..held("aa", 1) },
        HeldRow { ended_at: Some(at("2026-11-07T23:50:00Z")), ..held("aa", 1) },
        HeldRow { started_at: at("2026-11-07T23:49:00Z"), ended_at: None, ..held("aa", 1) },
    ];
    for row in inside {
        assert_eq!(whether(scope(), row.clone()), deleted, "{row:?}");
    }
}

#[test]
fn of_other_peoples_recordings_a_persons_list_says_nothing() {
    let of = |owner: Option<&str>| HeldRow { owner_id: owner.map(str::to_owned), ..held("aa", 1) };
    let with = |users: &[&str], row: HeldRow| {
        let owners = Some(users.iter().map(|user| (*user).to_owned()).collect());
        let coverage = compare(listed(&[]), Scope { owners, ..scope() }, vec![(DAY, vec![row])]);
        (coverage.count(Difference::DeletedInZoom), coverage.notes.len())
    };
    assert_eq!(with(&["u1", "u2"], of(Some("u2"))), (1, 0));
    assert_eq!(with(&["u1", "u2"], of(Some("u3"))), (0, 0));
    // Whose it is cannot be told: a note says so.
    assert_eq!(with(&["u1"], of(None)), (0, 1));
    assert_eq!(with(&["me"], of(Some("u3"))), (0, 1));
    assert_eq!(with(&["tanaka@example.com"], of(Some("u3"))), (0, 1));
}

#[test]
fn a_recording_in_two_partitions_is_a_double_and_counted_once() {
    let next = Date::constant(2026, 11, 3);
    for standings in [&[("aa", Standing::Published)][..], &[]] {
        let days = vec![(DAY, vec![held("aa", 1)]), (next, vec![held("aa", 2)])];
        let coverage = compare(listed(standings), scope(), days);
        assert_eq!((coverage.count(Difference::Double), coverage.total().lake.recordings), (1, 1));
        assert_eq!(coverage.exit_code(), ExitCode::RecordingsFailed);
    }
}

#[test]
fn a_recording_whose_segments_are_gone_is_lost_and_not_in_the_lake() {
    let damaged = HeldRow { segments: 2, ..held("aa", 1) };
    let coverage = compare(listed(&[("aa", Standing::Published)]), scope(), vec![(DAY, vec![damaged])]);
    assert_eq!((coverage.total().zoom.recordings, coverage.total().lake.recordings), (1, 0));
    let item = &coverage.unexplained[0];
    assert_eq!((item.id.as_str(), item.reason, item.table), ("aa", Difference::Lost, Table::Segments));
    assert_eq!(differences(&coverage), [(Difference::Lost, 1)]);
}

#[test]
fn orphans_are_told_of_unless_their_recording_is_missing_or_on_its_way() {
    let with_orphan = |standings: &[(&str, Standing)], unfinished: &[&str]| {
        let mut day = LakeDay::new(vec![]);
        day.count(Table::Segments, "aa", &"1".repeat(64));
        let mut comparison = Comparison::new(listed(standings), scope());
        comparison.lake_day(DAY, day, |_row| DAY);
        assert!(comparison.unexplained().all(|id| id == "aa"));
        let unfinished = unfinished.iter().map(|id| RecordingId::parse(id).unwrap()).collect();
        let coverage = comparison.finish(&unfinished, RunId("r".into()));
        assert!(coverage.unexplained.iter().all(|item| item.trace == Trace::Lake));
        differences(&coverage)
    };
    assert_eq!(with_orphan(&[], &[]), [(Difference::Orphaned, 1)]);
    assert_eq!(with_orphan(&[], &["aa"]), []);
    assert_eq!(with_orphan(&[("aa", Standing::Published)], &[]), [(Difference::Lost, 1)]);
    let recent = Standing::Unknown { is_recent: true };
    assert_eq!(with_orphan(&[("aa", recent)], &[]), [(Difference::NotYet, 1)]);
}
