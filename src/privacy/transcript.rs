//! Masks a transcript: the text of its segments, their words, and what a first model heard of them.

use super::Redactor;
use crate::domain::{Channel, Segment, SpokenLine, Transcript};

impl Redactor {
    /// Masks every text of a transcript. Segments of a channel that follow each other are read as one text, so that a
    /// number is found wherever the engine cut it.
    pub fn mask_transcript(&self, transcript: &mut Transcript) {
        for channel in [Channel::Mono, Channel::Left, Channel::Right] {
            // Suppressed text stands between what was said, and often says part of it again.
            for counts in [true, false] {
                let of_these = |segment: &&mut Segment| {
                    segment.channel == channel && segment.suppressed.is_none() == counts && !segment.text.is_empty()
                };
                self.mask_in_order(transcript.segments.iter_mut().filter(of_these).collect());
            }
        }
    }

    fn mask_in_order(&self, mut segments: Vec<&mut Segment>) {
        let language = segments.iter().find_map(|segment| segment.language.clone());
        let spaced = language.is_none_or(|language| language.is_spaced());
        let said: Vec<(&str, Vec<&str>)> = segments
            .iter()
            .map(|segment| (segment.text.as_str(), segment.words.iter().map(|word| word.text.as_str()).collect()))
            .collect();
        let masked = self.mask_segments(&said, spaced);
        let first: Vec<&str> = segments.iter().map(|segment| first_text(segment)).collect();
        let found = self.find_across(&first);
        let first: Vec<String> =
            first.iter().zip(&found).map(|(text, found)| self.apply(text, found).into_owned()).collect();
        for ((segment, masked), first) in segments.iter_mut().zip(masked).zip(first) {
            segment.text = masked.text;
            for (word, masked) in segment.words.iter_mut().zip(masked.words) {
                if let Some(masked) = masked {
                    word.text = masked;
                }
            }
            // What went into the marker before it is no word of its own.
            segment.words.retain(|word| !word.text.is_empty());
            if let Some(heard) = segment.decoding.as_mut().and_then(|decoding| decoding.first.as_mut()) {
                heard.text = first;
            }
        }
    }

    /// Masks lines of somebody else's transcript, those of each channel read as one text.
    pub fn mask_lines(&self, lines: &mut [SpokenLine]) {
        for channel in [None, Some(Channel::Mono), Some(Channel::Left), Some(Channel::Right)] {
            let mut own: Vec<&mut SpokenLine> = lines.iter_mut().filter(|line| line.channel == channel).collect();
            let texts: Vec<&str> = own.iter().map(|line| line.text.as_str()).collect();
            let found = self.find_across(&texts);
            let masked: Vec<String> =
                texts.iter().zip(&found).map(|(text, found)| self.apply(text, found).into_owned()).collect();
            for (line, masked) in own.iter_mut().zip(masked) {
                line.text = masked;
            }
        }
    }
}

fn first_text(segment: &Segment) -> &str {
    let first = segment.decoding.as_ref().and_then(|decoding| decoding.first.as_ref());
    first.map_or("", |first| first.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::{Kinds, Region, Settings};
    use super::*;
    use crate::domain::{Decoding, FirstHearing, Language, Suppression, TimeSource, Word};

    fn redactor(region: &str) -> Redactor {
        let region = Region::from_code(region).unwrap();
        Redactor::new(&Settings { kinds: Kinds::ALL, patterns: Vec::new(), region }).unwrap()
    }

    fn said(text: &str, language: &str, words: &[&str]) -> Segment {
        let word = |text: &&str| Word {
            start_ms: 0,
            end_ms: 0,
            text: (*text).to_owned(),
            probability: 0.9,
            time_source: TimeSource::Token,
        };
        Segment {
            channel: Channel::Mono,
            start_ms: 0,
            end_ms: 1_000,
            text: text.into(),
            language: Some(Language(language.into())),
            avg_logprob: None,
            no_speech_prob: None,
            compression_ratio: None,
            temperature: None,
            suppressed: None,
            words: words.iter().map(word).collect(),
            speaker: None,
            decoding: None,
        }
    }

    fn masked(region: &str, segments: Vec<Segment>) -> Transcript {
        let mut transcript = Transcript { language: None, segments, speech_ms: 0, talk: None, doubts: Vec::new() };
        redactor(region).mask_transcript(&mut transcript);
        transcript
    }

    fn words(segment: &Segment) -> Vec<&str> {
        segment.words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn text_and_words_are_masked_alike() {
        let call = masked("US", vec![said("Call 415-555-0132, please.", "en", &["Call", "415-555-0132,", "please."])]);
        assert_eq!(call.segments[0].text, "Call [PHONE], please.");
        assert_eq!(words(&call.segments[0]), ["Call", "[PHONE],", "please."]);
        let call = masked(
            "JP",
            vec![said(
                "番号は090の1234の5678です。",
                "ja",
                &["番号", "は", "090", "の", "1234", "の", "5678", "です。"],
            )],
        );
        assert_eq!(call.segments[0].text, "番号は[PHONE]です。");
        assert_eq!(words(&call.segments[0]), ["番号", "は", "[PHONE]", "です。"]);
    }

    #[test]
    fn a_number_over_two_segments_is_found_with_suppressed_text_between_them() {
        let mut between = said("Thank you.", "en", &[]);
        between.suppressed = Some(Suppression::InventedPhrase);
        let first = said("My card is 4111 1111", "en", &["My", "card", "is", "4111", "1111"]);
        let second = said("1111 1111, thanks.", "en", &["1111", "1111,", "thanks."]);
        let call = masked("US", vec![first, between, second]);
        let texts: Vec<&str> = call.segments.iter().map(|segment| segment.text.as_str()).collect();
        assert_eq!(texts, ["My card is [CARD]", "Thank you.", "[CARD], thanks."]);
    }

    #[test]
    fn suppressed_text_and_first_hearings_hide_nothing() {
        let mut call = said("Write to jane@example.com.", "en", &[]);
        call.suppressed = Some(Suppression::Loop);
        let first = Some(FirstHearing { text: "Right to jane@example.com".into(), model: "tiny".into() });
        call.decoding = Some(Decoding {
            window_start_ms: 0,
            window_end_ms: 1_000,
            passes: 2,
            refused_for: Vec::new(),
            objections: vec![Suppression::Loop],
            first,
        });
        let call = masked("US", vec![call]);
        assert_eq!(call.segments[0].text, "Write to [EMAIL].");
        assert_eq!(first_text(&call.segments[0]), "Right to [EMAIL]");
    }

    #[test]
    fn lines_of_zooms_transcript_are_masked_channel_by_channel() {
        let line = |channel, text: &str| SpokenLine {
            channel: Some(channel),
            speaker: Some("Jane".into()),
            start_ms: 0,
            end_ms: 0,
            text: text.into(),
        };
        let mut lines =
            [line(Channel::Left, "It is 4111 1111"), line(Channel::Right, "Go on."), line(Channel::Left, "1111 1111.")];
        redactor("US").mask_lines(&mut lines);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["It is [CARD]", "Go on.", "[CARD]."]);
    }
}
