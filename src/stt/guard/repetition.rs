//! How much a text repeats itself.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::domain::Language;

/// Length of the text over its length after zlib; 0 for no text. Text that says the same over and over is above 2.4
/// (Whisper's own limit).
///
/// In languages with spaces the lengths are bytes, as in Whisper. Kana and kanji are three bytes each, of which the
/// first hardly ever changes, so by bytes all Japanese would seem to repeat itself: in languages without spaces each
/// character counts as one byte (characters beyond the 256th different one share values, which no repetition hides in).
#[must_use]
pub fn compression_ratio(text: &str, language: &Language) -> f64 {
    if language.is_spaced() { ratio(text.as_bytes()) } else { ratio(&one_byte_each(text)) }
}

fn one_byte_each(text: &str) -> Vec<u8> {
    let mut known = BTreeMap::new();
    text.chars()
        .map(|character| {
            let next = known.len();
            let number: usize = *known.entry(character).or_insert(next);
            u8::try_from(number % 256).expect("less than 256")
        })
        .collect()
}

fn ratio(bytes: &[u8]) -> f64 {
    if bytes.is_empty() {
        return 0.0;
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("writing to memory does not fail");
    let compressed = encoder.finish().expect("writing to memory does not fail");
    let length = |bytes: &[u8]| f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    length(bytes) / length(&compressed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, language: &str) -> f64 {
        compression_ratio(text, &Language(language.into()))
    }

    #[test]
    fn plain_speech_is_below_the_limit_and_a_loop_above_it_in_both_scripts() {
        let english = "Thank you for calling, this is the front desk speaking, how may I help you this morning?";
        let japanese = "お電話ありがとうございます。予約センターの佐藤でございます。本日はどのようなご用件でしょうか。";
        assert!(of(english, "en") < 1.5);
        assert!(of(japanese, "ja") < 1.5);
        assert!(of(&"I'm sorry. ".repeat(20), "en") > 5.0);
        assert!(of(&"ありがとうございました。".repeat(8), "ja") > 2.4);
        assert_eq!(of("", "en"), 0.0);
    }

    #[test]
    fn long_polite_japanese_is_no_loop_although_its_bytes_look_like_one() {
        let polite = "はい、かしこまりました。それではご予約の日にちとお時間をお伺いしてもよろしいでしょうか。\
                      来週の火曜日の午後三時からでございますね。はい、承知いたしました。二名様でよろしいでしょうか。\
                      それでは、お名前とお電話番号をお願いいたします。ありがとうございます。お待ちしております。";
        assert!(ratio(polite.as_bytes()) > 1.6);
        assert!(of(polite, "ja") < 1.4, "{}", of(polite, "ja"));
    }
}
