//! The tokens of a model: which are text, which are times, and which mean something else.

/// The languages of Whisper's multilingual models, in the order of their tokens. The last one is missing in older models.
const LANGUAGES: [&str; 100] = [
    "en", "zh", "de", "es", "ru", "ko", "fr", "ja", "pt", "tr", "pl", "ca", "nl", "ar", "sv", "it", "id", "hi", "fi",
    "vi", "he", "uk", "el", "ms", "cs", "ro", "da", "hu", "ta", "no", "th", "ur", "hr", "bg", "lt", "la", "mi", "ml",
    "cy", "sk", "te", "fa", "lv", "bn", "sr", "az", "sl", "kn", "et", "mk", "br", "eu", "is", "hy", "ne", "mn", "bs",
    "kk", "sq", "sw", "gl", "mr", "pa", "si", "km", "sn", "yo", "so", "af", "oc", "ka", "be", "tg", "sd", "gu", "am",
    "yi", "lo", "uz", "fo", "ht", "ps", "tk", "nn", "mt", "sa", "lb", "my", "bo", "tl", "mg", "as", "tt", "haw", "ln",
    "ha", "ba", "jw", "su", "yue",
];

/// Tokens that describe noises and open asides; nobody says them. With a space before them as well.
const NOT_SPOKEN: [&str; 54] = [
    "\"",
    "#",
    "(",
    ")",
    "*",
    "+",
    "/",
    ":",
    ";",
    "<",
    "=",
    ">",
    "@",
    "[",
    "\\",
    "]",
    "^",
    "_",
    "`",
    "{",
    "|",
    "}",
    "~",
    "「",
    "」",
    "『",
    "』",
    "<<",
    ">>",
    "<<<",
    ">>>",
    "--",
    "---",
    "-(",
    "-[",
    "('",
    "(\"",
    "((",
    "))",
    "(((",
    ")))",
    "[[",
    "]]",
    "{{",
    "}}",
    "♪♪",
    "♪♪♪",
    "♩",
    "♪",
    "♫",
    "♬",
    "♭",
    "♮",
    "♯",
];
/// They may stand inside of a word, but not before one.
const NOT_BEFORE_WORDS: [&str; 2] = [" -", " '"];

/// A model's tokens by their meaning. Tokens of text have ids below `end`.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokens: Vec<Vec<u8>>,
    languages: usize,
    /// The text ends.
    pub(super) end: usize,
    /// The text begins; the languages follow this token.
    pub(super) start: usize,
    transcribe: usize,
    /// What was said before follows.
    pub(super) before: usize,
    /// Nobody speaks.
    pub(super) no_speech: usize,
    /// 0.00 s; the others follow in steps of 20 ms.
    pub(super) first_time: usize,
    /// Never part of a text: noises, and tokens that mean something to the model only.
    pub(super) forbidden: Vec<usize>,
    /// A lone space.
    pub(super) space: Option<usize>,
}

impl Vocabulary {
    /// `count` = tokens of the model, times and languages included.
    pub(super) fn new(tokens: &[Vec<u8>], count: usize) -> Self {
        /// Tokens of text of English models; the others have one more.
        const ENGLISH_TEXT: usize = 50_256;
        const MULTILINGUAL: usize = 51_865;
        let is_multilingual = count >= MULTILINGUAL;
        // English models have tokens for 99 languages too, which they were not trained with.
        let languages = if is_multilingual { (count - 51_766).min(LANGUAGES.len()) } else { 99 };
        let end = ENGLISH_TEXT + usize::from(is_multilingual);
        let start = end + 1;
        let [translate, transcribe, aside, before, no_speech, no_times, first_time] =
            [0, 1, 2, 3, 4, 5, 6].map(|index| start + if is_multilingual { languages } else { 99 } + 1 + index);
        let id = |text: &str| tokens.iter().position(|token| token == text.as_bytes());
        let spaced = NOT_SPOKEN.iter().filter_map(|text| id(&format!(" {text}")));
        let plain = NOT_SPOKEN.iter().chain(&NOT_BEFORE_WORDS).filter_map(|text| id(text));
        let meant = [start, translate, transcribe, aside, before, no_speech, no_times];
        let forbidden = spaced.chain(plain).chain(meant).chain(start + 1..=start + languages).collect();
        let (languages, space) = (if is_multilingual { languages } else { 0 }, id(" "));
        let tokens = tokens.to_vec();
        Self { tokens, languages, end, start, transcribe, before, no_speech, first_time, forbidden, space }
    }

    /// The token of a language, if the model knows it.
    pub(super) fn language(&self, code: &str) -> Option<usize> {
        let index = LANGUAGES[..self.languages].iter().position(|known| *known == code)?;
        Some(self.start + 1 + index)
    }

    /// The codes of the languages that the model knows.
    pub(super) fn languages(&self) -> &'static [&'static str] {
        if self.is_multilingual() { &LANGUAGES[..self.languages] } else { &LANGUAGES[..1] }
    }

    /// The tokens between the start and a text in this language, if the model knows it.
    pub(super) fn task(&self, code: &str) -> Option<Vec<usize>> {
        if self.is_multilingual() {
            Some(vec![self.language(code)?, self.transcribe])
        } else {
            (code == LANGUAGES[0]).then(Vec::new)
        }
    }

    pub(super) const fn is_multilingual(&self) -> bool {
        self.languages > 0
    }

    /// The bytes of a token of text; none of another token.
    pub(super) fn bytes(&self, token: usize) -> &[u8] {
        self.tokens.get(token).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_languages_are_those_of_whisper_in_their_order() {
        for (id, code) in (0..).zip(LANGUAGES) {
            assert_eq!(whisper_rs::get_lang_str(id), Some(code));
        }
        assert_eq!(whisper_rs::get_lang_str(100), None);
    }

    #[test]
    fn models_of_three_sizes_have_their_tokens_where_whisper_has_them() {
        // English, the first multilingual models, and those with Cantonese.
        for (count, end, transcribe, first_time) in
            [(51_864, 50_256, 50_358, 50_363), (51_865, 50_257, 50_359, 50_364), (51_866, 50_257, 50_360, 50_365)]
        {
            let vocabulary = Vocabulary::new(&[b" ".to_vec()], count);
            assert_eq!((vocabulary.end, vocabulary.transcribe, vocabulary.first_time), (end, transcribe, first_time));
            assert_eq!((vocabulary.before, vocabulary.no_speech), (transcribe + 2, transcribe + 3));
            assert_eq!(vocabulary.space, Some(0));
            assert_eq!(vocabulary.language("yue").is_some(), count == 51_866);
            assert_eq!(vocabulary.language("ja").is_some(), vocabulary.is_multilingual());
        }
    }
}
