//! Subtitles: which words stand together, in which lines, from when to when.
//!
//! The rules are those of Netflix's Timed Text Style Guide (General Requirements, and the English one for the 42
//! characters): two lines at most, one where it is enough, broken after marks rather than inside a clause; 5/6 to 7
//! seconds. Lines of full-width characters hold 16, where 13 to 16 are usual.

use std::ops::Range;

use super::pieces::{Piece, pieces};
use super::{speaker_of, spoken};
use crate::cli::lines::{atoms, columns, is_wide};
use crate::domain::Channel;
use crate::lake::HeldTranscript;

/// Columns of a line.
const LATIN_COLUMNS: usize = 42;
const WIDE_COLUMNS: usize = 32;

/// A subtitle stays at least this long where nothing follows on its channel, and never longer than the second.
const SHORTEST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 7_000;

/// A rest between words that shows where a phrase ends.
const REST_MS: i64 = 300;

/// What a further subtitle costs, in the currency of [`reluctance`].
const PER_CUE: u32 = 1;
/// What a subtitle costs that is too short to read.
const TOO_SHORT: u32 = 3;

/// One subtitle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) channel: Channel,
    pub(super) speaker: Option<String>,
    pub(super) start_ms: i64,
    /// After the start.
    pub(super) end_ms: i64,
    /// One or two.
    pub(super) lines: Vec<String>,
}

/// Who speaks, as part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Before the first subtitle of each turn.
    Written,
    Left,
}

/// The subtitles of a transcript, ordered by start, then channel. Those of one channel do not overlap.
pub(super) fn cues(transcript: &HeldTranscript, names: Names) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    for segment in spoken(transcript) {
        let widest = if segment.text.chars().any(is_wide) { WIDE_COLUMNS } else { LATIN_COLUMNS };
        let mut pieces = pieces(segment, widest);
        let speaker = speaker_of(segment);
        let is_turn = cues.last().is_none_or(|last| last.speaker != speaker);
        if let (Names::Written, true, Some(name)) = (names, is_turn, &speaker) {
            name_first(&mut pieces, name, widest);
        }
        for range in split(&pieces, widest) {
            let said = &pieces[range];
            let (Some(first), Some(last)) = (said.first(), said.last()) else { continue };
            cues.push(Cue {
                channel: segment.channel,
                speaker: speaker.clone(),
                start_ms: first.start_ms,
                end_ms: last.end_ms,
                lines: lines(said, widest),
            });
        }
    }
    for channel in [Channel::Mono, Channel::Left, Channel::Right] {
        settle(cues.iter_mut().filter(|cue| cue.channel == channel).collect(), transcript.audio_ms);
    }
    cues.sort_by_key(|cue| (cue.start_ms, cue.channel));
    cues
}

/// Puts `NAME:` before the text.
fn name_first(pieces: &mut Vec<Piece>, name: &str, widest: usize) {
    let Some(first) = pieces.first_mut() else { return };
    first.spaced = true;
    let at_ms = first.start_ms;
    let label = format!("{name}:");
    let label = atoms(&label, widest).into_iter().map(|atom| Piece {
        text: atom.text.to_owned(),
        spaced: atom.spaced,
        starts_word: true,
        start_ms: at_ms,
        end_ms: at_ms,
    });
    pieces.splice(0..0, label.collect::<Vec<_>>());
}

/// The cheapest way to make subtitles of the pieces: as few as possible, ending where a reader would pause.
fn split(pieces: &[Piece], widest: usize) -> Vec<Range<usize>> {
    let ruler = Ruler::of(pieces);
    // The least cost of everything before a piece, and where the last subtitle before it begins.
    let mut best = vec![(0_u32, 0_usize)];
    for end in 1..=pieces.len() {
        let mut cheapest = (u32::MAX, end - 1);
        for start in (0..end).rev() {
            let said = &pieces[start..end];
            let length_ms = pieces[end - 1].end_ms.saturating_sub(pieces[start].start_ms);
            let Some(line_cost) = ruler.second_line(pieces, start..end, widest).map(|(cost, _)| cost) else { break };
            if said.len() > 1 && length_ms > LONGEST_MS {
                break;
            }
            let end_cost = pieces.get(end).map_or(0, |after| reluctance(&pieces[end - 1], after));
            let short_cost = if length_ms < SHORTEST_MS { TOO_SHORT } else { 0 };
            let cost = best[start].0.saturating_add(PER_CUE + end_cost + short_cost + line_cost);
            if cost < cheapest.0 {
                cheapest = (cost, start);
            }
        }
        best.push(cheapest);
    }
    let mut ranges = Vec::new();
    let mut end = pieces.len();
    while end > 0 {
        let start = best[end].1;
        ranges.push(start..end);
        end = start;
    }
    ranges.reverse();
    ranges
}

