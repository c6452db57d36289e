//! An engine without a model, as a program that speaks the engine's protocol: `FAILPOINTS="engine-program=return(PATH)"`
//! puts it in the place of the real one.
//!
//! It answers at once, and the same window always gets the same answer: "scripted 1234 ms abcd", where 1234 is the
//! window's length in milliseconds and abcd a checksum of its samples. It knows all of Whisper's languages and hears the
//! first allowed one, or English. It misbehaves as its environment says, with windows by their length in milliseconds
//! (`A..B`, without B; [`SpeechToText::prove_healthy`] sends one of 2000):
//!
//! * `SCRIPTED_CRASH_MS=A..B`: aborts.
//! * `SCRIPTED_CRASH_ALWAYS=1`: aborts at every window, as on a broken machine.
//! * `SCRIPTED_HANG_MS=A..B`: hangs for good without a sign of life; says "scripted engine hangs" on stderr before.
//! * `SCRIPTED_SLOW_MS=A..B`: takes four seconds, with signs of life.
//! * `SCRIPTED_WHILE=PATH`: misbehaves only while this file is there.
//!
//! [`SpeechToText::prove_healthy`]: transcribe::stt::SpeechToText::prove_healthy

#![expect(clippy::print_stderr, reason = "it says to a test what it is about to do")]

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use transcribe::domain::{Language, TimeSource, Word};
use transcribe::stt::guard::Confidence;
use transcribe::stt::pool::EngineFactory;
use transcribe::stt::process::{Hello, Loaded, serve};
use transcribe::stt::{DecodedSegment, EngineError, Hints, SpeechWindow, Transcriber, Watch, WindowTranscript};

const LANGUAGES: &str = "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur \
                         hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km \
                         sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba \
                         jw su yue";
const SLOW: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    let script = Arc::new(Script::read()?);
    let served = serve(std::io::stdin().lock(), std::io::stdout(), move |settings| {
        let hello = Hello {
            engine: "scripted".into(),
            engine_version: "1".into(),
            lanes: settings.workers,
            is_multilingual: true,
            languages: LANGUAGES.split_whitespace().map(|code| Language(code.into())).collect(),
        };
        let make: EngineFactory = Arc::new(move || Ok(Box::new(ScriptedEngine { script: Arc::clone(&script) })));
        Ok(Loaded { hello, make })
    });
    served.context("the requests cannot be served")
}

/// When to misbehave, and how.
#[derive(Default)]
struct Script {
    crash: Option<Range<usize>>,
    crash_always: bool,
    hang: Option<Range<usize>>,
    slow: Option<Range<usize>>,
    only_while: Option<PathBuf>,
}

impl Script {
    fn read() -> anyhow::Result<Self> {
        let variable = |name: &str| std::env::var(name).ok();
        let range = |name: &str| {
            variable(name)
                .map(|text| {
                    let (from, to) = text.split_once("..").with_context(|| format!("{name} is not A..B"))?;
                    Ok(from.parse()?..to.parse()?)
                })
                .transpose()
                .map_err(|error: anyhow::Error| error.context(name.to_owned()))
        };
        Ok(Self {
            crash: range("SCRIPTED_CRASH_MS")?,
            crash_always: variable("SCRIPTED_CRASH_ALWAYS").is_some(),
            hang: range("SCRIPTED_HANG_MS")?,
            slow: range("SCRIPTED_SLOW_MS")?,
            only_while: variable("SCRIPTED_WHILE").map(PathBuf::from),
        })
    }

    /// Does to a window of this length what the script says.
    fn act(&self, window_ms: usize, watch: &Watch) {
        if self.only_while.as_ref().is_some_and(|file| !file.exists()) {
            return;
        }
        let is_in = |range: &Option<Range<usize>>| range.as_ref().is_some_and(|range| range.contains(&window_ms));
        if self.crash_always || is_in(&self.crash) {
            eprintln!("scripted engine crashes");
            std::process::abort();
        }
        if is_in(&self.hang) {
            eprintln!("scripted engine hangs");
            loop {
                std::thread::park();
            }
        }
        if is_in(&self.slow) {
            let began = Instant::now();
            while began.elapsed() < SLOW && !watch.is_cancelled() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
}

struct ScriptedEngine {
    script: Arc<Script>,
}

impl Transcriber for ScriptedEngine {
    fn transcribe(
        &mut self,
        windows: &[SpeechWindow],
        hints: &Hints,
        watch: &Watch,
    ) -> Result<Vec<WindowTranscript>, EngineError> {
        let decode = |window: &SpeechWindow| {
            let window_ms = window.samples.len() / 16;
            self.script.act(window_ms, watch);
            if watch.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            Ok(scripted(window, window_ms, &hints.language))
        };
        windows.iter().map(decode).collect()
    }

    fn detect_language(
        &mut self,
        samples: &[f32],
        allowed: &[Language],
        _watch: &Watch,
    ) -> Result<Vec<(Language, f64)>, EngineError> {
        if self.script.crash_always {
            std::process::abort();
        }
        let heard = allowed.first().cloned().unwrap_or_else(|| Language("en".into()));
        if samples.is_empty() { Err(EngineError::NoLanguage) } else { Ok(vec![(heard, 0.9)]) }
    }
}

fn scripted(window: &SpeechWindow, window_ms: usize, language: &Language) -> WindowTranscript {
    let checksum = window.samples.iter().fold(0_u32, |sum, sample| sum.rotate_left(5) ^ sample.to_bits());
    let text = format!("scripted {window_ms} ms {:04x}", checksum % (1 << 16));
    let (start_ms, end_ms) = (window.span.start_ms(), window.span.end_ms());
    let quarter = (end_ms - start_ms) / 4;
    let words = (0_i64..)
        .zip(text.split(' '))
        .map(|(index, word)| Word {
            start_ms: start_ms + index * quarter,
            end_ms: start_ms + (index + 1) * quarter,
            text: word.to_owned(),
            probability: 0.9,
            time_source: TimeSource::Token,
        })
        .collect();
    let confidence = Confidence { avg_logprob: -0.1, no_speech_prob: 0.01, compression_ratio: 1.0 };
    let segment = DecodedSegment { start_ms, end_ms, text, words, tokens: 4, temperature: 0.0, confidence };
    WindowTranscript::plain(vec![segment], language.clone())
}
