//! Phrases that Whisper writes where nobody speaks: it was trained on subtitles, and subtitles of silence are credits,
//! thanks and farewells. Most of them are also said in earnest, so a phrase alone condemns nothing: other signs must
//! agree.
//!
//! The phrases are those that users report, for instance ggml-org/whisper.cpp#1724, thewh1teagle/vibe#620,
//! openai/whisper discussions 928 and 1873.

use super::{Confidence, folded};
use crate::config::settings::GuardConfig;
use crate::domain::{Language, Suppression};

/// Credits of subtitlers and appeals to viewers: hardly anybody says them on the telephone. One sign is enough, and the
/// phrase may be a part of the text, half of it or more.
const CREDITS: &[(&str, &[&str])] = &[
    (
        "en",
        &[
            "subtitles by",
            "subtitled by",
            "captions by",
            "transcription by",
            "thanks for watching",
            "thank you for watching",
            "thank you so much for watching",
            "like and subscribe",
            "please subscribe",
            "subscribe to my channel",
            "subscribe to the channel",
            "see you in the next video",
        ],
    ),
    (
        "ja",
        &[
            "ご視聴ありがとうございました",
            "ご視聴ありがとうございます",
            "ご清聴ありがとうございました",
            "最後までご視聴",
            "最後までご覧いただき",
            "チャンネル登録",
            "高評価",
            "字幕視聴ありがとうございました",
            "次回の動画",
            "次の動画でお会いしましょう",
        ],
    ),
    (
        "de",
        &[
            "untertitel",
            "untertitelung",
            "untertitel im auftrag des zdf",
            "untertitelung des zdf",
            "vielen dank fürs zuschauen",
            "danke fürs zuschauen",
            "copyright wdr",
        ],
    ),
    ("fr", &["sous titres", "sous titrage", "merci d avoir regardé", "merci davoir regardé", "abonnez vous"]),
    ("es", &["subtítulos", "gracias por ver el vídeo", "gracias por ver el video", "suscríbete"]),
    ("it", &["sottotitoli", "grazie per la visione", "iscrivetevi al canale"]),
    ("nl", &["ondertiteling", "ondertitels", "bedankt voor het kijken", "tv gelderland"]),
    ("pt", &["legendas pela comunidade", "obrigado por assistir", "inscreva se no canal"]),
    ("zh", &["字幕", "谢谢观看", "請不吝點贊", "请不吝点赞", "订阅转发"]),
    ("ko", &["시청해주셔서 감사합니다", "시청해 주셔서 감사합니다", "구독과 좋아요", "자막"]),
    ("tr", &["izlediğiniz için teşekkür", "altyazı", "abone ol"]),
    ("ru", &["субтитры", "продолжение следует", "спасибо за просмотр", "подписывайтесь на канал"]),
    ("pl", &["napisy stworzone przez", "dziękuję za oglądanie", "dziękuję za uwagę"]),
    ("sv", &["undertexter", "textning", "tack för att ni tittade"]),
];

/// A site of subtitlers that stands in their credits in every language: a part of the text, however small, is enough.
const SUBTITLERS: &str = "amara org";

/// What is said on the telephone as well as invented. Two signs are needed, and nothing else in the segment.
const COURTESIES: &[(&str, &[&str])] = &[
    (
        "en",
        &["thank you", "thank you very much", "thanks", "you", "bye", "bye bye", "okay", "oh", "so", "the end", "the"],
    ),
    (
        "ja",
        &["ありがとうございました", "ありがとうございます", "おやすみなさい", "お疲れ様でした", "はい", "ん", "うん"],
    ),
    ("de", &["vielen dank", "danke", "tschüss", "ja", "das war s"]),
    ("fr", &["merci", "au revoir", "oui"]),
    ("es", &["gracias", "adiós", "sí", "chao"]),
    ("it", &["grazie", "ciao", "sì"]),
    ("nl", &["dank je wel", "bedankt", "ja", "doei"]),
    ("pt", &["obrigado", "tchau", "e aí"]),
    ("zh", &["谢谢", "謝謝", "好"]),
    ("ko", &["감사합니다", "네"]),
    ("tr", &["teşekkürler"]),
    ("ru", &["спасибо"]),
    ("pl", &["dziękuję"]),
    ("sv", &["tack"]),
];

/// Speech is not slower and not faster than this, in characters a second.
const SLOWEST: f64 = 1.5;
const FASTEST: f64 = 40.0;
/// The same where one character is a syllable or a word.
const SLOWEST_UNSPACED: f64 = 1.0;
const FASTEST_UNSPACED: f64 = 20.0;

