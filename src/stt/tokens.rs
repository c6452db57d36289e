//! Turns the tokens of a decoded window into text, words and times.
//!
//! A token is a run of bytes, not of characters: in Japanese a character is often cut in two. So bytes are joined first
//! and split at character boundaries only. Nothing here trusts the engine's times: all are forced into the window, in
//! order.

use super::DecodedSegment;
use super::guard::Confidence;
use super::guard::repetition::compression_ratio;
use crate::domain::{Language, Span, TimeSource, Word};

/// What the reading of the tokens depends on.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) words: bool,
    pub(super) language: Language,
    pub(super) temperature: f64,
    pub(super) no_speech_prob: f64,
}

/// One token of text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SaidToken {
    pub(super) bytes: Vec<u8>,
    pub(super) logprob: f64,
    pub(super) probability: f64,
    /// Centiseconds from the start of the window; negative = unknown.
    pub(super) start_cs: i64,
    pub(super) end_cs: i64,
}

/// A segment as the engine has it; times in centiseconds from the start of the window.
#[derive(Debug, Clone)]
pub(super) struct RawSegment {
    pub(super) start_cs: i64,
    pub(super) end_cs: i64,
    pub(super) tokens: Vec<SaidToken>,
}

/// The segments of the window at `span`.
pub(super) fn assemble(raw: Vec<RawSegment>, span: Span, style: &Style) -> Vec<DecodedSegment> {
    let mut segments = Vec::with_capacity(raw.len());
    let mut from_ms = span.start_ms();
    let at = |cs: i64| span.start_ms().saturating_add(cs.saturating_mul(10));
    for segment in raw {
        let bytes: Vec<u8> = segment.tokens.iter().flat_map(|token| &token.bytes).copied().collect();
        let text = readable(&bytes).trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let start_ms = at(segment.start_cs).clamp(from_ms, span.end_ms());
        let end_ms = at(segment.end_cs).clamp(start_ms, span.end_ms());
        from_ms = end_ms;
        let count = u32::try_from(segment.tokens.len()).unwrap_or(u32::MAX);
        let logprobs: f64 = segment.tokens.iter().map(|token| token.logprob).sum();
        let words = if style.words {
            words(&segment.tokens, style.language.is_spaced(), start_ms, end_ms, at)
        } else {
            Vec::new()
        };
        segments.push(DecodedSegment {
            start_ms,
            end_ms,
            text,
            words,
            tokens: count,
            temperature: style.temperature,
            confidence: Confidence {
                avg_logprob: logprobs / f64::from(count),
                no_speech_prob: style.no_speech_prob,
                compression_ratio: 0.0,
            },
        });
    }
    let whole: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
    let ratio = compression_ratio(&whole.join(" "), &style.language);
    for segment in &mut segments {
        segment.confidence.compression_ratio = ratio;
    }
    segments
}