/// How little a reader would pause between two pieces.
fn reluctance(before: &Piece, after: &Piece) -> u32 {
    let said = before.text.trim_end_matches(['"', '\'', ')', '”', '’', '」', '』', '）']);
    let is_apart = after.spaced || said.chars().next_back().is_some_and(is_wide);
    if is_apart && said.ends_with(['.', '?', '!', '…', '。', '？', '！']) {
        0
    } else if (is_apart && said.ends_with([',', ';', '、', '，', '；'])) || after.start_ms - before.end_ms >= REST_MS
    {
        1
    } else if after.spaced {
        3
    } else if after.starts_word {
        4
    } else {
        7
    }
}

/// Measures stretches of pieces.
struct Ruler {
    /// Columns of all pieces before each, with the spaces before them.
    columns: Vec<usize>,
}

impl Ruler {
    fn of(pieces: &[Piece]) -> Self {
        let mut total = 0;
        let mut columns_before = vec![0];
        for piece in pieces {
            total += columns(&piece.text) + usize::from(piece.spaced);
            columns_before.push(total);
        }
        Self { columns: columns_before }
    }

    fn columns(&self, pieces: &[Piece], range: Range<usize>) -> usize {
        let space = pieces.get(range.start).is_some_and(|piece| piece.spaced);
        self.columns[range.end] - self.columns[range.start] - usize::from(space && !range.is_empty())
    }

    /// Where the second line of a subtitle begins, and what the break costs; the end of the range where one line is
    /// enough, and nothing where two are not.
    fn second_line(&self, pieces: &[Piece], range: Range<usize>, widest: usize) -> Option<(u32, usize)> {
        let whole = self.columns(pieces, range.clone());
        if whole <= widest {
            return Some((0, range.end));
        }
        if whole > 2 * widest + 1 {
            return None;
        }
        let candidates = (range.start + 1..range.end).filter_map(|at| {
            let first = self.columns(pieces, range.start..at);
            let second = self.columns(pieces, at..range.end);
            let cost = reluctance(&pieces[at - 1], &pieces[at]);
            (first <= widest && second <= widest).then_some((10 * cost as usize + first.abs_diff(second), cost, at))
        });
        candidates.min().map(|(_, cost, at)| (cost / 2, at))
    }
}

fn lines(said: &[Piece], widest: usize) -> Vec<String> {
    let second = Ruler::of(said).second_line(said, 0..said.len(), widest).map_or(said.len(), |(_, at)| at);
    let (first, second) = said.split_at(second);
    [first, second].into_iter().filter(|line| !line.is_empty()).map(joined).collect()
}

fn joined(said: &[Piece]) -> String {
    let mut line = String::new();
    for piece in said {
        line.extend((piece.spaced && !line.is_empty()).then_some(' '));
        line.push_str(&piece.text);
    }
    line
}

