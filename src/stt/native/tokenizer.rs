//! Text into tokens: byte-pair encoding as GPT-2 and Whisper have it. The vocabulary is all that it takes, since in both
//! a token's id is its rank: of two neighbours that make a token, those with the lowest id become one first.

use std::collections::HashMap;

pub(super) struct Tokenizer {
    ids: HashMap<Vec<u8>, usize>,
}

/// What a piece of text consists of.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

/// Endings that are pieces of their own.
const ENDINGS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

impl Tokenizer {
    /// `tokens` = the bytes of each token, by id. Of equal ones the first counts.
    pub(super) fn new(tokens: &[Vec<u8>]) -> Self {
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            ids.entry(token.clone()).or_insert(id);
        }
        Self { ids }
    }

    /// Bytes that no token has are left out.
    pub(super) fn tokens_of(&self, text: &str) -> Vec<usize> {
        pieces(text).into_iter().flat_map(|piece| self.merged(piece.as_bytes())).collect()
    }

    fn merged(&self, piece: &[u8]) -> Vec<usize> {
        // Where parts begin, and where the last one ends.
        let mut starts: Vec<usize> = (0..=piece.len()).collect();
        let merged = |starts: &[usize], at: usize| self.ids.get(&piece[starts[at]..*starts.get(at + 2)?]).copied();
        // What each part makes together with the next.
        let mut ids: Vec<Option<usize>> = (0..starts.len()).map(|at| merged(&starts, at)).collect();
        while let Some((_, at)) = ids.iter().enumerate().filter_map(|(at, id)| Some(((*id)?, at))).min() {
            starts.remove(at + 1);
            ids.remove(at + 1);
            ids[at] = merged(&starts, at);
            if let Some(before) = at.checked_sub(1) {
                ids[before] = merged(&starts, before);
            }
        }
        starts.windows(2).filter_map(|ends| self.ids.get(&piece[ends[0]..ends[1]]).copied()).collect()
    }
}

/// The text in pieces that tokens never reach across: runs of letters, of digits or of other characters, each with the
/// one space before it; endings; and space. The pattern is GPT-2's:
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let ending = ENDINGS.iter().find(|ending| rest.starts_with(**ending));
        let second = rest[first.len_utf8()..].chars().next();
        let length = if let Some(ending) = ending {
            ending.len()
        } else if let Some(second) = second.filter(|second| first == ' ' && class(*second) != Class::Space) {
            1 + run(&rest[1..], class(second))
        } else if class(first) == Class::Space {
            let run = run(rest, Class::Space);
            // The last of several spaces belongs to what follows.
            let last = rest[..run].chars().next_back().map_or(0, char::len_utf8);
            if run < rest.len() && run > last { run - last } else { run }
        } else {
            run(rest, class(first))
        };
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// How many bytes of characters of this class the text begins with.
fn run(text: &str, wanted: Class) -> usize {
    text.find(|c| class(c) != wanted).unwrap_or(text.len())
}

fn class(c: char) -> Class {
    if c.is_whitespace() {
        Class::Space
    } else if c.is_alphabetic() {
        Class::Letter
    } else if c.is_numeric() {
        Class::Number
    } else {
        Class::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stt::models::Tensors;
    use crate::stt::spoken::cached;

    #[test]
    fn text_falls_into_the_pieces_of_gpt_2() {
        assert_eq!(pieces("It's  2026, isn't it?"), ["It", "'s", " ", " 2026", ",", " isn", "'t", " it", "?"]);
        assert_eq!(pieces(" a\n\nb  "), [" a", "\n", "\n", "b", "  "]);
        assert_eq!(pieces("明日は3時。Zoomで"), ["明日は", "3", "時", "。", "Zoomで"]);
        assert!(pieces("").is_empty());
    }

    #[test]
    fn tokens_are_those_of_gpt_2() {
        let model = Tensors::open(&cached("models/tiny.en.bin")).unwrap();
        let tokenizer = Tokenizer::new(model.tokens());
        // As OpenAI's `tiktoken.get_encoding("gpt2")` has them.
        assert_eq!(tokenizer.tokens_of("Hello world"), [15_496, 995]);
        assert_eq!(tokenizer.tokens_of("it's"), [270, 338]);
        for text in [" Transcribe 24 calls, please.", " 明日の10時にお願いします。", "\u{1f600}\u{0} x"] {
            let bytes: Vec<u8> = tokenizer.tokens_of(text).iter().flat_map(|id| model.tokens()[*id].clone()).collect();
            assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }
}