/// What speaks for and against a segment apart from its words.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    pub confidence: Confidence,
    pub length_ms: i64,
    /// Share of its time in which voice activity hears a voice, in [0, 1].
    pub voice_share: f64,
}

/// [`Suppression::InventedPhrase`] when the text is one of the known phrases and enough other signs agree: the engine
/// half takes the sound for silence, is half unsure of the words, voice activity hears little, or nobody speaks so
/// slowly or so fast.
#[must_use]
pub fn objection(text: &str, language: &Language, evidence: &Evidence, guard: &GuardConfig) -> Option<Suppression> {
    let text = folded(text);
    let of = |list: &[(&str, &'static [&'static str])]| {
        list.iter().find(|(code, _)| *code == language.as_str()).map_or(&[][..], |(_, phrases)| *phrases)
    };
    let chars = |text: &str| text.chars().count();
    let is_mostly = |phrase: &&str| text.contains(*phrase) && 2 * chars(phrase) >= chars(&text);
    let needed = if text.contains(SUBTITLERS) || of(CREDITS).iter().any(is_mostly) {
        1
    } else if of(COURTESIES).contains(&text.as_str()) {
        2
    } else {
        return None;
    };
    (signs(&text, language, evidence, guard) >= needed).then_some(Suppression::InventedPhrase)
}

fn signs(folded: &str, language: &Language, evidence: &Evidence, guard: &GuardConfig) -> usize {
    let Evidence { confidence, length_ms, voice_share } = evidence;
    let chars = f64::from(u32::try_from(folded.chars().count()).unwrap_or(u32::MAX));
    let seconds = f64::from(i32::try_from(*length_ms).unwrap_or(i32::MAX)) / 1_000.0;
    let (slowest, fastest) =
        if language.is_spaced() { (SLOWEST, FASTEST) } else { (SLOWEST_UNSPACED, FASTEST_UNSPACED) };
    let signs = [
        confidence.no_speech_prob > guard.max_no_speech_prob / 2.0,
        confidence.avg_logprob < guard.min_avg_logprob / 2.0,
        *voice_share < guard.min_voice_share,
        chars < slowest * seconds || chars > fastest * seconds.max(0.1),
    ];
    signs.into_iter().filter(|sign| *sign).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: Evidence = Evidence {
        confidence: Confidence { avg_logprob: -0.2, no_speech_prob: 0.05, compression_ratio: 1.0 },
        length_ms: 1_200,
        voice_share: 0.9,
    };
    const HARDLY_A_VOICE: Evidence = Evidence { voice_share: 0.1, ..CLEAR };
    const SILENCE: Evidence = Evidence {
        confidence: Confidence { avg_logprob: -0.7, no_speech_prob: 0.5, compression_ratio: 1.0 },
        length_ms: 20_000,
        voice_share: 0.0,
    };

    fn is_invented(text: &str, language: &str, evidence: &Evidence) -> bool {
        objection(text, &Language(language.into()), evidence, &GuardConfig::default()).is_some()
    }

    #[test]
    fn thanks_that_were_clearly_spoken_stay_whatever_the_words() {
        for (text, language) in
            [("Thank you.", "en"), ("Thanks for watching!", "en"), ("ありがとうございました。", "ja"), ("はい", "ja")]
        {
            assert!(!is_invented(text, language, &CLEAR), "{text}");
        }
    }

    #[test]
    fn credits_need_one_sign_and_courtesies_two() {
        assert!(is_invented("Subtitles by the Amara.org community", "en", &HARDLY_A_VOICE));
        assert!(is_invented("ご視聴ありがとうございました。", "ja", &HARDLY_A_VOICE));
        assert!(is_invented("Untertitel im Auftrag des ZDF, 2020", "de", &HARDLY_A_VOICE));
        assert!(!is_invented("Thank you.", "en", &HARDLY_A_VOICE));
        assert!(is_invented("Thank you.", "en", &SILENCE));
        assert!(is_invented("ありがとうございました", "ja", &SILENCE));
    }

    #[test]
    fn other_words_and_other_languages_are_not_concerned() {
        assert!(!is_invented("Thank you for the invoice.", "en", &SILENCE));
        assert!(!is_invented("Können Sie bei der Aufzeichnung die Untertitel einschalten?", "de", &HARDLY_A_VOICE));
        assert!(!is_invented("ご視聴ありがとうございました。", "en", &SILENCE));
        assert!(!is_invented("", "en", &SILENCE));
    }

    #[test]
    fn every_phrase_is_written_as_texts_are_compared() {
        for (language, phrases) in CREDITS.iter().chain(COURTESIES) {
            for phrase in *phrases {
                assert_eq!(folded(phrase), *phrase, "{language}");
            }
        }
    }
}
