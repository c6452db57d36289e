//! Text to read: a paragraph for each turn.

use std::fmt::Write;

use super::{clock, speaker_of, spoken};
use crate::cli::lines::{plain, wrap};
use crate::domain::Language;
use crate::lake::{HeldSegment, HeldTranscript};

const WIDTH: usize = 80;

/// After such a silence a speaker begins a new paragraph.
const NEW_TURN_MS: i64 = 2_000;

/// What one speaker says until another speaks or nobody does.
struct Turn {
    speaker: Option<String>,
    start_ms: i64,
    end_ms: i64,
    text: String,
}

/// `[hh:mm:ss - hh:mm:ss] speaker`, then the words, then an empty line between paragraphs.
pub(super) fn txt(transcript: &HeldTranscript) -> String {
    let mut txt = String::new();
    for turn in turns(transcript) {
        let separator = if txt.is_empty() { "" } else { "\n" };
        let speaker = turn.speaker.map(|speaker| format!(" {speaker}")).unwrap_or_default();
        let (start, end) = (clock(turn.start_ms, None), clock(turn.end_ms, None));
        // Writing to a string does not fail.
        let _written = writeln!(txt, "{separator}[{start} - {end}]{speaker}");
        for line in wrap(&turn.text, WIDTH) {
            let _written = writeln!(txt, "{line}");
        }
    }
    txt
}

fn turns(transcript: &HeldTranscript) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for segment in spoken(transcript) {
        let (speaker, text) = (speaker_of(segment), plain(&segment.text));
        match turns.last_mut() {
            Some(turn) if turn.speaker == speaker && segment.start_ms.saturating_sub(turn.end_ms) < NEW_TURN_MS => {
                turn.text.extend(is_spaced(segment).then_some(' '));
                turn.text.push_str(&text);
                turn.end_ms = turn.end_ms.max(segment.end_ms);
            }
            _ => turns.push(Turn { speaker, start_ms: segment.start_ms, end_ms: segment.end_ms, text }),
        }
    }
    turns
}

fn is_spaced(segment: &HeldSegment) -> bool {
    segment.language.as_ref().is_none_or(|language| Language(language.clone()).is_spaced())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::export::sample::{on, segment, transcript};
    use crate::domain::Channel;

    #[test]
    fn a_turn_ends_with_another_speaker_or_a_silence() {
        let said = transcript(vec![
            on(Channel::Left, segment(0, 1_000, "Hello.")),
            on(Channel::Left, segment(1_500, 2_000, "Who is it?")),
            on(Channel::Right, segment(2_000, 3_000, "Me.")),
            on(Channel::Right, segment(5_000, 6_000, "Noah.")),
        ]);
        let expected = "[00:00:00 - 00:00:02] Left\nHello. Who is it?\n\n[00:00:02 - 00:00:03] Right\nMe.\n\n\
                        [00:00:05 - 00:00:06] Right\nNoah.\n";
        assert_eq!(txt(&said), expected);
    }

    #[test]
    fn japanese_is_joined_without_spaces_and_wrapped_at_forty_characters() {
        let mut first = segment(0, 1_000, &"あ".repeat(39));
        let mut second = segment(1_000, 2_000, "い。うえ");
        (first.language, second.language) = (Some("ja".into()), Some("ja".into()));
        let expected = format!("[00:00:00 - 00:00:02]\n{}\nい。うえ\n", "あ".repeat(39));
        assert_eq!(txt(&transcript(vec![first, second])), expected);
    }
}
