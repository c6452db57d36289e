//! What holds for every text, for words, and for segments.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

pub(super) fn redactor(region: &str) -> Redactor {
    with_patterns(region, &[]).unwrap()
}

fn with_patterns(region: &str, patterns: &[(&str, &str)]) -> Result<Redactor, BadPattern> {
    let pattern = |(name, regex): &(&str, &str)| Pattern { name: (*name).to_owned(), regex: (*regex).to_owned() };
    Redactor::new(&Settings {
        kinds: Kinds::ALL,
        patterns: patterns.iter().map(pattern).collect(),
        region: Region::from_code(region).unwrap(),
    })
}

/// The words that are left, put together.
fn put_together(words: &[&str], masked: &[Option<String>], spaced: bool) -> String {
    let words = words.iter().zip(masked).map(|(word, masked)| masked.as_deref().unwrap_or(word));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(if spaced { " " } else { "" })
}

#[test]
fn only_the_kinds_that_are_on_are_masked() {
    let text = "4111 1111 1111 1111, 415-555-0132, a@example.com";
    let only = |phone, card, email| {
        let kinds = Kinds { phone, card, email };
        let region = Region::from_code("US").unwrap();
        Redactor::new(&Settings { kinds, patterns: Vec::new(), region }).unwrap().mask(text).into_owned()
    };
    assert_eq!(only(true, false, false), "4111 1111 1111 1111, [PHONE], a@example.com");
    assert_eq!(only(false, true, false), "[CARD], 415-555-0132, a@example.com");
    assert_eq!(only(false, false, true), "4111 1111 1111 1111, 415-555-0132, [EMAIL]");
    assert_eq!(only(false, false, false), text);
}

#[test]
fn what_the_operator_names_is_masked_under_its_name() {
    let redactor = with_patterns("US", &[("case-id", r"CS-\d{6}"), ("word", r"(?i)\bphone\b")]).unwrap();
    let masked = redactor.mask("Case CS-123456, phone 415-555-0132.").into_owned();
    assert_eq!(masked, "Case [CASE-ID], [WORD] [PHONE].");
    assert_eq!(redactor.mask(&masked), masked);
}

#[test]
fn a_pattern_that_covers_a_part_of_a_number_leaves_none_of_it() {
    let redactor = with_patterns("US", &[("digits", "55")]).unwrap();
    assert_eq!(redactor.mask("call 415-555-0132 now"), "call [DIGITS] now");
}

#[test]
fn a_pattern_that_cannot_be_used_is_refused_by_name() {
    let refused = |patterns: &[(&str, &str)]| with_patterns("JP", patterns).unwrap_err();
    assert!(matches!(refused(&[("id", "(")]), BadPattern::Syntax { name, .. } if name == "id"));
    assert!(matches!(refused(&[("id", "x*")]), BadPattern::MatchesNothing { name } if name == "id"));
    assert!(matches!(refused(&[("a b", "x")]), BadPattern::Name { name } if name == "a b"));
    assert!(matches!(refused(&[("phone", "x")]), BadPattern::NameTaken { name } if name == "phone"));
    assert!(matches!(refused(&[("id", "x"), ("ID", "y")]), BadPattern::NameTaken { name } if name == "ID"));
}

#[test]
fn words_are_masked_like_their_text() {
    let redactor = redactor("US");
    let words = ["Call", "415", "555", "0132.", "Or", "a@example.com!"];
    let masked = redactor.mask_words(&words, true);
    let some = |word: &str| Some(word.to_owned());
    assert_eq!(masked, [None, some("[PHONE]."), some(""), some(""), None, some("[EMAIL]!")]);
    assert_eq!(put_together(&words, &masked, true), "Call [PHONE]. Or [EMAIL]!");
}

#[test]
fn a_number_in_one_word_leaves_its_signs() {
    let masked = redactor("JP").mask_words(&["(090-1234-5678)."], true);
    assert_eq!(masked, [Some("([PHONE]).".to_owned())]);
}

