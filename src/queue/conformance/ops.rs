//! What can be done to a queue, drawn at random: few recordings, few processes, and times near the limits that matter.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::domain::{Reason, SourceKind};
use crate::queue::Company;

/// Recordings there are: the first ones are Zoom's, the others lie in a folder.
pub(super) const RECORDINGS: usize = 6;
pub(super) const OF_ZOOM: usize = 4;
/// Processes that work on the same ledger at the same time.
pub(super) const PROCESSES: usize = 2;
/// Models that transcripts are made with.
pub(super) const RECIPES: usize = 2;
const BATCHES: usize = 2;

/// How a recording is listed.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) recording: usize,
    pub(super) hours_ago: i64,
    pub(super) duration_s: Option<i32>,
    pub(super) call: Option<u8>,
    /// Told apart by their addresses.
    pub(super) version: u8,
}

/// How a claim ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    Staged { recipe: usize },
    Retry { reason: Reason, seconds: i64 },
    Postponed { reason: Reason, seconds: i64 },
    Crashed,
    Dead { reason: Reason },
    Released,
}

/// What a listing does with finished recordings.
#[derive(Debug, Clone, Copy)]
pub(super) enum Again {
    Nothing,
    Failed,
    All,
    Changed { recipe: usize },
}

/// One thing that happens. Leases are counted from the newest that was ever handed out, so that late twins have a say.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Purge {
        recording: usize,
    },
    Pass {
        seconds: i64,
    },
    List {
        found: Vec<Listing>,
        room: u64,
        again: Again,
    },
    Claim {
        process: usize,
        source: SourceKind,
        only: Option<Vec<usize>>,
        company: Company,
    },
    Settle {
        lease: usize,
        how: How,
    },
    Heartbeat {
        lease: usize,
    },
    /// A process dies; another one, with a name of its own, takes its place.
    Die {
        process: usize,
    },
    /// A process ends in order, with whatever it could not settle.
    End {
        process: usize,
    },
    Reclaim,
    Revive {
        named: Option<Vec<usize>>,
        reason: Option<Reason>,
        before: Option<i64>,
        since: Option<i64>,
    },
    AdoptPublished {
        listing: Listing,
        recipe: usize,
        redo: u32,
    },
    AdoptStaged {
        listing: Listing,
        recipe: usize,
    },
    /// `None` = all that is free.
    OpenBatch {
        batch: usize,
        members: Option<Vec<usize>>,
    },
    CloseBatch {
        batch: usize,
    },
    AbandonBatch {
        batch: usize,
    },
    StartOver {
        recording: usize,
    },
    MarkPublished {
        recordings: Vec<usize>,
    },
    MarkReported {
        recordings: Vec<usize>,
    },
}

fn recordings(most: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(0..RECORDINGS, 1..=most)
}

fn listing() -> impl Strategy<Value = Listing> {
    let fields = (0..RECORDINGS, 20_i64..28, option::of(1..100_i32), option::of(0..3_u8), any::<u8>());
    fields.prop_map(|(recording, hours_ago, duration_s, call, version)| Listing {
        recording,
        hours_ago,
        duration_s,
        call,
        version,
    })
}

fn reason() -> impl Strategy<Value = Reason> {
    prop::sample::select(vec![
        Reason::Truncated,
        Reason::NotFound,
        Reason::SourceUnavailable,
        Reason::SourceUnavailable,
    ])
}

fn how() -> impl Strategy<Value = How> {
    let wait = || (reason(), prop::sample::select(vec![0_i64, 30, 90, 7_200]));
    prop_oneof![
        3 => (0..RECIPES).prop_map(|recipe| How::Staged { recipe }),
        4 => wait().prop_map(|(reason, seconds)| How::Retry { reason, seconds }),
        1 => wait().prop_map(|(reason, seconds)| How::Postponed { reason, seconds }),
        3 => Just(How::Crashed),
        1 => reason().prop_map(|reason| How::Dead { reason }),
        1 => Just(How::Released),
    ]
}

fn again() -> impl Strategy<Value = Again> {
    prop_oneof![
        4 => Just(Again::Nothing),
        1 => Just(Again::Failed),
        1 => Just(Again::All),
        1 => (0..RECIPES).prop_map(|recipe| Again::Changed { recipe }),
    ]
}