/// Gives the subtitles of one channel times that do not overlap, and time to be read where there is room.
fn settle(mut cues: Vec<&mut Cue>, audio_ms: i64) {
    let mut free_ms = 0;
    for index in 0..cues.len() {
        let next_ms = cues.get(index + 1).map(|next| next.start_ms);
        let cue = &mut cues[index];
        cue.start_ms = cue.start_ms.max(free_ms);
        let room_ms = next_ms.unwrap_or(audio_ms.max(cue.end_ms));
        let longest_ms = cue.start_ms.saturating_add(LONGEST_MS).min(room_ms).max(cue.start_ms.saturating_add(1));
        cue.end_ms = cue.end_ms.max(cue.start_ms.saturating_add(SHORTEST_MS)).min(longest_ms);
        free_ms = cue.end_ms;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cli::export::sample::{on, segment, transcript, word};
    use crate::cli::lines::plain;
    use crate::lake::HeldSegment;

    fn shown(cues: &[Cue]) -> Vec<(i64, i64, String)> {
        cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.lines.join(" | "))).collect()
    }

    fn of(segments: Vec<HeldSegment>) -> Vec<(i64, i64, String)> {
        shown(&cues(&transcript(segments), Names::Left))
    }

    #[test]
    fn a_long_segment_is_cut_at_the_ends_of_sentences() {
        let said = "Thank you for calling Acme support, my name is Ruth. Could you give me the number of your \
                    contract, please? It stands on every bill that we send.";
        let found = of(vec![segment(0, 10_000, said)]);
        let texts: Vec<&str> = found.iter().map(|cue| cue.2.as_str()).collect();
        let expected = [
            "Thank you for calling Acme support, | my name is Ruth.",
            "Could you give me the number | of your contract, please?",
            "It stands on every bill that we send.",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn japanese_has_sixteen_characters_a_line_and_breaks_after_its_marks() {
        let said = "お電話ありがとうございます。山田商事の佐藤でございます。本日はどのようなご用件でしょうか、お聞かせください。";
        let found = of(vec![segment(0, 12_000, said)]);
        let texts: Vec<&str> = found.iter().map(|cue| cue.2.as_str()).collect();
        let expected = [
            "お電話ありがとうございます。 | 山田商事の佐藤でございます。",
            "本日はどのようなご用件で | しょうか、お聞かせください。",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn japanese_is_broken_between_the_words_of_the_engine() {
        let words =
            ["今日", "は", "とても", "天気", "が", "いい", "ので", "公園", "まで", "散歩", "に", "行き", "ました"];
        let mut said = segment(0, 5_000, &words.concat());
        said.words = (0_i64..).zip(words).map(|(at, text)| word(at * 300, at * 300 + 300, text)).collect();
        assert_eq!(of(vec![said]), [(0, 3_900, "今日はとても天気がいいので | 公園まで散歩に行きました".into())]);
    }

    #[test]
    fn a_short_one_is_extended_where_there_is_room_and_not_into_the_next() {
        let found = of(vec![segment(0, 200, "Yes."), segment(700, 900, "No."), segment(9_900, 9_950, "Bye.")]);
        let expected = [(0, 700, "Yes."), (700, 1_700, "No."), (9_900, 10_000, "Bye.")];
        assert_eq!(found, expected.map(|(start, end, text)| (start, end, text.to_owned())));
    }

    #[test]
    fn a_word_that_is_held_for_long_stays_for_seven_seconds() {
        assert_eq!(of(vec![segment(0, 9_000, "Hello.")]), [(0, 7_000, "Hello.".into())]);
    }

    #[test]
    fn segments_without_length_still_get_times_of_their_own() {
        let found = of(vec![segment(500, 500, "a"), segment(500, 500, "b"), segment(500, 400, "c")]);
        assert_eq!(found, [(500, 501, "a".into()), (501, 502, "b".into()), (502, 1_502, "c".into())]);
    }

    #[test]
    fn two_channels_may_speak_at_once_and_are_named_when_they_take_turns() {
        let said = vec![
            on(Channel::Left, segment(0, 3_000, "Hello there.")),
            on(Channel::Right, segment(1_000, 2_000, "Hi.")),
            on(Channel::Right, segment(2_000, 3_500, "Who is it?")),
        ];
        let expected = [(0, 3_000, "Left: Hello there."), (1_000, 2_000, "Right: Hi."), (2_000, 3_500, "Who is it?")];
        let found = shown(&cues(&transcript(said), Names::Written));
        assert_eq!(found, expected.map(|(start, end, text)| (start, end, text.to_owned())));
    }

    fn any_segment() -> impl Strategy<Value = HeldSegment> {
        let text = prop_oneof![
            "([a-z]{1,12}[,.?]? ){0,60}",
            "[あいうえおッー漢字。、「」]{0,120}",
            "[a-zA-Z\u{301}あ。👍 ]{0,90}",
            "[a-z]{40,140}",
        ];
        let word = ("[a-zあ]{0,3}", -100_i64..40_000, -100_i64..9_000);
        let words = proptest::collection::vec(word, 0..20);
        (0_i64..60_000, -10_i64..30_000, text, words, any::<bool>()).prop_map(|(start, length, text, words, left)| {
            let mut said = segment(start, start + length, &text);
            // Some words as the text has them, some that it does not have.
            let spelled = text.split_whitespace().map(str::to_owned).chain(words.iter().map(|word| word.0.clone()));
            let times = words.iter().cycle();
            said.words = spelled.zip(times).map(|(text, time)| self::word(time.1, time.1 + time.2, &text)).collect();
            on(if left { Channel::Left } else { Channel::Right }, said)
        })
    }

    proptest! {
        #[test]
        fn every_subtitle_keeps_the_rules_and_every_word_is_in_one(
            segments in proptest::collection::vec(any_segment(), 0..5),
        ) {
            let transcript = transcript(segments);
            let cues = cues(&transcript, Names::Left);
            for cue in &cues {
                prop_assert!((1..=2).contains(&cue.lines.len()));
                for line in &cue.lines {
                    let widest = if line.chars().any(is_wide) { WIDE_COLUMNS } else { LATIN_COLUMNS };
                    prop_assert!(!line.is_empty() && columns(line) <= widest, "{:?}", line);
                }
                prop_assert!(cue.start_ms >= 0 && cue.start_ms < cue.end_ms && cue.end_ms - cue.start_ms <= LONGEST_MS);
            }
            prop_assert!(cues.is_sorted_by_key(|cue| cue.start_ms));
            for channel in [Channel::Left, Channel::Right] {
                let own: Vec<&Cue> = cues.iter().filter(|cue| cue.channel == channel).collect();
                prop_assert!(own.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms));
                let squeezed = |text: String| text.replace(' ', "");
                let shown = squeezed(own.iter().flat_map(|cue| cue.lines.clone()).collect());
                let said = spoken(&transcript).filter(|segment| segment.channel == channel);
                prop_assert_eq!(shown, squeezed(said.map(|segment| plain(&segment.text)).collect()));
            }
        }
    }
}