#[test]
fn words_without_spaces_are_masked_like_their_text() {
    let redactor = redactor("JP");
    let words = ["番号", "は", "090", "-", "1234-", "5678", "です。"];
    let masked = redactor.mask_words(&words, false);
    assert_eq!(put_together(&words, &masked, false), "番号は[PHONE]です。");
    assert_eq!(masked[2..6].iter().flatten().collect::<Vec<_>>(), ["[PHONE]", "", "", ""]);
}

#[test]
fn a_number_that_goes_over_a_border_is_masked_on_both_sides() {
    let redactor = redactor("US");
    let texts = ["Sure.", "My card is 4111 1111", "1111", "1111 okay. Call 415", "555-0132.", "Two people."];
    let found = redactor.find_across(&texts);
    let masked: Vec<_> = texts.iter().zip(&found).map(|(text, found)| redactor.apply(text, found)).collect();
    assert_eq!(
        masked,
        ["Sure.", "My card is [CARD]", "[CARD]", "[CARD] okay. Call [PHONE]", "[PHONE].", "Two people."]
    );
}

#[test]
fn what_is_said_over_a_border_is_masked_on_both_sides() {
    let masked = |region: &str, texts: &[&str]| -> Vec<String> {
        let redactor = redactor(region);
        let found = redactor.find_across(texts);
        texts.iter().zip(&found).map(|(text, found)| redactor.apply(text, found).into_owned()).collect()
    };
    let japanese = masked("JP", &["番号はゼロキュウゼロの", "一二三四の", "はい。", "五六七八です。"]);
    assert_eq!(japanese, ["番号は[PHONE]", "[PHONE]", "[PHONE]", "[PHONE]です。"]);
    let english = masked("US", &["It's john dot smith at", "example dot com, thanks."]);
    assert_eq!(english, ["It's [EMAIL]", "[EMAIL], thanks."]);
}

#[test]
fn neighbours_do_not_hide_what_a_text_has_alone() {
    let redactor = redactor("US");
    let texts = ["It's four one five five five five oh one three two", "two people and 5", "@ home a@example.com", ""];
    for (text, found) in texts.iter().zip(redactor.find_across(&texts)) {
        assert_eq!(redactor.apply(text, &found), redactor.mask(text));
    }
}

#[test]
fn segments_are_masked_with_their_words() {
    let redactor = redactor("US");
    let segments = [
        ("My card is 4111 1111,", vec!["My", "card", "is", "4111", "1111,"]),
        ("1111 1111.  Thanks!", vec!["1111", "1111.", "Thanks!"]),
        ("No words of 415-555-0132", vec!["other", "415-555-0132"]),
        ("", vec![]),
    ];
    let masked = redactor.mask_segments(&segments, true);
    let texts: Vec<_> = masked.iter().map(|masked| masked.text.as_str()).collect();
    assert_eq!(texts, ["My card is [CARD]", "[CARD].  Thanks!", "No words of [PHONE]", ""]);
    let words: Vec<_> =
        segments.iter().zip(&masked).map(|((_, words), masked)| put_together(words, &masked.words, true)).collect();
    assert_eq!(words, ["My card is [CARD]", "[CARD]. Thanks!", "other [PHONE]", ""]);
    assert_eq!(masked[0].findings[0].kind, Kind::Card);
}