/// The characters of `bytes`; pieces of characters that were never completed are left out.
fn readable(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// Whether a token goes on with a word that is written with Latin letters or digits in any language.
fn goes_on_in_latin(group: &[&SaidToken], token: &SaidToken) -> bool {
    let is_latin = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_latin(group.last().and_then(|last| last.bytes.last())) && is_latin(token.bytes.first())
}

/// Groups tokens into words: at spaces where the language has them, else at each whole character boundary, but not
/// inside of Latin words and numbers. Punctuation stays with the word before it.
fn words(tokens: &[SaidToken], spaced: bool, start_ms: i64, end_ms: i64, at: impl Fn(i64) -> i64) -> Vec<Word> {
    let mut groups: Vec<Vec<&SaidToken>> = Vec::new();
    for token in tokens {
        let whole_so_far = groups.last().is_some_and(|group| {
            let bytes: Vec<u8> = group.iter().flat_map(|token| &token.bytes).copied().collect();
            std::str::from_utf8(&bytes).is_ok()
        });
        let starts_word = match groups.last() {
            None => true,
            Some(_) if !whole_so_far => false,
            Some(_) if spaced => token.bytes.first() == Some(&b' '),
            // "Zoom" is one word there as well.
            Some(group) if goes_on_in_latin(group, token) => false,
            Some(_) => std::str::from_utf8(&token.bytes).map_or(true, |text| text.chars().any(char::is_alphanumeric)),
        };
        match groups.last_mut() {
            Some(group) if !starts_word => group.push(token),
            _ => groups.push(vec![token]),
        }
    }

    let mut from_ms = start_ms;
    groups
        .into_iter()
        .filter_map(|group| {
            let bytes: Vec<u8> = group.iter().flat_map(|token| &token.bytes).copied().collect();
            let text = readable(&bytes).trim().to_owned();
            if text.is_empty() {
                return None;
            }
            let known = |token: Option<&&SaidToken>, of: fn(&SaidToken) -> i64| {
                token.map(|token| of(token)).filter(|cs| *cs >= 0).map(&at)
            };
            let first = known(group.first(), |token| token.start_cs);
            let last = known(group.last(), |token| token.end_cs);
            let (word_start, word_end, time_source) = match (first, last) {
                (Some(first), Some(last)) => {
                    let word_start = first.clamp(from_ms, end_ms);
                    (word_start, last.clamp(word_start, end_ms), TimeSource::Token)
                }
                // It gets its share of the time between its neighbours later on.
                _ => (from_ms, from_ms, TimeSource::Interpolated),
            };
            from_ms = word_end;
            let count = f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX));
            let probability = group.iter().map(|token| token.probability).sum::<f64>() / count;
            Some(Word { start_ms: word_start, end_ms: word_end, text, probability, time_source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(language: &str) -> Style {
        Style { words: true, language: Language(language.into()), temperature: 0.0, no_speech_prob: 0.1 }
    }

    fn token(bytes: &[u8], start_cs: i64, end_cs: i64) -> SaidToken {
        SaidToken { bytes: bytes.to_vec(), logprob: -0.5, probability: 0.5, start_cs, end_cs }
    }

    fn segment(start_cs: i64, end_cs: i64, tokens: Vec<SaidToken>) -> RawSegment {
        RawSegment { start_cs, end_cs, tokens }
    }

    fn span() -> Span {
        Span { start: 16_000, end: 16_000 * 4 }
    }

    fn texts(words: &[Word]) -> Vec<&str> {
        words.iter().map(|word| word.text.as_str()).collect()
    }

    #[test]
    fn words_start_at_spaces_and_keep_their_punctuation() {
        let tokens = vec![
            token(b" Hel", 0, 30),
            token(b"lo", 30, 50),
            token(b",", 50, 50),
            token(b" you", 60, 90),
            token(b".", 90, 90),
        ];
        let window = assemble(vec![segment(0, 100, tokens)], span(), &style("en"));
        let segment = &window[0];
        assert_eq!(segment.text, "Hello, you.");
        assert_eq!(texts(&segment.words), ["Hello,", "you."]);
        assert_eq!((segment.words[1].start_ms, segment.words[1].end_ms), (1_600, 1_900));
        assert_eq!(segment.tokens, 5);
        assert!((segment.confidence.avg_logprob + 0.5).abs() < 1e-9);
    }

    #[test]
    fn characters_cut_between_tokens_are_joined() {
        let bytes = "明日は。".as_bytes();
        let tokens = vec![
            token(&bytes[0..2], 0, 10),
            token(&bytes[2..4], 10, 20),
            token(&bytes[4..6], 20, 30),
            token(&bytes[6..9], 30, 40),
            token(&bytes[9..12], 40, 50),
        ];
        let window = assemble(vec![segment(0, 100, tokens)], span(), &style("ja"));
        assert_eq!(window[0].text, "明日は。");
        assert_eq!(texts(&window[0].words), ["明日", "は。"]);
    }

    #[test]
    fn latin_words_in_japanese_stay_whole() {
        let tokens = ["私", "は", "Zo", "om", "で", "20", "26", "年", " Tanaka", "-", "san"];
        let tokens = tokens.iter().enumerate().map(|(at, text)| token(text.as_bytes(), at as i64, at as i64 + 1));
        let window = assemble(vec![segment(0, 100, tokens.collect())], span(), &style("ja"));
        assert_eq!(texts(&window[0].words), ["私", "は", "Zoom", "で", "2026", "年", "Tanaka-", "san"]);
    }

    #[test]
    fn pieces_of_characters_never_become_text() {
        let tokens = vec![token(b" ok", 0, 10), token(&[0xe6, 0x98], 10, 20)];
        let window = assemble(vec![segment(0, 100, tokens)], span(), &style("en"));
        assert_eq!(window[0].text, "ok");
        let nothing = assemble(vec![segment(0, 100, vec![token(&[0xff], 0, 1)])], span(), &style("en"));
        assert!(nothing.is_empty());
    }

    #[test]
    fn times_are_forced_into_the_window_and_into_order() {
        let first = segment(-50, 9_000, vec![token(b" a", 500, 20), token(b" b", -1, -1)]);
        let second = segment(100, 50, vec![token(b" c", i64::MAX, i64::MIN)]);
        let window = assemble(vec![first, second], span(), &style("en"));
        let mut at = span().start_ms();
        for segment in &window {
            assert!(segment.start_ms >= at && segment.end_ms >= segment.start_ms);
            let mut word_at = segment.start_ms;
            for word in &segment.words {
                assert!(word.start_ms >= word_at && word.end_ms >= word.start_ms && word.end_ms <= segment.end_ms);
                word_at = word.end_ms;
            }
            at = segment.end_ms;
        }
        assert!(at <= span().end_ms());
        assert_eq!(window.len(), 2);
    }

    #[test]
    fn a_loop_over_several_segments_shows_in_each_of_them() {
        let loops = (0..40).map(|n| segment(n * 5, n * 5 + 5, vec![token(b" thank you", -1, -1)])).collect();
        let window = assemble(loops, span(), &style("en"));
        assert!(window.iter().all(|segment| segment.confidence.compression_ratio > 5.0));
    }
}
