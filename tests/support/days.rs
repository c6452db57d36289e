//! A lake of many days with one file a table and day, of calls whose texts do not compress away.

use std::path::Path;
use std::time::Duration;

use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use transcribe::config::{LakeConfig, LakePlace, Partition};
use transcribe::lake::Lake;

use crate::transcripts::{finished, segment};

const SEGMENTS: i64 = 4;
const WORDS_OF_A_SEGMENT: usize = 10;

/// Fills a lake in the folder `root` with so many days from 1 January 2026 on and so many calls a day. Returns each day
/// with the id of one of its calls.
pub(crate) async fn fill(root: &Path, days: i64, calls: usize) -> Vec<(String, String)> {
    let config = LakeConfig {
        place: LakePlace::Folder(root.to_owned()),
        partition_timezone: TimeZone::UTC,
        partition: Partition::Day,
        flush_every: Duration::from_secs(60),
        flush_bytes: 1 << 30,
        fresh_every: Duration::from_secs(60),
        compression_level: 3,
    };
    let lake = Lake::open(&config).await.unwrap();
    let mut random = SmallRng::seed_from_u64(7);
    let mut samples = Vec::new();
    for day in 0..days {
        let midnight = (date(2026, 1, 1) + Span::new().days(day)).to_zoned(TimeZone::UTC).unwrap().timestamp();
        let members: Vec<_> = (0..calls).map(|call| transcript(&mut random, midnight, call)).collect();
        let fingerprints: Vec<_> = members.iter().map(|member| member.fingerprint.clone()).collect();
        samples.push((members[0].dt.clone(), members[calls / 2].recording.id.as_str().to_owned()));
        lake.publish(&Lake::plan_batch(&members[0].dt, &fingerprints), members).await.unwrap();
    }
    samples
}

fn transcript(random: &mut SmallRng, midnight: Timestamp, call: usize) -> transcribe::domain::FinishedTranscript {
    let mut sentence = || -> String {
        let words: Vec<String> =
            (0..WORDS_OF_A_SEGMENT).map(|_| format!("{:06x}", random.random_range(0..1 << 24))).collect();
        words.join(" ")
    };
    let segments = (0..SEGMENTS).map(|index| segment(index * 1_000, &sentence())).collect();
    let mut transcript = finished(&format!("{:032x}", random.random::<u128>()), segments);
    let seconds = i64::try_from(call).unwrap() * 60 % 86_400;
    transcript.started_at = midnight + Span::new().seconds(seconds);
    transcript.dt = midnight.to_zoned(TimeZone::UTC).date().to_string();
    transcript
}