/// A text of pieces that numbers and addresses are made of.
fn random_text(random: &mut StdRng) -> String {
    const PIECES: &[&str] = &[
        "0",
        "1",
        "4",
        "5",
        "9",
        "90",
        "555",
        "0132",
        "1234",
        "4111",
        "1111",
        "415",
        "090",
        "０",
        "９０",
        " ",
        " ",
        " ",
        "-",
        ".",
        ",",
        ", ",
        ". ",
        "(",
        ")",
        "+",
        "+81",
        "$",
        "の",
        "、",
        "。",
        "ー",
        "ゼロ",
        "キュウ",
        "いち",
        "に",
        "く",
        "三",
        "四",
        "〇",
        "千",
        "five",
        "oh",
        "double",
        "twenty",
        "hundred",
        "x",
        "ext",
        "内線",
        "at",
        "@",
        "＠",
        "dot",
        "example",
        "com",
        "a",
        "is",
        "アット",
        "ドット",
        "コム",
        "ジョン",
        "です",
        "é",
        "😀",
        "[PHONE]",
        "\n",
        "'",
        "円",
    ];
    let count = random.random_range(0..40_usize);
    (0..count).map(|_| PIECES[random.random_range(0..PIECES.len())]).collect()
}

#[test]
fn findings_are_ordered_and_disjoint_and_masking_twice_changes_nothing() {
    let mut random = StdRng::seed_from_u64(7);
    let regions = ["JP", "US", "GB", "DE", "ES", "IT"];
    let redactors = regions.map(|region| with_patterns(region, &[("case", "a1+|com")]).unwrap());
    for (redactor, round) in redactors.iter().cycle().zip(0..30_000) {
        let text = random_text(&mut random);
        let mut at = 0;
        for Finding { range, .. } in redactor.find(&text) {
            assert!(range.start >= at && range.end > range.start, "round {round}: {text:?}");
            assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end), "round {round}: {text:?}");
            at = range.end;
        }
        let once = redactor.mask(&text).into_owned();
        assert_eq!(redactor.mask(&once), once, "round {round}: {text:?}");
    }
}

#[test]
fn words_and_segments_of_any_text_are_masked_like_it() {
    let mut random = StdRng::seed_from_u64(8);
    let redactor = redactor("JP");
    for round in 0..3_000 {
        let text = random_text(&mut random);
        let words: Vec<&str> = text.split(' ').collect();
        let together = put_together(&words, &redactor.mask_words(&words, true), true);
        let masked = redactor.mask(&text).into_owned();
        let squeezed = |text: &str| text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&together), squeezed(&masked), "round {round}: {text:?}");
        let segments: Vec<(&str, Vec<&str>)> =
            text.split('\n').map(|line| (line, line.split_whitespace().collect())).collect();
        for ((line, words), masked) in segments.iter().zip(redactor.mask_segments(&segments, true)) {
            assert_eq!(masked.words.len(), words.len(), "round {round}: {line:?}");
            let together = put_together(words, &masked.words, true);
            let text = masked.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(together.split_whitespace().collect::<Vec<_>>().join(" "), text, "round {round}: {line:?}");
        }
    }
}

#[test]
fn hostile_texts_take_time_in_proportion_to_their_length() {
    let redactor = with_patterns("US", &[("case", r"CS-\d+")]).unwrap();
    let mut spelled = String::new();
    for number in 0..100_000 {
        write!(spelled, "{} ", number % 10).unwrap();
    }
    let texts = [
        "1".repeat(1_000_000),
        "1 ".repeat(500_000),
        "4".repeat(20) + &",111".repeat(250_000),
        "1.1".repeat(300_000),
        "a@".repeat(500_000),
        "at a dot ".repeat(100_000),
        "a".repeat(1_000_000),
        "にさん".repeat(100_000),
        "five ".repeat(200_000),
        "415 555 0132 ".repeat(70_000),
        "+".repeat(1_000_000),
        "double ".repeat(140_000),
        "[PHONE]".repeat(140_000),
        "アット".repeat(100_000),
        spelled,
    ];
    for text in texts {
        let start = Instant::now();
        let masked = redactor.mask(&text);
        let elapsed = start.elapsed();
        assert!(elapsed < Duration::from_secs(20), "{:?} took {elapsed:?}", text.chars().take(12).collect::<String>());
        assert!(masked.len() <= 2 * text.len());
    }
}
