//! Made-up calls, the same ones for the same seed: half of them English, half Japanese, every segment 30 to 120 characters
//! long. Words are drawn as in real talk, where the n-th word is about 1/n as frequent as the first; names and numbers
//! come in between. So texts compress about as well as real ones do.

use jiff::{SignedDuration, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use transcribe::domain::{
    Channel, ChannelMode, Decoding, Fingerprint, FinishedTranscript, Language, LanguageVerdict, Party, Recipe, Segment,
};
use transcribe::lake::SCHEMA_VERSION;

use crate::transcripts;
use crate::vocabulary::{ENGLISH, JAPANESE};

/// The least and most characters of a segment.
const CHARACTERS: std::ops::RangeInclusive<usize> = 30..=120;

/// Segments that were decoded in one window.
const SEGMENTS_OF_A_WINDOW: usize = 4;

pub(crate) struct Calls {
    random: SmallRng,
    english: Vec<&'static str>,
    japanese: Vec<&'static str>,
}

impl Calls {
    pub(crate) fn new(seed: u64) -> Self {
        let words = |list: &'static str| list.split_whitespace().collect();
        Self { random: SmallRng::seed_from_u64(seed), english: words(ENGLISH), japanese: words(JAPANESE) }
    }

    /// `count` calls of a day with `segments` segments each; `with_words` adds a word for each piece between spaces.
    pub(crate) fn day(&mut self, dt: &str, count: usize, segments: usize, with_words: bool) -> Vec<FinishedTranscript> {
        (0..count).map(|_| self.call(dt, segments, with_words)).collect()
    }

    fn call(&mut self, dt: &str, segments: usize, with_words: bool) -> FinishedTranscript {
        let is_japanese = self.random.random_bool(0.5);
        let language = Language(if is_japanese { "ja" } else { "en" }.into());
        let parties = [self.name(), self.name()];
        let mut start_ms = 0;
        let mut no_speech_prob = 0.0;
        let mut said = Vec::with_capacity(segments);
        for index in 0..segments {
            if index % SEGMENTS_OF_A_WINDOW == 0 {
                no_speech_prob = f64::from(self.random.random_range(0.0..0.1_f32));
            }
            let text = if is_japanese { self.japanese_sentence() } else { self.english_sentence() };
            let side = usize::from(self.random.random_bool(0.5));
            let segment = self.segment(start_ms, &text, with_words);
            start_ms = segment.end_ms + self.random.random_range(0..900);
            said.push(Segment {
                channel: [Channel::Left, Channel::Right][side],
                speaker: Some(parties[side].clone()),
                language: Some(language.clone()),
                no_speech_prob: Some(no_speech_prob),
                decoding: Some(Decoding {
                    window_start_ms: start_ms / 28_000 * 28_000,
                    window_end_ms: start_ms / 28_000 * 28_000 + 28_000,
                    passes: 1,
                    refused_for: Vec::new(),
                    objections: Vec::new(),
                    first: None,
                }),
                ..segment
            });
        }
        self.finished(dt, said, parties, LanguageVerdict { language, probability: 0.98, margin: 0.97 })
    }

    fn finished(
        &mut self,
        dt: &str,
        segments: Vec<Segment>,
        parties: [String; 2],
        language: LanguageVerdict,
    ) -> FinishedTranscript {
        let id = format!("{:032x}", self.random.random::<u128>());
        let audio_ms = segments.last().map_or(0, |last| last.end_ms);
        let mut call = transcripts::finished(&id, segments);
        // Between 8 and 20 o'clock.
        let midnight: Timestamp = format!("{dt}T00:00:00Z").parse().expect("a good day");
        call.started_at = midnight + SignedDuration::from_millis(self.random.random_range(28_800_000..72_000_000));
        call.dt = dt.to_owned();
        call.audio.sha256 = format!("{:032x}{:032x}", self.random.random::<u128>(), self.random.random::<u128>());
        call.audio.audio_ms = audio_ms;
        call.audio.channel_mode = ChannelMode::Stereo;
        call.recording.call_id =
            Some(self.random.random_range(6_900_000_000_000_000_000..7_000_000_000_000_000_000_u64).to_string());
        let [caller, callee] = parties;
        call.recording.caller = Party { name: Some(caller), number: Some(self.number()) };
        call.recording.callee = Party { name: Some(callee), number: Some(self.number()) };
        call.transcript.language = Some(language);
        let recipe = Recipe {
            engine: call.engine.clone(),
            settings_sha256: call.settings_sha256.clone(),
            schema_version: SCHEMA_VERSION,
        };
        call.fingerprint = Fingerprint::compute(&call.recording.id, &call.audio.sha256, &recipe, 0);
        call
    }

    fn segment(&mut self, start_ms: i64, text: &str, with_words: bool) -> Segment {
        let mut segment = transcripts::segment(start_ms, text);
        if !with_words {
            segment.words = Vec::new();
        }
        for word in &mut segment.words {
            word.probability = f64::from(self.random.random_range(0.2..1.0_f32));
        }
        segment.end_ms = start_ms + self.random.random_range(1_500..7_000);
        // The engine's numbers are 32 bits wide.
        segment.avg_logprob = Some(f64::from(self.random.random_range(-0.8..-0.1_f32)));
        let compressed = text.len() - text.len() / self.random.random_range(4..9);
        segment.compression_ratio = Some(text.len() as f64 / compressed as f64);
        segment
    }

    fn english_sentence(&mut self) -> String {
        let wanted = self.random.random_range(CHARACTERS);
        let mut sentence = String::with_capacity(wanted);
        loop {
            let word = match self.random.random_range(0..40) {
                0 => self.name(),
                1 => self.random.random_range(1..10_000).to_string(),
                _ => (*self.pick(Words::English)).to_owned(),
            };
            let end = if self.random.random_range(0..9) == 0 { ", " } else { " " };
            if sentence.len() + word.len() >= wanted {
                break;
            }
            sentence.push_str(&word);
            sentence.push_str(end);
        }
        let sentence = sentence.trim_end_matches([' ', ',']);
        // What is too short for the last word goes on with a short one.
        let missing = (*CHARACTERS.start()).saturating_sub(sentence.len() + 1);
        format!("{sentence}{}.", " so".repeat(missing.div_ceil(3)))
    }

    fn japanese_sentence(&mut self) -> String {
        let wanted = self.random.random_range(CHARACTERS);
        let mut sentence = String::with_capacity(wanted * 3);
        let mut characters = 0;
        loop {
            let word = match self.random.random_range(0..40) {
                0 => self.random.random_range(1..1_000).to_string(),
                1 | 2 => "、".to_owned(),
                _ => (*self.pick(Words::Japanese)).to_owned(),
            };
            characters += word.chars().count();
            if characters >= wanted {
                break;
            }
            sentence.push_str(&word);
        }
        let missing = CHARACTERS.start().saturating_sub(sentence.chars().count() + 1);
        format!("{sentence}{}。", "ね".repeat(missing))
    }

    /// The n-th word about 1/n as often as the first.
    fn pick(&mut self, words: Words) -> &&'static str {
        let share: f64 = self.random.random();
        let words = match words {
            Words::English => &self.english,
            Words::Japanese => &self.japanese,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and the number of words"
        )]
        let rank = ((words.len() + 1) as f64).powf(share) as usize;
        &words[rank.clamp(1, words.len()) - 1]
    }

    /// A name of two to four syllables.
    fn name(&mut self) -> String {
        const FIRST: [&str; 16] =
            ["Ka", "Mo", "Ta", "Ri", "Be", "Sal", "Nor", "Lu", "Hen", "Vi", "Dar", "Jo", "Pe", "Wil", "Es", "Gra"];
        const NEXT: [&str; 16] =
            ["ra", "ne", "to", "lin", "ma", "ki", "ber", "son", "da", "vi", "shi", "ro", "lo", "tan", "mer", "ya"];
        let mut name = FIRST[self.random.random_range(0..16)].to_owned();
        for _ in 0..self.random.random_range(1..4) {
            name.push_str(NEXT[self.random.random_range(0..16)]);
        }
        name
    }

    fn number(&mut self) -> String {
        format!("+8150{:08}", self.random.random_range(0..100_000_000))
    }
}

#[derive(Clone, Copy)]
enum Words {
    English,
    Japanese,
}