fn list() -> impl Strategy<Value = Op> {
    let room = prop_oneof![3 => Just(u64::MAX), 1 => 0..3_u64];
    (vec(listing(), 1..5), room, again()).prop_map(|(found, room, again)| Op::List { found, room, again })
}

fn claim() -> impl Strategy<Value = Op> {
    let source = prop_oneof![3 => Just(SourceKind::Zoom), 1 => Just(SourceKind::Folder)];
    let only = prop_oneof![4 => Just(None), 1 => recordings(3).prop_map(Some)];
    let company = prop_oneof![3 => Just(Company::Nobody), 1 => Just(Company::Others)];
    (0..PROCESSES, source, only, company).prop_map(|(process, source, only, company)| Op::Claim {
        process,
        source,
        only,
        company,
    })
}

fn revive() -> impl Strategy<Value = Op> {
    let ago = || option::weighted(0.3, prop::sample::select(vec![0_i64, 30, 3_600]));
    (option::of(recordings(4)), option::weighted(0.3, reason()), ago(), ago())
        .prop_map(|(named, reason, before, since)| Op::Revive { named, reason, before, since })
}

fn batch() -> impl Strategy<Value = Op> {
    let members = prop_oneof![4 => Just(None), 1 => recordings(2).prop_map(Some)];
    prop_oneof![
        3 => (0..BATCHES, members).prop_map(|(batch, members)| Op::OpenBatch { batch, members }),
        2 => (0..BATCHES).prop_map(|batch| Op::CloseBatch { batch }),
        1 => (0..BATCHES).prop_map(|batch| Op::AbandonBatch { batch }),
        1 => (0..RECORDINGS).prop_map(|recording| Op::StartOver { recording }),
        1 => recordings(3).prop_map(|recordings| Op::MarkPublished { recordings }),
    ]
}

/// What random operations come to too seldom: a recording that kills process after process, and one that is known to be
/// bad when its host goes down.
pub(super) fn by_hand() -> [Vec<Op>; 2] {
    let listing = Listing { recording: 0, hours_ago: 20, duration_s: None, call: None, version: 0 };
    let list = Op::List { found: vec![listing], room: u64::MAX, again: Again::Nothing };
    let claim = Op::Claim { process: 0, source: SourceKind::Zoom, only: None, company: Company::Nobody };
    let fail = |reason| Op::Settle { lease: 0, how: How::Retry { reason, seconds: 0 } };
    let death = [claim.clone(), Op::Die { process: 0 }, Op::Reclaim];
    let deaths = std::iter::repeat_n(death, 6).flatten();
    let bad = [claim.clone(), fail(Reason::NotFound), claim, fail(Reason::SourceUnavailable)];
    [std::iter::once(list.clone()).chain(deaths).collect(), std::iter::once(list).chain(bad).collect()]
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    // Around the length of a lease, and around the day that makes a call an old one.
    let seconds = prop::sample::select(vec![1_i64, 30, 59, 60, 61, 3_600, 7_200]);
    let lease = || prop_oneof![4 => Just(0_usize), 2 => 1..3_usize, 1 => 3..8_usize];
    prop_oneof![
        4 => seconds.prop_map(|seconds| Op::Pass { seconds }),
        5 => list(),
        14 => claim(),
        10 => (lease(), how()).prop_map(|(lease, how)| Op::Settle { lease, how }),
        3 => lease().prop_map(|lease| Op::Heartbeat { lease }),
        4 => (0..PROCESSES).prop_map(|process| Op::Die { process }),
        2 => (0..PROCESSES).prop_map(|process| Op::End { process }),
        5 => Just(Op::Reclaim),
        2 => revive(),
        1 => (listing(), 0..RECIPES, 0..3_u32)
            .prop_map(|(listing, recipe, redo)| Op::AdoptPublished { listing, recipe, redo }),
        1 => (listing(), 0..RECIPES).prop_map(|(listing, recipe)| Op::AdoptStaged { listing, recipe }),
        6 => batch(),
        1 => recordings(4).prop_map(|recordings| Op::MarkReported { recordings }),
        1 => (0..RECORDINGS).prop_map(|recording| Op::Purge { recording }),
    ]
}
