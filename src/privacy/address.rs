//! Cuts a text into the pieces an e-mail address is made of, and lists the words that tell an address from the ordinary
//! word "at".

use std::ops::Range;

use super::lex::{is_unspaced, narrow};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Letters and digits of one script.
    Word,
    At {
        is_said: bool,
        is_kana: bool,
    },
    Dot {
        is_said: bool,
    },
    /// A dash, an underscore or another sign inside of a name.
    Join {
        is_said: bool,
    },
    Space,
    Pause,
    Other,
}

/// A piece of the text, in bytes, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) what: What,
}

const KANA_WORDS: &[(&str, What)] = &[
    ("アットマーク", What::At { is_said: true, is_kana: true }),
    ("アット", What::At { is_said: true, is_kana: true }),
    ("ドット", What::Dot { is_said: true }),
    ("アンダースコア", What::Join { is_said: true }),
    ("アンダーバー", What::Join { is_said: true }),
    ("ハイフン", What::Join { is_said: true }),
];

/// What a domain ends with when its at sign is only said.
pub(super) const LAST_LABELS: &[&str] = &[
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "name", "io", "ai", "app", "dev", "co", "me", "tv",
    "cloud", "online", "site", "shop", "tech", "jp", "us", "uk", "de", "fr", "eu", "ca", "au", "nz", "ie", "cn", "kr",
    "tw", "hk", "sg", "nl", "be", "ch", "es", "pt", "se", "dk", "fi", "pl", "cz", "br", "mx", "za", "ru", "tr", "il",
    "my", "th", "ph", "vn",
];

/// "at" after one of these is the ordinary word.
pub(super) const NO_NAMES: &[&str] = &[
    "look",
    "looking",
    "looked",
    "work",
    "works",
    "working",
    "worked",
    "am",
    "is",
    "are",
    "was",
    "were",
    "be",
    "been",
    "me",
    "you",
    "him",
    "her",
    "us",
    "them",
    "it",
    "that",
    "this",
    "here",
    "there",
    "online",
    "available",
    "buy",
    "bought",
    "order",
    "ordered",
    "shop",
    "shopping",
    "store",
    "check",
    "find",
    "found",
    "visit",
    "and",
    "or",
    "not",
    "up",
    "out",
    "over",
    "on",
    "live",
    "start",
    "started",
    "arrive",
    "arrived",
    "stay",
    "stop",
    "page",
    "website",
    "site",
    "account",
    "support",
    "job",
    "job's",
    "team",
    "people",
    "someone",
    "meet",
    "meeting",
    "all",
    "now",
    "sign",
    "register",
    "registered",
    "book",
    "booked",
    "price",
    "today",
    "yesterday",
    "products",
    "details",
    "said",
    "says",
    "saw",
    "see",
    "seen",
    "listed",
    "go",
    "went",
    "stopped",
    "email",
    "contact",
    "reach",
];

/// The word before belongs to an ordinary noun.
pub(super) const ARTICLES: &[&str] = &["a", "an", "the", "my", "your", "our", "his", "her", "their", "this", "that"];

/// A name of several words may follow these.
pub(super) const CUES: &[&str] = &["is", "it's", "its", "email", "mail", "e-mail", "address", "to", "be", "under"];

/// Scripts of words; a word has one.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Script {
    Spaced,
    Hiragana,
    Katakana,
    Other,
}

fn script(character: char) -> Option<Script> {
    match character {
        '\u{3041}'..='\u{309f}' => Some(Script::Hiragana),
        '\u{30a1}'..='\u{30fa}' | 'ー' => Some(Script::Katakana),
        _ if is_unspaced(character) => Some(Script::Other),
        _ if character.is_alphanumeric() => Some(Script::Spaced),
        _ => None,
    }
}

/// The pieces of `text` in order, without gaps.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let (end, what) = match script(character) {
            Some(Script::Katakana) => katakana(text, at),
            Some(script) => spelled(text, at, script),
            None => (at + character.len_utf8(), sign(character)),
        };
        tokens.push(Token { range: at..end, what });
        at = end;
    }
    tokens
}

fn spelled(text: &str, start: usize, of: Script) -> (usize, What) {
    let rest = &text[start..];
    let mut length = 0;
    for (at, character) in rest.char_indices() {
        let end = at + character.len_utf8();
        // "it's" and "o'brien" are one word.
        let is_inside = matches!(character, '\'' | '’') && rest[end..].starts_with(|c| script(c) == Some(of));
        if script(character) != Some(of) && !(at > 0 && of == Script::Spaced && is_inside) {
            break;
        }
        length = end;
    }
    let is = |words: &[&str]| words.iter().any(|word| rest[..length].eq_ignore_ascii_case(word));
    let what = if is(&["at"]) {
        What::At { is_said: true, is_kana: false }
    } else if is(&["dot"]) {
        What::Dot { is_said: true }
    } else if is(&["underscore", "dash", "hyphen", "plus"]) {
        What::Join { is_said: true }
    } else {
        What::Word
    };
    (start + length, what)
}

/// Katakana words are written without spaces, so a known one ends the word before it.
fn katakana(text: &str, start: usize) -> (usize, What) {
    let known = |rest: &str| KANA_WORDS.iter().find(|(word, _)| rest.starts_with(word));
    let rest = &text[start..];
    if let Some((word, what)) = known(rest) {
        return (start + word.len(), *what);
    }
    let ends = |(at, c): &(usize, char)| script(*c) != Some(Script::Katakana) || known(&rest[*at..]).is_some();
    let length = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
    (start + length, What::Word)
}

fn sign(character: char) -> What {
    match narrow(character) {
        '@' => What::At { is_said: false, is_kana: false },
        '.' => What::Dot { is_said: false },
        '-' | '_' | '+' | '%' | '\'' => What::Join { is_said: false },
        ',' | '、' | '・' => What::Pause,
        _ if character.is_whitespace() => What::Space,
        _ => What::Other,
    }
}
